//! Our decoder and tungstenite's server side must make the same of the same bytes, however wrong those are: the same
//! items up to the first error, and an error or none.
//!
//! The differences, all of them tungstenite's:
//!
//! - it looks at a frame once all of it has arrived, so that a stream that ends within a wrong frame is not wrong to
//!   it: it is given zeros behind the stream to complete that frame;
//! - it accepts lengths that are not in their shortest form, those of control frames included;
//! - it delivers a close frame whose code must not be on the wire as one with code 1002, and 1014 is such a code;
//! - it judges a frame's length, mask, reserved bits and payload in another order, so that the error of a frame with
//!   several faults is another one: only that there is one is compared.

use super::round_trip::{Fragmented, close, control, control_frame, fragmented};
use super::stream::{Decoded, LengthForm, MASK, RawFrame, decode, pieces};
use fanfare_protocol::websocket::{Role, Violation};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::{Message, WebSocket, WebSocketConfig};

const MESSAGE_BYTES_MAX: u32 = 300;

/// What one of the codecs made of a stream, up to the first close or error.
#[derive(Debug)]
struct Verdict {
    items: Vec<Decoded>,
    has_error: bool,
}

fn theirs(pieces: &[&[u8]]) -> Verdict {
    let pieces = pieces
        .iter()
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.to_vec())
        .collect();
    let config = WebSocketConfig::default()
        .read_buffer_size(1_024)
        .max_frame_size(Some(MESSAGE_BYTES_MAX as usize))
        .max_message_size(Some(MESSAGE_BYTES_MAX as usize));
    let mut socket =
        WebSocket::from_raw_socket(Pipe { pieces }, tungstenite::protocol::Role::Server, Some(config));
    let mut items = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => items.push(owned(message)),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                return Verdict {
                    items,
                    has_error: false,
                };
            }
            Err(_) => {
                return Verdict {
                    items,
                    has_error: true,
                };
            }
        }
        if let Some(Decoded::Close(_)) = items.last() {
            return Verdict {
                items,
                has_error: false,
            };
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
        Message::Frame(_) => unreachable!("raw frames are not read"),
    }
}

fn ours(pieces: &[&[u8]]) -> (Vec<Decoded>, Option<Violation>) {
    let outcome = decode(Role::Server, pieces.iter().copied(), MESSAGE_BYTES_MAX);
    let mut items = outcome.items;
    match items.iter().position(|item| matches!(item, Decoded::Close(_))) {
        Some(close) => {
            items.truncate(close + 1);
            (items, None)
        }
        None => (items, outcome.violation),
    }
}

