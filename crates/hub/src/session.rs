//! What a hub knows of one connection.

use std::net::SocketAddr;
use std::sync::Arc;

use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::Compression;
use fanfare_protocol::{
    ConnectionId, Every, Format, Millis, Publication, TagFilter, Timestamp, TopicName, UserName,
};

use crate::Leave;
use crate::access::Identity;
use crate::ask::Waiting;
use crate::demand::Demand;
use crate::input::Opened;
pub(crate) use crate::input::Role;
use crate::slow_rule::SlowRule;
use crate::topic::Wants;

/// One connection as the hub sees it.
pub(crate) struct Session {
    pub(crate) connection: ConnectionId,
    pub(crate) dialect: Dialect,
    pub(crate) compression: Compression,
    pub(crate) role: Role,
    pub(crate) state: SessionState,
    /// Who it is; `None` for an anonymous one, and before it has said so.
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) user_agent: Option<Arc<str>>,
    pub(crate) remote: SocketAddr,
    pub(crate) joined_at: Timestamp,
    pub(crate) subscriptions: Vec<Subscription>,
    /// The topics that it named when it was opened, in a dialect without commands: those that its messages go to, and those
    /// that the ids of a stream speak of. In a dialect in which clients speak first, those that the server subscribed it to.
    pub(crate) named: Box<[TopicName]>,
    /// Whether topics under the rule `conflate` may leave publications out without a word.
    pub(crate) conflates: bool,
    /// Whether pings are frames of the WebSocket where the dialect has messages for that.
    pub(crate) pings_natively: bool,
    /// Publications that it was not sent because it read too slowly.
    pub(crate) left_out: u64,
    /// When the last byte came.
    pub(crate) heard_at: Millis,
    /// When the last ping went, or the connection was opened.
    pub(crate) pinged_at: Millis,
    /// Since when the socket has taken nothing, when it is blocked.
    pub(crate) blocked_at: Millis,
    /// Whether it was pinged and no pong came yet.
    pub(crate) is_pong_due: bool,
    /// What it shares with the other connections of its user, or [`NO_USER`].
    pub(crate) user_key: u32,
    /// What it asks just now, if it does.
    pub(crate) demand: Option<Box<Demand>>,
    /// Which publications of topics it wants, where not all.
    pub(crate) filters: Option<Box<Filters>>,
    /// What comes with its subscriptions, where anything does.
    pub(crate) leaves: Option<Box<HeldLeaves>>,
    /// What it waits for the application to decide, if it does.
    pub(crate) waiting: Option<Box<Waiting>>,
}

/// Filters by topic.
pub(crate) type Filters = Vec<(TopicName, Arc<TagFilter>)>;

/// Leaves that come with something.
pub(crate) type HeldLeaves = Vec<HeldLeave>;

/// What comes with a subscription, from when that is known until it ends.
pub(crate) struct HeldLeave {
    pub(crate) topic: TopicName,
    pub(crate) leave: Leave,
    pub(crate) made_by: MadeBy,
    /// When the application may be asked to renew it; `None` while it is asked.
    pub(crate) asks_at: Option<Millis>,
}

/// Who wanted a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MadeBy {
    /// The client, by a command.
    Client,
    /// The application.
    Application,
}

/// The key of a connection without user.
pub(crate) const NO_USER: u32 = u32::MAX;

/// Where a session stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    /// It is to say who it is; nothing else is taken, and nothing delivered.
    Awaited {
        /// When it is closed unless it has.
        deadline: Millis,
    },
    /// Commands are taken, publications delivered.
    Open,
    /// A close frame is queued or written; nothing else is taken or delivered.
    Closing {
        /// When the socket is dropped whatever happens.
        deadline: Millis,
        /// Whether the client's close frame came.
        is_answered: bool,
        /// The code of whoever closed it.
        code: u16,
    },
}

/// One topic of a session, or one that a subscribe command under way will make it a member of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The topic.
    pub(crate) topic: u32,
    /// Whether it is a member already.
    pub(crate) place: Place,
}

/// How a client wants its subscriptions to be.
#[derive(Clone, Copy)]
pub(crate) struct Wishes {
    /// What to be told beside publications.
    pub(crate) wants: Wants,
    /// How to be given the publications.
    pub(crate) manner: Manner,
    /// Whether to be refused where it cannot go on from the place that it names.
    pub(crate) insists: bool,
}

