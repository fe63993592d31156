//! User names.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::topic::first_forbidden;

/// The longest user name in bytes of UTF-8, so that `$user:NAME` is a topic name.
pub const USER_BYTES_MAX: usize = 200;

/// Who a connection belongs to: 1 to 200 bytes of UTF-8 in the grammar of topic names. Cloning costs one reference
/// count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(Arc<str>);

impl UserName {
    /// A checked user name. One allocation.
    ///
    /// # Errors
    /// The rule that the name breaks.
    pub fn parse(name: &str) -> Result<Self, UserNameError> {
        if name.is_empty() {
            return Err(UserNameError::Empty);
        }
        if name.len() > USER_BYTES_MAX {
            return Err(UserNameError::TooLong { bytes: name.len() });
        }
        match first_forbidden(name) {
            Some((at, character)) => Err(UserNameError::Character { at, character }),
            None => Ok(Self(Arc::from(name))),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a text is not a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserNameError {
    /// It has no characters.
    #[error("user name is empty, it needs 1 to {USER_BYTES_MAX} bytes")]
    Empty,
    /// It is longer than [`USER_BYTES_MAX`].
    #[error("user name is {bytes} bytes, limit is {USER_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It has a character that the grammar does not allow.
    #[error(
        "user name has {} at byte {at}; control, white-space, invisible and pattern characters (* # ? >) are not allowed",
        character.escape_unicode()
    )]
    Character {
        /// The byte at which the character starts.
        at: usize,
        /// The character.
        character: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar() {
        assert_eq!(
            UserName::parse("alice@example.org").unwrap().as_str(),
            "alice@example.org"
        );
        assert_eq!(UserName::parse(""), Err(UserNameError::Empty));
        assert_eq!(
            UserName::parse(&"u".repeat(201)),
            Err(UserNameError::TooLong { bytes: 201 })
        );
        assert_eq!(
            UserName::parse("a\r\nb"),
            Err(UserNameError::Character {
                at: 1,
                character: '\r'
            })
        );
    }

    #[test]
    fn a_name_is_written_as_its_text_and_found_by_it() {
        let name = UserName::parse("o'hara").unwrap();
        assert_eq!(format!("{name} {name:?}"), r#"o'hara "o'hara""#);
        let names = std::collections::BTreeSet::from([name]);
        assert!(names.contains("o'hara"));
    }
}
