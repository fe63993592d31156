//! `centrifuge`: the client protocol, version 2, of Centrifuge and Centrifugo, in JSON and in Protobuf. See
//! `docs/centrifuge.md`.
//!
//! In comes a command at a time, `decode` makes one of the hub's of it; what the hub says is put together by `encode`.
//! `request` and `reply` are the messages as they travel, `framing` their two encodings, `wrapping` what carries
//! them; `names` and `codes` say what the hub's words are called there, `session` what a client that speaks beside its
//! stream is known by.

mod codes;
mod decode;
mod encode;
mod filter;
pub mod fossil;
mod framing;
mod names;
mod raw_json;
mod reply;
mod request;
mod session;
#[cfg(test)]
mod transcripts;
mod wrapping;

pub(super) use codes::{disconnect_for, disconnect_of};
pub use codes::{disconnect_table, error_table};
pub use decode::PUBLICATIONS_MAX;
pub(super) use decode::{decode, decode_connect};
pub(super) use encode::{delta, direct, publication, push, reply};
pub(super) use framing::Encoding;
pub use names::{channel_of, client_of, connection_of, topic_of};
pub use session::{Aside, parse_session, session_of};
pub(super) use wrapping::{Carrier, Wrapping};

use crate::websocket::Opcode;

impl Encoding {
    /// What its messages are to a WebSocket.
    pub(super) fn opcode(self) -> Opcode {
        match self {
            Self::Json => Opcode::Text,
            Self::Protobuf => Opcode::Binary,
        }
    }

    /// The message that the server pings with, which a client answers with the same.
    pub(super) fn ping(self) -> &'static [u8] {
        match self {
            Self::Json => b"{}",
            Self::Protobuf => b"\0",
        }
    }
}

#[cfg(test)]
mod tests;