/// How a member is given the publications of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// All of them, at once.
    #[default]
    AtOnce,
    /// The newest, at most that often.
    Every(Every),
    /// All of them, at once, as what has changed.
    Deltas,
    /// Those that its filter lets through, at once. The filter is the session's.
    Filtered,
}

impl From<Option<Every>> for Manner {
    fn from(every: Option<Every>) -> Self {
        every.map_or(Self::AtOnce, Self::Every)
    }
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A member.
    Member(Seat),
    /// A subscriber that has yet to read what it missed.
    CatchingUp(u32),
    /// Named by this subscribe command, which waits for the broker. A topic may be named by several.
    Joining(u32),
}

/// Where a member of a topic is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// Which audience.
    pub(crate) audience: u8,
    /// Its place there.
    pub(crate) at: u32,
}

impl Subscription {
    /// Whether it makes the session a subscriber of its topic, be it that it has yet to read what it missed.
    pub(crate) fn is_subscriber(&self) -> bool {
        matches!(self.place, Place::Member(_) | Place::CatchingUp(_))
    }
}

impl Session {
    /// That of a connection that was opened just now.
    pub(crate) fn new(opened: &Opened, state: SessionState, now: Millis) -> Self {
        let topics = opened.topics.iter().map(|wanted| wanted.topic.clone());
        let named = if opened.dialect.has_errors() {
            Box::default()
        } else {
            topics.collect()
        };
        Self {
            connection: opened.connection,
            dialect: opened.dialect,
            compression: opened.compression,
            role: opened.role,
            state,
            identity: opened.identity.clone(),
            user_agent: opened.user_agent.clone(),
            remote: opened.remote,
            joined_at: opened.joined_at,
            subscriptions: Vec::new(),
            named,
            conflates: opened.conflates,
            pings_natively: opened.pings_natively,
            left_out: 0,
            heard_at: now,
            pinged_at: now,
            blocked_at: now,
            is_pong_due: false,
            user_key: NO_USER,
            demand: None,
            filters: None,
            leaves: None,
            waiting: None,
        }
    }

    /// The user, if it has said who it is and has a name.
    pub(crate) fn user(&self) -> Option<&UserName> {
        self.identity.as_ref()?.user.as_ref()
    }

    /// Whether the application is asked about a command of it.
    pub(crate) fn is_asking(&self) -> bool {
        self.waiting
            .as_ref()
            .is_some_and(|waiting| waiting.suspended.is_some())
    }

    /// Whether it is not closing.
    pub(crate) fn is_here(&self) -> bool {
        !matches!(self.state, SessionState::Closing { .. })
    }

