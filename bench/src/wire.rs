//! The few forms of WebSocket (RFC 6455) the measurements speak: whole frames, written and read.
//!
//! Bytes come in as the socket gives them, joined or split anywhere; whole frames go out. Fragmented messages and
//! extensions are refused when read: no server that is measured here sends them. An attacker writes them.

use std::io;

/// The bits of a frame's first byte above the opcode: the last of its message; compressed (RFC 7692 section 6).
pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// One whole frame, unmasked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
}

/// Cuts a stream of bytes into frames; holds memory only while a frame is split.
#[derive(Debug, Default)]
pub(crate) struct FrameParser {
    partial: Vec<u8>,
}

impl FrameParser {
    /// Takes the next bytes of the stream and hands every frame they complete to `on_frame`, in order.
    ///
    /// Masked payloads are unmasked in place, so `bytes` are garbage afterwards.
    pub(crate) fn feed(&mut self, bytes: &mut [u8], on_frame: impl FnMut(Frame<'_>)) -> io::Result<()> {
        if self.partial.is_empty() {
            let used = cut(bytes, on_frame)?;
            self.partial.extend_from_slice(&bytes[used..]);
        } else {
            self.partial.extend_from_slice(bytes);
            let used = cut(&mut self.partial, on_frame)?;
            self.partial.drain(..used);
        }
        Ok(())
    }
}

/// Hands out all whole frames at the beginning of `bytes` and says how many bytes they took.
fn cut(bytes: &mut [u8], mut on_frame: impl FnMut(Frame<'_>)) -> io::Result<usize> {
    let mut used = 0;
    while let Some(head) = Head::read(&bytes[used..])? {
        let begin = used + head.length;
        let end = begin + head.payload_bytes;
        if end > bytes.len() {
            break;
        }
        let payload = &mut bytes[begin..end];
        if let Some(mask) = head.mask {
            apply_mask(payload, mask);
        }
        on_frame(Frame {
            opcode: head.opcode,
            payload,
        });
        used = end;
    }
    Ok(used)
}

/// The fixed part of a frame, before its payload.
struct Head {
    opcode: u8,
    mask: Option<[u8; 4]>,
    /// Its own length, the mask included.
    length: usize,
    payload_bytes: usize,
}

impl Head {
    /// Reads a head, or `None` while bytes of it are missing.
    fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let opcode = first & 0x0f;
        if first & 0xf0 != 0x80 || opcode == 0 {
            return Err(invalid(format!(
                "frame begins with {first:#04x}: fragments and extensions are not spoken"
            )));
        }
        let (length, length_bytes) = match second & 0x7f {
            126 => (
                rest.first_chunk()
                    .map(|bytes| u64::from(u16::from_be_bytes(*bytes))),
                2,
            ),
            127 => (rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)), 8),
            short => (Some(u64::from(short)), 0),
        };
        let Some(length) = length else {
            return Ok(None);
        };
        if length > PAYLOAD_BYTES_MAX {
            return Err(invalid(format!(
                "frame announces {length} bytes, limit is {PAYLOAD_BYTES_MAX}"
            )));
        }
        let payload_bytes = length as usize;
        if second & 0x80 == 0 {
            return Ok(Some(Self {
                opcode,
                mask: None,
                length: 2 + length_bytes,
                payload_bytes,
            }));
        }
        let mask = rest
            .get(length_bytes..)
            .and_then(|bytes| bytes.first_chunk().copied());
        Ok(mask.map(|mask| Self {
            opcode,
            mask: Some(mask),
            length: 6 + length_bytes,
            payload_bytes,
        }))
    }
}

/// Appends a whole frame as a client sends it.
pub(crate) fn push_masked(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    push_client(out, FIN | opcode, payload, mask);
}

/// Appends a frame as a client sends it, its first byte given: `FIN`, `RSV1` and the opcode.
pub(crate) fn push_client(out: &mut Vec<u8>, first: u8, payload: &[u8], mask: [u8; 4]) {
    push_announcement(out, first, payload.len() as u64, mask);
    let begin = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[begin..], mask);
}

