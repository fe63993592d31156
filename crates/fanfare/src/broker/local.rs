//! The broker of one process: topics in partitions, each behind one lock, with a small ring of history; where the rules
//! say so, with the durable log behind it.
//!
//! Publishing takes the lock of one partition, sets a place aside in the mailbox of every shard that joined the
//! topic, appends, posts, and lets go. Nothing waits or writes to a socket or a disk under that lock.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Poll;

use fanfare_hub::access::{TopicRule, TopicRules};
use fanfare_hub::broker::{
    Broker, BrokerEvent, Outlet, OutletId, PublishId, Published, Read, ReadId, Refusal, TopicPage, TopicRow,
};
use fanfare_hub::{Bucket, Change, Limits, Rate, Retention, RosterDiff, RosterPage, Version};
use fanfare_log::Policy;
use fanfare_protocol::{ConnectionId, Draft, Position, Timestamp, TopicName};
use foldhash::fast::FixedState;
use slab::Slab;

use super::journal::{Journal, Reading};
use super::keys::{KeyRoom, Keys};
use super::outlets::Outlets;
use super::partition::Partition;
use super::publishing::position;
use super::room::{HistoryRoom, TopicRoom};
use super::topic_log::{Asked, Log, Terms};
use super::versions::Versions;
use crate::clock::{Clock, wall};
use crate::notices::{Happening, NoticeBoard};

/// The broker that needs no other service: topics in this process's memory, and with a [`Journal`] durable ones.
///
/// Memory: about 200 B per topic with subscribers, and what the bounds on history and keys allow. Of a durable topic the
/// newest publications of the last minute are in memory as well, at most 128.
///
/// It keeps these bounds of the [`Limits`]: how many publications of clients a topic takes per second, how many topics
/// there are, how much all of them keep of their logs, and how many idempotency keys are remembered for how long.
/// Publications that the application makes itself are not bounded by the first nor counted in it.
pub struct LocalBroker {
    /// What holds for topics of which the rules do not say it.
    otherwise: Otherwise,
    rules: RwLock<Arc<TopicRules>>,
    pub(super) clock: Clock,
    pub(super) room: TopicRoom,
    pub(super) history: HistoryRoom,
    pub(super) keys: KeyRoom,
    hasher: FixedState,
    /// Who is told when a topic has its first subscriber, or has lost its last, if anyone.
    notices: Option<Arc<NoticeBoard>>,
    /// Whether there may be topics that nobody uses and that are there for a while.
    remembers_unused: AtomicBool,
    /// Where durable topics are, if any are.
    pub(super) journal: Option<Arc<dyn Journal>>,
    pub(super) outlets: Outlets,
    partitions: Box<[Mutex<Partition>]>,
}

/// Locks apart from each other; more than cores, so that two publishers rarely meet.
const PARTITIONS: usize = 64;

/// What memory keeps of a durable topic, if its rule does not want less: what is read most, by those who come back after a
/// short break.
const TAIL: Retention = Retention {
    publications_max: 128,
    bytes_max: 256 << 10,
    age_max_ms: 60_000,
};

/// What holds where the rules say nothing.
#[derive(Clone, Copy)]
struct Otherwise {
    rate: Rate,
    retention: Retention,
}

impl Otherwise {
    fn retention_of(&self, rule: Option<&TopicRule>) -> Retention {
        rule.and_then(|rule| rule.retention).unwrap_or(self.retention)
    }
}

/// What a broker holds beside its topics, and has let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Publications kept.
    pub(crate) history_publications: u64,
    /// Their bytes.
    pub(crate) history_bytes: u64,
    /// Publications that were dropped before their time for want of room.
    pub(crate) history_squeezed: u64,
    /// Idempotency keys remembered, and versions of topics.
    pub(crate) idempotency_keys: u64,
    /// Those of them that were forgotten before their time for want of room.
    pub(crate) idempotency_keys_forgotten: u64,
    /// Publications that were repetitions.
    pub(crate) repetitions: u64,
    /// Publications that were out of date.
    pub(crate) outdated: u64,
}

