//! The broker of one process: topics in partitions, each behind one lock, with a small ring of history.
//!
//! Publishing takes the lock of one partition, sets a place aside in the mailbox of every shard that joined the
//! topic, appends, posts, and lets go. Nothing waits or writes to a socket under that lock.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use fanfare_hub::broker::{
    Broker, BrokerEvent, Outlet, OutletId, PublishId, Refusal, Snapshot, TopicPage, TopicRow,
};
use fanfare_protocol::{Draft, Epoch, Position, Publication, Timestamp, TopicName};
use foldhash::fast::FixedState;
use slab::Slab;

/// How much of each topic's log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// Publications per topic. 0 keeps none; a topic then exists only while it has a subscriber. Default 0.
    pub frames_max: usize,
    /// Bytes of payload per topic. The oldest publications go first. Default 1 MiB.
    pub bytes_max: usize,
    /// Age in milliseconds at which a publication goes. Default 5 minutes.
    pub age_max_ms: u64,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self {
            frames_max: 0,
            bytes_max: 1 << 20,
            age_max_ms: 300_000,
        }
    }
}

/// The broker that keeps everything in this process's memory.
///
/// Memory: about 150 B per topic with subscribers, and what the history options allow.
pub struct MemoryBroker {
    history: HistoryOptions,
    hasher: FixedState,
    outlets: Mutex<Vec<Arc<dyn Outlet>>>,
    partitions: Box<[Mutex<Partition>]>,
}

/// Locks apart from each other; more than cores, so that two publishers rarely meet.
const PARTITIONS: usize = 64;

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
    kept: VecDeque<Arc<Publication>>,
    kept_bytes: usize,
}

struct Joined {
    id: OutletId,
    outlet: Arc<dyn Outlet>,
    subscribers: u32,
}

impl MemoryBroker {
    /// An empty broker. `seed` goes into the hash of topic names and into the epochs: take a random one, so that
    /// clients of an earlier process see that this is another log.
    pub fn new(history: HistoryOptions, seed: u64) -> Self {
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
            hasher: hasher.clone(),
            outlets: Mutex::new(Vec::new()),
            partitions,
        }
    }

    /// Drops history that is older than its age, and topics that have nothing left. One lock at a time; call it
    /// about once a second.
    pub fn expire(&self, now: Timestamp) {
        if self.history.frames_max == 0 {
            return;
        }
        for index in 0..PARTITIONS {
            let mut partition = self.lock(index);
            let logs: Vec<usize> = partition.logs.iter().map(|(log, _)| log).collect();
            for log in logs {
                partition.logs[log].expire(now, &self.history);
                partition.remove_if_unused(log);
            }
        }
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

    fn outlet(&self, id: OutletId) -> Option<Arc<dyn Outlet>> {
        let outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        outlets.get(id.0 as usize).cloned()
    }
}

impl Broker for MemoryBroker {
    fn attach(&self, outlet: Arc<dyn Outlet>) -> OutletId {
        let mut outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        outlets.push(outlet);
        OutletId(outlets.len() as u32 - 1)
    }

    fn publish(
        &self,
        draft: Draft,
        _outlet: OutletId,
        _publish: PublishId,
    ) -> Poll<Result<Position, Refusal>> {
        let mut partition = self.lock(self.partition_of(draft.topic.as_str()));
        let known = partition.names.get(&draft.topic).copied();
        if known.is_none() && self.history.frames_max == 0 {
            // Nobody would get it and nothing would keep it: the log would begin and end with it.
            return Poll::Ready(Ok(Position {
                epoch: partition.begin_epoch(),
                offset: 1,
            }));
        }
        let log = match known {
            Some(log) => log as usize,
            None => partition.begin(&draft.topic),
        };
        Poll::Ready(partition.logs[log].append(draft, &self.history))
    }

    fn join(&self, outlet: OutletId, topic: &TopicName, since: Option<Position>) {
        let Some(mailbox) = self.outlet(outlet) else {
            return;
        };
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        let log = match partition.names.get(topic).copied() {
            Some(log) => log as usize,
            None => partition.begin(topic),
        };
        let log = &mut partition.logs[log];
        if !log.joined.iter().any(|joined| joined.id == outlet) {
            log.joined.reserve_exact(1);
            log.joined.push(Joined {
                id: outlet,
                outlet: Arc::clone(&mailbox),
                subscribers: 0,
            });
        }
        mailbox.post(BrokerEvent::Joined {
            topic: log.topic.clone(),
            outcome: Ok(log.snapshot(since)),
        });
    }

    fn leave(&self, outlet: OutletId, topic: &TopicName) {
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        if let Some(log) = partition.names.get(topic).copied() {
            partition.logs[log as usize]
                .joined
                .retain(|joined| joined.id != outlet);
            partition.remove_if_unused(log as usize);
        }
    }

