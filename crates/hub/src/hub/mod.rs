//! The hub itself: one value that takes inputs in and gives outputs out. Split by what is asked of it.

mod asking;
mod behind;
mod catching_up;
mod closing;
mod commands;
mod deltas;
mod fan_out;
mod filtering;
mod gathering;
mod hailing;
mod leaves;
mod listing;
mod numbering;
mod pacing;
mod presence;
mod rates;
mod reading;
mod refreshing;
mod renewing;
mod seats;
mod subscribing;
mod timers;

use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;

use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{ConnectionId, Millis, Push, Reply, TopicName, Welcome};
use foldhash::fast::FixedState;
use slab::Slab;

use crate::access::TopicRules;
use crate::ask::{Admission, Concerns, Newcomer};
use crate::broker::BrokerEvent;
use crate::encoder::Encoder;
use crate::frames::{FrameId, Frames};
use crate::limits::AUTH_MESSAGE_BYTES_MAX;
use crate::missed::Notices;
use crate::outbox::{DirtyMark, Lane, Outbox};
use crate::replays::Replays;
use crate::session::{Session, SessionState, Wishes};
use crate::topic::{Topic, Wants};
use crate::{Counters, Input, Limits, Now, Opened, Output};

use catching_up::Comer;
use gathering::Gathering;
pub use listing::{ConnectionRow, Gauges, Listed};
pub(crate) use presence::Look;
pub use presence::SURVEY_PAGE;
use rates::Rates;
pub use rates::Received;
use reading::Reading;
use subscribing::Pending;
use timers::{Drain, Sweep, Watched};

/// The state machine of one shard: its sessions, topics and outboxes. See the crate's front page.
pub struct Hub {
    limits: Limits,
    rules: Arc<TopicRules>,
    now: Now,
    /// Sessions by slot; `outboxes` has one for each, apart because the fan-out touches nothing else.
    sessions: Vec<Option<Session>>,
    outboxes: Vec<Outbox>,
    open: usize,
    /// Connections that have yet to say who they are.
    awaited: usize,
    /// Connections whose socket is blocked.
    blocked: usize,
    topics: Slab<Topic>,
    names: HashMap<TopicName, u32, FixedState>,
    topics_made: u64,
    all: TopicName,
    pending: Slab<Pending>,
    /// What the broker is asked to read, by the id of the read.
    reads: Slab<Reading>,
    /// Subscribers that have yet to read what they missed.
    comers: Slab<Comer>,
    comers_made: u64,
    /// Replies that wait for what was missed.
    gatherings: Slab<Gathering>,
    /// Comers that have read everything and wait for others of the same reply.
    ready: Vec<u32>,
    /// Those of whom the broker could not read just now.
    kept_waiting: Vec<ConnectionId>,
    /// What was encoded for them.
    replays: Replays,
    frames: Frames,
    notices: Notices,
    encoder: Encoder,
    /// What connections are pinged with, by dialect.
    pings: [FrameId; Dialect::ALL.len()],
    outputs: VecDeque<Output>,
    dirty_small: VecDeque<u32>,
    dirty_big: VecDeque<u32>,
    /// Topics with a batch to fan out.
    batched: Vec<u32>,
    /// Topics with something for their paced audience, by place and serial.
    paced: Vec<(u32, u64)>,
    /// Bytes of payloads that paced audiences wait for.
    paced_bytes: usize,
    /// Topics whose number of subscribers changed.
    reports: Vec<u32>,
    /// Watched topics, the next to be asked for first.
    watched: VecDeque<Watched>,
    /// Connections found with a full outbox by the fan-out under way.
    overflowed: Vec<u32>,
    /// Connections that the fan-out under way has something for that their dialect has no words for.
    unable: Vec<u32>,
    /// What was fanned out since every dirty connection was last written: no outbox has grown by more.
    unwritten_frames: usize,
    unwritten_bytes: usize,
    rates: Rates,
    concerns: Concerns,
    sweep: Sweep,
    drain: Option<Drain>,
    counters: Counters,
}

