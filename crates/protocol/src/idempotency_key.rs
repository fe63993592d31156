//! Keys by which a publication that is sent again is known.

use std::fmt;

use crate::{Key, KeyError};

/// What a publisher calls one publication, so that it may send it again when it does not know whether it arrived: within
/// a window of time a topic takes one publication of a key. The grammar is that of [`Key`], 1 to 64 bytes of UTF-8
/// without control characters; a random UUID does. Cloning costs one reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(Key);

impl IdempotencyKey {
    /// A checked key. One allocation.
    ///
    /// # Errors
    /// The rule that the key breaks.
    pub fn parse(key: &str) -> Result<Self, KeyError> {
        Key::parse(key).map(Self)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_grammar_of_a_key_and_is_shown_as_its_text() {
        let key = IdempotencyKey::parse("order 7").unwrap();
        assert_eq!(
            (key.as_str(), format!("{key:?}").as_str()),
            ("order 7", r#""order 7""#)
        );
        assert_eq!(IdempotencyKey::parse(""), Err(KeyError::Empty));
        let long = "x".repeat(65);
        assert_eq!(IdempotencyKey::parse(&long), Err(KeyError::TooLong { bytes: 65 }));
    }
}
