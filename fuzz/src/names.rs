//! `names`: names of topics and users, patterns, keys, rates, ids of connections and commands, and epochs against
//! second, naive readings of their grammars.

use fanfare_protocol::{
    CommandId, ConnectionId, Epoch, Every, Key, TOPIC_BYTES_MAX, TopicName, TopicNameError, TopicPattern,
    USER_BYTES_MAX, UserName, UserNameError,
};

use crate::bounds::bounded;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    bounded(16 * text.len() + (8 << 10), || {
        check_topic(text);
        check_user(text);
        check_connection(text);
        check_command(text);
        check_epoch(text);
        check_key(text);
        check_every(text);
        check_pattern(text);
    });
}

fn check_topic(text: &str) {
    let verdict = TopicName::check(text);
    let parsed = TopicName::parse(text);
    assert_eq!(parsed.as_ref().map(|_| ()).map_err(|error| *error), verdict);
    if let Ok(name) = &parsed {
        assert_eq!((name.as_str(), name.is_reserved()), (text, false));
    }
    let expected = match first_forbidden(text) {
        _ if text.is_empty() => Err(TopicNameError::Empty),
        _ if text.len() > TOPIC_BYTES_MAX => Err(TopicNameError::TooLong { bytes: text.len() }),
        _ if text.as_bytes()[0] == b'$' => Err(TopicNameError::Reserved),
        Some((at, character)) => Err(TopicNameError::Character { at, character }),
        None => Ok(()),
    };
    assert_eq!(verdict, expected, "{text:?}");
}

fn check_user(text: &str) {
    let verdict = UserName::parse(text);
    let expected = match first_forbidden(text) {
        _ if text.is_empty() => Err(UserNameError::Empty),
        _ if text.len() > USER_BYTES_MAX => Err(UserNameError::TooLong { bytes: text.len() }),
        Some((at, character)) => Err(UserNameError::Character { at, character }),
        None => Ok(()),
    };
    assert_eq!(
        verdict.as_ref().map(|_| ()).map_err(|error| *error),
        expected,
        "{text:?}"
    );
    if let Ok(user) = verdict {
        assert_eq!(user.as_str(), text);
        let topic = TopicName::of_user(&user);
        assert!(topic.is_reserved() && topic.as_str().len() <= TOPIC_BYTES_MAX);
        assert_eq!(topic.as_str().strip_prefix("$user:"), Some(text));
    }
}

fn check_connection(text: &str) {
    let id = text.parse::<ConnectionId>();
    let is_digit = |character| "0123456789abcdef".contains(character);
    assert_eq!(
        id.is_ok(),
        text.len() == 16 && text.chars().all(is_digit),
        "{text:?}"
    );
    if let Ok(id) = id {
        assert_eq!(id.to_string(), text);
        assert_eq!(ConnectionId::new(id.shard(), id.slot(), id.nonce()), id);
    }
}

/// A command id is checked as it comes: as one JSON value.
fn check_command(text: &str) {
    if text.trim() != text {
        return;
    }
    // Nested values are no ids, and read here they take more memory than the code under test may.
    if text.starts_with(['{', '[']) {
        assert!(CommandId::from_json(text).is_err(), "{text:?}");
        return;
    }
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else {
        return;
    };
    let is_id = match &value {
        serde_json::Value::String(_) => text.len() <= 2 + 64,
        serde_json::Value::Number(number) => {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain && number.as_u64().is_some_and(|number| number < 1 << 53)
        }
        _ => false,
    };
    let id = CommandId::from_json(text);
    assert_eq!(id.is_ok(), is_id, "{text:?}");
    assert!(id.is_err() || id.is_ok_and(|id| id.as_json() == text));
}

/// An epoch that is read is written as the same number again.
fn check_epoch(text: &str) {
    if let Ok(epoch) = text.parse::<Epoch>() {
        assert_eq!(epoch.to_string().parse(), Ok(epoch));
    }
}

fn check_key(text: &str) {
    let is_key = (1..=64).contains(&text.len()) && !text.contains(char::is_control);
    let key = Key::parse(text);
    assert_eq!(key.is_ok(), is_key, "{text:?}");
    assert!(key.is_err() || key.is_ok_and(|key| key.as_str() == text));
}

/// A rate: digits, a unit, and bounds in between.
fn check_every(text: &str) {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000)];
    let read = |(unit, unit_ms): (&str, u128)| {
        let digits = text.strip_suffix(unit)?;
        let is_plain = digits.bytes().all(|digit| digit.is_ascii_digit());
        let number = digits.parse::<u128>().ok().filter(|_| is_plain)?;
        number
            .checked_mul(unit_ms)
            .filter(|ms| (100..=3_600_000).contains(ms))
    };
    let expected = units.into_iter().find_map(read);
    let every = text.parse::<Every>().ok();
    assert_eq!(every.map(|every| every.as_millis().into()), expected, "{text:?}");
}

/// A pattern and a name, with a line's end between the two.
fn check_pattern(text: &str) {
    let Some((pattern, name)) = text.split_once('\n') else {
        return;
    };
    if let (Ok(parsed), Ok(name)) = (pattern.parse::<TopicPattern>(), TopicName::parse(name)) {
        assert_eq!(parsed.to_string(), pattern);
        let expected = fits(pattern.as_bytes(), name.as_str().as_bytes());
        assert_eq!(parsed.matches(&name), expected, "{pattern:?} and {name:?}");
    }
}

/// Which beginnings of the name fit the beginning of the pattern, one character of the pattern after the other.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for &wanted in pattern {
        let before = reached.clone();
        for at in 0..reached.len() {
            reached[at] = if wanted == b'*' {
                before[at] || at > 0 && reached[at - 1]
            } else {
                at > 0 && before[at - 1] && name[at - 1] == wanted
            };
        }
    }
    reached[name.len()]
}

/// The first character that no name may have, by the tables of the standard library and of Unicode 16.
fn first_forbidden(text: &str) -> Option<(usize, char)> {
    let mut at = 0;
    for character in text.chars() {
        let is_pattern = ['*', '#', '?', '>'].contains(&character);
        let is_blank = character.is_control() || character.is_whitespace();
        if is_pattern || is_blank || is_invisible(character as u32) {
            return Some((at, character));
        }
        at += character.len_utf8();
    }
    None
}

fn is_invisible(code: u32) -> bool {
    INVISIBLE.iter().any(|range| range.contains(&code))
}

/// What the documentation of [`TopicName`] calls invisible, written as numbers: the soft hyphen, joiners and fillers,
/// the marks of direction, the specials up to the replacement character, the shorthand and musical controls, the tags.
const INVISIBLE: [std::ops::RangeInclusive<u32>; 16] = [
    0xad..=0xad,
    0x34f..=0x34f,
    0x61c..=0x61c,
    0x115f..=0x1160,
    0x17b4..=0x17b5,
    0x180b..=0x180f,
    0x200b..=0x200f,
    0x202a..=0x202e,
    0x2060..=0x206f,
    0x3164..=0x3164,
    0xfeff..=0xfeff,
    0xffa0..=0xffa0,
    0xfff0..=0xfffd,
    0x1_bca0..=0x1_bca3,
    0x1_d173..=0x1_d17a,
    0xe_0000..=0xe_0fff,
];
