//! What the server says in the `json` dialect, one type per object.

use std::fmt;
use std::time::Duration;

use fanfare_protocol::codes::ErrorCode;
use fanfare_protocol::{Loss, Position};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::history::HistoryPage;
use crate::limits::OPAQUE_BYTES_MAX;
use crate::place::{loss, position};
use crate::presence::{PresencePage, PresenceUpdate};
use crate::publication::{Payload, Publication};
use crate::token::TokenError;

/// The first message of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Welcome {
    /// The id of this connection, to which others can send directly.
    #[serde(deserialize_with = "text_or_number")]
    pub connection: String,
    /// The user this connection belongs to, when the server knows one.
    pub user: Option<String>,
    /// How long the client may take to say who it is, in milliseconds; none when that is settled.
    pub auth_timeout_ms: Option<u64>,
    /// When the client's token ends, in milliseconds since 1970; none when it does not, or the server does not say.
    pub expires_at: Option<u64>,
    /// How often the server pings a quiet connection, in milliseconds; 0 when it does not say.
    #[serde(default)]
    pub ping_interval_ms: u64,
    /// How long the server waits for the pong, in milliseconds; 0 when it does not say.
    #[serde(default)]
    pub pong_timeout_ms: u64,
    /// What this connection may do.
    #[serde(default)]
    pub limits: Limits,
}

/// What a connection may do; a limit the server does not tell is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Limits {
    /// Largest message the client may send.
    pub message_bytes_max: Option<usize>,
    /// Topics it may be subscribed to.
    pub subscriptions_max: Option<usize>,
    /// Bytes of a topic's name.
    pub topic_bytes_max: Option<usize>,
    /// Commands it may send per second; beyond, the server makes it wait.
    pub commands_per_second: Option<u32>,
    /// Bytes it may send per second; beyond, the server makes it wait.
    pub bytes_per_second: Option<u32>,
}

/// A topic the connection is subscribed to, and the position after which its publications follow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Subscribed {
    /// The topic.
    pub topic: String,
    /// The place in its log; what comes later follows.
    #[serde(flatten, deserialize_with = "position")]
    pub position: Position,
    /// Whether that is the place that the client named; none when it named none, or was subscribed already.
    pub recovered: Option<bool>,
    /// Why it is not. What lies between is missing: [`Gap`](crate::Gap) says what.
    #[serde(default, deserialize_with = "loss")]
    pub reason: Option<Loss>,
}

/// Where a publication was put.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Published {
    /// The topic.
    pub topic: String,
    /// The place in its log.
    #[serde(flatten, deserialize_with = "position")]
    pub position: Position,
    /// Whether it stood there already: it was published before with the same idempotency key, and is not again.
    #[serde(default)]
    pub repeated: bool,
}

/// Who the server takes the client for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Authenticated {
    /// The user, when the token names one.
    pub user: Option<String>,
    /// When the token ends, in milliseconds since 1970; none when it does not.
    pub expires_at: Option<u64>,
}

/// Why the server did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("server refused: {message} (code {code})")]
pub struct Refusal {
    /// The code from the dialect's table.
    #[serde(deserialize_with = "text_or_number")]
    pub code: String,
    /// The reason for people.
    #[serde(default)]
    pub message: String,
    /// Whether the same command may succeed later.
    #[serde(default)]
    pub temporary: bool,
    /// When to ask again, in milliseconds, where the server knows it. Who asks before is closed in the end.
    pub retry_after_ms: Option<u64>,
    /// The epoch in which the topic stands, where it was expected elsewhere.
    pub epoch: Option<String>,
    /// The offset at which it stands.
    pub offset: Option<u64>,
}

impl Refusal {
    /// Where the topic stands that was expected elsewhere: what is between is to be read, then it may be expected there.
    pub fn position(&self) -> Option<Position> {
        Position::from_parts(self.epoch.as_deref()?, self.offset?).ok()
    }

    /// How long the server asks to wait before the same is tried again, when it says.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }

