//! What an opening writes into segments: what is damaged and can be made anew, and what may not be durable.

use std::io;
use std::sync::Arc;

use crate::active::SEAL_BYTES;
use crate::index::TopicId;
use crate::record;
use crate::segment::Segment;

/// What is to be written into a segment that is damaged.
pub(crate) struct Repair {
    pub(crate) segment: Arc<Segment>,
    /// The header or the footer, and where it begins.
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: u64,
    /// Whether the file ends behind it.
    pub(crate) is_end: bool,
}

/// The last segment: what was written last may not be durable.
pub(crate) struct Tail {
    pub(crate) segment: Arc<Segment>,
    pub(crate) is_sealed: bool,
    /// Where it ends, and from where on it may not be durable.
    pub(crate) end: u64,
    pub(crate) durable: u64,
    pub(crate) records: u64,
    pub(crate) topics: Vec<TopicId>,
}

impl Repair {
    pub(crate) fn write(&self) -> io::Result<()> {
        let file = &self.segment.file;
        if self.is_end {
            file.truncate(self.at)?;
        }
        file.write_at(&self.bytes, self.at)?;
        file.sync()
    }
}

impl Tail {
    /// One that was sealed: its seal says what was durable before.
    pub(crate) fn sealed(segment: &Segment, records_end: u64) -> io::Result<Self> {
        let mut seal = [0; SEAL_BYTES as usize];
        let at = records_end.saturating_sub(SEAL_BYTES);
        let filled = segment.file.read_at(&mut seal, at)?;
        let durable = record::decode(&seal[..filled], u32::MAX).map_or(0, |seal| u64::from(seal.durable));
        Ok(Self {
            segment: Arc::new(Segment::new(segment.number, Arc::clone(&segment.file))),
            is_sealed: true,
            end: segment.bytes,
            durable,
            records: 0,
            topics: Vec::new(),
        })
    }

    /// Cuts off what is torn, and writes again what may not be durable: a sync that failed in an earlier life left it
    /// readable and marked clean, so that another sync alone would do nothing.
    pub(crate) fn repair(&self) -> io::Result<()> {
        let file = &self.segment.file;
        file.truncate(self.end)?;
        let mut at = self.durable.min(self.end);
        while at < self.end {
            let mut piece = vec![0; (self.end - at).min(PIECE_BYTES) as usize];
            let filled = file.read_at(&mut piece, at)?;
            file.write_at(&piece[..filled], at)?;
            at += filled.max(1) as u64;
        }
        file.sync()
    }
}

/// What is read and written again at once.
const PIECE_BYTES: u64 = 1 << 20;
