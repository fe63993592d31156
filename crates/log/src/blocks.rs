//! Entries of sealed segments: read on demand, a bounded number of blocks kept.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::footer::{self, BLOCK_ENTRIES, Entry};
use crate::segment::Segment;
use crate::topic::Chunk;

/// The blocks that were read last.
#[derive(Debug)]
pub(crate) struct Blocks {
    kept: Mutex<Kept>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    /// By segment and place in it.
    blocks: HashMap<(u64, u64), Arc<[Entry]>, foldhash::quality::RandomState>,
    order: VecDeque<(u64, u64)>,
    bytes: usize,
}

/// Why an entry cannot be had.
#[derive(Debug)]
pub(crate) enum BlockError {
    Io(io::Error),
    /// Its block begins here in the file and is damaged.
    Damaged(u64),
}

impl Blocks {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            kept: Mutex::default(),
            bytes_max,
        }
    }

    /// The entry of `offset`, which the chunk has.
    pub(crate) fn entry(&self, segment: &Segment, chunk: &Chunk, offset: u64) -> Result<Entry, BlockError> {
        let index = (offset - chunk.first) as u32;
        let (at, bytes) = footer::block_of(index, chunk.count);
        let at = chunk.blocks_at + at;
        let block = self.block(segment, at, bytes)?;
        block
            .get(index as usize % BLOCK_ENTRIES)
            .copied()
            .ok_or(BlockError::Damaged(at))
    }

    fn block(&self, segment: &Segment, at: u64, bytes: usize) -> Result<Arc<[Entry]>, BlockError> {
        let key = (segment.id, at);
        if let Some(block) = self.kept().blocks.get(&key) {
            return Ok(Arc::clone(block));
        }
        let mut content = vec![0; bytes];
        let filled = segment.file.read_at(&mut content, at).map_err(BlockError::Io)?;
        let block = footer::decode_block(&content[..filled]).ok_or(BlockError::Damaged(at))?;
        let block: Arc<[Entry]> = Arc::from(block);
        self.kept().keep(key, Arc::clone(&block), self.bytes_max);
        Ok(block)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, key: (u64, u64), block: Arc<[Entry]>, bytes_max: usize) {
        let bytes = size_of_val(&*block);
        if self.blocks.insert(key, block).is_some() {
            return;
        }
        self.order.push_back(key);
        self.bytes += bytes;
        while self.bytes > bytes_max {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            if let Some(block) = self.blocks.remove(&oldest) {
                self.bytes -= size_of_val(&*block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_may_be() {
        let entry = Entry {
            at: 0,
            bytes: 0,
            time_ms: 0,
        };
        let mut kept = Kept::default();
        for at in 0..100 {
            kept.keep((1, at), Arc::from(vec![entry; 10]), 1_000);
        }
        assert_eq!(kept.blocks.len(), 6);
        assert_eq!(kept.bytes, 960);
        assert_eq!(kept.order.len(), 6);
    }
}
