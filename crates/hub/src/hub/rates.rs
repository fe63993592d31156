//! How fast clients may ask. Whoever sends too much is *held*: not read from until there is room again, so that nothing
//! is lost, nothing waits here, and TCP tells the client to wait. See `docs/decisions/0008-wait-or-refuse.md`.

use std::collections::HashMap;

use fanfare_protocol::{ConnectionId, Millis, UserName};
use foldhash::fast::FixedState;
use slab::Slab;

use super::Hub;
use crate::bucket::{Bucket, Rate};
use crate::counters::Hold;
use crate::demand::{Allowance, AllowanceRates};
use crate::limits::REFUSALS_WINDOW_MS;
use crate::session::{Session, SessionState};
use crate::{Limits, Now, Output};

/// Every rate of a hub, the users that are here, and who is held.
pub(super) struct Rates {
    connection: AllowanceRates,
    user: AllowanceRates,
    refusals: Rate,
    /// Subscribe commands of a connection that may wait for the broker, at least 1.
    pending_max: u32,
    users: Slab<UserAllowance>,
    names: HashMap<UserName, u32, FixedState>,
    /// Connections that are not read from until their buckets have filled somewhat. Some may be gone already.
    held: Vec<ConnectionId>,
}

struct UserAllowance {
    name: UserName,
    connections: u32,
    allowance: Allowance,
}

/// What a shard has decoded of the bytes that came from a connection. See [`Hub::received`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes read from the socket.
    pub bytes: usize,
    /// Whether a frame or a message has begun and is not finished.
    pub is_partial: bool,
    /// Whether everything that was partial before was finished.
    pub is_anew: bool,
}

impl Rates {
    pub(super) fn new(limits: &Limits, hasher: FixedState) -> Self {
        Self {
            connection: AllowanceRates {
                commands: Rate::per_second(limits.commands_per_second),
                bytes: Rate::per_second(limits.bytes_per_second),
            },
            user: AllowanceRates {
                commands: Rate::per_second(limits.user_commands_per_second),
                bytes: Rate::per_second(limits.user_bytes_per_second),
            },
            refusals: Rate::within(limits.refusals_max, REFUSALS_WINDOW_MS),
            pending_max: limits.subscribes_pending_max.max(1),
            users: Slab::new(),
            names: HashMap::with_hasher(hasher),
            held: Vec::new(),
        }
    }

    /// Another connection of a user; gives the key of what they share.
    pub(super) fn enter(&mut self, name: &UserName) -> u32 {
        let key = *self.names.entry(name.clone()).or_insert_with(|| {
            self.users.insert(UserAllowance {
                name: name.clone(),
                connections: 0,
                allowance: Allowance::default(),
            }) as u32
        });
        self.users[key as usize].connections += 1;
        key
    }

    /// A connection of a user is over. What was left to the user is forgotten with the last one.
    pub(super) fn leave(&mut self, key: u32) {
        let Some(user) = self.users.get_mut(key as usize) else {
            return;
        };
        user.connections -= 1;
        if user.connections == 0 {
            let user = self.users.remove(key as usize);
            self.names.remove(&user.name);
        }
    }

    /// Connections that are not read from because they asked too fast.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes commands and bytes out of what a connection and its user may send.
    fn take(&mut self, now: Millis, session: &mut Session, commands: u32, bytes: u32) {
        session
            .demand_mut()
            .allowance
            .take(now, self.connection, commands, bytes);
        if let Some(user) = self.users.get_mut(session.user_key as usize) {
            user.allowance.take(now, self.user, commands, bytes);
        }
    }

    /// Bytes that a connection may send now.
    fn bytes(&self, now: Millis, session: &Session) -> u32 {
        let own = session.demand().allowance.bytes.level(now, self.connection.bytes);
        let user = self.users.get(session.user_key as usize);
        user.map_or(own, |user| {
            own.min(user.allowance.bytes.level(now, self.user.bytes))
        })
    }

    /// What a connection has used up, if it has.
    fn spent(&self, now: Millis, session: &Session) -> Option<Hold> {
        let allowance = session.demand().allowance;
        let user = self
            .users
            .get(session.user_key as usize)
            .map(|user| user.allowance);
        let is_empty = |bucket: Bucket, rate: Rate| bucket.is_empty(now, rate);
        let user_is_empty = |bucket: fn(Allowance) -> Bucket, rate: Rate| {
            user.is_some_and(|allowance| is_empty(bucket(allowance), rate))
        };
        [
            (Hold::Bytes, is_empty(allowance.bytes, self.connection.bytes)),
            (Hold::UserBytes, user_is_empty(|user| user.bytes, self.user.bytes)),
            (
                Hold::Commands,
                is_empty(allowance.commands, self.connection.commands),
            ),
            (
                Hold::UserCommands,
                user_is_empty(|user| user.commands, self.user.commands),
            ),
        ]
        .into_iter()
        .find_map(|(hold, is_spent)| is_spent.then_some(hold))
    }
}

impl Hub {
    /// How many bytes to read from the connection now; 0 when it is not to be read from, and then
    /// [`Output::Resume`] says when to ask again.
    pub fn reading_room(&mut self, now: Now, connection: ConnectionId) -> usize {
        let Some(slot) = self.slot_of(connection).filter(|&slot| self.is_taken_in(slot)) else {
            return 0;
        };
        let Some(session) = &self.sessions[slot] else {
            return 0;
        };
        let room = self.rates.bytes(now.monotonic, session);
        if room == 0 {
            // Another connection of the same user has used it up.
            self.hold(slot, Hold::UserBytes);
        }
        room as usize
    }

