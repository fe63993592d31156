//! Namespaces, which are rules of topics here.
//!
//! The first rule whose pattern matches decides, so they stand in the order in which Centrifugo looks: private channels, then
//! namespaces, then what has a boundary and no namespace that there is, then the rest.

use std::time::Duration;

use fanfare::centrifuge::topic_of;
use fanfare::{TopicRule, Who};

use super::draft::{Draft, Place, Rule};
use super::proxies::{Asked, Hooks};
use super::settings::{Settings, plain};
use super::written;

/// What holds for all namespaces.
pub(super) struct World<'a> {
    pub(super) settings: &'a Settings,
    pub(super) hooks: &'a Hooks,
    /// Clients may come in without a name.
    pub(super) lets_anonymous_in: bool,
    /// Clients were not held to who may do what.
    pub(super) is_insecure: bool,
    /// Nobody was without a name.
    pub(super) had_no_anonymous: bool,
    /// Subscription tokens had keys of their own, which are not carried over.
    pub(super) distrusts_grants: bool,
    /// The largest message of a client, in bytes.
    pub(super) message_bytes_max: i64,
}

/// The signs that part the name of a channel, as topics have them.
struct Signs {
    private: String,
    namespace: String,
    /// What stands before users, where such channels are of those.
    users: Option<String>,
}

/// Carries every namespace over.
pub(super) fn map(world: &World<'_>, draft: &mut Draft) {
    let settings = world.settings;
    let Some(signs) = Signs::of(settings, draft) else {
        draft.rule(Place::WithoutNamespace, closed("*"));
        return;
    };
    map_personal(settings, draft);
    let spaces = spaces(settings, draft, &signs);
    for space in spaces.iter().filter(|_| !signs.private.is_empty()) {
        let pattern = format!("{}{}*", signs.private, space.prefix);
        if space.place == Place::WithoutNamespace && !signs.namespace.is_empty() {
            draft.rule(
                Place::Private,
                closed(&format!("{}*{}*", signs.private, signs.namespace)),
            );
        }
        space.add_rule(world, draft, (Place::Private, &pattern), world.granted());
    }
    for space in &spaces {
        if space.place == Place::WithoutNamespace && !signs.namespace.is_empty() {
            draft.rule(space.place, closed(&format!("*{}*", signs.namespace)));
        }
        space.report(world, draft);
        if settings.switch(&space.key("allow_user_limited_channels")) {
            space.map_users(world, draft, &signs);
        }
        let subscribe = space.subscribers(world);
        let pattern = format!("{}*", space.prefix);
        space.add_rule(world, draft, (space.place, &pattern), subscribe);
    }
}

/// The channel of each user, which it is subscribed to when it comes.
fn map_personal(settings: &Settings, draft: &mut Draft) {
    let path = "client.subscribe_to_user_personal_channel";
    let switch = format!("{path}.enabled");
    if !settings.switch(&switch) {
        return;
    }
    let namespace = settings.text_or(&format!("{path}.personal_channel_namespace"), "");
    let boundary = settings.text_or("channel.namespace_boundary", ":");
    let before = if namespace.is_empty() {
        namespace
    } else {
        namespace + &boundary
    };
    let users = settings.text_or("channel.user_boundary", "#");
    let topic = topic_of(&format!("{before}{users}x")).into_owned();
    let topic = format!("{}{{user}}", topic.strip_suffix('x').unwrap_or_default());
    draft.set(Place::Access, "user_topic", topic, &settings.shown(&switch));
}

impl Signs {
    /// The signs; `None` where one of them cannot stand in a pattern.
    fn of(settings: &Settings, draft: &mut Draft) -> Option<Self> {
        let sign = |key: &str, default: &str| settings.text_or(&format!("channel.{key}"), default);
        let (private, boundary) = (sign("private_prefix", "$"), sign("namespace_boundary", ":"));
        let (users, separator) = (sign("user_boundary", "#"), sign("user_separator", ","));
        for (key, text) in [
            ("private_prefix", &private),
            ("namespace_boundary", &boundary),
            ("user_boundary", &users),
        ] {
            if text.contains(['{', '}']) {
                let why =
                    "a brace cannot stand in a pattern, so that all topics are closed; rename the channels";
                draft.lost(
                    Place::WithoutNamespace,
                    &settings.shown(&format!("channel.{key}")),
                    why,
                );
                return None;
            }
        }
        Some(Self {
            private: topic_of(&private).into_owned(),
            namespace: within(&boundary),
            users: (users == "#" && separator == ",").then(|| within(&users)),
        })
    }
}

