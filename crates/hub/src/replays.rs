//! Pages of history that were encoded a moment ago: when a room comes back together, most of it missed the same, and the
//! first who reads a page pays for its encoding.

use fanfare_protocol::Format;

use crate::frames::{FrameId, Frames};

/// The pages encoded since the last tick.
#[derive(Default)]
pub(crate) struct Replays(Vec<(Replay, FrameId)>);

/// Which page: the same publications of the same topic in the same format.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replay {
    /// The serial of the topic.
    pub(crate) topic: u64,
    pub(crate) format: Format,
    /// The offset of the first publication.
    pub(crate) from: u64,
    /// That of the last one.
    pub(crate) to: u64,
}

/// Pages that are kept at once, over all topics. Beyond: the oldest goes.
const REPLAYS_MAX: usize = 64;

impl Replays {
    /// The frame of a page, held once more for the caller.
    pub(crate) fn hold(&self, replay: &Replay, frames: &mut Frames) -> Option<FrameId> {
        let (_, frame) = self.0.iter().find(|(known, _)| known == replay)?;
        frames.hold(*frame);
        Some(*frame)
    }

    /// Keeps a page for those who come next.
    pub(crate) fn keep(&mut self, replay: Replay, frame: FrameId, frames: &mut Frames) {
        if self.0.len() == REPLAYS_MAX {
            let (_, oldest) = self.0.remove(0);
            frames.release(oldest);
        }
        frames.hold(frame);
        self.0.push((replay, frame));
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self, frames: &mut Frames) {
        for (_, frame) in self.0.drain(..) {
            frames.release(frame);
        }
    }
}
