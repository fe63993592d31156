//! The log and its one writer.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;

use crate::active::Active;
use crate::draft::{AppendError, Draft, What};
use crate::footer::Entry;
use crate::index::{Index, Shared, TopicId};
use crate::limits::{Fsync, Limits};
use crate::maintenance::Maintenance;
use crate::manifest::Manifest;
use crate::reader::Reader;
use crate::record::{self, Kind, OFFSET_END, Record};
use crate::recovery::{self, OpenError, Recovery};
use crate::retention::Policy;
use crate::state::State;
use crate::storage::{Storage, StorageFile};
use crate::topic::{Place, Placed, Position};

/// How a log is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its bounds.
    pub limits: Limits,
    /// How soon what is appended is durable.
    pub fsync: Fsync,
    /// How much is kept.
    pub policy: Policy,
    /// Where epochs come from; `None` for the randomness of the system. Only tests give one: epochs must not come
    /// again, not even when a directory is lost and begun anew.
    pub seed: Option<u64>,
    /// Whether to go on without a segment that is missing: what it had is lost, and every topic begins a new epoch. If
    /// not, opening fails and nothing is changed.
    pub accepts_missing: bool,
}

/// A log, open for appending. There is one for a directory; it is driven by one thread.
///
/// Offsets of a topic are dense and count from 1. Everything that is answered is as durable as [`Options::fsync`] says,
/// and visible to every [`Reader`].
#[derive(Debug)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    pub(crate) fsync: Fsync,
    pub(crate) policy: Policy,
    pub(crate) epochs: fastrand::Rng,
    pub(crate) manifest: Manifest,
    pub(crate) manifest_file: Arc<dyn StorageFile>,
    /// The segment that is appended to; none between two.
    pub(crate) active: Option<Active>,
    pub(crate) maintenance: Maintenance,
    /// Whether the disk failed in a way after which nothing can be known.
    pub(crate) is_fenced: bool,
    buffer: Vec<u8>,
    staged: Vec<(TopicId, Placed)>,
    heads: HashMap<TopicId, Position, foldhash::quality::RandomState>,
}

