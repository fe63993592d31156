//! The broker of one process: topics in partitions, each behind one lock, with a small ring of history.
//!
//! Publishing takes the lock of one partition, sets a place aside in the mailbox of every shard that joined the
//! topic, appends, posts, and lets go. Nothing waits or writes to a socket under that lock.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Poll;

use fanfare_hub::access::TopicRules;
use fanfare_hub::broker::{
    Broker, BrokerEvent, Outlet, OutletId, PublishId, Published, Read, ReadId, Refusal, TopicPage,
};
use fanfare_hub::{Bucket, Change, History, Limits, Rate, Retention, RosterDiff, RosterPage, Version};
use fanfare_protocol::{ConnectionId, Draft, Position, Timestamp, TopicName};
use foldhash::fast::FixedState;
use slab::Slab;

use super::keys::{KeyRoom, Keys, Known};
use super::partition::{Joined, Log, Partition, Terms};
use super::room::{HistoryRoom, TopicRoom};
use crate::clock::{Clock, wall};
use crate::notices::{Happening, NoticeBoard};

/// The broker that keeps everything in this process's memory.
///
/// Memory: about 180 B per topic with subscribers, and what the bounds on history and keys allow.
///
/// It keeps these bounds of the [`Limits`]: how many publications of clients a topic takes per second, how many topics
/// there are, how much all of them keep of their logs, and how many idempotency keys are remembered for how long.
/// Publications that the application makes itself are not bounded by the first nor counted in it.
pub struct MemoryBroker {
    /// What holds for topics of which the rules do not say it.
    otherwise: Terms,
    rules: RwLock<Arc<TopicRules>>,
    clock: Clock,
    room: TopicRoom,
    history: HistoryRoom,
    keys: KeyRoom,
    hasher: FixedState,
    /// Who is told when a topic has its first subscriber, or has lost its last, if anyone.
    notices: Option<Arc<NoticeBoard>>,
    outlets: Mutex<Slab<Attached>>,
    partitions: Box<[Mutex<Partition>]>,
}

/// Locks apart from each other; more than cores, so that two publishers rarely meet.
const PARTITIONS: usize = 64;

/// What a refused publisher is told to wait at least, in milliseconds: others want the next place too.
const RETRY_MS_MIN: u64 = 100;

/// What a broker holds beside its topics, and has let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Publications kept.
    pub(crate) history_publications: u64,
    /// Their bytes.
    pub(crate) history_bytes: u64,
    /// Publications that were dropped before their time for want of room.
    pub(crate) history_squeezed: u64,
    /// Idempotency keys remembered.
    pub(crate) idempotency_keys: u64,
    /// Idempotency keys that were forgotten before their time for want of room.
    pub(crate) idempotency_keys_forgotten: u64,
    /// Publications that were repetitions.
    pub(crate) repetitions: u64,
}

/// An outlet, and how many topics it has joined.
struct Attached {
    outlet: Arc<dyn Outlet>,
    topics: usize,
}

impl MemoryBroker {
    /// An empty broker. `seed` goes into the hash of topic names and into the epochs: take a random one, so that
    /// clients of an earlier process see that this is another log.
    pub fn new(history: Retention, limits: &Limits, seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        let partition = |index: usize| {
            // The low bits count the logs of a partition; the high ones tell processes and partitions apart.
            let next_epoch = hasher.hash_one(index) << 24;
            Mutex::new(Partition {
                names: HashMap::with_hasher(hasher.clone()),
                logs: Slab::new(),
                keys: Keys::new(hasher.clone()),
                next_epoch,
            })
        };
        let partitions = (0..PARTITIONS).map(partition).collect();
        Self {
            otherwise: Terms {
                rate: Rate::per_second(limits.publications_per_second),
                retention: history,
            },
            rules: RwLock::default(),
            clock: Clock::start(),
            room: TopicRoom::new(limits.topics_max),
            history: HistoryRoom::new(limits.history_total_bytes_max),
            keys: KeyRoom::new(limits),
            hasher: hasher.clone(),
            notices: None,
            outlets: Mutex::new(Slab::new()),
            partitions,
        }
    }

    /// The same, with somebody who is told which topics have subscribers. In the order in which they come and go: it is
    /// told under the lock of the topic.
    pub(crate) fn with_notices(self, notices: Option<Arc<NoticeBoard>>) -> Self {
        Self { notices, ..self }
    }

    /// From now on topics take and keep what these rules say. What is kept already and too much now is dropped.
    pub fn set_rules(&self, rules: Arc<TopicRules>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        for index in 0..PARTITIONS {
            let mut partition = self.lock(index);
            for (_, log) in &mut partition.logs {
                let terms = self.terms_of(&log.topic);
                if terms.rate != log.terms.rate {
                    log.bucket = Bucket::default();
                }
                log.terms = terms;
            }
            self.trim(&mut partition, wall());
        }
    }

    fn terms_of(&self, topic: &TopicName) -> Terms {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let Some(rule) = rules.of(topic) else {
            return self.otherwise;
        };
        let rate = rule.publications_per_second.map(Rate::per_second);
        Terms {
            rate: rate.unwrap_or(self.otherwise.rate),
            retention: rule.retention.unwrap_or(self.otherwise.retention),
        }
    }