impl LocalBroker {
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
                versions: Versions::new(hasher.clone()),
                unused: VecDeque::new(),
                next_epoch,
            })
        };
        let partitions = (0..PARTITIONS).map(partition).collect();
        Self {
            otherwise: Otherwise {
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
            journal: None,
            remembers_unused: AtomicBool::new(false),
            outlets: Outlets::default(),
            partitions,
        }
    }

    /// The same, with somebody who is told which topics have subscribers. In the order in which they come and go: it is
    /// told under the lock of the topic.
    pub(crate) fn with_notices(self, notices: Option<Arc<NoticeBoard>>) -> Self {
        Self { notices, ..self }
    }

    /// The same, with somewhere to keep durable topics: those that keep history and whose rule does not say otherwise.
    /// The server's own (`$all`, `$user:NAME`) are in memory: nobody goes on in them where they were.
    pub fn with_journal(self, journal: Option<Arc<dyn Journal>>) -> Self {
        Self { journal, ..self }
    }

    /// From now on topics take and keep what these rules say. What is kept already and too much now is dropped. Whether
    /// a topic is durable does not change while it is in use.
    pub fn set_rules(&self, rules: Arc<TopicRules>) {
        if let Some(journal) = &self.journal {
            journal.set_policy(policy(Arc::clone(&rules), self.otherwise));
        }
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        for index in 0..PARTITIONS {
            let mut partition = self.lock(index);
            for (_, log) in &mut partition.logs {
                let terms = self.terms(&log.topic, |_| log.terms.is_durable);
                if terms.rate != log.terms.rate {
                    log.bucket = Bucket::default();
                }
                log.terms = terms;
            }
            self.trim(&mut partition, wall());
        }
    }

    /// What holds for a topic that is not in use.
    pub(super) fn terms_of(&self, topic: &TopicName) -> Terms {
        self.terms(topic, |rule| {
            let wants_it = rule.and_then(|rule| rule.is_durable).unwrap_or(true);
            let may_be = self.journal.is_some() && !topic.is_reserved();
            may_be && wants_it && self.otherwise.retention_of(rule).keeps()
        })
    }

    fn terms(&self, topic: &TopicName, is_durable: impl FnOnce(Option<&TopicRule>) -> bool) -> Terms {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let rule = rules.of(topic);
        let rate = rule.and_then(|rule| rule.publications_per_second);
        let retention = self.otherwise.retention_of(rule);
        let is_durable = is_durable(rule);
        Terms {
            rate: rate.map_or(self.otherwise.rate, Rate::per_second),
            retention: if is_durable {
                retention.within(TAIL)
            } else {
                retention
            },
            is_durable,
        }
    }

    /// Has the log of a topic in memory, if there may be another one: a new one, or that of the disk.
    pub(super) fn begin(
        &self,
        partition: &mut Partition,
        topic: &TopicName,
        terms: Terms,
    ) -> Result<usize, Refusal> {
        if self.room.take(topic).is_err() {
            self.have_one_give_way(partition);
            self.room.take(topic)?;
        }
        let stored = self.stored(topic, terms);
        let position = stored.map_or_else(|| partition.beginning(), |row| row.position);
        if stored.is_none() {
            partition.begin_epoch();
        }
        Ok(partition.insert(topic, position, terms))
    }

    /// Forgets a topic that nobody uses, of this partition or of one whose lock is free, if there is one.
    fn have_one_give_way(&self, partition: &mut Partition) {
        if partition.give_way(&self.room) {
            return;
        }
        let others = self.partitions.iter().filter_map(|other| other.try_lock().ok());
        for mut other in others {
            if other.give_way(&self.room) {
                return;
            }
        }
    }

    /// The log of a topic, begun if there is none in memory.
    pub(super) fn log_of(&self, partition: &mut Partition, topic: &TopicName) -> Result<usize, Refusal> {
        if let Some(log) = partition.find(topic.as_str()) {
            return Ok(log);
        }
        self.begin(partition, topic, self.terms_of(topic))
    }

    /// What the disk has of a durable topic.
    fn stored(&self, topic: &TopicName, terms: Terms) -> Option<Stored> {
        let journal = self.journal.as_ref().filter(|_| terms.is_durable)?;
        let standing = journal.reader().standing(topic.as_str())?;
        Some(Stored {
            position: position(standing.position()),
            publications: standing.count() as usize,
        })
    }

    /// Whether a topic that is not in use is on the disk.
    pub(super) fn is_on_disk(&self, topic: &TopicName) -> bool {
        self.stored(topic, self.terms_of(topic)).is_some()
    }

    /// Where a topic will stand when all that is pending is done; one that there is not, where it will begin.
    pub(super) fn standing(&self, partition: &Partition, topic: &TopicName) -> Position {
        if let Some(log) = partition.log(topic.as_str()) {
            return log.end();
        }
        let stored = self.stored(topic, self.terms_of(topic));
        stored.map_or_else(|| partition.beginning(), |stored| stored.position)
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
            self.outlets.count_topics(outlet, -1);
        }
        self.notice(&partition.logs[log], before);
        self.end_if_unused(partition, log);
    }

    /// Ends a topic that nobody uses any more and that has nothing, or has it stay for a while.
    pub(super) fn end_if_unused(&self, partition: &mut Partition, log: usize) {
        let entry = &partition.logs[log];
        if entry.is_unused() && self.is_remembered(entry) {
            partition.remember(log);
            self.remembers_unused.store(true, Ordering::Relaxed);
        } else {
            partition.remove_if_unused(log, &self.room);
        }
    }

    /// Whether a topic that nobody uses any more and that has nothing is there for a while, with its place: it keeps history,
    /// so that somebody may come back to go on from that place, and the disk does not know it.
    fn is_remembered(&self, log: &Log) -> bool {
        let keeps = log.terms.retention.keeps() && !log.topic.is_reserved();
        keeps && self.stored(&log.topic, log.terms).is_none()
    }

    /// Drops history that is older than its age, topics that have had nothing for as long, and idempotency keys and versions
    /// whose window is over. One lock at a time, and none where nothing is kept; call it about once a second.
    pub fn expire(&self, now: Timestamp) {
        // Whoever leaves meanwhile says it again.
        let remembers_unused = self.remembers_unused.swap(false, Ordering::Relaxed);
        if self.history.publications() == 0 && self.keys.keys() == 0 && !remembers_unused {
            return;
        }
        for index in 0..PARTITIONS {
            let mut partition = self.lock(index);
            partition.keys.expire(now, &self.keys);
            let Partition { versions, names, .. } = &mut *partition;
            versions.expire(now, &self.keys, |topic| names.contains_key(topic));
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
            self.end_if_unused(partition, index);
        }
        self.forget_unused(partition, now);
    }

    /// Forgets topics that nobody has used for as long as they would have kept history.
    fn forget_unused(&self, partition: &mut Partition, now: Timestamp) {
        for mut unused in std::mem::take(&mut partition.unused) {
            let Some(log) = partition.still_unused(&unused) else {
                continue;
            };
            let since = *unused.since.get_or_insert(now);
            let age_max_ms = partition.logs[log].terms.retention.age_max_ms;
            let is_over = now.0.saturating_sub(since.0) > age_max_ms;
            if is_over || !self.is_remembered(&partition.logs[log]) {
                partition.remove_if_unused(log, &self.room);
            } else {
                partition.unused.push_back(unused);
                self.remembers_unused.store(true, Ordering::Relaxed);
            }
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
            outdated: self.keys.outdated(),
        }
    }

    pub(super) fn partition_of(&self, topic: &str) -> usize {
        self.hasher.hash_one(topic) as usize % PARTITIONS
    }

    pub(super) fn lock(&self, index: usize) -> MutexGuard<'_, Partition> {
        // A partition is consistent between statements, so a panic elsewhere while it was locked does no harm.
        self.partitions[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn row(&self, log: &Log) -> TopicRow {
        let row = log.row();
        let stored = self.stored(&log.topic, log.terms);
        let history = stored.map_or(row.history, |stored| stored.publications);
        TopicRow { history, ..row }
    }

    /// The topics that are only on the disk.
    fn topics_on_disk(&self, cursor: usize, count: usize) -> TopicPage {
        let Some(journal) = &self.journal else {
            return TopicPage::default();
        };
        let (topics, next) = journal.reader().topics(cursor, count);
        let row = |(topic, standing): (Arc<str>, fanfare_log::Standing)| {
            let topic = TopicName::parse(&topic).ok()?;
            let is_here = self
                .lock(self.partition_of(topic.as_str()))
                .find(topic.as_str())
                .is_some();
            (!is_here && standing.count() > 0).then(|| TopicRow {
                topic,
                subscribers: 0,
                position: position(standing.position()),
                history: standing.count() as usize,
            })
        };
        TopicPage {
            topics: topics.into_iter().filter_map(row).collect(),
            next: next.map(|next| (PARTITIONS as u64) << 32 | next as u64),
        }
    }
}

