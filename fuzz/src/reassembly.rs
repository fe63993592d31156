//! `reassembly`: frames and fragments, mostly as they should be, against tungstenite's server side.
//!
//! The input is read as a list of frames and a tail of any bytes. Checked: both make the same of the same bytes, the
//! same items up to the first error, and an error or none, whatever the cuts. The judge is that of the tests of the
//! protocol, `crates/protocol/tests/websocket/judge.rs`.

use arbitrary::{Arbitrary, Unstructured};
use fanfare_protocol::websocket::Role;
use fastrand::Rng;

use crate::bounds::bounded;
use crate::decoded::decode;
use crate::judge::{MESSAGE_BYTES_MAX, assert_agreement};
use crate::stream::pieces;

/// What a client sends.
#[derive(Arbitrary, Debug)]
struct Story {
    cuts: u16,
    frames: Vec<Frame>,
    tail: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
struct Frame {
    kind: Kind,
    is_last: bool,
    /// A fault: bits of the first byte to flip. Mostly none.
    flips: u8,
    is_rare: u8,
    length: LengthForm,
    payload: Vec<u8>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Text,
    Binary,
    Continuation,
    Ping,
    Pong,
    Close(u16),
}

/// How a length is written.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum LengthForm {
    Shortest,
    TwoBytes,
    EightBytes,
}

/// Of a byte that makes a fault rare: from here on there is one.
const RARE: u8 = 250;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Ok(story) = Story::arbitrary_take_rest(Unstructured::new(bytes)) else {
        return;
    };
    let mut stream = Vec::new();
    for frame in &story.frames {
        frame.encode(&mut stream);
    }
    stream.extend(&story.tail);
    let mut rng = Rng::with_seed(story.cuts.into());
    let pieces = pieces(&stream, &mut rng);
    bounded(64 * stream.len() + (64 << 10), || check(&stream, &pieces));
}

impl Frame {
    fn encode(&self, out: &mut Vec<u8>) {
        let (opcode, code) = match self.kind {
            Kind::Continuation => (0x0, None),
            Kind::Text => (0x1, None),
            Kind::Binary => (0x2, None),
            Kind::Close(code) => (0x8, Some(code.to_be_bytes())),
            Kind::Ping => (0x9, None),
            Kind::Pong => (0xa, None),
        };
        let is_final = self.is_last || opcode & 0x8 != 0;
        let flips = if self.is_rare >= RARE { self.flips } else { 0 };
        out.push((if is_final { 0x80 } else { 0 } | opcode) ^ flips);
        let payload: Vec<u8> = code
            .into_iter()
            .flatten()
            .chain(self.payload.iter().copied())
            .collect();
        self.encode_length(payload.len(), out);
        out.extend(MASK);
        let key = MASK.into_iter().cycle();
        out.extend(payload.iter().zip(key).map(|(byte, key)| byte ^ key));
    }

    fn encode_length(&self, length: usize, out: &mut Vec<u8>) {
        let form = if self.is_rare >= RARE {
            self.length
        } else {
            LengthForm::Shortest
        };
        match form {
            LengthForm::Shortest if length <= 125 => out.push(0x80 | length as u8),
            LengthForm::Shortest | LengthForm::TwoBytes if length <= 0xffff => {
                out.push(0xfe);
                out.extend((length as u16).to_be_bytes());
            }
            _ => {
                out.push(0xff);
                out.extend((length as u64).to_be_bytes());
            }
        }
    }
}

fn check(stream: &[u8], pieces: &[&[u8]]) {
    let whole = decode(Role::Server, [stream], MESSAGE_BYTES_MAX);
    let cut = decode(Role::Server, pieces.iter().copied(), MESSAGE_BYTES_MAX);
    assert_eq!(cut, whole, "in pieces");
    assert_agreement(pieces);
}
