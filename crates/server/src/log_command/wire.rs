//! How the lines of an export stand in JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare::{
    ConnectionId, Draft, Epoch, IdempotencyKey, Key, Payload, PayloadKind, Position, Publication, Publisher,
    Tags, Timestamp, TopicName, TopicNameError, UserName,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::line::{End, Line, Topic};
use crate::logging::json_line;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Export,
    Value,
    Topic,
    Publication,
    End,
}

/// What of a line says which kind it is.
#[derive(Deserialize)]
struct Tag {
    #[serde(rename = "type")]
    kind: Kind,
}

/// `{"type":"export","format":"fanfare-log","version":1}`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportWire<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    format: Cow<'a, str>,
    version: u64,
}

/// A value beside the log.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueWire<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    name: Cow<'a, str>,
    data_base64: Cow<'a, str>,
}

/// Where a topic stands.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicWire<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    topic: Cow<'a, str>,
    epoch: Cow<'a, str>,
    first: u64,
    offset: u64,
    time: u64,
}

/// A publication: its payload is in one of the fields that begin with `data`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublicationWire<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    topic: Cow<'a, str>,
    epoch: Cow<'a, str>,
    offset: u64,
    time: u64,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    from: Option<FromWire<'a>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    except: Option<Cow<'a, str>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    data: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    data_json: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    data_text: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    data_base64: Option<Cow<'a, str>>,
}

/// Who published.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FromWire<'a> {
    connection: Cow<'a, str>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, str>>,
    /// Its JSON as text.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    info: Option<Cow<'a, str>>,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndWire {
    #[serde(rename = "type")]
    kind: Kind,
    values: u64,
    topics: u64,
    publications: u64,
    damages: u64,
}

/// A field that may be left out; one that is `null` is there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Writes a line.
pub(super) fn write(line: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// What kind of line it is.
pub(super) fn kind(text: &str) -> Result<Kind, String> {
    read::<Tag>(text).map(|tag| tag.kind)
}

/// Reads a line.
pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let said = error.to_string();
        let problem = said
            .rsplit_once(" at line ")
            .map_or(&*said, |(problem, _)| problem);
        let problem = shown(problem);
        format!(
            "it is no line of an export, {problem} at column {}; {WAY_OUT}",
            error.column()
        )
    })
}

impl<'a> ExportWire<'a> {
    pub(super) fn of(format: &'a str, version: u64) -> Self {
        Self {
            kind: Kind::Export,
            format: Cow::from(format),
            version,
        }
    }

    pub(super) fn line(self) -> Line {
        Line::Export {
            format: self.format.into_owned(),
            version: self.version,
        }
    }
}

impl<'a> ValueWire<'a> {
    pub(super) fn of(name: &'a str, value: &[u8]) -> Self {
        Self {
            kind: Kind::Value,
            name: Cow::from(name),
            data_base64: Cow::from(STANDARD.encode(value)),
        }
    }

    pub(super) fn line(self) -> Result<Line, String> {
        Ok(Line::Value {
            value: bytes_of(&self.data_base64)?,
            name: self.name.into_owned(),
        })
    }
}

impl<'a> TopicWire<'a> {
    pub(super) fn of(topic: &'a Topic) -> Self {
        Self {
            kind: Kind::Topic,
            topic: Cow::from(topic.name.as_str()),
            epoch: Cow::from(topic.epoch.to_string()),
            first: topic.first,
            offset: topic.last,
            time: topic.time.0,
        }
    }

    pub(super) fn line(self) -> Result<Line, String> {
        Ok(Line::Topic(Topic {
            name: parsed("topic", &self.topic, topic_name)?,
            epoch: epoch(&self.epoch)?,
            first: self.first,
            last: self.offset,
            time: Timestamp(self.time),
        }))
    }
}

impl<'a> PublicationWire<'a> {
    pub(super) fn of(publication: &'a Publication) -> Self {
        let draft = &publication.draft;
        let wire = Self {
            kind: Kind::Publication,
            topic: Cow::from(draft.topic.as_str()),
            epoch: Cow::from(publication.position.epoch.to_string()),
            offset: publication.position.offset,
            time: draft.time.0,
            from: draft.from.as_ref().map(FromWire::of),
            key: draft.key.as_ref().map(|key| Cow::from(key.as_str())),
            idempotency_key: draft.idempotency_key.as_ref().map(|key| Cow::from(key.as_str())),
            tags: draft.tags.as_ref().map(tags_of),
            except: draft.except.map(|connection| Cow::from(connection.to_string())),
            data: None,
            data_json: None,
            data_text: None,
            data_base64: None,
        };
        wire.with(&draft.payload)
    }

    fn with(self, payload: &'a Payload) -> Self {
        // The bytes are text unless they are binary, so that nothing is replaced.
        let text = || String::from_utf8_lossy(payload.as_bytes());
        match payload.kind() {
            PayloadKind::Json => match on_one_line(payload.as_bytes()) {
                Some(json) => Self {
                    data: Some(json),
                    ..self
                },
                None => Self {
                    data_json: Some(text()),
                    ..self
                },
            },
            PayloadKind::Text => Self {
                data_text: Some(text()),
                ..self
            },
            PayloadKind::Binary => Self {
                data_base64: Some(Cow::from(STANDARD.encode(payload.as_bytes()))),
                ..self
            },
        }
    }

