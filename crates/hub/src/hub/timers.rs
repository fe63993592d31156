//! What happens as time goes by: deadlines, pings, occupancy, and the spread of a shutdown. There are no timer
//! objects: every connection is looked at once in a second.

use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{Format, Millis, Push, TopicName};

use super::Hub;
use crate::limits::{OCCUPANCY_INTERVAL_MS, OCCUPANCY_PER_TICK, SHUTDOWN_SPREAD_US, SWEEP_MS};
use crate::outbox::Lane;
use crate::session::{SILENT, Session, SessionState};
use crate::topic::Member;
use crate::{Dirty, Output};

/// Where the sweep over the connections stands.
#[derive(Default)]
pub(super) struct Sweep {
    ticked_at: Millis,
    next_slot: usize,
    /// Slots that this round looks at. Those that come meanwhile wait for the next, so that no storm of newcomers puts off
    /// the look at the others.
    slots: usize,
    /// Until when no deadline of a client counts, because this process itself stood still.
    grace_until: Millis,
}

/// A topic whose occupancy somebody wants to know.
pub(super) struct Watched {
    pub(super) index: u32,
    pub(super) serial: u64,
    /// When it is to be asked for next.
    pub(super) due_at: Millis,
}

/// A shutdown under way.
pub(super) struct Drain {
    pub(super) window_ms: u64,
    pub(super) ends_at: Millis,
    connections: usize,
    told: usize,
    next_slot: usize,
}

/// A silence of the shard itself from which on clients get time to be heard again, in milliseconds.
const STANDSTILL_MS: u64 = 1_000;

impl Hub {
    pub(super) fn tick(&mut self) {
        let now = self.now.monotonic;
        let elapsed_ms = now.since(self.sweep.ticked_at);
        if elapsed_ms >= STANDSTILL_MS {
            self.sweep.grace_until = Millis(now.0 + self.limits.pong_timeout_ms);
        }
        self.sweep.ticked_at = now;
        self.let_go();
        self.replays.clear(&mut self.frames);
        self.ask_again();
        self.sweep_connections(elapsed_ms);
        self.serve_paced(false);
        self.ask_occupancy();
        self.drain_some();
    }

    /// Looks at as many connections as the time since the last tick is worth.
    fn sweep_connections(&mut self, elapsed_ms: u64) {
        let slots = self.sweep.slots.max(1) as u64;
        let due = (slots * elapsed_ms.min(SWEEP_MS)).div_ceil(SWEEP_MS);
        for _ in 0..due {
            if self.sweep.next_slot >= self.sweep.slots {
                (self.sweep.next_slot, self.sweep.slots) = (0, self.sessions.len());
            }
            let slot = self.sweep.next_slot;
            if slot < self.sweep.slots {
                self.sweep.next_slot += 1;
                self.check_deadlines(slot);
            }
        }
    }

    fn check_deadlines(&mut self, slot: usize) {
        let now = self.now.monotonic;
        self.forget_demand(slot);
        let Some(session) = &self.sessions[slot] else {
            return;
        };
        if let SessionState::Closing { deadline, .. } = session.state {
            if now >= deadline {
                self.release(slot);
            }
            return;
        }
        if let Some(cause) = self.lapse(slot) {
            return self.disconnect(slot, &cause, None);
        }
        self.renew_if_due(slot);
        let has_leaves = |session: &Session| session.leaves.is_some();
        if self.sessions[slot].as_ref().is_some_and(has_leaves) {
            self.check_leaves(slot);
        }
        let Some(session) = self.sessions[slot].as_ref().filter(|session| session.is_here()) else {
            return;
        };
        // Of one that is not read from, nothing can be heard.
        let (is_taken_in, is_held_back) = (self.is_taken_in(slot), self.is_held_back(session));
        let has_grace = now < self.sweep.grace_until;
        // Of one whose replies are not drained nothing is read: its write deadline counts, not its silence.
        let awaits_pong = session.pinged_at > session.heard_at && !self.outboxes[slot].is_paused;
        let pinged_since = now.since(session.pinged_at);
        if self.outboxes[slot].is_blocked
            && now.since(session.blocked_at) >= self.limits.write_timeout_ms
            && !has_grace
        {
            self.disconnect(slot, &Disconnect::Stalled, None);
        } else if is_taken_in && !has_grace && self.is_unfinished(session) {
            self.disconnect(slot, &Disconnect::MessageTimeout, None);
        } else if awaits_pong && pinged_since >= self.limits.pong_timeout_ms {
            if !has_grace && !is_held_back {
                self.disconnect(slot, &Disconnect::NoPong, None);
            }
        } else {
            // No second ping while one is not answered: it would begin the wait anew.
            let is_let_in = !(session.is_awaited() && session.dialect.is_hailed());
            if !awaits_pong && is_let_in && pinged_since >= self.ping_interval_ms(session) {
                self.ping(slot);
            }
            if self.outboxes[slot].is_blocked {
                self.sample(slot);
                if !has_grace {
                    self.check_age(slot);
                }
            }
        }
    }

    /// Takes note of how far a connection is behind.
    fn sample(&mut self, slot: usize) {
        let now = self.now.monotonic;
        let outbox = &mut self.outboxes[slot];
        if let Some(since) = outbox.oldest(&self.frames)
            && outbox.is_sampled(now)
        {
            self.counters.behind_frames.take(u64::from(outbox.publications()));
            self.counters.behind_bytes.take(u64::from(outbox.bytes()));
            self.counters.behind_age_ms.take(now.since(since));
        }
    }

