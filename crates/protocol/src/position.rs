//! Where in a topic's log something stands, and the two kinds of time.

use std::fmt;
use std::str::FromStr;

/// One life of a topic's log, written in base 36. Offsets of different epochs cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Whichever life it is: of somebody who knows an offset alone, and takes what follows it now. No log has it.
    pub const ANY: Self = Self(u64::MAX - 1);
    /// One that is over, whichever log is asked. No log has it.
    pub const OVER: Self = Self(u64::MAX);
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut text = [b'0'; 13];
        let mut at = text.len();
        let mut rest = self.0;
        loop {
            at -= 1;
            text[at] = DIGITS[(rest % 36) as usize];
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        text[at..]
            .iter()
            .try_for_each(|&digit| fmt::Write::write_char(f, char::from(digit)))
    }
}

impl FromStr for Epoch {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 36).map(Self)
    }
}

/// A place in a topic's log. The first publication of a topic has offset 1, each next one 1 more; offset 0 is the
/// place before the first. An epoch begins at 1 as well, or goes on counting where an earlier one of the same topic is
/// still kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the log that the offset counts in.
    pub epoch: Epoch,
    /// How many publications the log had up to and including this place.
    pub offset: u64,
}

impl Position {
    /// The place behind this one.
    pub fn next(self) -> Self {
        Self {
            offset: self.offset + 1,
            ..self
        }
    }
}

/// Milliseconds on a monotonic clock that starts with the process. For deadlines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds since `earlier`, 0 if that lies ahead.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Milliseconds since 1970 on the wall clock. For display; nothing is ordered by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_written_in_base_36_and_read_back() {
        for (epoch, text) in [(0, "0"), (35, "z"), (36, "10"), (u64::MAX, "3w5e11264sgsf")] {
            assert_eq!(Epoch(epoch).to_string(), text);
            assert_eq!(text.parse(), Ok(Epoch(epoch)));
        }
    }
}
