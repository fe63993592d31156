//! From the broker's events to the outboxes: what one turn brought for a topic is encoded once per format, joined
//! into shared frames, and queued for every member.

use std::sync::Arc;

use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::Direct;
use fanfare_protocol::{ConnectionId, Format, Publication};

use super::Hub;
use crate::encoder::Encoder;
use crate::limits::{BATCH_BYTES_MAX, BATCH_FRAMES_MAX, BIG_FAN_OUT};
use crate::outbox::Lane;
use crate::session::SILENT;
use crate::{Counters, Dirty};

impl Hub {
    /// A publication came from the broker. It waits for the end of the turn, so that what comes together is written
    /// together.
    pub(super) fn published(&mut self, publication: Arc<Publication>) {
        let Some(&index) = self.names.get(publication.draft.topic.as_str()) else {
            return;
        };
        let topic = &mut self.topics[index as usize];
        let Some(position) = topic.position else { return };
        let is_same_epoch = publication.position.epoch == position.epoch;
        if is_same_epoch && publication.position.offset <= position.offset {
            self.counters.duplicates += 1;
            return;
        }
        if !is_same_epoch || publication.position.offset != position.offset + 1 {
            return self.gap(index);
        }
        self.counters.publications += 1;
        topic.position = Some(publication.position);
        if topic.batch.is_empty() {
            self.batched.push(index);
        }
        topic.batch.push(publication);
    }

    /// Publications of a topic are missing: whoever is subscribed to it must learn that it cannot go on from here.
    fn gap(&mut self, index: u32) {
        self.counters.gaps += 1;
        self.fan_out(index);
        // The fan-out may have closed its last member, and then the topic is gone.
        let Some(topic) = self.topics.get(index as usize) else {
            return;
        };
        let members: Vec<_> = topic.audiences[..SILENT].iter().flatten().copied().collect();
        for member in members {
            self.disconnect(member.slot(), &Disconnect::PositionLost, None);
        }
    }

    /// Ends a turn's input: fans out every batch and reports what changed.
    pub(super) fn settle(&mut self) {
        let mut batched = std::mem::take(&mut self.batched);
        for index in batched.drain(..) {
            self.fan_out(index);
        }
        if self.batched.is_empty() {
            self.batched = batched;
        }
        self.report();
    }

