//! When a durable publication counts as durable, as an operator writes it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use fanfare::Fsync;

use super::value::{time, time_text};

/// `always`, `never`, or `interval:200ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FsyncOption(pub(crate) Fsync);

impl FromStr for FsyncOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fsync = match text.split_once(':') {
            None if text == "always" => Fsync::Always,
            None if text == "never" => Fsync::Never,
            Some(("interval", interval)) => {
                let interval = time(interval, Duration::from_millis(1), Duration::from_secs(3_600))?;
                Fsync::Interval(interval.as_millis() as u64)
            }
            _ => {
                return Err(
                    "it must say when what is published is made durable; write `always`, `never`, or an interval such \
                     as `interval:200ms`"
                        .to_owned(),
                );
            }
        };
        Ok(Self(fsync))
    }
}

impl fmt::Display for FsyncOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Fsync::Always => f.write_str("always"),
            Fsync::Never => f.write_str("never"),
            Fsync::Interval(ms) => write!(f, "interval:{}", time_text(Duration::from_millis(ms))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        for text in ["always", "never", "interval:200ms", "interval:1h"] {
            assert_eq!(text.parse::<FsyncOption>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_told_the_way_out() {
        for text in [
            "",
            "sometimes",
            "interval",
            "interval:",
            "interval:0s",
            "interval:2h",
            "always:1s",
        ] {
            let error = text.parse::<FsyncOption>().unwrap_err();
            assert!(error.contains("write "), "{text}: {error}");
        }
    }
}
