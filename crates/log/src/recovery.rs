//! Opening a log: what is there, what is wrong with it, and what is done about it.
//!
//! First everything is read and nothing changed. Then, if positions that clients know may have been lost, the list of
//! segments says so before anything is repaired, so that an end in the middle forgets it not; then repairs; then a new
//! epoch for every topic.

use std::io;
use std::sync::Arc;

use crate::active::{Active, SEAL_BYTES, seal_of};
use crate::contents::{Walk, walk};
use crate::damage::Damages;
use crate::draft::{AppendError, Draft, What};
use crate::footer::{self, Footer, Row, Section};
use crate::index::Index;
use crate::limits::LimitError;
use crate::log::{Log, Options};
use crate::manifest::{self, Loaded, Manifest};
use crate::record::Bad;
use crate::repair::{Repair, Tail};
use crate::retention::Policy;
use crate::segment::{self, BadHeader, HEADER_BYTES, Segment, VERSION, header_of, name_of};
use crate::storage::{Storage, StorageFile};
use crate::survey::{Files, INCOMPLETE_IMPORT};

/// What was found when a log was opened, and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// What is not as it was written. None of it is served.
    pub damages: Damages,
    /// Whether nothing can have been written when the log ended: it was closed in order, or its last segment is sealed.
    pub is_closed: bool,
    /// The end of the last segment that was cut off: what was being written when the log ended.
    pub truncated: Option<Truncated>,
    /// Whether the machine ended while something was answered and not durable.
    pub is_power_lost: bool,
    /// Topics that began a new epoch: all, when positions may have been lost with what is damaged or was not durable.
    pub renewed: usize,
    /// Segments.
    pub segments: usize,
    /// Topics.
    pub topics: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

/// The end of a file that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// The file.
    pub file: String,
    /// Where it ends now.
    pub at: u64,
    /// How many bytes are gone.
    pub bytes: u64,
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A limit that cannot be kept to.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A file could not be read or written.
    #[error("{file} in the data directory cannot be used: {error}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// A file that is none of a log.
    #[error(
        "{0} in the data directory is not a file of the log, which has the directory for itself: move it away"
    )]
    UnknownFile(String),
    /// There is an [`INCOMPLETE_IMPORT`](crate::INCOMPLETE_IMPORT): what was to be imported is there in part.
    #[error(
        "the data directory has a part of an import that did not end: import again into an empty directory, or remove its file {INCOMPLETE_IMPORT} to go on with that part"
    )]
    IncompleteImport,
    /// A file of another version of the format.
    #[error(
        "{file} has version {version} of the format, this program knows version {VERSION}: use the program that wrote it to export it"
    )]
    Version {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
    /// A file with the name of another one.
    #[error("{file} is segment {number} by its content: give it back its name")]
    Misnamed {
        /// The file.
        file: String,
        /// The number it has inside.
        number: u64,
    },
    /// A segment that should be there.
    #[error(
        "{0} is missing from the data directory: put it back, or open the log with accepts_missing to go on without what it had"
    )]
    Missing(String),
    /// A segment with records that should not be there.
    #[error(
        "{0} has records and is not on the list of segments, which is older: put back the list that belongs to it, or move it away"
    )]
    Unlisted(String),
    /// A new epoch could not be begun for the topics that need one.
    #[error("positions may have been lost, and this could not be noted: {0}")]
    Renewal(AppendError),
}

pub(crate) fn failed(file: &str) -> impl FnOnce(io::Error) -> OpenError {
    let file = file.to_owned();
    move |error| OpenError::Io { file, error }
}

/// Opens the log of a storage.
pub(crate) fn open(storage: Arc<dyn Storage>, options: Options) -> Result<(Log, Recovery), OpenError> {
    options.limits.check()?;
    let files = Files::survey(&*storage)?;
    let mut opening = Opening::of_list(&*storage, &files, options.accepts_missing)?;
    opening.check_unlisted(&*storage, &files)?;
    for position in 0..opening.manifest.numbers.len() {
        opening.read_segment(&*storage, &options, position)?;
    }
    opening.recovery.is_closed = opening.is_closed();
    opening.recovery.topics = opening.index.topics();
    opening.recovery.segments = opening.manifest.numbers.len();
    let is_renewing = opening.is_renewing;
    let list = opening.write_list(&*storage, &options)?;
    opening.remove_leftovers(&*storage, &files)?;
    let active = opening.repair(&*storage)?;
    let mut recovery = opening.recovery;
    let mut log = Log::new(storage, options, opening.index, list);
    log.active = active;
    if is_renewing {
        renew_all(&mut log, &mut recovery).map_err(OpenError::Renewal)?;
    }
    Ok((log, recovery))
}

