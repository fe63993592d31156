//! Publications, replies and pushes as JSON text, which a dialect puts into its frames.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use super::granted::With;
use crate::dialect::Direct;
use crate::{
    Attendance, CommandId, HistoryPage, Loss, Payload, PayloadKind, Position, Present, Publication,
    Publisher, Push, Reply, SubscribedTopic, TOPIC_BYTES_MAX, TopicName, Turn, UserName,
};

/// A publication as a `message`.
pub(in crate::dialect) fn write_publication(publication: &Publication, text: &mut Vec<u8>) {
    let draft = &publication.draft;
    text.reserve(draft.payload.as_bytes().len() + 160);
    text.extend_from_slice(b"{\"type\":\"message\",\"topic\":");
    append_json(draft.topic.as_str(), text);
    text.push(b',');
    append_publication(publication, text);
}

/// The fields of a publication but its topic, and the closing brace.
fn append_publication(publication: &Publication, text: &mut Vec<u8>) {
    let draft = &publication.draft;
    text.extend_from_slice(b"\"offset\":");
    append_json(&publication.position.offset, text);
    if let Some(key) = &draft.key {
        text.extend_from_slice(b",\"key\":");
        append_json(key.as_str(), text);
    }
    if let Some(tags) = &draft.tags {
        text.extend_from_slice(b",\"tags\":");
        append_json(tags, text);
    }
    append_body(draft.time.0, draft.from.as_ref(), &draft.payload, text);
}

/// A page of history: what `message`s say, but without `type` and `topic`.
fn write_history(id: Option<&RawValue>, page: &HistoryPage, text: &mut Vec<u8>) {
    let head = Answer::History {
        id,
        head: HistoryHead::of(page),
    };
    append_history(&head, page, text);
}

impl HistoryPage {
    /// What the dialect `json` answers to `history`, without `type` and `id`: one JSON object. Costs a copy of the payloads.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = Vec::new();
        append_history(&HistoryHead::of(self), self, &mut text);
        text
    }
}

fn append_history(head: &impl Serialize, page: &HistoryPage, text: &mut Vec<u8>) {
    let payloads = page.publications.iter().map(|p| p.draft.payload.as_bytes().len());
    text.reserve(payloads.map(|bytes| bytes + 128).sum::<usize>() + 128);
    append_json(head, text);
    // The list is written into the object, so that payloads stay as raw as they are.
    text.pop();
    text.extend_from_slice(b",\"messages\":[");
    for (place, publication) in page.publications.iter().enumerate() {
        text.extend_from_slice(if place == 0 { b"{" } else { b",{" });
        append_publication(publication, text);
    }
    text.extend_from_slice(b"]}");
}

/// What was sent to one connection as a `message` without topic.
pub(in crate::dialect) fn write_direct(sent: &Direct, text: &mut Vec<u8>) {
    text.reserve(sent.payload.as_bytes().len() + 128);
    text.extend_from_slice(b"{\"type\":\"message\"");
    append_body(sent.time.0, sent.from.as_ref(), &sent.payload, text);
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
        topics: Vec<Begun<'a>>,
    },
    Unsubscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        topics: Vec<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
    },
    Published {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        #[serde(flatten)]
        at: At<'a>,
        #[serde(skip_serializing_if = "is_false")]
        repeated: bool,
    },
    History {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        #[serde(flatten)]
        head: HistoryHead<'a>,
    },
    Presence {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        #[serde(flatten)]
        head: Head<'a>,
        members: Vec<Member<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
    Attendance {
        #[serde(flatten)]
        head: Head<'a>,
        #[serde(flatten)]
        change: Change<'a>,
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
        application_code: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        #[serde(flatten)]
        standing_at: Option<Place>,
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

/// A topic from the position after which its messages follow.
#[derive(Serialize)]
struct Begun<'a> {
    #[serde(flatten)]
    at: At<'a>,
    #[serde(flatten)]
    recovery: Recovery,
    #[serde(flatten)]
    with: Option<With<'a>>,
}

/// Everything of a page of history but its publications.
#[derive(Serialize)]
struct HistoryHead<'a> {
    #[serde(flatten)]
    begun: Begun<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Next>,
}

