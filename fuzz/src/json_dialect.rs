//! `json_dialect`: commands in JSON, and what the server says about them.
//!
//! The input is the text of one message. Checked: what is taken is what was written, the payload and the id byte for
//! byte; what is called bad JSON is no JSON object; a reply repeats the id exactly; a refusal is short however long
//! the message was; everything the server writes is one frame with one JSON object.

use std::collections::BTreeMap;

use fanfare_protocol::codes::ErrorCode;
use fanfare_protocol::dialect::{BadMessage, Dialect, Direct};
use fanfare_protocol::websocket::Item;
use fanfare_protocol::{
    Command, CommandId, Draft, Epoch, IdempotencyKey, Key, Payload, Position, Publication, PublishOptions,
    Reading, Rejection, Reply, Since, Tags, Target, Timestamp, TopicName, Verb, Wanted,
};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::bounds::bounded;
use crate::decoded::Decoded;
use crate::stream::only_item;

/// The longest frame of a refusal, in bytes.
const REFUSAL_BYTES_MAX: usize = 2_048;

/// The members of a JSON object as they were written.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    bounded(64 * text.len() + (64 << 10), || {
        match Dialect::Json.decode(&Item::Text(text)) {
            Ok(command) => check_command(text, &command),
            Err(BadMessage::Rejected(rejection)) => check_rejection(text, &rejection),
            Err(BadMessage::Fatal(cause)) => panic!("text is fatal: {cause:?}"),
        }
    });
}

fn check_command(text: &str, command: &Command<'_>) {
    let members: Members<'_> = serde_json::from_str(text).unwrap();
    let id = members.get("id").map(|id| id.get());
    assert_eq!(command.id.as_ref().map(CommandId::as_json), id);
    check_reply(command.id.as_ref());
    let kind = string(&members, "type");
    match &command.verb {
        Verb::Subscribe { .. } => {
            assert_eq!(kind, "subscribe");
            check_subscribe(&members, &command.verb);
        }
        Verb::Unsubscribe { topics } => {
            assert_eq!(kind, "unsubscribe");
            let named: Vec<String> = entries(&members).into_iter().map(|(topic, _)| topic).collect();
            assert_eq!(*topics, named);
        }
        Verb::Publish {
            topic,
            payload,
            options,
            echo,
        } => {
            assert_eq!(kind, "publish");
            check_options(&members, options);
            assert_eq!(*topic, string(&members, "topic"));
            assert_eq!(*echo, flag(&members, "echo", true));
            check_payload(&members, payload);
        }
        Verb::History {
            topic,
            reading,
            limit,
        } => {
            assert_eq!(kind, "history");
            assert_eq!(*topic, string(&members, "topic"));
            check_history(&members, *reading, *limit);
        }
        Verb::Presence { topic, after, limit } => {
            assert_eq!(kind, "presence");
            assert_eq!(*topic, string(&members, "topic"));
            let written = optional(&members, "after");
            assert_eq!(*after, written.map(|after| after.parse().unwrap()));
            check_limit(&members, *limit);
        }
        Verb::Send { to, payload } => {
            assert_eq!(kind, "send");
            match to {
                Target::Connection(id) => assert_eq!(id.to_string(), string(&members, "connection")),
                Target::User(user) => assert_eq!(user.as_str(), string(&members, "user")),
            }
            check_payload(&members, payload);
        }
        Verb::Call { method, payload } => {
            assert_eq!(kind, "call");
            assert_eq!(*method, string(&members, "method"));
            check_payload(&members, payload);
        }
        Verb::Authenticate { token } => {
            assert_eq!(kind, "auth");
            assert_eq!(*token, string(&members, "token"));
        }
        Verb::Ping => assert_eq!(kind, "ping"),
        Verb::Relay { .. }
        | Verb::Attendance { .. }
        | Verb::Hello { .. }
        | Verb::Pong
        | Verb::Renew { .. } => {
            panic!("json has no such command: {:?}", command.verb)
        }
    }
}

