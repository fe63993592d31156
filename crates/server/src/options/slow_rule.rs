//! Rules for slow clients as an operator writes them: a pattern of topics and what happens to them.

use std::fmt;
use std::str::FromStr;

use fanfare::{SlowRule, TopicPattern};

/// `PATTERN=RULE`, such as `chat:*=drop_oldest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlowRuleOption {
    /// Which topics.
    pub(crate) pattern: TopicPattern,
    /// What happens.
    pub(crate) rule: SlowRule,
}

impl FromStr for SlowRuleOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // From the right, because a topic's name may have the sign.
        let Some((pattern, rule)) = text.rsplit_once('=') else {
            return Err(
                "it must be a pattern of topics and a rule; write `PATTERN=RULE`, such as `chat:*=drop_oldest`"
                    .to_owned(),
            );
        };
        Ok(Self {
            pattern: pattern
                .parse()
                .map_err(|error| format!("{error}; write a topic's name in which `*` stands for any text"))?,
            rule: rule
                .parse()
                .map_err(|error| format!("{error}; write one of them behind the `=`"))?,
        })
    }
}

impl fmt::Display for SlowRuleOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pattern, self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        for text in [
            "chat:*=drop_oldest",
            "*=conflate",
            "$all=disconnect",
            "a=b=drop_newest",
        ] {
            assert_eq!(text.parse::<SlowRuleOption>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_rule_is_explained() {
        for (text, says) in [
            ("chat:*", "write `PATTERN=RULE`"),
            (
                "chat:*=drop",
                "is one of disconnect, drop_oldest, drop_newest, conflate",
            ),
            ("a b=conflate", "white-space"),
            ("=conflate", "empty"),
        ] {
            let refusal = text.parse::<SlowRuleOption>().unwrap_err();
            assert!(refusal.contains(says), "{text}: {refusal}");
        }
    }
}
