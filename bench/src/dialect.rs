//! What subscribers speak, as far as the measurements must know.

use clap::ValueEnum;
use serde::Serialize;

/// A client protocol of Fanfare's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dialect {
    Json,
    Raw,
}

impl Dialect {
    /// The query that subscribes to `topic` while connecting.
    pub(crate) fn query(self, topic: &str) -> String {
        match self {
            Self::Json => format!("topic={topic}"),
            Self::Raw => format!("dialect=raw&topic={topic}"),
        }
    }

    /// The `type`s of the pushes that say the subscription holds; `raw` has none.
    pub(crate) fn greetings(self) -> &'static [&'static str] {
        match self {
            Self::Json => &["welcome", "subscribed"],
            Self::Raw => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_connections_wait_for_their_greeting_and_raw_ones_have_none() {
        assert_eq!(Dialect::Json.query("idle-7"), "topic=idle-7");
        assert_eq!(Dialect::Raw.query("idle-7"), "dialect=raw&topic=idle-7");
        assert_eq!(Dialect::Json.greetings(), ["welcome", "subscribed"]);
        assert!(Dialect::Raw.greetings().is_empty());
    }
}
