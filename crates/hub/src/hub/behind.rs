//! Those who are behind: whose socket has refused bytes while publications go on. What their outbox has no room for is
//! dealt with by the rule of its topic, and they are told what they are not sent.
//!
//! Only connections that are behind come here, so nothing of this costs the others anything.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::{Key, Millis, Publication, TopicName};
use foldhash::fast::FixedState;

use super::Hub;
use crate::frames::{Expendable, FrameId, Frames};
use crate::missed::{Notices, Place};
use crate::outbox::{Fate, Lane, Outbox};
use crate::session::Session;
use crate::{Counters, Dirty, Now, SlowRule};

impl Hub {
    /// A frame for consecutive publications of a topic, which may be left out if the topic's rule says so. Where the
    /// rule looks at keys, only one alone may.
    pub(super) fn frame(&mut self, bytes: Vec<u8>, batch: &[Arc<Publication>], rule: SlowRule) -> FrameId {
        let now = self.now.monotonic;
        let may_go = match rule {
            SlowRule::Disconnect => false,
            SlowRule::DropOldest | SlowRule::DropNewest => true,
            SlowRule::Conflate => batch.len() == 1,
        };
        match batch {
            [first, ..] if may_go => {
                let expendable = Expendable {
                    topic: first.draft.topic.clone(),
                    from: first.position,
                    to: first.position.offset + batch.len() as u64 - 1,
                    key: first.draft.key.clone(),
                    rule,
                };
                self.frames.insert_expendable(bytes, expendable, now)
            }
            _ => self.frames.insert(bytes, batch.len() as u32, now),
        }
    }

    /// Encodes a publication for members that are dealt with apart from the others of their dialect.
    pub(super) fn encode_apart(
        &mut self,
        index: u32,
        publication: &Arc<Publication>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> FrameId {
        let mut bytes = Vec::new();
        encode(&mut bytes);
        self.counters.encoded += 1;
        self.unwritten_frames += 1;
        self.unwritten_bytes += bytes.len();
        let rule = self.topics[index as usize].rule;
        self.frame(bytes, std::slice::from_ref(publication), rule)
    }

    /// Queues a publication that is in a frame of its own, or leaves it out, or takes note that the outbox overflows.
    pub(super) fn push_apart(&mut self, slot: usize, frame: FrameId, list: Dirty) {
        let bytes = self.frames.measure(frame).bytes as usize;
        let rule = self.rule_of(slot, frame);
        let has_room = match rule {
            SlowRule::DropNewest => self.outboxes[slot].has_room(1, bytes, self.limits.outbox()),
            SlowRule::Conflate => self.has_room_conflated(slot, frame, bytes),
            SlowRule::Disconnect | SlowRule::DropOldest => self.make_room(slot, 1, bytes),
        };
        if has_room {
            self.outboxes[slot].push(Lane::Data, frame, &mut self.frames);
            self.mark_dirty(slot, list);
            self.counters.deliveries += 1;
            self.counters.delivered_bytes += bytes as u64;
        } else if matches!(rule, SlowRule::DropOldest | SlowRule::DropNewest) {
            self.leave_out(slot, frame);
        } else {
            self.overflowed.push(slot as u32);
        }
    }

    /// The rule for a frame in this outbox: who cannot be told is never left without, unless it chose so.
    fn rule_of(&self, slot: usize, frame: FrameId) -> SlowRule {
        let rule = self.frames.expendable(frame).map(|expendable| expendable.rule);
        let session = self.sessions[slot].as_ref();
        rule.filter(|&rule| session.is_some_and(|session| session.may_miss(rule)))
            .unwrap_or_default()
    }

    /// Leaves out what may be left out until so much more has room; gives whether it has.
    pub(super) fn make_room(&mut self, slot: usize, publications: usize, bytes: usize) -> bool {
        let bounds = self.limits.outbox();
        if !self.outboxes[slot].has_room(publications, bytes, bounds) && self.outboxes[slot].has_expendables()
        {
            self.leave_out_superseded(slot, None);
            self.sift(slot, |outbox, expendable, _| match expendable.rule {
                _ if outbox.has_room(publications, bytes, bounds) => Verdict::Enough,
                SlowRule::DropOldest => Verdict::Goes,
                _ => Verdict::Stays,
            });
        }
        self.outboxes[slot].has_room(publications, bytes, bounds)
    }

    /// Whether one more has room, if necessary when only the newest of every key is kept. That must leave a quarter
    /// free, so that going through the outbox is worth its cost.
    fn has_room_conflated(&mut self, slot: usize, frame: FrameId, bytes: usize) -> bool {
        let bounds = self.limits.outbox();
        if self.outboxes[slot].has_room(1, bytes, bounds) {
            return true;
        }
        self.leave_out_superseded(slot, Some(frame));
        let (frames, free) = (1 + bounds.frames_max / 4, bytes + bounds.bytes_max / 4);
        self.outboxes[slot].has_room(frames, free, bounds)
    }

    /// Leaves out the waiting publications under the rule `conflate` of which a newer one with the same key waits, or
    /// is about to.
    pub(super) fn leave_out_superseded(&mut self, slot: usize, coming: Option<FrameId>) {
        // Names and keys are chosen by clients, so their hash is seeded.
        let mut newest: HashMap<(TopicName, Option<Key>), u64, FixedState> =
            HashMap::with_hasher(self.names.hasher().clone());
        let mut look = |expendable: &Expendable| {
            if expendable.rule != SlowRule::Conflate {
                return false;
            }
            let name = (expendable.topic.clone(), expendable.key.clone());
            let newest = newest.entry(name).or_default();
            let is_superseded = expendable.to < *newest;
            *newest = expendable.to.max(*newest);
            is_superseded
        };
        coming
            .and_then(|frame| self.frames.expendable(frame))
            .map(&mut look);
        for verdict in [Verdict::Stays, Verdict::Goes] {
            self.sift(
                slot,
                |_, expendable, _| if look(expendable) { verdict } else { Verdict::Stays },
            );
        }
    }

    /// Leaves out, or closes for, what has waited too long.
    pub(super) fn check_age(&mut self, slot: usize) {
        let (now, max) = (self.now.monotonic, self.limits.outbox_age_max_ms);
        let is_old = |since| now.since(since) >= max;
        if !self.outboxes[slot].oldest(&self.frames).is_some_and(is_old) {
            return;
        }
        self.leave_out_superseded(slot, None);
        self.sift(slot, |_, expendable, since| match expendable.rule {
            _ if !is_old(since) => Verdict::Enough,
            SlowRule::DropOldest | SlowRule::DropNewest => Verdict::Goes,
            SlowRule::Disconnect | SlowRule::Conflate => Verdict::Stays,
        });
        if self.outboxes[slot].oldest(&self.frames).is_some_and(is_old) {
            self.counters.overflow_disconnects += 1;
            self.disconnect(slot, &Disconnect::Slow, None);
        }
    }

    /// Keeps what waits for all clients together within its bound: what is kept for subscriptions with a rate is delivered
    /// at once, and then those for whom the most waits go first.
    pub(super) fn shed(&mut self) {
        let max = self.limits.waiting_bytes_max;
        if self.waiting_bytes() > max && self.paced_bytes > 0 {
            self.serve_paced(true);
        }
        if self.waiting_bytes() > max {
            self.shed_until(max - max / 8);
        }
    }

    /// Memory is short: closes the clients for whom the most waits until half of it is gone.
    pub fn relieve(&mut self, now: Now) {
        self.now = now;
        self.shed_until(self.waiting_bytes() / 2);
    }

    fn shed_until(&mut self, bytes: usize) {
        let mut behind: Vec<(u32, usize)> = (0..self.outboxes.len())
            .filter(|&slot| self.outboxes[slot].is_blocked && !self.outboxes[slot].is_closing)
            .map(|slot| (self.outboxes[slot].bytes(), slot))
            .collect();
        behind.sort_unstable();
        while self.waiting_bytes() > bytes
            && let Some((_, slot)) = behind.pop()
        {
            self.disconnect(slot, &Disconnect::Shed, None);
        }
    }

    /// Bytes that wait for all clients together: frames, shared ones once, their places in outboxes, and what is kept for
    /// subscriptions with a rate.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.frames.bytes() + self.frames.nodes_used() * NODE_BYTES + self.paced_bytes
    }

