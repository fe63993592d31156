//! The topics of a memory broker that share a lock.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_hub::broker::{Outlet, OutletId, Page, Read, Refusal, TopicRow};
use fanfare_hub::{Bucket, Change, History, Rate, Retention, Roster};
use fanfare_protocol::{Draft, Epoch, Position, Publication, TopicName};
use foldhash::fast::FixedState;
use slab::Slab;

use super::keys::Keys;
use super::room::{HistoryRoom, TopicRoom};

/// What holds for a topic.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// What clients may publish.
    pub(super) rate: Rate,
    /// What is kept.
    pub(super) retention: Retention,
}

/// Topics behind one lock.
pub(super) struct Partition {
    pub(super) names: HashMap<TopicName, u32, FixedState>,
    pub(super) logs: Slab<Log>,
    pub(super) keys: Keys,
    /// The epoch of the next log that begins here.
    pub(super) next_epoch: u64,
}

/// The log of one topic, as far as it is kept, and who wants it.
pub(super) struct Log {
    pub(super) topic: TopicName,
    pub(super) position: Position,
    pub(super) joined: Vec<Joined>,
    pub(super) history: History,
    /// Who is here, where that is kept.
    pub(super) roster: Option<Box<Roster>>,
    pub(super) terms: Terms,
    /// How much is left of what clients may publish.
    pub(super) bucket: Bucket,
}

/// An outlet that joined a topic.
pub(super) struct Joined {
    pub(super) id: OutletId,
    pub(super) outlet: Arc<dyn Outlet>,
    pub(super) subscribers: u32,
    /// The shard whose subscribers it told of, if it did.
    pub(super) shard: Option<usize>,
}

impl Partition {
    /// Begins the log of a topic, if there may be another one.
    pub(super) fn begin(&mut self, topic: &TopicName, terms: Terms) -> usize {
        let log = Log::new(topic.clone(), self.begin_epoch(), terms);
        let index = self.logs.insert(log);
        self.names.insert(topic.clone(), index as u32);
        index
    }

    /// Where a topic stands; one without a log stands where the next log will begin.
    pub(super) fn standing(&self, topic: &TopicName) -> Position {
        let beginning = Position {
            epoch: Epoch(self.next_epoch),
            offset: 0,
        };
        let log = self.names.get(topic);
        log.map_or(beginning, |&log| self.logs[log as usize].position)
    }

    /// Looks whether a topic stands where it is expected to.
    ///
    /// # Errors
    /// A conflict, with where it stands.
    pub(super) fn check_expected(&self, topic: &TopicName, expected: Position) -> Result<(), Refusal> {
        let position = self.standing(topic);
        if position == expected {
            return Ok(());
        }
        Err(Refusal::Conflict { position })
    }

    /// Who is in a topic, where that is kept and anyone is.
    pub(super) fn roster(&mut self, topic: &str) -> Option<&mut Roster> {
        let log = *self.names.get(topic)?;
        self.logs[log as usize].roster.as_deref_mut()
    }

    pub(super) fn begin_epoch(&mut self) -> Epoch {
        let epoch = Epoch(self.next_epoch);
        self.next_epoch = self.next_epoch.wrapping_add(1);
        epoch
    }

    /// A topic exists while it has a subscriber or history.
    pub(super) fn remove_if_unused(&mut self, log: usize, room: &TopicRoom) {
        if self.logs[log].joined.is_empty() && self.logs[log].history.is_empty() {
            let log = self.logs.remove(log);
            self.names.remove(&log.topic);
            room.give_back(&log.topic);
        }
    }
}

impl Log {
    pub(super) fn new(topic: TopicName, epoch: Epoch, terms: Terms) -> Self {
        Self {
            topic,
            position: Position { epoch, offset: 0 },
            joined: Vec::new(),
            history: History::default(),
            roster: None,
            terms,
            bucket: Bucket::default(),
        }
    }

    /// Gives the next place to a publication and posts it, or refuses it and changes nothing.
    pub(super) fn append(&mut self, draft: Draft, history: &HistoryRoom) -> Result<Position, Refusal> {
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
        history.keep(&mut self.history, publication, &self.terms.retention);
        Ok(self.position)
    }

    /// Takes an outlet out, and those of its shard with it; gives whether it was in.
    pub(super) fn lose(&mut self, outlet: OutletId) -> bool {
        let Some(at) = self.joined.iter().position(|joined| joined.id == outlet) else {
            return false;
        };
        let Joined { shard, .. } = self.joined.remove(at);
        if let (Some(shard), Some(roster)) = (shard, &mut self.roster) {
            roster.go_all(shard);
        }
        self.roster.take_if(|roster| roster.is_empty());
        true
    }

    /// Takes note of who came and went; gives whether it took `life` for that.
    pub(super) fn attend(&mut self, outlet: OutletId, life: u64, changes: Vec<Change>) -> bool {
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

    pub(super) fn read(&self, read: &Read) -> Page {
        self.history.read(self.position, read)
    }

    pub(super) fn subscribers(&self) -> u64 {
        self.joined
            .iter()
            .map(|joined| u64::from(joined.subscribers))
            .sum()
    }

    pub(super) fn row(&self) -> TopicRow {
        TopicRow {
            topic: self.topic.clone(),
            subscribers: self.subscribers(),
            position: self.position,
            history: self.history.len(),
        }
    }
}
