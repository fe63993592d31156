//! The topics of a broker that share a lock.

use std::collections::{HashMap, VecDeque};

use fanfare_hub::Roster;
use fanfare_protocol::{Epoch, Position, Timestamp, TopicName};
use foldhash::fast::FixedState;
use slab::Slab;

use super::keys::Keys;
use super::room::TopicRoom;
use super::topic_log::{Log, Terms};
use super::versions::Versions;

/// Topics behind one lock.
pub(super) struct Partition {
    pub(super) names: HashMap<TopicName, u32, FixedState>,
    pub(super) logs: Slab<Log>,
    pub(super) keys: Keys,
    pub(super) versions: Versions,
    /// Topics that were left by the last who used them and stay for a while, in that order.
    pub(super) unused: VecDeque<Unused>,
    /// The epoch of the next log that begins here.
    pub(super) next_epoch: u64,
}

/// A topic that was left by the last who used it.
pub(super) struct Unused {
    log: u32,
    /// Which life of the place in the slab it was, and which ending of that life.
    life: Epoch,
    ending: u32,
    /// When that was seen first.
    pub(super) since: Option<Timestamp>,
}

impl Partition {
    /// Has the log of a topic in memory from now on.
    pub(super) fn insert(&mut self, topic: &TopicName, position: Position, terms: Terms) -> usize {
        let index = self.logs.insert(Log::new(topic.clone(), position, terms));
        self.names.insert(topic.clone(), index as u32);
        index
    }

    pub(super) fn find(&self, topic: &str) -> Option<usize> {
        self.names.get(topic).map(|&log| log as usize)
    }

    pub(super) fn log(&self, topic: &str) -> Option<&Log> {
        self.find(topic).map(|log| &self.logs[log])
    }

    pub(super) fn log_mut(&mut self, topic: &str) -> Option<&mut Log> {
        self.find(topic).map(|log| &mut self.logs[log])
    }

    /// Where the next log that begins here stands.
    pub(super) fn beginning(&self) -> Position {
        Position {
            epoch: Epoch(self.next_epoch),
            offset: 0,
        }
    }

    /// Who is in a topic, where that is kept and anyone is.
    pub(super) fn roster(&mut self, topic: &str) -> Option<&mut Roster> {
        self.log_mut(topic)?.roster.as_deref_mut()
    }

    pub(super) fn begin_epoch(&mut self) -> Epoch {
        let epoch = Epoch(self.next_epoch);
        self.next_epoch = self.next_epoch.wrapping_add(1);
        epoch
    }

    /// Has a topic that nobody uses any more stay for a while.
    pub(super) fn remember(&mut self, log: usize) {
        let entry = &mut self.logs[log];
        entry.endings = entry.endings.wrapping_add(1);
        self.unused.push_back(Unused {
            log: log as u32,
            life: entry.position.epoch,
            ending: entry.endings,
            since: None,
        });
    }

    /// The log that was left unused, if nobody has used it since.
    pub(super) fn still_unused(&self, unused: &Unused) -> Option<usize> {
        let log = unused.log as usize;
        let entry = self.logs.get(log).filter(|entry| entry.is_unused())?;
        let is_it = entry.position.epoch == unused.life && entry.endings == unused.ending;
        is_it.then_some(log)
    }

    /// Forgets the topic that was left unused first, to have its place; false when there is none.
    pub(super) fn give_way(&mut self, room: &TopicRoom) -> bool {
        while let Some(unused) = self.unused.pop_front() {
            if let Some(log) = self.still_unused(&unused) {
                self.remove_if_unused(log, room);
                return true;
            }
        }
        false
    }

    pub(super) fn remove_if_unused(&mut self, log: usize, room: &TopicRoom) {
        if self.logs[log].is_unused() {
            let log = self.logs.remove(log);
            self.names.remove(&log.topic);
            room.give_back(&log.topic);
        }
    }
}
