//! Subscriptions with a rate: the newest of every key, at most that often.

use std::sync::Arc;

use fanfare_protocol::{Every, Format, Millis, Publication};

use super::Hub;
use crate::Dirty;
use crate::frames::FrameId;
use crate::limits::PACED_KEYS_MAX;
use crate::pacing::{Pace, Pacing};
use crate::session::PACED;
use crate::topic::Member;
use crate::topic::Wants;

impl Hub {
    /// Keeps what a topic gathered for its paced audience, and serves those whose time has come.
    pub(super) fn pace(&mut self, index: u32, batch: &[Arc<Publication>]) {
        let topic = &mut self.topics[index as usize];
        let Some(pacing) = &mut topic.pacing else {
            return;
        };
        for publication in batch {
            pacing.keep(publication, &mut self.frames, &mut self.paced_bytes);
        }
        let has_too_many = pacing.newest.len() > PACED_KEYS_MAX;
        self.serve(index, has_too_many);
    }

    /// Serves the paced topics that have something for someone: those who are due, or all.
    pub(super) fn serve_paced(&mut self, all: bool) {
        for (index, serial) in std::mem::take(&mut self.paced) {
            let topic = self.topics.get_mut(index as usize);
            let Some(topic) = topic.filter(|topic| topic.serial == serial) else {
                continue;
            };
            if let Some(pacing) = &mut topic.pacing {
                pacing.is_listed = false;
                self.serve(index, all);
            }
        }
    }

    /// Serves the members of a paced audience that are due, or all of them.
    fn serve(&mut self, index: u32, all: bool) {
        let Some(topic) = self.topics.get_mut(index as usize) else {
            return;
        };
        let Some(mut pacing) = topic.pacing.take() else {
            return;
        };
        let members = std::mem::take(&mut topic.audiences[PACED]);
        for (at, &member) in members.iter().enumerate() {
            if all || pacing.paces[at].due_at <= self.now.monotonic {
                self.serve_one(index, member, &mut pacing, at);
            }
        }
        pacing.forget_served(&mut self.frames, &mut self.paced_bytes);
        let topic = &mut self.topics[index as usize];
        if !pacing.newest.is_empty() && !std::mem::replace(&mut pacing.is_listed, true) {
            self.paced.push((index, topic.serial));
        }
        topic.audiences[PACED] = members;
        topic.pacing = Some(pacing);
        self.disconnect_overflowed();
    }

    /// Queues what a member has not had yet, and sets when it is due again.
    fn serve_one(&mut self, index: u32, member: Member, pacing: &mut Pacing, at: usize) {
        let slot = member.slot();
        let Pace { every_ms, served, .. } = pacing.paces[at];
        let (Some(session), Some(last)) = (&self.sessions[slot], pacing.newest.last()) else {
            return;
        };
        let (connection, format) = (session.connection, session.format());
        let last = last.publication.position.offset;
        if last <= served {
            return;
        }
        let first = pacing
            .newest
            .partition_point(|newest| newest.publication.position.offset <= served);
        let waiting = pacing.newest.len() - first;
        let is_numbered = self.is_numbered(slot, index);
        for newest in &mut pacing.newest[first..] {
            if newest.publication.draft.except == Some(connection) {
                continue;
            }
            let publication = &newest.publication;
            if is_numbered {
                self.serve_numbered(slot, index, publication);
                continue;
            }
            let frame = *newest.frames[format.index()]
                .get_or_insert_with(|| self.encode_alone(index, format, publication));
            self.push_apart(slot, frame, Dirty::Small);
        }
        self.counters.replaced += last - served - waiting as u64;
        pacing.paces[at].served = last;
        pacing.paces[at].due_at = Millis(self.now.monotonic.0 + u64::from(every_ms));
    }

    fn encode_alone(&mut self, index: u32, format: Format, publication: &Arc<Publication>) -> FrameId {
        let mut bytes = Vec::new();
        self.encoder
            .publication(format, publication, &mut bytes, &mut self.counters);
        self.counters.encoded += 1;
        let rule = self.topics[index as usize].rule;
        self.frame(bytes, std::slice::from_ref(publication), rule)
    }

    /// Puts a new member of the paced audience at its end; gives its place there.
    pub(super) fn seat_paced(&mut self, index: u32, slot: usize, every: Every) -> u32 {
        let topic = &mut self.topics[index as usize];
        let pacing = topic.pacing.get_or_insert_with(|| Box::new(Pacing::new()));
        pacing.paces.push(Pace {
            every_ms: every.as_millis(),
            due_at: self.now.monotonic,
            served: topic.position.map_or(0, |position| position.offset),
        });
        let members = &mut topic.audiences[PACED];
        members.push(Member::new(slot, Wants::default()));
        members.len() as u32 - 1
    }

    /// Takes note that a place of the paced audience was taken out, and the last one moved there.
    pub(super) fn unseat_paced(&mut self, index: u32, at: u32) {
        let topic = &mut self.topics[index as usize];
        if let Some(pacing) = &mut topic.pacing {
            pacing.paces.swap_remove(at as usize);
            pacing.forget_served(&mut self.frames, &mut self.paced_bytes);
            if pacing.paces.is_empty() {
                topic.pacing = None;
            }
        }
    }

    /// Changes the pace of a member, which is due again no later than by its new pace.
    pub(super) fn set_pace(&mut self, index: u32, at: u32, every: Every) {
        if let Some(pacing) = &mut self.topics[index as usize].pacing {
            let pace = &mut pacing.paces[at as usize];
            pace.every_ms = every.as_millis();
            let latest = Millis(self.now.monotonic.0 + u64::from(pace.every_ms));
            pace.due_at = pace.due_at.min(latest);
        }
    }

    /// Serves a member of the paced audience at once: it leaves that audience and is to miss nothing.
    pub(super) fn serve_now(&mut self, index: u32, at: u32) {
        if let Some(pacing) = &mut self.topics[index as usize].pacing {
            pacing.paces[at as usize].due_at = Millis::default();
            self.serve(index, false);
        }
    }
}
