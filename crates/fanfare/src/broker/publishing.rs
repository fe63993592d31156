//! Publishing: at once where a topic is in memory, and by way of the disk where it is durable.
//!
//! A durable publication gets its place, and places in all mailboxes, before it is queued for the disk, and is posted and
//! answered when it is there. So the order of a topic is made under its lock alone, nobody sees what may be lost, and
//! nothing waits for the disk but the publication itself and those behind it in its topic.

use std::sync::Arc;
use std::task::Poll;

use fanfare_hub::broker::{BrokerEvent, Published, Refusal};
use fanfare_log::{AppendError, Busy, Done, What};
use fanfare_protocol::{Draft, Epoch, Position, Publication, TopicName};

use super::LocalBroker;
use super::journal::{Journal, Reading, Ticket};
use super::keys::Known;
use super::partition::Partition;
use super::stored;
use super::topic_log::{Asked, Log, Pending};
use super::versions::Versioned;

/// What a refused publisher is told to wait at least, in milliseconds: others want the next place too.
pub(super) const RETRY_MS_MIN: u64 = 100;

/// Where a publication is.
#[derive(Clone, Copy)]
enum Place {
    /// Posted.
    Here(Position),
    /// It will be here when the disk has it.
    Pending(Position),
}

impl LocalBroker {
    pub(super) fn publish_as(&self, asked: Asked, draft: Draft) -> Poll<Result<Published, Refusal>> {
        let index = self.partition_of(draft.topic.as_str());
        let mut partition = self.lock(index);
        let known = Known::of(&draft);
        let first = known
            .as_ref()
            .and_then(|known| partition.keys.find(known, &self.keys));
        if let Some(first) = first {
            let log = partition.log_mut(draft.topic.as_str());
            if log.is_some_and(|log| log.wait_for(first, asked)) {
                return Poll::Pending;
            }
            return Poll::Ready(Ok(Published::again(first)));
        }
        let versioned = Versioned::of(&draft);
        if let Some(versioned) = &versioned
            && let Some(newest) = partition.versions.outdating(versioned)
        {
            return self.leave_out((&mut partition, &draft.topic), newest, asked);
        }
        let place = self.append((&mut partition, index), draft, asked);
        if let Ok(Place::Here(position) | Place::Pending(position)) = place {
            if let Some(known) = known {
                partition.keys.remember(known, position, &self.keys);
            }
            // Of a topic that nobody has and nothing is kept of nobody has a newer state.
            let versioned = versioned.filter(|one| partition.find(one.topic.as_str()).is_some());
            if let Some(versioned) = versioned {
                partition.versions.note(versioned, position, &self.keys);
            }
        }
        match place {
            Ok(Place::Here(position)) => Poll::Ready(Ok(Published::first(position))),
            Ok(Place::Pending(_)) => Poll::Pending,
            Err(refusal) => Poll::Ready(Err(refusal)),
        }
    }

    /// Answers a publication that is out of date where the topic stands, when the newer one is there.
    fn leave_out(
        &self,
        (partition, topic): (&mut Partition, &TopicName),
        newest: Position,
        asked: Asked,
    ) -> Poll<Result<Published, Refusal>> {
        self.keys.count_outdated();
        let log = partition.log_mut(topic.as_str());
        if log.is_some_and(|log| log.wait_for(newest, asked)) {
            return Poll::Pending;
        }
        let standing = self.standing(partition, topic);
        Poll::Ready(Ok(Published::again(standing)))
    }

    /// Appends a publication that repeats none and is not out of date.
    fn append(
        &self,
        (partition, index): (&mut Partition, usize),
        draft: Draft,
        asked: Asked,
    ) -> Result<Place, Refusal> {
        if let Some(expected) = draft.expected {
            let position = self.standing(partition, &draft.topic);
            if position != expected {
                return Err(Refusal::Conflict { position });
            }
        }
        let log = if let Some(log) = partition.find(draft.topic.as_str()) {
            log
        } else {
            let terms = self.terms_of(&draft.topic);
            if !terms.is_durable && !terms.retention.keeps() {
                // Nobody would get it and nothing would keep it: the log would begin and end with it.
                let epoch = partition.begin_epoch();
                return Ok(Place::Here(Position { epoch, offset: 1 }));
            }
            self.begin(partition, &draft.topic, terms)?
        };
        let ticket = Ticket {
            partition: index,
            log,
        };
        let admitted = self.admit(&mut partition.logs[log], &draft);
        let appended = admitted.and_then(|()| self.append_to(&mut partition.logs[log], ticket, draft, asked));
        // A log that begins with a publication may have no room to keep it.
        partition.remove_if_unused(log, &self.room);
        appended
    }

