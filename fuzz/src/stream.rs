//! Streams of WebSocket bytes: cut into pieces, and read.

use fanfare_protocol::websocket::Role;
use fastrand::Rng;

use crate::decoded::{Decoded, decode};

/// Cuts `bytes` at places that `rng` draws: mostly few bytes, sometimes many, sometimes none.
pub(crate) fn pieces<'b>(mut bytes: &'b [u8], rng: &mut Rng) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let piece_max = [0, 1, 2, 5, 20, 200, usize::MAX][rng.usize(..7)];
        let (piece, rest) = bytes.split_at(rng.usize(..=piece_max.min(bytes.len())));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// The one item in a frame that this server wrote; panics when it is not exactly one whole message.
pub(crate) fn only_item(frame: &[u8]) -> Decoded {
    let mut outcome = decode(Role::Client, [frame], u32::MAX);
    assert_eq!(
        (outcome.items.len(), outcome.violation, outcome.is_idle),
        (1, None, true)
    );
    outcome.items.remove(0)
}