/// What is known so far of a log that is being opened.
struct Opening {
    recovery: Recovery,
    index: Index,
    manifest: Manifest,
    list: Option<Arc<dyn StorageFile>>,
    /// Whether positions may have been lost.
    is_renewing: bool,
    repairs: Vec<Repair>,
    tail: Option<Tail>,
}

impl Opening {
    fn of_list(storage: &dyn Storage, files: &Files, accepts_missing: bool) -> Result<Self, OpenError> {
        let mut opening = Self {
            recovery: Recovery::default(),
            index: Index::default(),
            manifest: Manifest::default(),
            list: None,
            is_renewing: false,
            repairs: Vec::new(),
            tail: None,
        };
        if files.has_list {
            let file = storage.open(manifest::NAME).map_err(failed(manifest::NAME))?;
            match manifest::load(&*file).map_err(failed(manifest::NAME))? {
                Loaded::Whole(found, _) => opening.take_list(found, file, storage.boot()),
                Loaded::Damaged => opening.make_list(files, "damaged, made anew from the segments there are"),
                Loaded::Version(version) => {
                    return Err(OpenError::Version {
                        file: manifest::NAME.to_owned(),
                        version,
                    });
                }
            }
        } else if !files.numbers.is_empty() {
            opening.make_list(files, "missing, made anew from the segments there are");
        }
        opening.check_missing(files, accepts_missing)?;
        Ok(opening)
    }

    fn take_list(&mut self, found: Manifest, file: Arc<dyn StorageFile>, boot: Option<u64>) {
        let is_same_boot = boot.is_some_and(|boot| boot == found.boot);
        self.recovery.is_power_lost = found.is_weak && !is_same_boot;
        self.is_renewing = self.recovery.is_power_lost || found.is_renewing;
        self.manifest = found;
        self.list = Some(file);
    }

    fn make_list(&mut self, files: &Files, what: &str) {
        self.recovery.damages.add(manifest::NAME, 0..0, what);
        self.is_renewing = true;
        self.manifest.numbers = files.numbers.iter().copied().collect();
        self.manifest.next = files.numbers.last().map_or(0, |last| last + 1);
    }

    fn check_missing(&mut self, files: &Files, accepts_missing: bool) -> Result<(), OpenError> {
        let is_missing = |number: &&u64| !files.numbers.contains(number);
        let missing: Vec<u64> = self.manifest.numbers.iter().filter(is_missing).copied().collect();
        for number in missing {
            if !accepts_missing {
                return Err(OpenError::Missing(name_of(number)));
            }
            self.damaged(number, 0..0, "missing");
            self.manifest.numbers.retain(|listed| *listed != number);
        }
        Ok(())
    }

    /// A segment that is not on the list was about to be begun, or to be removed.
    fn check_unlisted(&self, storage: &dyn Storage, files: &Files) -> Result<(), OpenError> {
        for number in files.numbers.range(self.manifest.next..) {
            let name = name_of(*number);
            let file = storage.open(&name).map_err(failed(&name))?;
            if file.bytes().map_err(failed(&name))? > HEADER_BYTES {
                return Err(OpenError::Unlisted(name));
            }
        }
        Ok(())
    }

    /// Notes damage that may have hidden positions.
    fn damaged(&mut self, number: u64, within: std::ops::Range<u64>, what: impl std::fmt::Display) {
        self.recovery.damages.add(&name_of(number), within, what);
        self.is_renewing = true;
    }

    fn read_segment(
        &mut self,
        storage: &dyn Storage,
        options: &Options,
        position: usize,
    ) -> Result<(), OpenError> {
        let number = self.manifest.numbers[position];
        let name = name_of(number);
        let file = storage.open(&name).map_err(failed(&name))?;
        let mut segment = Segment::new(number, Arc::clone(&file));
        segment.bytes = file.bytes().map_err(failed(&name))?;
        self.recovery.bytes += segment.bytes;
        self.check_header(&segment, &name)?;
        let is_last = position + 1 == self.manifest.numbers.len();
        let record_bytes_max = options.limits.record_bytes_max;
        if let Some(footer) = footer::read(&*file, segment.bytes).map_err(failed(&name))? {
            if is_last {
                self.tail = Some(Tail::sealed(&segment, footer.records_end).map_err(failed(&name))?);
            }
            self.take_footer(segment, &footer, &options.policy);
            return Ok(());
        }
        let walked = walk(&*file, number, segment.bytes, record_bytes_max).map_err(failed(&name))?;
        if is_last && walked.sealed_at.is_none() {
            let walked = self
                .cut(&segment, walked, record_bytes_max)
                .map_err(failed(&name))?;
            self.take_tail(segment, walked, &options.policy);
        } else {
            self.rebuild(segment, walked, is_last, &options.policy);
        }
        Ok(())
    }

