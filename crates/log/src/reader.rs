//! Reading what is kept, from any thread.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use crate::blocks::BlockError;
use crate::damage::Damages;
use crate::footer::Entry;
use crate::index::{Index, Shared};
use crate::record::{self, Kind, Record};
use crate::scan::{Found, Scan};
use crate::segment::{HEADER_BYTES, Segment, name_of};
use crate::topic::{Chunk, Standing, Topic};

/// Reads a log. Cheap to clone; what is appended meanwhile waits for no read, but for the moment in which the places of
/// the records are looked up. As long as one lives, the directory stays locked.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// A publication as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its topic.
    pub topic: Arc<str>,
    /// The epoch in which it was appended; the topic may be in a later one.
    pub epoch: u64,
    /// Its place in the topic.
    pub offset: u64,
    /// Its time, milliseconds since 1970.
    pub time_ms: u64,
    /// What was stored. It shares its memory with those that were read with it, at most 256 KiB: copy what is kept.
    pub body: Bytes,
}

/// How much one read gives at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Publications.
    pub records: usize,
    /// Bytes of their records; the first one is given however long it is.
    pub bytes: usize,
}

/// What a read gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Where the topic stood at the moment of the read.
    pub standing: Standing,
    /// The publications, in the direction of the read, without a gap.
    pub publications: Vec<Publication>,
}

/// How much a log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Topics, those included of which only the position is remembered.
    pub topics: usize,
    /// Segments.
    pub segments: usize,
    /// Bytes of the segments.
    pub bytes: u64,
}

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not as it was written. Let the topic begin a new epoch behind it ([`What::Renew`](crate::What)).
    #[error("publication {offset} of topic {topic} is damaged, in {file} at {at}")]
    Corrupt {
        /// Its topic.
        topic: Arc<str>,
        /// Its offset.
        offset: u64,
        /// The file.
        file: String,
        /// Where in the file.
        at: u64,
    },
    /// The file cannot be read.
    #[error("{file} in the data directory cannot be read: {error}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
}

/// A publication that is to be read.
struct Spot {
    segment: Arc<Segment>,
    chunk: Chunk,
    offset: u64,
    /// Known at once while the segment is appended to.
    entry: Option<Entry>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Where a topic stands; `None` when nothing is known of it. Reads no file.
    pub fn standing(&self, topic: &str) -> Option<Standing> {
        let index = self.shared.index();
        let topic = index.topic_named(topic)?;
        (!topic.chunks.is_empty()).then(|| topic.standing())
    }

    /// At most `count` topics from `cursor` (0 at first), and where the next page begins; `None` after the last one.
    /// Topics that come or go between two pages may be missed; none is given twice.
    pub fn topics(&self, cursor: usize, count: usize) -> (Vec<(Arc<str>, Standing)>, Option<usize>) {
        let index = self.shared.index();
        let end = cursor.saturating_add(count).min(index.topics_end());
        let page = index
            .topics_from(cursor)
            .take_while(|(id, _)| (*id as usize) < end)
            .filter(|(_, topic)| !topic.chunks.is_empty())
            .map(|(_, topic)| (Arc::clone(&topic.name), topic.standing()))
            .collect();
        (page, (end < index.topics_end()).then_some(end))
    }

    /// How much there is. Reads no file; costs a look at each segment.
    pub fn usage(&self) -> Usage {
        let index = self.shared.index();
        let bytes_of = |segment: &Arc<Segment>| match index.active {
            Some((number, end)) if number == segment.number => end,
            _ => segment.bytes,
        };
        Usage {
            topics: index.topics(),
            segments: index.segments.len(),
            bytes: index.segments.values().map(bytes_of).sum(),
        }
    }

    /// The publications from offset `from` on, or from the first one that is kept; oldest first. An unknown topic has
    /// none.
    ///
    /// # Errors
    /// One of them is damaged, or a file cannot be read.
    pub fn forward(&self, topic: &str, from: u64, bounds: Bounds) -> Result<Page, ReadError> {
        self.read(topic, bounds, |standing| {
            let first = from.max(standing.first);
            let count = (standing.last + 1).saturating_sub(first);
            (first..first + count.min(bounds.records as u64)).collect()
        })
    }

