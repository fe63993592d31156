//! Rules of topics as an operator writes them: a table with a pattern and what holds for its topics.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use fanfare::{Access, Action, Retention, SlowRule, TopicRule, Who};
use serde::Deserialize;
use serde_json::{Value, json};

use super::suggest::nearest;
use super::table::{
    HISTORY_AGE_MAX, HISTORY_AGE_MIN, HISTORY_BYTES_MAX, HISTORY_BYTES_MIN, HISTORY_FRAMES_MAX,
};
use super::value;

/// One rule. In the file a table `[[topic_rule]]`, elsewhere the same as an inline table:
/// `{ pattern = "chat:*", subscribe = "anyone", publish = "users" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicRuleOption {
    /// The rule but for what is kept, which it may say in part.
    pub(crate) rule: TopicRule,
    pub(crate) kept: Kept,
}

/// What a rule says about the history of its topics; what it does not say is as for all others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    frames: Option<usize>,
    bytes_max: Option<usize>,
    age: Option<Duration>,
}

impl TopicRuleOption {
    /// The whole rule, where so much is kept of other topics.
    pub(crate) fn to_rule(&self, otherwise: Retention) -> TopicRule {
        let Self { rule, kept } = self;
        let retention = Retention {
            publications_max: kept.frames.unwrap_or(otherwise.publications_max),
            bytes_max: kept.bytes_max.unwrap_or(otherwise.bytes_max),
            age_max_ms: kept
                .age
                .map_or(otherwise.age_max_ms, |age| age.as_millis() as u64),
        };
        TopicRule {
            retention: (*kept != Kept::default()).then_some(retention),
            ..rule.clone()
        }
    }
}

/// The table as it is written.
#[derive(Deserialize)]
struct Written {
    pattern: String,
    subscribe: Option<String>,
    publish: Option<String>,
    presence: Option<String>,
    history: Option<String>,
    slow: Option<String>,
    publications_per_second: Option<i64>,
    history_frames: Option<i64>,
    history_bytes_max: Option<toml::Value>,
    history_age: Option<String>,
    durable: Option<bool>,
    keep_presence: Option<bool>,
    deltas: Option<bool>,
    give_newest: Option<bool>,
    tell_presence: Option<bool>,
    #[serde(flatten)]
    others: BTreeMap<String, toml::Value>,
}

impl FromStr for TopicRuleOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Line {
            rule: Written,
        }
        let line = format!("rule = {text}");
        let Line { rule } = toml::from_str(&line).map_err(|error| {
            let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            format!("{message}; write a table such as `{EXAMPLE}`")
        })?;
        let kept = rule.kept()?;
        let rule = rule.check()?;
        Ok(Self { rule, kept })
    }
}

impl Written {
    fn kept(&self) -> Result<Kept, String> {
        fn said<T>(
            key: &str,
            text: Option<&str>,
            read: impl Fn(&str) -> Result<T, String>,
        ) -> Result<Option<T>, String> {
            let read = text.map(|text| read(text).map_err(|rule| format!("`{key}` is {text:?}: {rule}")));
            read.transpose()
        }
        let frames = self.history_frames.map(|count| count.to_string());
        let bytes = self.history_bytes_max.as_ref().map(|size| match size {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        Ok(Kept {
            frames: said("history_frames", frames.as_deref(), |text| {
                value::count(text, 0, HISTORY_FRAMES_MAX)
            })?,
            bytes_max: said("history_bytes_max", bytes.as_deref(), |text| {
                value::size(text, HISTORY_BYTES_MIN, HISTORY_BYTES_MAX)
            })?,
            age: said("history_age", self.history_age.as_deref(), |text| {
                value::time(text, HISTORY_AGE_MIN, HISTORY_AGE_MAX)
            })?,
        })
    }

    fn check(self) -> Result<TopicRule, String> {
        if let Some(other) = self.others.keys().next() {
            return Err(match nearest(other, KEYS) {
                Some(known) => format!("unknown key `{}`, did you mean `{known}`?", other.escape_debug()),
                None => format!(
                    "unknown key `{}`; the keys are {}",
                    other.escape_debug(),
                    KEYS.join(", ")
                ),
            });
        }
        let who = |action: Action, name: Option<&String>| match name {
            Some(name) => name
                .parse::<Who>()
                .map_err(|error| format!("`{}` is {name:?}: {error}", action.name())),
            None => Ok(Who::default()),
        };
        let topics = self
            .pattern
            .parse()
            .map_err(|error| format!("`pattern` is {:?}: {error}", self.pattern))?;
        let slow = self.slow.map(|name| {
            name.parse()
                .map_err(|error| format!("`slow` is {name:?}: {error}"))
        });
        Ok(TopicRule {
            topics,
            access: Access {
                subscribe: who(Action::Subscribe, self.subscribe.as_ref())?,
                publish: who(Action::Publish, self.publish.as_ref())?,
                presence: who(Action::Presence, self.presence.as_ref())?,
                history: who(Action::History, self.history.as_ref())?,
            },
            slow: slow.transpose()?,
            publications_per_second: self.publications_per_second.map(publications).transpose()?,
            retention: None,
            is_durable: self.durable,
            keeps_presence: self.keep_presence,
            sends_deltas: self.deltas,
            gives_newest: self.give_newest.unwrap_or(false),
            tells_presence: self.tell_presence.unwrap_or(false),
        })
    }
}

impl fmt::Display for TopicRuleOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, kept } = self;
        let quoted = |text: &dyn fmt::Display| toml::Value::from(text.to_string()).to_string();
        write!(f, "{{ pattern = {}", quoted(&rule.topics))?;
        for &action in Action::ALL {
            write!(f, ", {} = {}", action.name(), quoted(&rule.access.of(action)))?;
        }
        if let Some(slow) = rule.slow {
            write!(f, ", slow = {}", quoted(&slow))?;
        }
        if let Some(count) = rule.publications_per_second {
            write!(f, ", publications_per_second = {count}")?;
        }
        if let Some(is_durable) = rule.is_durable {
            write!(f, ", durable = {is_durable}")?;
        }
        if let Some(keeps) = rule.keeps_presence {
            write!(f, ", keep_presence = {keeps}")?;
        }
        if let Some(sends) = rule.sends_deltas {
            write!(f, ", deltas = {sends}")?;
        }
        if rule.gives_newest {
            f.write_str(", give_newest = true")?;
        }
        if rule.tells_presence {
            f.write_str(", tell_presence = true")?;
        }
        if let Some(frames) = kept.frames {
            write!(f, ", history_frames = {frames}")?;
        }
        if let Some(bytes) = kept.bytes_max {
            write!(f, ", history_bytes_max = {}", quoted(&value::size_text(bytes)))?;
        }
        if let Some(age) = kept.age {
            write!(f, ", history_age = {}", quoted(&value::time_text(age)))?;
        }
        f.write_str(" }")
    }
}