    /// Takes note of what came from the connection, after its messages were handed in.
    pub fn received(&mut self, now: Now, connection: ConnectionId, received: Received) {
        let Some(slot) = self.slot_of(connection) else {
            return;
        };
        let now = now.monotonic;
        if let Some(session) = &mut self.sessions[slot] {
            session.heard_at = now;
            let bytes = u32::try_from(received.bytes).unwrap_or(u32::MAX);
            self.rates.take(now, session, 0, bytes);
            let begun_at = &mut session.demand_mut().begun_at;
            let earlier = begun_at.filter(|_| !received.is_anew);
            *begun_at = received.is_partial.then(|| earlier.unwrap_or(now));
        }
        self.hold_if_spent(slot, now);
    }

    /// Whether messages of a connection are taken in: its replies are read, it asks no faster than it may, and the
    /// broker has answered enough of what it asked.
    pub(super) fn is_taken_in(&self, slot: usize) -> bool {
        let session = self.sessions[slot].as_ref();
        session.is_some_and(|session| !self.outboxes[slot].is_paused && !self.is_held_back(session))
    }

    /// Whether the hub does not want to hear of it now, which is not for being behind on its replies. What a closing
    /// connection asked does not count any more.
    pub(super) fn is_held_back(&self, session: &Session) -> bool {
        let is_closing = matches!(session.state, SessionState::Closing { .. });
        let demand = session.demand();
        let awaits_broker = demand.pending >= self.rates.pending_max;
        demand.is_held || (!is_closing && (awaits_broker || session.is_asking()))
    }

    /// Takes commands out of what a connection may ask.
    pub(super) fn charge(&mut self, slot: usize, commands: u32) {
        let now = self.now.monotonic;
        if let Some(session) = &mut self.sessions[slot] {
            self.rates.take(now, session, commands, 0);
        }
        self.hold_if_spent(slot, now);
    }

    /// Whether one more refusal is one too many.
    pub(super) fn is_flooding(&mut self, slot: usize) -> bool {
        let (now, rate) = (self.now.monotonic, self.rates.refusals);
        self.sessions[slot]
            .as_mut()
            .is_some_and(|session| session.demand_mut().refusals.try_take(now, rate, 1).is_err())
    }

    /// A subscribe command waits for the broker.
    pub(super) fn subscribe_is_pending(&mut self, slot: usize) {
        if let Some(session) = &mut self.sessions[slot] {
            let demand = session.demand_mut();
            demand.pending += 1;
            let is_last = demand.pending == self.rates.pending_max;
            self.counters.held[Hold::Broker as usize] += u64::from(is_last);
        }
    }

    /// The broker answered all that a subscribe command asked.
    pub(super) fn subscribe_was_answered(&mut self, connection: ConnectionId) {
        let Some(slot) = self.slot_of(connection) else {
            return;
        };
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        let demand = session.demand_mut();
        demand.pending -= 1;
        if demand.pending + 1 == self.rates.pending_max {
            let now = self.now.monotonic;
            // What it could not say meanwhile is not its fault.
            demand.begun_at = demand.begun_at.map(|_| now);
            session.heard_at = now;
            self.outputs.push_back(Output::Resume(connection));
        }
    }

    /// Lets go of those who may send again. A closing connection may send commands, which mean nothing any more.
    pub(super) fn let_go(&mut self) {
        let now = self.now.monotonic;
        let mut held = std::mem::take(&mut self.rates.held);
        held.retain(|&connection| {
            let Some(slot) = self.slot_of(connection) else {
                return false;
            };
            if self.spent(slot, now).is_some() {
                return true;
            }
            if let Some(session) = &mut self.sessions[slot] {
                session.demand_mut().is_held = false;
                session.heard_at = now;
            }
            self.outputs.push_back(Output::Resume(connection));
            false
        });
        self.rates.held = held;
    }

    /// Whether a message was begun and not finished in time.
    pub(super) fn is_unfinished(&self, session: &Session) -> bool {
        let begun_at = session.demand.as_ref().and_then(|demand| demand.begun_at);
        begun_at.is_some_and(|at| self.now.monotonic.since(at) >= self.limits.message_timeout_ms)
    }

    /// Forgets what a connection asked when that is over.
    pub(super) fn forget_demand(&mut self, slot: usize) {
        let Rates {
            connection, refusals, ..
        } = self.rates;
        if let Some(session) = &mut self.sessions[slot] {
            let now = self.now.monotonic;
            session
                .demand
                .take_if(|demand| demand.is_over(now, connection, refusals));
        }
    }

    fn hold_if_spent(&mut self, slot: usize, now: Millis) {
        if let Some(hold) = self.spent(slot, now) {
            self.hold(slot, hold);
        }
    }

    fn spent(&self, slot: usize, now: Millis) -> Option<Hold> {
        let session = self.sessions[slot].as_ref()?;
        let hold = self.rates.spent(now, session)?;
        (hold.is_of_bytes() || !self.outboxes[slot].is_closing).then_some(hold)
    }

    fn hold(&mut self, slot: usize, hold: Hold) {
        if let Some(session) = &mut self.sessions[slot]
            && !std::mem::replace(&mut session.demand_mut().is_held, true)
        {
            self.counters.held[hold as usize] += 1;
            self.rates.held.push(session.connection);
        }
    }
}
