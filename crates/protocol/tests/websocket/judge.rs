//! Our decoder and tungstenite's server side must make the same of the same bytes, however wrong those are: the same
//! items up to the first error, and an error or none. The fuzz targets use this file too.
//!
//! The differences, all of them tungstenite's:
//!
//! - it looks at a frame once all of it has arrived, so that a stream that ends within a wrong frame is not wrong to
//!   it: it is given zeros behind the stream to complete that frame;
//! - it accepts lengths that are not in their shortest form, those of control frames included;
//! - it delivers a close frame whose code must not be on the wire as one with code 1002, and 1014 is such a code;
//! - it judges a frame's length, mask, reserved bits and payload in another order, so that the error of a frame with
//!   several faults is another one: only that there is one is compared.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use fanfare_protocol::websocket::{Role, Violation};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::{Message, WebSocket, WebSocketConfig};

use super::decoded::{Decoded, decode};

/// The limit of both.
pub(crate) const MESSAGE_BYTES_MAX: u32 = 300;

/// Panics when the two disagree, in a way that is not listed above, on a stream that arrives in these pieces. Gives our
/// verdict.
pub(crate) fn assert_agreement(pieces: &[&[u8]]) -> Option<Violation> {
    let ours = decode(Role::Server, pieces.iter().copied(), MESSAGE_BYTES_MAX);
    let (mut items, mut violation) = (ours.items, ours.violation);
    if let Some(close) = items.iter().position(|item| matches!(item, Decoded::Close(_))) {
        items.truncate(close + 1);
        violation = None;
    }
    let zeros = [0; MESSAGE_BYTES_MAX as usize + 14];
    let completion = violation.as_ref().map(|_| zeros.as_slice());
    let (mut theirs, has_error) = theirs(pieces.iter().copied().chain(completion));
    match &violation {
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
    violation
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
        Message::Frame(_) => unreachable!("raw frames are not read"),
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
