//! The log of one topic, as far as it is in memory, and who wants it.

use std::collections::VecDeque;
use std::sync::Arc;

use fanfare_hub::broker::{Outlet, OutletId, Page, PublishId, Read, Refusal, Start, TopicRow};
use fanfare_hub::{Bucket, Change, History, Rate, Retention, Roster};
use fanfare_protocol::{Draft, Position, Publication, TopicName};

use super::journal::Reading;
use super::room::HistoryRoom;

/// What holds for a topic.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// What clients may publish.
    pub(super) rate: Rate,
    /// What is kept in memory.
    pub(super) retention: Retention,
    /// Whether it is kept on the disk as well, and is published only when it is there.
    pub(super) is_durable: bool,
}

/// The log of one topic.
pub(super) struct Log {
    pub(super) topic: TopicName,
    /// The place of the last publication that was posted.
    pub(super) position: Position,
    pub(super) joined: Vec<Joined>,
    pub(super) history: History,
    /// Who is here, where that is kept.
    pub(super) roster: Option<Box<Roster>>,
    pub(super) terms: Terms,
    /// How much is left of what clients may publish.
    pub(super) bucket: Bucket,
    /// What waits for the disk, oldest first. Every outlet that joined has a place set aside for each publication of it.
    pub(super) pending: VecDeque<Pending>,
    /// Whether something was refused by the disk and what was queued behind it is still to be refused.
    pub(super) is_broken: bool,
    /// How often it was left by the last who used it.
    pub(super) endings: u32,
}

/// An outlet that joined a topic.
pub(super) struct Joined {
    pub(super) id: OutletId,
    pub(super) outlet: Arc<dyn Outlet>,
    pub(super) subscribers: u32,
    /// The shard whose subscribers it told of, if it did.
    pub(super) shard: Option<usize>,
}

/// What waits for the disk.
pub(super) enum Pending {
    /// A publication with its place, who published it, and those who repeated it meanwhile.
    Publication(Arc<Publication>, Asked, Vec<Asked>),
    /// A new epoch, behind a publication that cannot be read, and who wanted to read it. Nothing is queued behind it.
    Renewal(Vec<Reading>),
    /// That nothing is kept of what is before it, and who asked for that.
    Removal(Asked),
}

/// Who published, or asked for something in the order of publications, and how they know what they asked.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) outlet: OutletId,
    pub(super) publish: PublishId,
}

impl Log {
    pub(super) fn new(topic: TopicName, position: Position, terms: Terms) -> Self {
        Self {
            topic,
            position,
            joined: Vec::new(),
            history: History::default(),
            roster: None,
            terms,
            bucket: Bucket::default(),
            pending: VecDeque::new(),
            is_broken: false,
            endings: 0,
        }
    }

    /// Where it will stand when all that is pending is done.
    pub(super) fn end(&self) -> Position {
        let last = self.pending.iter().rev().find_map(Pending::position);
        last.unwrap_or(self.position)
    }

    /// A topic exists in memory while it has a subscriber, history there, or something under way; and for a while after that
    /// where it keeps history, so that who comes back finds it as it was.
    pub(super) fn is_unused(&self) -> bool {
        self.joined.is_empty() && self.history.is_empty() && self.pending.is_empty()
    }

    /// Sets a place aside at every outlet, or at none.
    pub(super) fn reserve(&self, bytes: usize) -> Result<(), Refusal> {
        let reserved = self
            .joined
            .iter()
            .take_while(|joined| joined.outlet.try_reserve(bytes))
            .count();
        if reserved < self.joined.len() {
            cancel(&self.joined[..reserved], bytes);
            return Err(Refusal::Overloaded);
        }
        Ok(())
    }

    /// Gives back a place at every outlet.
    pub(super) fn cancel(&self, bytes: usize) {
        cancel(&self.joined, bytes);
    }

