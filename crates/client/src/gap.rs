//! What a client did not get, and why.

use std::fmt;
use std::ops::RangeInclusive;

use fanfare_protocol::{Loss, Position};

use crate::server_message::Subscribed;

/// Publications of a topic that went by unseen, in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// How many; none when it cannot be known.
    pub count: Option<u64>,
    /// The offsets from the first to the last of them; none when there is no saying. Where `count` is smaller than the
    /// range, others in it came or will come.
    pub offsets: Option<RangeInclusive<u64>>,
    /// Why. Where several gaps became one, why the first of them, unless only a later one cannot be counted.
    pub cause: GapCause,
}

/// Why publications went by unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapCause {
    /// The server left them out: this client reads too slowly, or the topic forgot them faster than it read.
    Slow,
    /// The program let more of them wait than [`deliveries_max`](crate::ConnectOptions::deliveries_max) and
    /// [`delivery_bytes_max`](crate::ConnectOptions::delivery_bytes_max) allow.
    Untaken,
    /// The client could not go on from where it was, after a reconnect or where the program said; the server says why.
    Lost(Loss),
    /// They were published while the client was not connected, and there was no asking for them: it was the server that
    /// subscribed it.
    Away,
}

impl Gap {
    /// One publication of that offset, or of none that is known.
    pub(crate) fn of_one(offset: Option<u64>, cause: GapCause) -> Self {
        Self {
            count: Some(1),
            offsets: offset.map(|offset| offset..=offset),
            cause,
        }
    }

    /// All behind one offset up to another.
    pub(crate) fn between(behind: u64, to: u64, cause: GapCause) -> Self {
        Self {
            count: Some(to.saturating_sub(behind)),
            offsets: Some(behind.saturating_add(1)..=to),
            cause,
        }
    }

    /// What lies between the last place that a client had and the one from which it goes on, if anything does or may.
    pub(crate) fn before(subscribed: &Subscribed, last: Position) -> Option<Self> {
        let now = subscribed.position;
        if subscribed.recovered == Some(true) || last == now {
            return None;
        }
        let can_compare = last.epoch == now.epoch && last.offset < now.offset;
        let guessed = if last.epoch != now.epoch {
            GapCause::Lost(Loss::EpochChanged)
        } else if can_compare {
            GapCause::Away
        } else {
            GapCause::Lost(Loss::Ahead)
        };
        let cause = subscribed.reason.map_or(guessed, GapCause::Lost);
        Some(if can_compare {
            Self::between(last.offset, now.offset, cause)
        } else {
            Self::unknown(cause)
        })
    }

    fn unknown(cause: GapCause) -> Self {
        Self {
            count: None,
            offsets: None,
            cause,
        }
    }

    /// This one and another right behind it.
    pub(crate) fn and(self, later: Self) -> Self {
        let counts = self.count.zip(later.count);
        let Some((one, more)) = counts else {
            let cause = if self.count.is_none() {
                self.cause
            } else {
                later.cause
            };
            return Self::unknown(cause);
        };
        let ends = self.offsets.zip(later.offsets);
        Self {
            count: Some(one.saturating_add(more)),
            offsets: ends.map(|(one, other)| *one.start().min(other.start())..=*one.end().max(other.end())),
            cause: self.cause,
        }
    }
}

/// A sentence without its beginning: `3 publications were missed (8 to 10): the topic keeps no more`.
impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            Some(1) => write!(formatter, "1 publication was missed")?,
            Some(count) => write!(formatter, "{count} publications were missed")?,
            None => write!(formatter, "publications may have been missed")?,
        }
        if let Some(offsets) = &self.offsets {
            write!(formatter, " ({} to {})", offsets.start(), offsets.end())?;
        }
        write!(formatter, ": {}", self.cause)
    }
}

impl fmt::Display for GapCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Slow => "they were not read fast enough",
            Self::Untaken => "more than may wait were not taken",
            Self::Lost(Loss::TooOld) => "the topic keeps no more",
            Self::Lost(Loss::EpochChanged) => "the topic began anew",
            Self::Lost(Loss::Ahead) => "the topic has never been there",
            Self::Lost(Loss::Forbidden) => "this client may not read the topic's history",
            Self::Away => "the client was not connected",
        })
    }
}
