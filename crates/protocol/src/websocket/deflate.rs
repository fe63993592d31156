//! Messages made shorter before they are sent (RFC 7692, section 7.2.1).

use flate2::{Compress, Compression, FlushCompress};

use super::header::{COMPRESSED_BIT, Header, Reserved};
use super::{Role, encode_header};

/// Compresses whole messages, each on its own, with a window of 2^[`DEFLATE_WINDOW_BITS`] bytes.
///
/// What it makes can be read by everyone who agreed on that window or a larger one, so one frame serves all of them.
/// It costs nothing until it is first used, and about 260 KiB from then on.
#[derive(Debug, Default)]
pub struct Deflater {
    stream: Option<Compress>,
    compressed: Vec<u8>,
}

impl Deflater {
    /// Compresses the frame that begins at `start` in `bytes` and ends with it: a final, unmasked text or binary
    /// frame, as [`encode_frame`](super::encode_frame) makes it. Gives whether it did: a frame that would not get
    /// shorter is left as it is.
    pub fn compress_frame(&mut self, bytes: &mut Vec<u8>, start: usize) -> bool {
        let Ok(Some((header, end))) = Header::parse(&bytes[start..], Role::Client, Reserved::None) else {
            return false;
        };
        if header.opcode.is_control() || !self.compress(&bytes[start + end..]) {
            return false;
        }
        bytes.truncate(start);
        encode_header(header.opcode, self.compressed.len() as u64, bytes);
        bytes[start] |= COMPRESSED_BIT;
        bytes.extend_from_slice(&self.compressed);
        true
    }

    /// Compresses into the buffer; false when that is not shorter.
    fn compress(&mut self, payload: &[u8]) -> bool {
        self.compressed.clear();
        self.compressed.shrink_to(KEPT_BYTES);
        self.compressed.reserve_exact(bound(payload.len()));
        let stream = self
            .stream
            .get_or_insert_with(|| Compress::new_with_window_bits(LEVEL, false, DEFLATE_WINDOW_BITS));
        stream.reset();
        let outcome = stream.compress_vec(payload, &mut self.compressed, FlushCompress::Sync);
        let is_whole = outcome.is_ok()
            && stream.total_in() == payload.len() as u64
            && self.compressed.len() < self.compressed.capacity()
            && self.compressed.ends_with(ENDING);
        if !is_whole {
            // Never seen, because there is room for everything. But a stream with something left to give must not be
            // reset: zlib-rs 0.6.8 keeps the place of what is left, and panics in a later message.
            self.stream = None;
        }
        self.compressed
            .truncate(self.compressed.len().saturating_sub(ENDING.len()));
        is_whole && self.compressed.len() < payload.len()
    }
}

/// The window of what is compressed here, as a power of two: 4 KiB, which the client has to hold.
pub const DEFLATE_WINDOW_BITS: u8 = 12;

/// The fastest level. What it costs is paid once per publication, but everyone in the shard waits for it.
const LEVEL: Compression = Compression::fast();

/// Bytes that a message may come to at the fastest level: at most nine bits for each of its own, one block around
/// them, and the ending.
fn bound(payload_bytes: usize) -> usize {
    payload_bytes + payload_bytes / 8 + 64
}

/// What a flush ends with, and what is not sent (section 7.2.1).
const ENDING: &[u8] = &[0x00, 0x00, 0xff, 0xff];

/// Bytes of the buffer that are kept from one message to the next.
const KEPT_BYTES: usize = 64 << 10;