    fn begin(&self, partition: &mut Partition, topic: &TopicName, terms: Terms) -> Result<usize, Refusal> {
        self.room.take(topic)?;
        Ok(partition.begin(topic, terms))
    }

    /// Whether a topic has subscribers, where somebody is told when that changes.
    fn occupancy(&self, log: &Log) -> Option<bool> {
        self.notices.as_ref().map(|_| log.subscribers() > 0)
    }

    /// Tells if it has changed since before.
    fn notice(&self, log: &Log, before: Option<bool>) {
        let now = self.occupancy(log);
        if let (Some(notices), Some(is_occupied)) = (&self.notices, now.filter(|_| now != before))
            && let Some(happening) = Happening::of_topic(&log.topic, is_occupied)
        {
            notices.post(happening);
        }
    }

    /// Takes an outlet out of a topic, which may end with it.
    fn leave_log(&self, partition: &mut Partition, log: usize, outlet: OutletId) {
        let before = self.occupancy(&partition.logs[log]);
        if partition.logs[log].lose(outlet) {
            self.count_topics(outlet, -1);
        }
        self.notice(&partition.logs[log], before);
        partition.remove_if_unused(log, &self.room);
    }

    /// Drops history that is older than its age, topics that have nothing left, and idempotency keys whose window is
    /// over. One lock at a time, and none where nothing is kept; call it about once a second.
    pub fn expire(&self, now: Timestamp) {
        if self.history.publications() == 0 && self.keys.keys() == 0 {
            return;
        }
        for index in 0..PARTITIONS {
            let mut partition = self.lock(index);
            partition.keys.expire(now, &self.keys);
            self.trim(&mut partition, now);
        }
    }

    /// Drops what is too much or too old of what a partition keeps.
    fn trim(&self, partition: &mut Partition, now: Timestamp) {
        let keeps = |(index, log): (usize, &Log)| (!log.history.is_empty()).then_some(index);
        let keeping: Vec<usize> = partition.logs.iter().filter_map(keeps).collect();
        for index in keeping {
            let log = &mut partition.logs[index];
            self.history.trim(&mut log.history, now, &log.terms.retention);
            partition.remove_if_unused(index, &self.room);
        }
    }

    /// What it holds beside its topics, and has let go.
    pub(crate) fn figures(&self) -> Figures {
        Figures {
            history_publications: self.history.publications() as u64,
            history_bytes: self.history.bytes() as u64,
            history_squeezed: self.history.squeezed(),
            idempotency_keys: self.keys.keys() as u64,
            idempotency_keys_forgotten: self.keys.forgotten(),
            repetitions: self.keys.repeated(),
        }
    }

