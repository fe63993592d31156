//! The least broker that keeps the contract, and every way of breaking it.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "brokers are called from many threads and may have their own; the hub has none"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use fanfare_hub::broker::{
    Broker, BrokerEvent, Outlet, OutletId, Page, PublishId, Published, Read, ReadId, Refusal, Start,
    TopicPage, TopicRow,
};
use fanfare_hub::{Change, History, Retention, Roster, RosterDiff, RosterPage, Version};
use fanfare_protocol::{
    ConnectionId, Draft, Epoch, IdempotencyKey, Loss, Position, Publication, StateVersion, TopicName,
};

/// Declares the ways of breaking the contract.
macro_rules! faults {
    ($($fault:ident)+) => {
        /// A way of breaking the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Fault { None, $($fault),+ }

        impl Fault {
            /// Every one of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$fault),+];
        }
    };
}

faults! {
    OffsetsBeginAtZero
    OffsetLostWhenRefused
    PlacesNotGivenBack
    BytesNotCounted
    BytesNotGivenBack
    SomeGetWhatWasRefused
    NobodyIsRefused
    PublisherLeftOut
    LeaveIgnored
    DetachIgnored
    DetachLeavesOneTopic
    DetachedIsAnswered
    AllOutletsGetAll
    JoinedAfterNext
    ReadTwice
    ReadCutShort
    ReadBackwardForward
    ReadUnbounded
    ReadBytesUnbounded
    ReadFromNow
    ReadMakesTopics
    ReadOutOfOrder
    OldestUntold
    EpochsAlike
    FutureKnown
    TooOldKnown
    EpochReused
    TopicsNeverEnd
    ReportsAdded
    PagesOverlap
    PagesTooLong
    DraftChanged
    PayloadsSwapped
    RepetitionAppended
    RepetitionPosted
    RepetitionTakesAPlace
    RepetitionToldTheEnd
    KeysOfAllTopicsAlike
    KeysAllAlike
    KeyBehindTheRest
    RefusedIsKnown
    KeysEndWithTopics
    KeysRace
    ExpectedIgnored
    ExpectedEpochIgnored
    ExpectedPassed
    ConflictTakesAPlace
    ConflictMisplaced
    FirstIsNeverExpected
    ExpectedRaces
    VersionIgnored
    VersionsOfAllTopicsAlike
    VersionEpochIgnored
    OutdatedPlaced
    OutdatedToldItsPlace
    RefusedOutdates
    NobodyGoes
    WhoLeavesStays
    RosterPagesOverlap
    ChangesHidden
    ChangesToldTwice
}

/// The least broker that keeps the contract, with one fault.
pub(crate) struct Model {
    fault: Fault,
    history: usize,
    is_late: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By id; none where it is detached.
    outlets: Vec<Option<Arc<dyn Outlet>>>,
    topics: BTreeMap<TopicName, Log>,
    places: BTreeMap<(TopicName, IdempotencyKey), Position>,
    versions: BTreeMap<TopicName, (StateVersion, Position)>,
    epochs: u64,
}

struct Log {
    position: Position,
    joined: BTreeMap<u32, u32>,
    history: History,
    roster: Roster,
    /// The shard of each outlet that told who is there.
    shards: BTreeMap<u32, usize>,
}

