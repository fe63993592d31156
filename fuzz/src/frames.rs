//! `frames`: the WebSocket decoder on any bytes, cut anywhere.
//!
//! The first byte chooses the role and the limit, the next two are the seed of the cuts, the rest is the stream.
//! Checked: the same items and the same violation whatever the cuts; nothing left in the input; memory within the
//! limit and within what came.

use fanfare_protocol::websocket::Role;
use fastrand::Rng;

use crate::bounds::bounded;
use crate::decoded::decode;
use crate::stream::pieces;

const LIMITS: [u32; 8] = [0, 1, 125, 126, 300, 4_096, 70_000, u32::MAX];

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((&[choice, high, low], stream)) = bytes.split_first_chunk() else {
        return;
    };
    let role = if choice & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let message_bytes_max = LIMITS[usize::from(choice >> 1) % LIMITS.len()];
    let mut rng = Rng::with_seed(u16::from_be_bytes([high, low]).into());
    // Two readings are kept at a time: of frames without payload that is 32 bytes for every two, in lists that double as
    // they grow, and beside a doubled list stands the one before.
    bounded(96 * stream.len() + (16 << 10), || {
        let whole = decode(role, [stream], message_bytes_max);
        assert_eq!(
            decode(role, stream.chunks(1), message_bytes_max),
            whole,
            "byte by byte"
        );
        let cut = pieces(stream, &mut rng);
        assert_eq!(decode(role, cut, message_bytes_max), whole, "in pieces");
    });
}
