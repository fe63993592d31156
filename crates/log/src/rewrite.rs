//! Copying what is alive of a sealed segment into a file that takes its place, a piece at a time.
//!
//! The new file is written beside the old one, synced, and given the old one's name: whenever this is interrupted, one
//! of the two has the name. Readers that have the old one open go on with it.

use std::io;
use std::sync::Arc;

use crate::active::{SEAL_BYTES, seal_of};
use crate::contents::Contents;
use crate::damage::Damage;
use crate::draft::AppendError;
use crate::footer::{Row, Section};
use crate::index::{Index, Shared, TopicId};
use crate::log::Log;
use crate::maintenance::Maintained;
use crate::record::{self, FLOOR_BODY_BYTES, Kind, Record};
use crate::scan::{Found, Scan};
use crate::segment::{HEADER_BYTES, Segment, header_of, name_of};
use crate::storage::{Storage, StorageFile};
use crate::topic::Chunk;

/// A segment that is being rewritten.
#[derive(Debug)]
pub(crate) struct Rewrite {
    old: Arc<Segment>,
    new: Arc<dyn StorageFile>,
    /// Up to where the old one is read, and the new one written.
    read: u64,
    written: u64,
    contents: Contents,
    /// The first of what is no record. It matters when something is missing then.
    bad: Option<Damage>,
}

impl Rewrite {
    pub(crate) fn begin(storage: &dyn Storage, old: Arc<Segment>) -> Result<Self, AppendError> {
        let name = temporary_of(old.number);
        let begin = || {
            let new = storage.create(&name)?;
            new.write_at(&header_of(old.number), 0)?;
            Ok(new)
        };
        match begin() {
            Ok(new) => Ok(Self {
                old,
                new,
                read: HEADER_BYTES,
                written: HEADER_BYTES,
                contents: Contents::default(),
                bad: None,
            }),
            Err(error) => {
                let _ = storage.remove(&name);
                Err(AppendError::of_write(error))
            }
        }
    }

    /// Copies a piece.
    fn copy(&mut self, shared: &Shared) -> io::Result<()> {
        let mut piece = Vec::new();
        let end = self.old.records_end;
        let mut scan = Scan::new(&*self.old.file, self.read..end, shared.limits.record_bytes_max);
        let stop = self.read + shared.limits.rewrite_bytes_max as u64;
        while scan.at() < stop {
            match scan.next()? {
                None => break,
                Some(Found::Record(record, _)) => {
                    // What died since the piece before is taken along, so that no gap is behind that.
                    let is_taken = self.contents.expects(&record)
                        || shared.index().alive(self.old.number, &record).is_some();
                    if is_taken {
                        let at = self.written + piece.len() as u64;
                        record::encode(&record, &mut piece);
                        self.contents
                            .add(&record, &(at..self.written + piece.len() as u64));
                    }
                }
                Some(Found::Bad(bad, within)) => {
                    self.bad.get_or_insert_with(|| Damage {
                        file: name_of(self.old.number),
                        at: within.start,
                        bytes: within.end - within.start,
                        topic: None,
                        what: bad.to_string(),
                    });
                }
            }
        }
        self.read = scan.at();
        self.write(&piece)
    }

    /// What is damaged and was still kept. An opening may have found more of the segment damaged and told of it: nothing
    /// of that is kept, and it ends with the old file.
    fn take_loss(&mut self, shared: &Shared) -> Option<Damage> {
        let bad = self.bad.take()?;
        let number = self.old.number;
        let index = shared.index();
        let is_whole = |id: &TopicId| {
            index.topic(*id).is_none_or(|topic| {
                let alive = topic.chunk_in(number).map(|position| topic.alive_in(position));
                alive.is_none_or(|alive| alive.is_empty() || self.contents.covers(&topic.name, &alive))
            })
        };
        (!index.topics_in(number).iter().all(is_whole)).then_some(bad)
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.new.write_at(piece, self.written)?;
        self.written += piece.len() as u64;
        self.new.sync()
    }

    /// Adds what must still be said of topics of which nothing is alive here, then the seal and the footer.
    fn finish(
        mut self,
        anchors: &[Anchor],
        storage: &dyn Storage,
    ) -> io::Result<(Segment, Vec<Section>, Vec<Row>)> {
        let mut end = Vec::new();
        for anchor in anchors {
            let at = self.written + end.len() as u64;
            let record = anchor.record();
            record::encode(&record, &mut end);
            self.contents.add(&record, &(at..self.written + end.len() as u64));
        }
        let number = self.old.number;
        let records = self.contents.records;
        let sections = self.contents.into_sections();
        let at = self.written + end.len() as u64;
        let (seal, rows) = seal_of(number, records, (at, at), &sections);
        end.extend_from_slice(&seal);
        self.new.write_at(&end, self.written)?;
        self.new.sync()?;
        storage.rename(&temporary_of(number), &name_of(number))?;
        let segment = Segment {
            bytes: self.written + end.len() as u64,
            records_end: at + SEAL_BYTES,
            newest_ms: rows.iter().map(|row| row.newest_ms).max().unwrap_or(0),
            ..Segment::new(number, self.new)
        };
        Ok((segment, sections, rows))
    }
}

/// Where a topic stands, for a segment that must go on saying so.
#[derive(Debug)]
struct Anchor {
    topic: Arc<str>,
    epoch: u64,
    first: u64,
    last: [u8; FLOOR_BODY_BYTES],
    last_ms: u64,
}