    fn check_header(&mut self, segment: &Segment, name: &str) -> Result<(), OpenError> {
        let file = name.to_owned();
        match segment::check_header(&*segment.file, segment.number).map_err(failed(name))? {
            Ok(()) => Ok(()),
            Err(BadHeader::Version(version)) => Err(OpenError::Version { file, version }),
            Err(BadHeader::Number(number)) => Err(OpenError::Misnamed { file, number }),
            Err(BadHeader::Damaged) => {
                self.recovery
                    .damages
                    .add(name, 0..HEADER_BYTES, "the header is damaged, written anew");
                self.repairs.push(Repair {
                    segment: Arc::new(Segment::new(segment.number, Arc::clone(&segment.file))),
                    bytes: header_of(segment.number),
                    at: 0,
                    is_end: false,
                });
                Ok(())
            }
        }
    }

    fn take_footer(&mut self, mut segment: Segment, footer: &Footer, policy: &Policy) {
        segment.records_end = footer.records_end;
        self.take_rows(segment, &footer.rows, policy);
    }

    fn take_rows(&mut self, mut segment: Segment, rows: &[Row], policy: &Policy) {
        segment.newest_ms = rows.iter().map(|row| row.newest_ms).max().unwrap_or(0);
        for row in rows {
            if !self.index.recover(segment.number, row, policy) {
                self.damaged(
                    segment.number,
                    0..0,
                    format_args!("offsets of topic {} again", row.topic),
                );
            }
        }
        self.index.segments.insert(segment.number, Arc::new(segment));
    }

    /// Notes everything in the walk that is not as it was written.
    fn note(&mut self, number: u64, walked: &Walk) {
        for (within, bad) in &walked.bad {
            self.damaged(number, within.clone(), bad);
        }
        for within in &walked.astray {
            self.damaged(number, within.clone(), "an offset that does not follow");
        }
    }

    /// Finds what was being written when the log ended: from the first thing on that is no record and was not known to
    /// be durable. A log that was closed has nothing of the kind.
    fn cut(&mut self, segment: &Segment, walked: Walk, record_bytes_max: u32) -> io::Result<Walk> {
        let closed_at = self.manifest.closed_at;
        let cut = if closed_at > 0 {
            closed_at.min(segment.bytes)
        } else {
            let is_torn = |(within, _): &&(std::ops::Range<u64>, Bad)| within.start >= walked.durable;
            let torn = walked.bad.iter().find(is_torn);
            torn.map_or(segment.bytes, |(within, _)| within.start)
        };
        if closed_at > segment.bytes {
            self.damaged(
                segment.number,
                segment.bytes..closed_at,
                "the end of the file is missing",
            );
        }
        if cut == segment.bytes {
            return Ok(walked);
        }
        self.recovery.truncated = Some(Truncated {
            file: name_of(segment.number),
            at: cut,
            bytes: segment.bytes - cut,
        });
        walk(&*segment.file, segment.number, cut, record_bytes_max)
    }

    fn take_tail(&mut self, segment: Segment, walked: Walk, policy: &Policy) {
        self.note(segment.number, &walked);
        let records = walked.contents.records;
        let bad_end = walked.bad.last().map_or(0, |(within, _)| within.end);
        let (number, file) = (segment.number, Arc::clone(&segment.file));
        let end = walked.end.max(bad_end);
        let sections = walked.contents.into_sections();
        let rows: Vec<Row> = sections.iter().map(|section| section.row(0)).collect();
        self.take_rows(segment, &rows, policy);
        let segment = Arc::new(Segment::new(number, file));
        self.index.segments.insert(number, Arc::clone(&segment));
        self.index.active = Some((number, end));
        let mut topics = Vec::with_capacity(sections.len());
        for section in sections {
            if let Some(id) = self.index.find(&section.topic) {
                topics.push(id);
                if let Some(topic) = self.index.topic_mut(id) {
                    topic.tail = section.entries;
                }
            }
        }
        self.tail = Some(Tail {
            segment,
            is_sealed: false,
            end,
            durable: walked.durable,
            records,
            topics,
        });
    }

