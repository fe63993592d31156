//! What is known of one topic, in memory.

use std::ops::Range;
use std::sync::Arc;

use crate::footer::{Entry, Row, Section};
use crate::record::Kind;
use crate::retention::Retention;

/// A place in a topic's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the topic's log.
    pub epoch: u64,
    /// How many publications the topic had up to and including this place.
    pub offset: u64,
}

/// Where a topic's log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The life of the topic's log: positions of another one say nothing about this one.
    pub epoch: u64,
    /// The offset of the first publication that is kept, or one more than `last` when none is.
    pub first: u64,
    /// The offset of the last publication there was.
    pub last: u64,
    /// Bytes of the records that are kept, as of the last step of maintenance: those of records that went since by
    /// [`Retention::count`] are still in it.
    pub bytes: u64,
    /// The time of the oldest record that is kept, milliseconds since 1970, as of the last step of maintenance; 0 when
    /// none is.
    pub oldest_ms: u64,
    /// The time of the last record.
    pub last_ms: u64,
}

impl Default for Standing {
    /// Before the first publication.
    fn default() -> Self {
        Self {
            epoch: 0,
            first: 1,
            last: 0,
            bytes: 0,
            oldest_ms: 0,
            last_ms: 0,
        }
    }
}

impl Standing {
    /// How many publications are kept.
    pub fn count(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }

    /// The place of the last publication.
    pub fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            offset: self.last,
        }
    }
}

/// The publications of a topic that one segment has: their offsets follow each other. 56 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) segment: u64,
    /// The offset of the first one.
    pub(crate) first: u64,
    /// The highest floor in the segment; 0 for none.
    pub(crate) floor: u64,
    /// Where its blocks are in the segment, once that is sealed.
    pub(crate) blocks_at: u64,
    /// Bytes of those records that are alive.
    pub(crate) live_bytes: u64,
    /// The highest time of one of them.
    pub(crate) newest_ms: u64,
    pub(crate) count: u32,
}

impl Chunk {
    /// The offset behind its last one.
    pub(crate) fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) epoch: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Everything before this offset is taken off `bytes` and off the chunks' `live_bytes`.
    pub(crate) settled: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_ms: u64,
    pub(crate) last_ms: u64,
    pub(crate) retention: Retention,
    /// One for every segment that has records of it, in the order of the log, the dead ones too.
    pub(crate) chunks: Vec<Chunk>,
    /// The entries of the last chunk, while its segment is appended to.
    pub(crate) tail: Vec<Entry>,
}

/// What a record says of its topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) epoch: u64,
    pub(crate) offset: u64,
    /// The last offset of the topic with it.
    pub(crate) last: u64,
}

/// A record on its way into the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) place: Place,
    pub(crate) segment: u64,
    pub(crate) entry: Entry,
}

impl Topic {
    pub(crate) fn new(name: Arc<str>, epoch: u64, retention: Retention) -> Self {
        Self {
            name,
            epoch,
            first: 1,
            last: 0,
            settled: 1,
            bytes: 0,
            oldest_ms: 0,
            last_ms: 0,
            retention,
            chunks: Vec::new(),
            tail: Vec::new(),
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing {
            epoch: self.epoch,
            first: self.first,
            last: self.last,
            bytes: self.bytes,
            oldest_ms: if self.first > self.last { 0 } else { self.oldest_ms },
            last_ms: self.last_ms,
        }
    }

    /// Takes in a record of the segment that is appended to; true when it is the first of this topic in there.
    pub(crate) fn append(&mut self, placed: Placed) -> bool {
        let is_first = self
            .chunks
            .last()
            .is_none_or(|chunk| chunk.segment != placed.segment);
        if is_first {
            // Most topics have one record in few segments, and there may be a million of them.
            self.chunks.reserve_exact(1);
            self.tail.reserve_exact(1);
            self.chunks.push(Chunk {
                segment: placed.segment,
                first: placed.place.offset,
                floor: 0,
                blocks_at: 0,
                live_bytes: 0,
                newest_ms: 0,
                count: 0,
            });
        }
        self.epoch = placed.place.epoch;
        self.last_ms = placed.entry.time_ms;
        match placed.place.kind {
            Kind::Publication => self.append_publication(placed),
            Kind::Floor | Kind::Seal => self.append_floor(placed.place.offset, placed.place.last),
        }
        is_first
    }

    fn append_publication(&mut self, placed: Placed) {
        if self.first > self.last {
            self.oldest_ms = placed.entry.time_ms;
        }
        self.last = placed.place.offset;
        self.bytes += u64::from(placed.entry.bytes);
        self.tail.push(placed.entry);
        if let Some(chunk) = self.chunks.last_mut() {
            if chunk.count == 0 {
                chunk.first = placed.place.offset;
            }
            chunk.count += 1;
            chunk.live_bytes += u64::from(placed.entry.bytes);
            chunk.newest_ms = chunk.newest_ms.max(placed.entry.time_ms);
        }
        self.keep_count();
    }

    fn append_floor(&mut self, floor: u64, last: u64) {
        self.raise(floor, last);
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.floor = chunk.floor.max(floor);
            if chunk.count == 0 {
                chunk.first = chunk.floor;
            }
        }
    }

