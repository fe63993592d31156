//! The `json` dialect: text messages that are one JSON object with a `type`. `docs/protocol/json.md` describes it.
//!
//! Payloads pass through as raw JSON text: they are scanned for well-formedness once when they come in and never
//! parsed into values.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::Direct;
use crate::codes::ErrorCode;
use crate::websocket::{Opcode, encode_frame};
use crate::{
    Command, CommandId, Every, Key, Payload, PayloadKind, Publication, Publisher, Push, Rejection, Reply,
    SubscribedTopic, TOPIC_BYTES_MAX, Target, TopicName, UserName, Verb,
};

/// Reads one command.
pub(super) fn decode(text: &str) -> Result<Command<'_>, Rejection> {
    // Without this, serde would also take an array for the fields in their order.
    if !text.trim_start().starts_with('{') {
        let message = "message is not a JSON object, send one with a `type`";
        return Err(Rejection::new(None, ErrorCode::BadJson, message));
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| unreadable(text, &error))?;
    let id = match fields.id {
        Some(id) => {
            Some(CommandId::from_json(id.get()).map_err(|e| Rejection::new(None, ErrorCode::BadCommand, e))?)
        }
        None => None,
    };
    match fields.verb() {
        Ok(verb) => Ok(Command { id, verb }),
        Err(message) => Err(Rejection::new(id, ErrorCode::BadCommand, message)),
    }
}

/// Every field that any command has. Unknown ones are ignored, so that newer clients can talk to older servers.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    topic: Option<Text<'a>>,
    #[serde(borrow)]
    topics: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    echo: Option<bool>,
    occupancy: Option<bool>,
    #[serde(borrow)]
    every: Option<Text<'a>>,
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    connection: Option<Text<'a>>,
    #[serde(borrow)]
    user: Option<Text<'a>>,
    #[serde(borrow)]
    token: Option<Text<'a>>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
}

/// A string that borrows from the input unless it has escapes. (`Option<Cow<str>>` alone would always copy.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a field that is there, `null` included: `"data": null` publishes null, a missing `data` is an error.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Fields<'a> {
    /// The verb that the fields spell, or what is wrong with them.
    fn verb(self) -> Result<Verb<'a>, String> {
        let Some(Text(kind)) = &self.kind else {
            return Err(format!("`type` is missing, it is one of {VERBS}"));
        };
        match &**kind {
            "subscribe" => self.subscribe(),
            "unsubscribe" => Ok(Verb::Unsubscribe {
                topics: self.topics()?,
            }),
            "publish" => self.publish(),
            "send" => self.send(),
            "call" => self.call(),
            "auth" => match self.token {
                Some(Text(token)) => Ok(Verb::Authenticate { token }),
                None => Err("`token` is missing".to_owned()),
            },
            "ping" => Ok(Verb::Ping),
            other => Err(format!("`type` is {}, it is one of {VERBS}", quoted(other))),
        }
    }

    fn subscribe(mut self) -> Result<Verb<'a>, String> {
        let occupancy = self.occupancy.unwrap_or(false);
        let every = self.every.as_ref().map(|Text(every)| every.parse::<Every>());
        let every = every.transpose().map_err(|error| error.to_string())?;
        let token = self.token.take().map(|Text(token)| token);
        Ok(Verb::Subscribe {
            topics: self.topics()?,
            occupancy,
            every,
            token,
        })
    }

    fn topics(self) -> Result<Vec<Cow<'a, str>>, String> {
        let topics = match (self.topic, self.topics) {
            (Some(topic), None) => vec![topic.0],
            (None, Some(topics)) => topics.into_iter().map(|topic| topic.0).collect(),
            (Some(_), Some(_)) => return Err("both `topic` and `topics` are given, give one".to_owned()),
            (None, None) => return Err("`topic` or `topics` is missing".to_owned()),
        };
        if topics.is_empty() {
            Err("`topics` is empty, name at least one".to_owned())
        } else {
            Ok(topics)
        }
    }

    fn publish(self) -> Result<Verb<'a>, String> {
        let payload = self.payload()?;
        let Some(Text(topic)) = self.topic else {
            return Err("`topic` is missing".to_owned());
        };
        let key = self.key.as_ref().map(|Text(key)| Key::parse(key));
        let key = key.transpose().map_err(|error| error.to_string())?;
        Ok(Verb::Publish {
            topic,
            payload,
            key,
            echo: self.echo.unwrap_or(true),
        })
    }

    fn send(self) -> Result<Verb<'a>, String> {
        let payload = self.payload()?;
        let to = match (self.connection, self.user) {
            (Some(Text(id)), None) => Target::Connection(id.parse().map_err(|e| format!("{e}"))?),
            (None, Some(Text(name))) => Target::User(UserName::parse(&name).map_err(|e| e.to_string())?),
            _ => return Err("`send` needs either `connection` or `user`".to_owned()),
        };
        Ok(Verb::Send { to, payload })
    }

    fn call(self) -> Result<Verb<'a>, String> {
        let payload = self.data.map_or_else(Payload::null, Payload::json);
        match self.method {
            Some(Text(method)) if (1..=METHOD_BYTES_MAX).contains(&method.len()) => {
                Ok(Verb::Call { method, payload })
            }
            Some(Text(method)) => Err(format!(
                "`method` is {} bytes, it has 1 to {METHOD_BYTES_MAX}",
                method.len()
            )),
            None => Err("`method` is missing".to_owned()),
        }
    }

    fn payload(&self) -> Result<Payload, String> {
        self.data
            .map(Payload::json)
            .ok_or_else(|| "`data` is missing, it is any JSON value".to_owned())
    }
}

