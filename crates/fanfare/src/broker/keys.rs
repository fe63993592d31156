//! The idempotency keys that a broker remembers, for all its topics.
//!
//! They stand beside the logs and not in them: a topic may end before the window of its keys is over, and a publisher that
//! tries again is still told where its publication stood.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_hub::{Limits, Repetitions};
use fanfare_protocol::{Draft, IdempotencyKey, Position, Timestamp, TopicName};
use foldhash::fast::FixedState;

use super::room::Room;

/// The bounds of all partitions together. Beyond them keys are forgotten before their window is over, those of the topic
/// that takes another one, its oldest first.
pub(super) struct KeyRoom {
    keys: Room,
    window_ms: u64,
    of_topic_max: usize,
    forgotten: AtomicU64,
    repeated: AtomicU64,
    outdated: AtomicU64,
}

impl KeyRoom {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            keys: Room::new(limits.idempotency_keys_max),
            window_ms: limits.idempotency_window_ms,
            of_topic_max: limits.idempotency_keys_per_topic_max as usize,
            forgotten: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            outdated: AtomicU64::new(0),
        }
    }

    /// For how long a key is remembered.
    pub(super) fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// Keys and versions that are remembered.
    pub(super) fn keys(&self) -> usize {
        self.keys.taken()
    }

    /// Keys and versions that were forgotten before their window was over.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Publications that were not published because they had been already.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Takes a place for the version of another topic; where there is none, it is forgotten at once.
    pub(super) fn take_version(&self) -> bool {
        let has_room = self.keys.try_take(1);
        if !has_room {
            self.forgotten.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    pub(super) fn give_versions_back(&self, count: usize) {
        self.keys.give_back(count);
    }

    /// Counts a publication that was not published because a newer state had been.
    pub(super) fn count_outdated(&self) {
        self.outdated.fetch_add(1, Ordering::Relaxed);
    }

    /// Publications that were not published because a newer state had been.
    pub(super) fn outdated(&self) -> u64 {
        self.outdated.load(Ordering::Relaxed)
    }
}

/// What a publication is known by, taken from its draft.
pub(super) struct Known {
    topic: TopicName,
    key: IdempotencyKey,
    time: Timestamp,
}

impl Known {
    pub(super) fn of(draft: &Draft) -> Option<Self> {
        Some(Self {
            key: draft.idempotency_key.clone()?,
            topic: draft.topic.clone(),
            time: draft.time,
        })
    }
}

/// The keys of one partition, by topic.
pub(super) struct Keys {
    by_topic: HashMap<TopicName, Repetitions, FixedState>,
}

impl Keys {
    pub(super) fn new(hasher: FixedState) -> Self {
        Self {
            by_topic: HashMap::with_hasher(hasher),
        }
    }

    /// The place of the publication that this one repeats.
    pub(super) fn find(&mut self, known: &Known, room: &KeyRoom) -> Option<Position> {
        let repetitions = self.by_topic.get_mut(&known.topic)?;
        let before = repetitions.len();
        let place = repetitions.find(&known.key, known.time);
        room.keys.give_back(before - repetitions.len());
        if repetitions.is_empty() {
            self.by_topic.remove(&known.topic);
        }
        if place.is_some() {
            room.repeated.fetch_add(1, Ordering::Relaxed);
        }
        place
    }

    /// Remembers a publication that was looked for before and has its place now.
    pub(super) fn remember(&mut self, known: Known, position: Position, room: &KeyRoom) {
        let Known { topic, key, time } = known;
        let empty = || Repetitions::new(room.window_ms, room.of_topic_max);
        let repetitions = self.by_topic.entry(topic.clone()).or_insert_with(empty);
        let before = repetitions.len();
        let mut forgotten = repetitions.remember(key, position, time) as u64;
        forgotten += room
            .keys
            .settle(repetitions, before, Repetitions::len, Repetitions::forget_oldest);
        if forgotten > 0 {
            room.forgotten.fetch_add(forgotten, Ordering::Relaxed);
        }
        if repetitions.is_empty() {
            self.by_topic.remove(&topic);
        }
    }

    /// Forgets a publication that was remembered and was refused after that. Costs a look at the topic's keys.
    pub(super) fn forget(&mut self, known: &Known, room: &KeyRoom) {
        if let Some(repetitions) = self.by_topic.get_mut(&known.topic) {
            let before = repetitions.len();
            repetitions.forget(&known.key);
            room.keys.give_back(before - repetitions.len());
            if repetitions.is_empty() {
                self.by_topic.remove(&known.topic);
            }
        }
    }

    /// Forgets the keys whose window is over. Costs a look at each topic that has keys.
    pub(super) fn expire(&mut self, now: Timestamp, room: &KeyRoom) {
        self.by_topic.retain(|_, repetitions| {
            let before = repetitions.len();
            repetitions.expire(now);
            room.keys.give_back(before - repetitions.len());
            !repetitions.is_empty()
        });
    }
}
