//! Golden transcripts: every command, reply and push as it travels, in both encodings. What stands here in Protobuf is put
//! together from the numbers of the fields (`client.proto`), and not by the messages that are tested.

mod commands;
mod pushes;
mod replies;
mod wire;

use std::sync::Arc;

use serde_json::value::RawValue;

use super::wrapping::Carrier;
use super::*;
use crate::{
    ConnectionId, Draft, Epoch, Payload, Position, Publication, Publisher, Timestamp, TopicName, UserName,
};

/// The epoch `abc`.
const EPOCH: Epoch = Epoch(13_368);

/// The client that the server is asked by, and what it is called.
const CLIENT: &str = "03011170-dead-8bee-8f00-000000000000";

/// What the messages of a WebSocket are put together for.
fn framed(encoding: Encoding) -> Wrapping {
    Wrapping {
        encoding,
        carrier: Carrier::Frames,
        is_bare: false,
    }
}

fn client() -> ConnectionId {
    ConnectionId::new(3, 70_000, 0xdead_beef)
}

fn at(offset: u64) -> Position {
    Position { epoch: EPOCH, offset }
}

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn json(text: &str) -> Payload {
    Payload::json(serde_json::from_str(text).unwrap())
}

/// Ada, who shows what others may see of her.
fn ada() -> Publisher {
    Publisher {
        connection: client(),
        user: Some(UserName::parse("ada").unwrap()),
        info: Some(Arc::from(r#"{"n":1}"#)),
        topic_info: None,
    }
}

/// A publication of the topic `a`, 1.5 seconds after 1970.
fn published(offset: u64, payload: Payload) -> Publication {
    Publication {
        draft: Draft::new(topic("a"), payload, Timestamp(1_500)),
        position: at(offset),
    }
}
