//! A publication as it stands in the durable log: the `body` of a record. The topic, the place and the time are the
//! record's own. `docs/storage.md` describes it byte by byte.
//!
//! ```text
//! version u8 = 1 │ kind u8 │ flags u8 │ what the flags say is there, in their order │ payload
//! ```

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fanfare_protocol::{
    ConnectionId, Draft, IdempotencyKey, Key, Payload, PayloadKind, Publisher, TAGS_MAX, Tags, Timestamp,
    TopicName, UserName,
};

/// The version of the form.
const VERSION: u8 = 1;

/// Which connection published: 8 bytes, little-endian.
const CONNECTION: u8 = 1;
/// Its user: a length of 1 byte and UTF-8.
const USER: u8 = 1 << 1;
/// What others may see of it: a length of 4 bytes, little-endian, and JSON.
const INFO: u8 = 1 << 2;
/// The key: a length of 1 byte and UTF-8.
const KEY: u8 = 1 << 3;
/// The idempotency key: likewise.
const IDEMPOTENCY_KEY: u8 = 1 << 4;
/// Which subscriber was left out: 8 bytes, little-endian.
const EXCEPT: u8 = 1 << 5;

/// The tags: how many in 1 byte, then name and value of each, likewise.
const TAGS: u8 = 1 << 6;

/// All that there are.
const FLAGS: u8 = (TAGS << 1) - 1;

/// Why the body of a record is no publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// Another form than this program knows: a newer one wrote it.
    #[error("a stored publication has the form {0}, this program knows {VERSION}, run the one that wrote it")]
    Version(u8),
    /// It ends too early or has something that it cannot have.
    #[error("a stored publication is not as one is written")]
    Malformed,
}

/// The body of the record of a draft. Costs a copy of its payload.
pub fn encode(draft: &Draft) -> Bytes {
    let from = draft.from.as_ref();
    let user = from.and_then(|from| from.user.as_ref()).map(UserName::as_str);
    let info = from.and_then(|from| from.info.as_deref());
    let key = draft.key.as_ref().map(Key::as_str);
    let idempotency_key = draft.idempotency_key.as_ref().map(IdempotencyKey::as_str);
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    let flags = flag(from.is_some(), CONNECTION)
        | flag(user.is_some(), USER)
        | flag(info.is_some(), INFO)
        | flag(key.is_some(), KEY)
        | flag(idempotency_key.is_some(), IDEMPOTENCY_KEY)
        | flag(draft.except.is_some(), EXCEPT)
        | flag(draft.tags.is_some(), TAGS);
    let payload = draft.payload.as_bytes();
    let mut body = BytesMut::with_capacity(payload.len() + 32);
    body.put_u8(VERSION);
    body.put_u8(kind_of(draft.payload.kind()));
    body.put_u8(flags);
    if let Some(from) = from {
        body.put_u64_le(from.connection.to_bits());
    }
    put_short(user, &mut body);
    if let Some(info) = info {
        body.put_u32_le(info.len() as u32);
        body.put_slice(info.as_bytes());
    }
    put_short(key, &mut body);
    put_short(idempotency_key, &mut body);
    if let Some(except) = draft.except {
        body.put_u64_le(except.to_bits());
    }
    if let Some(tags) = &draft.tags {
        body.put_u8(tags.iter().len() as u8);
        for (name, value) in tags.iter() {
            put_short(Some(name), &mut body);
            put_short(Some(value), &mut body);
        }
    }
    body.put_slice(payload);
    body.freeze()
}

/// Names, keys and tags have at most 255 bytes.
fn put_short(text: Option<&str>, body: &mut BytesMut) {
    if let Some(text) = text {
        body.put_u8(text.len() as u8);
        body.put_slice(text.as_bytes());
    }
}

/// Whether the body of a record has an idempotency key, if it is a publication. Costs next to nothing, for a start that
/// looks at very many.
pub fn is_repeatable(body: &[u8]) -> bool {
    matches!(body, [VERSION, _, flags, ..] if flags & IDEMPOTENCY_KEY != 0)
}

