//! Publications as subscribers get them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanfare_protocol::{Epoch, Position};
use serde::de::Error;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::server_message::text_or_number;

/// A publication of a topic, or what another connection sent directly.
///
/// It serializes as the object of the `json` dialect that it came in, without fields this client does not know.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The topic; none for what was sent to this connection alone.
    pub topic: Option<String>,
    /// The place in the topic's order; dense per epoch.
    pub offset: Option<u64>,
    /// The life of the topic's log that the offset counts in, as the client knows it from its subscription. Not part of the
    /// object.
    pub epoch: Option<Epoch>,
    /// What it is the newest state of, when the publisher said so.
    pub key: Option<String>,
    /// What it is labelled with.
    pub tags: BTreeMap<String, String>,
    /// When the server took it, in milliseconds since 1970.
    pub time: Option<u64>,
    /// Who published it; none when the server's API did.
    pub from: Option<Sender>,
    /// What was published.
    pub payload: Payload,
}

/// Who published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sender {
    /// The id of the connection.
    #[serde(deserialize_with = "text_or_number")]
    pub connection: String,
    /// The user, when the server knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What others may see of it: JSON, as the token or the application said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Box<RawValue>>,
}

/// What was published.
#[derive(Debug, Clone)]
pub enum Payload {
    /// Any JSON, exactly as it was written.
    Json(Box<RawValue>),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Payload {
    /// The value, as a type of the program's.
    ///
    /// # Errors
    /// It is of another type, or bytes, which are none of JSON.
    pub fn json<'p, T: Deserialize<'p>>(&'p self) -> Result<T, serde_json::Error> {
        match self {
            Self::Json(json) => serde_json::from_str(json.get()),
            Self::Binary(bytes) => {
                let problem = format!("these are {} bytes and no JSON", bytes.len());
                Err(Error::custom(problem))
            }
        }
    }

    /// How many bytes it holds.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(json) => json.get().len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// The JSON text, or the bytes in base64.
    pub fn as_text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Json(json) => json.get().into(),
            Self::Binary(bytes) => STANDARD.encode(bytes).into(),
        }
    }
}

impl Publication {
    /// Where it is in its topic's log: what a program stores to go on from there in its next life, with
    /// [`SubscribeOptions::since`](crate::SubscribeOptions::since). None for what was sent to this connection alone.
    pub fn position(&self) -> Option<Position> {
        let (epoch, offset) = self.epoch.zip(self.offset)?;
        Some(Position { epoch, offset })
    }

    /// What was published, as a type of the program's; see [`Payload::json`].
    ///
    /// # Errors
    /// It is of another type.
    pub fn json<'p, T: Deserialize<'p>>(&'p self) -> Result<T, serde_json::Error> {
        self.payload.json()
    }
}

impl PartialEq for Payload {
    /// JSON is compared as it is written.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(one), Self::Json(another)) => one.get() == another.get(),
            (Self::Binary(one), Self::Binary(another)) => one == another,
            _ => false,
        }
    }
}

impl Eq for Payload {}

/// The fields `data` and `data_base64` of an object, of which one is there.
impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let body = Body::deserialize(deserializer)?;
        payload(body.data, body.data_base64)
    }
}

fn payload<E: Error>(data: Option<Box<RawValue>>, data_base64: Option<String>) -> Result<Payload, E> {
    match (data, data_base64) {
        (Some(json), _) => Ok(Payload::Json(json)),
        (None, Some(text)) => Ok(Payload::Binary(STANDARD.decode(text).map_err(E::custom)?)),
        (None, None) => Err(E::missing_field("data")),
    }
}

impl<'de> Deserialize<'de> for Publication {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        let payload = payload(fields.data, fields.data_base64)?;
        Ok(Self {
            topic: fields.topic,
            offset: fields.offset,
            epoch: None,
            key: fields.key,
            tags: fields.tags,
            time: fields.time,
            from: fields.from,
            payload,
        })
    }
}

impl Serialize for Publication {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let given = [
            self.topic.is_some(),
            self.offset.is_some(),
            self.key.is_some(),
            !self.tags.is_empty(),
            self.time.is_some(),
            self.from.is_some(),
        ];
        let fields = 2 + given.into_iter().filter(|is_given| *is_given).count();
        let mut object = serializer.serialize_struct("message", fields)?;
        object.serialize_field("type", "message")?;
        field(&mut object, "topic", self.topic.as_ref())?;
        field(&mut object, "offset", self.offset.as_ref())?;
        field(&mut object, "key", self.key.as_ref())?;
        let tags = Some(&self.tags).filter(|tags| !tags.is_empty());
        field(&mut object, "tags", tags)?;
        field(&mut object, "time", self.time.as_ref())?;
        field(&mut object, "from", self.from.as_ref())?;
        match &self.payload {
            Payload::Json(json) => object.serialize_field("data", json)?,
            Payload::Binary(bytes) => object.serialize_field("data_base64", &STANDARD.encode(bytes))?,
        }
        object.end()
    }
}

/// Writes a field that may be absent.
fn field<O: SerializeStruct>(
    object: &mut O,
    name: &'static str,
    value: Option<&impl Serialize>,
) -> Result<(), O::Error> {
    value.map_or(Ok(()), |value| object.serialize_field(name, value))
}

/// The fields of a `message` object.
#[derive(Deserialize)]
struct Fields {
    topic: Option<String>,
    offset: Option<u64>,
    key: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    time: Option<u64>,
    from: Option<Sender>,
    #[serde(default, deserialize_with = "present")]
    data: Option<Box<RawValue>>,
    data_base64: Option<String>,
}

/// Those of them that any object with a payload has.
#[derive(Deserialize)]
struct Body {
    #[serde(default, deserialize_with = "present")]
    data: Option<Box<RawValue>>,
    data_base64: Option<String>,
}

/// A field that is there, `null` included: an `Option` alone would take `null` for absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_serializes_as_it_came() {
        for text in [
            r#"{"type":"message","topic":"a","offset":7,"time":1,"from":{"connection":"c","user":"u"},"data":{"x": [1]}}"#,
            r#"{"type":"message","topic":"a","offset":7,"time":1,"data":null}"#,
            r#"{"type":"message","topic":"a","offset":7,"key":"k","tags":{"a":"b"},"from":{"connection":"c","info":{"b":1, "a":2}},"data":0}"#,
            r#"{"type":"message","time":1,"from":{"connection":"c"},"data_base64":"AAH/"}"#,
        ] {
            let publication: Publication = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&publication).unwrap(), text);
        }
    }

    #[test]
    fn a_payload_is_read_as_a_type_or_it_is_said_why_not() {
        let read = |text: &str| serde_json::from_str::<Publication>(text).unwrap();
        let publication = read(r#"{"type":"message","data":{"name":"ada"}}"#);
        #[derive(Deserialize)]
        struct Named<'a> {
            name: &'a str,
        }
        assert_eq!(publication.json::<Named<'_>>().unwrap().name, "ada");
        assert!(publication.json::<u64>().is_err());
        let binary = read(r#"{"type":"message","data_base64":"AAH/"}"#);
        let problem = binary.json::<String>().unwrap_err().to_string();
        assert!(problem.contains("3 bytes"), "{problem}");
    }

    #[test]
    fn a_publication_needs_a_payload_that_is_one() {
        for text in [r#"{"topic":"a"}"#, r#"{"topic":"a","data_base64":"?"}"#] {
            assert!(serde_json::from_str::<Publication>(text).is_err(), "{text}");
        }
    }
}