    /// The publications up to offset `to`, or to the last one; newest first.
    ///
    /// # Errors
    /// One of them is damaged, or a file cannot be read.
    pub fn backward(&self, topic: &str, to: u64, bounds: Bounds) -> Result<Page, ReadError> {
        self.read(topic, bounds, |standing| {
            let last = to.min(standing.last);
            let count = (last + 1)
                .saturating_sub(standing.first)
                .min(bounds.records as u64);
            (last + 1 - count..=last).rev().collect()
        })
    }

    fn read(
        &self,
        topic: &str,
        bounds: Bounds,
        offsets: impl FnOnce(&Standing) -> Vec<u64>,
    ) -> Result<Page, ReadError> {
        let mut page = Page::default();
        let (name, spots) = {
            let index = self.shared.index();
            let Some(topic) = index.topic_named(topic) else {
                return Ok(page);
            };
            page.standing = topic.standing();
            (
                Arc::clone(&topic.name),
                spots_of(&index, topic, &offsets(&page.standing)),
            )
        };
        let mut places = Vec::with_capacity(spots.len());
        let mut bytes = 0_usize;
        for spot in spots {
            let entry = self.entry_of(&name, &spot)?;
            bytes += entry.bytes as usize;
            if bytes > bounds.bytes && !places.is_empty() {
                break;
            }
            places.push((spot, entry));
        }
        let mut rest = &places[..];
        while let Some(count) = joined(rest) {
            Self::read_joined(&name, &rest[..count], &mut page.publications)?;
            rest = &rest[count..];
        }
        Ok(page)
    }

    fn entry_of(&self, topic: &Arc<str>, spot: &Spot) -> Result<Entry, ReadError> {
        if let Some(entry) = spot.entry {
            return Ok(entry);
        }
        let entry = self.shared.blocks.entry(&spot.segment, &spot.chunk, spot.offset);
        entry.map_err(|error| match error {
            BlockError::Damaged(at) => spot.corrupt(topic, at),
            BlockError::Io(error) => spot.failed(error),
        })
    }

    /// Reads records that stand close to each other at once.
    fn read_joined(
        topic: &Arc<str>,
        places: &[(Spot, Entry)],
        into: &mut Vec<Publication>,
    ) -> Result<(), ReadError> {
        let Some((spot, _)) = places.first() else {
            return Ok(());
        };
        let begin = places.iter().map(|(_, entry)| entry.at).min().unwrap_or(0) as u64;
        let end = places.iter().map(|(_, entry)| end_of(entry)).max().unwrap_or(0);
        let mut content = vec![0; (end - begin) as usize];
        let filled = spot.segment.file.read_at(&mut content, begin);
        let filled = filled.map_err(|error| spot.failed(error))?;
        content.truncate(filled);
        let content = Bytes::from(content);
        for (spot, entry) in places {
            let at = (u64::from(entry.at) - begin) as usize;
            let within = at.min(filled)..(at + entry.bytes as usize).min(filled);
            let publication = publication_of(topic, spot.offset, &content.slice(within));
            into.push(publication.ok_or_else(|| spot.corrupt(topic, u64::from(entry.at)))?);
        }
        Ok(())
    }

