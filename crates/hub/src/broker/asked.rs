//! What somebody who looks back asks of a broker, and what it is given: the same for clients and for the host.

use fanfare_protocol::{HISTORY_PAGE_MAX, HistoryPage, Loss, Reading, Since, Timestamp, TopicName, Turn};

use super::{Page, Read, Start};
use crate::limits::HISTORY_PAGE_BYTES_MAX;

impl Start {
    /// Where publications begin that are wanted now.
    pub fn of(since: Since, now: Timestamp) -> Self {
        match since {
            Since::Position(place) => Self::After(place),
            Since::Age(ms) => Self::At(Timestamp(now.0.saturating_sub(ms))),
            Since::Last(count) => Self::Last(count as usize),
        }
    }
}

impl Read {
    /// One page of at most `limit` publications, of [`HISTORY_PAGE_MAX`] where that is less, and of 256 KiB.
    pub fn asked(reading: Reading, limit: u32, now: Timestamp) -> Self {
        let start = match reading {
            Reading::Oldest => Start::Oldest,
            Reading::Since(since) => Start::of(since, now),
            Reading::Before(place) => Start::Before(place),
            Reading::Newest => Start::Last(limit.min(HISTORY_PAGE_MAX) as usize),
        };
        Self {
            start,
            publications_max: limit.min(HISTORY_PAGE_MAX) as usize,
            bytes_max: HISTORY_PAGE_BYTES_MAX,
        }
    }
}

impl Page {
    /// The page as whoever asked for it is given it.
    pub fn answer(mut self, topic: TopicName, reading: Reading) -> HistoryPage {
        if reading == Reading::Newest {
            self.publications.reverse();
        }
        let last = self.publications.last().map(|last| last.position);
        let next = match reading {
            Reading::Before(_) | Reading::Newest => {
                last.filter(|last| last.offset > self.oldest).map(Turn::Before)
            }
            Reading::Oldest | Reading::Since(_) => {
                last.filter(|last| last.offset < self.end.offset).map(Turn::Since)
            }
        };
        let is_named = matches!(reading, Reading::Before(_) | Reading::Since(Since::Position(_)));
        HistoryPage {
            topic,
            end: self.end,
            recovered: is_named.then(|| self.recovered()),
            publications: self.publications,
            next,
        }
    }

    /// Whether the place that was asked for could be gone on from, or why not.
    pub fn recovered(&self) -> Result<(), Loss> {
        self.lost.map_or(Ok(()), Err)
    }
}
