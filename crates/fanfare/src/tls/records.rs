//! What all connections of a shard share to read and write their records.

use std::io::IoSlice;

/// The most bytes in one record (RFC 8446 section 5.1).
pub(super) const RECORD_CONTENT_MAX: usize = 16 << 10;

/// What a record may be longer than its content: header, nonce, type, tag, and a key update before it.
pub(super) const RECORD_OVERHEAD_MAX: usize = 128;

/// The buffers. They hold nothing between two connections, and take no memory before the first one with TLS.
#[derive(Default)]
pub(crate) struct Records {
    /// What was read, opened.
    pub(crate) opened: Vec<u8>,
    /// What several frames say that go into one record.
    gathered: Vec<u8>,
    sealed: Vec<u8>,
}

impl Records {
    /// The content of the next record, and room for the record. One frame is not copied.
    ///
    /// A frame that does not fit as a whole is cut, but not behind its first byte: that byte would be held back, and the
    /// outbox could not tell that the frame has begun.
    pub(super) fn prepare<'a>(
        &'a mut self,
        slices: &'a [IoSlice<'_>],
        skip: usize,
    ) -> (&'a [u8], &'a mut [u8]) {
        self.sealed.resize(RECORD_CONTENT_MAX + RECORD_OVERHEAD_MAX, 0);
        if let [frame] = slices {
            let rest = &frame[skip..];
            return (&rest[..rest.len().min(RECORD_CONTENT_MAX)], &mut self.sealed);
        }
        self.gathered.clear();
        for (place, frame) in slices.iter().enumerate() {
            let rest = if place == 0 { &frame[skip..] } else { frame };
            let room = RECORD_CONTENT_MAX - self.gathered.len();
            if room == 0 || (place > 0 && room == 1) {
                break;
            }
            self.gathered.extend_from_slice(&rest[..rest.len().min(room)]);
        }
        (&self.gathered, &mut self.sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_not_cut_behind_its_first_byte() {
        let mut records = Records::default();
        let bytes = vec![7; RECORD_CONTENT_MAX + 1];
        for (lengths, skip, expected) in [
            (&[100, 200][..], 0, 300),
            (&[1, 200], 1, 200),
            (&[RECORD_CONTENT_MAX + 1], 0, RECORD_CONTENT_MAX),
            (&[RECORD_CONTENT_MAX - 2, 100], 0, RECORD_CONTENT_MAX),
            (&[RECORD_CONTENT_MAX - 1, 100], 0, RECORD_CONTENT_MAX - 1),
            (&[RECORD_CONTENT_MAX, 100], 0, RECORD_CONTENT_MAX),
            (&[1, RECORD_CONTENT_MAX - 1, 100], 1, RECORD_CONTENT_MAX - 1),
            (&[1], 1, 0),
        ] {
            let slices: Vec<_> = lengths
                .iter()
                .map(|&length| IoSlice::new(&bytes[..length]))
                .collect();
            assert_eq!(records.prepare(&slices, skip).0.len(), expected, "{lengths:?}");
        }
    }
}
