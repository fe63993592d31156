//! Reading: from memory where that has what is asked for, else from the disk, by a thread of the journal's, so that no
//! shard waits for it.
//!
//! A page says where its topic stands at the moment when it is posted, under the lock of the topic. So it falls into the
//! order of the mailbox, wherever it was read.

use std::ops::ControlFlow;
use std::sync::Arc;

use fanfare_hub::History;
use fanfare_hub::broker::{BrokerEvent, Page, Read, Refusal, Start};
use fanfare_log::{Bounds, ReadError, Reader};
use fanfare_protocol::{Position, Publication, Timestamp, TopicName};

use super::LocalBroker;
use super::journal::Reading;
use super::keys::Known;
use super::partition::Partition;
use super::publishing::position;
use super::stored::{self, StoredError};

/// Why the disk gave no page.
enum NoPage {
    /// What it was about to read was dropped meanwhile.
    Dropped,
    /// It cannot be read.
    Unreadable(ReadError),
    /// Another program wrote it.
    Unknown(StoredError),
}

impl From<ReadError> for NoPage {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

impl LocalBroker {
    /// Reads at once what memory has, and has the disk asked for the rest.
    pub(super) fn read_for(&self, reading: Reading) {
        let partition = self.lock(self.partition_of(reading.topic.as_str()));
        let page = match partition.log(reading.topic.as_str()) {
            Some(log) => {
                let durable = self.journal.as_ref().filter(|_| log.terms.is_durable);
                let first = durable.map(|journal| {
                    let standing = journal.reader().standing(log.topic.as_str());
                    standing.map_or(log.position.offset + 1, |standing| standing.first)
                });
                log.read(&reading.read, first)
            }
            None if self.is_on_disk(&reading.topic) => None,
            None => Some(History::default().read(self.standing(&partition, &reading.topic), &reading.read)),
        };
        match page {
            Some(page) => self.answer(&reading, Ok(page)),
            None => self.ask_disk(reading),
        }
    }

    pub(super) fn ask_disk(&self, reading: Reading) {
        if let Some(journal) = &self.journal {
            journal.look_up(reading);
        }
    }

    pub(super) fn answer(&self, reading: &Reading, outcome: Result<Page, Refusal>) {
        let read = reading.id;
        self.outlets
            .post(reading.outlet, BrokerEvent::Read { read, outcome });
    }

    /// Where a topic stands for those who have everything that was posted.
    fn posted(&self, partition: &Partition, topic: &TopicName) -> Position {
        let log = partition.log(topic.as_str());
        log.map_or_else(|| self.standing(partition, topic), |log| log.position)
    }

    /// Does what a [`Journal`](super::Journal) was asked to have done: reads from the disk, which takes time, and answers.
    pub fn look_up(&self, reading: Reading) {
        let Some(journal) = &self.journal else {
            return;
        };
        let index = self.partition_of(reading.topic.as_str());
        let end = self.posted(&self.lock(index), &reading.topic);
        match page_of(journal.reader(), &reading.topic, end, &reading.read) {
            Ok(page) => self.give(index, reading, page),
            Err(NoPage::Dropped) => journal.look_up(reading),
            Err(NoPage::Unreadable(error)) => self.give_up(reading, &error),
            Err(NoPage::Unknown(error)) => {
                tracing::error!(topic = %reading.topic, %error, "history cannot be read");
                self.answer(&reading, Err(Refusal::Unavailable));
            }
        }
    }

    fn give(&self, index: usize, reading: Reading, page: Page) {
        let partition = self.lock(index);
        let end = self.posted(&partition, &reading.topic);
        // What was posted since can be read, so it is not left out.
        let is_forward = !matches!(reading.read.start, Start::Before(_));
        let is_behind = page.publications.is_empty() && page.start.offset < end.offset;
        if page.end.epoch != end.epoch || (is_forward && is_behind && reading.read.publications_max > 0) {
            return self.ask_disk(reading);
        }
        self.answer(&reading, Ok(Page { end, ..page }));
    }

