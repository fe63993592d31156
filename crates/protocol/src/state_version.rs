//! Which state of something a publication has.

use crate::Key;

/// Which state of something a publication has, where each has the whole of it: a topic takes none that is not newer than the
/// one before, so that publishers need not keep their order.
///
/// ```
/// use fanfare_protocol::{Key, StateVersion};
///
/// let newest = StateVersion { number: 7, epoch: Key::parse("table 1").ok() };
/// let sixth = StateVersion { number: 6, ..newest.clone() };
/// assert!(sixth.is_outdated_by(&newest));
/// // What counts anew is newer, whatever its number is.
/// let anew = StateVersion { number: 1, epoch: Key::parse("table 2").ok() };
/// assert!(!anew.is_outdated_by(&newest));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateVersion {
    /// Its number: the higher, the newer.
    pub number: u64,
    /// What it counts within; `None` for whatever the one before counts within.
    pub epoch: Option<Key>,
}

impl StateVersion {
    /// Whether it is no newer than another.
    pub fn is_outdated_by(&self, newest: &Self) -> bool {
        (self.epoch.is_none() || self.epoch == newest.epoch) && self.number <= newest.number
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.epoch.as_ref().map_or(0, |epoch| epoch.as_str().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_within_their_epoch() {
        let version = |number, epoch: &str| StateVersion {
            number,
            epoch: Key::parse(epoch).ok(),
        };
        for (version, newest, is_outdated) in [
            (version(1, ""), version(1, ""), true),
            (version(1, ""), version(2, ""), true),
            (version(2, ""), version(1, ""), false),
            (version(1, "a"), version(1, "a"), true),
            (version(2, "a"), version(1, "a"), false),
            (version(1, "b"), version(2, "a"), false),
            (version(1, "b"), version(2, ""), false),
            (version(2, ""), version(2, "a"), true),
            (version(3, ""), version(2, "a"), false),
        ] {
            assert_eq!(
                version.is_outdated_by(&newest),
                is_outdated,
                "{version:?} {newest:?}"
            );
        }
    }
}
