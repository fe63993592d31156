//! Replies that have in them what a client has missed: it is read page by page like all that is missed, and put together
//! instead of being queued. What a client has missed of several topics is told at once, so whoever has read all of one
//! waits for the others, and takes what is published meanwhile into the reply.

use std::sync::Arc;

use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::{CommandId, ConnectionId, Loss, Publication, Rejection, SubscribedTopic, TopicName};

use super::Hub;
use super::subscribing::Told;
use crate::broker::Page;
use crate::limits::GATHERED_MAX;
use crate::session::Manner;

/// A reply that waits for what was missed.
pub(super) struct Gathering {
    pub(super) connection: ConnectionId,
    pub(super) id: Option<CommandId>,
    pub(super) told: Told,
    /// The topics with what is gathered of them.
    pub(super) topics: Vec<SubscribedTopic>,
    /// Whether the client would rather be refused than begin anew.
    pub(super) insists: bool,
    /// Comers that are still to be read for.
    pub(super) waiting: usize,
    /// Bytes that are gathered.
    pub(super) bytes: usize,
}

/// Where a comer gathers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Gathered {
    /// For which reply.
    pub(super) reply: u32,
    /// Which topic of it.
    pub(super) place: usize,
    /// Whether it has everything up to now.
    pub(super) is_ready: bool,
}

impl Hub {
    /// Has comers gather for one reply, each for one of its topics.
    pub(super) fn begin_gathering(&mut self, slot: usize, gathering: Gathering, comers: &[(u32, usize)]) {
        let reply = self.gatherings.insert(gathering) as u32;
        for &(comer, place) in comers {
            self.comers[comer as usize].gathered = Some(Gathered {
                reply,
                place,
                is_ready: false,
            });
        }
        for &(key, _) in comers {
            let comer = &self.comers[key as usize];
            if self.topics[comer.topic as usize].position == Some(comer.at) {
                self.be_ready(slot, key);
            }
        }
    }

    /// A page came for a comer that gathers.
    pub(super) fn gather_page(&mut self, slot: usize, key: u32, page: &Page) {
        let (index, at) = (self.comers[key as usize].topic, self.comers[key as usize].at);
        let last = page.publications.last().map_or(at, |last| last.position);
        self.comers[key as usize].at = last;
        let is_kept = page.lost.is_none() && self.take_up(key, &page.publications);
        // What waits to be fanned out is for those who are members; whoever becomes one now has read it.
        self.fan_out(index);
        if self.outboxes[slot].is_closing || self.comers.get(key as usize).is_none() {
            return;
        }
        if self.refuses_gathered(slot, &page.publications) {
            return;
        }
        if is_kept && self.topics[index as usize].position == Some(last) {
            self.be_ready(slot, key);
        } else if !is_kept || page.publications.is_empty() {
            if self.refuses_to_begin_anew(slot, key) {
                return;
            }
            self.give_up(key);
            self.be_ready(slot, key);
        }
        self.read_on(slot);
    }

    /// Closes a client that is to be told what it has no words for.
    fn refuses_gathered(&mut self, slot: usize, publications: &[Arc<Publication>]) -> bool {
        let Some(session) = &self.sessions[slot] else {
            return true;
        };
        let dialect = session.dialect;
        let is_carried = |publication: &Arc<Publication>| dialect.carries(publication.draft.payload.kind());
        if publications.iter().all(is_carried) {
            return false;
        }
        self.disconnect(slot, &Disconnect::UnsupportedData, None);
        true
    }

    /// What was published while comers wait for others goes into their replies.
    pub(super) fn gather_live(&mut self, index: u32, batch: &[Arc<Publication>]) {
        let of_topic = |key: &u32| {
            self.comers
                .get(*key as usize)
                .is_some_and(|comer| comer.topic == index)
        };
        let keys: Vec<u32> = self.ready.iter().copied().filter(of_topic).collect();
        for key in keys {
            let Some(last) = batch.last() else { return };
            self.comers[key as usize].at = last.position;
            if !self.take_up(key, batch) {
                self.give_up(key);
            }
        }
    }

    /// Puts publications to what a comer has gathered; false when that would be too much.
    fn take_up(&mut self, key: u32, publications: &[Arc<Publication>]) -> bool {
        let bytes_max = self.limits.outbox_bytes_max as usize;
        let session = self.comers.get(key as usize).map(|comer| comer.connection.slot());
        let session = session.and_then(|slot| self.sessions[slot].as_ref());
        let wanted = publications
            .iter()
            .filter(|publication| session.is_some_and(|session| session.wants(publication)));
        let wanted: Vec<_> = wanted.cloned().collect();
        let Some((gathering, place)) = self.gathering_of(key) else {
            return false;
        };
        let bytes: usize = publications
            .iter()
            .map(|publication| publication.draft.bytes())
            .sum();
        gathering.bytes += bytes;
        let topic = &mut gathering.topics[place];
        if topic.recovered != Some(Ok(())) {
            // It was given up already: it is told where the topic stands.
            if let Some(last) = publications.last() {
                topic.position = last.position;
            }
            return true;
        }
        if topic.publications.len() + wanted.len() > GATHERED_MAX || gathering.bytes > bytes_max {
            return false;
        }
        topic.publications.extend(wanted);
        true
    }

