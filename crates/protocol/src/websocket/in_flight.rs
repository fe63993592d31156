//! What a decoder holds between two inputs: everything about frames and messages that are not whole yet.

use super::close::CloseFrame;
use super::header::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header, Reserved};
use super::message::PartialMessage;
use super::{Item, Opcode, Role, Violation};

/// The parts of whatever is partial. It exists only while there is something.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    header: PartialHeader,
    frame: Option<PartialFrame>,
    control: ControlPayload,
    message: Option<PartialMessage>,
    finished: Option<Finished>,
}

impl InFlight {
    /// Whether the rest of a header, a frame or a message is awaited.
    pub(super) fn is_partial(&self) -> bool {
        self.header.length > 0 || self.frame.is_some() || self.message.is_some()
    }

    /// Heap bytes held, this value included.
    pub(super) fn bytes_held(&self) -> usize {
        let finished = match &self.finished {
            Some(Finished::Message(message)) => message.capacity(),
            _ => 0,
        };
        size_of::<Self>() + self.message.as_ref().map_or(0, PartialMessage::capacity) + finished
    }

    /// Bytes received of the open message, or none when no message is open.
    pub(super) fn message_bytes(&self) -> Option<usize> {
        self.message.as_ref().map(PartialMessage::len)
    }

    /// Whether a frame's payload is being received.
    pub(super) fn is_inside_frame(&self) -> bool {
        self.frame.is_some()
    }

    /// Takes the rest of a header out of `input`, or all of `input` when that does not complete it.
    pub(super) fn complete_header(
        &mut self,
        input: &mut &mut [u8],
        role: Role,
        reserved: Reserved,
    ) -> Result<Option<Header>, Violation> {
        self.header.complete(input, role, reserved)
    }

    /// Opens the frame whose payload comes next, and its message when it is the first of one.
    pub(super) fn open_frame(&mut self, header: Header) {
        if matches!(header.opcode, Opcode::Text | Opcode::Binary) {
            self.message = Some(PartialMessage::new(header));
        }
        self.control.length = 0;
        self.frame = Some(PartialFrame {
            remaining: header.payload_bytes,
            header,
        });
    }

    /// Takes payload of the open frame out of `input`; tells how far that led.
    pub(super) fn take_payload(
        &mut self,
        input: &mut &mut [u8],
        message_bytes_max: u32,
    ) -> Result<Progress, Violation> {
        let Some(frame) = &mut self.frame else {
            return Ok(Progress::FrameDone);
        };
        let piece = frame.take_piece(input);
        if frame.header.opcode.is_control() {
            self.control.push(piece);
        } else if let Some(message) = &mut self.message {
            message.push(piece, message_bytes_max)?;
        }
        if frame.remaining > 0 {
            return Ok(Progress::NeedsInput);
        }
        let header = frame.header;
        self.close_frame(header)
    }

    /// What was finished last.
    pub(super) fn finished(&self) -> Result<Option<Received<'_>>, Violation> {
        match &self.finished {
            Some(Finished::Message(message)) => Ok(Some(message.received())),
            Some(Finished::Control(opcode)) => {
                control_item(*opcode, self.control.as_bytes()).map(|item| Some(Received::Item(item)))
            }
            None => Ok(None),
        }
    }

    fn close_frame(&mut self, header: Header) -> Result<Progress, Violation> {
        self.frame = None;
        if header.opcode.is_control() {
            self.finished = Some(Finished::Control(header.opcode));
            return Ok(Progress::ItemDone);
        }
        if !header.is_final {
            return Ok(Progress::FrameDone);
        }
        let Some(message) = self.message.take() else {
            return Ok(Progress::FrameDone);
        };
        message.finish()?;
        self.finished = Some(Finished::Message(message));
        Ok(Progress::ItemDone)
    }
}

/// Something whole, as it came.
#[derive(Debug, Clone, Copy)]
pub(super) enum Received<'a> {
    /// It is what it is.
    Item(Item<'a>),
    /// A text or binary message that is still to be inflated.
    Compressed(Opcode, &'a [u8]),
}

/// The item in the whole, unmasked payload of a control frame.
pub(super) fn control_item(opcode: Opcode, payload: &[u8]) -> Result<Item<'_>, Violation> {
    Ok(match opcode {
        Opcode::Ping => Item::Ping(payload),
        Opcode::Pong => Item::Pong(payload),
        _ => Item::Close(CloseFrame::parse(payload)?),
    })
}

/// Takes bytes off the front of `input`. There are never fewer than asked for; if there were, none would be taken.
pub(super) fn take<'i>(input: &mut &'i mut [u8], bytes: usize) -> &'i mut [u8] {
    input.split_off_mut(..bytes).unwrap_or_default()
}

/// How far a payload led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The input is used up and the frame is not whole.
    NeedsInput,
    /// The frame is whole, the message it belongs to is not.
    FrameDone,
    /// An item is whole.
    ItemDone,
}

/// An item that was finished out of parts, kept for the caller to borrow. A message is the last thing in flight, so
/// it goes with everything else when the decoder goes on; a control frame may stay until the next one.
#[derive(Debug)]
enum Finished {
    Message(PartialMessage),
    Control(Opcode),
}

/// A header cut off by the end of an input.
#[derive(Debug, Default)]
struct PartialHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    length: u8,
}

impl PartialHeader {
    fn complete(
        &mut self,
        input: &mut &mut [u8],
        role: Role,
        reserved: Reserved,
    ) -> Result<Option<Header>, Violation> {
        let held = usize::from(self.length);
        let filled = HEADER_BYTES_MAX.min(held + input.len());
        self.bytes[held..filled].copy_from_slice(&input[..filled - held]);
        let parsed = Header::parse(&self.bytes[..filled], role, reserved)?;
        let (header, end) = parsed.map_or((None, filled), |(header, end)| (Some(header), end));
        take(input, end - held);
        self.length = if header.is_some() { 0 } else { end as u8 };
        Ok(header)
    }
}

/// A frame whose header is known and whose payload is not whole.
#[derive(Debug)]
struct PartialFrame {
    header: Header,
    remaining: u64,
}

impl PartialFrame {
    /// The next piece of the payload, unmasked.
    fn take_piece<'i>(&mut self, input: &mut &'i mut [u8]) -> &'i [u8] {
        let length = self.remaining.min(input.len() as u64);
        self.remaining -= length;
        let piece = take(input, length as usize);
        if let Some(mask) = &mut self.header.mask {
            mask.apply(piece);
        }
        piece
    }
}

/// The payload of a control frame that arrives in pieces, possibly between the fragments of a message.
#[derive(Debug)]
struct ControlPayload {
    bytes: [u8; CONTROL_BYTES_MAX],
    length: u8,
}

impl ControlPayload {
    /// Appends a piece; the header has been checked, so the pieces have at most 125 bytes together.
    fn push(&mut self, piece: &[u8]) {
        let start = usize::from(self.length);
        let end = start + piece.len();
        self.bytes[start..end].copy_from_slice(piece);
        self.length = end as u8;
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl Default for ControlPayload {
    fn default() -> Self {
        Self {
            bytes: [0; CONTROL_BYTES_MAX],
            length: 0,
        }
    }
}