/// What is subscribed to, and how, is what was written.
fn check_subscribe(members: &Members<'_>, verb: &Verb<'_>) {
    let Verb::Subscribe {
        topics,
        occupancy,
        every,
        presence,
        deltas,
        filter,
        insists,
        token,
    } = verb
    else {
        panic!("{verb:?} is no subscribe");
    };
    let wanted = |wanted: &Wanted<'_>| (wanted.topic.to_string(), wanted.since);
    assert_eq!(topics.iter().map(wanted).collect::<Vec<_>>(), entries(members));
    assert_eq!(*occupancy, flag(members, "occupancy", false));
    assert_eq!(*presence, flag(members, "presence", false));
    assert!(!deltas && filter.is_none() && !insists);
    assert_eq!(token.as_deref(), optional(members, "token").as_deref());
    let written = optional(members, "every");
    assert_eq!(*every, written.map(|every| every.parse().unwrap()));
}

/// What is read is what was written.
fn check_history(members: &Members<'_>, reading: Reading, limit: u32) {
    let before = members.get("before");
    let is_end = before
        .is_some_and(|before| serde_json::from_str(before.get()).is_ok_and(|text: String| text == "end"));
    let before = before.filter(|_| !is_end).and_then(|before| place(before));
    let expected = match (since_of(members), before) {
        (None, None) if is_end => Reading::Newest,
        (None, None) => Reading::Oldest,
        (Some(since), None) => Reading::Since(since),
        (None, Some(Since::Position(before))) => Reading::Before(before),
        places => panic!("{places:?} is taken"),
    };
    assert_eq!(reading, expected);
    check_limit(members, limit);
}

fn check_limit(members: &Members<'_>, limit: u32) {
    let asked = members
        .get("limit")
        .and_then(|limit| limit.get().parse::<u64>().ok());
    assert_eq!(u64::from(limit), asked.unwrap_or(100).clamp(1, 1_000));
}

/// The topics that are named, each with the place that is given for it or for all.
fn entries(members: &Members<'_>) -> Vec<(String, Option<Since>)> {
    let for_all = since_of(members);
    let Some(topics) = members.get("topics").filter(|topics| topics.get() != "null") else {
        return vec![(string(members, "topic"), for_all)];
    };
    let topics: Vec<&RawValue> = serde_json::from_str(topics.get()).unwrap();
    let entry = |topic: &&RawValue| {
        if let Ok(name) = serde_json::from_str::<String>(topic.get()) {
            return (name, for_all);
        }
        let members: Members<'_> = serde_json::from_str(topic.get()).unwrap();
        (string(&members, "topic"), since_of(&members).or(for_all))
    };
    topics.iter().map(entry).collect()
}

/// What `since` or `last` says.
fn since_of(members: &Members<'_>) -> Option<Since> {
    let last = members.get("last").filter(|last| last.get() != "null");
    let last = last.map(|last| last.get().parse::<u64>().unwrap());
    let since = members.get("since").and_then(|since| place(since));
    assert!(last.is_none() || since.is_none(), "only one of them is taken");
    since.or(last.map(|last| Since::Last(u32::try_from(last).unwrap_or(u32::MAX))))
}

/// A place as a text or as an object.
fn place(json: &RawValue) -> Option<Since> {
    if json.get() == "null" {
        return None;
    }
    if let Ok(text) = serde_json::from_str::<String>(json.get()) {
        return Some(text.parse().unwrap());
    }
    let members: Members<'_> = serde_json::from_str(json.get()).unwrap();
    let offset = members["offset"].get().parse().unwrap();
    Some(Since::Position(Position {
        epoch: string(&members, "epoch").parse().unwrap(),
        offset,
    }))
}

/// What is said about a publication is what was written.
fn check_options(members: &Members<'_>, options: &PublishOptions) {
    let PublishOptions {
        key,
        idempotency_key,
        expected,
        tags,
    } = options;
    assert_eq!(key.as_ref().map(Key::as_str), optional(members, "key").as_deref());
    let written = optional(members, "idempotency_key");
    assert_eq!(
        idempotency_key.as_ref().map(IdempotencyKey::as_str),
        written.as_deref()
    );
    let written = members.get("expected").and_then(|json| place(json));
    assert_eq!(expected.map(Since::Position), written);
    let written: Option<BTreeMap<String, String>> = members
        .get("tags")
        .and_then(|tags| serde_json::from_str(tags.get()).unwrap());
    let tags = tags.iter().flat_map(Tags::iter);
    let tags: BTreeMap<_, _> = tags
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(tags, written.unwrap_or_default());
}