    /// Whether it has yet to say who it is.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self.state, SessionState::Awaited { .. })
    }

    /// What it asks just now.
    pub(crate) fn demand(&self) -> Demand {
        self.demand.as_deref().copied().unwrap_or_default()
    }

    /// It wants all of a topic again.
    pub(crate) fn forget_filter(&mut self, topic: &TopicName) {
        if let Some(filters) = &mut self.filters {
            filters.retain(|(filtered, _)| filtered != topic);
            self.filters.take_if(|filters| filters.is_empty());
        }
    }

    /// What comes with a topic, if anything does.
    pub(crate) fn leave(&mut self, topic: &TopicName) -> Option<&mut HeldLeave> {
        let mut leaves = self.leaves.iter_mut().flat_map(|leaves| leaves.iter_mut());
        leaves.find(|held| held.topic == *topic)
    }

    /// Nothing comes with a topic any more.
    pub(crate) fn forget_leave(&mut self, topic: &TopicName) {
        self.retain_leaves(|held| held.topic != *topic);
    }

    /// Forgets the leaves that are not to be kept.
    pub(crate) fn retain_leaves(&mut self, is_kept: impl FnMut(&HeldLeave) -> bool) {
        if let Some(leaves) = &mut self.leaves {
            leaves.retain(is_kept);
            self.leaves.take_if(|leaves| leaves.is_empty());
        }
    }

    /// How others see it in a topic, beside how they see it everywhere.
    pub(crate) fn topic_info(&self, topic: &TopicName) -> Option<&Arc<str>> {
        let mut leaves = self.leaves.iter().flat_map(|leaves| leaves.iter());
        leaves.find(|held| held.topic == *topic)?.leave.info.as_ref()
    }

    /// Whether it wants a publication of a topic, by its tags.
    pub(crate) fn wants(&self, publication: &Publication) -> bool {
        let draft = &publication.draft;
        let mut filters = self.filters.iter().flat_map(|filters| filters.iter());
        let filter = filters.find(|(topic, _)| *topic == draft.topic);
        filter.is_none_or(|(_, filter)| filter.matches(draft.tags.as_ref()))
    }

    /// What it asks just now, to be changed.
    pub(crate) fn demand_mut(&mut self) -> &mut Demand {
        self.demand.get_or_insert_default()
    }

    /// Whether it can subscribe anew by itself to what it has lost.
    pub(crate) fn resubscribes(&self) -> bool {
        self.dialect.is_hailed() && !self.dialect.is_unidirectional()
    }

    /// What it is sent.
    pub(crate) fn format(&self) -> Format {
        Format::of(self.dialect, self.compression)
    }

    /// Which of a topic's audiences it belongs to, unless it wants a topic at its own pace.
    pub(crate) fn audience(&self) -> usize {
        match self.role {
            Role::Subscriber => self.format().index(),
            Role::Publisher => SILENT,
        }
    }

    /// Whether the publications of a topic carry ids of its own: a stream that has not asked for this topic alone. The
    /// server's topics carry none.
    pub(crate) fn is_numbered(&self, topic: &TopicName) -> bool {
        self.dialect.has_ids() && !topic.is_reserved() && *self.named != [topic.clone()]
    }

    /// Its place among the members of `topic`, if it is one.
    pub(crate) fn seat(&mut self, topic: u32) -> Option<&mut Seat> {
        self.subscriptions.iter_mut().find_map(|s| match &mut s.place {
            Place::Member(seat) if s.topic == topic => Some(seat),
            _ => None,
        })
    }

    /// Whether publications may be left out for it under a rule: it can be told, or has chosen to do without.
    pub(crate) fn may_miss(&self, rule: SlowRule) -> bool {
        self.dialect.has_notices() || (self.conflates && rule == SlowRule::Conflate)
    }

    /// Its subscription to `topic`, or a command that will make one.
    pub(crate) fn subscription(&self, topic: u32) -> Option<&Subscription> {
        let mut of_topic = self.subscriptions.iter().filter(|s| s.topic == topic);
        let first = of_topic.next()?;
        // A topic may be named by several commands.
        Some(of_topic.find(|s| s.is_subscriber()).unwrap_or(first))
    }

    /// Whether it is a subscriber of `topic`.
    pub(crate) fn is_subscriber(&self, topic: u32) -> bool {
        self.subscriptions
            .iter()
            .any(|s| s.topic == topic && s.is_subscriber())
    }

    /// The subscription to `topic` that its command `key` is about to make, unless the client unsubscribed since.
    pub(crate) fn joining(&mut self, topic: u32, key: u32) -> Option<&mut Subscription> {
        let is_joining = |s: &&mut Subscription| s.topic == topic && s.place == Place::Joining(key);
        self.subscriptions.iter_mut().find(is_joining)
    }

    /// What it has yet to read of `topic`, if it does.
    pub(crate) fn comer_of(&self, topic: u32) -> Option<u32> {
        self.subscriptions.iter().find_map(|s| match s.place {
            Place::CatchingUp(comer) if s.topic == topic => Some(comer),
            _ => None,
        })
    }

    /// What it has yet to read, in the order in which it asked for it.
    pub(crate) fn comers(&self) -> impl Iterator<Item = u32> {
        self.subscriptions.iter().filter_map(|s| match s.place {
            Place::CatchingUp(comer) => Some(comer),
            _ => None,
        })
    }

    /// Whether it is a member of `topic` in the audience of its format.
    pub(crate) fn is_at_once(&self, topic: u32) -> bool {
        let audience = self.audience();
        self.subscriptions.iter().any(|s| {
            s.topic == topic
                && matches!(s.place, Place::Member(seat) if usize::from(seat.audience) == audience)
        })
    }
}

/// The audience of those that want a topic at their own pace, whatever their format.
pub(crate) const PACED: usize = Format::ALL.len();

/// The audience of those whose publications carry ids of their own: streams of several topics.
pub(crate) const NUMBERED: usize = PACED + 1;

/// The audience of those that get what has changed, whatever their dialect.
pub(crate) const DELTAS: usize = NUMBERED + 1;

/// The audience of those that want some by their tags, whatever their dialect.
pub(crate) const FILTERED: usize = DELTAS + 1;

/// The audience of those that belong to a topic but receive nothing.
pub(crate) const SILENT: usize = FILTERED + 1;

/// How many audiences a topic has: one per format, the paced, the numbered, those of deltas and filters, and the silent.
pub(crate) const AUDIENCES: usize = SILENT + 1;
