//! Applying retention, and giving the disk back what is dead: in steps, so that appends wait for none of it long.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::active::{Active, SEAL_BYTES};
use crate::blocks::Blocks;
use crate::damage::Damages;
use crate::draft::AppendError;
use crate::index::{Index, TopicId};
use crate::log::Log;
use crate::record::{FLOOR_BODY_BYTES, bytes_of};
use crate::rewrite::Rewrite;
use crate::segment::{HEADER_BYTES, Segment, name_of};
use crate::topic::Topic;

/// How far maintenance is.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    /// The next topic of the round.
    cursor: usize,
    /// The segment that was appended to when the round began: what it and later ones keep is not known before the next.
    end: u64,
    /// What this round found that each segment must keep, in bytes.
    needs: HashMap<u64, u64>,
    /// Whether all topics of this round, and of the next one, are to be asked for anew.
    is_refreshing: bool,
    is_refresh_wanted: bool,
    pub(crate) rewrite: Option<Rewrite>,
    /// Segments that are damaged, and so cannot be rewritten.
    pub(crate) unfit: BTreeSet<u64>,
}

impl Maintenance {
    pub(crate) fn policy_changed(&mut self) {
        self.is_refresh_wanted = true;
    }
}

/// What a step of maintenance came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Whether a round over all topics and segments is over, and nothing is half done.
    pub is_round: bool,
    /// Segments that were removed.
    pub removed: usize,
    /// Segments that were rewritten.
    pub rewritten: usize,
    /// What is not as it was written. None of it is served; its topics should be renewed.
    pub damages: Damages,
}

impl Log {
    /// Does one step: retention for [`Limits::retained_topics_max`](crate::Limits::retained_topics_max) topics, or
    /// [`Limits::rewrite_bytes_max`](crate::Limits::rewrite_bytes_max) of a segment that is rewritten, or, at the end
    /// of a round over all topics, removing what is dead. `now_ms` is the time, in milliseconds since 1970.
    ///
    /// # Errors
    /// There is no room for a segment to be rewritten, which is then tried again in the next round; or the disk failed,
    /// see [`Log::is_fenced`].
    pub fn maintain(&mut self, now_ms: u64) -> Result<Maintained, AppendError> {
        if self.is_fenced {
            return Err(AppendError::Fenced);
        }
        if let Some(rewrite) = self.maintenance.rewrite.take() {
            return self.step_rewrite(rewrite, now_ms);
        }
        self.retain(now_ms);
        if self.maintenance.cursor < self.shared.index().topics_end() {
            return Ok(Maintained::default());
        }
        self.end_round()
    }

    /// Applies retention to the next topics, and adds up what their segments must keep.
    fn retain(&mut self, now_ms: u64) {
        if self.maintenance.cursor == 0 {
            self.maintenance.needs.clear();
            let active = self.active.as_ref().map(Active::number);
            self.maintenance.end = active.unwrap_or(self.manifest.next);
            self.maintenance.is_refreshing = std::mem::take(&mut self.maintenance.is_refresh_wanted);
        }
        let cursor = self.maintenance.cursor;
        let end = cursor + self.shared.limits.retained_topics_max;
        let ids: Vec<TopicId> = {
            let index = self.shared.index();
            let topics = index.topics_from(cursor).map(|(id, _)| id);
            topics.take_while(|id| (*id as usize) < end).collect()
        };
        self.maintenance.cursor = end;
        for id in ids {
            if self.maintenance.is_refreshing {
                self.refresh(id);
            }
            self.settle(id, now_ms);
            self.count_needs(id, now_ms);
        }
    }

    fn refresh(&self, id: TopicId) {
        let mut index = self.shared.index_mut();
        if let Some(topic) = index.topic_mut(id) {
            topic.retention = self.policy.of(&topic.name);
            topic.keep_count();
        }
    }

