//! Compressed messages of a peer, back to what they were (RFC 7692, section 7.2.2).

use flate2::{Decompress, FlushDecompress, Status};

use super::{Item, Opcode, Violation, utf8};

/// Inflates whole messages, each on its own: no message may refer to an earlier one, because `no_context_takeover` is
/// always agreed on. So one inflater serves all connections of a thread.
///
/// It costs nothing until the first compressed message, and about 46 KiB from then on. A message it has inflated stays
/// in it until the decoder goes on.
#[derive(Debug, Default)]
pub struct Inflater {
    stream: Option<Decompress>,
    message: Vec<u8>,
}

impl Inflater {
    /// Inflates a message of the kind `opcode`, and checks it as if it had come like that.
    pub(super) fn inflate(
        &mut self,
        opcode: Opcode,
        compressed: &[u8],
        message_bytes_max: u32,
    ) -> Result<Item<'_>, Violation> {
        self.release();
        self.stream
            .get_or_insert_with(|| Decompress::new(false))
            .reset(false);
        let max = message_bytes_max as usize;
        let is_whole =
            self.push(compressed, max)? == End::FinalBlock || self.push(ENDING, max)? == End::FinalBlock;
        if !is_whole {
            return Err(Violation::NotInflatable);
        }
        if opcode == Opcode::Text {
            utf8::validate(&self.message)
                .map(Item::Text)
                .map_err(|position| Violation::TextNotUtf8 { position })
        } else {
            Ok(Item::Binary(&self.message))
        }
    }

    /// Heap bytes held for the last message: at most the limit and one byte, or 4 KiB, when it has just been inflated,
    /// and 64 KiB once the decoder has gone on. The state of the algorithm comes on top.
    pub fn bytes_held(&self) -> usize {
        self.message.capacity()
    }

    /// Forgets the last message, and the memory of a long one.
    pub(super) fn release(&mut self) {
        self.message.clear();
        self.message.shrink_to(KEPT_BYTES);
    }

    /// Inflates a piece. A final block does not end a message: what follows it begins anew (section 7.2.3.4).
    fn push(&mut self, mut piece: &[u8], max: usize) -> Result<End, Violation> {
        let Some(stream) = &mut self.stream else {
            return Err(Violation::NotInflatable);
        };
        loop {
            make_room(&mut self.message, max);
            let taken_before = stream.total_in();
            let status = stream
                .decompress_vec(piece, &mut self.message, FlushDecompress::Sync)
                .map_err(|_| Violation::NotInflatable)?;
            piece = &piece[(stream.total_in() - taken_before) as usize..];
            if self.message.len() > max {
                return Err(Violation::LongMessage {
                    message_bytes: self.message.len() as u64,
                    message_bytes_max: max as u32,
                });
            }
            let has_room = self.message.len() < self.message.capacity();
            match status {
                Status::StreamEnd if piece.is_empty() => return Ok(End::FinalBlock),
                Status::StreamEnd => stream.reset(false),
                Status::Ok | Status::BufError if has_room && piece.is_empty() => return Ok(End::Open),
                Status::BufError if has_room => return Err(Violation::NotInflatable),
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

/// Where a piece ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Behind a block marked as the final one.
    FinalBlock,
    /// Anywhere else.
    Open,
}

/// Makes room for at least one byte. The buffer grows to twice of what it holds, and at most to one byte beyond the
/// limit, whose use shows that a message is too long.
fn make_room(message: &mut Vec<u8>, max: usize) {
    if message.len() == message.capacity() {
        let capacity = (message.len() * 2).clamp(CHUNK_BYTES, max.saturating_add(1).max(CHUNK_BYTES));
        message.reserve_exact(capacity - message.len());
    }
}

/// What the sender cut off the end of a message, which is an empty block without compression; and behind it a final
/// one of our own. A message that was cut off elsewhere makes something else of these bytes, and does not end.
const ENDING: &[u8] = &[0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// Bytes of the first piece of the buffer.
const CHUNK_BYTES: usize = 4 << 10;

/// Bytes of the buffer that are kept from one message to the next.
const KEPT_BYTES: usize = 64 << 10;