impl Log {
    /// Opens the log of a storage, or begins one in an empty one, and says what was found wrong.
    ///
    /// # Errors
    /// A file that cannot be read, is missing, of another version or not of a log. Nothing that could still be read is
    /// changed then.
    pub fn open(storage: Arc<dyn Storage>, options: Options) -> Result<(Self, Recovery), OpenError> {
        recovery::open(storage, options)
    }

    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        options: Options,
        index: Index,
        (manifest, manifest_file): (Manifest, Arc<dyn StorageFile>),
    ) -> Self {
        Self {
            shared: Arc::new(Shared::new(storage, options.limits, index)),
            fsync: options.fsync,
            policy: options.policy,
            epochs: fastrand::Rng::with_seed(options.seed.unwrap_or_else(random_seed)),
            manifest,
            manifest_file,
            active: None,
            maintenance: Maintenance::default(),
            is_fenced: false,
            buffer: Vec::new(),
            staged: Vec::new(),
            heads: HashMap::default(),
        }
    }

    /// Reads it; clone for as many threads as like to.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// The small values beside it.
    pub fn state(&self) -> State {
        let value_bytes_max = self.shared.limits.state_bytes_max;
        State::new(Arc::clone(&self.shared.storage), value_bytes_max)
    }

    /// Its bounds.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Whether the disk failed in a way after which nothing is taken any more.
    pub fn is_fenced(&self) -> bool {
        self.is_fenced
    }

    /// Writes drafts together, in their order, and makes them durable as [`Options::fsync`] says: one write, one sync.
    /// Each is answered with the topic's position behind it, in the same order. What is refused alone leaves no gap; an
    /// error of the disk is the answer to all of them.
    ///
    /// More than [`Limits::group_bytes_max`] is more than one group. Costs one copy of the bodies.
    pub fn append(&mut self, drafts: &[Draft]) -> Vec<Result<Position, AppendError>> {
        let bytes: usize = drafts.iter().map(Draft::bytes).sum();
        if drafts.len() > 1 && bytes > self.shared.limits.group_bytes_max {
            let (first, second) = drafts.split_at(drafts.len() / 2);
            let mut answers = self.append(first);
            answers.extend(self.append(second));
            return answers;
        }
        self.append_group(drafts, bytes as u64)
    }

    fn append_group(&mut self, drafts: &[Draft], bytes: u64) -> Vec<Result<Position, AppendError>> {
        if drafts.is_empty() {
            return Vec::new();
        }
        if let Err(error) = self.make_place(bytes) {
            return drafts.iter().map(|_| Err(error.clone())).collect();
        }
        self.buffer.clear();
        self.staged.clear();
        self.heads.clear();
        let answers: Vec<_> = drafts.iter().map(|draft| self.stage(draft)).collect();
        match self.commit() {
            Ok(()) => answers,
            Err(error) => drafts.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// Has a segment that takes a group of so many bytes.
    fn make_place(&mut self, bytes: u64) -> Result<(), AppendError> {
        if self.is_fenced {
            return Err(AppendError::Fenced);
        }
        let segment_bytes_max = self.shared.limits.segment_bytes_max;
        let is_full = |active: &Active| !active.is_empty() && active.bytes() + bytes > segment_bytes_max;
        if self.active.as_ref().is_some_and(is_full) {
            self.seal()?;
        }
        if self.active.is_none() {
            self.begin_segment()?;
        }
        Ok(())
    }

    /// Puts a draft's record behind what is to be written.
    fn stage(&mut self, draft: &Draft) -> Result<Position, AppendError> {
        draft.check(&self.shared.limits)?;
        let id = self.topic_of(&draft.topic)?;
        let head = self.head_of(id, draft);
        let place = self.place(id, draft, head)?;
        let Some(active) = &self.active else {
            return Err(AppendError::Fenced);
        };
        let at = active.bytes() + self.buffer.len() as u64;
        let last = place.last.to_le_bytes();
        let record = Record {
            kind: place.kind,
            durable: active.durable() as u32,
            epoch: place.epoch,
            offset: place.offset,
            time_ms: draft.time_ms,
            topic: &draft.topic,
            body: match &draft.what {
                What::Publish { body, .. } => body,
                What::Remove { .. } | What::Renew { .. } | What::Begin { .. } => &last,
            },
        };
        record::encode(&record, &mut self.buffer);
        let placed = Placed {
            place,
            segment: active.number(),
            entry: Entry {
                at: at as u32,
                bytes: draft.bytes() as u32,
                time_ms: draft.time_ms,
            },
        };
        self.staged.push((id, placed));
        let head = Position {
            epoch: place.epoch,
            offset: place.last,
        };
        self.heads.insert(id, head);
        Ok(head)
    }

    fn topic_of(&mut self, name: &Arc<str>) -> Result<TopicId, AppendError> {
        let index = self.shared.index();
        if let Some(id) = index.find(name) {
            return Ok(id);
        }
        let topics_max = self.shared.limits.topics_max;
        if index.topics() >= topics_max {
            return Err(AppendError::TooManyTopics { topics_max });
        }
        drop(index);
        let (epoch, retention) = (self.epochs.u64(..), self.policy.of(name));
        let mut index = self.shared.index_mut();
        Ok(index.insert(Arc::clone(name), epoch, retention))
    }

    /// Where the topic stands with what is staged.
    fn head_of(&self, id: TopicId, draft: &Draft) -> Position {
        if let Some(head) = self.heads.get(&id) {
            return *head;
        }
        let index = self.shared.index();
        let Some(topic) = index.topic(id) else {
            return Position::default();
        };
        let head = topic.standing().position();
        match draft.what {
            What::Publish {
                epoch: Some(epoch), ..
            } if topic.chunks.is_empty() => Position { epoch, ..head },
            _ => head,
        }
    }

    /// What the draft's record says of a topic that stands at `head`.
    fn place(&mut self, id: TopicId, draft: &Draft, head: Position) -> Result<Place, AppendError> {
        let next = head.offset + 1;
        let shared = &self.shared;
        // The last floor is the one that counts, so none is lower than what is gone already.
        let first = || shared.index().topic(id).map_or(1, |topic| topic.first);
        let floor = |epoch, offset: u64, last| Place {
            kind: Kind::Floor,
            epoch,
            offset: offset.max(first()).min(last + 1),
            last,
        };
        match &draft.what {
            What::Publish { expected, .. } => match expected {
                Some(expected) if *expected != head.offset => {
                    Err(AppendError::NotExpected { position: head })
                }
                _ => Ok(Place {
                    kind: Kind::Publication,
                    epoch: head.epoch,
                    offset: next,
                    last: next,
                }),
            },
            What::Remove { before } => Ok(floor(head.epoch, *before, head.offset)),
            What::Renew { from } => Ok(floor(self.epochs.u64(..), *from, head.offset)),
            What::Begin { position } => {
                let is_new = head.offset == 0;
                if position.offset >= OFFSET_END || !(is_new || head.offset == position.offset) {
                    return Err(AppendError::CannotBegin { position: *position });
                }
                let kept = if is_new { u64::MAX } else { 0 };
                Ok(floor(position.epoch, kept, position.offset))
            }
        }
    }

    /// Writes what is staged and lets it be seen.
    fn commit(&mut self) -> Result<(), AppendError> {
        let Some(active) = &mut self.active else {
            return Err(AppendError::Fenced);
        };
        if self.staged.is_empty() {
            return Ok(());
        }
        if let Err(error) = active.write(&self.buffer) {
            return Err(self.take_back(error));
        }
        active.take(self.staged.len(), self.buffer.len());
        if self.fsync == Fsync::Always {
            self.sync()?;
        }
        self.show();
        Ok(())
    }

    /// Lets readers see what is staged.
    fn show(&mut self) {
        let Some(active) = &mut self.active else {
            return;
        };
        let mut index = self.shared.index_mut();
        index.active = Some((active.number(), active.bytes()));
        for (id, placed) in self.staged.drain(..) {
            if index.topic_mut(id).is_some_and(|topic| topic.append(placed)) {
                active.topics.push(id);
            }
        }
    }

    /// Makes durable what was written. Cheap when nothing was since the last time.
    ///
    /// # Errors
    /// The disk failed: what was written since the last sync may be lost, although readers still see it, and nothing is
    /// taken any more. The same sync is not tried again: the system would say that all is well.
    pub fn sync(&mut self) -> Result<(), AppendError> {
        if self.is_fenced {
            return Err(AppendError::Fenced);
        }
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        active.sync().map_err(|error| {
            self.is_fenced = true;
            AppendError::Uncertain(Arc::new(error))
        })
    }

    /// How much is kept, from now on. Applied to all topics by the next steps of [`Log::maintain`].
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.maintenance.policy_changed();
    }

    /// Makes everything durable and notes that nothing can be torn. A log that is dropped instead is opened like one
    /// whose process was killed: nothing is lost, the last segment is looked through.
    ///
    /// # Errors
    /// The disk failed.
    pub fn close(mut self) -> Result<(), AppendError> {
        self.sync()?;
        self.abandon_rewrite();
        self.manifest.closed_at = self.active.as_ref().map_or(0, Active::bytes);
        self.manifest.is_weak = false;
        self.store_manifest()
    }

    /// An error of the list of segments fences: it is written in place, where there is always room.
    pub(crate) fn store_manifest(&mut self) -> Result<(), AppendError> {
        self.manifest.store(&*self.manifest_file).map_err(|error| {
            self.is_fenced = true;
            AppendError::Uncertain(Arc::new(error))
        })
    }

    /// Fences the log after an error that leaves it unknown what is on the disk.
    pub(crate) fn fence(&mut self, error: io::Error) -> AppendError {
        self.is_fenced = true;
        AppendError::Uncertain(Arc::new(error))
    }
}

/// From the randomness of the system, by the keys that the standard library draws for its maps.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