/// How a topic has what stands within the name of a channel.
fn within(sign: &str) -> String {
    let topic = topic_of(&format!("x{sign}")).into_owned();
    topic.strip_prefix('x').unwrap_or_default().to_owned()
}

/// A namespace, or what is in none.
struct Space {
    /// Where its settings are.
    at: String,
    place: Place,
    /// What its topics begin with.
    prefix: String,
}

/// Every namespace, and at the end what is in none.
fn spaces(settings: &Settings, draft: &mut Draft, signs: &Signs) -> Vec<Space> {
    let mut spaces: Vec<Space> = Vec::new();
    for index in 0..settings.elements("channel.namespaces") {
        let at = format!("channel.namespaces[{index}]");
        let name = settings.text_or(&format!("{at}.name"), "");
        let is_name = name.len() >= 2
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_name {
            let rule = "the name of a namespace is two or more letters, digits, `-`, `_` and `.`; write one such as `chat`";
            settings.refuse(&format!("{at}.name"), rule);
            continue;
        }
        let prefix = format!("{name}{}", signs.namespace);
        if spaces.iter().any(|space| space.prefix == prefix) {
            settings.refuse(
                &format!("{at}.name"),
                "there is another namespace of that name; keep one",
            );
        }
        if signs.namespace.is_empty() || name.contains(&signs.namespace) {
            let text = "no channel can be in it, because its name has the boundary, or there is none; it is left out";
            draft.note(Place::Namespace(index), &settings.shown(&at), text);
            continue;
        }
        spaces.push(Space {
            at,
            place: Place::Namespace(index),
            prefix,
        });
    }
    spaces.push(Space {
        at: "channel.without_namespace".to_owned(),
        place: Place::WithoutNamespace,
        prefix: String::new(),
    });
    spaces
}

