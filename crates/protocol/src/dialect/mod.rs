//! Client dialects: how commands, replies and pushes look to a client.
//!
//! One file per dialect, each a translator at its own door: it takes a WebSocket message in and gives a [`Command`],
//! takes replies, pushes and publications in and gives the bytes to be written: of a WebSocket frame, header included, or
//! of a server-sent event. Nothing here knows who is connected.

#[allow(dead_code)]
pub mod centrifuge;
mod json;
mod raw;
pub mod sse;

use crate::codes::Disconnect;
use crate::websocket::Item;
use crate::{Command, CommandId, Payload, Publication, Publisher, Push, Rejection, Reply};

/// A client dialect, chosen when the connection is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// JSON text messages with a `type`; the default. See `docs/protocol/json.md`.
    #[default]
    Json,
    /// Every message goes verbatim to all subscribers. See `docs/protocol/raw.md`.
    Raw,
    /// Server-sent events: a stream over HTTP, in which clients say nothing. See `docs/protocol/sse.md`.
    Sse,
}

/// A message that a dialect cannot take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadMessage {
    /// The command is answered with an error; the connection stays open.
    Rejected(Rejection),
    /// The connection is closed.
    Fatal(Disconnect),
}

impl Dialect {
    /// Every dialect.
    pub const ALL: &'static [Self] = &[Self::Json, Self::Raw, Self::Sse];

    /// Those that are spoken over a WebSocket.
    pub const WEBSOCKET: &'static [Self] = &[Self::Json, Self::Raw];

    /// The name in `?dialect=` and in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Raw => "raw",
            Self::Sse => "sse",
        }
    }

    /// The WebSocket subprotocol that chooses this dialect; none where it is not spoken over a WebSocket.
    pub fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("fanfare.json.v1"),
            Self::Raw => Some("fanfare.raw.v1"),
            Self::Sse => None,
        }
    }

    /// Whether it is a stream of events and no WebSocket: clients say nothing, nothing is compressed, and what is written
    /// are no frames.
    pub fn is_stream(self) -> bool {
        self == Self::Sse
    }

    /// Its place in a row per dialect.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Reads a text or binary message of a client.
    ///
    /// # Errors
    /// What is wrong with it, and whether the connection survives that.
    pub fn decode<'a>(self, message: &'a Item<'a>) -> Result<Command<'a>, BadMessage> {
        match (self, message) {
            (Self::Json, Item::Text(text)) => json::decode(text).map_err(BadMessage::Rejected),
            (Self::Json | Self::Sse, _) => Err(BadMessage::Fatal(Disconnect::UnsupportedData)),
            (Self::Raw, message) => Ok(raw::decode(message)),
        }
    }

    /// Appends the frame of a publication to `frame`, the same for every subscriber; for a stream, with the id of one that
    /// has asked for this topic alone.
    pub fn encode_publication(self, publication: &Publication, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_publication(publication, frame),
            Self::Raw => raw::encode_payload(&publication.draft.payload, frame),
            Self::Sse => sse::encode_publication(publication, frame),
        }
    }

    /// Appends the frame of what was sent to one connection to `frame`.
    pub fn encode_direct(self, sent: &Direct, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_direct(sent, frame),
            Self::Raw => raw::encode_payload(&sent.payload, frame),
            Self::Sse => sse::encode_direct(sent, frame),
        }
    }

    /// Appends the frame of a reply to `frame`; nothing in a dialect without replies.
    pub fn encode_reply(self, id: Option<&CommandId>, reply: &Reply, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_reply(id, reply, frame),
            Self::Raw => {}
            Self::Sse => sse::encode_reply(reply, frame),
        }
    }

    /// Appends the frame of a push to `frame`; nothing in a dialect without pushes.
    pub fn encode_push(self, push: &Push, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_push(push, frame),
            Self::Raw => {}
            Self::Sse => sse::encode_push(push, frame),
        }
    }

    /// Whether the dialect can tell a client what it is not sent. Without that, nothing may be left out in silence.
    pub fn has_notices(self) -> bool {
        self != Self::Raw
    }

    /// Whether the dialect can tell a client that a command was refused. One that cannot closes instead.
    pub fn has_errors(self) -> bool {
        self == Self::Json
    }
}

/// What one connection is sent outside any topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    /// Who sent it; `None` for the server's own API.
    pub from: Option<Publisher>,
    /// When it was taken in.
    pub time: crate::Timestamp,
    /// What it carries.
    pub payload: Payload,
}
