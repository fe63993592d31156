//! `stored`: publications as they stand in the durable log, against a second, naive reading of their form.
//!
//! The input is the body of a record. Checked: it is a publication exactly where `docs/storage.md` has one, with the parts
//! that it names; what is one is encoded to the same bytes again, but for white space around JSON; nothing is allocated but
//! what it has.

use fanfare::broker::stored::{decode, encode};
use fanfare::{ConnectionId, Draft, IdempotencyKey, Key, PayloadKind, Timestamp, TopicName, UserName};
use serde::de::IgnoredAny;

use crate::bounds::bounded;

/// What a publication has beside its topic and its time.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts<'b> {
    kind: u8,
    connection: Option<u64>,
    user: Option<&'b str>,
    info: Option<&'b str>,
    key: Option<&'b str>,
    idempotency_key: Option<&'b str>,
    except: Option<u64>,
    payload: &'b [u8],
}

/// Runs one input.
pub fn run(bytes: &[u8]) {
    bounded(8 * bytes.len() + (8 << 10), || {
        let topic = TopicName::parse("a").unwrap();
        let decoded = decode(topic.clone(), Timestamp(7), bytes);
        let expected = expected(bytes);
        assert_eq!(decoded.as_ref().ok().map(parts), expected);
        if let (Ok(draft), Some(parts)) = (decoded, expected) {
            let encoded = encode(&draft);
            assert!(parts.kind == 0 || encoded == bytes, "other bytes are written");
            assert_eq!(decode(topic, Timestamp(7), &encoded), Ok(draft));
        }
    });
}

fn parts(draft: &Draft) -> Parts<'_> {
    assert_eq!((draft.topic.as_str(), draft.time), ("a", Timestamp(7)));
    assert_eq!(draft.expected, None);
    let from = draft.from.as_ref();
    Parts {
        kind: match draft.payload.kind() {
            PayloadKind::Json => 0,
            PayloadKind::Text => 1,
            PayloadKind::Binary => 2,
        },
        connection: from.map(|from| from.connection.to_bits()),
        user: from.and_then(|from| from.user.as_ref()).map(UserName::as_str),
        info: from.and_then(|from| from.info.as_deref()),
        key: draft.key.as_ref().map(Key::as_str),
        idempotency_key: draft.idempotency_key.as_ref().map(IdempotencyKey::as_str),
        except: draft.except.map(ConnectionId::to_bits),
        payload: draft.payload.as_bytes(),
    }
}

/// The parts of a publication, if the bytes are one.
fn expected(bytes: &[u8]) -> Option<Parts<'_>> {
    let (&[version, kind, flags], mut rest) = bytes.split_first_chunk()?;
    let has = |flag: u8| flags & flag != 0;
    if version != 1 || kind > 2 || flags > 63 || (flags & 6 != 0 && !has(1)) {
        return None;
    }
    let mut parts = Parts {
        kind,
        ..Parts::default()
    };
    if has(1) {
        parts.connection = Some(number(take(&mut rest, 8)?));
    }
    if has(2) {
        parts.user = Some(text(&mut rest, 1)?).filter(|user| UserName::parse(user).is_ok());
        parts.user?;
    }
    if has(4) {
        parts.info = Some(text(&mut rest, 4)?);
    }
    if has(8) {
        parts.key = Some(text(&mut rest, 1)?).filter(|key| Key::parse(key).is_ok());
        parts.key?;
    }
    if has(16) {
        parts.idempotency_key = Some(text(&mut rest, 1)?).filter(|key| IdempotencyKey::parse(key).is_ok());
        parts.idempotency_key?;
    }
    if has(32) {
        parts.except = Some(number(take(&mut rest, 8)?));
    }
    parts.payload = match (kind, std::str::from_utf8(rest)) {
        (0, Ok(json)) => {
            serde_json::from_str::<IgnoredAny>(json).ok()?;
            json.trim_matches([' ', '\t', '\r', '\n']).as_bytes()
        }
        (1, Ok(_)) | (2, _) => rest,
        _ => return None,
    };
    Some(parts)
}

/// So many bytes from the front.
fn take<'b>(rest: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

/// A text behind its length, which has so many bytes.
fn text<'b>(rest: &mut &'b [u8], length_bytes: usize) -> Option<&'b str> {
    let length = number(take(rest, length_bytes)?);
    std::str::from_utf8(take(rest, usize::try_from(length).ok()?)?).ok()
}

/// Little-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