/// Panics when the two disagree in a way that is not listed above. Gives our verdict.
fn assert_agreement(bytes: &[u8], cuts: &[usize]) -> Option<Violation> {
    let pieces = pieces(bytes, cuts);
    let (mut items, violation) = ours(&pieces);
    let zeros = [0; MESSAGE_BYTES_MAX as usize + 14];
    let completed = if violation.is_some() {
        [&pieces, [zeros.as_slice()].as_slice()].concat()
    } else {
        pieces
    };
    let theirs = theirs(&completed);
    match violation {
        None => {
            items.iter_mut().for_each(replace_1014);
            assert_eq!((theirs.items, theirs.has_error), (items, false));
        }
        Some(Violation::LengthNotMinimal { .. } | Violation::LongControl { .. }) => {
            assert!(theirs.items.starts_with(&items), "{theirs:?} against {items:?}");
        }
        Some(Violation::CloseCode { .. }) if !theirs.has_error => {
            items.push(close_with_wrong_code());
            assert_eq!(theirs.items, items);
        }
        Some(violation) => {
            assert_eq!(
                (theirs.items, theirs.has_error),
                (items, true),
                "we say {violation}"
            );
        }
    }
    violation
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

/// A way to spoil a sequence of frames.
#[derive(Debug, Clone)]
enum Fault {
    FlipFirstByte(u8),
    DropMask,
    WriteLengthIn(LengthForm),
    SetPayloadByte(Index, u8),
    DropFrame,
    RepeatFrame,
    SwapFrames(Index),
    InsertClose(u16, Vec<u8>),
}

impl Fault {
    fn apply(&self, frames: &mut Vec<RawFrame>, at: Index) {
        if frames.is_empty() {
            return;
        }
        let at = at.index(frames.len());
        match self {
            Self::FlipFirstByte(bits) => frames[at].first ^= bits,
            Self::DropMask => frames[at].mask = None,
            Self::WriteLengthIn(form) => frames[at].length = *form,
            Self::SetPayloadByte(..) if frames[at].payload.is_empty() => {}
            Self::SetPayloadByte(index, byte) => *index.get_mut(&mut frames[at].payload) = *byte,
            Self::DropFrame => drop(frames.remove(at)),
            Self::RepeatFrame => frames.insert(at, frames[at].clone()),
            Self::SwapFrames(other) => {
                let other = other.index(frames.len());
                frames.swap(at, other);
            }
            Self::InsertClose(code, reason) => {
                let payload = [code.to_be_bytes().as_slice(), reason].concat();
                frames.insert(at, RawFrame::masked(0x88, &payload));
            }
        }
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    let form = prop_oneof![Just(LengthForm::TwoBytes), Just(LengthForm::EightBytes)];
    let code = prop_oneof![any::<u16>(), 990_u16..1020];
    let reason = prop_oneof![Just(vec![]), prop::collection::vec(any::<u8>(), 1..4)];
    prop_oneof![
        3 => any::<u8>().prop_map(Fault::FlipFirstByte),
        3 => (0..8_u32).prop_map(|bit| Fault::FlipFirstByte(1 << bit)),
        1 => Just(Fault::DropMask),
        1 => form.prop_map(Fault::WriteLengthIn),
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Fault::SetPayloadByte(at, byte)),
        2 => Just(Fault::DropFrame),
        2 => Just(Fault::RepeatFrame),
        2 => any::<Index>().prop_map(Fault::SwapFrames),
        2 => (code, reason).prop_map(|(code, reason)| Fault::InsertClose(code, reason)),
    ]
}

fn frames() -> impl Strategy<Value = Vec<RawFrame>> {
    let controls = prop::collection::vec(control(), 0..2);
    (
        prop::collection::vec(fragmented(), 1..4),
        controls,
        prop::option::weighted(0.3, close()),
    )
        .prop_map(|(messages, controls, close)| {
            let messages = messages
                .iter()
                .flat_map(|message: &Fragmented| message.frames(MASK).0);
            messages
                .chain(controls.iter().chain(&close).map(control_frame))
                .collect()
        })
}

/// Bytes of a client: mostly as they should be, otherwise with faults in frames, in single bytes, and cut off.
fn client_stream() -> impl Strategy<Value = Vec<u8>> {
    let faults = prop::collection::vec((fault(), any::<Index>()), 0..3);
    let flips =
        prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec((any::<Index>(), any::<u8>()), 1..3)];
    (
        frames(),
        faults,
        flips,
        prop::option::weighted(0.2, any::<Index>()),
    )
        .prop_map(|(mut frames, faults, flips, end)| {
            for (fault, at) in faults {
                fault.apply(&mut frames, at);
            }
            let mut bytes = Vec::new();
            for frame in &frames {
                frame.encode(&mut bytes);
            }
            for (at, bits) in flips.iter().filter(|_| !frames.is_empty()) {
                *at.get_mut(&mut bytes) ^= bits;
            }
            bytes.truncate(end.map_or(bytes.len(), |end| end.index(bytes.len() + 1)));
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn streams_are_judged_alike(
        bytes in client_stream(),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        assert_agreement(&bytes, &cuts);
    }

    #[test]
    fn noise_behind_a_first_byte_is_judged_alike(
        first in prop::sample::select(vec![0x01_u8, 0x81, 0x02, 0x82, 0x88, 0x89, 0x8a]),
        rest in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        assert_agreement(&[&[first, 0x80 | (rest.len() as u8)], rest.as_slice()].concat(), &[]);
    }
}

#[test]
fn faults_are_judged_alike() {
    for stream in super::faults::faults()
        .into_iter()
        .filter(|stream| stream.role == Role::Server)
    {
        assert!(assert_agreement(&stream.bytes, &[]).is_some(), "{}", stream.name);
    }
}
