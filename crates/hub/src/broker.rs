//! The contract of a broker: the only place where order is made.
//!
//! A broker keeps one log per topic. [`Broker::publish`] appends to it, gives the publication its offset and, before
//! any other publication of that topic can pass, posts it to every outlet that joined the topic. An *outlet* is where
//! a shard takes its mail; whatever a broker has to say to a shard goes through it, so that a join, what is read of the
//! history and the live publications arrive in one order: whoever has read up to the end knows what comes next.
//!
//! [`crate::conformance`] tests what is written here; every broker runs it.

mod asked;

use std::sync::Arc;
use std::task::Poll;

use crate::roster::{Change, RosterDiff, RosterPage, Version};
use fanfare_protocol::{ConnectionId, Draft, Epoch, Loss, Position, Publication, Timestamp, TopicName};

/// Which outlet, as [`Broker::attach`] named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutletId(pub u32);

/// Which publish, as its caller named it; given back when the answer comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublishId(pub u64);

/// Which read, as its caller named it; given back with the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadId(pub u64);

/// Where a broker posts its events: the bounded mailbox of a shard.
pub trait Outlet: Send + Sync {
    /// Sets one place aside for a publication of so many bytes, as [`Draft::bytes`] counts them; false when the mailbox
    /// is full, of publications or of bytes. An empty one has a place for any publication. Never blocks.
    fn try_reserve(&self, bytes: usize) -> bool;

    /// Gives back a place of so many bytes that [`Outlet::try_reserve`] set aside and that is not needed.
    fn cancel(&self, bytes: usize);

    /// Posts a publication into a place set aside for it before. Never blocks, never fails.
    fn post_reserved(&self, publication: Arc<Publication>);

    /// Posts an answer to a request of the outlet's own shard. Never blocks, never fails: a shard bounds its own
    /// requests.
    fn post(&self, answer: BrokerEvent);
}

/// What a broker says to a shard.
#[derive(Clone, Debug)]
pub enum BrokerEvent {
    /// A publication of a joined topic.
    Publication(Arc<Publication>),
    /// The answer to [`Broker::join`].
    Joined {
        /// The topic.
        topic: TopicName,
        /// Where its log stands: publications behind this event follow without a gap. Or why it cannot be joined now.
        outcome: Result<Position, Refusal>,
    },
    /// The answer to [`Broker::read`].
    Read {
        /// The read.
        read: ReadId,
        /// What was read, or why nothing can be read now.
        outcome: Result<Page, Refusal>,
    },
    /// The answer to a [`Broker::publish`] that was still pending.
    Published {
        /// The publish.
        publish: PublishId,
        /// Its place, or why there is none.
        outcome: Result<Published, Refusal>,
    },
}

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where its publication stands.
    pub position: Position,
    /// Whether nothing was appended and nobody gets anything: one with the same idempotency key was published already and
    /// stands there, or a newer [state](fanfare_protocol::StateVersion), and there the topic stands.
    pub is_repetition: bool,
}

impl Published {
    /// It was appended here.
    pub fn first(position: Position) -> Self {
        Self {
            position,
            is_repetition: false,
        }
    }

    /// What it repeats stands here.
    pub fn again(position: Position) -> Self {
        Self {
            position,
            is_repetition: true,
        }
    }
}

/// What to read of a topic's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// From where, and in which direction.
    pub start: Start,
    /// Publications at most; 0 only finds the place.
    pub publications_max: usize,
    /// Bytes of publications at most, as [`Draft::bytes`] counts them. The first may be longer than that.
    pub bytes_max: usize,
}

/// Where a reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest that is kept; forward.
    Oldest,
    /// Behind this place; forward.
    After(Position),
    /// With the oldest that is kept and was taken in at this time or later; forward. Where the clock was set back in between,
    /// near it.
    At(Timestamp),
    /// With so many of the newest; forward.
    Last(usize),
    /// Before this place; backward, newest first.
    Before(Position),
}

