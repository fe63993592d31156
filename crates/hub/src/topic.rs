//! What a hub knows of one topic: its members by format, where its log stands, and what waits to be fanned out.

use std::sync::Arc;

use fanfare_protocol::{Position, Publication, TopicName};

use crate::pacing::Pacing;
use crate::session::{AUDIENCES, SILENT};
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
    pub(crate) audiences: [Vec<Member>; AUDIENCES],
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
            audiences: [const { Vec::new() }; AUDIENCES],
            batch: Vec::new(),
            pacing: None,
            waiting: Vec::new(),
            is_joining: false,
            holds: 0,
            behind: 0,
            watchers: 0,
            occupancy: 0,
            is_report_due: false,
            is_watched: false,
        }
    }

    /// Members that receive, and those who are about to be.
    pub(crate) fn subscribers(&self) -> usize {
        let members: usize = self.audiences[..SILENT].iter().map(Vec::len).sum();
        members + self.behind as usize
    }

    /// Whether nobody belongs to it and no command under way names it.
    pub(crate) fn is_vacant(&self) -> bool {
        self.holds == 0 && self.behind == 0 && self.audiences.iter().all(Vec::is_empty)
    }
}

/// A member of a topic: a slot, and whether it wants occupancy pushes, in 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member(u32);

impl Member {
    const WATCHES: u32 = 1 << 31;

    pub(crate) fn new(slot: usize, watches: bool) -> Self {
        Self(slot as u32 | if watches { Self::WATCHES } else { 0 })
    }

    pub(crate) fn slot(self) -> usize {
        (self.0 & !Self::WATCHES) as usize
    }

    pub(crate) fn watches(self) -> bool {
        self.0 & Self::WATCHES != 0
    }
}
