//! What connections were not sent and are yet to be told.
//!
//! A notice stands in the outbox where the first thing was left out, as a frame without bytes. What is left out of the
//! same topic afterwards is added to it. Its bytes are written when the connection is about to be written; once the
//! socket takes the first of them, the notice is closed, and the next gap begins another.

use std::collections::HashMap;

use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{Millis, Missed, Push, TopicName};
use foldhash::fast::FixedState;

use crate::frames::{Expendable, FrameId, Frames};
use crate::outbox::Outbox;

/// The notices that still grow, by slot. Connections that read have none.
pub(crate) struct Notices(HashMap<u32, Vec<Notice>, FixedState>);

struct Notice {
    missed: Missed,
    /// The frame that stands for it in the outbox, held here as well.
    frame: FrameId,
    /// Whether `missed` grew since its bytes were written.
    is_stale: bool,
}

impl Notices {
    pub(crate) fn new() -> Self {
        Self(HashMap::with_hasher(FixedState::default()))
    }

    /// Whether nobody misses anything; true but for slow clients.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For how many connections there is one.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes note that `slot` is not sent some publications. Gives a frame to be put in its place when it begins a gap.
    pub(crate) fn note(
        &mut self,
        slot: usize,
        expendable: &Expendable,
        now: Millis,
        frames: &mut Frames,
    ) -> Option<FrameId> {
        let notices = self.0.entry(slot as u32).or_default();
        let known = notices.iter_mut().find(|notice| {
            notice.missed.topic == expendable.topic && notice.missed.from.epoch == expendable.from.epoch
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
        });
        Some(frame)
    }

    /// Writes the bytes of the notices of a connection that is about to be written.
    pub(crate) fn render(&mut self, slot: usize, dialect: Dialect, frames: &mut Frames, outbox: &mut Outbox) {
        let notices = self.0.get_mut(&(slot as u32)).into_iter().flatten();
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
        self.close_where(slot, frames, |notice, frames| {
            Some(notice.frame) == started || frames.is_held_once(notice.frame)
        });
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
    }

    fn close_where(
        &mut self,
        slot: usize,
        frames: &mut Frames,
        is_closed: impl Fn(&Notice, &Frames) -> bool,
    ) {
        let Some(notices) = self.0.get_mut(&(slot as u32)) else {
            return;
        };
        notices.retain(|notice| {
            let is_closed = is_closed(notice, frames);
            if is_closed {
                frames.release(notice.frame);
            }
            !is_closed
        });
        if notices.is_empty() {
            self.0.remove(&(slot as u32));
        }
    }
}