    fn ping_interval_ms(&self, session: &Session) -> u64 {
        if session.dialect.has_pongs() {
            self.limits.ping_interval_ms
        } else {
            self.limits.comment_interval_ms()
        }
    }

    fn ping(&mut self, slot: usize) {
        let now = self.now.monotonic;
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        session.pinged_at = now;
        if session.dialect.has_pongs() {
            session.is_pong_due = true;
        } else {
            // Nobody answers it: whether anybody is there is for TCP to find out.
            session.heard_at = now;
        }
        let words = if session.pings_natively {
            Dialect::Json
        } else {
            session.dialect
        };
        let frame = self.pings[words.index()];
        self.outboxes[slot].push(Lane::Control, frame, &mut self.frames);
        self.mark_dirty(slot, Dirty::Small);
    }

    /// Asks for the occupancy of the watched topics whose turn it is, each once in an interval.
    fn ask_occupancy(&mut self) {
        let now = self.now.monotonic;
        for _ in 0..OCCUPANCY_PER_TICK {
            let Some(&Watched { index, serial, .. }) = self.watched.front().filter(|next| next.due_at <= now)
            else {
                return;
            };
            self.watched.pop_front();
            let Some(topic) = self
                .topics
                .get_mut(index as usize)
                .filter(|topic| topic.serial == serial)
            else {
                continue;
            };
            if topic.watchers == 0 && topic.survey.is_none() {
                topic.is_watched = false;
                continue;
            }
            if topic.watchers > 0 {
                self.outputs.push_back(Output::Count(topic.name.clone()));
            }
            self.survey(index);
            self.watched.push_back(Watched {
                index,
                serial,
                due_at: Millis(now.0 + OCCUPANCY_INTERVAL_MS),
            });
        }
    }

    /// The broker counted a watched topic: those who asked are told if it changed.
    pub(super) fn counted(&mut self, name: &TopicName, subscribers: u64) {
        let Some(&index) = self.names.get(name) else {
            return;
        };
        let topic = &mut self.topics[index as usize];
        if std::mem::replace(&mut topic.occupancy, subscribers) == subscribers {
            return;
        }
        let push = Push::Occupancy {
            topic: name.clone(),
            subscribers,
        };
        for &dialect in Dialect::ALL {
            self.push_to_members(index, dialect, &push, |member| member.wants().occupancy);
        }
        self.disconnect_overflowed();
    }

    /// Queues one shared frame for those members that speak a dialect and are meant.
    pub(super) fn push_to_members(
        &mut self,
        index: u32,
        dialect: Dialect,
        push: &Push,
        is_meant: impl Fn(Member) -> bool,
    ) {
        let mut bytes = Vec::new();
        dialect.encode_push(push, &mut bytes);
        if bytes.is_empty() {
            return;
        }
        let bytes_count = bytes.len();
        let frame = self.frames.insert(bytes, 0, self.now.monotonic);
        for audience in 0..SILENT {
            let is_others = |format: &Format| format.dialect != dialect;
            if Format::ALL.get(audience).is_some_and(is_others)
                || self.topics[index as usize].audiences[audience].is_empty()
            {
                continue;
            }
            let members = std::mem::take(&mut self.topics[index as usize].audiences[audience]);
            for &member in members.iter().filter(|&&member| is_meant(member)) {
                let slot = member.slot();
                let session = self.sessions[slot].as_ref();
                if session.is_none_or(|session| session.dialect != dialect) {
                    continue;
                }
                if !self.make_room(slot, 0, bytes_count) {
                    self.overflowed.push(slot as u32);
                    continue;
                }
                self.outboxes[slot].push(Lane::Data, frame, &mut self.frames);
                self.mark_dirty(slot, Dirty::Big);
            }
            self.topics[index as usize].audiences[audience] = members;
        }
        self.frames.release(frame);
    }

    pub(super) fn shutdown(&mut self, window_ms: u64) {
        if self.drain.is_some() {
            return;
        }
        let spread_ms = (self.open as u64 * SHUTDOWN_SPREAD_US).div_ceil(1_000);
        let window_ms = window_ms.min(spread_ms);
        let ends_at = Millis(self.now.monotonic.0 + window_ms);
        self.drain = Some(Drain {
            window_ms,
            ends_at,
            connections: self.open,
            told: 0,
            next_slot: 0,
        });
        self.drain_some();
    }

    /// Tells as many connections to go as the time since the shutdown began is worth.
    fn drain_some(&mut self) {
        while let Some(drain) = &mut self.drain {
            let left_ms = drain.ends_at.since(self.now.monotonic);
            let elapsed_ms = drain.window_ms - left_ms.min(drain.window_ms);
            let due = match drain.connections as u64 * elapsed_ms {
                _ if left_ms == 0 => usize::MAX,
                share => share.checked_div(drain.window_ms).unwrap_or(u64::MAX) as usize,
            };
            if drain.told >= due || drain.next_slot >= self.sessions.len() {
                return;
            }
            let slot = drain.next_slot;
            drain.next_slot += 1;
            if self.sessions[slot].is_some() {
                drain.told += 1;
                self.say_shutdown(slot);
            }
        }
    }
}