    fn append_to(&self, log: &mut Log, ticket: Ticket, draft: Draft, asked: Asked) -> Result<Place, Refusal> {
        match &self.journal {
            Some(journal) if log.terms.is_durable => {
                let position = submit(&**journal, log, ticket, draft, asked)?;
                Ok(Place::Pending(position))
            }
            _ => log.append(draft, &self.history).map(Place::Here),
        }
    }

    /// Takes a client's publication out of what the topic allows.
    fn admit(&self, log: &mut Log, draft: &Draft) -> Result<(), Refusal> {
        if draft.from.is_none() {
            return Ok(());
        }
        log.bucket
            .try_take(self.clock.monotonic(), log.terms.rate, 1)
            .map_err(|wait_ms| Refusal::RateLimited {
                retry_after_ms: wait_ms.max(RETRY_MS_MIN),
            })
    }

    /// Takes what became of drafts that were submitted to the journal: posts and answers what is durable, and refuses the
    /// rest. In the order in which they were submitted, by one thread at a time.
    pub fn settle(&self, group: Vec<Done<Ticket>>) {
        for Done { ticket, outcome } in group {
            let mut partition = self.lock(ticket.partition);
            let Some(pending) = partition.logs[ticket.log].pending.pop_front() else {
                continue;
            };
            match pending {
                Pending::Publication(publication, asked, again) => {
                    let place = self.settle_publication(&mut partition, ticket.log, publication, outcome);
                    self.tell(asked, place.map(Published::first));
                    for asked in again {
                        self.tell(asked, place.map(Published::again));
                    }
                }
                Pending::Renewal(readings) => {
                    self.settle_renewal(&mut partition.logs[ticket.log], readings, outcome);
                }
                Pending::Removal(asked) => {
                    self.settle_removal(&mut partition, ticket.log, asked, outcome);
                }
            }
            let log = &mut partition.logs[ticket.log];
            if log.is_broken && log.pending.is_empty() {
                self.mend(&mut partition, ticket.log);
            }
            partition.remove_if_unused(ticket.log, &self.room);
        }
    }

    fn settle_publication(
        &self,
        partition: &mut Partition,
        log: usize,
        publication: Arc<Publication>,
        outcome: Result<fanfare_log::Position, AppendError>,
    ) -> Result<Position, Refusal> {
        let log = &mut partition.logs[log];
        let place = publication.position;
        match outcome {
            Ok(at) => {
                debug_assert_eq!(position(at), place, "the log gives the place that was asked for");
                log.post(publication, &self.history);
                Ok(place)
            }
            Err(error) => {
                log.cancel(publication.draft.bytes());
                log.is_broken = true;
                if let Some(known) = Known::of(&publication.draft) {
                    partition.keys.forget(&known, &self.keys);
                }
                partition.versions.forget(&publication.draft, place, &self.keys);
                Err(refusal_of(&error))
            }
        }
    }

    pub(super) fn tell(&self, asked: Asked, outcome: Result<Published, Refusal>) {
        let Asked { outlet, publish } = asked;
        self.outlets
            .post(outlet, BrokerEvent::Published { publish, outcome });
    }

    fn settle_renewal(
        &self,
        log: &mut Log,
        readings: Vec<Reading>,
        outcome: Result<fanfare_log::Position, AppendError>,
    ) {
        match outcome {
            Ok(at) => {
                log.position = position(at);
                // What is kept is of the epoch before; the disk gives it with the new one.
                self.history.clear(&mut log.history);
                for reading in readings {
                    self.ask_disk(reading);
                }
            }
            Err(error) => {
                log.is_broken = true;
                for reading in readings {
                    self.answer(&reading, Err(refusal_of(&error)));
                }
            }
        }
    }

