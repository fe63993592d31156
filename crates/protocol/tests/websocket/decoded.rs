//! Decoding a stream of bytes in pieces, and what becomes of it. The fuzz targets use this file too.

use fanfare_protocol::websocket::{Decoder, Item, Role, Violation};

/// An [`Item`] that borrows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Item<'_>> for Decoded {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Text(text) => Self::Text(text.to_owned()),
            Item::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Item::Ping(payload) => Self::Ping(payload.to_vec()),
            Item::Pong(payload) => Self::Pong(payload.to_vec()),
            Item::Close(close) => Self::Close(close.map(|close| (close.code, close.reason.to_owned()))),
        }
    }
}

/// What became of a stream: the items up to its end or up to the violation, and whether something was left partial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) items: Vec<Decoded>,
    pub(crate) violation: Option<Violation>,
    pub(crate) is_idle: bool,
}

/// Heap bytes that a decoder may hold beside the message it joins.
const STATE_BYTES_MAX: usize = 512;

/// Decodes a stream that arrives in these pieces. Panics when the decoder leaves input or holds more than it may:
/// twice of what came, and never more than the limit.
pub(crate) fn decode<'p>(
    role: Role,
    pieces: impl IntoIterator<Item = &'p [u8]>,
    message_bytes_max: u32,
) -> Outcome {
    let mut decoder = Decoder::new(role);
    let mut items = Vec::new();
    let mut received = 0;
    for piece in pieces {
        received += piece.len();
        if let Err(violation) = decode_piece(&mut decoder, piece, message_bytes_max, &mut items) {
            return Outcome {
                items,
                violation: Some(violation),
                is_idle: false,
            };
        }
        let held = decoder.bytes_held();
        let held_max = STATE_BYTES_MAX + (2 * received).min(message_bytes_max as usize);
        assert!(
            held <= held_max,
            "the decoder holds {held} bytes after {received}"
        );
        assert_eq!(decoder.is_idle(), held == 0, "{held} bytes are held");
    }
    Outcome {
        items,
        violation: None,
        is_idle: decoder.is_idle(),
    }
}

fn decode_piece(
    decoder: &mut Decoder,
    piece: &[u8],
    message_bytes_max: u32,
    items: &mut Vec<Decoded>,
) -> Result<(), Violation> {
    let mut bytes = piece.to_vec();
    let mut input = bytes.as_mut_slice();
    while let Some(item) = decoder.next(&mut input, message_bytes_max)? {
        items.push(item.into());
    }
    assert!(input.is_empty(), "{} bytes were left in the input", input.len());
    Ok(())
}