const VERBS: &str = "`auth`, `subscribe`, `unsubscribe`, `publish`, `send`, `call`, `ping`";

/// The longest name of a procedure, in bytes.
const METHOD_BYTES_MAX: usize = 128;

/// What to say about a message that is not a command, with its `id` where that much can be read.
fn unreadable(text: &str, error: &serde_json::Error) -> Rejection {
    #[derive(Deserialize)]
    struct OnlyId<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let id = serde_json::from_str::<OnlyId<'_>>(text)
        .ok()
        .and_then(|only| CommandId::from_json(only.id.get()).ok());
    let code = if error.is_data() {
        ErrorCode::BadCommand
    } else {
        ErrorCode::BadJson
    };
    // It may repeat a whole value of the message, and a refusal must stay short however long that is.
    let error = error.to_string();
    Rejection::new(id, code, format!("message is not a command: {}", cut(&error)))
}

/// At most the length of a topic name of what a client wrote, in quotes.
fn quoted(text: &str) -> String {
    format!("{:?}", cut(text))
}

fn cut(text: &str) -> &str {
    let mut places = text.char_indices().map(|(at, _)| at);
    let end = places.find(|&at| at > TOPIC_BYTES_MAX);
    end.map_or(text, |end| &text[..end])
}

/// A publication as a `message`.
pub(super) fn encode_publication(publication: &Publication, frame: &mut Vec<u8>) {
    let draft = &publication.draft;
    let mut text = Vec::with_capacity(draft.payload.as_bytes().len() + 160);
    text.extend_from_slice(b"{\"type\":\"message\",\"topic\":");
    append_json(draft.topic.as_str(), &mut text);
    text.extend_from_slice(b",\"offset\":");
    append_json(&publication.position.offset, &mut text);
    if let Some(key) = &draft.key {
        text.extend_from_slice(b",\"key\":");
        append_json(key.as_str(), &mut text);
    }
    append_body(draft.time.0, draft.from.as_ref(), &draft.payload, &mut text);
    encode_frame(Opcode::Text, &text, frame);
}

/// What was sent to one connection as a `message` without topic.
pub(super) fn encode_direct(sent: &Direct, frame: &mut Vec<u8>) {
    let mut text = Vec::with_capacity(sent.payload.as_bytes().len() + 128);
    text.extend_from_slice(b"{\"type\":\"message\"");
    append_body(sent.time.0, sent.from.as_ref(), &sent.payload, &mut text);
    encode_frame(Opcode::Text, &text, frame);
}

/// The fields that all messages share, and the closing brace.
fn append_body(time: u64, from: Option<&Publisher>, payload: &Payload, text: &mut Vec<u8>) {
    text.extend_from_slice(b",\"time\":");
    append_json(&time, text);
    if let Some(publisher) = from {
        text.extend_from_slice(b",\"from\":");
        append_json(&From::of(publisher), text);
    }
    append_payload(payload, text);
    text.push(b'}');
}

/// JSON verbatim, text as a JSON string, bytes in base64 under their own name.
fn append_payload(payload: &Payload, text: &mut Vec<u8>) {
    let bytes = payload.as_bytes();
    match (payload.kind(), std::str::from_utf8(bytes)) {
        (PayloadKind::Json, _) => {
            text.extend_from_slice(b",\"data\":");
            text.extend_from_slice(bytes);
        }
        (PayloadKind::Text, Ok(string)) => {
            text.extend_from_slice(b",\"data\":");
            append_json(string, text);
        }
        (PayloadKind::Binary | PayloadKind::Text, _) => {
            text.extend_from_slice(b",\"data_base64\":");
            append_json(&STANDARD.encode(bytes), text);
        }
    }
}

/// Appends a value as JSON. Writing numbers, strings and plain structs into a vector cannot fail.
fn append_json(value: &(impl Serialize + ?Sized), text: &mut Vec<u8>) {
    let written = serde_json::to_writer(text, value);
    debug_assert!(written.is_ok(), "plain values always serialize");
}

/// Everything the server says but publications.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Answer<'a> {
    Subscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        topics: Vec<At<'a>>,
    },
    Unsubscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        topics: Vec<&'a str>,
    },
    Published {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        #[serde(flatten)]
        at: At<'a>,
    },
    Sent {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
    },
    Authenticated {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_at: Option<u64>,
    },
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        time: u64,
    },
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        code: &'static str,
        message: &'a str,
        temporary: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    Welcome {
        connection: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        auth_timeout_ms: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_at: Option<u64>,
        ping_interval_ms: u64,
        pong_timeout_ms: u64,
        limits: Limits,
    },
    Occupancy {
        topic: &'a str,
        subscribers: u64,
    },
    Missed {
        topic: &'a str,
        epoch: String,
        from: u64,
        to: u64,
        count: u64,
    },
    Goodbye {
        code: u16,
        reason: &'a str,
        reconnect: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reconnect_after_ms: Option<u64>,
    },
}