    /// Goes on where the disk stands, after all that was queued behind a refusal was refused.
    fn mend(&self, partition: &mut Partition, log: usize) {
        let journal = self.journal.as_ref();
        let standing =
            journal.and_then(|journal| journal.reader().standing(partition.logs[log].topic.as_str()));
        let standing = standing.map(|standing| position(standing.position()));
        let beginning = partition.beginning();
        let log = &mut partition.logs[log];
        log.is_broken = false;
        // A topic that never had a publication has only the epoch that it was told.
        let stands = standing.unwrap_or(if log.position.offset == 0 {
            log.position
        } else {
            beginning
        });
        if stands != log.position {
            log.position = stands;
            self.history.clear(&mut log.history);
            if standing.is_none() {
                partition.begin_epoch();
            }
        }
    }

    /// Begins a new epoch behind a publication that cannot be read. Whoever wanted to read it reads again then.
    pub(super) fn renew(&self, reading: Reading, from: u64) {
        let Some(journal) = &self.journal else {
            return;
        };
        let index = self.partition_of(reading.topic.as_str());
        let mut partition = self.lock(index);
        let log = match self.log_of(&mut partition, &reading.topic) {
            Ok(log) => log,
            Err(refusal) => return self.answer(&reading, Err(refusal)),
        };
        if let Some(readings) = partition.logs[log].renewal() {
            return readings.push(reading);
        }
        let draft = fanfare_log::Draft {
            topic: reading.topic.shared(),
            time_ms: crate::clock::wall().0,
            what: What::Renew { from },
        };
        let ticket = Ticket {
            partition: index,
            log,
        };
        match journal.submit(draft, ticket) {
            Ok(()) => {
                let pending = Pending::Renewal(vec![reading]);
                partition.logs[log].pending.push_back(pending);
            }
            Err(busy) => self.answer(&reading, Err(refusal_when(busy))),
        }
        partition.remove_if_unused(log, &self.room);
    }
}

/// Gives the next place to a publication and queues it for the disk, or refuses it and changes nothing.
fn submit(
    journal: &dyn Journal,
    log: &mut Log,
    ticket: Ticket,
    draft: Draft,
    asked: Asked,
) -> Result<Position, Refusal> {
    if log.is_broken || log.renewal().is_some() {
        return Err(Refusal::Overloaded);
    }
    let bytes = draft.bytes();
    log.reserve(bytes)?;
    let end = log.end();
    let record = fanfare_log::Draft {
        topic: draft.topic.shared(),
        time_ms: draft.time.0,
        what: What::Publish {
            body: stored::encode(&draft),
            // One that follows a refused one is refused as well.
            expected: Some(end.offset),
            epoch: Some(end.epoch.0),
        },
    };
    if let Err(busy) = journal.submit(record, ticket) {
        log.cancel(bytes);
        return Err(refusal_when(busy));
    }
    let position = end.next();
    let publication = Arc::new(Publication { draft, position });
    log.pending
        .push_back(Pending::Publication(publication, asked, Vec::new()));
    Ok(position)
}

/// A place as the log has it.
pub(super) fn position(at: fanfare_log::Position) -> Position {
    Position {
        epoch: Epoch(at.epoch),
        offset: at.offset,
    }
}

pub(super) fn refusal_when(busy: Busy) -> Refusal {
    match busy {
        Busy::Full => Refusal::Overloaded,
        Busy::Closed => Refusal::Unavailable,
    }
}

pub(super) fn refusal_of(error: &AppendError) -> Refusal {
    match error {
        AppendError::StorageFull | AppendError::LogFull { .. } | AppendError::TooManySegments { .. } => {
            Refusal::StorageFull
        }
        AppendError::Uncertain(_) => Refusal::OutcomeUnknown,
        AppendError::TooManyTopics { .. } => Refusal::TooManyTopics,
        // It was queued behind one that was refused.
        AppendError::NotExpected { .. } => Refusal::Overloaded,
        AppendError::Write(_)
        | AppendError::Fenced
        | AppendError::RecordTooLarge { .. }
        | AppendError::TopicName { .. }
        | AppendError::CannotBegin { .. } => Refusal::Unavailable,
    }
}