impl Model {
    pub(crate) fn make(fault: Fault, history: usize, is_late: bool) -> Arc<dyn Broker> {
        Arc::new(Self {
            fault,
            history,
            is_late,
            state: Arc::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, draft: Draft, publisher: OutletId) -> Result<Published, Refusal> {
        let key = self.key_of(&draft);
        let mut state = self.lock();
        if self.fault == Fault::KeyBehindTheRest {
            self.check_expected(&mut state, &draft)?;
        }
        if let Some(position) = key.as_ref().and_then(|key| state.places.get(key).copied()) {
            return Ok(Published::again(self.repeat(&mut state, draft, position)));
        }
        state = self.let_others_in(state, Fault::KeysRace);
        if let Some(place) = self.outdated(&mut state, &draft) {
            return Ok(Published::again(place));
        }
        let versioned = self.versioned(&draft);
        self.check_expected(&mut state, &draft)?;
        state = self.let_others_in(state, Fault::ExpectedRaces);
        let appended = self.append(&mut state, draft, publisher);
        if let Some((topic, version)) = versioned
            && (appended.is_ok() || self.fault == Fault::RefusedOutdates)
        {
            let place = appended.unwrap_or_default();
            state.versions.insert(topic, (version, place));
        }
        if let Some(key) = key
            && (appended.is_ok() || self.fault == Fault::RefusedIsKnown)
        {
            state.places.insert(key, appended.unwrap_or_default());
        }
        self.end_unused(&mut state);
        appended.map(Published::first)
    }

    /// What a publication is known by.
    fn key_of(&self, draft: &Draft) -> Option<(TopicName, IdempotencyKey)> {
        let key = draft.idempotency_key.clone()?;
        match self.fault {
            Fault::RepetitionAppended => None,
            Fault::KeysOfAllTopicsAlike => Some((TopicName::all(), key)),
            Fault::KeysAllAlike => Some((draft.topic.clone(), IdempotencyKey::parse("any").ok()?)),
            _ => Some((draft.topic.clone(), key)),
        }
    }

    /// What the topic has with this publication, if that matters.
    fn versioned(&self, draft: &Draft) -> Option<(TopicName, StateVersion)> {
        let mut version = StateVersion::clone(draft.version.as_ref()?);
        match self.fault {
            Fault::VersionIgnored => None,
            Fault::VersionsOfAllTopicsAlike => Some((TopicName::all(), version)),
            Fault::VersionEpochIgnored => {
                version.epoch = None;
                Some((draft.topic.clone(), version))
            }
            _ => Some((draft.topic.clone(), version)),
        }
    }

    /// Where the topic is said to stand, where a publication is out of date.
    fn outdated(&self, state: &mut State, draft: &Draft) -> Option<Position> {
        let (topic, version) = self.versioned(draft)?;
        let (newest, place) = state.versions.get(&topic)?;
        if !version.is_outdated_by(newest) {
            return None;
        }
        let place = *place;
        let Some(log) = state.topics.get_mut(&draft.topic) else {
            return Some(place);
        };
        log.position.offset += u64::from(self.fault == Fault::OutdatedPlaced);
        Some(match self.fault {
            Fault::OutdatedToldItsPlace => place,
            _ => log.position,
        })
    }

    /// Where the publication is said to stand that this one repeats.
    fn repeat(&self, state: &mut State, draft: Draft, position: Position) -> Position {
        let Some(log) = state.topics.get_mut(&draft.topic) else {
            return position;
        };
        match self.fault {
            Fault::RepetitionTakesAPlace => log.position.offset += 1,
            Fault::RepetitionToldTheEnd => return log.position,
            Fault::RepetitionPosted => {
                let bytes = draft.bytes();
                let publication = Arc::new(Publication { draft, position });
                for outlet in log
                    .joined
                    .keys()
                    .filter_map(|&id| state.outlets[id as usize].as_ref())
                {
                    if outlet.try_reserve(bytes) {
                        outlet.post_reserved(Arc::clone(&publication));
                    }
                }
            }
            _ => {}
        }
        position
    }

    fn check_expected(&self, state: &mut State, draft: &Draft) -> Result<(), Refusal> {
        let Some(expected) = draft.expected.filter(|_| self.fault != Fault::ExpectedIgnored) else {
            return Ok(());
        };
        let first = self.first(state.epochs);
        let position = state.topics.get(&draft.topic).map_or(first, |log| log.position);
        let is_met = match self.fault {
            Fault::ExpectedEpochIgnored => expected.offset == position.offset,
            Fault::ExpectedPassed => expected.epoch == position.epoch && expected.offset <= position.offset,
            _ => expected == position,
        };
        if is_met {
            return Ok(());
        }
        if let Some(log) = state.topics.get_mut(&draft.topic)
            && self.fault == Fault::ConflictTakesAPlace
        {
            log.position.offset += 1;
        }
        Err(Refusal::Conflict {
            position: match self.fault {
                Fault::ConflictMisplaced => expected,
                _ => position,
            },
        })
    }

    /// Where a topic stands that does not exist.
    fn first(&self, epochs: u64) -> Position {
        let epoch = match self.fault {
            Fault::FirstIsNeverExpected => u64::MAX,
            _ => epochs + 1,
        };
        Log::new(epoch).position
    }

    /// With that fault, what was looked at may have changed since.
    fn let_others_in<'a>(&'a self, state: MutexGuard<'a, State>, fault: Fault) -> MutexGuard<'a, State> {
        if self.fault != fault {
            return state;
        }
        drop(state);
        std::thread::sleep(Duration::from_millis(1));
        self.lock()
    }

    fn append(&self, state: &mut State, draft: Draft, publisher: OutletId) -> Result<Position, Refusal> {
        let State {
            outlets,
            topics,
            epochs,
            ..
        } = state;
        let log = topics.entry(draft.topic.clone()).or_insert_with(|| {
            *epochs += 1;
            Log::new(*epochs)
        });
        let wanted: Vec<u32> = match self.fault {
            Fault::AllOutletsGetAll => (0..outlets.len() as u32)
                .filter(|&id| outlets[id as usize].is_some())
                .collect(),
            _ => log.joined.keys().copied().collect(),
        };
        let outlets: Vec<_> = wanted
            .iter()
            .filter_map(|&id| outlets[id as usize].clone())
            .collect();
        let bytes = match self.fault {
            Fault::BytesNotCounted => 0,
            _ => draft.bytes(),
        };
        let reserved = outlets
            .iter()
            .take_while(|outlet| outlet.try_reserve(bytes))
            .count();
        let is_refused = reserved < wanted.len() && self.fault != Fault::NobodyIsRefused;
        if is_refused {
            self.refuse(log, &draft, &outlets[..reserved]);
            return Err(Refusal::Overloaded);
        }
        log.position.offset += 1;
        let position = log.position;
        let publication = Arc::new(Publication {
            draft: self.spoilt(draft, position),
            position,
        });
        for (&id, outlet) in wanted.iter().zip(&outlets[..reserved]) {
            if self.fault == Fault::PublisherLeftOut && id == publisher.0 {
                outlet.cancel(bytes);
            } else {
                outlet.post_reserved(Arc::clone(&publication));
            }
        }
        let retention = Retention {
            publications_max: self.history,
            ..Retention::default()
        };
        log.history.keep(publication, &retention);
        Ok(match self.fault {
            Fault::OffsetsBeginAtZero => Position {
                offset: position.offset - 1,
                ..position
            },
            _ => position,
        })
    }

    fn refuse(&self, log: &mut Log, draft: &Draft, reserved: &[Arc<dyn Outlet>]) {
        if self.fault == Fault::OffsetLostWhenRefused {
            log.position.offset += 1;
        }
        for outlet in reserved {
            match self.fault {
                Fault::PlacesNotGivenBack => {}
                Fault::SomeGetWhatWasRefused => outlet.post_reserved(Arc::new(Publication {
                    draft: draft.clone(),
                    position: log.position,
                })),
                Fault::BytesNotGivenBack => outlet.cancel(0),
                _ => outlet.cancel(draft.bytes()),
            }
        }
    }

    fn spoilt(&self, mut draft: Draft, position: Position) -> Draft {
        if self.fault == Fault::DraftChanged {
            draft.except = None;
        }
        if self.fault == Fault::PayloadsSwapped && position.offset.is_multiple_of(2) {
            draft.payload = fanfare_protocol::Payload::text("another");
        }
        draft
    }

    fn end_unused(&self, state: &mut State) {
        if self.fault != Fault::TopicsNeverEnd {
            state
                .topics
                .retain(|_, log| !log.joined.is_empty() || !log.history.is_empty());
        }
        if self.fault == Fault::KeysEndWithTopics {
            let State { topics, places, .. } = state;
            places.retain(|(topic, _), _| topics.contains_key(topic));
        }
    }

    fn page(&self, log: &Log, read: &Read) -> Page {
        let mut page = log.history.read(log.position, &self.misread(log, *read));
        let is_loss = |loss: Loss| page.lost == Some(loss);
        match self.fault {
            Fault::ReadCutShort => drop(page.publications.pop()),
            Fault::ReadTwice => page.publications.extend(page.publications.first().cloned()),
            Fault::ReadBackwardForward if matches!(read.start, Start::Before(_)) => {
                page.publications.reverse();
            }
            Fault::EpochsAlike if is_loss(Loss::EpochChanged) => page.lost = None,
            Fault::FutureKnown if is_loss(Loss::Ahead) => page.lost = None,
            Fault::TooOldKnown if is_loss(Loss::TooOld) => page.lost = None,
            Fault::OldestUntold if page.lost.is_some() => page.start = page.end,
            _ => {}
        }
        page
    }

    fn misread(&self, log: &Log, mut read: Read) -> Read {
        match self.fault {
            Fault::ReadUnbounded => read.publications_max = usize::MAX,
            Fault::ReadBytesUnbounded => read.bytes_max = usize::MAX,
            Fault::ReadFromNow if matches!(read.start, Start::At(_)) => {
                read.start = Start::After(log.position);
            }
            _ => {}
        }
        read
    }
}

impl Log {
    fn new(epoch: u64) -> Self {
        let epoch = Epoch(epoch);
        Self {
            position: Position { epoch, offset: 0 },
            joined: BTreeMap::new(),
            history: History::default(),
            roster: Roster::new(epoch.0),
            shards: BTreeMap::new(),
        }
    }

    fn lose(&mut self, outlet: OutletId, fault: Fault) {
        self.joined.remove(&outlet.0);
        if let Some(shard) = self.shards.remove(&outlet.0)
            && fault != Fault::WhoLeavesStays
        {
            self.roster.go_all(shard);
        }
    }
}

impl Broker for Model {
    fn attach(&self, outlet: Arc<dyn Outlet>) -> OutletId {
        let mut state = self.lock();
        state.outlets.push(Some(outlet));
        OutletId(state.outlets.len() as u32 - 1)
    }

    fn detach(&self, outlet: OutletId) {
        let mut state = self.lock();
        let left_out = usize::from(self.fault == Fault::DetachLeavesOneTopic);
        if self.fault != Fault::DetachIgnored {
            for log in state.topics.values_mut().skip(left_out) {
                log.lose(outlet, self.fault);
            }
        }
        self.end_unused(&mut state);
        if !matches!(self.fault, Fault::DetachIgnored | Fault::DetachedIsAnswered) {
            state.outlets[outlet.0 as usize] = None;
        }
    }

    fn publish(
        &self,
        draft: Draft,
        outlet: OutletId,
        publish: PublishId,
    ) -> Poll<Result<Published, Refusal>> {
        let outcome = self.take_in(draft, outlet);
        if !self.is_late {
            return Poll::Ready(outcome);
        }
        let state = Arc::clone(&self.state);
        std::thread::spawn(move || {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(mailbox) = &state.outlets[outlet.0 as usize] {
                mailbox.post(BrokerEvent::Published { publish, outcome });
            }
        });
        Poll::Pending
    }

    fn join(&self, outlet: OutletId, topic: &TopicName) {
        let mut state = self.lock();
        let State {
            outlets,
            topics,
            epochs,
            ..
        } = &mut *state;
        let log = topics.entry(topic.clone()).or_insert_with(|| {
            *epochs += u64::from(self.fault != Fault::EpochReused);
            Log::new(*epochs)
        });
        log.joined.insert(outlet.0, 0);
        let mut position = log.position;
        if self.fault == Fault::JoinedAfterNext {
            position.offset = position.offset.saturating_sub(1);
        }
        if let Some(mailbox) = &outlets[outlet.0 as usize] {
            mailbox.post(BrokerEvent::Joined {
                topic: topic.clone(),
                outcome: Ok(position),
            });
        }
    }

    fn read(&self, outlet: OutletId, topic: &TopicName, read: Read, id: ReadId) {
        let mut state = self.lock();
        let State {
            outlets,
            topics,
            epochs,
            ..
        } = &mut *state;
        let mut nothing = Log::new(self.first(*epochs).epoch.0);
        let log = match self.fault {
            Fault::ReadMakesTopics => topics.entry(topic.clone()).or_insert_with(|| {
                *epochs += 1;
                Log::new(*epochs)
            }),
            _ => topics.get_mut(topic).unwrap_or(&mut nothing),
        };
        let page = self.page(log, &read);
        let Some(mailbox) = outlets[outlet.0 as usize].clone() else {
            return;
        };
        let post = move || {
            mailbox.post(BrokerEvent::Read {
                read: id,
                outcome: Ok(page),
            });
        };
        if self.fault == Fault::ReadOutOfOrder {
            std::thread::spawn(post);
        } else {
            post();
        }
    }

    fn attend(&self, outlet: OutletId, topic: &TopicName, changes: Vec<Change>) {
        let mut state = self.lock();
        let Some(log) = state.topics.get_mut(topic) else {
            return;
        };
        for change in changes {
            match &change {
                Change::Came(attendee) => {
                    log.shards.insert(outlet.0, attendee.connection.shard());
                }
                Change::Went(_) if self.fault == Fault::NobodyGoes => continue,
                Change::Went(_) => {}
            }
            log.roster.apply(change);
        }
    }

    fn roster(&self, topic: &str, after: Option<ConnectionId>, count: usize) -> RosterPage {
        let state = self.lock();
        let after = after.filter(|_| self.fault != Fault::RosterPagesOverlap);
        let log = state.topics.get(topic);
        log.map_or_else(RosterPage::default, |log| log.roster.page(after, count))
    }

    fn survey(&self, topic: &str, since: Version, is_all: bool, count: usize) -> RosterDiff {
        let mut state = self.lock();
        let log = state.topics.get_mut(topic);
        let mut diff = log.map_or_else(RosterDiff::default, |log| log.roster.survey(since, is_all, count));
        match self.fault {
            Fault::ChangesHidden => diff.is_lost = false,
            Fault::ChangesToldTwice => diff.version = since,
            _ => {}
        }
        diff
    }

    fn leave(&self, outlet: OutletId, topic: &TopicName) {
        let mut state = self.lock();
        if self.fault != Fault::LeaveIgnored
            && let Some(log) = state.topics.get_mut(topic)
        {
            log.lose(outlet, self.fault);
        }
        self.end_unused(&mut state);
    }

    fn report(&self, outlet: OutletId, topic: &TopicName, subscribers: u32) {
        let mut state = self.lock();
        let log = state.topics.get_mut(topic);
        if let Some(count) = log.and_then(|log| log.joined.get_mut(&outlet.0)) {
            *count = match self.fault {
                Fault::ReportsAdded => *count + subscribers,
                _ => subscribers,
            };
        }
    }

    fn subscribers(&self, topic: &str) -> u64 {
        let state = self.lock();
        let log = state.topics.get(topic);
        log.map_or(0, |log| log.joined.values().map(|&count| u64::from(count)).sum())
    }

    fn topics(&self, cursor: u64, count: usize) -> TopicPage {
        let state = self.lock();
        let taken = count + usize::from(self.fault == Fault::PagesTooLong);
        let row = |(topic, log): (&TopicName, &Log)| TopicRow {
            topic: topic.clone(),
            subscribers: log.joined.values().map(|&count| u64::from(count)).sum(),
            position: log.position,
            history: log.history.len(),
        };
        let rows = state.topics.iter().skip(cursor as usize);
        let topics: Vec<_> = rows.take(taken).map(row).collect();
        let next = cursor + topics.len() as u64;
        let step_back = u64::from(self.fault == Fault::PagesOverlap && topics.len() > 1);
        TopicPage {
            next: (next < state.topics.len() as u64).then_some(next - step_back),
            topics,
        }
    }
}
