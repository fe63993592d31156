//! The versions of the states that topics have, where publications say one.
//!
//! They stand beside the logs, as [idempotency keys](super::keys) do and counted with them: a topic may end while a
//! publication with an older state is still under way. They are not on the disk: after a restart any version is new.

use std::collections::HashMap;

use fanfare_protocol::{Draft, Position, StateVersion, Timestamp, TopicName};
use foldhash::fast::FixedState;

use super::keys::KeyRoom;

/// The newest version of each topic of one partition.
pub(super) struct Versions {
    by_topic: HashMap<TopicName, Newest, FixedState>,
}

/// The newest version of a topic.
struct Newest {
    version: Box<StateVersion>,
    /// The place of its publication.
    position: Position,
    /// When that was.
    time: Timestamp,
}

/// A publication with a version, as far as that matters.
pub(super) struct Versioned {
    pub(super) topic: TopicName,
    version: Box<StateVersion>,
    time: Timestamp,
}

impl Versioned {
    pub(super) fn of(draft: &Draft) -> Option<Self> {
        Some(Self {
            version: draft.version.clone()?,
            topic: draft.topic.clone(),
            time: draft.time,
        })
    }
}

impl Versions {
    pub(super) fn new(hasher: FixedState) -> Self {
        Self {
            by_topic: HashMap::with_hasher(hasher),
        }
    }

    /// The place of the publication that makes this one out of date.
    pub(super) fn outdating(&self, versioned: &Versioned) -> Option<Position> {
        let newest = self.by_topic.get(&versioned.topic)?;
        let is_outdated = versioned.version.is_outdated_by(&newest.version);
        is_outdated.then_some(newest.position)
    }

    /// Takes note of one that has its place now.
    pub(super) fn note(&mut self, versioned: Versioned, position: Position, room: &KeyRoom) {
        let Versioned { topic, version, time } = versioned;
        let newest = Newest {
            version,
            position,
            time,
        };
        if let Some(before) = self.by_topic.get_mut(&topic) {
            *before = newest;
        } else if room.take_version() {
            self.by_topic.insert(topic, newest);
        }
    }

    /// Forgets one that was noted and was refused after that.
    pub(super) fn forget(&mut self, draft: &Draft, position: Position, room: &KeyRoom) {
        if self
            .by_topic
            .get(&draft.topic)
            .is_some_and(|newest| newest.position == position)
        {
            self.by_topic.remove(&draft.topic);
            room.give_versions_back(1);
        }
    }

    /// Forgets those of topics that are not in use, when the window is over in which keys are known. Costs a look at each
    /// topic that has a version.
    pub(super) fn expire(&mut self, now: Timestamp, room: &KeyRoom, is_in_use: impl Fn(&TopicName) -> bool) {
        let before = self.by_topic.len();
        self.by_topic.retain(|topic, newest| {
            now.0.saturating_sub(newest.time.0) <= room.window_ms() || is_in_use(topic)
        });
        room.give_versions_back(before - self.by_topic.len());
    }
}