    /// Lets a topic begin anew behind what is damaged; what could not be read for another reason may be asked for again.
    fn give_up(&self, reading: Reading, error: &ReadError) {
        match error {
            ReadError::Corrupt { offset, .. } => {
                tracing::error!(%error, "a publication is lost, its topic begins a new epoch behind it");
                self.renew(reading, offset + 1);
            }
            ReadError::Io { .. } => {
                tracing::error!(%error, "history cannot be read");
                self.answer(&reading, Err(Refusal::Unavailable));
            }
        }
    }

    /// Remembers the idempotency keys that are on the disk and whose window is not over. Reads every segment that has
    /// something as new as that; call it before anything is published.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn restore_keys(&self, now: Timestamp) -> Result<(), ReadError> {
        let Some(journal) = &self.journal else {
            return Ok(());
        };
        let reader = journal.reader();
        let since_ms = now.0.saturating_sub(self.keys.window_ms());
        reader.visit_those(since_ms, stored::is_repeatable, |stored| {
            self.remember(reader, &stored);
            ControlFlow::Continue(())
        })?;
        Ok(())
    }

    /// A publication that is none, or has a form that is not known, is told of when it is read.
    fn remember(&self, reader: &Reader, stored: &fanfare_log::Publication) {
        let Ok(topic) = TopicName::parse(&stored.topic) else {
            return;
        };
        let Ok(draft) = stored::decode(topic, Timestamp(stored.time_ms), &stored.body) else {
            return;
        };
        if let (Some(known), Some(standing)) = (Known::of(&draft), reader.standing(&stored.topic)) {
            let place = Position {
                offset: stored.offset,
                ..position(standing.position())
            };
            let mut partition = self.lock(self.partition_of(&stored.topic));
            partition.keys.remember(known, place, &self.keys);
        }
    }
}

/// What the disk has of a topic whose posted publications end at `end`.
fn page_of(reader: &Reader, topic: &TopicName, end: Position, read: &Read) -> Result<Page, NoPage> {
    let standing = reader.standing(topic.as_str()).unwrap_or_default();
    let oldest = standing.first.min(end.offset + 1);
    let (start, lost) = match read.start {
        Start::At(time) => (before(reader, topic, time, oldest..end.offset + 1)?, None),
        start => start.find(end, oldest),
    };
    let bounds = Bounds {
        records: read.publications_max,
        bytes: read.bytes_max,
    };
    let (first, page) = match read.start {
        Start::Before(_) => (start - 1, reader.backward(topic.as_str(), start - 1, bounds)?),
        _ => (start + 1, reader.forward(topic.as_str(), start + 1, bounds)?),
    };
    if page
        .publications
        .first()
        .is_some_and(|found| found.offset != first)
    {
        return Err(NoPage::Dropped);
    }
    let publications = page
        .publications
        .iter()
        .take_while(|stored| stored.offset <= end.offset)
        .map(|stored| publication(topic, end, stored));
    let publications: Vec<_> = publications.collect::<Result<_, _>>().map_err(NoPage::Unknown)?;
    let count = publications.iter().take_while(read.fits()).count();
    Ok(Page {
        start: Position { offset: start, ..end },
        end,
        oldest,
        lost,
        publications: publications.into_iter().take(count).collect(),
    })
}

/// A publication as it stands in the topic's epoch of today.
fn publication(
    topic: &TopicName,
    end: Position,
    stored: &fanfare_log::Publication,
) -> Result<Arc<Publication>, StoredError> {
    let draft = stored::decode(topic.clone(), Timestamp(stored.time_ms), &stored.body)?;
    let position = Position {
        offset: stored.offset,
        ..end
    };
    Ok(Arc::new(Publication { draft, position }))
}

/// The last offset of a range that is older than a time, found by halves.
fn before(
    reader: &Reader,
    topic: &TopicName,
    time: Timestamp,
    range: std::ops::Range<u64>,
) -> Result<u64, NoPage> {
    let (mut low, mut high) = (range.start, range.end);
    let one = Bounds { records: 1, bytes: 0 };
    while low < high {
        let middle = low + (high - low) / 2;
        let page = reader.forward(topic.as_str(), middle, one)?;
        let found = page.publications.first().filter(|found| found.offset == middle);
        match found {
            None => return Err(NoPage::Dropped),
            Some(found) if found.time_ms < time.0 => low = middle + 1,
            Some(_) => high = middle,
        }
    }
    Ok(low - 1)
}