/// Which connections to write next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dirty {
    /// Those of replies and small fan-outs: all of them in every turn.
    Small,
    /// Those of big fan-outs: in slices, with a look at the poll between.
    Big,
}

impl Hub {
    /// An empty hub with the rules of its topics. `seed` goes into the hash of topic names, which come from clients: take a random one.
    pub fn new(limits: Limits, rules: Arc<TopicRules>, seed: u64) -> Self {
        let mut frames = Frames::new();
        let pings = std::array::from_fn(|dialect| {
            let mut bytes = Vec::with_capacity(4);
            Dialect::ALL[dialect].encode_ping(&mut bytes);
            frames.insert(bytes, 0, Millis::default())
        });
        let hasher = FixedState::with_seed(seed);
        let rates = Rates::new(&limits, hasher.clone());
        Self {
            limits,
            rules,
            now: Now::default(),
            sessions: Vec::new(),
            outboxes: Vec::new(),
            open: 0,
            awaited: 0,
            blocked: 0,
            topics: Slab::new(),
            names: HashMap::with_hasher(hasher),
            topics_made: 0,
            all: TopicName::all(),
            pending: Slab::new(),
            reads: Slab::new(),
            comers: Slab::new(),
            comers_made: 0,
            gatherings: Slab::new(),
            ready: Vec::new(),
            kept_waiting: Vec::new(),
            replays: Replays::default(),
            frames,
            notices: Notices::new(),
            encoder: Encoder::default(),
            pings,
            outputs: VecDeque::new(),
            dirty_small: VecDeque::new(),
            dirty_big: VecDeque::new(),
            batched: Vec::new(),
            paced: Vec::new(),
            paced_bytes: 0,
            reports: Vec::new(),
            watched: VecDeque::new(),
            overflowed: Vec::new(),
            unable: Vec::new(),
            unwritten_frames: 0,
            unwritten_bytes: 0,
            rates,
            concerns: Concerns::default(),
            sweep: Sweep::default(),
            drain: None,
            counters: Counters::default(),
        }
    }

    /// The same, with an application that is asked about this whatever the rules say.
    #[must_use]
    pub fn with_concerns(self, concerns: Concerns) -> Self {
        Self { concerns, ..self }
    }

    /// An empty hub in the place of one that failed. It counts on from where that one stopped, whose connections all
    /// count as lost.
    pub fn in_place_of(failed: &Self, limits: Limits, seed: u64) -> Self {
        let mut hub = Self::new(limits, Arc::clone(&failed.rules), seed);
        hub.concerns = failed.concerns;
        hub.counters = failed.counters.clone();
        hub.counters.lose_all();
        hub
    }