/// What the disk has of a topic.
#[derive(Clone, Copy)]
struct Stored {
    position: Position,
    publications: usize,
}

/// How much of its topics the disk keeps.
fn policy(rules: Arc<TopicRules>, otherwise: Otherwise) -> Policy {
    Policy::new(move |topic| {
        let Ok(topic) = TopicName::parse(topic) else {
            return fanfare_log::Retention::ALL;
        };
        let retention = otherwise.retention_of(rules.of(&topic));
        fanfare_log::Retention {
            count: retention.publications_max as u64,
            age_ms: retention.age_max_ms,
            bytes: retention.bytes_max as u64,
        }
    })
}

impl Broker for LocalBroker {
    fn attach(&self, outlet: Arc<dyn Outlet>) -> OutletId {
        self.outlets.attach(outlet)
    }

    fn detach(&self, outlet: OutletId) {
        for index in 0..PARTITIONS {
            if !self.outlets.has_joined(outlet) {
                break;
            }
            let mut partition = self.lock(index);
            let logs: Vec<usize> = partition.logs.iter().map(|(log, _)| log).collect();
            for log in logs {
                self.leave_log(&mut partition, log, outlet);
            }
        }
        self.outlets.detach(outlet);
    }

    fn publish(
        &self,
        draft: Draft,
        outlet: OutletId,
        publish: PublishId,
    ) -> Poll<Result<Published, Refusal>> {
        self.publish_as(Asked { outlet, publish }, draft)
    }

