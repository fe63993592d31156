//! Lengths of time as Go writes them: `25s`, `1h30m`, `1.5h`, `-1s`.

use std::time::Duration;

/// Reads one; zero for a negative one. `None` where it is none, or longer than any time that is meant.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // Off is often written without a unit.
    if text == "0" || (is_negative && text == "1") {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, behind) = behind.split_at(
            behind
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(behind.len()),
        );
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = behind;
    }
    let is_said = !text.is_empty();
    is_said.then_some(if is_negative { Duration::ZERO } else { total })
}

const UNITS: &[(&str, f64)] = &[
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, millis) in [
            ("25s", 25_000),
            ("300ms", 300),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("+1m0s", 60_000),
            ("0", 0),
            ("0s", 0),
            ("-1", 0),
            ("-1s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "25",
            "s",
            "1d",
            "1 s",
            "1..5s",
            "99999999999999999999h",
            "-",
            "ſ",
            "-2",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
