//! `compression`: compressed messages, as clients might send them and as this server makes them.
//!
//! The first byte chooses text or binary, the limit, and what the rest is: a deflate stream of anyone, or a payload to be
//! compressed here. The next two are the seed of fragments and cuts. Checked: what is inflated is what miniz inflates,
//! whatever the fragments and cuts; what is compressed here is read again; the inflater holds no more than the limit.

use fanfare_protocol::websocket::{
    Decoder, Deflater, Inflater, Opcode, Role, Violation, encode_frame, encode_masked_frame,
};
use fastrand::Rng;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use crate::bounds::bounded;
use crate::decoded::Decoded;
use crate::stream::pieces;

const LIMITS: [u32; 4] = [0, 300, 5_000, 70_000];

/// What the inflater and the deflater cost, whatever they work on, and the shortest buffer.
const STATE_BYTES_MAX: usize = 640 << 10;
const BUFFER_BYTES: usize = 4 << 10;

/// How often a payload to compress is repeated.
const TIMES: [usize; 4] = [1, 2, 30, 1_000];

/// What a sender takes off the end of a message, and a final block behind it.
const ENDING: &[u8] = b"\x00\x00\xff\xff\x01\x00\x00\xff\xff";

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((&[choice, high, low], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let opcode = if choice & 1 == 0 {
        Opcode::Text
    } else {
        Opcode::Binary
    };
    let mut rng = Rng::with_seed(u16::from_be_bytes([high, low]).into());
    if choice & 2 == 0 {
        let max = LIMITS[usize::from(choice >> 2) % LIMITS.len()];
        bounded(STATE_BYTES_MAX + 16 * max as usize + 64 * rest.len(), || {
            check_inflating(opcode, rest, max, &mut rng);
        });
    } else {
        let payload = rest.repeat(TIMES[usize::from(choice >> 2) % TIMES.len()]);
        if payload.len() <= 200_000 {
            bounded(STATE_BYTES_MAX + 24 * payload.len(), || {
                check_deflating(opcode, &payload);
            });
        }
    }
}

/// Anyone's stream is read as miniz reads it, however it is cut. Where it is refused here, miniz may be more lenient.
fn check_inflating(opcode: Opcode, stream: &[u8], max: u32, rng: &mut Rng) {
    let frames = fragments(opcode, stream, rng);
    let whole = inflate(Role::Server, [frames.as_slice()], max);
    let cuts = pieces(&frames, rng);
    assert_eq!(inflate(Role::Server, cuts, max), whole, "in pieces");
    if let Ok(items) = whole {
        let Some(expected) = miniz(stream, max as usize) else {
            panic!("miniz cannot inflate what we make {items:?} of");
        };
        assert_eq!(items, [item(opcode, &expected).unwrap()]);
    }
}

/// What is compressed here is shorter, and what it was when it is read again.
fn check_deflating(opcode: Opcode, payload: &[u8]) {
    let mut frame = Vec::new();
    encode_frame(opcode, payload, &mut frame);
    let before = frame.clone();
    let is_compressed = Deflater::default().compress_frame(&mut frame, 0);
    assert_eq!(is_compressed, frame != before);
    assert!(frame.len() <= before.len());
    let read = inflate(Role::Client, [frame.as_slice()], u32::MAX);
    match item(opcode, payload) {
        Some(item) => assert_eq!(read, Ok(vec![item])),
        None => assert!(matches!(read, Err(Violation::TextNotUtf8 { .. })), "{read:?}"),
    }
}

/// A compressed message in some masked fragments.
fn fragments(opcode: Opcode, stream: &[u8], rng: &mut Rng) -> Vec<u8> {
    const FINAL_AND_COMPRESSED: u8 = 0xc0;
    let mut fragments = pieces(stream, rng);
    fragments.push(&[]);
    let last = fragments.len() - 1;
    let mut frames = Vec::new();
    for (at, fragment) in fragments.into_iter().enumerate() {
        let start = frames.len();
        let opcode = if at == 0 { opcode } else { Opcode::Continuation };
        encode_masked_frame(opcode, fragment, [1, 2, 3, 4], &mut frames);
        frames[start] &= !FINAL_AND_COMPRESSED;
        frames[start] |= if at == last { 0x80 } else { 0 } | if at == 0 { 0x40 } else { 0 };
    }
    frames
}

fn inflate<'p>(
    role: Role,
    pieces: impl IntoIterator<Item = &'p [u8]>,
    max: u32,
) -> Result<Vec<Decoded>, Violation> {
    let (mut decoder, mut inflater) = (Decoder::new(role), Inflater::default());
    let mut items = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = bytes.as_mut_slice();
        while let Some(item) = decoder.next_inflating(&mut input, max, &mut inflater)? {
            items.push(item.into());
        }
        let held_max = (max as usize).saturating_add(1).max(BUFFER_BYTES);
        assert!(
            inflater.bytes_held() <= held_max,
            "{} bytes are held",
            inflater.bytes_held()
        );
    }
    Ok(items)
}

fn item(opcode: Opcode, payload: &[u8]) -> Option<Decoded> {
    if opcode == Opcode::Binary {
        return Some(Decoded::Binary(payload.to_vec()));
    }
    String::from_utf8(payload.to_vec()).ok().map(Decoded::Text)
}

/// What miniz makes of a message: streams one after the other, the last one completed by the ending.
fn miniz(message: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut inflated = Vec::new();
    let mut reader = Reader::default();
    let is_whole = reader.push(message, max, &mut inflated)? || reader.push(ENDING, max, &mut inflated)?;
    inflated.extend_from_slice(&reader.out[..reader.filled]);
    (is_whole && inflated.len() <= max).then_some(inflated)
}

/// One deflate stream under way.
#[derive(Default)]
struct Reader {
    state: DecompressorOxide,
    out: Vec<u8>,
    filled: usize,
}

impl Reader {
    /// Whether the piece ends where a stream ends; none when it is no deflate stream or inflates to too much.
    fn push(&mut self, mut piece: &[u8], max: usize, inflated: &mut Vec<u8>) -> Option<bool> {
        const FLAGS: u32 = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        self.out.resize(max + 1, 0);
        loop {
            let (status, taken, made) = decompress(&mut self.state, piece, &mut self.out, self.filled, FLAGS);
            piece = &piece[taken..];
            self.filled += made;
            match status {
                TINFLStatus::NeedsMoreInput => return Some(false),
                TINFLStatus::Done => {
                    inflated.extend_from_slice(&self.out[..self.filled]);
                    (self.state, self.filled) = (DecompressorOxide::default(), 0);
                    if piece.is_empty() {
                        return Some(true);
                    }
                }
                _ => return None,
            }
        }
    }
}