/// The draft of a record of this topic and time. Its payload is copied, so that it holds no more memory than its own.
///
/// # Errors
/// The body is none that [`encode`] gives.
pub fn decode(topic: TopicName, time: Timestamp, body: &[u8]) -> Result<Draft, StoredError> {
    let mut body = body;
    let version = take_u8(&mut body)?;
    if version != VERSION {
        return Err(StoredError::Version(version));
    }
    let kind = take_u8(&mut body)?;
    let flags = take_u8(&mut body)?;
    let has = |flag: u8| flags & flag != 0;
    let needs_connection = has(USER) || has(INFO);
    if flags & !FLAGS != 0 || (needs_connection && !has(CONNECTION)) {
        return Err(StoredError::Malformed);
    }
    let connection = take_if(has(CONNECTION), &mut body, take_connection)?;
    let user = take_if(has(USER), &mut body, |body| {
        parse(take_short(body)?, UserName::parse)
    })?;
    let info = take_if(has(INFO), &mut body, take_info)?;
    let from = connection.map(|connection| Publisher {
        connection,
        user,
        info,
        topic_info: None,
    });
    let key = take_if(has(KEY), &mut body, |body| parse(take_short(body)?, Key::parse))?;
    let idempotency_key = take_if(has(IDEMPOTENCY_KEY), &mut body, |body| {
        parse(take_short(body)?, IdempotencyKey::parse)
    })?;
    let except = take_if(has(EXCEPT), &mut body, take_connection)?;
    let tags = take_if(has(TAGS), &mut body, take_tags)?.flatten();
    Ok(Draft {
        topic,
        payload: payload(kind, body)?,
        from,
        time,
        key,
        idempotency_key,
        expected: None,
        version: None,
        tags,
        except,
    })
}

fn kind_of(kind: PayloadKind) -> u8 {
    match kind {
        PayloadKind::Json => 0,
        PayloadKind::Text => 1,
        PayloadKind::Binary => 2,
    }
}

fn payload(kind: u8, bytes: &[u8]) -> Result<Payload, StoredError> {
    let text = || std::str::from_utf8(bytes).map_err(|_| StoredError::Malformed);
    match kind {
        0 => serde_json::from_str(text()?)
            .map(Payload::json)
            .map_err(|_| StoredError::Malformed),
        1 => Ok(Payload::text(text()?)),
        2 => Ok(Payload::binary(bytes.to_vec())),
        _ => Err(StoredError::Malformed),
    }
}

fn take_if<'a, T>(
    is_there: bool,
    body: &mut &'a [u8],
    take: impl FnOnce(&mut &'a [u8]) -> Result<T, StoredError>,
) -> Result<Option<T>, StoredError> {
    is_there.then(|| take(body)).transpose()
}

fn take_u8(body: &mut &[u8]) -> Result<u8, StoredError> {
    body.try_get_u8().map_err(|_| StoredError::Malformed)
}

fn take_connection(body: &mut &[u8]) -> Result<ConnectionId, StoredError> {
    let bits = body.try_get_u64_le().map_err(|_| StoredError::Malformed)?;
    Ok(ConnectionId::from_bits(bits))
}

fn take_short<'a>(body: &mut &'a [u8]) -> Result<&'a str, StoredError> {
    let length = take_u8(body)?;
    take_text(body, length.into())
}

fn take_tags(body: &mut &[u8]) -> Result<Option<Tags>, StoredError> {
    let count = take_u8(body)?;
    if usize::from(count) > TAGS_MAX {
        return Err(StoredError::Malformed);
    }
    let tags: Result<Vec<_>, _> = (0..count)
        .map(|_| Ok((take_short(body)?, take_short(body)?)))
        .collect();
    let tags = Tags::parse(tags?).map_err(|_| StoredError::Malformed)?;
    // None is written without.
    tags.map(Some).ok_or(StoredError::Malformed)
}

fn take_info(body: &mut &[u8]) -> Result<Arc<str>, StoredError> {
    let length = body.try_get_u32_le().map_err(|_| StoredError::Malformed)?;
    Ok(Arc::from(take_text(body, length as usize)?))
}

fn take_text<'a>(body: &mut &'a [u8], length: usize) -> Result<&'a str, StoredError> {
    let (text, rest) = body.split_at_checked(length).ok_or(StoredError::Malformed)?;
    *body = rest;
    std::str::from_utf8(text).map_err(|_| StoredError::Malformed)
}

