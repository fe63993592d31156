//! Streams of bytes for a decoder: frames built without the codec's encoder, and decoding them in pieces.

use fanfare_protocol::websocket::{Decoder, Item, Role, Violation};

/// An [`Item`] that borrows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) items: Vec<Decoded>,
    pub(crate) violation: Option<Violation>,
    pub(crate) is_idle: bool,
}

/// Decodes a stream that arrives in these pieces.
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
        assert_eq!(
            decoder.is_idle(),
            decoder.bytes_held() == 0,
            "held although idle, or the other way round"
        );
        assert!(
            decoder.bytes_held() <= 512 + 2 * received,
            "holds {} bytes",
            decoder.bytes_held()
        );
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

/// The pieces of `bytes` between cuts, which may be in any order and beyond the end.
pub(crate) fn pieces<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|&cut| cut.min(bytes.len())).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

/// A frame that may be wrong in any way.
#[derive(Debug, Clone)]
pub(crate) struct RawFrame {
    /// The first byte: final bit, reserved bits, opcode.
    pub(crate) first: u8,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) length: LengthForm,
    pub(crate) payload: Vec<u8>,
}

/// How a length is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LengthForm {
    Shortest,
    TwoBytes,
    EightBytes,
}

impl RawFrame {
    /// A masked frame as it should be.
    pub(crate) fn masked(first: u8, payload: &[u8]) -> Self {
        Self {
            first,
            mask: Some(MASK),
            length: LengthForm::Shortest,
            payload: payload.to_vec(),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mask_bit = if self.mask.is_some() { 0x80 } else { 0 };
        let length = self.payload.len();
        out.push(self.first);
        match self.length {
            LengthForm::Shortest if length <= 125 => out.push(mask_bit | length as u8),
            LengthForm::Shortest | LengthForm::TwoBytes if length <= 0xffff => {
                out.push(mask_bit | 0x7e);
                out.extend((length as u16).to_be_bytes());
            }
            _ => {
                out.push(mask_bit | 0x7f);
                out.extend((length as u64).to_be_bytes());
            }
        }
        out.extend(self.mask.iter().flatten());
        let key = self.mask.unwrap_or_default().into_iter().cycle();
        out.extend(self.payload.iter().zip(key).map(|(byte, key)| byte ^ key));
    }
}

/// The bytes of these masked frames, each given by its first byte and its payload.
pub(crate) fn masked_stream(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (first, payload) in frames {
        RawFrame::masked(*first, payload).encode(&mut out);
    }
    out
}

/// The key of the RFC's examples.
pub(crate) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The limit for the streams written by hand.
pub(crate) const MESSAGE_BYTES_MAX: u32 = 70_000;