    fn gathering_of(&mut self, key: u32) -> Option<(&mut Gathering, usize)> {
        let Gathered { reply, place, .. } = self.comers.get(key as usize)?.gathered?;
        Some((self.gatherings.get_mut(reply as usize)?, place))
    }

    /// Refuses a command whose client would not begin anew.
    fn refuses_to_begin_anew(&mut self, slot: usize, key: u32) -> bool {
        let Some(reply) = self.comers[key as usize].gathered.map(|gathered| gathered.reply) else {
            return false;
        };
        if !self.gatherings[reply as usize].insists {
            return false;
        }
        let Gathering { id, topics, .. } = self.gatherings.remove(reply as usize);
        let names: Vec<TopicName> = topics.into_iter().map(|begun| begun.topic).collect();
        self.unsubscribe(slot, &names);
        self.reject_unrecoverable(slot, id);
        true
    }

    pub(super) fn reject_unrecoverable(&mut self, slot: usize, id: Option<CommandId>) {
        let message = "the topic cannot be gone on from there, begin anew";
        self.reject(slot, Rejection::new(id, ErrorCode::Unrecoverable, message));
    }

    /// The client cannot go on from where it was: it begins where the topic stands.
    fn give_up(&mut self, key: u32) {
        let index = self.comers[key as usize].topic;
        let Some(now) = self.topics[index as usize].position else {
            return;
        };
        self.comers[key as usize].at = now;
        if let Some((gathering, place)) = self.gathering_of(key) {
            let topic = &mut gathering.topics[place];
            topic.publications = Vec::new();
            topic.position = now;
            topic.recovered = Some(Err(Loss::TooOld));
        }
    }

    /// A comer has everything up to now.
    fn be_ready(&mut self, slot: usize, key: u32) {
        let Some(gathered) = &mut self.comers[key as usize].gathered else {
            return;
        };
        gathered.is_ready = true;
        let reply = gathered.reply;
        self.ready.push(key);
        let gathering = &mut self.gatherings[reply as usize];
        gathering.waiting -= 1;
        if gathering.waiting == 0 {
            self.finish_gathering(slot, reply);
        }
    }

    /// Everything is there: the reply goes, and behind it whatever is published from now on.
    fn finish_gathering(&mut self, slot: usize, reply: u32) {
        let Gathering { id, told, topics, .. } = self.gatherings.remove(reply as usize);
        let of_reply = |key: &u32| {
            let comer = self.comers.get(*key as usize);
            comer.is_some_and(|comer| comer.gathered.is_some_and(|gathered| gathered.reply == reply))
        };
        let keys: Vec<u32> = self.ready.iter().copied().filter(of_reply).collect();
        self.ready.retain(|key| !keys.contains(key));
        let last_of = |key: &u32| {
            let comer = &self.comers[*key as usize];
            let topic = &topics[comer.gathered?.place];
            let last = topic
                .publications
                .last()
                .filter(|_| comer.manner == Manner::Deltas);
            last.map(|last| (comer.topic, Arc::clone(last)))
        };
        let lasts: Vec<_> = keys.iter().map(last_of).collect();
        self.tell_subscribed(slot, id.as_ref(), topics, told);
        for (key, last) in keys.into_iter().zip(lasts) {
            self.arrive(slot, key);
            if let Some((index, last)) = last {
                self.follow(slot, index, &last);
            }
        }
    }

    /// A comer is gone: its reply waits for it no longer.
    pub(super) fn gather_no_more(&mut self, key: u32, gathered: Gathered) {
        self.ready.retain(|ready| *ready != key);
        let Some(gathering) = self.gatherings.get_mut(gathered.reply as usize) else {
            return;
        };
        gathering.topics[gathered.place].publications = Vec::new();
        gathering.topics[gathered.place].recovered = Some(Err(Loss::TooOld));
        gathering.waiting -= usize::from(!gathered.is_ready);
        if gathering.waiting == 0 {
            let connection = gathering.connection;
            match self.open_slot_of(connection) {
                Some(slot) => self.finish_gathering(slot, gathered.reply),
                None => drop(self.gatherings.remove(gathered.reply as usize)),
            }
        }
    }
}