fn parse<T, E>(text: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, StoredError> {
    parse(text).map_err(|_| StoredError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full() -> Draft {
        let connection = ConnectionId::new(1, 2, 3);
        Draft {
            from: Some(Publisher {
                connection,
                user: UserName::parse("ada").ok(),
                info: Some(Arc::from("{}")),
                topic_info: None,
            }),
            key: Key::parse("k").ok(),
            idempotency_key: IdempotencyKey::parse("i").ok(),
            except: Some(connection),
            tags: Tags::parse([("t", "v")]).unwrap(),
            ..Draft::new(topic(), Payload::text("hi"), Timestamp(7))
        }
    }

    fn topic() -> TopicName {
        TopicName::parse("a").unwrap()
    }

    /// The example of `docs/storage.md`.
    #[test]
    fn a_publication_has_the_form_that_is_documented() {
        let expected = concat!(
            "01017f",
            "0300000002000001",
            "03616461",
            "020000007b7d",
            "016b",
            "0169",
            "0300000002000001",
            "0101740176",
            "6869",
        );
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap();
        let hex_of = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
        let hex: String = encode(&full()).iter().flat_map(hex_of).collect();
        assert_eq!(hex, expected);
        let page = include_str!("../../../../docs/storage.md").replace(char::is_whitespace, "");
        assert!(page.contains(expected), "docs/storage.md has the example");
    }

    #[test]
    fn what_ends_too_early_is_no_publication() {
        let body = encode(&full());
        let header = body.len() - "hi".len();
        for length in 0..header {
            let cut = decode(topic(), Timestamp(7), &body[..length]);
            assert_eq!(cut, Err(StoredError::Malformed), "{length}");
        }
        assert_eq!(decode(topic(), Timestamp(7), &body), Ok(full()));
    }

    #[test]
    fn another_form_is_said_to_be_one() {
        let mut body = encode(&full()).to_vec();
        body[0] = 2;
        assert_eq!(decode(topic(), Timestamp(7), &body), Err(StoredError::Version(2)));
        for (at, byte) in [(1, 3), (2, 0x80), (2, USER)] {
            let mut body = encode(&full()).to_vec();
            body[at] = byte;
            assert_eq!(decode(topic(), Timestamp(7), &body), Err(StoredError::Malformed));
        }
    }

    proptest! {
        #[test]
        fn a_draft_is_read_as_it_was_written(
            parts in any::<[bool; 7]>(),
            texts in ["[a-zä]{1,40}", "[a-z]{1,60}", "[a-zö]{1,30}"],
            kind in 0..3,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let [from, user, info, key, idempotency_key, except, tags] = parts;
            let connection = ConnectionId::from_bits(bytes.len() as u64 * 0x0123_4567_89ab);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let payload = match kind {
                0 => Payload::serialize(&text).unwrap(),
                1 => Payload::text(text),
                _ => Payload::binary(bytes),
            };
            let draft = Draft {
                from: from.then(|| Publisher {
                    connection,
                    user: UserName::parse(&texts[0]).ok().filter(|_| user),
                    info: Some(Arc::from("[1]")).filter(|_| info), topic_info: None, }),
                key: Key::parse(&texts[1]).ok().filter(|_| key),
                idempotency_key: IdempotencyKey::parse(&texts[2]).ok().filter(|_| idempotency_key),
                except: except.then_some(connection),
                tags: Tags::parse([(&texts[0], &texts[1]), (&texts[1], &texts[2])]).ok().flatten().filter(|_| tags),
                ..Draft::new(topic(), payload, Timestamp(7))
            };
            let body = encode(&draft);
            prop_assert_eq!(is_repeatable(&body), idempotency_key);
            prop_assert_eq!(decode(topic(), Timestamp(7), &body), Ok(draft));
        }

        #[test]
        fn any_bytes_are_a_publication_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(draft) = decode(topic(), Timestamp(7), &bytes) {
                prop_assert_eq!(decode(topic(), Timestamp(7), &encode(&draft)), Ok(draft));
            }
        }
    }
}