#[derive(Serialize)]
struct At<'a> {
    topic: &'a str,
    epoch: String,
    offset: u64,
}

#[derive(Serialize)]
struct Limits {
    message_bytes_max: u32,
    subscriptions_max: u32,
    topic_bytes_max: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    commands_per_second: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<u32>,
}

#[derive(Serialize)]
struct From<'a> {
    connection: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a RawValue>,
}

impl<'a> From<'a> {
    fn of(publisher: &'a Publisher) -> Self {
        Self {
            connection: publisher.connection.to_string(),
            user: publisher.user.as_ref().map(UserName::as_str),
            info: publisher
                .info
                .as_ref()
                .and_then(|info| serde_json::from_str(info).ok()),
        }
    }
}

impl<'a> At<'a> {
    fn of(topic: &'a TopicName, position: crate::Position) -> Self {
        Self {
            topic: topic.as_str(),
            epoch: position.epoch.to_string(),
            offset: position.offset,
        }
    }
}

/// A reply, with the id of its command.
pub(super) fn encode_reply(id: Option<&CommandId>, reply: &Reply, frame: &mut Vec<u8>) {
    let id = id.and_then(|id| serde_json::from_str::<&RawValue>(id.as_json()).ok());
    let answer = match reply {
        Reply::Subscribed { topics } => Answer::Subscribed {
            id,
            topics: topics
                .iter()
                .map(|SubscribedTopic { topic, position }| At::of(topic, *position))
                .collect(),
        },
        Reply::Unsubscribed { topics } => Answer::Unsubscribed {
            id,
            topics: topics.iter().map(TopicName::as_str).collect(),
        },
        Reply::Published { topic, position } => Answer::Published {
            id,
            at: At::of(topic, *position),
        },
        Reply::Sent => Answer::Sent { id },
        Reply::Result { payload } => return encode_result(id, payload, frame),
        Reply::Authenticated { user, expires_at } => Answer::Authenticated {
            id,
            user: user.as_ref().map(UserName::as_str),
            expires_at: expires_at.map(|at| at.0),
        },
        Reply::Pong { time } => Answer::Pong { id, time: time.0 },
        Reply::Error {
            code,
            message,
            retry_after_ms,
        } => Answer::Error {
            id,
            code: code.name(),
            message,
            temporary: code.is_temporary(),
            retry_after_ms: *retry_after_ms,
        },
    };
    append_answer(&answer, frame);
}

/// What a procedure gave. Its payload is as raw as a publication's.
fn encode_result(id: Option<&RawValue>, payload: &Payload, frame: &mut Vec<u8>) {
    let mut text = Vec::with_capacity(payload.as_bytes().len() + 64);
    text.extend_from_slice(b"{\"type\":\"result\"");
    if let Some(id) = id {
        text.extend_from_slice(b",\"id\":");
        append_json(id, &mut text);
    }
    append_payload(payload, &mut text);
    text.push(b'}');
    encode_frame(Opcode::Text, &text, frame);
}

/// A push.
pub(super) fn encode_push(push: &Push, frame: &mut Vec<u8>) {
    let answer = match push {
        Push::Welcome(welcome) => Answer::Welcome {
            connection: welcome.connection.to_string(),
            user: welcome.user.as_ref().map(UserName::as_str),
            auth_timeout_ms: welcome.auth_timeout_ms,
            expires_at: welcome.expires_at.map(|at| at.0),
            ping_interval_ms: welcome.ping_interval_ms,
            pong_timeout_ms: welcome.pong_timeout_ms,
            limits: Limits {
                message_bytes_max: welcome.message_bytes_max,
                subscriptions_max: welcome.subscriptions_max,
                topic_bytes_max: TOPIC_BYTES_MAX,
                commands_per_second: welcome.commands_per_second,
                bytes_per_second: welcome.bytes_per_second,
            },
        },
        Push::Occupancy { topic, subscribers } => Answer::Occupancy {
            topic: topic.as_str(),
            subscribers: *subscribers,
        },
        Push::Missed(missed) => Answer::Missed {
            topic: missed.topic.as_str(),
            epoch: missed.from.epoch.to_string(),
            from: missed.from.offset,
            to: missed.to,
            count: missed.count,
        },
        Push::Goodbye(goodbye) => Answer::Goodbye {
            code: goodbye.disconnect.code(),
            reason: goodbye.disconnect.reason(),
            reconnect: goodbye.disconnect.reconnects(),
            reconnect_after_ms: goodbye.reconnect_after_ms,
        },
    };
    append_answer(&answer, frame);
}

fn append_answer(answer: &Answer<'_>, frame: &mut Vec<u8>) {
    let mut text = Vec::with_capacity(128);
    append_json(answer, &mut text);
    encode_frame(Opcode::Text, &text, frame);
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
