//! The rules of topics: an ordered list of patterns, the first of which decides.

use std::fmt;
use std::str::FromStr;

use fanfare_protocol::{TopicName, TopicTemplate, TopicTemplateError};

use super::{Action, Identity, KeyScopes, Subject, Verdict};
use crate::{Retention, SlowRule};

/// What the server does with topics, by pattern. The first rule whose shape matches a topic decides everything about it;
/// without one, [`TopicRules::otherwise`] does.
///
/// ```
/// use fanfare_hub::access::{TopicRule, TopicRules, Who};
///
/// # fn main() -> Result<(), fanfare_protocol::TopicTemplateError> {
/// let rules = TopicRules::from([
///     TopicRule::new("inbox:{user}")?.subscribe(Who::Users),
///     TopicRule::new("room:*")?.subscribe(Who::Users).publish(Who::Subscribers),
/// ]);
/// # drop(rules);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicRules {
    /// The rules, in order.
    pub by_pattern: Vec<TopicRule>,
    /// Who may do what with topics that no rule speaks of. Default: whom it was granted.
    pub otherwise: Access,
    /// Whether it is kept who is in the topics of which no rule says it. Default: not.
    pub keeps_presence: bool,
    /// Whether the topics of which no rule says it are sent as deltas to those who ask for that. Default: not.
    pub sends_deltas: bool,
}

/// What is done with the topics of a pattern. See [`TopicRules`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRule {
    /// Which topics, and with its places also for whom: who does not fill them may do only what was granted.
    pub topics: TopicTemplate,
    /// Who may do what.
    pub access: Access,
    /// The rule for slow clients; `None` for that of [`Limits::slow_rules`](crate::Limits::slow_rules).
    pub slow: Option<SlowRule>,
    /// Publications of clients that each topic takes per second, 0 for any number; `None` for
    /// [`Limits::publications_per_second`](crate::Limits::publications_per_second).
    pub publications_per_second: Option<u32>,
    /// How much of each topic's log is kept; `None` for what the broker keeps of all others.
    pub retention: Option<Retention>,
    /// Whether what is kept is kept on the disk, and published only when it is there; `None` for what the broker does with
    /// all others. Without meaning for a broker that has no disk.
    pub is_durable: Option<bool>,
    /// Whether it is kept who is there, for those who may see it; `None` for [`TopicRules::keeps_presence`]. Costs about 120 bytes
    /// for every subscriber.
    pub keeps_presence: Option<bool>,
    /// Whether subscribers who ask for it are given what has changed since the publication before; `None` for
    /// [`TopicRules::sends_deltas`]. Costs two passes over a publication for each dialect that asks, and the last payload.
    pub sends_deltas: Option<bool>,
    /// Whether subscribers are given the newest publication that is kept and nothing before it, where their dialect gives what
    /// was missed in its reply, and also when they ask for none: a topic of which only the present state matters.
    pub gives_newest: bool,
    /// Whether subscribers are told who comes and goes, themselves included, whether they ask for it or not and whoever may see
    /// presence, where their dialect has it that somebody else decides that. Without meaning where presence is not kept.
    pub tells_presence: bool,
}

/// Who may do what with a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Who may receive.
    pub subscribe: Who,
    /// Who may publish.
    pub publish: Who,
    /// Who may see who is there.
    pub presence: Who,
    /// Who may read what was published.
    pub history: Who,
}

/// Who may do something. What was granted by a token or by the application comes on top, except where it is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Who {
    /// No client at all, whatever was granted.
    Nobody,
    /// Only whom it was granted.
    #[default]
    Granted,
    /// Who is subscribed to the topic.
    Subscribers,
    /// Who has a user name.
    Users,
    /// The users whose names stand behind the last mark in the topic's name, separated by commas: ada and bob of
    /// `dialog%23ada,bob`. The mark is `%23`: a `#`, which no topic's name has, percent-encoded. A `%` in a user's name is
    /// `%25` there.
    Named,
    /// Everyone, anonymous clients too.
    Anyone,
    /// Whom the application lets, asked each time.
    Hook,
}

impl TopicRule {
    /// A rule for topics like `inbox:{user}`, under which only those may do anything to whom it was granted.
    ///
    /// # Errors
    /// The text is no template of topics.
    pub fn new(topics: &str) -> Result<Self, TopicTemplateError> {
        Ok(Self {
            topics: topics.parse()?,
            access: Access::default(),
            slow: None,
            publications_per_second: None,
            retention: None,
            is_durable: None,
            keeps_presence: None,
            sends_deltas: None,
            gives_newest: false,
            tells_presence: false,
        })
    }

    /// The same, but these may receive.
    pub fn subscribe(mut self, who: Who) -> Self {
        self.access.subscribe = who;
        self
    }

