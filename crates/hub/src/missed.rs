//! What connections were not sent and are yet to be told.
//!
//! A notice stands in the outbox where the first thing was left out, as a frame without bytes. What is left out of the
//! same topic behind it is added to it. Its bytes are written when the connection is about to be written; once the
//! socket takes the first of them, the notice is closed, and the next gap begins another.
//!
//! What waits may be left out later than what came after it, by its age for instance. So what is added to a notice must
//! stand behind it, and no `subscribed` between the two that tells the client a position of the topic: that is a fence.

use std::collections::HashMap;

use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{Millis, Missed, Push, TopicName};
use foldhash::fast::FixedState;

use crate::frames::{Expendable, FrameId, Frames};
use crate::outbox::Outbox;

/// The notices that still grow, by slot. Connections that read have none.
pub(crate) struct Notices(HashMap<u32, Gaps, FixedState>);

/// Those of one connection.
#[derive(Default)]
struct Gaps {
    notices: Vec<Notice>,
    fences: Vec<Fence>,
}

struct Notice {
    missed: Missed,
    /// The frame that stands for it in the outbox, held here as well.
    frame: FrameId,
    /// Whether `missed` grew since its bytes were written.
    is_stale: bool,
    /// Whether it was put at the end of the outbox, so that what is left out from then on stands behind it.
    is_at_end: bool,
    /// Whether the look at the outbox has passed it, and no fence since.
    is_passed: bool,
}

/// A `subscribed` that waits behind publications of its topics.
struct Fence {
    topics: Vec<TopicName>,
    /// Its frame, held here as well.
    frame: FrameId,
}

/// Where something is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the look at the outbox is.
    Look,
    /// Behind everything that waits.
    End,
}

impl Notices {
    pub(crate) fn new() -> Self {
        Self(HashMap::with_hasher(FixedState::default()))
    }

    /// Whether nobody misses anything; true but for slow clients.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For how many connections there is one, or a fence.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A look at the outbox of `slot` begins, from its front.
    pub(crate) fn look(&mut self, slot: usize) {
        let notices = self.0.get_mut(&(slot as u32)).into_iter();
        notices
            .flat_map(|gaps| &mut gaps.notices)
            .for_each(|notice| notice.is_passed = false);
    }

    /// The look passes a frame.
    pub(crate) fn pass(&mut self, slot: usize, frame: FrameId) {
        let Some(Gaps { notices, fences }) = self.0.get_mut(&(slot as u32)) else {
            return;
        };
        let fence = fences.iter().find(|fence| fence.frame == frame);
        for notice in notices {
            let is_behind = fence.is_none_or(|fence| !fence.topics.contains(&notice.missed.topic));
            notice.is_passed = (notice.is_passed || notice.frame == frame) && is_behind;
        }
    }

    /// The last frame of an outbox tells a position of `topics`.
    pub(crate) fn fence(&mut self, slot: usize, topics: Vec<TopicName>, frame: FrameId, frames: &mut Frames) {
        frames.hold(frame);
        let gaps = self.0.entry(slot as u32).or_default();
        gaps.fences.push(Fence { topics, frame });
    }

    /// Takes note that `slot` is not sent some publications, where the look is or, without one, at the end. Gives a frame
    /// to be put there when it begins a gap.
    pub(crate) fn note(
        &mut self,
        (slot, place): (usize, Place),
        expendable: &Expendable,
        now: Millis,
        frames: &mut Frames,
    ) -> Option<FrameId> {
        let notices = &mut self.0.entry(slot as u32).or_default().notices;
        let known = notices.iter_mut().find(|notice| {
            let is_before = match place {
                Place::End => notice.is_at_end,
                Place::Look => notice.is_passed,
            };
            is_before
                && notice.missed.topic == expendable.topic
                && notice.missed.from.epoch == expendable.from.epoch
        });
        if let Some(Notice { missed, is_stale, .. }) = known {
            missed.from.offset = missed.from.offset.min(expendable.from.offset);
            missed.to = missed.to.max(expendable.to);
            missed.count += expendable.count();
            *is_stale = true;
            return None;
        }
        let frame = frames.insert(Vec::new(), 0, now);
        notices.push(Notice {
            missed: Missed {
                topic: expendable.topic.clone(),
                from: expendable.from,
                to: expendable.to,
                count: expendable.count(),
            },
            frame,
            is_stale: true,
            is_at_end: place == Place::End,
            is_passed: place == Place::Look,
        });
        Some(frame)
    }

    /// Writes the bytes of the notices of a connection that is about to be written.
    pub(crate) fn render(&mut self, slot: usize, dialect: Dialect, frames: &mut Frames, outbox: &mut Outbox) {
        let gaps = self.0.get_mut(&(slot as u32)).into_iter();
        let notices = gaps.flat_map(|gaps| &mut gaps.notices);
        for notice in notices.filter(|notice| notice.is_stale) {
            let mut bytes = Vec::new();
            dialect.encode_push(&Push::Missed(notice.missed.clone()), &mut bytes);
            outbox.resize(notice.frame, bytes, frames);
            notice.is_stale = false;
        }
    }

    /// Closes the notices of a connection that its socket took, or has begun to take.
    pub(crate) fn wrote(&mut self, slot: usize, frames: &mut Frames, outbox: &Outbox) {
        let started = outbox.started(frames);
        let is_taken = |frame, frames: &Frames| Some(frame) == started || frames.is_held_once(frame);
        self.close_where(slot, frames, |notice, frames| is_taken(notice.frame, frames));
        self.take_down_where(slot, frames, |fence, frames| is_taken(fence.frame, frames));
    }

    /// Closes the notice of one topic: what is left out of it from now on is another gap.
    pub(crate) fn close(
        &mut self,
        slot: usize,
        topic: &TopicName,
        dialect: Dialect,
        frames: &mut Frames,
        outbox: &mut Outbox,
    ) {
        self.render(slot, dialect, frames, outbox);
        self.close_where(slot, frames, |notice, _| notice.missed.topic == *topic);
    }

    /// Forgets all notices of a connection whose outbox is thrown away.
    pub(crate) fn forget(&mut self, slot: usize, frames: &mut Frames) {
        self.close_where(slot, frames, |_, _| true);
        self.take_down_where(slot, frames, |_, _| true);
    }

    fn close_where(
        &mut self,
        slot: usize,
        frames: &mut Frames,
        is_closed: impl Fn(&Notice, &Frames) -> bool,
    ) {
        let Some(gaps) = self.0.get_mut(&(slot as u32)) else {
            return;
        };
        gaps.notices.retain(|notice| {
            let is_closed = is_closed(notice, frames);
            if is_closed {
                frames.release(notice.frame);
            }
            !is_closed
        });
        self.forget_if_empty(slot);
    }

    fn take_down_where(
        &mut self,
        slot: usize,
        frames: &mut Frames,
        is_gone: impl Fn(&Fence, &Frames) -> bool,
    ) {
        let Some(gaps) = self.0.get_mut(&(slot as u32)) else {
            return;
        };
        gaps.fences.retain(|fence| {
            let is_gone = is_gone(fence, frames);
            if is_gone {
                frames.release(fence.frame);
            }
            !is_gone
        });
        self.forget_if_empty(slot);
    }

    fn forget_if_empty(&mut self, slot: usize) {
        let is_empty = |gaps: &Gaps| gaps.notices.is_empty() && gaps.fences.is_empty();
        if self.0.get(&(slot as u32)).is_some_and(is_empty) {
            self.0.remove(&(slot as u32));
        }
    }
}
