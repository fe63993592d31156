//! What a broker keeps of one topic's log in memory, and how it is read.

use std::collections::VecDeque;
use std::sync::Arc;

use fanfare_protocol::{Loss, Position, Publication, Timestamp};

use crate::broker::{Page, Read, Start};

/// How much of a topic's log is kept. Beyond any of the three the oldest publications go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Publications. 0 keeps none; a topic then exists only while it has a subscriber. Default 0.
    pub publications_max: usize,
    /// Bytes, as [`Draft::bytes`](fanfare_protocol::Draft::bytes) counts them: what is kept takes so much memory. Default
    /// 1 MiB.
    pub bytes_max: usize,
    /// Age in milliseconds. Default 5 minutes.
    pub age_max_ms: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            publications_max: 0,
            bytes_max: 1 << 20,
            age_max_ms: 300_000,
        }
    }
}

impl Retention {
    /// Whether anything is kept at all.
    pub fn keeps(&self) -> bool {
        self.publications_max > 0
    }

    /// The lesser of both, in each respect.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self {
            publications_max: self.publications_max.min(other.publications_max),
            bytes_max: self.bytes_max.min(other.bytes_max),
            age_max_ms: self.age_max_ms.min(other.age_max_ms),
        }
    }
}

/// The newest publications of a log, consecutive up to its end.
#[derive(Debug, Default)]
pub struct History {
    kept: VecDeque<Arc<Publication>>,
    bytes: usize,
}

impl History {
    /// Publications kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Bytes kept, as [`Draft::bytes`](fanfare_protocol::Draft::bytes) counts them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps the next publication, and drops what is too much or too old then.
    pub fn keep(&mut self, publication: Arc<Publication>, retention: &Retention) {
        if !retention.keeps() {
            return;
        }
        let now = publication.draft.time;
        self.bytes += publication.draft.bytes();
        self.kept.push_back(publication);
        self.trim(now, retention);
    }

    /// Drops what is too much, or too old now. Costs what it drops.
    pub fn trim(&mut self, now: Timestamp, retention: &Retention) {
        let is_old = |kept: &Publication| now.0.saturating_sub(kept.draft.time.0) > retention.age_max_ms;
        while self.kept.len() > retention.publications_max
            || self.bytes > retention.bytes_max
            || self.kept.front().is_some_and(|oldest| is_old(oldest))
        {
            if !self.drop_oldest() {
                return;
            }
        }
        if self.kept.capacity() > 64 && self.kept.len() < self.kept.capacity() / 4 {
            self.kept.shrink_to(self.kept.len() * 2);
        }
    }

    /// Drops the oldest publication; false when there is none.
    pub fn drop_oldest(&mut self) -> bool {
        let oldest = self.kept.pop_front();
        self.bytes -= oldest.as_ref().map_or(0, |oldest| oldest.draft.bytes());
        oldest.is_some()
    }

    /// Reads from the log that stands at `end`. Costs what it gives, and for a time a search.
    pub fn read(&self, end: Position, read: &Read) -> Page {
        let oldest = end.offset - self.kept.len() as u64 + 1;
        let (start, lost) = self.find(end, read.start, oldest);
        let fits = read.fits();
        let count = read.publications_max;
        let publications = if let Start::Before(_) = read.start {
            let there = self.kept.range(..(start - oldest) as usize).rev();
            there.take(count).take_while(fits).cloned().collect()
        } else {
            let there = self.kept.range((start + 1 - oldest) as usize..);
            there.take(count).take_while(fits).cloned().collect()
        };
        Page {
            start: Position { offset: start, ..end },
            end,
            oldest,
            lost,
            publications,
        }
    }

    /// The offset that a reading begins behind or, backward, before.
    fn find(&self, end: Position, start: Start, oldest: u64) -> (u64, Option<Loss>) {
        match start {
            Start::At(time) => {
                let before = self.kept.partition_point(|kept| kept.draft.time < time);
                (oldest - 1 + before as u64, None)
            }
            start => start.find(end, oldest),
        }
    }
}