    /// The same, but these may publish.
    pub fn publish(mut self, who: Who) -> Self {
        self.access.publish = who;
        self
    }

    /// The same, but these may see who is there.
    pub fn presence(mut self, who: Who) -> Self {
        self.access.presence = who;
        self
    }

    /// The same, but these may read what was published.
    pub fn history(mut self, who: Who) -> Self {
        self.access.history = who;
        self
    }

    /// The same with a rule for slow clients.
    pub fn slow(mut self, rule: SlowRule) -> Self {
        self.slow = Some(rule);
        self
    }

    /// The same, but each topic takes so many publications of clients per second; 0 for any number.
    pub fn publications_per_second(mut self, count: u32) -> Self {
        self.publications_per_second = Some(count);
        self
    }

    /// The same, but so much of each topic's log is kept.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// The same, but what is kept of each topic's log is durable, or is not.
    pub fn durable(mut self, is_durable: bool) -> Self {
        self.is_durable = Some(is_durable);
        self
    }

    /// The same, but it is kept who is there.
    pub fn keep_presence(mut self) -> Self {
        self.keeps_presence = Some(true);
        self
    }
}

impl<const N: usize> From<[TopicRule; N]> for TopicRules {
    /// These rules in this order; what none of them speaks of is open to those to whom it was granted.
    fn from(rules: [TopicRule; N]) -> Self {
        Self {
            by_pattern: rules.into(),
            ..Self::default()
        }
    }
}

impl TopicRules {
    /// Rules under which everyone may do everything, and it is kept who is where.
    pub fn open() -> Self {
        Self {
            by_pattern: Vec::new(),
            otherwise: Access {
                subscribe: Who::Anyone,
                publish: Who::Anyone,
                presence: Who::Anyone,
                history: Who::Anyone,
            },
            keeps_presence: true,
            sends_deltas: true,
        }
    }

    /// The rule that speaks of a topic.
    pub fn of(&self, topic: &TopicName) -> Option<&TopicRule> {
        self.by_pattern
            .iter()
            .find(|rule| rule.topics.shape().matches(topic))
    }

    /// Whether a topic is sent as deltas to those who ask for that. Never, of the server's own.
    pub fn sends_deltas_of(&self, topic: &TopicName) -> bool {
        let own = self.of(topic).and_then(|rule| rule.sends_deltas);
        !topic.is_reserved() && own.unwrap_or(self.sends_deltas)
    }

    /// Whether subscribers are given the newest publication and nothing before it.
    pub fn gives_newest_of(&self, topic: &TopicName) -> bool {
        self.of(topic).is_some_and(|rule| rule.gives_newest)
    }

    /// Whether a rule says of a topic that nothing of it is kept.
    pub fn keeps_nothing_of(&self, topic: &TopicName) -> bool {
        let own = self.of(topic).and_then(|rule| rule.retention);
        own.is_some_and(|retention| !retention.keeps())
    }

    /// Whether subscribers are told who comes and goes though they did not ask.
    pub fn tells_presence_of(&self, topic: &TopicName) -> bool {
        self.keeps_presence_of(topic) && self.of(topic).is_some_and(|rule| rule.tells_presence)
    }

    /// Whether it is kept who is in a topic. Never, of the server's own.
    pub fn keeps_presence_of(&self, topic: &TopicName) -> bool {
        let own = self.of(topic).and_then(|rule| rule.keeps_presence);
        !topic.is_reserved() && own.unwrap_or(self.keeps_presence)
    }

    /// Whether no client at all may do `action` with `topic`, whatever was granted to it.
    pub fn is_closed(&self, action: Action, topic: &TopicName) -> bool {
        self.of(topic)
            .map_or(self.otherwise, |rule| rule.access)
            .of(action)
            == Who::Nobody
    }

    /// Whether `subject` may do `action` with `topic`.
    ///
    /// Costs a look at each rule before the one that decides, and at each pattern that was granted.
    pub fn decide(&self, subject: Subject<'_>, action: Action, topic: &TopicName) -> Verdict {
        let is_allowed = match subject {
            Subject::Application => true,
            Subject::Key(scopes) => scopes.permit(action, topic),
            Subject::Client {
                identity,
                is_subscribed,
            } => return self.decide_client(identity, is_subscribed, action, topic),
        };
        if is_allowed {
            Verdict::Allowed
        } else {
            Verdict::Denied
        }
    }