impl<'a> HistoryHead<'a> {
    fn of(page: &'a HistoryPage) -> Self {
        Self {
            begun: Begun {
                at: At::of(&page.topic, page.end),
                recovery: Recovery::of(page.recovered),
                with: None,
            },
            next: page.next.map(Next::of),
        }
    }
}

/// Whether a client goes on from where it was, where it asked for that.
#[derive(Serialize)]
struct Recovery {
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// The field that a client gives to read on.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Next {
    Since(Place),
    Before(Place),
}

#[derive(Serialize)]
struct Place {
    epoch: String,
    offset: u64,
}

impl Place {
    fn of(position: Position) -> Self {
        Self {
            epoch: position.epoch.to_string(),
            offset: position.offset,
        }
    }
}

impl Next {
    fn of(turn: Turn) -> Self {
        match turn {
            Turn::Since(position) => Self::Since(Place::of(position)),
            Turn::Before(position) => Self::Before(Place::of(position)),
        }
    }
}

impl Recovery {
    fn of(recovered: Option<Result<(), Loss>>) -> Self {
        Self {
            recovered: recovered.map(|outcome| outcome.is_ok()),
            reason: recovered.and_then(Result::err).map(Loss::name),
        }
    }
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

/// A topic and how many are there.
#[derive(Serialize)]
struct Head<'a> {
    topic: &'a str,
    connections: u64,
    users: u64,
}

/// Who is there, or what has changed.
#[derive(Serialize)]
#[serde(untagged)]
enum Change<'a> {
    All {
        members: Vec<Member<'a>>,
        complete: bool,
    },
    Some {
        came: Vec<Member<'a>>,
        went: Vec<Member<'a>>,
    },
}

#[derive(Serialize)]
struct Member<'a> {
    connection: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_info: Option<&'a RawValue>,
    since: u64,
}

impl<'a> Head<'a> {
    fn of(topic: &'a TopicName, attendance: Attendance) -> Self {
        Self {
            topic: topic.as_str(),
            connections: attendance.connections,
            users: attendance.users,
        }
    }
}

impl<'a> Member<'a> {
    fn of(present: &'a Present) -> Self {
        Self {
            connection: present.connection.to_string(),
            user: present.user.as_ref().map(UserName::as_str),
            info: raw(present.info.as_ref()),
            topic_info: raw(present.topic_info.as_ref()),
            since: present.since.0,
        }
    }
}

/// What others may see of a connection, as it is written.
fn raw(info: Option<&Arc<str>>) -> Option<&RawValue> {
    info.and_then(|info| serde_json::from_str(info).ok())
}

#[derive(Serialize)]
struct From<'a> {
    connection: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_info: Option<&'a RawValue>,
}

impl<'a> From<'a> {
    fn of(publisher: &'a Publisher) -> Self {
        Self {
            connection: publisher.connection.to_string(),
            user: publisher.user.as_ref().map(UserName::as_str),
            info: raw(publisher.info.as_ref()),
            topic_info: raw(publisher.topic_info.as_ref()),
        }
    }
}

impl<'a> At<'a> {
    fn of(topic: &'a TopicName, position: Position) -> Self {
        Self {
            topic: topic.as_str(),
            epoch: position.epoch.to_string(),
            offset: position.offset,
        }
    }
}