    /// What the server would say to a subscription for which there is no token.
    pub(crate) fn without_token(error: &TokenError) -> Self {
        Self {
            code: ErrorCode::Unauthenticated.name().to_owned(),
            message: error.to_string(),
            temporary: false,
            retry_after_ms: None,
            epoch: None,
            offset: None,
        }
    }
}

/// What the server says before it closes the connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Goodbye {
    /// The code of the close frame that follows.
    pub code: u16,
    /// The reason for people.
    #[serde(default)]
    pub reason: String,
    /// Whether the client should connect again.
    pub reconnect: bool,
    /// How long to wait before that.
    pub reconnect_after_ms: Option<u64>,
}

/// A message of the server that is not what the dialect says.
#[derive(Debug, thiserror::Error)]
#[error("server sent a message that the json dialect does not allow: {0}")]
pub struct Malformed(#[from] serde_json::Error);

impl Malformed {
    /// A message that has no place where it came.
    pub(crate) fn misplaced(problem: &str) -> Self {
        Self(de::Error::custom(problem))
    }
}

/// Any message of the server.
#[derive(Debug)]
pub(crate) enum ServerMessage {
    Welcome(Welcome),
    Subscribed(Option<u64>, Vec<Subscribed>),
    Unsubscribed(Option<u64>, Vec<String>),
    Published(Option<u64>, Published),
    Authenticated(Option<u64>, Authenticated),
    Result(Option<u64>, Payload),
    Pong(Option<u64>, Option<u64>),
    Publication(Publication),
    Occupancy {
        topic: String,
        subscribers: u64,
    },
    Attendance(String, PresenceUpdate),
    History(Option<u64>, HistoryPage),
    Presence(Option<u64>, PresencePage),
    Missed(Missed),
    Error(Option<u64>, Refusal),
    Goodbye(Goodbye),
    /// A type that this client does not ask for, or that a later version of the dialect may have.
    Unknown,
}

impl ServerMessage {
    /// Reads one text message.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let Envelope { kind, id } = serde_json::from_str(text)?;
        // Replies repeat the id of a command, and this client's ids are numbers.
        let id = id.as_ref().and_then(serde_json::Value::as_u64);
        Ok(match &*kind {
            "message" => Self::Publication(serde_json::from_str(text)?),
            "published" => Self::Published(id, serde_json::from_str(text)?),
            "subscribed" => Self::Subscribed(id, serde_json::from_str::<Topics<_>>(text)?.topics),
            "unsubscribed" => Self::Unsubscribed(id, serde_json::from_str::<Topics<_>>(text)?.topics),
            "occupancy" => {
                let Occupancy { topic, subscribers } = serde_json::from_str(text)?;
                Self::Occupancy { topic, subscribers }
            }
            "history" => Self::History(id, serde_json::from_str::<HistoryPage>(text)?.completed()),
            "presence" => Self::Presence(id, serde_json::from_str(text)?),
            "attendance" => {
                let About { topic } = serde_json::from_str(text)?;
                Self::Attendance(topic, serde_json::from_str(text)?)
            }
            "missed" => Self::Missed(serde_json::from_str(text)?),
            "authenticated" => Self::Authenticated(id, serde_json::from_str(text)?),
            "result" => Self::Result(id, serde_json::from_str(text)?),
            "pong" => Self::Pong(id, serde_json::from_str::<Time>(text)?.time),
            "error" => Self::Error(id, serde_json::from_str(text)?),
            "welcome" => Self::Welcome(serde_json::from_str(text)?),
            "goodbye" => Self::Goodbye(serde_json::from_str(text)?),
            _ => Self::Unknown,
        })
    }
}

/// What every message has.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    id: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Topics<T> {
    topics: Vec<T>,
}

#[derive(Deserialize)]
struct About {
    topic: String,
}

#[derive(Deserialize)]
struct Occupancy {
    topic: String,
    subscribers: u64,
}

/// What the server leaves out of a topic.
#[derive(Debug, Deserialize)]
pub(crate) struct Missed {
    pub(crate) topic: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) count: u64,
}

impl Missed {
    /// Whether none between the first and the last of them comes any more.
    pub(crate) fn is_whole(&self) -> bool {
        self.to
            .checked_sub(self.from)
            .and_then(|more| more.checked_add(1))
            == Some(self.count)
    }
}