    fn decide_client(
        &self,
        identity: Option<&Identity>,
        is_subscribed: bool,
        action: Action,
        topic: &TopicName,
    ) -> Verdict {
        let rule = self.of(topic);
        let who = rule.map_or(self.otherwise, |rule| rule.access).of(action);
        if who == Who::Nobody {
            return Verdict::Denied;
        }
        if identity.is_some_and(|identity| identity.grants.cover(action, topic)) {
            return Verdict::Allowed;
        }
        let nobody = Identity::default();
        let is_meant = rule.is_none_or(|rule| rule.topics.admits(topic, identity.unwrap_or(&nobody)));
        let is_allowed = match who {
            Who::Hook if is_meant => return Verdict::Ask,
            Who::Nobody | Who::Granted | Who::Hook => false,
            Who::Subscribers => is_subscribed,
            Who::Users => identity.is_some_and(|identity| identity.user.is_some()),
            Who::Named => identity.is_some_and(|identity| identity.is_named_in(topic)),
            Who::Anyone => true,
        };
        if is_meant && is_allowed {
            Verdict::Allowed
        } else {
            Verdict::Denied
        }
    }
}

impl Access {
    /// Who may do `action`.
    pub fn of(&self, action: Action) -> Who {
        match action {
            Action::Subscribe => self.subscribe,
            Action::Publish => self.publish,
            Action::Presence => self.presence,
            Action::History => self.history,
        }
    }
}

impl KeyScopes {
    /// Whether the holder may do `action` with `topic`.
    fn permit(&self, action: Action, topic: &TopicName) -> bool {
        self.admin
            || match action {
                Action::Publish => self.publish.iter().any(|pattern| pattern.matches(topic)),
                Action::Presence | Action::History => self.stats,
                Action::Subscribe => false,
            }
    }
}

impl Who {
    /// Everyone who can be named.
    pub const ALL: &'static [Self] = &[
        Self::Nobody,
        Self::Granted,
        Self::Subscribers,
        Self::Users,
        Self::Named,
        Self::Anyone,
        Self::Hook,
    ];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Granted => "granted",
            Self::Subscribers => "subscribers",
            Self::Users => "users",
            Self::Named => "named",
            Self::Anyone => "anyone",
            Self::Hook => "hook",
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Who {
    type Err = WhoError;

    fn from_str(text: &str) -> Result<Self, WhoError> {
        let who = Self::ALL.iter().copied().find(|who| who.name() == text);
        who.ok_or(WhoError)
    }
}

/// Why a text names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("who may do something is one of nobody, granted, subscribers, users, named, anyone, hook")]
pub struct WhoError;

#[cfg(test)]
mod tests {
    use fanfare_protocol::{TopicPattern, UserName};
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::access::Grants;

    /// The same decision, one sentence of the documentation after the other.
    fn naive(
        rules: &[(String, Who)],
        otherwise: Who,
        (user, grants, is_subscribed): (Option<&str>, &[String], bool),
        topic: &str,
    ) -> Verdict {
        let glob = |pattern: &str| {
            let pattern: TopicPattern = pattern.parse().unwrap();
            pattern.matches(&TopicName::parse(topic).unwrap())
        };
        let deciding = rules
            .iter()
            .find(|(pattern, _)| glob(&pattern.replace("{user}", "*")));
        let who = deciding.map_or(otherwise, |(_, who)| *who);
        let is_granted = grants.iter().any(|pattern| glob(pattern));
        let is_meant = match deciding {
            Some((pattern, _)) if pattern.contains("{user}") => {
                user.is_some_and(|user| glob(&pattern.replace("{user}", user)))
            }
            _ => true,
        };
        match who {
            Who::Nobody => Verdict::Denied,
            _ if is_granted => Verdict::Allowed,
            _ if !is_meant => Verdict::Denied,
            Who::Hook => Verdict::Ask,
            Who::Anyone => Verdict::Allowed,
            Who::Users if user.is_some() => Verdict::Allowed,
            Who::Named if user.is_some_and(|user| named(topic).contains(&user.replace('%', "%25"))) => {
                Verdict::Allowed
            }
            Who::Subscribers if is_subscribed => Verdict::Allowed,
            _ => Verdict::Denied,
        }
    }

    /// The names behind the last mark.
    fn named(topic: &str) -> Vec<String> {
        let mut parts: Vec<&str> = topic.split("%23").collect();
        let names = parts.pop().filter(|_| !parts.is_empty());
        names.map_or(Vec::new(), |names| names.split(',').map(str::to_owned).collect())
    }

    fn pattern() -> impl Strategy<Value = String> {
        prop::collection::vec(select(vec!["a", "b", ":", "*", "{user}"]), 1..4)
            .prop_map(|parts| parts.concat())
            .prop_filter("one place", |pattern| pattern.matches("{user}").count() <= 1)
    }