/// The payload is what was written, here and at the receiver.
fn check_payload(members: &Members<'_>, payload: &Payload) {
    let written = members.get("data").map_or("null", |data| data.get());
    assert_eq!(payload.as_bytes(), written.as_bytes());
    let topic = TopicName::parse("a\"\\b").unwrap();
    let publication = Publication {
        draft: Draft {
            key: Key::parse("\"k\\").ok(),
            ..Draft::new(topic, payload.clone(), Timestamp(1))
        },
        position: Position {
            epoch: Epoch(1),
            offset: u64::MAX,
        },
    };
    let mut frame = Vec::new();
    Dialect::Json.encode_publication(&publication, &mut frame);
    let text = text_of(&frame);
    let pushed: Members<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(pushed["data"].get(), written);
    assert_eq!(string(&pushed, "topic"), "a\"\\b");
    assert_eq!(string(&pushed, "key"), "\"k\\");
    check_event(&publication, written);
    let direct = Direct {
        from: None,
        time: Timestamp(1),
        payload: payload.clone(),
    };
    frame.clear();
    Dialect::Json.encode_direct(&direct, &mut frame);
    let text = text_of(&frame);
    let pushed: Members<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(pushed["data"].get(), written);
}

/// The same as an event: one event and no more, whatever line breaks the payload has.
fn check_event(publication: &Publication, written: &str) {
    let mut event = Vec::new();
    Dialect::Sse.encode_publication(publication, &mut event);
    let event = String::from_utf8(event).unwrap();
    assert!(!event.contains('\r'), "a line has another end");
    assert_eq!(event.find("\n\n"), Some(event.len() - 2), "an event has one end");
    let data: Vec<&str> = event
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(
        data.len() + 2,
        event.lines().count(),
        "nothing but an id and data"
    );
    let data = data.join("\n");
    let pushed: Members<'_> = serde_json::from_str(&data).unwrap();
    assert_eq!(
        pushed["data"].get(),
        written.replace("\r\n", "\n").replace('\r', "\n")
    );
}

fn check_reply(id: Option<&CommandId>) {
    let mut frame = Vec::new();
    let pong = Reply::Pong { time: Timestamp(7) };
    Dialect::Json.encode_reply(id, &pong, &mut frame);
    let text = text_of(&frame);
    let members: Members<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(members.get("id").map(|id| id.get()), id.map(CommandId::as_json));
}

fn check_rejection(text: &str, rejection: &Rejection) {
    if rejection.code == ErrorCode::BadJson {
        let is_object = serde_json::from_str(text).is_ok_and(|value: Value| value.is_object());
        assert!(!is_object, "a JSON object is refused: {}", rejection.message);
    }
    let reply = Reply::Error {
        code: rejection.code,
        message: rejection.message.clone(),
        retry_after_ms: rejection.retry_after_ms,
        position: rejection.position,
        application_code: rejection.application_code,
    };
    let mut frame = Vec::new();
    Dialect::Json.encode_reply(rejection.id.as_ref(), &reply, &mut frame);
    assert!(
        frame.len() <= REFUSAL_BYTES_MAX,
        "a message of {} bytes is refused with {}",
        text.len(),
        frame.len()
    );
    let answer = text_of(&frame);
    let members: Members<'_> = serde_json::from_str(&answer).unwrap();
    assert_eq!(string(&members, "message"), rejection.message);
    assert_eq!(string(&members, "code"), rejection.code.name());
    let id = rejection.id.as_ref().map(CommandId::as_json);
    assert_eq!(members.get("id").map(|id| id.get()), id);
    assert!(
        id.is_none_or(|id| text.contains(id)),
        "the id {id:?} was never sent"
    );
}

fn text_of(frame: &[u8]) -> String {
    match only_item(frame) {
        Decoded::Text(text) => text,
        other => panic!("{other:?} is no text"),
    }
}

fn string(members: &Members<'_>, name: &str) -> String {
    serde_json::from_str(members[name].get()).unwrap()
}

/// A string that may be missing or null.
fn optional(members: &Members<'_>, name: &str) -> Option<String> {
    let value = members.get(name)?;
    serde_json::from_str(value.get()).unwrap()
}

fn flag(members: &Members<'_>, name: &str, default: bool) -> bool {
    let flag: Option<bool> = members
        .get(name)
        .and_then(|flag| serde_json::from_str(flag.get()).unwrap());
    flag.unwrap_or(default)
}