/// A reply, with the id of its command.
pub(in crate::dialect) fn write_reply(id: Option<&CommandId>, reply: &Reply, text: &mut Vec<u8>) {
    let id = id.and_then(|id| serde_json::from_str::<&RawValue>(id.as_json()).ok());
    let answer = match reply {
        Reply::Subscribed { topics } => Answer::Subscribed {
            id,
            topics: topics
                .iter()
                .map(|subscribed: &SubscribedTopic| Begun {
                    at: At::of(&subscribed.topic, subscribed.position),
                    recovery: Recovery::of(subscribed.recovered),
                    with: subscribed.granted.as_deref().map(With::of),
                })
                .collect(),
        },
        Reply::Unsubscribed { topics } => Answer::Unsubscribed {
            id,
            topics: topics.iter().map(TopicName::as_str).collect(),
            reason: None,
        },
        Reply::Published {
            topic,
            position,
            is_repetition,
        } => Answer::Published {
            id,
            at: At::of(topic, *position),
            repeated: *is_repetition,
        },
        Reply::History(page) => return write_history(id, page, text),
        Reply::Presence(page) => Answer::Presence {
            id,
            head: Head::of(&page.topic, page.attendance),
            members: page.members.iter().map(Member::of).collect(),
            next: page.next.map(|next| next.to_string()),
        },
        // What no client of this dialect can ask for, in the words that come nearest.
        Reply::Attendance { topic, attendance } => Answer::Presence {
            id,
            head: Head::of(topic, *attendance),
            members: Vec::new(),
            next: None,
        },
        Reply::Renewed { .. } => return,
        Reply::Welcomed { welcome, .. } => return write_push(&Push::Welcome(welcome.clone()), text),
        Reply::Sent => Answer::Sent { id },
        Reply::Result { payload } => return write_result(id, payload, text),
        Reply::Authenticated { user, expires_at, .. } => Answer::Authenticated {
            id,
            user: user.as_ref().map(UserName::as_str),
            expires_at: expires_at.map(|at| at.0),
        },
        Reply::Pong { time } => Answer::Pong { id, time: time.0 },
        Reply::Error {
            code,
            message,
            retry_after_ms,
            position,
            application_code,
        } => Answer::Error {
            id,
            code: code.name(),
            message,
            temporary: code.is_temporary(),
            application_code: *application_code,
            retry_after_ms: *retry_after_ms,
            standing_at: position.map(Place::of),
        },
    };
    text.reserve(128);
    append_json(&answer, text);
}

/// What a procedure gave. Its payload is as raw as a publication's.
fn write_result(id: Option<&RawValue>, payload: &Payload, text: &mut Vec<u8>) {
    text.reserve(payload.as_bytes().len() + 64);
    text.extend_from_slice(b"{\"type\":\"result\"");
    if let Some(id) = id {
        text.extend_from_slice(b",\"id\":");
        append_json(id, text);
    }
    append_payload(payload, text);
    text.push(b'}');
}

/// A push.
pub(in crate::dialect) fn write_push(push: &Push, text: &mut Vec<u8>) {
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
        Push::Members(page) => Answer::Attendance {
            head: Head::of(&page.topic, page.attendance),
            change: Change::All {
                members: page.members.iter().map(Member::of).collect(),
                complete: page.next.is_none(),
            },
        },
        Push::Attendance(diff) => Answer::Attendance {
            head: Head::of(&diff.topic, diff.attendance),
            change: Change::Some {
                came: diff.came.iter().map(Member::of).collect(),
                went: diff.went.iter().map(Member::of).collect(),
            },
        },
        Push::Missed(missed) => Answer::Missed {
            topic: missed.topic.as_str(),
            epoch: missed.from.epoch.to_string(),
            from: missed.from.offset,
            to: missed.to,
            count: missed.count,
        },
        Push::LeaveEnded { topic } => Answer::Unsubscribed {
            id: None,
            topics: vec![topic.as_str()],
            reason: Some("expired"),
        },
        // A client of this dialect is closed in its place.
        Push::PositionLost { .. } => return,
        Push::Goodbye(goodbye) => Answer::Goodbye {
            code: goodbye.disconnect.code(),
            reason: goodbye.disconnect.reason(),
            reconnect: goodbye.disconnect.reconnects(),
            reconnect_after_ms: goodbye.reconnect_after_ms,
        },
    };
    text.reserve(128);
    append_json(&answer, text);
}

/// A flag that is only said when it is raised.
fn is_false(flag: &bool) -> bool {
    !flag
}
