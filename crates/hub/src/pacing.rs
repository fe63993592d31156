//! What a topic keeps for those who want it at their own pace: the newest publication of every key, and who has had
//! which of them.

use std::sync::Arc;

use fanfare_protocol::{Format, Millis, Publication};

use crate::frames::{FrameId, Frames};

/// The paced audience of a topic, and what it waits for.
pub(crate) struct Pacing {
    /// In the order of the topic's paced audience.
    pub(crate) paces: Vec<Pace>,
    /// At most one publication per key, in the order of their offsets.
    pub(crate) newest: Vec<Newest>,
    /// Whether it stands in the list of topics that are looked at every tick.
    pub(crate) is_listed: bool,
}

/// One member's pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) every_ms: u32,
    /// When it may be served next.
    pub(crate) due_at: Millis,
    /// The offset up to which it was served.
    pub(crate) served: u64,
}

/// The newest publication of a key, with its frames as far as they are made.
pub(crate) struct Newest {
    pub(crate) publication: Arc<Publication>,
    pub(crate) frames: [Option<FrameId>; Format::ALL.len()],
}

impl Pacing {
    pub(crate) fn new() -> Self {
        Self {
            paces: Vec::new(),
            newest: Vec::new(),
            is_listed: false,
        }
    }

    /// Keeps a publication in the place of the one before it with the same key. `bytes` are those of the payloads that
    /// the hub keeps like this, of all topics.
    pub(crate) fn keep(&mut self, publication: &Arc<Publication>, frames: &mut Frames, bytes: &mut usize) {
        self.forget_where(frames, bytes, |known| known.draft.key == publication.draft.key);
        *bytes += publication.draft.payload.as_bytes().len();
        self.newest.push(Newest {
            publication: Arc::clone(publication),
            frames: [None; Format::ALL.len()],
        });
    }

    /// Forgets what everyone was served.
    pub(crate) fn forget_served(&mut self, frames: &mut Frames, bytes: &mut usize) {
        let served = self.paces.iter().map(|pace| pace.served).min();
        self.forget_where(frames, bytes, |known| {
            served.is_none_or(|served| known.position.offset <= served)
        });
    }

    fn forget_where(
        &mut self,
        frames: &mut Frames,
        bytes: &mut usize,
        is_forgotten: impl Fn(&Publication) -> bool,
    ) {
        self.newest.retain(|newest| {
            let is_forgotten = is_forgotten(&newest.publication);
            if is_forgotten {
                *bytes -= newest.publication.draft.payload.as_bytes().len();
                newest
                    .frames
                    .iter()
                    .flatten()
                    .for_each(|&frame| frames.release(frame));
            }
            !is_forgotten
        });
    }
}
