//! Which topics there are, which segments, and what of which is where. Changed by the writer alone, read by all.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::blocks::{BlockError, Blocks};
use crate::footer::{Entry, Row};
use crate::limits::Limits;
use crate::retention::{Policy, Retention};
use crate::segment::Segment;
use crate::storage::Storage;
use crate::topic::{Chunk, Topic};

/// Which topic, in the index.
pub(crate) type TopicId = u32;

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    topics: Vec<Option<Topic>>,
    free: Vec<TopicId>,
    names: HashMap<Arc<str>, TopicId, foldhash::quality::RandomState>,
    pub(crate) segments: BTreeMap<u64, Arc<Segment>>,
    /// The segment that is appended to, and where the records end that may be seen.
    pub(crate) active: Option<(u64, u64)>,
}

impl Index {
    pub(crate) fn find(&self, name: &str) -> Option<TopicId> {
        self.names.get(name).copied()
    }

    pub(crate) fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(id as usize)?.as_ref()
    }

    pub(crate) fn topic_mut(&mut self, id: TopicId) -> Option<&mut Topic> {
        self.topics.get_mut(id as usize)?.as_mut()
    }

    pub(crate) fn topic_named(&self, name: &str) -> Option<&Topic> {
        self.topic(self.find(name)?)
    }

    /// The entry of `offset`, which the topic's chunk has.
    pub(crate) fn entry(
        &self,
        blocks: &Blocks,
        topic: &Topic,
        chunk: &Chunk,
        offset: u64,
    ) -> Result<Entry, BlockError> {
        if self.is_active(chunk.segment) {
            let index = (offset - chunk.first) as usize;
            return topic.tail.get(index).copied().ok_or(BlockError::Damaged(0));
        }
        match self.segments.get(&chunk.segment) {
            Some(segment) => blocks.entry(segment, chunk, offset),
            None => Err(BlockError::Damaged(0)),
        }
    }

    /// Whether this segment is appended to.
    pub(crate) fn is_active(&self, segment: u64) -> bool {
        self.active.is_some_and(|(active, _)| active == segment)
    }

    /// How many topics there are.
    pub(crate) fn topics(&self) -> usize {
        self.names.len()
    }

    /// All topics from `cursor` on, by id.
    pub(crate) fn topics_from(&self, cursor: usize) -> impl Iterator<Item = (TopicId, &Topic)> {
        let topics = self.topics.iter().enumerate().skip(cursor);
        topics.filter_map(|(id, topic)| Some((id as TopicId, topic.as_ref()?)))
    }

    /// Behind the highest id there ever was.
    pub(crate) fn topics_end(&self) -> usize {
        self.topics.len()
    }

    pub(crate) fn insert(&mut self, name: Arc<str>, epoch: u64, retention: Retention) -> TopicId {
        let topic = Topic::new(Arc::clone(&name), epoch, retention);
        let id = self.free.pop().unwrap_or(self.topics.len() as TopicId);
        if id as usize == self.topics.len() {
            self.topics.push(None);
        }
        self.topics[id as usize] = Some(topic);
        self.names.insert(name, id);
        id
    }

    /// Forgets a topic that no segment has anything of.
    pub(crate) fn forget(&mut self, id: TopicId) {
        if let Some(topic) = self.topics.get_mut(id as usize).and_then(Option::take) {
            self.names.remove(&topic.name);
            self.free.push(id);
        }
    }

    /// Takes in a row of a segment's footer; false when it does not follow what is there.
    pub(crate) fn recover(&mut self, segment: u64, row: &Row, policy: &Policy) -> bool {
        let id = self
            .find(&row.topic)
            .unwrap_or_else(|| self.insert(Arc::clone(&row.topic), row.epoch, policy.of(&row.topic)));
        self.topic_mut(id).is_some_and(|topic| {
            let is_in_order = topic.recover(segment, row);
            topic.keep_count();
            is_in_order
        })
    }
}

/// What the writer and the readers have together.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) limits: Limits,
    pub(crate) blocks: Blocks,
    index: RwLock<Index>,
}

impl Shared {
    pub(crate) fn new(storage: Arc<dyn Storage>, limits: Limits, index: Index) -> Self {
        Self {
            storage,
            blocks: Blocks::new(limits.cache_bytes_max),
            limits,
            index: RwLock::new(index),
        }
    }

    /// Nothing panics while it holds the lock for writing, so that a poisoned one is whole.
    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}
