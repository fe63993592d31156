//! From the broker's events to the outboxes: what one turn brought for a topic is encoded once per format, joined
//! into shared frames, and queued for every member.

use std::sync::Arc;

use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::Direct;
use fanfare_protocol::{ConnectionId, Format, Publication, Push, TopicName};

use super::Hub;
use crate::encoder::Encoder;
use crate::frames::FrameId;
use crate::limits::{BATCH_BYTES_MAX, BATCH_FRAMES_MAX, BIG_FAN_OUT};
use crate::outbox::Lane;
use crate::topic::Member;
use crate::{Counters, Dirty, SlowRule};

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
        let members = topic.audiences.receivers();
        let mut slots: Vec<usize> = members.map(|member| member.slot()).collect();
        slots.extend(self.comers_of(index));
        let name = topic.name.clone();
        for slot in slots {
            self.lose_position(slot, &name);
        }
    }

    /// A client that can subscribe anew on its own connection is told to; others are closed.
    fn lose_position(&mut self, slot: usize, topic: &TopicName) {
        let session = self.sessions[slot].as_ref();
        if session.is_some_and(|session| session.resubscribes() && !session.named.contains(topic)) {
            self.unsubscribe(slot, std::slice::from_ref(topic));
            let push = Push::PositionLost { topic: topic.clone() };
            self.push_to(slot, Lane::Data, &push);
        } else {
            self.disconnect(slot, &Disconnect::PositionLost, None);
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
        self.shed();
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
        for &format in topic.audiences.formats() {
            self.fan_out_to(index, format, &batch);
        }
        self.fan_out_numbered(index, &batch);
        self.fan_out_deltas(index, &batch);
        self.fan_out_filtered(index, &batch);
        self.pace(index, &batch);
        if !self.ready.is_empty() {
            self.gather_live(index, &batch);
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
        for slot in std::mem::take(&mut self.unable) {
            self.disconnect(slot as usize, &Disconnect::UnsupportedData, None);
        }
    }

    fn fan_out_to(&mut self, index: u32, format: Format, batch: &[Arc<Publication>]) {
        if self.topics[index as usize].audiences[format.index()].is_empty() {
            return;
        }
        let is_carried = |one: &Arc<Publication>| format.dialect.carries(one.draft.payload.kind());
        if !batch.iter().all(is_carried) {
            // They are closed behind the fan-out: with the last member its topic goes.
            let members = self.topics[index as usize].audiences[format.index()].iter();
            return self.unable.extend(members.map(|member| member.slot() as u32));
        }
        let excepted = self.excepted(index, format, batch);
        let mut rest = batch;
        while !rest.is_empty() {
            let run = Run::encode(format, rest, &mut self.encoder, &mut self.counters);
            let (these, later) = rest.split_at(run.ends.len());
            self.counters.encoded += these.len() as u64;
            self.fan_out_run(index, format, run, these, &excepted);
            rest = later;
        }
    }

    /// Members whose own publication in the batch is not for them.
    fn excepted(&self, index: u32, format: Format, batch: &[Arc<Publication>]) -> Vec<usize> {
        let is_member = |slot: usize| {
            self.sessions[slot]
                .as_ref()
                .is_some_and(|session| session.audience() == format.index() && session.is_at_once(index))
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

    /// Queues a run as one shared frame for every member. This is the innermost loop of the program: per member it
    /// touches the member list, one outbox and one node, and it allocates nothing. Who gets less than the whole run, or
    /// may have to do without some of it, is dealt with apart.
    fn fan_out_run(
        &mut self,
        index: u32,
        format: Format,
        run: Run,
        batch: &[Arc<Publication>],
        excepted: &[usize],
    ) {
        let Run { bytes, ends } = run;
        let (publications, bytes_count) = (ends.len(), bytes.len());
        let (rule, bounds) = (self.topics[index as usize].rule, self.limits.outbox());
        let frame = self.frame(bytes, batch, rule);
        let members = std::mem::take(&mut self.topics[index as usize].audiences[format.index()]);
        let list = list_of(&members);
        let (mut delivered, mut apart) = (0, Vec::new());
        for member in &members {
            let slot = member.slot();
            let outbox = &mut self.outboxes[slot];
            let is_behind = match rule {
                SlowRule::Disconnect => false,
                SlowRule::DropOldest | SlowRule::DropNewest => outbox.is_blocked,
                // Of one that is not blocked just now, something may wait since it was; and nothing can be left out of a run
                // of several.
                SlowRule::Conflate => outbox.is_blocked || (publications > 1 && !outbox.is_empty()),
            };
            if is_behind || (!excepted.is_empty() && excepted.binary_search(&slot).is_ok()) {
                apart.push(slot);
                continue;
            }
            if !outbox.has_room(publications, bytes_count, bounds)
                && !self.make_room(slot, publications, bytes_count)
            {
                self.overflowed.push(slot as u32);
                continue;
            }
            self.outboxes[slot].push(Lane::Data, frame, &mut self.frames);
            self.mark_dirty(slot, list);
            delivered += 1;
        }
        self.topics[index as usize].audiences[format.index()] = members;
        self.counters.deliveries += delivered * publications as u64;
        self.counters.delivered_bytes += delivered * bytes_count as u64;
        self.unwritten_frames += publications;
        self.unwritten_bytes += bytes_count;
        if !apart.is_empty() {
            self.fan_out_apart(&apart, batch, (frame, &ends), (rule, list));
        }
        self.frames.release(frame);
    }

    /// Queues the publications of a run one by one, each in a frame of its own that all of `slots` share.
    fn fan_out_apart(
        &mut self,
        slots: &[usize],
        batch: &[Arc<Publication>],
        (run, ends): (FrameId, &[usize]),
        (rule, list): (SlowRule, Dirty),
    ) {
        let mut start = 0;
        for (one, &end) in batch.chunks(1).zip(ends) {
            let bytes = self.frames.bytes_in(run)[start..end].to_vec();
            start = end;
            let frame = self.frame(bytes, one, rule);
            for &slot in slots {
                let connection = self.sessions[slot].as_ref().map(|session| session.connection);
                let except = one[0].draft.except;
                if except.is_none() || except != connection {
                    self.push_apart(slot, frame, list);
                }
            }
            self.frames.release(frame);
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
        if !session.dialect.carries(direct.payload.kind()) {
            self.disconnect(slot, &Disconnect::UnsupportedData, None);
            return false;
        }
        let mut bytes = Vec::new();
        session.dialect.encode_direct(direct, &mut bytes);
        self.counters.encoded += 1;
        let frame = self.frames.insert(bytes, 1, self.now.monotonic);
        self.push_apart(slot, frame, Dirty::Small);
        self.frames.release(frame);
        self.disconnect_overflowed();
        !self.outboxes[slot].is_closing
    }
}

/// In which list of those to write the members of an audience stand.
pub(super) fn list_of(members: &[Member]) -> Dirty {
    if members.len() >= BIG_FAN_OUT {
        Dirty::Big
    } else {
        Dirty::Small
    }
}

/// Publications of one topic, encoded one behind the other.
pub(super) struct Run {
    pub(super) bytes: Vec<u8>,
    /// Where each of them ends.
    pub(super) ends: Vec<usize>,
}

impl Run {
    /// Encodes publications from the first on, up to the bounds of a batch.
    pub(super) fn encode(
        format: Format,
        batch: &[Arc<Publication>],
        encoder: &mut Encoder,
        counters: &mut Counters,
    ) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(batch.len().min(BATCH_FRAMES_MAX)));
        for publication in batch.iter().take(BATCH_FRAMES_MAX) {
            encoder.publication(format, publication, &mut bytes, counters);
            ends.push(bytes.len());
            if bytes.len() >= BATCH_BYTES_MAX {
                break;
            }
        }
        Self { bytes, ends }
    }
}
