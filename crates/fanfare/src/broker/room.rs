//! Bounds on what all partitions hold together: an atomic each, because the partitions have no lock in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fanfare_hub::broker::Refusal;
use fanfare_hub::{History, Retention};
use fanfare_protocol::{Publication, Timestamp, TopicName};

/// Places of which there are so many.
pub(super) struct Room {
    taken: AtomicUsize,
    max: usize,
}

impl Room {
    pub(super) fn new(max: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            max,
        }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes so many places, or none when there are fewer.
    pub(super) fn try_take(&self, places: usize) -> bool {
        let has_room = self.taken.fetch_add(places, Ordering::Relaxed) + places <= self.max;
        if !has_room {
            self.give_back(places);
        }
        has_room
    }

    pub(super) fn give_back(&self, places: usize) {
        self.taken.fetch_sub(places, Ordering::Relaxed);
    }

    /// Settles what somebody holds that held so much before. Where there is no room for what is new, `give_up` is asked to
    /// let go of the oldest until it holds no more than before; gives how often.
    pub(super) fn settle<T>(
        &self,
        held: &mut T,
        before: usize,
        count: fn(&T) -> usize,
        give_up: fn(&mut T),
    ) -> u64 {
        let now = count(held);
        let mut given_up = 0;
        if now > before && !self.try_take(now - before) {
            while count(held) > before {
                give_up(held);
                given_up += 1;
            }
        }
        self.give_back(before.saturating_sub(count(held)));
        given_up
    }
}

/// Counts the topics. The server's own are not counted: connections bound them.
pub(super) struct TopicRoom(Room);

impl TopicRoom {
    /// Room for `max` topics; 0 for any number.
    pub(super) fn new(max: usize) -> Self {
        Self(Room::new(if max == 0 { usize::MAX } else { max }))
    }

    /// Takes a place for another topic.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn take(&self, topic: &TopicName) -> Result<(), Refusal> {
        if topic.is_reserved() || self.0.try_take(1) {
            return Ok(());
        }
        Err(Refusal::TooManyTopics)
    }

    /// A topic is gone.
    pub(super) fn give_back(&self, topic: &TopicName) {
        if !topic.is_reserved() {
            self.0.give_back(1);
        }
    }
}

/// What the topics keep of their logs. When there is no more room a topic keeps no more than it drops, its own oldest
/// first: nobody is refused, and no topic takes from another.
pub(super) struct HistoryRoom {
    bytes: Room,
    publications: AtomicUsize,
    squeezed: AtomicU64,
}

impl HistoryRoom {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: Room::new(bytes_max),
            publications: AtomicUsize::new(0),
            squeezed: AtomicU64::new(0),
        }
    }

    /// Publications that are kept.
    pub(super) fn publications(&self) -> usize {
        self.publications.load(Ordering::Relaxed)
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.taken()
    }

    /// Publications that were not kept for as long as their topic would have kept them, for want of room.
    pub(super) fn squeezed(&self) -> u64 {
        self.squeezed.load(Ordering::Relaxed)
    }

    /// Keeps the next publication of a topic, as far as its retention and the room allow.
    pub(super) fn keep(&self, history: &mut History, publication: Arc<Publication>, retention: &Retention) {
        if retention.keeps() {
            self.change(history, |history| history.keep(publication, retention));
        }
    }

    /// Drops what is too much, or too old now.
    pub(super) fn trim(&self, history: &mut History, now: Timestamp, retention: &Retention) {
        self.change(history, |history| history.trim(now, retention));
    }

    /// Drops everything.
    pub(super) fn clear(&self, history: &mut History) {
        self.change(history, |history| while history.drop_oldest() {});
    }

    fn change(&self, history: &mut History, change: impl FnOnce(&mut History)) {
        let (bytes, publications) = (history.bytes(), history.len());
        change(history);
        let squeezed = self.bytes.settle(history, bytes, History::bytes, |history| {
            history.drop_oldest();
        });
        if squeezed > 0 {
            self.squeezed.fetch_add(squeezed, Ordering::Relaxed);
        }
        // Wraps around where it is less, and so does the sum.
        let more = history.len().wrapping_sub(publications);
        if more != 0 {
            self.publications.fetch_add(more, Ordering::Relaxed);
        }
    }
}
