//! Members that are given what has changed since the publication before.
//!
//! Everybody in this audience has had the same publication last, or none yet. So each is encoded once per dialect as what
//! has changed, and once as a whole for those who have yet to have one.

use std::sync::Arc;

use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{Payload, Publication};

use super::Hub;
use super::fan_out::list_of;
use crate::Dirty;
use crate::frames::FrameId;
use crate::session::DELTAS;
use crate::topic::Member;

/// Frames of one publication, by dialect: as a whole, and as what has changed.
type Encoded = [[Option<FrameId>; 2]; Dialect::ALL.len()];

impl Hub {
    /// Queues what a topic gathered for those who get deltas.
    pub(super) fn fan_out_deltas(&mut self, index: u32, batch: &[Arc<Publication>]) {
        let topic = &mut self.topics[index as usize];
        if topic.audiences[DELTAS].is_empty() {
            topic.before = None;
            return;
        }
        let mut members = std::mem::take(&mut topic.audiences[DELTAS]);
        let list = list_of(&members);
        let mut before = topic.before.take();
        for one in batch {
            let payload = before.as_ref().map(|(_, payload)| payload);
            self.push_deltas(index, (one, payload), (&mut members, list));
            before = Some((one.position.offset, one.draft.payload.clone()));
        }
        let topic = &mut self.topics[index as usize];
        topic.before = before;
        topic.audiences[DELTAS] = members;
    }

    fn push_deltas(
        &mut self,
        index: u32,
        (publication, before): (&Arc<Publication>, Option<&Payload>),
        (members, list): (&mut [Member], Dirty),
    ) {
        let mut encoded = Encoded::default();
        for member in members {
            let slot = member.slot();
            let Some(session) = &self.sessions[slot] else {
                continue;
            };
            let (dialect, connection) = (session.dialect, session.connection);
            if publication.draft.except == Some(connection) {
                member.set_follows(false);
                continue;
            }
            if !dialect.carries(publication.draft.payload.kind()) {
                self.unable.push(slot as u32);
                continue;
            }
            let before = before.filter(|_| member.follows());
            let place = &mut encoded[dialect.index()][usize::from(before.is_some())];
            let frame = *place.get_or_insert_with(|| {
                self.encode_apart(index, publication, |bytes| {
                    dialect.encode_delta(publication, before, bytes);
                })
            });
            self.push_apart(slot, frame, list);
            member.set_follows(true);
        }
        for frame in encoded.into_iter().flatten().flatten() {
            self.frames.release(frame);
        }
    }

    /// A new member has this publication already, so that it can go on with what has changed if that is the last one.
    pub(super) fn follow(&mut self, slot: usize, index: u32, last: &Publication) {
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        let Some(&mut seat) = session
            .seat(index)
            .filter(|seat| usize::from(seat.audience) == DELTAS)
        else {
            return;
        };
        let Some(topic) = self.topics.get_mut(index as usize) else {
            return;
        };
        let offset = last.position.offset;
        if topic.audiences[DELTAS].len() == 1
            && topic.batch.is_empty()
            && topic.position == Some(last.position)
        {
            topic.before = Some((offset, last.draft.payload.clone()));
        }
        if topic.before.as_ref().is_some_and(|(before, _)| *before == offset) {
            topic.audiences[DELTAS][seat.at as usize].set_follows(true);
        }
    }
}