    /// Gives the next place to a publication and posts it, or refuses it and changes nothing.
    pub(super) fn append(&mut self, draft: Draft, history: &HistoryRoom) -> Result<Position, Refusal> {
        self.reserve(draft.bytes())?;
        let position = self.position.next();
        self.post(Arc::new(Publication { draft, position }), history);
        Ok(position)
    }

    /// Posts the next publication into the places that are set aside.
    pub(super) fn post(&mut self, publication: Arc<Publication>, history: &HistoryRoom) {
        self.position = publication.position;
        for joined in &self.joined {
            joined.outlet.post_reserved(Arc::clone(&publication));
        }
        history.keep(&mut self.history, publication, &self.terms.retention);
    }

    /// Lets an outlet in, with places for what is pending; gives whether it was not in.
    ///
    /// # Errors
    /// It has not so many places.
    pub(super) fn let_in(&mut self, id: OutletId, outlet: &Arc<dyn Outlet>) -> Result<bool, Refusal> {
        if self.joined.iter().any(|joined| joined.id == id) {
            return Ok(false);
        }
        let bytes: Vec<usize> = self.pending.iter().filter_map(Pending::bytes).collect();
        let reserved = bytes
            .iter()
            .take_while(|&&bytes| outlet.try_reserve(bytes))
            .count();
        if reserved < bytes.len() {
            bytes[..reserved].iter().for_each(|&bytes| outlet.cancel(bytes));
            return Err(Refusal::Overloaded);
        }
        self.joined.reserve_exact(1);
        self.joined.push(Joined {
            id,
            outlet: Arc::clone(outlet),
            subscribers: 0,
            shard: None,
        });
        Ok(true)
    }

    /// Takes an outlet out, and those of its shard with it; gives whether it was in.
    pub(super) fn lose(&mut self, outlet: OutletId) -> bool {
        let Some(at) = self.joined.iter().position(|joined| joined.id == outlet) else {
            return false;
        };
        let Joined { shard, outlet, .. } = self.joined.remove(at);
        for bytes in self.pending.iter().filter_map(Pending::bytes) {
            outlet.cancel(bytes);
        }
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

    /// Lets somebody wait for a pending publication that theirs repeats; false when none has this place.
    pub(super) fn wait_for(&mut self, place: Position, asked: Asked) -> bool {
        for pending in &mut self.pending {
            if let Pending::Publication(publication, _, waiting) = pending
                && publication.position == place
            {
                waiting.push(asked);
                return true;
            }
        }
        false
    }

    /// Those who wait for a new epoch that is under way.
    pub(super) fn renewal(&mut self) -> Option<&mut Vec<Reading>> {
        match self.pending.back_mut()? {
            Pending::Renewal(readings) => Some(readings),
            Pending::Publication(..) | Pending::Removal(_) => None,
        }
    }

    /// Reads what memory has. None, when it is only on the disk, where everything from the offset `first` on is.
    pub(super) fn read(&self, read: &Read, first: Option<u64>) -> Option<Page> {
        let Some(first) = first else {
            return Some(self.history.read(self.position, read));
        };
        let here = self.position.offset + 1 - self.history.len() as u64;
        let is_here = here <= first
            || match read.start {
                Start::After(place) => place.epoch == self.position.epoch && place.offset + 1 >= here,
                Start::Last(count) => count <= self.history.len(),
                Start::Oldest | Start::At(_) | Start::Before(_) => false,
            };
        is_here.then(|| {
            let page = self.history.read(self.position, read);
            let oldest = page.oldest.min(first);
            Page { oldest, ..page }
        })
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

impl Pending {
    fn position(&self) -> Option<Position> {
        match self {
            Self::Publication(publication, ..) => Some(publication.position),
            Self::Renewal(_) | Self::Removal(_) => None,
        }
    }

    fn bytes(&self) -> Option<usize> {
        match self {
            Self::Publication(publication, ..) => Some(publication.draft.bytes()),
            Self::Renewal(_) | Self::Removal(_) => None,
        }
    }
}

fn cancel(joined: &[Joined], bytes: usize) {
    for joined in joined {
        joined.outlet.cancel(bytes);
    }
}
