//! What happens when a client reads more slowly than a topic publishes.

use std::fmt;
use std::str::FromStr;

use fanfare_protocol::{TopicName, TopicPattern};

/// What happens to a publication that a connection's outbox has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SlowRule {
    /// The connection is closed with code 3001; it comes back and begins anew.
    #[default]
    Disconnect,
    /// The oldest waiting publications under this rule make room, and the client is told.
    DropOldest,
    /// The publication itself is left out, and the client is told.
    DropNewest,
    /// Waiting publications of which a newer one with the same key waits too make room, and the client is told. If
    /// that does not leave a quarter of the outbox free, the connection is closed with code 3001.
    Conflate,
}

impl SlowRule {
    /// Every rule.
    pub const ALL: &'static [Self] = &[
        Self::Disconnect,
        Self::DropOldest,
        Self::DropNewest,
        Self::Conflate,
    ];

    /// The name in configurations and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::DropOldest => "drop_oldest",
            Self::DropNewest => "drop_newest",
            Self::Conflate => "conflate",
        }
    }
}

impl fmt::Display for SlowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SlowRule {
    type Err = SlowRuleError;

    fn from_str(text: &str) -> Result<Self, SlowRuleError> {
        let rule = Self::ALL.iter().copied().find(|rule| rule.name() == text);
        rule.ok_or(SlowRuleError)
    }
}

/// Why a text is not a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rule for slow clients is one of disconnect, drop_oldest, drop_newest, conflate")]
pub struct SlowRuleError;

/// The rules of topics by pattern; the first pattern that matches decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlowRules {
    /// Patterns with their rules, in order.
    pub by_pattern: Vec<(TopicPattern, SlowRule)>,
    /// The rule of topics that no pattern matches. Default: `disconnect`.
    pub otherwise: SlowRule,
}

impl SlowRules {
    /// The rule of a topic. Asked once in a topic's life per hub.
    pub fn of(&self, topic: &TopicName) -> SlowRule {
        let matching = self.by_pattern.iter().find(|(pattern, _)| pattern.matches(topic));
        matching.map_or(self.otherwise, |&(_, rule)| rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_matches_decides() {
        let rules = SlowRules {
            by_pattern: vec![
                ("chat:vip".parse().unwrap(), SlowRule::Disconnect),
                ("chat:*".parse().unwrap(), SlowRule::DropOldest),
            ],
            otherwise: SlowRule::Conflate,
        };
        for (topic, rule) in [
            ("chat:vip", SlowRule::Disconnect),
            ("chat:all", SlowRule::DropOldest),
            ("news", SlowRule::Conflate),
        ] {
            assert_eq!(rules.of(&TopicName::parse(topic).unwrap()), rule);
        }
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        for &rule in SlowRule::ALL {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        assert_eq!("drop".parse::<SlowRule>(), Err(SlowRuleError));
    }
}