impl Anchor {
    fn record(&self) -> Record<'_> {
        Record {
            kind: Kind::Floor,
            durable: 0,
            epoch: self.epoch,
            offset: self.first,
            time_ms: self.last_ms,
            topic: &self.topic,
            body: &self.last,
        }
    }
}

impl Log {
    /// Goes on with a segment that is being rewritten.
    pub(crate) fn step_rewrite(
        &mut self,
        mut rewrite: Rewrite,
        now_ms: u64,
    ) -> Result<Maintained, AppendError> {
        let mut maintained = Maintained::default();
        match rewrite.copy(&self.shared) {
            Err(error) => {
                self.discard(&rewrite);
                return Err(AppendError::of_write(error));
            }
            Ok(()) if rewrite.read < rewrite.old.records_end => {
                self.maintenance.rewrite = Some(rewrite);
            }
            Ok(()) => {
                if let Some(damage) = rewrite.take_loss(&self.shared) {
                    self.discard(&rewrite);
                    self.maintenance.unfit.insert(rewrite.old.number);
                    maintained.damages.push(damage);
                } else {
                    self.finish_rewrite(rewrite, now_ms)?;
                    maintained.rewritten = 1;
                }
            }
        }
        Ok(maintained)
    }

    /// Gives up what is half done.
    pub(crate) fn abandon_rewrite(&mut self) {
        if let Some(rewrite) = self.maintenance.rewrite.take() {
            self.discard(&rewrite);
        }
    }

    /// The next opening removes the file if this does not.
    fn discard(&self, rewrite: &Rewrite) {
        let _ = self.shared.storage.remove(&temporary_of(rewrite.old.number));
    }

    fn finish_rewrite(&mut self, rewrite: Rewrite, now_ms: u64) -> Result<(), AppendError> {
        let number = rewrite.old.number;
        let ids = self.shared.index().topics_in(number);
        for id in &ids {
            self.settle(*id, now_ms);
        }
        let grace_ms = self.shared.limits.position_grace_ms;
        let anchors: Vec<Anchor> = {
            let index = self.shared.index();
            let anchor = |id: &TopicId| index.anchor(*id, number, now_ms, grace_ms);
            ids.iter().filter_map(anchor).collect()
        };
        let storage = Arc::clone(&self.shared.storage);
        let (segment, sections, rows) = match rewrite.finish(&anchors, &*storage) {
            Ok(finished) => finished,
            Err(error) => {
                let _ = storage.remove(&temporary_of(number));
                return Err(AppendError::of_write(error));
            }
        };
        let mut index = self.shared.index_mut();
        index.segments.insert(number, Arc::new(segment));
        index.replace_chunks(number, &ids, &sections, &rows);
        drop(index);
        // Whichever of the two the name stands for after a loss of power, both say the same.
        storage.sync_names().map_err(|error| self.fence(error))
    }
}

impl Index {
    /// The topic of a record of this segment, if it is a publication that is kept.
    pub(crate) fn alive(&self, segment: u64, record: &Record<'_>) -> Option<Arc<str>> {
        let topic = self.topic_named(record.topic)?;
        let alive = topic.alive_in(topic.chunk_in(segment)?);
        let is_alive = record.kind == Kind::Publication && alive.contains(&record.offset);
        is_alive.then(|| Arc::clone(&topic.name))
    }

    /// The topics that a segment has records of.
    fn topics_in(&self, segment: u64) -> Vec<TopicId> {
        let is_in = |id: &TopicId| {
            self.topic(*id)
                .is_some_and(|topic| topic.chunk_in(segment).is_some())
        };
        self.topics_from(0).map(|(id, _)| id).filter(is_in).collect()
    }

    fn anchor(&self, id: TopicId, segment: u64, now_ms: u64, grace_ms: u64) -> Option<Anchor> {
        let topic = self.topic(id)?;
        let position = topic.chunk_in(segment)?;
        // What comes in later segments is not to be said here: it would seem to be there twice.
        let next = topic.chunks.get(position + 1).map_or(u64::MAX, |next| next.first);
        topic.is_anchored(position, now_ms, grace_ms).then(|| Anchor {
            topic: Arc::clone(&topic.name),
            epoch: topic.epoch,
            first: topic.first.min(next),
            last: topic.last.min(next - 1).to_le_bytes(),
            last_ms: topic.last_ms,
        })
    }

    /// Puts what the new file of a segment has in place of what the old one had.
    fn replace_chunks(&mut self, segment: u64, ids: &[TopicId], sections: &[Section], rows: &[Row]) {
        for id in ids {
            if let Some(topic) = self.topic_mut(*id)
                && let Some(position) = topic.chunk_in(segment)
            {
                topic.chunks[position].count = 0;
                topic.chunks[position].blocks_at = 0;
            }
        }
        for (section, row) in sections.iter().zip(rows) {
            if let Some(id) = self.find(&row.topic)
                && let Some(topic) = self.topic_mut(id)
            {
                topic.replace_chunk(segment, section, row);
            }
        }
        for id in ids {
            if let Some(topic) = self.topic_mut(*id) {
                let is_gone = |chunk: &Chunk| chunk.segment == segment && chunk.blocks_at == 0;
                topic.chunks.retain(|chunk| !is_gone(chunk));
                if topic.chunks.is_empty() {
                    self.forget(*id);
                }
            }
        }
    }
}

/// The name of a segment's file while it is rewritten.
fn temporary_of(number: u64) -> String {
    format!("{number:020}.tmp")
}
