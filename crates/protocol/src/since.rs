//! Where a subscription begins when it is not to begin now, and what cannot be had any more.

use std::fmt;
use std::str::FromStr;

use crate::{Epoch, Position};

/// From where on the publications of a topic are wanted. Written `EPOCH:OFFSET` for what follows a place, or as an age:
/// `500ms`, `30s`, `5m`, `12h` or `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// What follows this place: a client goes on from where it was.
    Position(Position),
    /// What is not older, in milliseconds.
    Age(u64),
    /// So many of the newest.
    Last(u32),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.offset)
    }
}

impl FromStr for Position {
    type Err = SinceError;

    fn from_str(text: &str) -> Result<Self, SinceError> {
        let (epoch, offset) = text.split_once(':').ok_or(SinceError)?;
        let offset = offset.parse().ok().filter(|_| !offset.starts_with('+'));
        Self::from_parts(epoch, offset.ok_or(SinceError)?)
    }
}

impl Position {
    /// A place from an epoch as it is written and an offset.
    ///
    /// # Errors
    /// The text is not an epoch.
    pub fn from_parts(epoch: &str, offset: u64) -> Result<Self, SinceError> {
        let is_plain = epoch.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let epoch: Option<Epoch> = epoch.parse().ok().filter(|_| is_plain);
        epoch.map(|epoch| Self { epoch, offset }).ok_or(SinceError)
    }
}

impl FromStr for Since {
    type Err = SinceError;

    fn from_str(text: &str) -> Result<Self, SinceError> {
        if text.contains(':') {
            return text.parse().map(Self::Position);
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(SinceError),
        };
        let number = number.parse::<u32>().map_err(|_| SinceError)?;
        Ok(Self::Age(u64::from(number) * unit_ms))
    }
}

/// Why a text does not say from where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`since` is neither a position such as k2w9:17 nor an age such as 30s, 5m, 12h or 7d")]
pub struct SinceError;

/// Why a client cannot go on from where it was. It gets what there is, from the place that it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// The topic's log is another one than the client knew: nothing that it knows of the old one holds for it.
    EpochChanged,
    /// The log does not reach back that far any more.
    TooOld,
    /// The log has never been there.
    Ahead,
    /// The client may receive the topic, but not read what was published before.
    Forbidden,
}

impl Loss {
    /// Every loss.
    pub const ALL: &'static [Self] = &[Self::EpochChanged, Self::TooOld, Self::Ahead, Self::Forbidden];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::EpochChanged => "epoch_changed",
            Self::TooOld => "too_old",
            Self::Ahead => "ahead",
            Self::Forbidden => "forbidden",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        for (epoch, offset) in [(0, 0), (35, 7), (u64::MAX, u64::MAX)] {
            let position = Position {
                epoch: Epoch(epoch),
                offset,
            };
            assert_eq!(position.to_string().parse(), Ok(position));
            assert_eq!(position.to_string().parse(), Ok(Since::Position(position)));
        }
    }

    #[test]
    fn an_age_has_a_unit() {
        for (text, ms) in [
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("12h", 43_200_000),
            ("4294967295d", 371_085_174_288_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Since::Age(ms)), "{text}");
        }
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for text in [
            "",
            ":",
            "5",
            "m",
            "-5m",
            "+5m",
            "1.5s",
            "5w",
            "4294967296s",
            "a:",
            "a:-1",
            "a:+1",
            "a:+1:",
            ":1",
            "+a:1",
            "ä:1",
            "zzzzzzzzzzzzzzz:1",
            "a:18446744073709551616",
            "a:1:1",
            " a:1",
        ] {
            assert_eq!(text.parse::<Since>(), Err(SinceError), "{text}");
        }
    }
}