    fn join(&self, outlet: OutletId, topic: &TopicName) {
        let Some(mailbox) = self.outlets.get(outlet) else {
            return;
        };
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        let log = self.log_of(&mut partition, topic);
        let joined = log.and_then(|log| {
            let log = &mut partition.logs[log];
            if log.let_in(outlet, &mailbox)? {
                self.outlets.count_topics(outlet, 1);
            }
            Ok((log.topic.clone(), log.position))
        });
        mailbox.post(match joined {
            // The topic's own name, so that there is one of it.
            Ok((topic, position)) => BrokerEvent::Joined {
                topic,
                outcome: Ok(position),
            },
            Err(refusal) => BrokerEvent::Joined {
                topic: topic.clone(),
                outcome: Err(refusal),
            },
        });
    }

    fn read(&self, outlet: OutletId, topic: &TopicName, read: Read, id: ReadId) {
        let topic = topic.clone();
        self.read_for(Reading {
            outlet,
            topic,
            read,
            id,
        });
    }

    fn leave(&self, outlet: OutletId, topic: &TopicName) {
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        if let Some(log) = partition.find(topic.as_str()) {
            self.leave_log(&mut partition, log, outlet);
        }
    }

    fn report(&self, outlet: OutletId, topic: &TopicName, subscribers: u32) {
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        let Some(log) = partition.log_mut(topic.as_str()) else {
            return;
        };
        let before = self.occupancy(log);
        if let Some(joined) = log.joined.iter_mut().find(|joined| joined.id == outlet) {
            joined.subscribers = subscribers;
            self.notice(log, before);
        }
    }

    fn attend(&self, outlet: OutletId, topic: &TopicName, changes: Vec<Change>) {
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        let life = partition.next_epoch;
        let Some(log) = partition.log_mut(topic.as_str()) else {
            return;
        };
        if log.attend(outlet, life, changes) {
            partition.begin_epoch();
        }
    }

    fn roster(&self, topic: &str, after: Option<ConnectionId>, count: usize) -> RosterPage {
        let mut partition = self.lock(self.partition_of(topic));
        let roster = partition.roster(topic);
        roster.map_or_else(RosterPage::default, |roster| roster.page(after, count))
    }

    fn survey(&self, topic: &str, since: Version, is_all: bool, count: usize) -> RosterDiff {
        let mut partition = self.lock(self.partition_of(topic));
        let roster = partition.roster(topic);
        roster.map_or_else(RosterDiff::default, |roster| roster.survey(since, is_all, count))
    }

    fn subscribers(&self, topic: &str) -> u64 {
        let partition = self.lock(self.partition_of(topic));
        partition.log(topic).map_or(0, Log::subscribers)
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
                if !entry.is_unused() {
                    page.topics.push(self.row(entry));
                }
            }
            from = 0;
        }
        let rest = self.topics_on_disk(from, count - page.topics.len());
        page.topics.extend(rest.topics);
        TopicPage {
            next: rest.next,
            ..page
        }
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod bounds_tests;
