//! `stored`: publications as they stand in the durable log, against a second, naive reading of their form.
//!
//! The input is the body of a record. Checked: it is a publication exactly where `docs/storage.md` has one, with the parts
//! that it names; what is one is encoded to the same bytes again, but for white space around JSON; nothing is allocated but
//! what it has.

use fanfare::broker::stored::{decode, encode};
use fanfare::{ConnectionId, Draft, IdempotencyKey, Key, PayloadKind, Tags, Timestamp, TopicName, UserName};
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
    /// In the order of their names.
    tags: Vec<(&'b str, &'b str)>,
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
            // Tags may stand in another order.
            let is_alike = encoded == bytes || (parts.tags.len() > 1 && encoded.len() == bytes.len());
            assert!(parts.kind == 0 || is_alike, "other bytes are written");
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
        tags: draft.tags.iter().flat_map(Tags::iter).collect(),
        payload: draft.payload.as_bytes(),
    }
}

/// The parts of a publication, if the bytes are one.
fn expected(bytes: &[u8]) -> Option<Parts<'_>> {
    let (&[version, kind, flags], mut rest) = bytes.split_first_chunk()?;
    let has = |flag: u8| flags & flag != 0;
    if version != 1 || kind > 2 || flags > 127 || (flags & 6 != 0 && !has(1)) {
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
    if has(64) {
        parts.tags = tags(&mut rest)?;
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

/// From 1 to 16 names, each once and with a value, behind their number.
fn tags<'b>(rest: &mut &'b [u8]) -> Option<Vec<(&'b str, &'b str)>> {
    let count = Some(number(take(rest, 1)?)).filter(|count| (1..=16).contains(count))?;
    let tags: Option<Vec<_>> = (0..count)
        .map(|_| Some((text(rest, 1)?, text(rest, 1)?)))
        .collect();
    let mut tags = tags?;
    tags.sort_unstable();
    let is_name = |name: &str| !name.is_empty() && !name.contains(char::is_control);
    let are_names = tags.iter().all(|(name, _)| is_name(name));
    let are_different = tags.windows(2).all(|pair| pair[0].0 != pair[1].0);
    (are_names && are_different).then_some(tags)
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