    /// Fans out what a topic gathered. Also called before its members change, so that everyone gets exactly what
    /// was published while they were members.
    pub(super) fn fan_out(&mut self, index: u32) {
        let Some(topic) = self.topics.get_mut(index as usize) else {
            return;
        };
        if topic.batch.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut topic.batch);
        for format in Format::ALL {
            self.fan_out_to(index, format, &batch);
        }
        batch.clear();
        if let Some(topic) = self.topics.get_mut(index as usize)
            && topic.batch.is_empty()
            && batch.capacity() <= BATCH_FRAMES_MAX
        {
            topic.batch = batch;
        }
        self.disconnect_overflowed();
    }

    pub(super) fn disconnect_overflowed(&mut self) {
        let mut overflowed = std::mem::take(&mut self.overflowed);
        overflowed.sort_unstable();
        overflowed.dedup();
        for slot in overflowed {
            self.counters.overflow_disconnects += u64::from(!self.outboxes[slot as usize].is_closing);
            self.disconnect(slot as usize, &Disconnect::Slow, None);
        }
    }

    fn fan_out_to(&mut self, index: u32, format: Format, batch: &[Arc<Publication>]) {
        if self.topics[index as usize].audiences[format.index()].is_empty() {
            return;
        }
        let left_out = self.left_out(index, format, batch);
        let mut rest = batch;
        while !rest.is_empty() {
            let (bytes, taken) = join(format, rest, &mut self.encoder, &mut self.counters);
            self.counters.encoded += taken as u64;
            self.fan_out_frame(index, format, (bytes, taken), &left_out);
            rest = &rest[taken..];
        }
        for &slot in &left_out {
            self.fan_out_alone(slot, batch);
        }
    }

    /// Members whose own publication in the batch is not for them.
    fn left_out(&self, index: u32, format: Format, batch: &[Arc<Publication>]) -> Vec<usize> {
        let is_member = |slot: usize| {
            self.sessions[slot]
                .as_ref()
                .is_some_and(|session| session.audience() == format.index() && session.is_member(index))
        };
        let mut slots: Vec<usize> = batch
            .iter()
            .filter_map(|publication| publication.draft.except)
            .filter_map(|connection| self.open_slot_of(connection))
            .filter(|&slot| is_member(slot))
            .collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Queues one shared frame for every member. This is the innermost loop of the program: per member it touches
    /// the member list, one outbox and one node, and it allocates nothing.
    fn fan_out_frame(&mut self, index: u32, format: Format, frame: (Vec<u8>, usize), left_out: &[usize]) {
        let (bytes, publications) = frame;
        let bytes_count = bytes.len();
        let frame = self.frames.insert(bytes, publications as u32);
        let members = std::mem::take(&mut self.topics[index as usize].audiences[format.index()]);
        let list = if members.len() >= BIG_FAN_OUT {
            Dirty::Big
        } else {
            Dirty::Small
        };
        let mut delivered = 0;
        for member in &members {
            let slot = member.slot();
            if !left_out.is_empty() && left_out.binary_search(&slot).is_ok() {
                continue;
            }
            if self.is_overflowing(slot, publications, bytes_count) {
                self.overflowed.push(slot as u32);
                continue;
            }
            self.outboxes[slot].push(Lane::Data, frame, &mut self.frames);
            self.mark_dirty(slot, list);
            delivered += 1;
        }
        self.counters.deliveries += delivered * publications as u64;
        self.counters.delivered_bytes += delivered * bytes_count as u64;
        self.topics[index as usize].audiences[format.index()] = members;
        self.frames.release(frame);
        self.unwritten_frames += publications;
        self.unwritten_bytes += bytes_count;
    }

    /// Queues what a member gets of a batch in which something is not for it. Nobody shares that, so it is not worth
    /// compressing.
    fn fan_out_alone(&mut self, slot: usize, batch: &[Arc<Publication>]) {
        let Some(session) = &self.sessions[slot] else {
            return;
        };
        let (connection, dialect) = (session.connection, session.dialect);
        for publication in batch
            .iter()
            .filter(|publication| publication.draft.except != Some(connection))
        {
            let mut bytes = Vec::new();
            dialect.encode_publication(publication, &mut bytes);
            self.enqueue_publication(slot, bytes);
        }
    }

    /// Hands a direct publication to a connection; false when it is not here, does not receive, or has just overflowed.
    pub(super) fn deliver(&mut self, connection: ConnectionId, direct: &Direct) -> bool {
        let Some(slot) = self.open_slot_of(connection) else {
            return false;
        };
        let Some(session) = self.sessions[slot]
            .as_ref()
            .filter(|session| session.role == crate::Role::Subscriber)
        else {
            return false;
        };
        let mut bytes = Vec::new();
        session.dialect.encode_direct(direct, &mut bytes);
        self.enqueue_publication(slot, bytes);
        self.disconnect_overflowed();
        !self.outboxes[slot].is_closing
    }

    fn enqueue_publication(&mut self, slot: usize, bytes: Vec<u8>) {
        if self.is_overflowing(slot, 1, bytes.len()) {
            return self.overflowed.push(slot as u32);
        }
        self.counters.encoded += 1;
        self.counters.deliveries += 1;
        self.counters.delivered_bytes += bytes.len() as u64;
        self.enqueue(slot, Lane::Data, bytes, 1);
    }

    /// Whether an outbox would pass its bounds. Only a socket that has refused bytes can be behind: the others are
    /// written before more is taken in than they may hold (see [`Hub::is_pressed`]).
    pub(super) fn is_overflowing(&self, slot: usize, publications: usize, bytes: usize) -> bool {
        let outbox = &self.outboxes[slot];
        outbox.is_blocked
            && (outbox.publications() as usize + publications > self.limits.outbox_frames_max as usize
                || outbox.data_bytes() as usize + bytes > self.limits.outbox_bytes_max as usize)
    }
}

/// Encodes publications into one run of bytes, up to the bounds of a batch; gives how many it took.
fn join(
    format: Format,
    batch: &[Arc<Publication>],
    encoder: &mut Encoder,
    counters: &mut Counters,
) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    let mut taken = 0;
    for publication in batch.iter().take(BATCH_FRAMES_MAX) {
        encoder.publication(format, publication, &mut bytes, counters);
        taken += 1;
        if bytes.len() >= BATCH_BYTES_MAX {
            break;
        }
    }
    (bytes, taken)
}
