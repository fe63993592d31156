//! Those who begin in the past: they read the topic's log page by page, as fast as their socket takes it, and become
//! members at the moment when they have reached what is published now.
//!
//! Until then they are subscribers, but no members: what is published is not queued for them, they will read it. So they
//! hold no more than a page, whatever they missed, and neither a gap nor a duplicate can be where history meets the
//! present. A connection reads one topic at a time.

use std::sync::Arc;

use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::{ConnectionId, Format, Loss, Missed, Position, Publication, Push};

use super::Hub;
use super::fan_out::Run;
use super::gathering::Gathered;
use super::reading::Reading;
use crate::broker::{Page, Read, Refusal, Start};
use crate::frames::FrameId;
use crate::limits::{BATCH_BYTES_MAX, BATCH_FRAMES_MAX};
use crate::outbox::Lane;
use crate::replays::Replay;
use crate::session::{Manner, Place, Seat};
use crate::topic::Wants;
use crate::{Dirty, Role};

/// A subscriber of a topic that has yet to read what it missed.
pub(super) struct Comer {
    /// Unlike any other's.
    serial: u64,
    pub(super) connection: ConnectionId,
    pub(super) topic: u32,
    /// The last place that it was given.
    pub(super) at: Position,
    pub(super) manner: Manner,
    wants: Wants,
    /// Whether a page was asked for and has not come.
    is_reading: bool,
    /// Where what it reads is put, if it is not queued.
    pub(super) gathered: Option<Gathered>,
}

impl Hub {
    /// Makes a connection a subscriber that goes on behind a place. Nothing is read yet.
    pub(super) fn come_from(
        &mut self,
        slot: usize,
        (index, key): (u32, u32),
        at: Position,
        (manner, wants): (Manner, Wants),
    ) -> Option<()> {
        let session = self.sessions[slot].as_mut()?;
        let connection = session.connection;
        let subscription = session.joining(index, key)?;
        self.comers_made += 1;
        let comer = self.comers.insert(Comer {
            serial: self.comers_made,
            connection,
            topic: index,
            at,
            manner,
            wants,
            is_reading: false,
            gathered: None,
        });
        subscription.place = Place::CatchingUp(comer as u32);
        self.topics[index as usize].behind += 1;
        self.outboxes[slot].is_catching_up = true;
        self.count_in(slot, index, Role::Subscriber);
        Some(())
    }

    /// The place behind which the messages of a topic follow, if the connection is still to read them.
    pub(super) fn comes_from(&self, slot: usize, index: u32) -> Option<Position> {
        let session = self.sessions[slot].as_ref()?;
        let comer = session.comer_of(index)?;
        Some(self.comers[comer as usize].at)
    }

    /// Gives somebody who is still reading other wishes for the time after; false when nobody is.
    pub(super) fn set_comer(&mut self, slot: usize, index: u32, manner: Manner, wants: Wants) -> bool {
        let comer = self.sessions[slot]
            .as_ref()
            .and_then(|session| session.comer_of(index));
        if let Some(comer) = comer {
            let comer = &mut self.comers[comer as usize];
            (comer.manner, comer.wants) = (manner, wants);
        }
        comer.is_some()
    }

    /// Forgets a comer. The caller has taken the subscription out of its session.
    pub(super) fn remove_comer(&mut self, comer: u32) {
        let Comer {
            connection,
            topic: index,
            gathered,
            ..
        } = self.comers.remove(comer as usize);
        self.topics[index as usize].behind -= 1;
        if let Some(gathered) = gathered {
            self.gather_no_more(comer, gathered);
        }
        self.count_out(connection, index, Role::Subscriber);
    }

    /// The slots of those who are still reading a topic.
    pub(super) fn comers_of(&self, index: u32) -> Vec<usize> {
        let comers = self.comers.iter().filter(|(_, comer)| comer.topic == index);
        comers.map(|(_, comer)| comer.connection.slot()).collect()
    }