#[derive(Deserialize)]
struct Time {
    time: Option<u64>,
}

/// An opaque word of the server, which it may write as text or as a number.
pub(crate) fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(Opaque)
}

struct Opaque;

impl Visitor<'_> for Opaque {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "text of at most {OPAQUE_BYTES_MAX} bytes or a whole number"
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        if text.len() > OPAQUE_BYTES_MAX {
            return Err(E::invalid_length(text.len(), &self));
        }
        Ok(text.to_owned())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_types_and_fields_are_passed_over() {
        assert!(matches!(
            ServerMessage::parse(r#"{"type":"news from 2040","x":1}"#),
            Ok(ServerMessage::Unknown)
        ));
        let pong = ServerMessage::parse(r#"{"id":3,"type":"pong","time":5,"x":[]}"#);
        assert!(
            matches!(pong, Ok(ServerMessage::Pong(Some(3), Some(5)))),
            "{pong:?}"
        );
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"published","id":1}"#,
            r#"{"type":"published","id":1,"topic":"a","epoch":"+e","offset":1}"#,
            r#"{"type":"message"}"#,
            r#"{"type":"result","id":1}"#,
            r#"{"type":"presence","id":1,"topic":"a","connections":1,"users":1}"#,
            r#"{"type":"attendance","topic":"a","came":[],"went":[]}"#,
            r#"{"type":"attendance","topic":"a","connections":1,"users":1,"came":[{"user":"ada"}]}"#,
            &format!(
                r#"{{"type":"welcome","connection":"{}"}}"#,
                "x".repeat(OPAQUE_BYTES_MAX + 1)
            ),
        ] {
            assert!(ServerMessage::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_are_told_with_what_was_published_and_what_conflicts() {
        let place = "k2w9:17".parse().ok();
        let place_in = |text| match ServerMessage::parse(text) {
            Ok(ServerMessage::Published(_, published)) => (Some(published.position), published.repeated),
            Ok(ServerMessage::Error(_, refusal)) => (refusal.position(), false),
            other => panic!("{other:?}"),
        };
        let published = r#"{"type":"published","id":1,"topic":"a","epoch":"k2w9","offset":17}"#;
        assert_eq!(place_in(published), (place, false));
        let repeated = published.replace("17", "17,\"repeated\":true");
        assert_eq!(place_in(&repeated), (place, true));
        let conflict = r#"{"type":"error","id":1,"code":"conflict","epoch":"k2w9","offset":17}"#;
        assert_eq!(place_in(conflict), (place, false));
        assert_eq!(
            place_in(r#"{"type":"error","id":1,"code":"forbidden"}"#),
            (None, false)
        );
    }

    #[test]
    fn who_is_there_is_told_as_everyone_or_as_what_changed() {
        let ada = r#"{"connection":"c1","user":"ada","info":{"x":1.0},"since":5}"#;
        for told in [
            format!(r#""members":[{ada}],"complete":true"#),
            format!(r#""came":[],"went":[{ada}]"#),
        ] {
            let fields = format!(r#""connections":3,"users":2,{told}"#);
            let text = format!(r#"{{"type":"attendance","topic":"a",{fields}}}"#);
            match ServerMessage::parse(&text) {
                Ok(ServerMessage::Attendance(topic, update)) => {
                    assert_eq!((&*topic, update.attendance().users), ("a", 2));
                    let written = serde_json::to_string(&update).unwrap();
                    assert_eq!(written, format!("{{{fields}}}"));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn opaque_words_may_be_numbers() {
        let one = r#"{"type":"published","id":1,"topic":"a","epoch":12,"offset":1}"#;
        let other = r#"{"type":"published","id":1,"topic":"a","epoch":"12","offset":1}"#;
        let epoch = |text| match ServerMessage::parse(text) {
            Ok(ServerMessage::Published(_, published)) => published.position.epoch,
            other => panic!("{other:?}"),
        };
        assert_eq!(epoch(one), epoch(other));
    }
}