    fn report(&self, outlet: OutletId, topic: &TopicName, subscribers: u32) {
        let mut partition = self.lock(self.partition_of(topic.as_str()));
        if let Some(log) = partition.names.get(topic).copied()
            && let Some(joined) = partition.logs[log as usize]
                .joined
                .iter_mut()
                .find(|joined| joined.id == outlet)
        {
            joined.subscribers = subscribers;
        }
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
    /// Begins the log of a topic.
    fn begin(&mut self, topic: &TopicName) -> usize {
        let position = Position {
            epoch: self.begin_epoch(),
            offset: 0,
        };
        let log = Log {
            topic: topic.clone(),
            position,
            joined: Vec::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
        };
        let index = self.logs.insert(log);
        self.names.insert(topic.clone(), index as u32);
        index
    }

    fn begin_epoch(&mut self) -> Epoch {
        let epoch = Epoch(self.next_epoch);
        self.next_epoch = self.next_epoch.wrapping_add(1);
        epoch
    }

    /// A topic exists while it has a subscriber or history.
    fn remove_if_unused(&mut self, log: usize) {
        if self.logs[log].joined.is_empty() && self.logs[log].kept.is_empty() {
            let log = self.logs.remove(log);
            self.names.remove(&log.topic);
        }
    }
}

impl Log {
    /// Gives the next place to a publication and posts it, or refuses it and changes nothing.
    fn append(&mut self, draft: Draft, history: &HistoryOptions) -> Result<Position, Refusal> {
        let reserved = self
            .joined
            .iter()
            .take_while(|joined| joined.outlet.try_reserve())
            .count();
        if reserved < self.joined.len() {
            self.joined[..reserved]
                .iter()
                .for_each(|joined| joined.outlet.cancel());
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
        self.keep(publication, history);
        Ok(self.position)
    }

    fn keep(&mut self, publication: Arc<Publication>, history: &HistoryOptions) {
        if history.frames_max == 0 {
            return;
        }
        let now = publication.draft.time;
        self.kept_bytes += publication.draft.payload.as_bytes().len();
        self.kept.push_back(publication);
        while self.kept.len() > history.frames_max || self.kept_bytes > history.bytes_max {
            self.drop_oldest();
        }
        self.expire(now, history);
    }

    fn expire(&mut self, now: Timestamp, history: &HistoryOptions) {
        let is_old = |kept: &Arc<Publication>| now.0.saturating_sub(kept.draft.time.0) > history.age_max_ms;
        while self.kept.front().is_some_and(is_old) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.kept_bytes -= oldest.draft.payload.as_bytes().len();
        }
    }

    /// Where the log stands, with what came after `since` where all of that is kept.
    fn snapshot(&self, since: Option<Position>) -> Snapshot {
        let position = self.position;
        let lost = Snapshot {
            position,
            missed: Vec::new(),
            is_recovered: false,
        };
        let Some(since) = since else {
            return Snapshot {
                is_recovered: true,
                ..lost
            };
        };
        if since.epoch != position.epoch || since.offset > position.offset {
            return lost;
        }
        let wanted = (position.offset - since.offset) as usize;
        if wanted > self.kept.len() {
            return lost;
        }
        let missed = self.kept.iter().skip(self.kept.len() - wanted).cloned().collect();
        Snapshot {
            position,
            missed,
            is_recovered: true,
        }
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
            history: self.kept.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfare_hub::conformance;

    use super::*;

    #[test]
    fn it_keeps_the_contract() {
        let history = HistoryOptions {
            frames_max: conformance::HISTORY_FRAMES,
            ..HistoryOptions::default()
        };
        conformance::check(|| Arc::new(MemoryBroker::new(history.clone(), 7)));
    }

    #[test]
    fn it_keeps_the_contract_without_history() {
        conformance::check_without_history(|| Arc::new(MemoryBroker::new(HistoryOptions::default(), 7)));
    }

    #[test]
    fn history_is_bounded_in_frames_bytes_and_age() {
        let topic = TopicName::parse("a").unwrap();
        let options = HistoryOptions {
            frames_max: 4,
            bytes_max: 30,
            age_max_ms: 100,
        };
        let broker = MemoryBroker::new(options, 1);
        let publish = |bytes: usize, time: u64| {
            let payload = fanfare_protocol::Payload::binary(vec![0; bytes]);
            let draft = Draft {
                topic: topic.clone(),
                payload,
                from: None,
                time: Timestamp(time),
                key: None,
                except: None,
            };
            assert!(broker.publish(draft, OutletId(0), PublishId(0)).is_ready());
        };
        let kept = || broker.topics(0, 10).topics.first().map_or(0, |row| row.history);
        (0..6).for_each(|_| publish(1, 0));
        assert_eq!(kept(), 4);
        publish(28, 0);
        assert_eq!(kept(), 3);
        publish(1, 101);
        assert_eq!(kept(), 1);
        broker.expire(Timestamp(202));
        assert_eq!(
            broker.topics(0, 10),
            TopicPage::default(),
            "a topic without subscriber and history is gone"
        );
    }

    #[test]
    fn topics_are_listed_in_pages_without_repetition() {
        let options = HistoryOptions {
            frames_max: 1,
            ..HistoryOptions::default()
        };
        let broker = MemoryBroker::new(options, 1);
        for number in 0..250 {
            let topic = TopicName::parse(&format!("t{number}")).unwrap();
            let payload = fanfare_protocol::Payload::text("x");
            let draft = Draft {
                topic,
                payload,
                from: None,
                time: Timestamp(0),
                key: None,
                except: None,
            };
            assert!(broker.publish(draft, OutletId(0), PublishId(0)).is_ready());
        }
        let (mut seen, mut cursor) = (Vec::new(), Some(0));
        while let Some(from) = cursor {
            let page = broker.topics(from, 7);
            seen.extend(page.topics.into_iter().map(|row| row.topic));
            cursor = page.next;
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 250);
    }
}