/// What the file may say in one, as JSON Schema.
pub(super) fn schema() -> Value {
    let who = |doc: &str| {
        let names: Vec<_> = Who::ALL.iter().map(|who| who.name()).collect();
        json!({"enum": names, "description": doc})
    };
    let slow: Vec<_> = SlowRule::ALL.iter().map(|rule| rule.name()).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["pattern"],
        "properties": {
            "pattern": {
                "type": "string",
                "description": "Topics: text in which `*` stands for any characters, and `{user}` and `{claims.NAME}` for \
                                who asks.",
            },
            "subscribe": who("Who may receive. Default: granted."),
            "publish": who("Who may publish. Default: granted."),
            "presence": who("Who may see who is there. Default: granted."),
            "history": who("Who may read what was published. Default: granted."),
            "slow": {"enum": slow, "description": "The rule for slow clients. Default: that of slow_rule."},
            "publications_per_second": {
                "type": "integer",
                "minimum": 0,
                "maximum": PUBLICATIONS_MAX,
                "description": "Publications of clients that each topic takes per second; 0 for any number. Default: \
                                publications_per_second outside of rules.",
            },
            "history_frames": {
                "type": "integer",
                "minimum": 0,
                "maximum": HISTORY_FRAMES_MAX,
                "description": "Publications kept of each topic; 0 keeps none. Default: history_frames outside of rules.",
            },
            "history_bytes_max": {
                "type": ["string", "integer"],
                "examples": ["64KiB", 65_536],
                "description": "Bytes of publications kept of each topic. Default: history_bytes_max outside of rules.",
            },
            "history_age": {
                "type": "string",
                "examples": ["30s", "12h", "7d"],
                "description": "How long a publication of the topics is kept. Default: history_age outside of rules.",
            },
            "durable": {
                "type": "boolean",
                "description": "Whether what is kept is kept in the data directory. Default: true with data.",
            },
            "keep_presence": {
                "type": "boolean",
                "description": "Whether it is kept who is there, for those who may see it. Default: that of keep_presence.",
            },
            "deltas": {
                "type": "boolean",
                "description": "Whether subscribers who ask for it, which clients of Centrifuge can, are sent what has changed \
                                since the publication before. Default: false, with dev and open true.",
            },
            "give_newest": {
                "type": "boolean",
                "description": "Whether clients of Centrifuge are given the newest publication that is kept, and nothing before \
                                it, when they subscribe. Default: false.",
            },
            "tell_presence": {
                "type": "boolean",
                "description": "Whether clients of Centrifuge are told who comes and goes, whether they ask for it or not and \
                                whoever may see presence. Needs keep_presence. Default: false.",
            },
        },
    })
}