    /// Shows `visit` every publication that is kept and not older than `since_ms`, in the order of the log, until it
    /// breaks off; gives what is damaged. Only segments with something so new are looked at, but these as a whole. With
    /// 0, this is everything: what an export writes.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn visit(
        &self,
        since_ms: u64,
        visit: impl FnMut(Publication) -> ControlFlow<()>,
    ) -> Result<Damages, ReadError> {
        self.visit_those(since_ms, |_| true, visit)
    }

    /// The same, but only those whose body is `wanted`. The others cost their checksum.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn visit_those(
        &self,
        since_ms: u64,
        wanted: impl Fn(&[u8]) -> bool,
        mut visit: impl FnMut(Publication) -> ControlFlow<()>,
    ) -> Result<Damages, ReadError> {
        let wanted = |record: &Record<'_>| record.time_ms >= since_ms && wanted(record.body);
        let (segments, active) = {
            let index = self.shared.index();
            let segments: Vec<_> = index.segments.values().cloned().collect();
            (segments, index.active)
        };
        let mut damages = Damages::default();
        for segment in segments {
            let end = match active {
                Some((number, end)) if number == segment.number => end,
                _ => segment.records_end,
            };
            if segment.newest_ms >= since_ms
                && self
                    .visit_segment(&segment, end, &wanted, &mut visit, &mut damages)?
                    .is_break()
            {
                break;
            }
        }
        Ok(damages)
    }

    fn visit_segment(
        &self,
        segment: &Segment,
        end: u64,
        wanted: &impl Fn(&Record<'_>) -> bool,
        visit: &mut impl FnMut(Publication) -> ControlFlow<()>,
        damages: &mut Damages,
    ) -> Result<ControlFlow<()>, ReadError> {
        let name = name_of(segment.number);
        let mut scan = Scan::new(
            &*segment.file,
            HEADER_BYTES..end,
            self.shared.limits.record_bytes_max,
        );
        loop {
            let found = scan.next().map_err(|error| ReadError::Io {
                file: name.clone(),
                error,
            })?;
            match found {
                None => return Ok(ControlFlow::Continue(())),
                Some(Found::Bad(bad, within)) => damages.add(&name, within, bad),
                Some(Found::Record(record, _)) => {
                    if !wanted(&record) {
                        continue;
                    }
                    let topic = self.shared.index().alive(segment.number, &record);
                    if let Some(topic) = topic
                        && visit(Publication::of(topic, &record)).is_break()
                    {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
    }
}

impl Publication {
    fn of(topic: Arc<str>, record: &Record<'_>) -> Self {
        Self {
            topic,
            epoch: record.epoch,
            offset: record.offset,
            time_ms: record.time_ms,
            body: Bytes::copy_from_slice(record.body),
        }
    }
}

impl Spot {
    fn corrupt(&self, topic: &Arc<str>, at: u64) -> ReadError {
        ReadError::Corrupt {
            topic: Arc::clone(topic),
            offset: self.offset,
            file: name_of(self.segment.number),
            at,
        }
    }

    fn failed(&self, error: io::Error) -> ReadError {
        ReadError::Io {
            file: name_of(self.segment.number),
            error,
        }
    }
}

/// Where the publications at these offsets are.
fn spots_of(index: &Index, topic: &Topic, offsets: &[u64]) -> Vec<Spot> {
    let mut spots = Vec::with_capacity(offsets.len());
    for &offset in offsets {
        let behind = topic.chunks.partition_point(|chunk| chunk.first <= offset);
        let has_it = |chunk: &&Chunk| (chunk.first..chunk.end()).contains(&offset);
        let chunk = topic.chunks[..behind].iter().rev().find(has_it);
        let segment = chunk.and_then(|chunk| index.segments.get(&chunk.segment));
        let (Some(chunk), Some(segment)) = (chunk, segment) else {
            continue;
        };
        let index_in = (offset - chunk.first) as usize;
        let is_active = index.is_active(chunk.segment);
        spots.push(Spot {
            segment: Arc::clone(segment),
            chunk: chunk.clone(),
            offset,
            entry: is_active.then(|| topic.tail.get(index_in).copied()).flatten(),
        });
    }
    spots
}

/// How many of the next records are read at once: those that follow each other in one file, in either direction, with
/// little between. `None` at the end.
fn joined(places: &[(Spot, Entry)]) -> Option<usize> {
    let (first, entry) = places.first()?;
    let (mut begin, mut end) = (u64::from(entry.at), end_of(entry));
    let mut count = 1;
    for (spot, entry) in &places[1..] {
        let at = u64::from(entry.at);
        let is_near = at.abs_diff(end).min(begin.abs_diff(end_of(entry))) <= GAP_BYTES_MAX;
        (begin, end) = (begin.min(at), end.max(end_of(entry)));
        if spot.segment.id != first.segment.id || !is_near || end - begin > JOINED_BYTES_MAX {
            break;
        }
        count += 1;
    }
    Some(count)
}

fn end_of(entry: &Entry) -> u64 {
    u64::from(entry.at) + u64::from(entry.bytes)
}

/// The publication, if these bytes are the record of this one and no other.
fn publication_of(topic: &Arc<str>, offset: u64, bytes: &Bytes) -> Option<Publication> {
    let record = record::decode(bytes, u32::MAX).ok()?;
    let is_it = record.kind == Kind::Publication && record.topic == &**topic && record.offset == offset;
    is_it.then(|| Publication {
        topic: Arc::clone(topic),
        epoch: record.epoch,
        offset,
        time_ms: record.time_ms,
        body: bytes.slice_ref(record.body),
    })
}

/// Bytes between two records that are read although nobody wants them: they cost less than another call.
const GAP_BYTES_MAX: u64 = 1_024;

/// Bytes read at once, if more than one record.
const JOINED_BYTES_MAX: u64 = 256 << 10;
