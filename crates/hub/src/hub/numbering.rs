//! The ids of a stream's events: where it stands in all the topics that it asked for, so that it can go on from the last
//! event that it has.
//!
//! A stream of one topic needs nothing of this: the place of a publication is the same for all, and stands in the frame
//! that they share. Who has asked for several topics stands at another place in each of them, so it gets every
//! publication in a frame of its own. The id is part of the event: there is no moment at which a client has the one and
//! not the other. Nothing is remembered for it. What was queued for a connection is known anyway: the topic's position
//! for a member, what it was served at its own pace, what it has read of the past.

use std::sync::Arc;

use fanfare_protocol::dialect::sse::{self, LastEventId};
use fanfare_protocol::{CommandId, Position, Publication, Reply, SubscribedTopic, TopicName};

use super::Hub;
use super::fan_out::list_of;
use crate::Dirty;
use crate::frames::FrameId;
use crate::session::{NUMBERED, PACED, Place, Session};

impl Hub {
    /// Whether the publications of a topic carry ids of its own for a connection.
    pub(super) fn is_numbered(&self, slot: usize, index: u32) -> bool {
        let session = self.sessions[slot].as_ref();
        session.is_some_and(|session| session.is_numbered(&self.topics[index as usize].name))
    }

    /// Queues what a topic gathered for those who need ids of their own.
    pub(super) fn fan_out_numbered(&mut self, index: u32, batch: &[Arc<Publication>]) {
        if self.topics[index as usize].audiences[NUMBERED].is_empty() {
            return;
        }
        let members = std::mem::take(&mut self.topics[index as usize].audiences[NUMBERED]);
        let list = list_of(&members);
        for one in batch.chunks(1) {
            let event = self.encode_numberless(&one[0]);
            self.unwritten_frames += 1;
            self.unwritten_bytes += event.len();
            for member in &members {
                self.push_numbered(member.slot(), index, one, &event, list);
            }
        }
        self.topics[index as usize].audiences[NUMBERED] = members;
    }

    /// Queues one publication for a connection at its own pace.
    pub(super) fn serve_numbered(&mut self, slot: usize, index: u32, publication: &Arc<Publication>) {
        let event = self.encode_numberless(publication);
        let one = std::slice::from_ref(publication);
        self.push_numbered(slot, index, one, &event, Dirty::Small);
    }

    /// One publication of the past for one connection, which the caller queues.
    pub(super) fn replay_numbered(&mut self, slot: usize, index: u32, one: &[Arc<Publication>]) -> FrameId {
        let event = self.encode_numberless(&one[0]);
        self.numbered_frame(slot, index, one, &event)
    }

    fn push_numbered(
        &mut self,
        slot: usize,
        index: u32,
        one: &[Arc<Publication>],
        event: &[u8],
        list: Dirty,
    ) {
        let frame = self.numbered_frame(slot, index, one, event);
        self.push_apart(slot, frame, list);
        self.frames.release(frame);
    }

    fn numbered_frame(&mut self, slot: usize, index: u32, one: &[Arc<Publication>], event: &[u8]) -> FrameId {
        let mut bytes = Vec::with_capacity(event.len() + ID_BYTES);
        if let Some(id) = self.id_after(slot, Some((index, one[0].position))) {
            id.encode(&mut bytes);
        }
        bytes.extend_from_slice(event);
        let rule = self.topics[index as usize].rule;
        self.frame(bytes, one, rule)
    }

    fn encode_numberless(&mut self, publication: &Publication) -> Vec<u8> {
        let mut event = Vec::new();
        sse::encode_numberless(publication, &mut event);
        self.counters.encoded += 1;
        event
    }

    /// The reply that tells a connection from where on it has topics; for a stream that asked for them, with an id.
    pub(super) fn encode_subscribed(
        &self,
        slot: usize,
        id: Option<&CommandId>,
        topics: Vec<SubscribedTopic>,
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Some(session) = &self.sessions[slot] else {
            return bytes;
        };
        let has_asked = topics.iter().any(|begun| session.named.contains(&begun.topic));
        if session.dialect.has_ids()
            && has_asked
            && let Some(id) = self.id_after(slot, None)
        {
            id.encode(&mut bytes);
        }
        let reply = Reply::Subscribed { topics };
        session.dialect.encode_reply(id, &reply, &mut bytes);
        bytes
    }

    /// The id of an event behind which a stream has everything that is queued for it, and of the topic that is named here
    /// everything up to this position. None while that is not settled for all of its topics.
    fn id_after(&self, slot: usize, now: Option<(u32, Position)>) -> Option<LastEventId> {
        let session = self.sessions[slot].as_ref()?;
        let place_in = |name: &TopicName| match (self.names.get(name), now) {
            (Some(&index), Some((topic, position))) if topic == index => Ok(Some(position)),
            (Some(&index), _) => self.place_in(session, index),
            (None, _) => nowhere(session),
        };
        let places: Result<Vec<_>, Unsettled> = session.named.iter().map(place_in).collect();
        places.ok().filter(|places| !places.is_empty()).map(LastEventId)
    }

    /// Up to where everything of a topic is queued for a connection, or was written; none where it does not have the topic
    /// any more.
    fn place_in(&self, session: &Session, index: u32) -> Result<Option<Position>, Unsettled> {
        let topic = &self.topics[index as usize];
        let Some(subscription) = session.subscription(index) else {
            return nowhere(session);
        };
        let position = topic.position.ok_or(Unsettled)?;
        let offset = match subscription.place {
            Place::Joining(_) => return Err(Unsettled),
            Place::CatchingUp(comer) => return Ok(Some(self.comers[comer as usize].at)),
            Place::Member(seat) if usize::from(seat.audience) == PACED => topic
                .pacing
                .as_ref()
                .map_or(position.offset, |pacing| pacing.paces[seat.at as usize].served),
            // What the topic gathered since it was last fanned out is not queued yet.
            Place::Member(_) => position.offset - topic.batch.len() as u64,
        };
        Ok(Some(Position { offset, ..position }))
    }
}

/// It is not known yet from where on a connection will have a topic.
struct Unsettled;

/// A connection does not have a topic. While the application is asked, a stream has none of its topics yet.
fn nowhere(session: &Session) -> Result<Option<Position>, Unsettled> {
    if session.is_asking() {
        Err(Unsettled)
    } else {
        Ok(None)
    }
}

/// Room for the id of a stream of a few topics; a longer one makes its frame grow.
const ID_BYTES: usize = 64;