impl Start {
    /// The offset that a reading begins behind or, backward, before, in a log that stands at `end` and has everything from
    /// the offset `oldest` on; and why not at the place that was asked for. A [time](Start::At) is only known to whoever
    /// has the publications: with that it begins with the oldest.
    pub fn find(self, end: Position, oldest: u64) -> (u64, Option<Loss>) {
        let beginning = oldest - 1;
        let is_other = |place: Position| place.epoch != end.epoch && place.epoch != Epoch::ANY;
        match self {
            Self::Oldest | Self::At(_) => (beginning, None),
            Self::Last(count) => (end.offset.saturating_sub(count as u64).max(beginning), None),
            Self::After(place) if is_other(place) => (beginning, Some(Loss::EpochChanged)),
            Self::After(place) if place.offset > end.offset => (end.offset, Some(Loss::Ahead)),
            Self::After(place) if place.offset < beginning => (beginning, Some(Loss::TooOld)),
            Self::After(place) => (place.offset, None),
            Self::Before(place) if is_other(place) => (end.offset + 1, Some(Loss::EpochChanged)),
            Self::Before(place) => (place.offset.clamp(oldest, end.offset + 1), None),
        }
    }
}

impl Read {
    /// Whether publications fit into its bytes, asked for one after the other; the first does.
    pub fn fits(&self) -> impl FnMut(&&Arc<Publication>) -> bool + use<> {
        let (mut bytes, bytes_max) = (0, self.bytes_max);
        move |publication| {
            let is_first = bytes == 0;
            bytes += publication.draft.bytes();
            is_first || bytes <= bytes_max
        }
    }
}

/// Publications that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Forward, the place that the reading begins behind: the next publication is the first one given, or, where none is,
    /// the first that comes. Backward, the place that it begins before.
    pub start: Position,
    /// Where the log stands. To an outlet that joined the topic, publications up to here were posted before the page, and
    /// all others come behind it.
    pub end: Position,
    /// The offset of the oldest publication kept; where none is, that of the next one to come.
    pub oldest: u64,
    /// Why the reading does not begin at the place that was asked for, if it does not: [`Loss::TooOld`] and
    /// [`Loss::EpochChanged`] begin with the oldest that is kept, [`Loss::Ahead`] at the end.
    pub lost: Option<Loss>,
    /// The publications: consecutive, as many as there are within the bounds of the reading.
    pub publications: Vec<Arc<Publication>>,
}

/// Why a broker did not do what it was asked. Nothing was appended, but for [`Refusal::OutcomeUnknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The mailbox of a shard that wants the topic is full.
    #[error("a shard that has subscribers of the topic is behind, publish again in a moment")]
    Overloaded,
    /// The broker cannot be reached.
    #[error("the broker does not answer, publish again later")]
    Unavailable,
    /// There is no room on the disk for a publication of a durable topic.
    #[error("there is no room on the disk for a durable topic, publish again when there is")]
    StorageFull,
    /// The publication was written and could not be made durable: nobody knows whether it is stored. If it is, it is there
    /// after a restart; nobody gets it before.
    #[error(
        "the disk failed, and whether the publication is stored is not known; publish it again with the same idempotency key after a restart"
    )]
    OutcomeUnknown,
    /// The topic takes so many publications of clients in a time and no more.
    #[error("the topic takes no more publications now, publish again in {retry_after_ms} ms")]
    RateLimited {
        /// When it may take one again, in milliseconds from now.
        retry_after_ms: u64,
    },
    /// There are as many topics as there may be, and this would be another one.
    #[error("the server holds as many topics as it may, use one that exists or ask again later")]
    TooManyTopics,
    /// The topic does not stand where it was expected to.
    #[error(
        "the topic stands at {position} and not where it was expected to; read what is new and publish again"
    )]
    Conflict {
        /// Where it stands.
        position: Position,
    },
}

/// A page of topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPage {
    /// Topics with their subscribers and position, in the broker's own order.
    pub topics: Vec<TopicRow>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<u64>,
}