    /// Makes the footer of a segment anew that should have one.
    fn rebuild(&mut self, mut segment: Segment, walked: Walk, is_last: bool, policy: &Policy) {
        let number = segment.number;
        let at = walked.sealed_at.map_or(walked.end, |end| end - SEAL_BYTES);
        // The last one may just have been about to get it.
        if !is_last || self.manifest.closed_at > 0 {
            let what = "the footer is damaged, made anew";
            self.recovery
                .damages
                .add(&name_of(number), at..segment.bytes, what);
        }
        if walked.sealed_at.is_none() {
            self.is_renewing = true;
        }
        self.note(number, &walked);
        let records = walked.contents.records;
        let sections: Vec<Section> = walked.contents.into_sections();
        let (bytes, rows) = seal_of(number, records, (at, at), &sections);
        segment.bytes = at + bytes.len() as u64;
        segment.records_end = at + SEAL_BYTES;
        self.repairs.push(Repair {
            segment: Arc::new(Segment::new(number, Arc::clone(&segment.file))),
            bytes,
            at,
            is_end: true,
        });
        self.take_rows(segment, &rows, policy);
    }

    fn is_closed(&self) -> bool {
        let is_open = |tail: &Tail| !tail.is_sealed;
        self.manifest.closed_at > 0 || !self.tail.as_ref().is_some_and(is_open)
    }

    /// Lets the list say that the log is open, and whether new epochs are on their way.
    fn write_list(
        &mut self,
        storage: &dyn Storage,
        options: &Options,
    ) -> Result<(Manifest, Arc<dyn StorageFile>), OpenError> {
        let mut list = std::mem::take(&mut self.manifest);
        list.boot = storage.boot().unwrap_or(0);
        list.is_weak = options.fsync.is_weak();
        list.is_renewing = self.is_renewing;
        list.closed_at = 0;
        let file = match &self.list {
            Some(file) => list.store(&**file).map(|()| Arc::clone(file)),
            None => list.create(storage),
        };
        Ok((list, file.map_err(failed(manifest::NAME))?))
    }

    fn remove_leftovers(&self, storage: &dyn Storage, files: &Files) -> Result<(), OpenError> {
        let is_listed = |number: &&u64| self.index.segments.contains_key(number);
        let unlisted = files.numbers.iter().filter(|number| !is_listed(number));
        let unlisted = unlisted.map(|number| name_of(*number));
        for name in unlisted.chain(files.temporary.iter().cloned()) {
            match storage.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&name)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes what is to be repaired, and gives the segment to append to.
    fn repair(&mut self, storage: &dyn Storage) -> Result<Option<Active>, OpenError> {
        for repair in self.repairs.drain(..) {
            let name = name_of(repair.segment.number);
            repair.write().map_err(failed(&name))?;
        }
        let Some(tail) = self.tail.take() else {
            return Ok(None);
        };
        let name = name_of(tail.segment.number);
        tail.repair().map_err(failed(&name))?;
        storage.sync_names().map_err(failed(&name))?;
        let active = || Active::found(tail.segment, tail.end, tail.records, tail.topics);
        Ok((!tail.is_sealed).then(active))
    }
}

/// Begins a new epoch for every topic, and notes on the list that this is done. A damaged segment that was appended to
/// is sealed, so that the next opening does not find the same damage.
fn renew_all(log: &mut Log, recovery: &mut Recovery) -> Result<(), AppendError> {
    let standing: Vec<_> = {
        let index = log.shared.index();
        let topics = index.topics_from(0).map(|(_, topic)| topic);
        topics
            .map(|topic| (Arc::clone(&topic.name), topic.first, topic.last_ms))
            .collect()
    };
    recovery.renewed = standing.len();
    for group in standing.chunks(log.limits().group_records_max) {
        let renew = |(topic, from, time_ms): &(Arc<str>, u64, u64)| Draft {
            topic: Arc::clone(topic),
            time_ms: *time_ms,
            what: What::Renew { from: *from },
        };
        let drafts: Vec<Draft> = group.iter().map(renew).collect();
        for answer in log.append(&drafts) {
            answer?;
        }
    }
    log.sync()?;
    log.seal()?;
    log.manifest.is_renewing = false;
    log.store_manifest()
}
