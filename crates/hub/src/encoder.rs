//! From publications to the bytes that all connections of a format share.

use fanfare_protocol::websocket::Deflater;
use fanfare_protocol::{Format, Publication};

use crate::Counters;
use crate::limits::COMPRESSED_BYTES_MIN;

/// What encoding needs from one publication to the next. One per hub; the compressor in it is made when the first
/// publication is compressed.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    deflater: Deflater,
}

impl Encoder {
    /// Appends the frame of a publication to `bytes`: compressed if the format is, the frame is long enough, and it
    /// gets shorter by that.
    pub(crate) fn publication(
        &mut self,
        format: Format,
        publication: &Publication,
        bytes: &mut Vec<u8>,
        counters: &mut Counters,
    ) {
        let start = bytes.len();
        format.dialect.encode_publication(publication, bytes);
        let plain_bytes = bytes.len() - start;
        if format.is_compressed
            && plain_bytes >= COMPRESSED_BYTES_MIN
            && self.deflater.compress_frame(bytes, start)
        {
            counters.compressed += 1;
            counters.uncompressed_bytes += plain_bytes as u64;
            counters.compressed_bytes += (bytes.len() - start) as u64;
        }
    }
}