/// Appends the head of a frame as a client sends it; nothing says that the payload follows.
pub(crate) fn push_announcement(out: &mut Vec<u8>, first: u8, payload_bytes: u64, mask: [u8; 4]) {
    push_head(out, first, payload_bytes, 0x80);
    out.extend_from_slice(&mask);
}

/// Appends a whole frame as a server sends it.
pub(crate) fn push_unmasked(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    push_head(out, FIN | opcode, payload.len() as u64, 0);
    out.extend_from_slice(payload);
}

fn push_head(out: &mut Vec<u8>, first: u8, payload_bytes: u64, mask_bit: u8) {
    out.push(first);
    match payload_bytes {
        0..=125 => out.push(mask_bit + payload_bytes as u8),
        126..=0xffff => {
            out.push(mask_bit + 126);
            out.extend_from_slice(&(payload_bytes as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit + 127);
            out.extend_from_slice(&payload_bytes.to_be_bytes());
        }
    }
}

fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A frame that announces more is an error: no measurement sends that much, so the stream is out of step.
const PAYLOAD_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_in_pieces(stream: &[u8], piece_bytes: usize) -> io::Result<Vec<(u8, Vec<u8>)>> {
        let mut parser = FrameParser::default();
        let mut frames = Vec::new();
        for piece in stream.chunks(piece_bytes) {
            parser.feed(&mut piece.to_vec(), |frame| {
                frames.push((frame.opcode, frame.payload.to_vec()));
            })?;
        }
        assert!(parser.partial.is_empty(), "bytes were left over");
        Ok(frames)
    }

    fn samples() -> Vec<(u8, Vec<u8>)> {
        let sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 100];
        let opcodes = [TEXT, BINARY, PING, TEXT, CLOSE, BINARY, TEXT, PONG];
        opcodes
            .into_iter()
            .zip(sizes.map(|size| (0..size).map(|i| (i % 251) as u8).collect()))
            .collect()
    }

    #[test]
    fn unmasked_frames_survive_joining_and_splitting() {
        let mut stream = Vec::new();
        for (opcode, payload) in samples() {
            push_unmasked(&mut stream, opcode, &payload);
        }
        for piece_bytes in [1, 2, 3, 7, 100, 4096, stream.len()] {
            assert_eq!(
                parse_in_pieces(&stream, piece_bytes).unwrap(),
                samples(),
                "pieces of {piece_bytes}"
            );
        }
    }

    #[test]
    fn masked_frames_survive_joining_and_splitting() {
        let mut stream = Vec::new();
        for (opcode, payload) in samples() {
            push_masked(&mut stream, opcode, &payload, [0x12, 0x34, 0x56, 0x78]);
        }
        for piece_bytes in [1, 2, 5, 13, 4096, stream.len()] {
            assert_eq!(
                parse_in_pieces(&stream, piece_bytes).unwrap(),
                samples(),
                "pieces of {piece_bytes}"
            );
        }
    }

    #[test]
    fn a_masked_frame_is_written_as_the_rfc_shows_it() {
        let mut out = Vec::new();
        push_masked(&mut out, TEXT, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(
            out,
            [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        );
    }

    #[test]
    fn an_announcement_is_the_head_of_its_frame() {
        for payload_bytes in [0, 125, 126, 65_535, 65_536] {
            let (mut whole, mut head) = (Vec::new(), Vec::new());
            push_client(&mut whole, RSV1 | TEXT, &vec![0; payload_bytes], [1; 4]);
            push_announcement(&mut head, RSV1 | TEXT, payload_bytes as u64, [1; 4]);
            assert_eq!(whole.len(), head.len() + payload_bytes);
            assert!(whole.starts_with(&head), "{payload_bytes}");
        }
    }

    #[test]
    fn fragments_extensions_and_huge_frames_are_refused() {
        let huge = [0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0];
        for bytes in [&[0x01, 0x00][..], &[0x80, 0x00], &[0xc1, 0x00], &huge] {
            assert!(
                FrameParser::default().feed(&mut bytes.to_vec(), |_| {}).is_err(),
                "{bytes:?}"
            );
        }
    }
}