/// One topic of a [`TopicPage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRow {
    /// Its name.
    pub topic: TopicName,
    /// Connections subscribed to it, as last reported.
    pub subscribers: u64,
    /// Where its log stands.
    pub position: Position,
    /// Publications kept.
    pub history: usize,
}

/// Makes the order of publications and tells every shard that wants them.
///
/// All methods return at once. What takes time is answered later through the outlet.
pub trait Broker: Send + Sync {
    /// Names an outlet. It gets nothing until it joins a topic.
    fn attach(&self, outlet: Arc<dyn Outlet>) -> OutletId;

    /// Forgets an outlet whose owner lost its state or is done: it leaves every topic, and its subscribers with it. When this
    /// returns nothing is posted to it any more, neither publications nor answers to what was asked in its name, and
    /// every place set aside in it was used or given back. The id is not used again by its owner, who may attach the
    /// same mailbox anew. Costs a look at every topic, unless it
    /// has left all that it joined.
    fn detach(&self, outlet: OutletId);

    /// Appends to the topic's log and posts to all its outlets, or appends nothing at all. Ready when the place is
    /// known at once; pending when [`BrokerEvent::Published`] will tell `outlet`.
    ///
    /// Of publications with the same topic and [idempotency key](Draft::idempotency_key) one is appended within the
    /// broker's window, however many publish at the same time; the others are told its place. What was refused is not
    /// known by its key. One that [expects](Draft::expected) the topic to stand somewhere is appended there or not at
    /// all: then it is told where the topic stands, and one that expects that is appended if no other came in between,
    /// be it the first of its topic. One that is [out of date](fanfare_protocol::StateVersion::is_outdated_by) is not
    /// appended, while the topic is in use at least: it is told where the topic stands, or where the newer one does. A known
    /// key is looked at before anything else, and then the version.
    fn publish(&self, draft: Draft, outlet: OutletId, publish: PublishId)
    -> Poll<Result<Published, Refusal>>;

    /// From the answering [`BrokerEvent::Joined`] on, `outlet` gets every publication of `topic`. A refused join has
    /// changed nothing and may be asked again.
    fn join(&self, outlet: OutletId, topic: &TopicName);

    /// Reads publications of `topic`, which `outlet` need not have joined, and tells it in a [`BrokerEvent::Read`]. A topic
    /// that does not exist is empty, stands where a first publication may expect it, and is not made by that.
    fn read(&self, outlet: OutletId, topic: &TopicName, read: Read, id: ReadId);

    /// From now on, `outlet` is posted no publication of `topic`; some may still stand in its mailbox. Nothing, for a
    /// topic that it has not joined or whose join was refused.
    fn leave(&self, outlet: OutletId, topic: &TopicName);

    /// Takes note that `outlet` has this many subscribers of `topic`, which it has joined.
    fn report(&self, outlet: OutletId, topic: &TopicName, subscribers: u32);

    /// Takes note of who came to `topic` and who went, among the subscribers of `outlet`, which has joined it. Whoever came
    /// goes with the outlet when that leaves. Told only of topics whose rule says so.
    fn attend(&self, outlet: OutletId, topic: &TopicName, changes: Vec<Change>);

    /// At most `count` of those in `topic` over all outlets, behind `after` or the first. Nobody, where nobody was told of.
    fn roster(&self, topic: &str, after: Option<ConnectionId>, count: usize) -> RosterPage;

    /// What has changed in `topic` since a version that this told; and where that is lost, or in any case, the first
    /// `count` of everyone, as of the same moment.
    fn survey(&self, topic: &str, since: Version, is_all: bool, count: usize) -> RosterDiff;

    /// Subscribers of `topic` over all outlets, as last reported.
    fn subscribers(&self, topic: &str) -> u64;

    /// At most `count` topics that have subscribers or history, from `cursor` (0 at first). Topics that come or go
    /// between two pages may be missed; none is given twice.
    fn topics(&self, cursor: u64, count: usize) -> TopicPage;
}
