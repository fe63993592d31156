//! What a hub knows of one topic: its members by format, where its log stands, and what waits to be fanned out.

use std::sync::Arc;

use fanfare_protocol::{ConnectionId, Payload, Position, Publication, TopicName};

use crate::audiences::Audiences;
use crate::pacing::Pacing;
use crate::roster::{Change, Version};
use crate::slow_rule::SlowRule;

/// One topic that somebody in this hub is subscribed to, or is about to be.
pub(crate) struct Topic {
    pub(crate) name: TopicName,
    /// Unlike any other topic's, also of those that had the same place before.
    pub(crate) serial: u64,
    /// Where the log stands, once the broker has answered the join.
    pub(crate) position: Option<Position>,
    /// What happens to publications that a client reads too slowly for.
    pub(crate) rule: SlowRule,
    /// Members by what they are sent; one encoding serves a whole audience.
    pub(crate) audiences: Audiences,
    /// What those who get deltas have last, and its offset, while there are any.
    pub(crate) before: Option<(u64, Payload)>,
    /// Publications taken from the broker and not fanned out yet.
    pub(crate) batch: Vec<Arc<Publication>>,
    /// What the paced audience waits for, while there is one.
    pub(crate) pacing: Option<Box<Pacing>>,
    /// Subscribe commands that wait for the broker's answer.
    pub(crate) waiting: Vec<u32>,
    /// Whether a join was asked for and is not answered.
    pub(crate) is_joining: bool,
    /// Subscribe commands under way that name it.
    pub(crate) holds: u32,
    /// Subscribers that have yet to read what they missed, and are no members.
    pub(crate) behind: u32,
    /// Members that want to be told the occupancy.
    pub(crate) watchers: u32,
    /// Whether it is kept who is there.
    pub(crate) is_tracked: bool,
    /// Who came and went in this turn, where that is kept.
    pub(crate) changes: Vec<Change>,
    /// What is told of that, while somebody wants to be told.
    pub(crate) survey: Option<Box<Survey>>,
    /// The occupancy last pushed.
    pub(crate) occupancy: u64,
    /// Whether the number of members changed since it was last reported.
    pub(crate) is_report_due: bool,
    /// Whether it stands in the list of watched topics.
    pub(crate) is_watched: bool,
}

impl Topic {
    pub(crate) fn new(name: TopicName, serial: u64, rule: SlowRule) -> Self {
        Self {
            name,
            serial,
            position: None,
            rule,
            audiences: Audiences::default(),
            before: None,
            batch: Vec::new(),
            pacing: None,
            waiting: Vec::new(),
            is_joining: false,
            holds: 0,
            behind: 0,
            watchers: 0,
            is_tracked: false,
            changes: Vec::new(),
            survey: None,
            occupancy: 0,
            is_report_due: false,
            is_watched: false,
        }
    }

    /// Counts a member that wanted something else until now.
    pub(crate) fn count_wants(&mut self, before: Wants, now: Wants) {
        self.watchers -= u32::from(before.occupancy);
        self.watchers += u32::from(now.occupancy);
        if now.presence && !before.presence {
            self.survey.get_or_insert_default().watchers += 1;
        } else if before.presence
            && !now.presence
            && let Some(survey) = &mut self.survey
        {
            survey.watchers -= 1;
            self.survey.take_if(|survey| survey.watchers == 0);
        }
    }

    /// Members that receive, and those who are about to be.
    pub(crate) fn subscribers(&self) -> usize {
        self.audiences.receiver_count() + self.behind as usize
    }

    /// Whether nobody belongs to it and no command under way names it.
    pub(crate) fn is_vacant(&self) -> bool {
        self.holds == 0 && self.behind == 0 && self.audiences.is_empty()
    }
}

/// Those who want to be told who comes and goes.
#[derive(Default)]
pub(crate) struct Survey {
    /// What they were told last.
    pub(crate) version: Version,
    /// How many members they are.
    pub(crate) watchers: u32,
    /// Those who are yet to be told everyone.
    pub(crate) newcomers: Vec<ConnectionId>,
    /// Those who were there when the first was told nothing yet, and are yet to be told of themselves.
    pub(crate) first: Vec<ConnectionId>,
}

impl Survey {
    /// Whether nobody was told anything yet.
    pub(crate) fn is_new(&self) -> bool {
        self.version == Version::default() && self.newcomers.is_empty()
    }
}

/// A member of a topic: a slot, and what beside publications it wants to be told, in 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member(u32);

impl Member {
    /// A slot has fewer bits than this ([`fanfare_protocol::SLOTS_MAX`]).
    const OCCUPANCY: u32 = 1 << 31;
    const PRESENCE: u32 = 1 << 30;
    const FOLLOWS: u32 = 1 << 29;
    const SLOT: u32 = Self::FOLLOWS - 1;

    pub(crate) fn new(slot: usize, wants: Wants) -> Self {
        let occupancy = if wants.occupancy { Self::OCCUPANCY } else { 0 };
        let presence = if wants.presence { Self::PRESENCE } else { 0 };
        Self(slot as u32 | occupancy | presence)
    }

    /// The same member, wanting this.
    pub(crate) fn wanting(self, wants: Wants) -> Self {
        Self(Self::new(self.slot(), wants).0 | self.0 & Self::FOLLOWS)
    }

    /// Whether it has the publication before the next one, so that it can be given what changes.
    pub(crate) fn follows(self) -> bool {
        self.0 & Self::FOLLOWS != 0
    }

    pub(crate) fn set_follows(&mut self, follows: bool) {
        self.0 = self.0 & !Self::FOLLOWS | if follows { Self::FOLLOWS } else { 0 };
    }

    pub(crate) fn slot(self) -> usize {
        (self.0 & Self::SLOT) as usize
    }

    pub(crate) fn wants(self) -> Wants {
        Wants {
            occupancy: self.0 & Self::OCCUPANCY != 0,
            presence: self.0 & Self::PRESENCE != 0,
        }
    }
}

/// What a member wants to be told beside publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// How many are there.
    pub(crate) occupancy: bool,
    /// Who is there.
    pub(crate) presence: bool,
}