    /// Appends a publication that repeats none.
    fn append(&self, partition: &mut Partition, draft: Draft) -> Result<Position, Refusal> {
        if let Some(expected) = draft.expected {
            partition.check_expected(&draft.topic, expected)?;
        }
        let log = if let Some(log) = partition.names.get(&draft.topic) {
            *log as usize
        } else {
            let terms = self.terms_of(&draft.topic);
            if !terms.retention.keeps() {
                // Nobody would get it and nothing would keep it: the log would begin and end with it.
                let epoch = partition.begin_epoch();
                return Ok(Position { epoch, offset: 1 });
            }
            self.begin(partition, &draft.topic, terms)?
        };
        let admitted = self.admit(&mut partition.logs[log], &draft);
        let appended = admitted.and_then(|()| partition.logs[log].append(draft, &self.history));
        // A log that begins with a publication may have no room to keep it.
        partition.remove_if_unused(log, &self.room);
        appended
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

    fn partition_of(&self, topic: &str) -> usize {
        self.hasher.hash_one(topic) as usize % PARTITIONS
    }

    fn lock(&self, index: usize) -> MutexGuard<'_, Partition> {
        // A partition is consistent between statements, so a panic elsewhere while it was locked does no harm.
        self.partitions[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn outlets(&self) -> MutexGuard<'_, Slab<Attached>> {
        self.outlets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outlet(&self, id: OutletId) -> Option<Arc<dyn Outlet>> {
        let outlets = self.outlets();
        outlets
            .get(id.0 as usize)
            .map(|attached| Arc::clone(&attached.outlet))
    }

    /// Changes how many topics an outlet has joined.
    fn count_topics(&self, id: OutletId, change: isize) {
        if let Some(attached) = self.outlets().get_mut(id.0 as usize) {
            attached.topics = attached.topics.saturating_add_signed(change);
        }
    }

    fn has_joined(&self, id: OutletId) -> bool {
        let outlets = self.outlets();
        outlets
            .get(id.0 as usize)
            .is_some_and(|attached| attached.topics > 0)
    }
}

impl Broker for MemoryBroker {
    fn attach(&self, outlet: Arc<dyn Outlet>) -> OutletId {
        OutletId(self.outlets().insert(Attached { outlet, topics: 0 }) as u32)
    }

    fn detach(&self, outlet: OutletId) {
        // Last, so that no other outlet gets the id while topics know this one by it.
        for index in 0..PARTITIONS {
            if !self.has_joined(outlet) {
                break;
            }
            let mut partition = self.lock(index);
            let logs: Vec<usize> = partition.logs.iter().map(|(log, _)| log).collect();
            for log in logs {
                self.leave_log(&mut partition, log, outlet);
            }
        }
        self.outlets().try_remove(outlet.0 as usize);
    }

    fn publish(
        &self,
        draft: Draft,
        _outlet: OutletId,
        _publish: PublishId,
    ) -> Poll<Result<Published, Refusal>> {
        let mut partition = self.lock(self.partition_of(draft.topic.as_str()));
        let known = Known::of(&draft);
        let first = known
            .as_ref()
            .and_then(|known| partition.keys.find(known, &self.keys));
        if let Some(position) = first {
            return Poll::Ready(Ok(Published::again(position)));
        }
        let appended = self.append(&mut partition, draft);
        if let (Some(known), Ok(position)) = (known, appended) {
            partition.keys.remember(known, position, &self.keys);
        }
        Poll::Ready(appended.map(Published::first))
    }

    fn join(&self, outlet: OutletId, topic: &TopicName) {
        let Some(mailbox) = self.outlet(outlet) else {
            return;
        };
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        let log = match partition.names.get(topic).copied() {
            Some(log) => Ok(log as usize),
            None => self.begin(&mut partition, topic, self.terms_of(topic)),
        };
        let log = match log {
            Ok(log) => &mut partition.logs[log],
            Err(refusal) => {
                return mailbox.post(BrokerEvent::Joined {
                    topic: topic.clone(),
                    outcome: Err(refusal),
                });
            }
        };
        if !log.joined.iter().any(|joined| joined.id == outlet) {
            self.count_topics(outlet, 1);
            log.joined.reserve_exact(1);
            log.joined.push(Joined {
                id: outlet,
                outlet: Arc::clone(&mailbox),
                subscribers: 0,
                shard: None,
            });
        }
        mailbox.post(BrokerEvent::Joined {
            topic: log.topic.clone(),
            outcome: Ok(log.position),
        });
    }

    fn read(&self, outlet: OutletId, topic: &TopicName, read: Read, id: ReadId) {
        let Some(mailbox) = self.outlet(outlet) else {
            return;
        };
        let partition = self.lock(self.partition_of(topic.as_str()));
        let page = match partition.names.get(topic) {
            Some(&log) => partition.logs[log as usize].read(&read),
            None => History::default().read(partition.standing(topic), &read),
        };
        mailbox.post(BrokerEvent::Read {
            read: id,
            outcome: Ok(page),
        });
    }

    fn leave(&self, outlet: OutletId, topic: &TopicName) {
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        if let Some(log) = partition.names.get(topic).copied() {
            self.leave_log(&mut partition, log as usize, outlet);
        }
    }

    fn report(&self, outlet: OutletId, topic: &TopicName, subscribers: u32) {
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        let Some(log) = partition.names.get(topic).copied() else {
            return;
        };
        let log = &mut partition.logs[log as usize];
        let before = self.occupancy(log);
        if let Some(joined) = log.joined.iter_mut().find(|joined| joined.id == outlet) {
            joined.subscribers = subscribers;
            self.notice(log, before);
        }
    }

    fn attend(&self, outlet: OutletId, topic: &TopicName, changes: Vec<Change>) {
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        let life = partition.next_epoch;
        let Some(log) = partition.names.get(topic).copied() else {
            return;
        };
        if partition.logs[log as usize].attend(outlet, life, changes) {
            partition.begin_epoch();
        }
    }

    fn roster(&self, topic: &str, after: Option<ConnectionId>, count: usize) -> RosterPage {
        let mut partition = self.lock(self.partition_of(topic));
        let roster = partition.roster(topic);
        roster.map_or_else(RosterPage::default, |roster| roster.page(after, count))
    }

    fn roster_since(&self, topic: &str, version: Version) -> RosterDiff {
        let mut partition = self.lock(self.partition_of(topic));
        let roster = partition.roster(topic);
        roster.map_or_else(RosterDiff::default, |roster| roster.since(version))
    }

    fn subscribers(&self, topic: &str) -> u64 {
        let partition = self.lock(self.partition_of(topic));
        partition
            .names
            .get(topic)
            .map_or(0, |&log| partition.logs[log as usize].subscribers())
    }

    fn topics(&self, cursor: u64, count: usize) -> TopicPage {
        let (first, mut from) = ((cursor >> 32) as usize, (cursor & u64::from(u32::MAX)) as usize);
        let mut page = TopicPage::default();
        for index in first..PARTITIONS {
            let partition = self.lock(index);
            for log in from..partition.logs.capacity() {
                let Some(entry) = partition.logs.get(log) else {
                    continue;
                };
                if page.topics.len() == count {
                    page.next = Some((index as u64) << 32 | log as u64);
                    return page;
                }
                page.topics.push(entry.row());
            }
            from = 0;
        }
        page
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod bounds_tests;
