//! The topics of a broker that share a lock.

use std::collections::HashMap;

use fanfare_hub::Roster;
use fanfare_protocol::{Epoch, Position, TopicName};
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
    /// The epoch of the next log that begins here.
    pub(super) next_epoch: u64,
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

    pub(super) fn remove_if_unused(&mut self, log: usize, room: &TopicRoom) {
        if self.logs[log].is_unused() {
            let log = self.logs.remove(log);
            self.names.remove(&log.topic);
            room.give_back(&log.topic);
        }
    }
}