impl Space {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.at)
    }

    fn switch(&self, world: &World<'_>, key: &str) -> bool {
        world.settings.switch(&self.key(key))
    }

    fn lost(&self, world: &World<'_>, draft: &mut Draft, key: &str, text: &str) {
        draft.lost(self.place, &world.settings.shown(&self.key(key)), text);
    }

    /// Why its topics are closed to all clients, if they are.
    fn closed_by(&self, world: &World<'_>) -> Option<(&'static str, &'static str)> {
        let settings = world.settings;
        if settings
            .text(&self.key("channel_regex"))
            .is_some_and(|regex| !ALL_NAMES.contains(&regex.as_str()))
        {
            return Some((
                "channel_regex",
                "names are not held to it, so that its topics are closed; write a rule for each pattern of names that you want",
            ));
        }
        if settings.text_or(&self.key("subscription_type"), "stream") != "stream" {
            return Some((
                "subscription_type",
                "there are no map and no shared-poll subscriptions, so that its topics are closed",
            ));
        }
        let is_streamed = self.switch(world, "subscribe_stream_proxy_enabled");
        is_streamed.then_some(("subscribe_stream_proxy_enabled", "streams of the backend are not received, so that its topics are closed; let the backend publish by the API"))
    }

    /// Says what is lost of it.
    fn report(&self, world: &World<'_>, draft: &mut Draft) {
        if let Some((key, text)) = self.closed_by(world) {
            self.lost(world, draft, key, text);
        }
        if world.settings.text_or(&self.key("force_recovery_mode"), "stream") == "cache" {
            self.lost(
                world,
                draft,
                "force_recovery_mode",
                "all that was missed is recovered, not the newest alone; keep less with history_frames",
            );
        }
        if self.switch(world, "join_leave") && !self.switch(world, "presence") {
            let text = "to tell who comes and goes it is kept who is there, which those may ask who may see presence";
            draft.note(self.place, &world.settings.shown(&self.key("join_leave")), text);
        }
    }

    /// Channels of the users whom their name names.
    fn map_users(&self, world: &World<'_>, draft: &mut Draft, signs: &Signs) {
        let Some(sign) = &signs.users else {
            // Which are those channels? Only those with a sign of their own can be told apart; so all are closed there.
            let boundary = within(&world.settings.text_or("channel.user_boundary", "#"));
            let text = "users are found behind `#` with `,` between them alone, so that such channels need a subscription token";
            self.lost(world, draft, "allow_user_limited_channels", text);
            if !boundary.is_empty() {
                let pattern = format!("{}*{boundary}*", self.prefix);
                self.add_rule(world, draft, (self.place, &pattern), world.granted());
            }
            return;
        };
        let pattern = format!("{}*{sign}*", self.prefix);
        self.add_rule(world, draft, (self.place, &pattern), Who::Named);
    }

    /// Who may receive its ordinary channels.
    fn subscribers(&self, world: &World<'_>) -> Who {
        match world.hooks.asked(world.settings, &self.at, "subscribe") {
            Asked::Yes => Who::Hook,
            Asked::Lost => Who::Nobody,
            Asked::No if world.is_insecure => Who::Anyone,
            Asked::No if !self.switch(world, "allow_subscribe_for_client") => world.granted(),
            Asked::No if self.switch(world, "allow_subscribe_for_anonymous") => world.anyone(),
            Asked::No => Who::Users,
        }
    }

    /// Adds the rule of a pattern of it, where these may subscribe.
    fn add_rule(
        &self,
        world: &World<'_>,
        draft: &mut Draft,
        (place, pattern): (Place, &str),
        subscribe: Who,
    ) {
        if self.closed_by(world).is_some() {
            draft.rule(place, closed(pattern));
            return;
        }
        let kept = self.kept(world, draft);
        let publish = self.publishers(world, draft, place, subscribe);
        let presence = self.who(world, draft, place, "presence", subscribe);
        let mut history = self.who(world, draft, place, "history", subscribe);
        let recovers = RECOVERY.iter().any(|key| self.switch(world, key));
        if kept.is_some() && recovers && history == Who::Granted {
            // Who may recover may read all that is kept, by saying that it missed all of it.
            history = Who::Subscribers;
        }
        let mut rule = access(pattern, [subscribe, publish, presence, history]);
        let has_joins = self.switch(world, "join_leave");
        let keeps_presence = self.switch(world, "presence") || has_joins;
        rule.push(("keep_presence", keeps_presence.into()));
        if has_joins && self.switch(world, "force_push_join_leave") {
            rule.push(("tell_presence", true.into()));
        }
        let deltas = world.settings.texts(&self.key("allowed_delta_types"));
        if deltas.iter().any(|kind| kind == DELTAS) {
            rule.push(("deltas", true.into()));
        }
        rule.extend(kept.unwrap_or_else(|| vec![("history_frames", 0.into())]));
        draft.rule(place, rule);
    }

    /// Who may publish.
    fn publishers(&self, world: &World<'_>, draft: &mut Draft, place: Place, subscribe: Who) -> Who {
        let who = match world.hooks.asked(world.settings, &self.at, "publish") {
            Asked::Yes => return Who::Hook,
            Asked::Lost => return Who::Nobody,
            Asked::No => self.who(world, draft, place, "publish", subscribe),
        };
        let formats = [
            self.key("publication_data_format"),
            "channel.publication_data_format".to_owned(),
        ];
        let checked = formats
            .iter()
            .find_map(|path| Some((path, world.settings.text(path)?)));
        match checked {
            Some((path, format)) if format != "binary" && who != Who::Granted => {
                let text = format!(
                    "payloads are not held to `{}`, so that clients may not publish; let a hook look at them (`publish = \"hook\"`)",
                    plain(&format)
                );
                draft.lost(self.place, &world.settings.shown(path), &text);
                Who::Nobody
            }
            _ => who,
        }
    }

    /// Who may do something by `allow_…_for_client`, `…_for_subscriber` and `…_for_anonymous`.
    fn who(&self, world: &World<'_>, draft: &mut Draft, place: Place, action: &str, subscribe: Who) -> Who {
        if world.is_insecure {
            return Who::Anyone;
        }
        let allows = |whom: &str| self.switch(world, &format!("allow_{action}_for_{whom}"));
        match (allows("client"), allows("subscriber"), allows("anonymous")) {
            (true, _, true) => world.anyone(),
            (true, _, false) => Who::Users,
            (false, true, true) => Who::Subscribers,
            (false, false, _) => Who::Granted,
            (false, true, false) if !world.lets_anonymous_in => Who::Subscribers,
            // Every user may subscribe, so that being subscribed is no more than being a user.
            (false, true, false) if matches!(subscribe, Who::Users | Who::Anyone) => Who::Users,
            (false, true, false) => {
                let subject = world
                    .settings
                    .shown(&self.key(&format!("allow_{action}_for_subscriber")));
                let which = if place == Place::Private {
                    "in its private channels "
                } else {
                    ""
                };
                let text = format!(
                    "{which}subscribers without a name would be among them, so that it is for those alone to whom it is granted; say \
                     `subscribers` if they may"
                );
                draft.lost(place, &subject, &text);
                Who::Granted
            }
        }
    }

    /// What is kept; `None` for nothing.
    fn kept(&self, world: &World<'_>, draft: &mut Draft) -> Option<Rule> {
        let size = world
            .settings
            .count(&self.key("history_size"))
            .filter(|size| *size > 0)?;
        let time = world
            .settings
            .time(&self.key("history_ttl"))
            .filter(|time| !time.is_zero())?;
        let (frames, age) = (size.min(FRAMES_MAX), time.clamp(AGE_MIN, AGE_MAX));
        if (frames, age) != (size, time) {
            draft.note(
                self.place,
                &world.settings.shown(&self.key("history_ttl")),
                "as much is kept as can be: 1,000,000,000 publications, 1s to 3,650 days",
            );
        }
        let bytes = frames.saturating_mul(world.message_bytes_max);
        Some(vec![
            ("history_frames", frames.into()),
            (
                "history_bytes_max",
                format!("{}KiB", (bytes / 1024).clamp(1024, BYTES_MAX_KIB)).into(),
            ),
            ("history_age", written(age).into()),
        ])
    }
}