    /// Lets nothing before `floor` be kept.
    fn raise(&mut self, floor: u64, last: u64) {
        self.last = self.last.max(last);
        self.first = self.first.max(floor);
    }

    /// Applies the one rule that needs no look at the records.
    pub(crate) fn keep_count(&mut self) {
        let first = (self.last + 1).saturating_sub(self.retention.count);
        self.first = self.first.max(first);
    }

    /// What the segment that is sealed now has of it.
    pub(crate) fn section(&self) -> Option<Section> {
        let chunk = self.chunks.last()?;
        Some(Section {
            topic: Arc::clone(&self.name),
            epoch: self.epoch,
            floor: chunk.floor,
            first: chunk.first,
            last: self.last,
            last_ms: self.last_ms,
            entries: self.tail.clone(),
        })
    }

    /// Takes in what a sealed segment has of it, in the order of the log.
    ///
    /// A segment in between may be gone with what was dead in it, so that a gap says no more than that nothing before
    /// it is kept. False when the offsets are there already, which no order of events leaves behind.
    pub(crate) fn recover(&mut self, segment: u64, row: &Row) -> bool {
        let is_in_order = row.count == 0 || row.first > self.last;
        let mut end = self.end();
        self.epoch = row.epoch;
        self.last_ms = row.last_ms;
        if row.count > 0 {
            if end != Some(row.first) || self.first > self.last {
                self.first = self.first.max(row.first);
                self.oldest_ms = row.oldest_ms;
            }
            end = row.first.checked_add(u64::from(row.count));
        }
        self.raise(row.floor, row.last);
        if end != Some(self.last + 1) {
            self.first = self.last + 1;
        }
        self.bytes += row.bytes;
        self.chunks.reserve_exact(1);
        self.chunks.push(Chunk {
            segment,
            first: row.first,
            floor: row.floor,
            blocks_at: row.blocks_at,
            live_bytes: row.bytes,
            newest_ms: row.newest_ms,
            count: row.count,
        });
        self.settled = self.chunks[0].first;
        is_in_order
    }

    /// Which of its chunks is in this segment.
    pub(crate) fn chunk_in(&self, segment: u64) -> Option<usize> {
        self.chunks
            .binary_search_by_key(&segment, |chunk| chunk.segment)
            .ok()
    }

    /// The offsets that are kept of one of its chunks.
    pub(crate) fn alive_in(&self, position: usize) -> Range<u64> {
        let chunk = &self.chunks[position];
        self.first.max(chunk.first)..chunk.end()
    }

    /// Takes in what the segment has after it was rewritten. All that is dead is settled.
    pub(crate) fn replace_chunk(&mut self, segment: u64, section: &Section, row: &Row) {
        let Some(position) = self.chunk_in(segment) else {
            return;
        };
        let dead = self.first.saturating_sub(section.first) as usize;
        let alive = section.entries.iter().skip(dead);
        self.chunks[position] = Chunk {
            segment,
            first: row.first,
            floor: row.floor,
            blocks_at: row.blocks_at,
            live_bytes: alive.map(|entry| u64::from(entry.bytes)).sum(),
            newest_ms: row.newest_ms,
            count: row.count,
        };
    }

    /// Behind the last publication that some segment has.
    fn end(&self) -> Option<u64> {
        let chunk = self.chunks.iter().rev().find(|chunk| chunk.count > 0);
        chunk.map(Chunk::end)
    }

    /// Whether a segment must go on saying where the topic stands, although nothing of it is kept there: it is the last
    /// to say so and the position is still of interest, or records that are gone would come back without it.
    pub(crate) fn is_anchored(&self, index: usize, now_ms: u64, grace_ms: u64) -> bool {
        let is_last = index + 1 == self.chunks.len();
        if is_last {
            return index > 0 || now_ms.saturating_sub(self.last_ms) < grace_ms;
        }
        let later = &self.chunks[index + 1..];
        index > 0 && self.chunks[index].floor > 0 && later.iter().all(|chunk| chunk.floor == 0)
    }
}
