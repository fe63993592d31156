//! `centrifuge`: a message of a Centrifuge client, in JSON or in Protobuf, from commands to what their subscribers get; or what
//! a client says beside its stream.
//!
//! The first byte chooses the encoding and which of the two, the rest is the message. Checked: what is said beside a stream is
//! the same when it is written anew in either encoding, and so is the name of its session; nothing of a message is lost between its commands; a
//! command in JSON is an object that a second reader reads, with the id and the channel that it has there; what is published
//! is what a subscriber of either encoding is given, on one line where that is JSON.

use fanfare_protocol::dialect::centrifuge::{Aside, channel_of, parse_session, session_of, topic_of};
use fanfare_protocol::dialect::{BadMessage, Dialect};
use fanfare_protocol::websocket::Item;
use fanfare_protocol::{
    Command, CommandId, Draft, Payload, PayloadKind, Position, Publication, Timestamp, TopicName, Verb,
};
use serde_json::{Value, json};

use crate::bounds::bounded;
use crate::decoded::Decoded;
use crate::stream::only_item;

/// The longest message that a client may send.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((choice, message)) = bytes.split_first() else {
        return;
    };
    if message.len() > MESSAGE_BYTES_MAX {
        return;
    }
    // The smallest part of a message that has a place of its own in memory is two bytes long.
    bounded(256 * message.len() + (64 << 10), || match choice & 3 {
        0 => commands(Dialect::CentrifugeJson, message),
        1 => commands(Dialect::CentrifugeProtobuf, message),
        2 => aside(false, message),
        _ => aside(true, message),
    });
}

fn aside(is_protobuf: bool, body: &[u8]) {
    let Some(aside) = Aside::read(is_protobuf, body) else {
        return;
    };
    if let Some((connection, secret)) = parse_session(&aside.session) {
        assert_eq!(session_of(connection, secret), aside.session);
    }
    let fields = [aside.node.as_bytes(), aside.session.as_bytes(), &aside.commands];
    let message: Vec<u8> = (1..)
        .zip(fields)
        .flat_map(|(number, value)| field(number, value))
        .collect();
    assert!(Aside::read(true, &message) == Some(aside.clone()), "in Protobuf");
    if let Ok(commands) = std::str::from_utf8(&aside.commands) {
        let json = json!({"node": aside.node, "session": aside.session, "data": commands}).to_string();
        assert!(Aside::read(false, json.as_bytes()) == Some(aside), "in JSON");
    } else {
        assert!(is_protobuf, "JSON is text");
    }
}

/// A field of Protobuf that has a length.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(value);
    bytes
}

fn commands(dialect: Dialect, message: &[u8]) {
    let mut next = Some(message);
    while let Some(message) = next {
        let (first, rest) = match dialect.split(Item::Binary(message)) {
            (Item::Binary(first), None) => (first, None),
            (Item::Binary(first), Some(Item::Binary(rest))) => (first, Some(rest)),
            other => panic!("{other:?} are no parts of bytes"),
        };
        let separator = usize::from(dialect == Dialect::CentrifugeJson && first.len() < message.len());
        assert_eq!(
            first.len() + separator + rest.map_or(0, <[u8]>::len),
            message.len(),
            "nothing is lost"
        );
        assert!(rest.is_none_or(|rest| rest.len() < message.len()), "it ends");
        command(dialect, first);
        next = rest;
    }
}

fn command(dialect: Dialect, bytes: &[u8]) {
    let message = Item::Binary(bytes);
    let read = match dialect.decode(&message) {
        Ok(command) => command,
        Err(BadMessage::Rejected(rejection)) => {
            assert!(rejection.message.len() < 512, "{}", rejection.message);
            return;
        }
        Err(BadMessage::Fatal(_)) => return,
    };
    let Command { id, verb } = &read;
    if dialect == Dialect::CentrifugeJson {
        second_reading(bytes, id.as_ref(), verb);
    }
    match verb {
        Verb::Pong => assert_eq!(*id, None),
        _ => assert!(
            id.as_ref()
                .and_then(CommandId::as_number)
                .is_some_and(|id| id > 0)
        ),
    }
    if let Verb::Publish { topic, payload, .. } = verb {
        assert_eq!(topic_of(&channel_of(topic)), *topic, "a channel has one topic");
        publish(payload);
    }
}

/// What the command is to a reader of JSON.
fn second_reading(bytes: &[u8], id: Option<&CommandId>, verb: &Verb<'_>) {
    let Ok(json) = serde_json::from_slice::<Value>(bytes) else {
        // Escapes in what nobody looks at, a payload for instance, may stand for no character.
        return;
    };
    // Of a name that is there twice a reader may take either.
    let written = json["id"].as_u64().unwrap_or(0);
    assert!(
        id.is_none_or(|id| id.as_number().map(u64::from) == Some(written)),
        "{json}"
    );
    if let Verb::Publish { topic, .. } = verb
        && json["connect"].is_null()
        && json["subscribe"].is_null()
        && json["unsubscribe"].is_null()
    {
        let channel = json["publish"]["channel"].as_str().unwrap_or_default();
        assert_eq!(topic_of(channel), *topic);
    }
}

fn publish(payload: &Payload) {
    let publication = Publication {
        draft: Draft::new(
            TopicName::parse("a").expect("a name"),
            payload.clone(),
            Timestamp(1),
        ),
        position: Position::default(),
    };
    let mut frame = Vec::new();
    Dialect::CentrifugeProtobuf.encode_publication(&publication, &mut frame);
    let Decoded::Binary(message) = only_item(&frame) else {
        panic!("Protobuf is binary");
    };
    let has_it = message.windows(payload.as_bytes().len().max(1));
    assert!(
        has_it.into_iter().any(|part| part == payload.as_bytes()),
        "as it was published"
    );
    let mut frame = Vec::new();
    Dialect::CentrifugeJson.encode_publication(&publication, &mut frame);
    if payload.kind() == PayloadKind::Binary {
        assert!(frame.is_empty() && !Dialect::CentrifugeJson.carries(payload.kind()));
        return;
    }
    let Decoded::Text(message) = only_item(&frame) else {
        panic!("JSON is text");
    };
    assert!(!message.contains('\n'), "a line feed would end the message");
    let json: Value = serde_json::from_str(&message).expect("a push is JSON");
    let published: Value = serde_json::from_slice(payload.as_bytes()).expect("what is published is JSON");
    assert_eq!(json["push"]["pub"]["data"], published);
}
