//! What travels through a broker.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::{
    ConnectionId, IdempotencyKey, Key, Position, StateVersion, Tags, Timestamp, TopicName, UserName,
};

/// What kind of bytes a payload is, so that every dialect can carry it without guessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    /// One JSON value, as its author wrote it.
    Json,
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// The content of a publication. Cloning costs one reference count; the bytes are never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    kind: PayloadKind,
    bytes: Bytes,
}

impl Payload {
    /// UTF-8 text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            kind: PayloadKind::Text,
            bytes: Bytes::from(text.into()),
        }
    }

    /// Any bytes.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self {
            kind: PayloadKind::Binary,
            bytes: bytes.into(),
        }
    }

    /// One JSON value, kept exactly as written.
    pub fn json(value: &serde_json::value::RawValue) -> Self {
        Self {
            kind: PayloadKind::Json,
            bytes: Bytes::copy_from_slice(value.get().as_bytes()),
        }
    }

    /// JSON's `null`: nothing to say.
    pub fn null() -> Self {
        Self {
            kind: PayloadKind::Json,
            bytes: Bytes::from_static(b"null"),
        }
    }

    /// Any value as JSON. One pass over it and one allocation.
    ///
    /// # Errors
    /// When the value has no form in JSON: its `Serialize` fails, or a map has keys that are no strings.
    ///
    /// ```
    /// use fanfare_protocol::Payload;
    ///
    /// let payload = Payload::serialize(&("ada", 7))?;
    /// assert_eq!(payload.as_bytes(), br#"["ada",7]"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn serialize(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Self> {
        Ok(Self {
            kind: PayloadKind::Json,
            bytes: Bytes::from(serde_json::to_vec(value)?),
        })
    }

    /// What kind of bytes it is.
    pub fn kind(&self) -> PayloadKind {
        self.kind
    }

    /// The bytes; valid UTF-8 unless the kind is [`PayloadKind::Binary`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, for those who keep them. Costs a count, no copy.
    pub fn shared(&self) -> Bytes {
        self.bytes.clone()
    }
}

/// The connection that published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// Its id.
    pub connection: ConnectionId,
    /// Its user, when known.
    pub user: Option<UserName>,
    /// What others may see of it: JSON.
    pub info: Option<Arc<str>>,
    /// What others may see of it in the topic: JSON. It is not stored on a disk.
    pub topic_info: Option<Arc<str>>,
}

impl Publisher {
    fn bytes(&self) -> usize {
        let user = self.user.as_ref().map_or(0, |user| user.as_str().len());
        let infos = [&self.info, &self.topic_info].into_iter().flatten();
        user + infos.map(|info| info.len()).sum::<usize>()
    }
}

/// What can be said about a publication beside its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// What it is the newest state of: where the topic's rule for slow clients is `conflate`, and for subscriptions with
    /// a rate, it stands for all before it with the same key.
    pub key: Option<Key>,
    /// What it is known by when it is sent again: within the server's window a topic takes one publication of a key, and
    /// whoever publishes another is told the place of the first. So a publisher that has no answer may try again.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Where the topic must stand, so that it is the next one behind what its publisher knows; otherwise it is refused with
    /// `conflict` and where the topic stands. A known idempotency key is answered before that is looked at.
    pub expected: Option<Position>,
    /// What it is labelled with.
    pub tags: Option<Tags>,
}

/// A publication on its way to the broker: everything but the place in the order, which only the broker gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Where it goes.
    pub topic: TopicName,
    /// What it carries.
    pub payload: Payload,
    /// Who published; `None` for the server's own API.
    pub from: Option<Publisher>,
    /// When it was taken in.
    pub time: Timestamp,
    /// What it is the newest state of, where that matters.
    pub key: Option<Key>,
    /// What it is known by when it is sent again.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Where the topic must stand for it to be appended.
    pub expected: Option<Position>,
    /// Which state of something it has, where it is to be published only if that is newer than what the topic has.
    pub version: Option<Box<StateVersion>>,
    /// What it is labelled with.
    pub tags: Option<Tags>,
    /// The subscriber to leave out (`echo: false`).
    pub except: Option<ConnectionId>,
}

impl Draft {
    /// A publication of which nothing more is said, by the server's own API.
    pub fn new(topic: TopicName, payload: Payload, time: Timestamp) -> Self {
        Self {
            topic,
            payload,
            from: None,
            time,
            key: None,
            idempotency_key: None,
            expected: None,
            version: None,
            tags: None,
            except: None,
        }
    }

    /// The same, of which this is said.
    #[must_use]
    pub fn with(self, options: PublishOptions) -> Self {
        let PublishOptions {
            key,
            idempotency_key,
            expected,
            tags,
        } = options;
        Self {
            key,
            idempotency_key,
            expected,
            tags,
            ..self
        }
    }

    /// Bytes that it takes while it waits or is kept: payload, names, what is said of the publisher, and a flat share for the
    /// rest. They are taken once, however many wait for it. What it shares with others is counted for each.
    pub fn bytes(&self) -> usize {
        let key = self.key.as_ref().map_or(0, |key| key.as_str().len());
        let idempotency_key = self.idempotency_key.as_ref().map_or(0, |key| key.as_str().len());
        let from = self.from.as_ref().map_or(0, Publisher::bytes);
        let version = self.version.as_ref().map_or(0, |version| version.bytes());
        let tags = self.tags.as_ref().map_or(0, Tags::bytes);
        let names = self.topic.as_str().len() + key + idempotency_key + version + tags + from;
        size_of::<Publication>() + names + self.payload.as_bytes().len()
    }
}

/// A publication in its place in a topic's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// What was published.
    pub draft: Draft,
    /// Its place.
    pub position: Position,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn everything_that_a_publication_holds_counts() {
        let topic = TopicName::parse("four").unwrap();
        let bare = Draft::new(topic, Payload::text("12345"), Timestamp(0));
        assert_eq!(bare.bytes(), size_of::<Publication>() + 9);
        let full = Draft {
            from: Some(Publisher {
                connection: ConnectionId::new(0, 0, 1),
                user: UserName::parse("ada").ok(),
                info: Some(Arc::from("{\"x\":1}")),
                topic_info: None,
            }),
            key: Key::parse("key").ok(),
            idempotency_key: IdempotencyKey::parse("once").ok(),
            version: Some(Box::new(StateVersion {
                number: 1,
                epoch: Key::parse("e").ok(),
            })),
            tags: Tags::parse([("name", "value")]).unwrap(),
            ..bare.clone()
        };
        let version = size_of::<StateVersion>() + 1;
        assert_eq!(full.bytes(), bare.bytes() + 3 + 7 + 3 + 4 + version + 9);
    }

    #[test]
    fn any_value_with_a_form_in_json_is_a_payload() {
        let payload = Payload::serialize(&BTreeMap::from([("a", Some(1.5)), ("b", None)])).unwrap();
        assert_eq!(payload.kind(), PayloadKind::Json);
        assert_eq!(payload.as_bytes(), br#"{"a":1.5,"b":null}"#);
        assert!(Payload::serialize(&BTreeMap::from([([1], 1)])).is_err());
    }
}