    /// Leaves out a publication that is not queued yet.
    fn leave_out(&mut self, slot: usize, frame: FrameId) {
        let (Some(expendable), Some(session)) =
            (self.frames.expendable(frame).cloned(), &mut self.sessions[slot])
        else {
            return;
        };
        let notice = {
            let mut book = Book {
                slot,
                session,
                notices: &mut self.notices,
                counters: &mut self.counters,
                now: self.now.monotonic,
            };
            book.leave_out(Place::End, &expendable, &mut self.frames)
        };
        if let Some(notice) = notice {
            self.outboxes[slot].push(Lane::Data, notice, &mut self.frames);
        }
    }

    /// Goes through the publications of an outbox that may be left out, oldest first, and leaves some of them out. The
    /// verdict is given the outbox, the publication, and since when it waits.
    fn sift(&mut self, slot: usize, mut verdict: impl FnMut(&Outbox, &Expendable, Millis) -> Verdict) {
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        self.notices.look(slot);
        let mut book = Book {
            slot,
            session,
            notices: &mut self.notices,
            counters: &mut self.counters,
            now: self.now.monotonic,
        };
        self.outboxes[slot].sift(&mut self.frames, |outbox, frame, frames| {
            let Some(expendable) = frames
                .expendable(frame)
                .filter(|expendable| book.session.may_miss(expendable.rule))
            else {
                book.notices.pass(slot, frame);
                return Fate::Stays;
            };
            match verdict(outbox, expendable, frames.queued_at(frame)) {
                Verdict::Stays => Fate::Stays,
                Verdict::Enough => Fate::EndsHere,
                Verdict::Goes => {
                    let expendable = expendable.clone();
                    Fate::IsLeftOut(book.leave_out(Place::Look, &expendable, frames))
                }
            }
        });
    }
}

/// Where it is written down what a connection is not sent.
struct Book<'a> {
    slot: usize,
    session: &'a mut Session,
    notices: &'a mut Notices,
    counters: &'a mut Counters,
    now: Millis,
}

impl Book<'_> {
    /// Writes it down. Gives a notice to be put in its place, if one is due.
    fn leave_out(&mut self, place: Place, expendable: &Expendable, frames: &mut Frames) -> Option<FrameId> {
        self.session.left_out += expendable.count();
        self.counters.left_out[expendable.rule as usize] += expendable.count();
        if !self.session.dialect.has_notices() {
            return None;
        }
        self.notices
            .note((self.slot, place), expendable, self.now, frames)
    }
}

/// What a look at a waiting frame says.
#[derive(Clone, Copy)]
enum Verdict {
    /// It stays.
    Stays,
    /// It is left out.
    Goes,
    /// It stays, and so do all behind it.
    Enough,
}

/// Memory of one place in an outbox.
const NODE_BYTES: usize = 8;