    /// Applies retention to one topic, and takes what is gone off the counts.
    pub(crate) fn settle(&self, id: TopicId, now_ms: u64) {
        let settled = {
            let index = self.shared.index();
            let Some(topic) = index.topic(id) else {
                return;
            };
            if !is_unsettled(topic, now_ms) {
                return;
            }
            let mut settling = Settling::of(&index, &self.shared.blocks, topic, now_ms);
            while settling.step() {}
            settling.settled
        };
        let mut index = self.shared.index_mut();
        if let Some(topic) = index.topic_mut(id) {
            settled.apply(topic);
        }
    }

    fn count_needs(&mut self, id: TopicId, now_ms: u64) {
        let index = self.shared.index();
        let Some(topic) = index.topic(id) else {
            return;
        };
        let grace_ms = self.shared.limits.position_grace_ms;
        for (position, chunk) in topic.chunks.iter().enumerate() {
            let mut bytes = chunk.live_bytes;
            if topic.is_anchored(position, now_ms, grace_ms) {
                bytes += bytes_of(&topic.name, FLOOR_BODY_BYTES) as u64;
            }
            *self.maintenance.needs.entry(chunk.segment).or_default() += bytes;
        }
    }

    /// Removes the segments that have nothing to keep, and chooses one to rewrite.
    fn end_round(&mut self) -> Result<Maintained, AppendError> {
        self.maintenance.cursor = 0;
        let dead = self.dead_segments();
        self.remove_segments(&dead)?;
        let is_worn = |active: &Active| {
            active.bytes() >= self.shared.limits.segment_bytes_max / 16
                && active.number() == self.maintenance.end
                && self.is_sparse(active.number(), active.bytes())
        };
        if self.active.as_ref().is_some_and(is_worn) {
            self.seal()?;
        }
        if let Some(segment) = self.sparse_segment() {
            self.maintenance.rewrite = Some(Rewrite::begin(&*self.shared.storage, segment)?);
        }
        Ok(Maintained {
            is_round: self.maintenance.rewrite.is_none(),
            removed: dead.len(),
            ..Maintained::default()
        })
    }

    /// What a segment must keep, as the round found.
    fn need(&self, number: u64) -> u64 {
        self.maintenance.needs.get(&number).copied().unwrap_or(0)
    }

    /// Whether less of a segment is alive than must be, whose records end at `end`.
    fn is_sparse(&self, number: u64, end: u64) -> bool {
        let records = end.saturating_sub(HEADER_BYTES + SEAL_BYTES);
        self.need(number) * 100 < records * self.shared.limits.live_percent_min
    }

    fn dead_segments(&self) -> Vec<u64> {
        let index = self.shared.index();
        let numbers = index
            .segments
            .range(..self.maintenance.end)
            .map(|(number, _)| *number);
        numbers.filter(|number| self.need(*number) == 0).collect()
    }

    /// The segment with the least to keep of those that are to be rewritten.
    fn sparse_segment(&self) -> Option<Arc<Segment>> {
        let index = self.shared.index();
        let segments = index
            .segments
            .range(..self.maintenance.end)
            .map(|(_, segment)| segment);
        let is_fit = |segment: &&Arc<Segment>| {
            !self.maintenance.unfit.contains(&segment.number)
                && self.is_sparse(segment.number, segment.records_end)
        };
        let sparse = segments.filter(is_fit);
        sparse.min_by_key(|segment| self.need(segment.number)).cloned()
    }

    /// Takes segments off the list first, and then away: an end in between leaves files that the next opening removes.
    fn remove_segments(&mut self, dead: &[u64]) -> Result<(), AppendError> {
        if dead.is_empty() {
            return Ok(());
        }
        self.manifest.numbers.retain(|number| !dead.contains(number));
        self.store_manifest()?;
        for number in dead {
            // One that stays is removed by the next opening.
            let _ = self.shared.storage.remove(&name_of(*number));
        }
        let mut index = self.shared.index_mut();
        for number in dead {
            index.segments.remove(number);
        }
        index.drop_chunks(|segment| dead.contains(&segment));
        Ok(())
    }
}

