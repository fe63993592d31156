//! Client dialects: how commands, replies and pushes look to a client.
//!
//! One file per dialect, each a translator at its own door: it takes a WebSocket message in and gives a [`Command`],
//! takes replies, pushes and publications in and gives the bytes to be written: of a WebSocket frame, header included, or
//! of a server-sent event. Nothing here knows who is connected.

pub mod centrifuge;
mod json;
mod raw;
pub mod sse;

use crate::codes::Disconnect;
use crate::websocket::{Item, Opcode, encode_frame};
use crate::{Command, CommandId, Payload, PayloadKind, Publication, Publisher, Push, Rejection, Reply};
use centrifuge::Encoding;

/// A client dialect, chosen when the connection is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// JSON text messages with a `type`; the default. See `docs/protocol/json.md`.
    #[default]
    Json,
    /// Every message goes verbatim to all subscribers. See `docs/protocol/raw.md`.
    Raw,
    /// The client protocol of Centrifuge, version 2, in JSON. See `docs/centrifuge.md`.
    CentrifugeJson,
    /// The same in Protobuf.
    CentrifugeProtobuf,
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
    pub const ALL: &'static [Self] = &[
        Self::Json,
        Self::Raw,
        Self::CentrifugeJson,
        Self::CentrifugeProtobuf,
        Self::Sse,
    ];

    /// Those that are chosen where a WebSocket is opened; those of Centrifuge have a path of their own.
    pub const WEBSOCKET: &'static [Self] = &[Self::Json, Self::Raw];

    /// The name in `?dialect=` and in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Raw => "raw",
            Self::CentrifugeJson => "centrifuge-json",
            Self::CentrifugeProtobuf => "centrifuge-protobuf",
            Self::Sse => "sse",
        }
    }

    /// The WebSocket subprotocol that chooses this dialect; none where it is not spoken over a WebSocket.
    pub fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("fanfare.json.v1"),
            Self::Raw => Some("fanfare.raw.v1"),
            Self::CentrifugeJson => Some("centrifuge-json"),
            Self::CentrifugeProtobuf => Some("centrifuge-protobuf"),
            Self::Sse => None,
        }
    }

    /// Whether it is a stream of events and no WebSocket: clients say nothing, nothing is compressed, and what is written
    /// are no frames.
    pub fn is_stream(self) -> bool {
        self == Self::Sse
    }

    /// How it is written, where it is Centrifuge's.
    fn encoding(self) -> Option<Encoding> {
        match self {
            Self::CentrifugeJson => Some(Encoding::Json),
            Self::CentrifugeProtobuf => Some(Encoding::Protobuf),
            Self::Json | Self::Raw | Self::Sse => None,
        }
    }

    /// Its place in a row per dialect.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The first command of a text or binary message, and what is behind it, where a message may have several.
    pub fn split<'a>(self, message: Item<'a>) -> (Item<'a>, Option<Item<'a>>) {
        match (self.encoding(), message) {
            (Some(encoding), Item::Binary(bytes)) => {
                let (first, rest) = encoding.split(bytes);
                (Item::Binary(first), rest.map(Item::Binary))
            }
            (Some(Encoding::Json), Item::Text(text)) => {
                let (first, rest) = Encoding::Json.split(text.as_bytes());
                let rest = rest.map(|rest| Item::Text(&text[text.len() - rest.len()..]));
                (Item::Text(&text[..first.len()]), rest)
            }
            (_, message) => (message, None),
        }
    }

    /// Reads a text or binary message of a client, which is one command.
    ///
    /// # Errors
    /// What is wrong with it, and whether the connection survives that.
    pub fn decode<'a>(self, message: &'a Item<'a>) -> Result<Command<'a>, BadMessage> {
        match (self, message) {
            (Self::Json, Item::Text(text)) => json::decode(text).map_err(BadMessage::Rejected),
            (Self::CentrifugeJson, Item::Text(text)) => centrifuge::decode(Encoding::Json, text.as_bytes()),
            (Self::CentrifugeJson, Item::Binary(bytes)) => centrifuge::decode(Encoding::Json, bytes),
            (Self::CentrifugeProtobuf, Item::Binary(bytes)) => centrifuge::decode(Encoding::Protobuf, bytes),
            (Self::CentrifugeJson | Self::CentrifugeProtobuf, _) => {
                Err(BadMessage::Fatal(Disconnect::ProtocolError))
            }
            (Self::Json | Self::Sse, _) => Err(BadMessage::Fatal(Disconnect::UnsupportedData)),
            (Self::Raw, message) => Ok(raw::decode(message)),
        }
    }

    /// Appends the frame of a publication to `frame`, the same for every subscriber; for a stream, with the id of one that
    /// has asked for this topic alone. Nothing where the dialect does not [carry](Self::carries) its payload.
    pub fn encode_publication(self, publication: &Publication, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_publication(publication, frame),
            Self::Raw => raw::encode_payload(&publication.draft.payload, frame),
            Self::Sse => sse::encode_publication(publication, frame),
            Self::CentrifugeJson | Self::CentrifugeProtobuf => self.frame(frame, |encoding, message| {
                centrifuge::publication(encoding, publication, message);
            }),
        }
    }

    /// The same for a subscriber that has chosen deltas: as what has changed since the payload before, or as a whole where it
    /// has none yet, or where that is not longer. Costs a pass over both. Nothing in a dialect without deltas.
    pub fn encode_delta(self, publication: &Publication, before: Option<&Payload>, frame: &mut Vec<u8>) {
        self.frame(frame, |encoding, message| {
            centrifuge::delta(encoding, publication, before, message);
        });
    }

    /// Appends the frame of what was sent to one connection to `frame`.
    pub fn encode_direct(self, sent: &Direct, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_direct(sent, frame),
            Self::Raw => raw::encode_payload(&sent.payload, frame),
            Self::Sse => sse::encode_direct(sent, frame),
            Self::CentrifugeJson | Self::CentrifugeProtobuf => {
                self.frame(frame, |encoding, message| {
                    centrifuge::direct(encoding, sent, message)
                });
            }
        }
    }

    /// Appends the frame of a reply to `frame`; nothing in a dialect without replies.
    pub fn encode_reply(self, id: Option<&CommandId>, reply: &Reply, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_reply(id, reply, frame),
            Self::Raw => {}
            Self::Sse => sse::encode_reply(reply, frame),
            Self::CentrifugeJson | Self::CentrifugeProtobuf => {
                self.frame(frame, |encoding, message| {
                    centrifuge::reply(encoding, id, reply, message)
                });
            }
        }
    }

    /// Appends the frame of a push to `frame`; nothing in a dialect without pushes.
    pub fn encode_push(self, push: &Push, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_push(push, frame),
            Self::Raw => {}
            Self::Sse => sse::encode_push(push, frame),
            Self::CentrifugeJson | Self::CentrifugeProtobuf => {
                self.frame(frame, |encoding, message| {
                    centrifuge::push(encoding, push, message)
                });
            }
        }
    }

    /// Appends the frame of the messages that `write` puts together, if it does.
    fn frame(self, frame: &mut Vec<u8>, write: impl FnOnce(Encoding, &mut Vec<u8>)) {
        let Some(encoding) = self.encoding() else {
            return;
        };
        let mut message = Vec::new();
        write(encoding, &mut message);
        if !message.is_empty() {
            encode_frame(encoding.opcode(), &message, frame);
        }
    }

    /// Appends what the server pings with.
    pub fn encode_ping(self, frame: &mut Vec<u8>) {
        match self.encoding() {
            Some(encoding) => encode_frame(encoding.opcode(), encoding.ping(), frame),
            None if self.is_stream() => frame.extend_from_slice(sse::COMMENT),
            None => encode_frame(Opcode::Ping, &[], frame),
        }
    }

    /// The close code and reason of a cause.
    pub fn close_of(self, cause: &Disconnect) -> (u16, &str) {
        match self.encoding() {
            Some(_) => centrifuge::disconnect_of(cause),
            None => (cause.code(), cause.reason()),
        }
    }

    /// Whether the dialect has words for such a payload. Who is sent another is closed.
    pub fn carries(self, payload: PayloadKind) -> bool {
        self != Self::CentrifugeJson || payload != PayloadKind::Binary
    }

    /// Whether the dialect can tell a client what it is not sent. Without that, nothing may be left out in silence.
    pub fn has_notices(self) -> bool {
        matches!(self, Self::Json | Self::Sse)
    }

    /// Whether the dialect can tell a client that a command was refused. One that cannot closes instead.
    pub fn has_errors(self) -> bool {
        matches!(self, Self::Json | Self::CentrifugeJson | Self::CentrifugeProtobuf)
    }

    /// Whether its clients speak first: they are let in when they ask for it with [`Verb::Hello`](crate::Verb::Hello), pings
    /// are messages that they answer with [`Verb::Pong`](crate::Verb::Pong), a subscription is asked for once, and its reply has
    /// what was missed.
    pub fn is_hailed(self) -> bool {
        self.encoding().is_some()
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
