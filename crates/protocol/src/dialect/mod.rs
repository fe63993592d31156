//! Client dialects: how commands, replies and pushes look to a client.
//!
//! One file per dialect, each a translator at its own door: it takes a WebSocket message in and gives a [`Command`],
//! takes replies, pushes and publications in and gives the bytes to be written: of a WebSocket frame, header included, of
//! a server-sent event, or of another piece of a stream. Nothing here knows who is connected.

pub mod centrifuge;
mod json;
mod raw;
pub mod sse;
#[cfg(test)]
mod tests;

use crate::codes::{Disconnect, ErrorCode};
use crate::websocket::{Item, Opcode, encode_frame};
use crate::{Command, CommandId, Payload, PayloadKind, Publication, Publisher, Push, Rejection, Reply};
use centrifuge::{Carrier, Encoding, Wrapping};

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
    /// Centrifuge's JSON in the lines of a stream over HTTP, whose client speaks beside it.
    CentrifugeJsonLines,
    /// The same in server-sent events.
    CentrifugeJsonEvents,
    /// The same in Protobuf, each message behind its length.
    CentrifugeProtobufStream,
    /// What Centrifuge has for clients that only receive, in JSON.
    CentrifugeUniJson,
    /// The same in Protobuf.
    CentrifugeUniProtobuf,
    /// The same in the lines of a stream over HTTP.
    CentrifugeUniJsonLines,
    /// The same in server-sent events.
    CentrifugeUniJsonEvents,
    /// The same in Protobuf over HTTP, each message behind its length.
    CentrifugeUniProtobufStream,
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
    /// Every dialect: those first in which publications may be compressed.
    pub const ALL: &'static [Self] = &[
        Self::Json,
        Self::Raw,
        Self::CentrifugeJson,
        Self::CentrifugeProtobuf,
        Self::Sse,
        Self::CentrifugeJsonLines,
        Self::CentrifugeJsonEvents,
        Self::CentrifugeProtobufStream,
        Self::CentrifugeUniJson,
        Self::CentrifugeUniProtobuf,
        Self::CentrifugeUniJsonLines,
        Self::CentrifugeUniJsonEvents,
        Self::CentrifugeUniProtobufStream,
    ];

    /// How many of them have publications that may be compressed.
    pub(crate) const COMPRESSIBLE: usize = 4;

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
            Self::CentrifugeJsonLines => "centrifuge-json-lines",
            Self::CentrifugeJsonEvents => "centrifuge-json-events",
            Self::CentrifugeProtobufStream => "centrifuge-protobuf-stream",
            Self::CentrifugeUniJson => "centrifuge-uni-json",
            Self::CentrifugeUniProtobuf => "centrifuge-uni-protobuf",
            Self::CentrifugeUniJsonLines => "centrifuge-uni-json-lines",
            Self::CentrifugeUniJsonEvents => "centrifuge-uni-json-events",
            Self::CentrifugeUniProtobufStream => "centrifuge-uni-protobuf-stream",
        }
    }

    /// The WebSocket subprotocol that chooses this dialect, where one does.
    pub fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("fanfare.json.v1"),
            Self::Raw => Some("fanfare.raw.v1"),
            Self::CentrifugeJson => Some("centrifuge-json"),
            Self::CentrifugeProtobuf => Some("centrifuge-protobuf"),
            _ => None,
        }
    }

    /// Whether it is a stream over HTTP and no WebSocket: clients say nothing in it, nothing is compressed, and what is
    /// written are no frames.
    pub fn is_stream(self) -> bool {
        match self.wrapping() {
            Some(wrapping) => wrapping.carrier != Carrier::Frames,
            None => self == Self::Sse,
        }
    }

    /// Whether its clients speak beside their stream.
    pub fn is_spoken_beside(self) -> bool {
        self.is_stream() && self.is_hailed() && !self.is_unidirectional()
    }

    /// Whether its clients say hello and nothing else.
    pub fn is_unidirectional(self) -> bool {
        self.wrapping().is_some_and(|wrapping| wrapping.is_bare)
    }

    /// Whether events of it carry ids to go on from.
    pub fn has_ids(self) -> bool {
        self == Self::Sse
    }

    /// Whether its clients answer pings. Of others only TCP knows whether anybody is there.
    pub fn has_pongs(self) -> bool {
        !self.is_stream() || self.is_spoken_beside()
    }

    /// How its messages are wrapped, where they are Centrifuge's.
    fn wrapping(self) -> Option<Wrapping> {
        use Carrier::{Events, Frames, Stream};
        let (encoding, carrier, is_bare) = match self {
            Self::CentrifugeJson => (Encoding::Json, Frames, false),
            Self::CentrifugeProtobuf => (Encoding::Protobuf, Frames, false),
            Self::CentrifugeJsonLines => (Encoding::Json, Stream, false),
            Self::CentrifugeJsonEvents => (Encoding::Json, Events, false),
            Self::CentrifugeProtobufStream => (Encoding::Protobuf, Stream, false),
            Self::CentrifugeUniJson => (Encoding::Json, Frames, true),
            Self::CentrifugeUniProtobuf => (Encoding::Protobuf, Frames, true),
            Self::CentrifugeUniJsonLines => (Encoding::Json, Stream, true),
            Self::CentrifugeUniJsonEvents => (Encoding::Json, Events, true),
            Self::CentrifugeUniProtobufStream => (Encoding::Protobuf, Stream, true),
            Self::Json | Self::Raw | Self::Sse => return None,
        };
        Some(Wrapping {
            encoding,
            carrier,
            is_bare,
        })
    }

    /// The encoding of its commands, where it has Centrifuge's. What is said once is no command.
    fn encoding(self) -> Option<Encoding> {
        let wrapping = self.wrapping().filter(|wrapping| !wrapping.is_bare);
        wrapping.map(|wrapping| wrapping.encoding)
    }

    /// Its place in a row per dialect.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The first command of a text or binary message, and what is behind it, where a message may have several.
    pub fn split(self, message: Item<'_>) -> (Item<'_>, Option<Item<'_>>) {
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
        match (self, self.wrapping(), message) {
            (_, Some(wrapping), message) => decode_wrapped(wrapping, message),
            (Self::Json, _, Item::Text(text)) => json::decode(text).map_err(BadMessage::Rejected),
            (Self::Raw, _, message) => Ok(raw::decode(message)),
            _ => Err(BadMessage::Fatal(Disconnect::UnsupportedData)),
        }
    }

    /// Appends the frame of a publication to `frame`, the same for every subscriber; for a stream, with the id of one that
    /// has asked for this topic alone. Nothing where the dialect does not [carry](Self::carries) its payload.
    pub fn encode_publication(self, publication: &Publication, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_publication(publication, frame),
            Self::Raw => raw::encode_payload(&publication.draft.payload, frame),
            Self::Sse => sse::encode_publication(publication, frame),
            _ => self.wrap(frame, |wrapping, messages| {
                centrifuge::publication(wrapping, publication, messages);
            }),
        }
    }

    /// The same for a subscriber that has chosen deltas: as what has changed since the payload before, or as a whole where it
    /// has none yet, or where that is not longer. Costs a pass over both. Nothing in a dialect without deltas.
    pub fn encode_delta(self, publication: &Publication, before: Option<&Payload>, frame: &mut Vec<u8>) {
        self.wrap(frame, |wrapping, messages| {
            centrifuge::delta(wrapping, publication, before, messages);
        });
    }

    /// Appends the frame of what was sent to one connection to `frame`.
    pub fn encode_direct(self, sent: &Direct, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_direct(sent, frame),
            Self::Raw => raw::encode_payload(&sent.payload, frame),
            Self::Sse => sse::encode_direct(sent, frame),
            _ => self.wrap(frame, |wrapping, messages| {
                centrifuge::direct(wrapping, sent, messages);
            }),
        }
    }

    /// Appends the frame of a reply to `frame`; nothing in a dialect without replies.
    pub fn encode_reply(self, id: Option<&CommandId>, reply: &Reply, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_reply(id, reply, frame),
            Self::Raw => {}
            Self::Sse => sse::encode_reply(reply, frame),
            _ => self.wrap(frame, |wrapping, messages| {
                centrifuge::reply(wrapping, id, reply, messages);
            }),
        }
    }

    /// Appends the frame of a push to `frame`; nothing in a dialect without pushes.
    pub fn encode_push(self, push: &Push, frame: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_push(push, frame),
            Self::Raw => {}
            Self::Sse => sse::encode_push(push, frame),
            _ => self.wrap(frame, |wrapping, messages| {
                centrifuge::push(wrapping, push, messages);
            }),
        }
    }

    /// Appends the messages that `write` puts together, if it does, in what carries them.
    fn wrap(self, frame: &mut Vec<u8>, write: impl FnOnce(Wrapping, &mut Vec<u8>)) {
        let Some(wrapping) = self.wrapping() else {
            return;
        };
        let mut messages = Vec::new();
        write(wrapping, &mut messages);
        if !messages.is_empty() {
            wrapping.wrap(&messages, frame);
        }
    }

    /// Appends what the server pings with.
    pub fn encode_ping(self, frame: &mut Vec<u8>) {
        match self.wrapping() {
            Some(wrapping) => wrapping.ping(frame),
            None if self.is_stream() => frame.extend_from_slice(sse::COMMENT),
            None => encode_frame(Opcode::Ping, &[], frame),
        }
    }

    /// The close code and reason of a cause.
    pub fn close_of(self, cause: &Disconnect) -> (u16, &str) {
        match self.wrapping() {
            Some(_) => centrifuge::disconnect_of(cause),
            None => (cause.code(), cause.reason()),
        }
    }

    /// What a connection is closed for where others are told that a command was refused, in a dialect that
    /// [cannot](Self::has_errors); with the application's own code, if it was the application that refused and gave one.
    pub fn disconnect_for(self, code: ErrorCode, application_code: Option<u16>) -> Disconnect {
        match code {
            code if self.is_unidirectional() => centrifuge::disconnect_for(code, application_code),
            ErrorCode::Forbidden => Disconnect::Forbidden,
            _ => Disconnect::Overloaded,
        }
    }

    /// Whether the dialect has words for such a payload. Who is sent another is closed.
    pub fn carries(self, payload: PayloadKind) -> bool {
        let is_json = |wrapping: Wrapping| wrapping.encoding == Encoding::Json;
        payload != PayloadKind::Binary || !self.wrapping().is_some_and(is_json)
    }

    /// Whether the dialect can tell a client what it is not sent. Without that, nothing may be left out in silence.
    pub fn has_notices(self) -> bool {
        matches!(self, Self::Json | Self::Sse)
    }

    /// Whether the dialect can tell a client that a command was refused. One that cannot closes instead.
    pub fn has_errors(self) -> bool {
        self == Self::Json || self.encoding().is_some()
    }

    /// Whether its clients speak first: they are let in when they ask for it with [`Verb::Hello`](crate::Verb::Hello), pings
    /// are messages that they answer with [`Verb::Pong`](crate::Verb::Pong), a subscription is asked for once, and its reply has
    /// what was missed.
    pub fn is_hailed(self) -> bool {
        self.wrapping().is_some()
    }
}

fn decode_wrapped<'a>(wrapping: Wrapping, message: &'a Item<'a>) -> Result<Command<'a>, BadMessage> {
    let bytes = match (wrapping.encoding, message) {
        (Encoding::Json, Item::Text(text)) => text.as_bytes(),
        (_, Item::Binary(bytes)) => bytes,
        _ => return Err(BadMessage::Fatal(Disconnect::ProtocolError)),
    };
    if wrapping.is_bare {
        centrifuge::decode_connect(wrapping.encoding, bytes)
    } else {
        centrifuge::decode(wrapping.encoding, bytes)
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