    /// Asks for the next page of a connection, if it has something to read and little waits for it.
    pub(super) fn read_on(&mut self, slot: usize) {
        let Some(session) = &self.sessions[slot] else {
            return;
        };
        let is_reading = |key: &u32| {
            let gathered = self.comers[*key as usize].gathered;
            gathered.is_none_or(|gathered| !gathered.is_ready)
        };
        let Some(key) = session.comers().find(is_reading) else {
            self.outboxes[slot].is_catching_up = false;
            return;
        };
        let page = self.page();
        let outbox = &self.outboxes[slot];
        let has_little = (outbox.publications() as usize) < page.publications_max
            && (outbox.bytes() as usize) < page.bytes_max;
        let comer = &mut self.comers[key as usize];
        if outbox.is_blocked || outbox.is_closing || !has_little || comer.is_reading {
            return;
        }
        comer.is_reading = true;
        let read = Read {
            start: Start::After(comer.at),
            ..page
        };
        let topic = self.topics[comer.topic as usize].name.clone();
        let reading = Reading::On {
            connection: comer.connection,
            comer: key,
            serial: comer.serial,
        };
        self.read(topic, read, reading);
    }

    /// How much is read at once: a part of what may wait in an outbox, so that the page has room behind another.
    fn page(&self) -> Read {
        let bounds = self.limits.outbox();
        Read {
            start: Start::Oldest,
            publications_max: (bounds.frames_max / 4).clamp(1, BATCH_FRAMES_MAX),
            bytes_max: (bounds.bytes_max / 4).clamp(1, BATCH_BYTES_MAX),
        }
    }

    /// A page came for a comer, who may have gone.
    pub(super) fn page_came(
        &mut self,
        connection: ConnectionId,
        (key, serial): (u32, u64),
        outcome: Result<Page, Refusal>,
    ) {
        let Some(slot) = self.open_slot_of(connection) else {
            return;
        };
        let comer = self.comers.get_mut(key as usize);
        let Some(comer) = comer.filter(|comer| comer.serial == serial) else {
            return;
        };
        comer.is_reading = false;
        match outcome {
            Ok(page) if comer.gathered.is_some() => self.gather_page(slot, key, &page),
            Ok(page) => self.take_page(slot, key, page),
            // It asks again with the next tick.
            Err(_) => self.kept_waiting.push(connection),
        }
    }

    fn take_page(&mut self, slot: usize, key: u32, page: Page) {
        let Comer { topic: index, at, .. } = self.comers[key as usize];
        match page.lost {
            None => {}
            Some(Loss::TooOld) if self.is_told(slot) => {
                self.say_forgotten(slot, index, at, page.start.offset);
            }
            Some(_) => return self.disconnect(slot, &Disconnect::PositionLost, None),
        }
        let last = page.publications.last().map_or(page.start, |last| last.position);
        self.replay(slot, index, &page.publications);
        self.comers[key as usize].at = last;
        self.disconnect_overflowed();
        // What waits to be fanned out is for those who are members; whoever becomes one now has read it.
        self.fan_out(index);
        if self.outboxes[slot].is_closing || self.comers.get(key as usize).is_none() {
            return;
        }
        if self.topics[index as usize].position == Some(last) {
            self.arrive(slot, key);
        } else if page.publications.is_empty() {
            // There is more, and it cannot be read.
            return self.disconnect(slot, &Disconnect::PositionLost, None);
        }
        self.read_on(slot);
    }

    fn is_told(&self, slot: usize) -> bool {
        let session = self.sessions[slot].as_ref();
        session.is_some_and(|session| session.dialect.has_notices())
    }

    /// The topic forgot faster than the client read.
    fn say_forgotten(&mut self, slot: usize, index: u32, at: Position, to: u64) {
        let from = Position {
            offset: at.offset + 1,
            ..at
        };
        let count = to - at.offset;
        self.counters.forgotten += count;
        if let Some(session) = &mut self.sessions[slot] {
            session.left_out += count;
        }
        let topic = self.topics[index as usize].name.clone();
        let missed = Missed {
            topic,
            from,
            to,
            count,
        };
        self.push_to(slot, Lane::Data, &Push::Missed(missed));
    }

