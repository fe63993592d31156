//! `reassembly`: frames and fragments, mostly as they should be, against tungstenite's server side.
//!
//! The input is read as a list of frames and a tail of any bytes. Checked: both make the same of the same bytes, the
//! same items up to the first error, and an error or none, whatever the cuts.
//!
//! The differences that are allowed are all tungstenite's, the same as in
//! `crates/protocol/tests/websocket/agreement.rs`: it looks at a frame once all of it has arrived, so it is given zeros
//! behind a stream with an error; it accepts lengths that are not in their shortest form; it delivers a close with a
//! code that must not be on the wire, 1014 among them, as one with 1002; it names another error where a frame has
//! several.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use arbitrary::{Arbitrary, Unstructured};
use fanfare_protocol::websocket::{Role, Violation};
use fastrand::Rng;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::{Message, WebSocket, WebSocketConfig};

use crate::bounds::bounded;
use crate::stream::{Decoded, decode, pieces};

const MESSAGE_BYTES_MAX: u32 = 300;

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
    let (mut items, mut violation) = (whole.items, whole.violation);
    if let Some(close) = items.iter().position(|item| matches!(item, Decoded::Close(_))) {
        items.truncate(close + 1);
        violation = None;
    }
    let zeros = [0; MESSAGE_BYTES_MAX as usize + 14];
    let completion = violation.map(|_| zeros.as_slice());
    let (mut theirs, has_error) = theirs(pieces.iter().copied().chain(completion));
    match violation {
        None => {
            items.iter_mut().for_each(replace_1014);
            assert_eq!((theirs, has_error), (items, false));
        }
        Some(Violation::LengthNotMinimal { .. } | Violation::LongControl { .. }) => {
            theirs.truncate(items.len());
            assert_eq!(theirs, items);
        }
        Some(Violation::CloseCode { .. }) if !has_error => {
            items.push(close_with_wrong_code());
            assert_eq!(theirs, items);
        }
        Some(violation) => assert_eq!((theirs, has_error), (items, true), "we say {violation}"),
    }
}

/// What tungstenite makes of the pieces, up to the first close or error, and whether there was an error.
fn theirs<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> (Vec<Decoded>, bool) {
    let pieces = pieces
        .filter(|piece| !piece.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let config = WebSocketConfig::default()
        .read_buffer_size(1_024)
        .max_frame_size(Some(MESSAGE_BYTES_MAX as usize))
        .max_message_size(Some(MESSAGE_BYTES_MAX as usize));
    let role = tungstenite::protocol::Role::Server;
    let mut socket = WebSocket::from_raw_socket(Pipe { pieces }, role, Some(config));
    let mut items = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => items.push(owned(message)),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return (items, false),
            Err(_) => return (items, true),
        }
        if let Some(Decoded::Close(_)) = items.last() {
            return (items, false);
        }
    }
}

fn owned(message: Message) -> Decoded {
    match message {
        Message::Text(text) => Decoded::Text(text.as_str().to_owned()),
        Message::Binary(bytes) => Decoded::Binary(bytes.to_vec()),
        Message::Ping(payload) => Decoded::Ping(payload.to_vec()),
        Message::Pong(payload) => Decoded::Pong(payload.to_vec()),
        Message::Close(close) => {
            Decoded::Close(close.map(|close| (close.code.into(), close.reason.as_str().to_owned())))
        }
        Message::Frame(_) => panic!("raw frames are not read"),
    }
}

fn replace_1014(item: &mut Decoded) {
    if matches!(item, Decoded::Close(Some((1014, _)))) {
        *item = close_with_wrong_code();
    }
}

fn close_with_wrong_code() -> Decoded {
    Decoded::Close(Some((1002, "Protocol violation".to_owned())))
}

/// A transport that gives one piece after the other and takes everything.
struct Pipe {
    pieces: VecDeque<Vec<u8>>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.front_mut() else {
            return Ok(0);
        };
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        piece.drain(..length);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Ok(length)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