/// What may stand in a rule.
const KEYS: [&str; 15] = [
    "pattern",
    "subscribe",
    "publish",
    "presence",
    "history",
    "slow",
    "publications_per_second",
    "history_frames",
    "history_bytes_max",
    "history_age",
    "durable",
    "keep_presence",
    "deltas",
    "give_newest",
    "tell_presence",
];

/// The highest rate of a topic.
const PUBLICATIONS_MAX: u32 = 1_000_000;

fn publications(count: i64) -> Result<u32, String> {
    let count = u32::try_from(count)
        .ok()
        .filter(|count| *count <= PUBLICATIONS_MAX);
    count.ok_or_else(|| format!("`publications_per_second` is a number from 0 to {PUBLICATIONS_MAX}"))
}

/// What a rule looks like.
const EXAMPLE: &str = r#"{ pattern = "chat:*", subscribe = "anyone", publish = "users" }"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        for text in [
            EXAMPLE,
            r#"{ pattern = "inbox:{user}", subscribe = "users", slow = "conflate" }"#,
            r#"{ pattern = "*" }"#,
            r#"{ pattern = "chat:*", publications_per_second = 5 }"#,
            r#"{ pattern = "chat:*", durable = false }"#,
            r#"{ pattern = "chat:*", history_frames = 100, history_bytes_max = "64KiB", history_age = "7d" }"#,
            r#"{ pattern = "chat:*", history_bytes_max = 65536 }"#,
            r#"{ pattern = "chat:*", presence = "subscribers", keep_presence = true }"#,
            r#"{ pattern = "scores", deltas = true, give_newest = true }"#,
            r#"{ pattern = "chat:*", keep_presence = true, tell_presence = true }"#,
        ] {
            let rule: TopicRuleOption = text.parse().unwrap();
            assert_eq!(rule.to_string().parse(), Ok(rule), "{text}");
        }
    }

    #[test]
    fn what_is_not_said_is_for_those_to_whom_it_was_granted() {
        let TopicRuleOption { rule, .. } = EXAMPLE.parse().unwrap();
        assert_eq!(
            Action::ALL
                .iter()
                .map(|&action| rule.access.of(action))
                .collect::<Vec<_>>(),
            [Who::Anyone, Who::Users, Who::Granted, Who::Granted]
        );
    }

    #[test]
    fn a_rule_says_what_is_kept_in_part_or_not_at_all() {
        let otherwise = Retention {
            publications_max: 7,
            bytes_max: 8_000,
            age_max_ms: 9,
        };
        let kept = |says: &str| {
            let option: TopicRuleOption = format!(r#"{{ pattern = "a"{says} }}"#).parse().unwrap();
            option.to_rule(otherwise).retention
        };
        assert_eq!(kept(""), None);
        for (says, retention) in [
            (
                ", history_frames = 0",
                Retention {
                    publications_max: 0,
                    ..otherwise
                },
            ),
            (
                ", history_bytes_max = \"2KiB\"",
                Retention {
                    bytes_max: 2_048,
                    ..otherwise
                },
            ),
            (
                ", history_age = \"2s\"",
                Retention {
                    age_max_ms: 2_000,
                    ..otherwise
                },
            ),
        ] {
            assert_eq!(kept(says), Some(retention), "{says}");
        }
    }

    #[test]
    fn what_is_no_rule_is_explained() {
        for (text, says) in [
            ("chat:*", "write a table such as"),
            ("{}", "pattern"),
            (
                r#"{ pattern = "a", publsh = "users" }"#,
                "did you mean `publish`?",
            ),
            (
                r#"{ pattern = "a", publish = "everyone" }"#,
                "`publish` is \"everyone\": who may do something is one of",
            ),
            (r#"{ pattern = "a b" }"#, "white-space"),
            (r#"{ pattern = "{uuid}" }"#, "`{uuid}` is no place"),
            (r#"{ pattern = "a", slow = "drop" }"#, "`slow` is \"drop\""),
            (
                r#"{ pattern = "a", publications_per_second = -1 }"#,
                "is a number from 0 to 1000000",
            ),
            (
                r#"{ pattern = "a", history_frames = -1 }"#,
                "`history_frames` is \"-1\": it must be a whole number from 0 to 1000000000",
            ),
            (
                r#"{ pattern = "a", history_bytes_max = "much" }"#,
                "`history_bytes_max` is \"much\": it must be a size",
            ),
            (
                r#"{ pattern = "a", history_bytes_max = 1 }"#,
                "`history_bytes_max` is \"1\": it must be from 1KiB to 1024GiB",
            ),
            (
                r#"{ pattern = "a", history_age = "5" }"#,
                "`history_age` is \"5\": a duration needs a unit",
            ),
        ] {
            let refusal = text.parse::<TopicRuleOption>().unwrap_err();
            assert!(refusal.contains(says), "{text}: {refusal}");
        }
    }
}
