//! What messages of Centrifuge travel in: frames of a WebSocket, or a stream over HTTP, of lines or of events.

use super::framing::Encoding;
use crate::websocket::{Opcode, encode_frame};

/// How the messages of one dialect are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrapping {
    pub(crate) encoding: Encoding,
    pub(crate) carrier: Carrier,
    /// Whether pushes stand for themselves, for clients that only receive. Others get them in a reply without an id.
    pub(crate) is_bare: bool,
}

/// What is between a client and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// A WebSocket.
    Frames,
    /// A stream in which each message says where it ends: a line of JSON, or Protobuf behind its length.
    Stream,
    /// Server-sent events: the HTML standard, section 9.2.
    Events,
}

impl Wrapping {
    /// Appends messages, of which there is at least one, in what carries them. No message of JSON has a line feed in it.
    pub(crate) fn wrap(self, messages: &[u8], bytes: &mut Vec<u8>) {
        match (self.carrier, self.encoding) {
            (Carrier::Frames, encoding) => encode_frame(encoding.opcode(), messages, bytes),
            (Carrier::Events, _) => {
                for message in messages.split(|byte| *byte == b'\n') {
                    bytes.extend_from_slice(b"data: ");
                    bytes.extend_from_slice(message);
                    bytes.extend_from_slice(b"\n\n");
                }
            }
            (Carrier::Stream, Encoding::Json) => {
                bytes.extend_from_slice(messages);
                bytes.push(b'\n');
            }
            (Carrier::Stream, Encoding::Protobuf) => bytes.extend_from_slice(messages),
        }
    }

    /// Appends what the server pings with. A client that only receives does not answer that; over a WebSocket its library
    /// does, behind its back.
    pub(crate) fn ping(self, bytes: &mut Vec<u8>) {
        self.wrap(self.encoding.ping(), bytes);
        if self.is_bare && self.carrier == Carrier::Frames {
            encode_frame(Opcode::Ping, &[], bytes);
        }
    }

    /// Whether a client is told in a message why it is closed. Others see it in a close frame.
    pub(crate) fn has_goodbye(self) -> bool {
        self.is_bare || self.carrier != Carrier::Frames
    }
}