    /// Takes one input in. Drain [`Hub::poll_output`] before the next.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        debug_assert!(
            self.outputs.is_empty(),
            "all outputs are drained before the next input"
        );
        self.now = now;
        match input {
            Input::Opened(opened) => self.opened(opened),
            Input::Message(connection, message) => self.message(connection, message),
            Input::Ping(connection, payload) => self.pinged(connection, payload),
            Input::Pong(connection) => self.ponged(connection),
            Input::PeerClose(connection, code) => self.peer_close(connection, code),
            Input::Disconnect(connection, cause) => {
                if let Some(slot) = self.slot_of(connection) {
                    self.disconnect(slot, &cause, None);
                }
            }
            Input::Lost(connection) => self.lost(connection),
            Input::Broker(BrokerEvent::Publication(publication)) => self.published(publication),
            Input::Broker(BrokerEvent::Joined { topic, outcome }) => self.joined(&topic, outcome),
            Input::Broker(BrokerEvent::Read { read, outcome }) => self.was_read(read, outcome),
            // A shard translates the publish id into the ticket and answers with `Input::Published`.
            Input::Broker(BrokerEvent::Published { .. }) => {}
            Input::Published(ticket, topic, outcome) => self.publish_decided(ticket, topic, outcome),
            Input::Delivered(ticket, outcome) => self.send_decided(ticket, outcome),
            Input::Roster(ticket, topic, page) => self.roster_told(&ticket, topic, page),
            Input::Surveyed(topic, diff) => self.surveyed(&topic, diff),
            Input::Answered(connection, answer) => self.answered(connection, answer),
            Input::Rules(rules) => self.set_rules(rules),
            Input::Counted(topic, subscribers) => self.counted(&topic, subscribers),
            Input::Settle => self.settle(),
            Input::Tick => self.tick(),
            Input::Shutdown { window_ms } => self.shutdown(window_ms),
        }
    }

    /// Takes the next output out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes note that bytes of the connection wait to be read: it is not silent.
    pub fn heard(&mut self, now: Now, connection: ConnectionId) {
        if let Some(slot) = self.slot_of(connection)
            && let Some(session) = &mut self.sessions[slot]
        {
            session.heard_at = now.monotonic;
        }
    }

    /// Whether messages of the connection may be taken in: it is here, its replies are being read, and it asks no
    /// faster than it may.
    pub fn is_readable(&self, connection: ConnectionId) -> bool {
        self.slot_of(connection)
            .is_some_and(|slot| self.is_taken_in(slot))
    }

    /// The longest message that the connection may send now, in bytes: before it has said who it is, a token's.
    pub fn message_bytes_max(&self, connection: ConnectionId) -> u32 {
        let slot = self.slot_of(connection);
        let session = slot.and_then(|slot| self.sessions[slot].as_ref());
        match session.filter(|session| session.is_awaited()) {
            Some(session) if session.dialect.is_hailed() => self.limits.hello_bytes_max(),
            Some(_) => self.limits.message_bytes_max.min(AUTH_MESSAGE_BYTES_MAX),
            None => self.limits.message_bytes_max,
        }
    }

    /// Whether the connection is open and its messages mean anything.
    pub fn is_open(&self, connection: ConnectionId) -> bool {
        self.slot_of(connection)
            .is_some_and(|slot| !self.outboxes[slot].is_closing)
    }

    /// The next connection to write, of one list. Each is given once; [`Hub::wrote`] puts it back if more waits.
    pub fn next_dirty(&mut self, list: Dirty) -> Option<ConnectionId> {
        let (queue, mark) = match list {
            Dirty::Small => (&mut self.dirty_small, DirtyMark::Small),
            Dirty::Big => (&mut self.dirty_big, DirtyMark::Big),
        };
        while let Some(slot) = queue.pop_front() {
            let outbox = &mut self.outboxes[slot as usize];
            if outbox.mark == mark
                && let Some(session) = &self.sessions[slot as usize]
            {
                outbox.mark = DirtyMark::Clean;
                if !self.notices.is_empty() {
                    self.notices
                        .render(slot as usize, session.dialect, &mut self.frames, outbox);
                }
                return Some(session.connection);
            }
        }
        if self.dirty_small.is_empty() && self.dirty_big.is_empty() {
            (self.unwritten_frames, self.unwritten_bytes) = (0, 0);
        }
        None
    }

    /// Whether connections of big fan-outs wait to be written.
    pub fn has_big(&self) -> bool {
        !self.dirty_big.is_empty()
    }

    /// Whether so much was fanned out since the dirty connections were last all written that no publication should
    /// be taken in before they are: else the outbox of a client that reads would overflow.
    pub fn is_pressed(&self) -> bool {
        self.unwritten_frames >= (self.limits.outbox_frames_max as usize / 4).max(1)
            || self.unwritten_bytes >= (self.limits.outbox_bytes_max as usize / 4).max(1)
    }

    /// Lends the bytes that wait for a connection, in order; gives how many slices it filled.
    pub fn gather<'a>(&'a self, connection: ConnectionId, slices: &mut [IoSlice<'a>]) -> usize {
        self.outboxes
            .get(connection.slot())
            .map_or(0, |outbox| outbox.gather(&self.frames, slices))
    }

    /// Takes note that the socket took `bytes`, and whether it would take no more now.
    pub fn wrote(&mut self, now: Now, connection: ConnectionId, bytes: usize, is_blocked: bool) {
        self.now = now;
        let slot = connection.slot();
        let outbox = &mut self.outboxes[slot];
        outbox.wrote(bytes, &mut self.frames);
        if !self.notices.is_empty() {
            self.notices.wrote(slot, &mut self.frames, outbox);
        }
        if is_blocked {
            let is_progress = bytes > 0 || !outbox.is_blocked;
            self.blocked += usize::from(!outbox.is_blocked);
            outbox.is_blocked = true;
            if is_progress && let Some(session) = &mut self.sessions[slot] {
                session.blocked_at = now.monotonic;
            }
        } else if !outbox.is_empty() {
            self.mark_dirty(slot, Dirty::Big);
        }
        let outbox = &self.outboxes[slot];
        let (is_waited_for, is_catching_up) = (outbox.is_paused || outbox.is_closing, outbox.is_catching_up);
        if is_waited_for {
            self.drained_somewhat(slot);
        }
        if is_catching_up {
            self.read_on(slot);
        }
    }

    /// Takes note that the socket takes bytes again.
    pub fn writable(&mut self, connection: ConnectionId) {
        let Some(slot) = self.slot_of(connection) else {
            return;
        };
        if !self.outboxes[slot].is_blocked {
            return;
        }
        if self.outboxes[slot].has_expendables() {
            self.leave_out_superseded(slot, None);
        }
        self.outboxes[slot].is_blocked = false;
        self.blocked -= 1;
        if !self.outboxes[slot].is_empty() {
            self.mark_dirty(slot, Dirty::Big);
        }
    }

    /// Whether no connection is left.
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    fn opened(&mut self, opened: Opened) {
        let slot = opened.connection.slot();
        while self.sessions.len() <= slot {
            self.sessions.push(None);
            self.outboxes.push(Outbox::new());
        }
        debug_assert!(
            self.sessions[slot].is_none(),
            "a slot is free before it is used again"
        );
        let is_hailed = opened.dialect.is_hailed();
        let is_awaited = opened.is_awaited || is_hailed;
        let wants = Wants {
            occupancy: opened.occupancy,
            presence: opened.presence,
        };
        let wishes = Wishes {
            wants,
            manner: opened.every.into(),
            insists: false,
        };
        let state = if is_awaited {
            let deadline = self.auth_deadline();
            SessionState::Awaited { deadline }
        } else {
            SessionState::Open
        };
        self.sessions[slot] = Some(Session::new(&opened, state, self.now.monotonic));
        self.outboxes[slot] = Outbox::new();
        self.open += 1;
        self.counters.opened += 1;
        self.enqueue(slot, Lane::Control, opened.greeting.into_vec());
        self.welcome(slot);
        let entry = (opened.topics, wishes);
        if is_hailed {
            self.awaited += 1;
            let is_known = opened.identity.is_some() || !opened.granted_topics.is_empty();
            let known = is_known.then(|| Admission {
                identity: opened.identity.unwrap_or_default(),
                topics: opened.granted_topics,
                leaves: opened.leaves,
                data: opened.data,
            });
            let may_be_nobody = !opened.is_awaited;
            self.await_hello(slot, Newcomer { known, may_be_nobody }, opened.key);
        } else if is_awaited {
            self.awaited += 1;
            self.keep_entry(slot, entry);
        } else {
            self.enter(slot, Some(entry), (opened.granted_topics, opened.leaves));
        }
        if self.drain.is_some() {
            self.say_shutdown(slot);
        }
    }

    fn welcome(&mut self, slot: usize) {
        if let Some(welcome) = self.welcome_of(slot) {
            self.push_to(slot, Lane::Control, &Push::Welcome(welcome));
        }
    }

    /// Who a connection is and what it may do.
    fn welcome_of(&self, slot: usize) -> Option<Welcome> {
        let session = self.sessions[slot].as_ref()?;
        Some(Welcome {
            connection: session.connection,
            user: session.user().cloned(),
            auth_timeout_ms: session.is_awaited().then_some(self.limits.auth_timeout_ms),
            expires_at: self.told_expiry(session.identity.as_deref()),
            time: self.now.wall,
            ping_interval_ms: if session.pings_natively {
                0
            } else {
                self.limits.ping_interval_ms
            },
            pong_timeout_ms: self.limits.pong_timeout_ms,
            message_bytes_max: self.limits.message_bytes_max,
            subscriptions_max: self.limits.subscriptions_max,
            commands_per_second: some_limit(self.limits.commands_per_second),
            bytes_per_second: some_limit(self.limits.bytes_per_second),
            key: session.waiting.as_ref().and_then(|waiting| waiting.key.clone()),
            data: session.waiting.as_ref().and_then(|waiting| waiting.data.clone()),
        })
    }

    /// The slot of a connection that is here.
    fn slot_of(&self, connection: ConnectionId) -> Option<usize> {
        let slot = connection.slot();
        let session = self.sessions.get(slot)?.as_ref()?;
        (session.connection == connection).then_some(slot)
    }

    /// The slot of a connection that is here and not closing.
    fn open_slot_of(&self, connection: ConnectionId) -> Option<usize> {
        self.slot_of(connection)
            .filter(|&slot| !self.outboxes[slot].is_closing)
    }

    fn push_to(&mut self, slot: usize, lane: Lane, push: &Push) {
        let Some(session) = &self.sessions[slot] else {
            return;
        };
        let mut bytes = Vec::new();
        session.dialect.encode_push(push, &mut bytes);
        self.enqueue(slot, lane, bytes);
    }

    fn reply_to(&mut self, slot: usize, lane: Lane, id: Option<&fanfare_protocol::CommandId>, reply: &Reply) {
        let Some(session) = &self.sessions[slot] else {
            return;
        };
        let mut bytes = Vec::new();
        session.dialect.encode_reply(id, reply, &mut bytes);
        self.enqueue(slot, lane, bytes);
    }

    /// Queues bytes of one connection only. Nothing is queued where a dialect has nothing to say, and nothing
    /// behind a close frame.
    fn enqueue(&mut self, slot: usize, lane: Lane, bytes: Vec<u8>) {
        if bytes.is_empty() || self.outboxes[slot].is_closing {
            return;
        }
        let frame = self.frames.insert(bytes, 0, self.now.monotonic);
        self.outboxes[slot].push(lane, frame, &mut self.frames);
        self.frames.release(frame);
        if self.outboxes[slot].reply_bytes() > self.limits.replies_bytes_max {
            self.outboxes[slot].is_paused = true;
        }
        self.mark_dirty(slot, Dirty::Small);
    }

    /// Puts a connection on a list of those to write. One that waits for its socket is on none.
    fn mark_dirty(&mut self, slot: usize, list: Dirty) {
        let outbox = &mut self.outboxes[slot];
        if outbox.is_blocked {
            return;
        }
        match (outbox.mark, list) {
            (DirtyMark::Clean | DirtyMark::Big, Dirty::Small) => {
                outbox.mark = DirtyMark::Small;
                self.dirty_small.push_back(slot as u32);
            }
            (DirtyMark::Clean, Dirty::Big) => {
                outbox.mark = DirtyMark::Big;
                self.dirty_big.push_back(slot as u32);
            }
            (DirtyMark::Small | DirtyMark::Big, _) => {}
        }
    }
}

/// A limit as clients are told it: none where 0 stands for no limit.
fn some_limit(limit: u32) -> Option<u32> {
    (limit > 0).then_some(limit)
}
