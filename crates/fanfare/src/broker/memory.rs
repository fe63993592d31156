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
    Broker, BrokerEvent, Outlet, OutletId, Page, PublishId, Read, ReadId, Refusal, TopicPage, TopicRow,
};
use fanfare_hub::{
    Bucket, Change, History, Limits, Rate, Retention, Roster, RosterDiff, RosterPage, Version,
};
use fanfare_protocol::{ConnectionId, Draft, Epoch, Position, Publication, Timestamp, TopicName};
use foldhash::fast::FixedState;
use slab::Slab;

use super::room::TopicRoom;
use crate::clock::Clock;
use crate::notices::{Happening, NoticeBoard};

/// The broker that keeps everything in this process's memory.
///
/// Memory: about 150 B per topic with subscribers, and what the history options allow.
///
/// It keeps two bounds of the [`Limits`]: how many publications of clients a topic takes per second, and how many topics
/// there are. Publications that the application makes itself are bounded by neither the one nor counted in it.
pub struct MemoryBroker {
    history: Retention,
    /// What a topic takes of which the rules do not say it.
    rate: Rate,
    rules: RwLock<Arc<TopicRules>>,
    clock: Clock,
    room: TopicRoom,
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

struct Partition {
    names: HashMap<TopicName, u32, FixedState>,
    logs: Slab<Log>,
    /// The epoch of the next log that begins here.
    next_epoch: u64,
}

struct Log {
    topic: TopicName,
    position: Position,
    joined: Vec<Joined>,
    history: History,
    /// Who is here, where that is kept.
    roster: Option<Box<Roster>>,
    /// What clients may publish here, and how much of it is left.
    rate: Rate,
    bucket: Bucket,
}

/// An outlet, and how many topics it has joined.
struct Attached {
    outlet: Arc<dyn Outlet>,
    topics: usize,
}

struct Joined {
    id: OutletId,
    outlet: Arc<dyn Outlet>,
    subscribers: u32,
    /// The shard whose subscribers it told of, if it did.
    shard: Option<usize>,
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
                next_epoch,
            })
        };
        let partitions = (0..PARTITIONS).map(partition).collect();
        Self {
            history,
            rate: Rate::per_second(limits.publications_per_second),
            rules: RwLock::default(),
            clock: Clock::start(),
            room: TopicRoom::new(limits.topics_max),
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

    /// From now on topics take what these rules say.
    pub fn set_rules(&self, rules: Arc<TopicRules>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        for index in 0..PARTITIONS {
            for (_, log) in &mut self.lock(index).logs {
                let rate = self.rate_of(&log.topic);
                if rate != log.rate {
                    (log.rate, log.bucket) = (rate, Bucket::default());
                }
            }
        }
    }

    fn rate_of(&self, topic: &TopicName) -> Rate {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let count = rules.of(topic).and_then(|rule| rule.publications_per_second);
        count.map_or(self.rate, Rate::per_second)
    }

    fn begin(&self, partition: &mut Partition, topic: &TopicName) -> Result<usize, Refusal> {
        self.room.take(topic)?;
        Ok(partition.begin(topic, self.rate_of(topic)))
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
        let joined = partition.logs[log].joined.len();
        partition.logs[log].lose(outlet);
        if partition.logs[log].joined.len() < joined {
            self.count_topics(outlet, -1);
        }
        self.notice(&partition.logs[log], before);
        partition.remove_if_unused(log, &self.room);
    }

    /// Drops history that is older than its age, and topics that have nothing left. One lock at a time; call it
    /// about once a second.
    pub fn expire(&self, now: Timestamp) {
        if !self.history.keeps() {
            return;
        }
        for index in 0..PARTITIONS {
            let mut partition = self.lock(index);
            let logs: Vec<usize> = partition.logs.iter().map(|(log, _)| log).collect();
            for log in logs {
                partition.logs[log].history.trim(now, &self.history);
                partition.remove_if_unused(log, &self.room);
            }
        }
    }

    /// Takes a client's publication out of what the topic allows.
    fn admit(&self, log: &mut Log, draft: &Draft) -> Result<(), Refusal> {
        if draft.from.is_none() {
            return Ok(());
        }
        log.bucket
            .try_take(self.clock.monotonic(), log.rate, 1)
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
    ) -> Poll<Result<Position, Refusal>> {
        let mut partition = self.lock(self.partition_of(draft.topic.as_str()));
        let known = partition.names.get(&draft.topic).copied();
        if known.is_none() && !self.history.keeps() {
            // Nobody would get it and nothing would keep it: the log would begin and end with it.
            return Poll::Ready(Ok(Position {
                epoch: partition.begin_epoch(),
                offset: 1,
            }));
        }
        let log = match known {
            Some(log) => Ok(log as usize),
            None => self.begin(&mut partition, &draft.topic),
        };
        Poll::Ready(log.and_then(|log| {
            let log = &mut partition.logs[log];
            self.admit(log, &draft)?;
            log.append(draft, &self.history)
        }))
    }

    fn join(&self, outlet: OutletId, topic: &TopicName) {
        let Some(mailbox) = self.outlet(outlet) else {
            return;
        };
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        let log = match partition.names.get(topic).copied() {
            Some(log) => Ok(log as usize),
            None => self.begin(&mut partition, topic),
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
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        let page = if let Some(log) = partition.names.get(topic).copied() {
            partition.logs[log as usize].read(&read)
        } else {
            let epoch = partition.begin_epoch();
            History::default().read(Position { epoch, offset: 0 }, &read)
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

impl Partition {
    /// Begins the log of a topic, if there may be another one.
    fn begin(&mut self, topic: &TopicName, rate: Rate) -> usize {
        let log = Log::new(topic.clone(), self.begin_epoch(), rate);
        let index = self.logs.insert(log);
        self.names.insert(topic.clone(), index as u32);
        index
    }

    /// Who is in a topic, where that is kept and anyone is.
    fn roster(&mut self, topic: &str) -> Option<&mut Roster> {
        let log = *self.names.get(topic)?;
        self.logs[log as usize].roster.as_deref_mut()
    }

    fn begin_epoch(&mut self) -> Epoch {
        let epoch = Epoch(self.next_epoch);
        self.next_epoch = self.next_epoch.wrapping_add(1);
        epoch
    }

    /// A topic exists while it has a subscriber or history.
    fn remove_if_unused(&mut self, log: usize, room: &TopicRoom) {
        if self.logs[log].joined.is_empty() && self.logs[log].history.is_empty() {
            let log = self.logs.remove(log);
            self.names.remove(&log.topic);
            room.give_back(&log.topic);
        }
    }
}

impl Log {
    fn new(topic: TopicName, epoch: Epoch, rate: Rate) -> Self {
        Self {
            topic,
            position: Position { epoch, offset: 0 },
            joined: Vec::new(),
            history: History::default(),
            roster: None,
            rate,
            bucket: Bucket::default(),
        }
    }

    /// Gives the next place to a publication and posts it, or refuses it and changes nothing.
    fn append(&mut self, draft: Draft, history: &Retention) -> Result<Position, Refusal> {
        let bytes = draft.bytes();
        let reserved = self
            .joined
            .iter()
            .take_while(|joined| joined.outlet.try_reserve(bytes))
            .count();
        if reserved < self.joined.len() {
            self.joined[..reserved]
                .iter()
                .for_each(|joined| joined.outlet.cancel(bytes));
            return Err(Refusal::Overloaded);
        }
        self.position.offset += 1;
        let publication = Arc::new(Publication {
            draft,
            position: self.position,
        });
        for joined in &self.joined {
            joined.outlet.post_reserved(Arc::clone(&publication));
        }
        self.history.keep(publication, history);
        Ok(self.position)
    }

    /// Takes an outlet out, and those of its shard with it.
    fn lose(&mut self, outlet: OutletId) {
        let Some(at) = self.joined.iter().position(|joined| joined.id == outlet) else {
            return;
        };
        let Joined { shard, .. } = self.joined.remove(at);
        if let (Some(shard), Some(roster)) = (shard, &mut self.roster) {
            roster.go_all(shard);
        }
        self.roster.take_if(|roster| roster.is_empty());
    }

    /// Takes note of who came and went; gives whether it took `life` for that.
    fn attend(&mut self, outlet: OutletId, life: u64, changes: Vec<Change>) -> bool {
        let Some(joined) = self.joined.iter_mut().find(|joined| joined.id == outlet) else {
            return false;
        };
        let is_new = self.roster.is_none();
        let roster = self.roster.get_or_insert_with(|| Box::new(Roster::new(life)));
        for change in changes {
            if let Change::Came(attendee) = &change {
                joined.shard = Some(attendee.connection.shard());
            }
            roster.apply(change);
        }
        self.roster.take_if(|roster| roster.is_empty());
        is_new
    }

    fn read(&self, read: &Read) -> Page {
        self.history.read(self.position, read)
    }

    fn subscribers(&self) -> u64 {
        self.joined
            .iter()
            .map(|joined| u64::from(joined.subscribers))
            .sum()
    }

    fn row(&self) -> TopicRow {
        TopicRow {
            topic: self.topic.clone(),
            subscribers: self.subscribers(),
            position: self.position,
            history: self.history.len(),
        }
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
