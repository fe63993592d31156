//! Single values from text and back. A refusal names the rule and the way out; the caller names the value.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use fanfare::TlsVersion;
use fanfare::tokens::JwksUrl;
use tracing_subscriber::EnvFilter;

/// An IP address with a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "it must be an IP address and a port, not a host name; write `127.0.0.1:8080`, or `0.0.0.0:8080` for every \
         interface"
            .to_owned()
    })
}

/// Where keys that verify tokens are fetched from.
pub(super) fn keys_url(text: &str) -> Result<JwksUrl, String> {
    text.parse()
        .map_err(|error| format!("{error}; write `https://id.example/keys`"))
}

/// Visible text of 1 to 255 bytes.
pub(super) fn text(text: &str) -> Result<String, String> {
    let is_visible = text
        .chars()
        .all(|character| !character.is_control() && !character.is_whitespace());
    if (1..=255).contains(&text.len()) && is_visible {
        return Ok(text.to_owned());
    }
    Err("it must be 1 to 255 bytes without blanks and control characters; write it without them".to_owned())
}

/// Any number of such texts.
pub(super) fn texts(all: &[String]) -> Result<Vec<String>, String> {
    all.iter().map(|one| text(one)).collect()
}

/// A whole number from `min` to `max`.
pub(super) fn count(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let in_range = text.parse().ok().filter(|number| (min..=max).contains(number));
    in_range.ok_or_else(|| {
        format!(
            "it must be a whole number from {min} to {max}; write a number in that range, such as `{}`",
            max.min(64)
        )
    })
}

/// A number of bytes from `min` to `max`: a plain number, or one with a unit of 1000 (`kB`) or 1024 (`KiB`).
pub(super) fn size(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let bytes: ByteSize = text.parse().map_err(|_| {
        "it must be a size; write bytes as a plain number, or a number with a unit such as `64KiB` or `1MiB`".to_owned()
    })?;
    let in_range = usize::try_from(bytes.as_u64())
        .ok()
        .filter(|bytes| (min..=max).contains(bytes));
    in_range.ok_or_else(|| {
        let (min, max) = (size_text(min), size_text(max));
        format!("it must be from {min} to {max}; write a size in that range, such as `{max}`")
    })
}

/// A size in the largest unit that divides it.
pub(super) fn size_text(bytes: usize) -> String {
    const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fitting = UNITS
        .iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    fitting.map_or_else(
        || format!("{bytes}B"),
        |(unit, name)| format!("{}{name}", bytes / unit),
    )
}

/// A length of time from `min` to `max`; the unit is required.
pub(super) fn time(text: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text != "0" {
        return Err(format!(
            "a duration needs a unit; write `{text}s` for seconds or `{text}ms` for milliseconds"
        ));
    }
    let time = humantime::parse_duration(text).map_err(|_| {
        "it must be a duration; write a number with a unit such as `500ms`, `25s` or `1m`".to_owned()
    })?;
    if (min..=max).contains(&time) {
        return Ok(time);
    }
    let (min, max) = (time_text(min), time_text(max));
    Err(format!(
        "it must be from {min} to {max}; write a duration in that range, such as `{max}`"
    ))
}

/// A length of time as its units, without blanks.
pub(super) fn time_text(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

/// On or off.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("it is either on or off; write `true` or `false`".to_owned()),
    }
}

/// The path of a file. Whether there is one is found out when it is read.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.ends_with('/') {
        return Err(
            "it must name a file, not a directory; write its path, such as `/etc/fanfare/cert.pem`"
                .to_owned(),
        );
    }
    Ok(PathBuf::from(text))
}

/// A directory, which need not be there.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_other = path.exists() && !path.is_dir();
    if text.is_empty() || is_other {
        return Err(
            "it must name a directory, which is made if it is not there; write its path, such as `/var/lib/fanfare`"
                .to_owned(),
        );
    }
    Ok(path)
}

/// A version of TLS.
pub(super) fn tls_version(text: &str) -> Result<TlsVersion, String> {
    match text {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err("it must be a version that is still safe; write `1.2` or `1.3`".to_owned()),
    }
}

/// A version as an operator writes it.
pub(super) fn tls_version_text(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    }
}

/// A filter of log lines, kept as written once it is known to be one.
pub(super) fn filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let way_out = "write a level (`off`, `error`, `warn`, `info`, `debug`, `trace`) or targets with levels such as \
                   `warn,fanfare=debug`";
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    // The filter would take a lone misspelt level for the name of a target and log nothing but that.
    let is_lone_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_lone_word && !is_level(text) {
        return Err(format!("it is not a level; {way_out}"));
    }
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("it is not a filter; {way_out}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn sizes_have_units_of_1000_and_of_1024() {
        for (text, bytes) in [
            ("64KiB", 65_536),
            ("64k", 64_000),
            ("1MiB", 1 << 20),
            ("512", 512),
            ("1.5KiB", 1536),
        ] {
            assert_eq!(size(text, 1, 1 << 24), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "big",
            "-1",
            "0",
            "17MiB",
            "99999999999999999999GiB",
            "1 parsec",
        ] {
            assert!(size(text, 1, 1 << 24).is_err(), "{text}");
        }
    }

    #[test]
    fn shown_sizes_read_back() {
        for bytes in [0, 1, 1023, 1024, 1536, 1 << 20, (1 << 20) + 1, 3 << 30] {
            assert_eq!(size(&size_text(bytes), 0, usize::MAX), Ok(bytes));
        }
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(time("90s", SECOND, HOUR), Ok(Duration::from_secs(90)));
        assert_eq!(time("1m 30s", SECOND, HOUR), Ok(Duration::from_secs(90)));
        assert_eq!(time("0", Duration::ZERO, HOUR), Ok(Duration::ZERO));
        assert!(time("25", SECOND, HOUR).unwrap_err().contains("`25s`"));
        assert!(time("999ms", SECOND, HOUR).unwrap_err().contains("from 1s to 1h"));
        assert!(time("", SECOND, HOUR).is_err());
    }

    #[test]
    fn shown_durations_read_back() {
        for millis in [0, 1, 500, 1500, 90_000, 3_600_000] {
            let shown = time_text(Duration::from_millis(millis));
            assert_eq!(
                time(&shown, Duration::ZERO, HOUR),
                Ok(Duration::from_millis(millis)),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_misspelt_level_is_refused() {
        assert!(filter("inof").is_err());
        assert!(filter("fanfare=loud").is_err());
        assert!(filter("").is_err());
        assert_eq!(filter("warn,fanfare=debug").as_deref(), Ok("warn,fanfare=debug"));
    }
}
