//! Keys that must not be shown.

use std::fmt;
use std::str::FromStr;

/// A key: 16 to 256 visible ASCII characters, so that it fits a header. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The key itself, to compare in constant time.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let way_out = "make a new one, for example with `openssl rand -hex 32`";
        if !(BYTES_MIN..=BYTES_MAX).contains(&text.len()) {
            return Err(format!(
                "a key must have {BYTES_MIN} to {BYTES_MAX} bytes and it has {}; {way_out}",
                text.len()
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "a key must be visible ASCII characters without blanks; {way_out}"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(not shown)")
    }
}

const BYTES_MIN: usize = 16;
const BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_long_enough_and_fits_a_header() {
        assert!("0123456789abcdef".parse::<Secret>().is_ok());
        for text in [
            "",
            "0123456789abcde",
            "0123456789 abcdef",
            "0123456789abcdéf",
            &"x".repeat(257),
        ] {
            assert!(text.parse::<Secret>().is_err(), "{text}");
        }
    }

    #[test]
    fn debug_output_does_not_show_a_key() {
        let secret: Secret = "0123456789abcdef".parse().unwrap();
        assert!(!format!("{secret:?}").contains("0123"));
    }
}