    /// Queues publications of the past for one connection.
    fn replay(&mut self, slot: usize, index: u32, publications: &[Arc<Publication>]) {
        let Some(session) = &self.sessions[slot] else {
            return;
        };
        let (connection, format) = (session.connection, session.format());
        let is_numbered = self.is_numbered(slot, index);
        let is_for_it = |publication: &Arc<Publication>| publication.draft.except != Some(connection);
        for run in publications.chunk_by(|one, next| is_for_it(one) == is_for_it(next)) {
            if !run.first().is_some_and(is_for_it) {
                continue;
            }
            if is_numbered {
                for one in run.chunks(1) {
                    let frame = self.replay_numbered(slot, index, one);
                    self.push_replay(slot, frame);
                }
            } else {
                self.replay_run(slot, index, format, run);
            }
        }
    }

    fn replay_run(&mut self, slot: usize, index: u32, format: Format, publications: &[Arc<Publication>]) {
        let mut rest = publications;
        while let [first, ..] = rest {
            let replay = |to| Replay {
                topic: self.topics[index as usize].serial,
                format,
                from: first.position.offset,
                to,
            };
            let whole = replay(first.position.offset + rest.len() as u64 - 1);
            if let Some(frame) = self.replays.hold(&whole, &mut self.frames) {
                return self.push_replay(slot, frame);
            }
            let Run { bytes, ends } = Run::encode(format, rest, &mut self.encoder, &mut self.counters);
            let (these, later) = rest.split_at(ends.len());
            let part = replay(first.position.offset + these.len() as u64 - 1);
            self.counters.encoded += these.len() as u64;
            let rule = self.topics[index as usize].rule;
            let frame = self.frame(bytes, these, rule);
            self.replays.keep(part, frame, &mut self.frames);
            self.push_replay(slot, frame);
            rest = later;
        }
    }

    /// Queues a frame of the past and lets go of it.
    fn push_replay(&mut self, slot: usize, frame: FrameId) {
        let measure = self.frames.measure(frame);
        let (publications, bytes) = (measure.publications as usize, measure.bytes as usize);
        if self.make_room(slot, publications, bytes) {
            self.outboxes[slot].push(Lane::Data, frame, &mut self.frames);
            self.mark_dirty(slot, Dirty::Big);
            self.counters.recovered += publications as u64;
            self.counters.deliveries += publications as u64;
            self.counters.delivered_bytes += bytes as u64;
        } else {
            self.overflowed.push(slot as u32);
        }
        self.frames.release(frame);
    }

    /// It has read everything: from now on it is a member like any other.
    pub(super) fn arrive(&mut self, slot: usize, key: u32) {
        let Comer {
            topic: index,
            manner,
            wants,
            ..
        } = self.comers[key as usize];
        let Some(seat) = self.new_seat(slot, index, manner) else {
            return;
        };
        self.comers.remove(key as usize);
        self.topics[index as usize].behind -= 1;
        self.take_seat(slot, key, seat);
        self.set_wants(slot, index, wants);
    }

    fn take_seat(&mut self, slot: usize, key: u32, seat: Seat) {
        let session = self.sessions[slot].as_mut();
        let subscription = session.and_then(|session| {
            let mut subscriptions = session.subscriptions.iter_mut();
            subscriptions.find(|subscription| subscription.place == Place::CatchingUp(key))
        });
        if let Some(subscription) = subscription {
            subscription.place = Place::Member(seat);
        }
    }

    /// Lets those read on whom the broker kept waiting.
    pub(super) fn ask_again(&mut self) {
        for connection in std::mem::take(&mut self.kept_waiting) {
            if let Some(slot) = self.open_slot_of(connection) {
                self.read_on(slot);
            }
        }
    }
}