impl World<'_> {
    /// Those to whom it was granted, unless it was granted with keys that are not here.
    fn granted(&self) -> Who {
        if self.distrusts_grants {
            Who::Nobody
        } else {
            Who::Granted
        }
    }

    /// Everyone; where nobody was without a name, nobody without one.
    fn anyone(&self) -> Who {
        if self.had_no_anonymous {
            Who::Users
        } else {
            Who::Anyone
        }
    }
}

/// A rule under which no client may do anything.
fn closed(pattern: &str) -> Rule {
    access(pattern, [Who::Nobody; 4])
}

fn access(pattern: &str, who: [Who; 4]) -> Rule {
    debug_assert!(TopicRule::new(pattern).is_ok(), "{pattern}");
    let keys = ["subscribe", "publish", "presence", "history"];
    let access = keys
        .into_iter()
        .zip(who)
        .map(|(key, who)| (key, toml::Value::from(who.name())));
    std::iter::once(("pattern", toml::Value::from(pattern)))
        .chain(access)
        .collect()
}

/// Expressions that every name matches.
const ALL_NAMES: [&str; 6] = [".*", "^.*$", "^.*", ".*$", ".+", "^.+$"];

/// The only kind of deltas that there is.
const DELTAS: &str = "fossil";

/// With any of these, who is subscribed may recover what it missed.
const RECOVERY: [&str; 4] = [
    "force_recovery",
    "allow_recovery",
    "force_positioning",
    "allow_positioning",
];

/// The bounds of what a rule keeps.
const FRAMES_MAX: i64 = 1_000_000_000;
const AGE_MIN: Duration = Duration::from_secs(1);
const AGE_MAX: Duration = Duration::from_secs(3_650 * 24 * 60 * 60);
const BYTES_MAX_KIB: i64 = 1 << 30;
