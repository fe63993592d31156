//! What dialects are called, and what they do where one has no words.

use std::collections::HashSet;

use super::*;
use crate::{Draft, Epoch, Goodbye, Position, Timestamp, TopicName};

fn topic() -> TopicName {
    TopicName::parse("a").unwrap()
}

#[test]
fn each_dialect_has_a_place_and_a_name_of_its_own() {
    let names: HashSet<_> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
    assert_eq!(names.len(), Dialect::ALL.len());
    for (at, dialect) in Dialect::ALL.iter().enumerate() {
        assert_eq!(dialect.index(), at, "{dialect:?}");
    }
}

#[test]
fn subprotocols_choose_the_dialects_of_websockets() {
    let chosen: Vec<_> = Dialect::ALL
        .iter()
        .filter_map(|dialect| dialect.subprotocol())
        .collect();
    assert_eq!(
        chosen,
        [
            "fanfare.json.v1",
            "fanfare.raw.v1",
            "centrifuge-json",
            "centrifuge-protobuf"
        ]
    );
}

#[test]
fn what_a_dialect_has_no_words_for_is_nothing() {
    let publication = Publication {
        draft: Draft::new(topic(), Payload::text("hello"), Timestamp(5)),
        position: Position {
            epoch: Epoch(1),
            offset: 1,
        },
    };
    let goodbye = Push::Goodbye(Goodbye {
        disconnect: Disconnect::Shutdown,
        reconnect_after_ms: None,
    });
    let mut frame = Vec::new();
    for dialect in [Dialect::Json, Dialect::Raw, Dialect::Sse] {
        dialect.encode_delta(&publication, None, &mut frame);
    }
    Dialect::Raw.encode_push(&goodbye, &mut frame);
    Dialect::Raw.encode_reply(None, &Reply::Sent, &mut frame);
    assert!(frame.is_empty(), "{frame:?}");
}

#[test]
fn raw_sends_what_is_for_one_alone_as_it_is() {
    let sent = Direct {
        from: None,
        time: Timestamp(5),
        payload: Payload::text("hello"),
    };
    let mut frame = Vec::new();
    Dialect::Raw.encode_direct(&sent, &mut frame);
    assert_eq!(frame, b"\x81\x05hello");
}

#[test]
fn messages_of_the_wrong_kind_are_the_end() {
    for (dialect, message, expected) in [
        (Dialect::Json, Item::Binary(b"{}"), Disconnect::UnsupportedData),
        (Dialect::Sse, Item::Text("{}"), Disconnect::UnsupportedData),
        (
            Dialect::CentrifugeProtobuf,
            Item::Text("{}"),
            Disconnect::ProtocolError,
        ),
    ] {
        assert_eq!(
            dialect.decode(&message),
            Err(BadMessage::Fatal(expected)),
            "{dialect:?}"
        );
    }
}

#[test]
fn a_refusal_that_cannot_be_told_closes_for_what_was_refused() {
    for (dialect, code, expected) in [
        (Dialect::Raw, ErrorCode::Forbidden, Disconnect::Forbidden),
        (Dialect::Raw, ErrorCode::RateLimited, Disconnect::Overloaded),
        (
            Dialect::CentrifugeUniJson,
            ErrorCode::TokenExpired,
            Disconnect::Expired,
        ),
    ] {
        assert!(!dialect.has_errors(), "{dialect:?}");
        assert_eq!(
            dialect.disconnect_for(code, None),
            expected,
            "{dialect:?} {code:?}"
        );
    }
}
