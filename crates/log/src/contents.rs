//! What the records of one segment say, found by walking over them.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::footer::{Entry, Section};
use crate::record::{Bad, FLOOR_BODY_BYTES, Kind, OFFSET_END, Record, u64_at};
use crate::scan::{Found, Scan};
use crate::segment::HEADER_BYTES;
use crate::storage::StorageFile;

/// The topics of a segment with their records, in the order of their first ones.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    sections: Vec<Section>,
    by_topic: HashMap<Arc<str>, usize, foldhash::quality::RandomState>,
    /// Records of any kind.
    pub(crate) records: u64,
}

impl Contents {
    /// Takes in the next record; false when its offset does not follow on those of its topic. It is taken nevertheless,
    /// and those before it are not there any more.
    pub(crate) fn add(&mut self, record: &Record<'_>, within: &Range<u64>) -> bool {
        self.records += 1;
        let index = self.index_of(record.topic);
        let section = &mut self.sections[index];
        section.epoch = record.epoch;
        section.last_ms = record.time_ms;
        if record.kind != Kind::Publication {
            section.floor = section.floor.max(record.offset);
            section.last = section.last.max(last_of(record).unwrap_or(0));
            return true;
        }
        let is_next = section.entries.is_empty() || section.next() == Some(record.offset);
        if !is_next {
            section.entries.clear();
        }
        if section.entries.is_empty() {
            section.first = record.offset;
        }
        section.last = section.last.max(record.offset);
        section.entries.push(Entry {
            at: within.start as u32,
            bytes: (within.end - within.start) as u32,
            time_ms: record.time_ms,
        });
        is_next
    }

    /// Whether the record is the publication that follows on those there are of its topic.
    pub(crate) fn expects(&self, record: &Record<'_>) -> bool {
        record.kind == Kind::Publication
            && self
                .section(record.topic)
                .is_some_and(|section| !section.entries.is_empty() && section.next() == Some(record.offset))
    }

    /// Whether there are all of these publications of a topic, and none behind them.
    pub(crate) fn covers(&self, topic: &str, offsets: &Range<u64>) -> bool {
        self.section(topic)
            .is_some_and(|section| section.first <= offsets.start && section.next() == Some(offsets.end))
    }

    fn section(&self, topic: &str) -> Option<&Section> {
        self.by_topic.get(topic).map(|index| &self.sections[*index])
    }

    fn index_of(&mut self, topic: &str) -> usize {
        if let Some(index) = self.by_topic.get(topic) {
            return *index;
        }
        let topic: Arc<str> = Arc::from(topic);
        self.by_topic.insert(Arc::clone(&topic), self.sections.len());
        self.sections.push(Section {
            topic,
            epoch: 0,
            floor: 0,
            first: 0,
            last: 0,
            last_ms: 0,
            entries: Vec::new(),
        });
        self.sections.len() - 1
    }

    /// What there is of each topic. A topic without publications has its floor for its first offset.
    pub(crate) fn into_sections(mut self) -> Vec<Section> {
        for section in &mut self.sections {
            if section.entries.is_empty() {
                section.first = section.floor;
            }
        }
        self.sections
    }
}

/// A segment as it was found by a walk over its records.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) contents: Contents,
    /// Behind the last whole record.
    pub(crate) end: u64,
    /// Behind the seal, if there is one.
    pub(crate) sealed_at: Option<u64>,
    /// What is between the whole records, or behind them.
    pub(crate) bad: Vec<(Range<u64>, Bad)>,
    /// Records whose offset does not follow.
    pub(crate) astray: Vec<Range<u64>>,
    /// What of the file was durable, as the last record knew.
    pub(crate) durable: u64,
}

/// Walks over the records of a segment, up to its seal or to `end`.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn walk(file: &dyn StorageFile, number: u64, end: u64, record_bytes_max: u32) -> io::Result<Walk> {
    let mut walk = Walk {
        end: HEADER_BYTES,
        durable: HEADER_BYTES,
        ..Walk::default()
    };
    let mut scan = Scan::new(file, HEADER_BYTES..end, record_bytes_max);
    while let Some(found) = scan.next()? {
        match found {
            Found::Record(record, within) if record.kind == Kind::Seal && record.epoch == number => {
                walk.durable = walk.durable.max(u64::from(record.durable));
                walk.sealed_at = Some(within.end);
                break;
            }
            Found::Record(record, within) if is_possible(&record) => {
                walk.durable = walk.durable.max(u64::from(record.durable).min(within.start));
                walk.end = within.end;
                // Behind something bad, a gap is no news.
                if !walk.contents.add(&record, &within) && walk.bad.is_empty() {
                    walk.astray.push(within);
                }
            }
            Found::Record(_, within) => walk.bad.push((within, Bad::Kind)),
            Found::Bad(bad, within) => walk.bad.push((within, bad)),
        }
    }
    Ok(walk)
}

/// Whether a log can have written it here: a whole record may still be one of another file.
fn is_possible(record: &Record<'_>) -> bool {
    let is_whole = match record.kind {
        Kind::Publication => true,
        Kind::Floor => last_of(record).is_some_and(|last| last < OFFSET_END && record.offset <= last + 1),
        Kind::Seal => false,
    };
    is_whole && (1..=OFFSET_END).contains(&record.offset)
}

/// The last offset of the topic, as a floor says.
fn last_of(record: &Record<'_>) -> Option<u64> {
    (record.body.len() == FLOOR_BODY_BYTES).then(|| u64_at(record.body, 0))
}
