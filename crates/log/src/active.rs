//! The segment that is appended to: how it is begun, written, and sealed.

use std::io;
use std::sync::Arc;

use crate::draft::AppendError;
use crate::footer::{self, Section};
use crate::index::TopicId;
use crate::log::Log;
use crate::record::{self, Kind, Record};
use crate::segment::{HEADER_BYTES, Segment, name_of};

/// The segment that is appended to.
#[derive(Debug)]
pub(crate) struct Active {
    segment: Arc<Segment>,
    /// Where the next record goes.
    bytes: u64,
    /// What of it is known to be durable.
    durable: u64,
    records: u64,
    /// The topics that have records in it.
    pub(crate) topics: Vec<TopicId>,
}

impl Active {
    pub(crate) fn new(segment: Arc<Segment>) -> Self {
        Self {
            segment,
            bytes: HEADER_BYTES,
            durable: HEADER_BYTES,
            records: 0,
            topics: Vec::new(),
        }
    }

    /// One that was found with records in it, all of them durable.
    pub(crate) fn found(segment: Arc<Segment>, bytes: u64, records: u64, topics: Vec<TopicId>) -> Self {
        Self {
            segment,
            bytes,
            durable: bytes,
            records,
            topics,
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.segment.number
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether something was written that is not known to be durable.
    pub(crate) fn is_dirty(&self) -> bool {
        self.durable < self.bytes
    }

    /// Writes behind the records, and counts none of it yet.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.segment.file.write_at(bytes, self.bytes)
    }

    /// Takes away what was written and not counted, for good: what was refused must not come back.
    fn cut(&self) -> io::Result<()> {
        self.segment.file.truncate(self.bytes)?;
        self.segment.file.sync()
    }

    /// Counts what was written.
    pub(crate) fn take(&mut self, records: usize, bytes: usize) {
        self.bytes += bytes as u64;
        self.records += records as u64;
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty() {
            self.segment.file.sync()?;
            self.durable = self.bytes;
        }
        Ok(())
    }
}

impl Log {
    /// Begins the next segment, durable and on the list when this returns.
    pub(crate) fn begin_segment(&mut self) -> Result<(), AppendError> {
        let segments_max = self.shared.limits.segments_max;
        if self.manifest.numbers.len() >= segments_max {
            return Err(AppendError::TooManySegments { segments_max });
        }
        self.check_room()?;
        let number = self.manifest.next;
        let segment = match Segment::create(&*self.shared.storage, number) {
            Ok(segment) => Arc::new(segment),
            Err(error) => {
                // What there is of it has no records, and the next opening removes it if this does not.
                let _ = self.shared.storage.remove(&name_of(number));
                return Err(AppendError::of_write(error));
            }
        };
        self.manifest.next += 1;
        self.manifest.numbers.push(number);
        self.store_manifest()?;
        self.active = Some(Active::new(Arc::clone(&segment)));
        let mut index = self.shared.index_mut();
        index.segments.insert(number, segment);
        index.active = Some((number, HEADER_BYTES));
        Ok(())
    }

    /// Whether a segment more may be filled.
    fn check_room(&self) -> Result<(), AppendError> {
        let bytes_max = self.shared.limits.bytes_max;
        let index = self.shared.index();
        let bytes: u64 = index.segments.values().map(|segment| segment.bytes).sum();
        if bytes.saturating_add(self.shared.limits.segment_bytes_max) > bytes_max {
            return Err(AppendError::LogFull { bytes, bytes_max });
        }
        Ok(())
    }

    /// Takes back a write that failed; says what its group is answered with.
    pub(crate) fn take_back(&mut self, error: io::Error) -> AppendError {
        match self.active.as_ref().map(Active::cut) {
            Some(Ok(())) => AppendError::of_write(error),
            _ => self.fence(error),
        }
    }

    /// Writes the footer of the segment that is appended to. It stays what it was when there is no room for it.
    pub(crate) fn seal(&mut self) -> Result<(), AppendError> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let sections: Vec<Section> = {
            let index = self.shared.index();
            let section = |id: &TopicId| index.topic(*id)?.section();
            active.topics.iter().filter_map(section).collect()
        };
        let (end, rows) = seal_of(
            active.number(),
            active.records,
            (active.bytes, active.durable),
            &sections,
        );
        if let Err(error) = active.write(&end) {
            return Err(self.take_back(error));
        }
        if let Err(error) = active.segment.file.sync() {
            return Err(self.fence(error));
        }
        let sealed = Segment {
            number: active.number(),
            bytes: active.bytes + end.len() as u64,
            records_end: active.bytes + SEAL_BYTES,
            newest_ms: rows.iter().map(|row| row.newest_ms).max().unwrap_or(0),
            ..Segment::new(active.number(), Arc::clone(&active.segment.file))
        };
        let mut index = self.shared.index_mut();
        for (id, row) in active.topics.iter().zip(&rows) {
            if let Some(topic) = index.topic_mut(*id) {
                topic.tail = Vec::new();
                if let Some(chunk) = topic.chunks.last_mut() {
                    chunk.blocks_at = row.blocks_at;
                }
            }
        }
        index.segments.insert(sealed.number, Arc::new(sealed));
        index.active = None;
        self.active = None;
        Ok(())
    }
}

/// The seal and the footer of a segment whose records end at `at`, of which so much is durable.
pub(crate) fn seal_of(
    number: u64,
    records: u64,
    (at, durable): (u64, u64),
    sections: &[Section],
) -> (Vec<u8>, Vec<footer::Row>) {
    let mut end = Vec::new();
    let seal = Record {
        kind: Kind::Seal,
        durable: durable as u32,
        epoch: number,
        offset: records,
        time_ms: 0,
        topic: "",
        body: &[],
    };
    record::encode(&seal, &mut end);
    let (footer, rows) = footer::encode(sections, at + SEAL_BYTES);
    end.extend_from_slice(&footer);
    (end, rows)
}

/// The length of the record that ends the records.
pub(crate) const SEAL_BYTES: u64 = record::HEAD_BYTES as u64;