    pub(super) fn line(self) -> Result<Line, String> {
        let draft = Draft {
            payload: self.payload()?,
            from: self.from.map(FromWire::publisher).transpose()?,
            key: optional("key", self.key, Key::parse)?,
            idempotency_key: optional("idempotency_key", self.idempotency_key, IdempotencyKey::parse)?,
            tags: Tags::parse(self.tags.iter().flatten())
                .map_err(|error| format!("tags: {error}; {WAY_OUT}"))?,
            except: optional("except", self.except, ConnectionId::from_str)?,
            ..Draft::new(
                parsed("topic", &self.topic, topic_name)?,
                Payload::null(),
                Timestamp(self.time),
            )
        };
        Ok(Line::Publication(Box::new(Publication {
            draft,
            position: Position {
                epoch: epoch(&self.epoch)?,
                offset: self.offset,
            },
        })))
    }

    fn payload(&self) -> Result<Payload, String> {
        match (self.data, &self.data_json, &self.data_text, &self.data_base64) {
            (Some(json), None, None, None) => Ok(Payload::json(json)),
            (None, Some(json), None, None) => serde_json::from_str(json)
                .map(Payload::json)
                .map_err(|error| format!("data_json is no JSON at column {}; {WAY_OUT}", error.column())),
            (None, None, Some(text), None) => Ok(Payload::text(&**text)),
            (None, None, None, Some(base64)) => bytes_of(base64).map(Payload::binary),
            _ => Err(format!(
                "a publication has one of data, data_json, data_text and data_base64, this one has none or several; {WAY_OUT}"
            )),
        }
    }
}

fn tags_of(tags: &Tags) -> BTreeMap<Cow<'_, str>, Cow<'_, str>> {
    tags.iter()
        .map(|(name, value)| (Cow::from(name), Cow::from(value)))
        .collect()
}

impl<'a> FromWire<'a> {
    fn of(publisher: &'a Publisher) -> Self {
        Self {
            connection: Cow::from(publisher.connection.to_string()),
            user: publisher.user.as_ref().map(|user| Cow::from(user.as_str())),
            info: publisher.info.as_deref().map(Cow::from),
        }
    }

    fn publisher(self) -> Result<Publisher, String> {
        Ok(Publisher {
            connection: parsed("connection", &self.connection, ConnectionId::from_str)?,
            user: optional("user", self.user, UserName::parse)?,
            info: self.info.map(Into::into),
            topic_info: None,
        })
    }
}

impl EndWire {
    pub(super) fn of(end: &End) -> Self {
        let End {
            values,
            topics,
            publications,
            damages,
        } = *end;
        Self {
            kind: Kind::End,
            values,
            topics,
            publications,
            damages,
        }
    }

    pub(super) fn line(self) -> Line {
        Line::End(End {
            values: self.values,
            topics: self.topics,
            publications: self.publications,
            damages: self.damages,
        })
    }
}

/// JSON that can stand in a line as it is: without line breaks, which JSON may have between its tokens.
fn on_one_line(json: &[u8]) -> Option<&RawValue> {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if json.iter().any(is_break) {
        return None;
    }
    let json = std::str::from_utf8(json).ok()?;
    serde_json::from_str(json).ok()
}

fn bytes_of(base64: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(base64)
        .map_err(|error| format!("data_base64 is no padded standard base64, {error}; {WAY_OUT}"))
}

fn epoch(text: &str) -> Result<Epoch, String> {
    let epoch = text.parse::<Epoch>().ok();
    epoch.filter(|epoch| epoch.to_string() == text).ok_or_else(|| {
        let value = shown(text);
        format!("epoch is `{value}`: it is a number of 64 bits in base 36, in small letters; {WAY_OUT}")
    })
}

/// The topic of this name, which may be one of the server's own.
pub(super) fn topic_name(name: &str) -> Result<TopicName, TopicNameError> {
    if name == TopicName::all().as_str() {
        return Ok(TopicName::all());
    }
    let user = name.strip_prefix("$user:").map(UserName::parse);
    match user {
        Some(Ok(user)) => Ok(TopicName::of_user(&user)),
        _ => TopicName::parse(name),
    }
}

fn parsed<T, E: Display>(
    field: &str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, String> {
    parse(text).map_err(|error| format!("{field} is `{}`: {error}; {WAY_OUT}", shown(text)))
}

fn optional<T, E: Display>(
    field: &str,
    text: Option<Cow<'_, str>>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, String> {
    text.map(|text| parsed(field, &text, parse)).transpose()
}

/// The beginning of a text, without anything that a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 200;
    let end = text.char_indices().nth(SHOWN_MAX);
    match end {
        Some((end, _)) => json_line(&text[..end]) + "…",
        None => json_line(text),
    }
}

/// What can be done about a line that is wrong.
pub(super) const WAY_OUT: &str = "correct the line, or export again";
