//! In whose words hooks are asked, as an operator writes it.

use std::fmt;
use std::str::FromStr;

/// `fanfare` or `centrifugo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookFormat {
    /// The words of `docs/hooks.md`.
    Fanfare,
    /// Those of Centrifugo's proxies.
    Centrifugo,
}

impl FromStr for HookFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fanfare" => Ok(Self::Fanfare),
            "centrifugo" => Ok(Self::Centrifugo),
            _ => Err("it must be the format of hooks; write `fanfare` or `centrifugo`".to_owned()),
        }
    }
}

impl fmt::Display for HookFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fanfare => "fanfare",
            Self::Centrifugo => "centrifugo",
        })
    }
}
