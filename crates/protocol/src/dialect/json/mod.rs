//! The `json` dialect: text messages that are one JSON object with a `type`. `docs/protocol/json.md` describes it.
//!
//! Payloads pass through as raw JSON text: they are scanned for well-formedness once when they come in and never
//! parsed into values.

mod decode;
mod encode;
mod granted;

use super::Direct;
use crate::websocket::{Opcode, encode_frame};
use crate::{CommandId, Publication, Push, Reply};

pub(super) use decode::decode;
pub(super) use encode::{write_direct, write_publication, write_push, write_reply};

/// A publication in a frame.
pub(super) fn encode_publication(publication: &Publication, frame: &mut Vec<u8>) {
    encode(frame, |text| write_publication(publication, text));
}

/// What was sent to one connection, in a frame.
pub(super) fn encode_direct(sent: &Direct, frame: &mut Vec<u8>) {
    encode(frame, |text| write_direct(sent, text));
}

/// A reply in a frame.
pub(super) fn encode_reply(id: Option<&CommandId>, reply: &Reply, frame: &mut Vec<u8>) {
    encode(frame, |text| write_reply(id, reply, text));
}

/// A push in a frame.
pub(super) fn encode_push(push: &Push, frame: &mut Vec<u8>) {
    encode(frame, |text| write_push(push, text));
}

/// Appends what `write` says as a frame, if it says something.
fn encode(frame: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut text = Vec::with_capacity(SHORT);
    write(&mut text);
    if !text.is_empty() {
        encode_frame(Opcode::Text, &text, frame);
    }
}

/// Bytes for which most replies and pushes have room without growing.
const SHORT: usize = 160;

#[cfg(test)]
mod tests;
