//! The rate of a subscription.

use std::fmt;
use std::str::FromStr;

/// The shortest time between two deliveries of a subscription: 100 ms to 1 h, written `500ms`, `2s` or `1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Every(u32);

/// The shortest rate in milliseconds: hubs look at what is due ten times a second.
const EVERY_MS_MIN: u32 = 100;

/// The longest rate in milliseconds.
const EVERY_MS_MAX: u32 = 60 * 60 * 1_000;

impl Every {
    /// The time in milliseconds.
    pub fn as_millis(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

impl FromStr for Every {
    type Err = EveryError;

    fn from_str(text: &str) -> Result<Self, EveryError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            _ => return Err(EveryError),
        };
        let ms = number
            .parse::<u32>()
            .ok()
            .and_then(|number| number.checked_mul(unit_ms));
        ms.filter(|ms| (EVERY_MS_MIN..=EVERY_MS_MAX).contains(ms))
            .map(Self)
            .ok_or(EveryError)
    }
}

/// Why a text is not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`every` is not a time from 100ms to 60m, write it like 500ms, 2s or 1m")]
pub struct EveryError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_a_unit_and_bounds() {
        for (text, ms) in [("100ms", 100), ("2s", 2_000), ("1m", 60_000), ("60m", 3_600_000)] {
            assert_eq!(text.parse::<Every>().map(Every::as_millis), Ok(ms), "{text}");
            let every: Every = text.parse().unwrap();
            assert_eq!(every.to_string().parse(), Ok(every), "{text}");
        }
        for text in [
            "",
            "2",
            "s",
            "99ms",
            "61m",
            "1h",
            "-1s",
            "+1s",
            "1.5s",
            " 1s",
            "99999999999s",
            "4294967s",
        ] {
            assert_eq!(text.parse::<Every>(), Err(EveryError), "{text}");
        }
    }
}
