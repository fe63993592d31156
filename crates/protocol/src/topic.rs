//! Topic names and their one grammar.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::{ConnectionId, UserName};

/// The longest topic name in bytes of UTF-8.
pub const TOPIC_BYTES_MAX: usize = 255;

/// The name of a topic: 1 to 255 bytes of UTF-8 without control, white-space or invisible format characters, and
/// without the pattern characters `*`, `#`, `?` and `>`.
///
/// Names that begin with `$` belong to the server (see [`TopicName::all`] and [`TopicName::of_user`]); clients can
/// neither subscribe nor publish to them. Cloning costs one reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// A name that a client gave, checked against the grammar. One allocation.
    ///
    /// # Errors
    /// The rule that the name breaks, with the place where it does.
    pub fn parse(name: &str) -> Result<Self, TopicNameError> {
        Self::check(name)?;
        Ok(Self(Arc::from(name)))
    }

    /// Whether a client may use `name`, without allocating.
    ///
    /// # Errors
    /// The rule that the name breaks, with the place where it does.
    pub fn check(name: &str) -> Result<(), TopicNameError> {
        if name.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if name.len() > TOPIC_BYTES_MAX {
            return Err(TopicNameError::TooLong { bytes: name.len() });
        }
        if name.starts_with('$') {
            return Err(TopicNameError::Reserved);
        }
        match first_forbidden(name) {
            Some((at, character)) => Err(TopicNameError::Character { at, character }),
            None => Ok(()),
        }
    }

    /// The topic of broadcasts, `$all`: everyone connected receives it without subscribing.
    pub fn all() -> Self {
        Self(Arc::from("$all"))
    }

    /// The topic of one user, `$user:NAME`: all connections of that user receive it without subscribing.
    pub fn of_user(user: &UserName) -> Self {
        Self(Arc::from(format!("$user:{user}")))
    }

    /// The name under which rules speak of what is sent to one connection, `$connection:ID`. Nothing is published there.
    pub fn of_connection(connection: ConnectionId) -> Self {
        Self(Arc::from(format!("$connection:{connection}")))
    }

    /// Whether the name belongs to the server.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, for those who keep it. Costs a count, no copy.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a text is not a topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// It has no characters.
    #[error("topic name is empty, it needs 1 to {TOPIC_BYTES_MAX} bytes")]
    Empty,
    /// It is longer than [`TOPIC_BYTES_MAX`].
    #[error("topic name is {bytes} bytes, limit is {TOPIC_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It begins with `$`.
    #[error("topic names that begin with `$` belong to the server, choose another first character")]
    Reserved,
    /// It has a character that the grammar does not allow.
    #[error(
        "topic name has {} at byte {at}; control, white-space, invisible and pattern characters (* # ? >) are not allowed",
        character.escape_unicode()
    )]
    Character {
        /// The byte at which the character starts.
        at: usize,
        /// The character.
        character: char,
    },
}

/// The first character that the grammar of topic and user names does not allow, and the byte at which it starts.
pub(crate) fn first_forbidden(name: &str) -> Option<(usize, char)> {
    name.char_indices().find(|&(_, character)| !is_allowed(character))
}

fn is_allowed(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_graphic() && !matches!(character, '*' | '#' | '?' | '>');
    }
    !(character.is_control() || character.is_whitespace() || is_invisible(character))
}

/// Characters that show nothing or turn the direction of what follows (Unicode category Cf and the fillers): two names
/// that look the same would be two topics. And U+FFFD, which stands where a decoder met something it could not read.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_accepted() {
        for name in [
            "lobby",
            "chat:42",
            "a/b.c-d_e",
            "Ünïcødé",
            "聊天室",
            "..",
            "orders:{eu}",
            "x$y",
            "🎺",
        ] {
            assert_eq!(TopicName::check(name), Ok(()), "{name}");
        }
        assert!(TopicName::parse(&"x".repeat(TOPIC_BYTES_MAX)).is_ok());
    }

    #[test]
    fn broken_names_are_refused_with_the_rule() {
        let character = |at, character| Err(TopicNameError::Character { at, character });
        for (name, expected) in [
            ("", Err(TopicNameError::Empty)),
            ("$all", Err(TopicNameError::Reserved)),
            ("a b", character(1, ' ')),
            ("a\0", character(1, '\0')),
            ("a\nb", character(1, '\n')),
            ("a\u{7f}", character(1, '\u{7f}')),
            ("a\u{85}", character(1, '\u{85}')),
            ("ab\u{202e}c", character(2, '\u{202e}')),
            ("\u{feff}a", character(0, '\u{feff}')),
            ("a\u{a0}b", character(1, '\u{a0}')),
            ("a\u{200b}", character(1, '\u{200b}')),
            ("a\u{fffd}", character(1, '\u{fffd}')),
            ("news.*", character(5, '*')),
            ("news.>", character(5, '>')),
            ("a#", character(1, '#')),
            ("a?", character(1, '?')),
        ] {
            assert_eq!(TopicName::check(name), expected, "{name:?}");
        }
        let long = "é".repeat(128);
        assert_eq!(
            TopicName::check(&long),
            Err(TopicNameError::TooLong { bytes: 256 })
        );
    }

    #[test]
    fn errors_name_value_rule_and_way_out() {
        assert_eq!(
            TopicName::check(&"x".repeat(300)).unwrap_err().to_string(),
            "topic name is 300 bytes, limit is 255"
        );
        assert_eq!(
            TopicName::check("a\u{202e}").unwrap_err().to_string(),
            "topic name has \\u{202e} at byte 1; control, white-space, invisible and pattern characters (* # ? >) \
             are not allowed"
        );
    }

    #[test]
    fn a_name_is_written_as_its_text_and_found_by_it() {
        let name = TopicName::parse("a'b").unwrap();
        assert_eq!(format!("{name} {name:?}"), r#"a'b "a'b""#);
        let names = std::collections::BTreeSet::from([name]);
        assert!(names.contains("a'b"));
    }

    #[test]
    fn the_longest_user_has_a_topic() {
        let user = UserName::parse(&"u".repeat(crate::USER_BYTES_MAX)).unwrap();
        assert!(TopicName::of_user(&user).as_str().len() <= TOPIC_BYTES_MAX);
        assert!(TopicName::of_user(&user).is_reserved());
    }
}