    fn who() -> impl Strategy<Value = Who> {
        select(Who::ALL.to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn it_decides_as_it_is_documented(
            rules in prop::collection::vec((pattern(), who()), 0..4),
            otherwise in who(),
            user in prop::option::of(select(vec!["a", "b", "ab", "a%", "%25", "b,a"])),
            grants in prop::collection::vec("[ab*]{1,3}", 0..3),
            is_subscribed in any::<bool>(),
            topic in "[ab:]{1,4}(%23(a|b|ab|a%25|%2525|a%|,){0,4}){0,2}",
            action in select(Action::ALL.to_vec()),
        ) {
            let access = |who| Access { subscribe: who, publish: who, presence: who, history: who };
            let rule = |(pattern, who): &(String, Who)| TopicRule {
                access: access(*who),
                ..TopicRule::new(pattern).unwrap()
            };
            let compiled = TopicRules {
                sends_deltas: false,
                keeps_presence: false,
                by_pattern: rules.iter().map(rule).collect(),
                otherwise: access(otherwise),
            };
            let patterns: Vec<TopicPattern> = grants.iter().map(|grant| grant.parse().unwrap()).collect();
            let identity = Identity {
                user: user.map(|user| UserName::parse(user).unwrap()),
                grants: Grants {
                    subscribe: patterns.clone(),
                    publish: patterns.clone(),
                    presence: patterns.clone(),
                    history: patterns,
                },
                ..Identity::default()
            };
            let subject = Subject::Client { identity: Some(&identity), is_subscribed };
            let verdict = compiled.decide(subject, action, &TopicName::parse(&topic).unwrap());
            prop_assert_eq!(verdict, naive(&rules, otherwise, (user, &grants, is_subscribed), &topic));
        }
    }

    #[test]
    fn a_key_does_what_its_scopes_say() {
        let publisher = KeyScopes {
            publish: vec!["news:*".parse().unwrap()],
            ..KeyScopes::default()
        };
        let (reader, admin) = (
            KeyScopes {
                stats: true,
                ..KeyScopes::default()
            },
            KeyScopes {
                admin: true,
                ..KeyScopes::default()
            },
        );
        let rules = TopicRules::open();
        let may = |scopes: &KeyScopes, action, topic: &str| {
            let topic = TopicName::parse(topic).unwrap();
            rules.decide(Subject::Key(scopes), action, &topic) == Verdict::Allowed
        };
        assert!(may(&publisher, Action::Publish, "news:1") && !may(&publisher, Action::Publish, "chat"));
        assert!(!may(&publisher, Action::History, "news:1"));
        assert!(may(&reader, Action::Presence, "x") && !may(&reader, Action::Publish, "x"));
        assert!(Action::ALL.iter().all(|&action| may(&admin, action, "x")));
        let topic = TopicName::all();
        let verdict = TopicRules::default().decide(Subject::Application, Action::Publish, &topic);
        assert_eq!(verdict, Verdict::Allowed);
    }

    #[test]
    fn the_named_are_those_behind_the_last_mark() {
        let rules = TopicRules::from([TopicRule::new("*%23*").unwrap().subscribe(Who::Named)]);
        let may = |user: &str, topic: &str| {
            let identity = Identity::of_user(UserName::parse(user).unwrap());
            let subject = Subject::Client {
                identity: Some(&identity),
                is_subscribed: true,
            };
            rules.decide(subject, Action::Subscribe, &TopicName::parse(topic).unwrap()) == Verdict::Allowed
        };
        for (user, topic) in [
            ("ada", "inbox%23ada"),
            ("ada", "dialog%23bob,ada"),
            ("ada", "a%23bob%23ada"),
            ("100%", "x%23100%25"),
            ("%23", "x%23%2523"),
        ] {
            assert!(may(user, topic), "{user} {topic}");
        }
        for (user, topic) in [
            ("ada", "inbox%23bob"),
            ("ada", "dialog%23ada%23bob"),
            ("ada", "dialog%23adam"),
            ("ada", "dialog%23"),
            ("ada", "dialog%23Ada"),
            ("ada,bob", "dialog%23ada,bob"),
            ("a%25", "x%23a%25"),
            ("a%20b", "x%23a%20b"),
            ("ada", "ada"),
        ] {
            assert!(!may(user, topic), "{user} {topic}");
        }
        let nobody = Identity::default();
        let subject = Subject::Client {
            identity: Some(&nobody),
            is_subscribed: true,
        };
        let verdict = rules.decide(
            subject,
            Action::Subscribe,
            &TopicName::parse("dialog%23").unwrap(),
        );
        assert_eq!(
            verdict,
            Verdict::Denied,
            "who has no name is not named by an empty one"
        );
    }

    #[test]
    fn who_is_read_as_it_is_written() {
        for &who in Who::ALL {
            assert_eq!(who.to_string().parse(), Ok(who));
        }
        assert_eq!("everyone".parse::<Who>(), Err(WhoError));
    }
}