/// Whether retention or the counts of a topic have to be looked at.
fn is_unsettled(topic: &Topic, now_ms: u64) -> bool {
    let is_kept = topic.first <= topic.last;
    topic.settled < topic.first
        || is_kept && topic.bytes > topic.retention.bytes
        || is_kept && topic.oldest_ms < now_ms.saturating_sub(topic.retention.age_ms)
}

/// What becomes of a topic when retention is applied.
#[derive(Debug)]
struct Settled {
    first: u64,
    /// Where the walk is: everything before it is taken off the counts.
    at: u64,
    bytes: u64,
    oldest_ms: u64,
    /// The live bytes of the first chunks.
    live_bytes: Vec<u64>,
}

impl Settled {
    fn apply(self, topic: &mut Topic) {
        topic.first = self.first;
        topic.settled = self.at;
        topic.bytes = self.bytes;
        topic.oldest_ms = self.oldest_ms;
        for (chunk, live_bytes) in topic.chunks.iter_mut().zip(self.live_bytes) {
            chunk.live_bytes = live_bytes;
        }
    }
}

/// A walk over the records of a topic that go, oldest first.
struct Settling<'i> {
    index: &'i Index,
    blocks: &'i Blocks,
    topic: &'i Topic,
    /// What is older than this goes.
    oldest_ms: u64,
    /// The chunk that the walk is in.
    position: usize,
    settled: Settled,
}

impl<'i> Settling<'i> {
    fn of(index: &'i Index, blocks: &'i Blocks, topic: &'i Topic, now_ms: u64) -> Self {
        Self {
            index,
            blocks,
            topic,
            oldest_ms: now_ms.saturating_sub(topic.retention.age_ms),
            position: 0,
            settled: Settled {
                first: topic.first,
                at: topic.settled,
                bytes: topic.bytes,
                oldest_ms: topic.oldest_ms,
                live_bytes: topic.chunks.iter().map(|chunk| chunk.live_bytes).collect(),
            },
        }
    }

    /// Goes past one record or one chunk; false when what comes next is kept.
    fn step(&mut self) -> bool {
        let Some(chunk) = self.topic.chunks.get(self.position) else {
            self.settled.at = self.settled.at.max(self.settled.first);
            return false;
        };
        if self.settled.at >= chunk.end() {
            self.position += 1;
            return true;
        }
        self.settled.at = self.settled.at.max(chunk.first);
        let settled = &mut self.settled;
        let live_bytes = settled.live_bytes[self.position];
        let is_gone = settled.first >= chunk.end()
            || chunk.newest_ms < self.oldest_ms
            || settled.bytes.saturating_sub(live_bytes) >= self.topic.retention.bytes && live_bytes > 0;
        if is_gone {
            settled.bytes = settled.bytes.saturating_sub(live_bytes);
            settled.live_bytes[self.position] = 0;
            settled.at = chunk.end();
            settled.first = settled.first.max(settled.at);
            self.position += 1;
            return true;
        }
        // A damaged block ends the walk: what is in it goes when all of its chunk goes.
        let Ok(entry) = self.index.entry(self.blocks, self.topic, chunk, settled.at) else {
            return false;
        };
        let is_kept = settled.at >= settled.first
            && entry.time_ms >= self.oldest_ms
            && settled.bytes <= self.topic.retention.bytes;
        if is_kept {
            settled.oldest_ms = entry.time_ms;
            return false;
        }
        settled.bytes = settled.bytes.saturating_sub(u64::from(entry.bytes));
        settled.live_bytes[self.position] = live_bytes.saturating_sub(u64::from(entry.bytes));
        settled.at += 1;
        settled.first = settled.first.max(settled.at);
        true
    }
}

impl Index {
    /// Lets topics forget what gone segments had of them, and forgets topics of which nothing is left.
    pub(crate) fn drop_chunks(&mut self, is_gone: impl Fn(u64) -> bool) {
        for id in 0..self.topics_end() as TopicId {
            if let Some(topic) = self.topic_mut(id) {
                topic.chunks.retain(|chunk| !is_gone(chunk.segment));
                if topic.chunks.is_empty() {
                    self.forget(id);
                }
            }
        }
    }
}
