//! What a session knows of one topic.

use fanfare_protocol::{Every, Position};

use crate::command::SubscribeOptions;
use crate::gap::{Gap, GapCause};
use crate::server_message::{Missed, Subscribed};
use crate::token::TokenSource;

/// What is known of a topic the connection is, or was, subscribed to.
#[derive(Debug)]
pub(crate) struct Topic {
    /// Up to where everything came, or was told not to come.
    pub(crate) at: Position,
    /// Whether the program asked for it, so that it is asked for again.
    pub(crate) is_asked: bool,
    /// Whether the program has given it up, and the server has yet to confirm it.
    pub(crate) is_given_up: bool,
    /// Whether the current connection is subscribed, so that nothing can be missed.
    pub(crate) is_live: bool,
    pub(crate) terms: Terms,
    /// How often in a row the server has refused for now to subscribe the connection again.
    pub(crate) refusals: u32,
    /// How many the server told to be missing that no gap in the offsets has shown yet.
    told: u64,
}

/// How a topic is asked for, again if need be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    pub(crate) wishes: Wishes,
    /// Where its tokens come from.
    pub(crate) source: Option<TokenSource>,
}

/// How a topic is wanted to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wishes {
    /// How often the newest is wanted at most; what is skipped by that is not missed.
    pub(crate) every: Option<Every>,
    /// Whether to be told how many are subscribed.
    pub(crate) occupancy: bool,
    /// Whether to be told who is.
    pub(crate) presence: bool,
}

impl Wishes {
    /// What `options` say.
    pub(crate) fn of(options: &SubscribeOptions) -> Self {
        Self {
            every: options.every,
            occupancy: options.occupancy,
            presence: options.presence,
        }
    }

    /// The same, where nobody who was told something before ceases to be.
    pub(crate) fn beside(self, before: Self) -> Self {
        Self {
            occupancy: self.occupancy || before.occupancy,
            presence: self.presence || before.presence,
            ..self
        }
    }
}

impl Topic {
    /// A topic that is wanted from a place on, and not confirmed.
    pub(crate) fn new(at: Position) -> Self {
        Self {
            at,
            is_asked: false,
            is_given_up: false,
            is_live: false,
            terms: Terms::default(),
            refusals: 0,
            told: 0,
        }
    }

    /// Whether it is to be asked for on this connection.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_asked && !self.is_live
    }

    /// The connection is subscribed, at a position that is corrected to the one after which publications really follow;
    /// what was missed before that.
    pub(crate) fn confirm(&mut self, subscribed: &mut Subscribed) -> Option<Gap> {
        if self.is_live && self.at.epoch == subscribed.position.epoch {
            // This reply may have overtaken publications that are on their way.
            subscribed.position = self.at;
            return None;
        }
        let last = std::mem::replace(&mut self.at, subscribed.position);
        (self.is_live, self.refusals, self.told) = (true, 0, 0);
        Gap::before(subscribed, last)
    }

    /// A publication came; what is missing before it and was not told to be.
    pub(crate) fn skip_to(&mut self, offset: u64) -> Option<Gap> {
        let behind = self.at.offset;
        let gap = offset.saturating_sub(behind).saturating_sub(1);
        let untold = gap.saturating_sub(self.told);
        self.told = self.told.saturating_sub(gap);
        self.at.offset = behind.max(offset);
        (untold > 0).then(|| Gap {
            count: Some(untold),
            ..Gap::between(behind, offset - 1, GapCause::Slow)
        })
    }

    /// The server says that publications are left out. Where some in between come all the same, they are still to come, so
    /// that this is no place to go on from.
    pub(crate) fn leave_out(&mut self, missed: &Missed) {
        if missed.is_whole() && self.at.offset.checked_add(1) == Some(missed.from) {
            self.at.offset = missed.to;
        } else {
            self.told = self.told.saturating_add(missed.count);
        }
    }
}
