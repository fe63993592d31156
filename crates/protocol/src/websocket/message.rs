//! A message that arrives in pieces: its fragments joined in one buffer.

use super::header::Header;
use super::in_flight::Received;
use super::utf8::PartialText;
use super::{Item, Opcode, Violation};

/// What has been received of a message. The buffer grows with the bytes received: at most to twice of them, and not
/// beyond the limit.
#[derive(Debug)]
pub(super) enum PartialMessage {
    Text(PartialText),
    Binary(Vec<u8>),
    /// A message of that kind as it came, to be inflated when it is whole.
    Compressed(Opcode, Vec<u8>),
}

impl PartialMessage {
    /// The beginning of a message by its first frame.
    pub(super) fn new(header: Header) -> Self {
        if header.is_compressed {
            Self::Compressed(header.opcode, Vec::new())
        } else if header.opcode == Opcode::Text {
            Self::Text(PartialText::default())
        } else {
            Self::Binary(Vec::new())
        }
    }

    /// Bytes received.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Compressed(_, bytes) => bytes.len(),
        }
    }

    /// Heap bytes held.
    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) | Self::Compressed(_, bytes) => bytes.capacity(),
        }
    }

    /// Appends an unmasked piece. The caller has made sure that the message stays within the limit.
    pub(super) fn push(&mut self, piece: &[u8], message_bytes_max: u32) -> Result<(), Violation> {
        self.make_room(piece.len(), message_bytes_max as usize);
        match self {
            Self::Text(text) => text
                .push(piece)
                .map_err(|position| Violation::TextNotUtf8 { position }),
            Self::Binary(bytes) | Self::Compressed(_, bytes) => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// Checks what can be checked only when nothing more will come.
    pub(super) fn finish(&self) -> Result<(), Violation> {
        match self {
            Self::Text(text) => text
                .finish()
                .map_err(|position| Violation::TextNotUtf8 { position }),
            Self::Binary(_) | Self::Compressed(..) => Ok(()),
        }
    }

    /// The message, when it is finished.
    pub(super) fn received(&self) -> Received<'_> {
        match self {
            Self::Text(text) => Received::Item(Item::Text(text.as_str())),
            Self::Binary(bytes) => Received::Item(Item::Binary(bytes)),
            Self::Compressed(opcode, bytes) => Received::Compressed(*opcode, bytes),
        }
    }

    fn make_room(&mut self, more: usize, bytes_max: usize) {
        let needed = self.len() + more;
        if needed <= self.capacity() {
            return;
        }
        let capacity = needed.max(bytes_max.min(self.capacity() * 2));
        match self {
            Self::Text(text) => text.reserve_exact(capacity - text.as_str().len()),
            Self::Binary(bytes) | Self::Compressed(_, bytes) => bytes.reserve_exact(capacity - bytes.len()),
        }
    }
}
