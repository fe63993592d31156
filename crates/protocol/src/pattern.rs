//! Patterns of topic names, for rules in a configuration.

use std::fmt;
use std::str::FromStr;

use crate::topic::{TOPIC_BYTES_MAX, first_forbidden};
use crate::{TopicName, TopicNameError};

/// The most `*` in one pattern: matching a name costs at most this many passes over it.
pub const PATTERN_STARS_MAX: usize = 8;

/// A pattern of topic names: text in which each `*` stands for any characters, also none. `chat:*`, `*:prices`, `*`.
///
/// It matches a name as a whole. A name of the server's (`$all`, `$user:NAME`) is matched only by a pattern that
/// begins with `$`, so that `*` means the topics of applications.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicPattern(Box<str>);

impl TopicPattern {
    /// Whether `name` fits. No allocation; time is at most that of [`PATTERN_STARS_MAX`] searches through the name.
    pub fn matches(&self, name: &TopicName) -> bool {
        (!name.is_reserved() || self.0.starts_with('$')) && self.fits(name.as_str())
    }

    /// The pieces between the stars are looked for from left to right, each at its first place behind the one before:
    /// where that fails, no other places would do.
    fn fits(&self, name: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else {
            return *self.0 == *name;
        };
        let (middle, tail) = rest.rsplit_once('*').map_or((None, rest), |(m, t)| (Some(m), t));
        let Some(inner) = name.strip_prefix(head).and_then(|name| name.strip_suffix(tail)) else {
            return false;
        };
        let mut pieces = middle.into_iter().flat_map(|middle| middle.split('*'));
        let found = pieces.try_fold(inner, |inner, piece| {
            inner.find(piece).map(|at| &inner[at + piece.len()..])
        });
        found.is_some()
    }
}

impl FromStr for TopicPattern {
    type Err = TopicPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let stars = text.matches('*').count();
        if stars > PATTERN_STARS_MAX {
            return Err(TopicPatternError::Stars { stars });
        }
        if text.is_empty() {
            return Err(TopicPatternError::Name(TopicNameError::Empty));
        }
        if text.len() > TOPIC_BYTES_MAX {
            return Err(TopicPatternError::Name(TopicNameError::TooLong {
                bytes: text.len(),
            }));
        }
        // A star takes one byte, and so does what it is replaced with: the place that an error names stays right.
        match first_forbidden(&text.replace('*', "x")) {
            Some((at, character)) => Err(TopicPatternError::Name(TopicNameError::Character {
                at,
                character,
            })),
            None => Ok(Self(Box::from(text))),
        }
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a pattern of topic names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicPatternError {
    /// It has more than [`PATTERN_STARS_MAX`] stars.
    #[error("pattern has {stars} stars, limit is {PATTERN_STARS_MAX}")]
    Stars {
        /// How many.
        stars: usize,
    },
    /// What is not a star could not stand in a topic name.
    #[error(transparent)]
    Name(TopicNameError),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every way to match, tried.
    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|skip| naive(rest, &name[skip..])),
            Some((first, rest)) => name.first() == Some(first) && naive(rest, &name[1..]),
        }
    }

    fn matches(pattern: &str, name: &str) -> bool {
        let pattern: TopicPattern = pattern.parse().unwrap();
        pattern.matches(&TopicName::parse(name).unwrap())
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name) in [
            ("chat:*", "chat:room"),
            ("chat:*", "chat:"),
            ("*", "anything"),
            ("*:prices", "fx:prices"),
            ("a*b*c", "a-b-b-c"),
            ("news", "news"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("chat:*", "chat"),
            ("chat:*", "xchat:room"),
            ("*:prices", "fx:prices:old"),
            ("ab*ba", "aba"),
            ("a*b*c", "acb"),
            ("news", "newspaper"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn the_servers_own_topics_are_meant_by_name_only() {
        let all = TopicName::all();
        let matches = |pattern: &str| pattern.parse::<TopicPattern>().unwrap().matches(&all);
        assert!(!matches("*"));
        assert!(!matches("*all"));
        assert!(matches("$all"));
        assert!(matches("$*"));
    }

    #[test]
    fn what_could_not_be_in_a_name_is_no_pattern() {
        for (text, error) in [
            ("", "topic name is empty, it needs 1 to 255 bytes"),
            ("*********", "pattern has 9 stars, limit is 8"),
            (
                "a b",
                "topic name has \\u{20} at byte 1; control, white-space, invisible and pattern characters (* # ? >) are not allowed",
            ),
        ] {
            assert_eq!(text.parse::<TopicPattern>().unwrap_err().to_string(), error);
        }
        assert!("x".repeat(256).parse::<TopicPattern>().is_err());
    }

    #[test]
    fn a_pattern_is_written_as_it_was_read() {
        let pattern: TopicPattern = "chat:*".parse().unwrap();
        assert_eq!(pattern.to_string(), "chat:*");
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_everything(pattern in "[ab*]{1,8}", name in "[ab]{1,12}") {
            let expected = naive(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(matches(&pattern, &name), expected);
        }
    }
}
