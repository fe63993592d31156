//! Keys of publications.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest key in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 64;

/// What a publication is the newest state of, within its topic: 1 to 64 bytes of UTF-8 without control characters.
/// A symbol in a topic of prices, a player in a topic of positions. Cloning costs one reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// A checked key. One allocation.
    ///
    /// # Errors
    /// The rule that the key breaks.
    pub fn parse(key: &str) -> Result<Self, KeyError> {
        if key.is_empty() {
            return Err(KeyError::Empty);
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(KeyError::TooLong { bytes: key.len() });
        }
        match key.char_indices().find(|(_, character)| character.is_control()) {
            Some((at, _)) => Err(KeyError::Control { at }),
            None => Ok(Self(Arc::from(key))),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It has no characters.
    #[error("key is empty, it needs 1 to {KEY_BYTES_MAX} bytes; leave it out for a publication without one")]
    Empty,
    /// It is longer than [`KEY_BYTES_MAX`].
    #[error("key is {bytes} bytes, limit is {KEY_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It has a control character.
    #[error("key has a control character at byte {at}, leave it out")]
    Control {
        /// The byte at which the character starts.
        at: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_text() {
        let longest = "x".repeat(KEY_BYTES_MAX);
        for good in ["EURUSD", "player 7", "é", "*", longest.as_str()] {
            assert_eq!(Key::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(Key::parse(""), Err(KeyError::Empty));
        assert_eq!(
            Key::parse(&format!("{longest}x")),
            Err(KeyError::TooLong { bytes: 65 })
        );
        assert_eq!(Key::parse("a\nb"), Err(KeyError::Control { at: 1 }));
    }

    #[test]
    fn a_key_is_shown_as_its_text_and_found_by_it() {
        let key = Key::parse("player 7").unwrap();
        assert_eq!(format!("{key:?}"), r#""player 7""#);
        let keys = std::collections::BTreeSet::from([key]);
        assert!(keys.contains("player 7"));
    }
}
