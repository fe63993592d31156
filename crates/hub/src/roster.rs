//! Who is in a topic, and who came and went since somebody last looked.
//!
//! A broker keeps one for every topic of which its rule says so. Shards tell it who becomes a subscriber and who stops being
//! one; whoever wants to know asks for what has changed since a version, as often as it likes: so any number of joins
//! costs those who watch no more than one look, and what came and went in between is not told at all.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fanfare_protocol::{Attendance, ConnectionId, Present, Timestamp, UserName};

use crate::access::Identity;

/// A connection in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendee {
    /// Its id.
    pub connection: ConnectionId,
    /// Who it is; `None` for an anonymous one.
    pub identity: Option<Arc<Identity>>,
    /// What others may see of it in the topic, beside what they see of it everywhere: JSON.
    pub topic_info: Option<Arc<str>>,
    /// Since when it is subscribed.
    pub since: Timestamp,
}

impl Attendee {
    /// Its user, if it has one.
    pub fn user(&self) -> Option<&UserName> {
        self.identity.as_ref()?.user.as_ref()
    }

    /// What others may see of it: JSON.
    pub fn info(&self) -> Option<&Arc<str>> {
        self.identity.as_ref()?.info.as_ref()
    }

    /// What others see of it: a refreshed token alone changes nothing of that.
    fn looks(&self) -> (Option<&UserName>, Option<&Arc<str>>, Option<&Arc<str>>) {
        (self.user(), self.info(), self.topic_info.as_ref())
    }
}

impl From<&Attendee> for Present {
    /// As others are told of it.
    fn from(attendee: &Attendee) -> Self {
        Self {
            connection: attendee.connection,
            user: attendee.user().cloned(),
            info: attendee.info().cloned(),
            topic_info: attendee.topic_info.clone(),
            since: attendee.since,
        }
    }
}

/// Somebody came to a topic or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there, as this.
    Came(Attendee),
    /// It is there no more.
    Went(ConnectionId),
}

/// A state of a roster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Which roster: a topic that ends and begins anew has another one.
    life: u64,
    /// How many changes it had.
    number: u64,
}

/// A page of those who are in a topic, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RosterPage {
    /// How many there are in all.
    pub attendance: Attendance,
    /// Those of the page.
    pub members: Vec<Attendee>,
    /// Whom the next page begins behind; `None` after the last one.
    pub next: Option<ConnectionId>,
}

/// What has changed in a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RosterDiff {
    /// The state that it leads to.
    pub version: Version,
    /// How many are there now.
    pub attendance: Attendance,
    /// Who is there and was not, in the order of their ids.
    pub came: Vec<Attendee>,
    /// Who was there and is not, in the order of their ids.
    pub went: Vec<Attendee>,
    /// Whether the state that was asked from is not known any more: then nothing is said of who came or went.
    pub is_lost: bool,
    /// The first page of everyone who is there now, where that was asked for or the state is lost.
    pub everyone: Option<RosterPage>,
}

/// Who is in one topic.
///
/// Memory: about 75 bytes for a connection and 60 for a user, and while somebody watches up to [`CHANGES_MAX`] changes.
#[derive(Debug)]
pub struct Roster {
    members: BTreeMap<ConnectionId, Attendee>,
    /// How many connections each has.
    users: BTreeMap<UserName, u32>,
    /// Connections without a user.
    anonymous: u64,
    version: Version,
    /// The changes up to `version`, each with the member that it is about; none while nobody asks for them.
    changes: VecDeque<(Direction, Attendee)>,
    is_watched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// Changes that a roster remembers for those who watch. Whoever looks more rarely than that is told to look anew.
pub const CHANGES_MAX: usize = 1_024;

impl Roster {
    /// Nobody is there. `life` is unlike that of any other roster.
    pub fn new(life: u64) -> Self {
        Self {
            members: BTreeMap::new(),
            users: BTreeMap::new(),
            anonymous: 0,
            version: Version { life, number: 0 },
            changes: VecDeque::new(),
            is_watched: false,
        }
    }

    /// Takes note of a change; one that changes nothing is none.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Came(attendee) => self.come(attendee),
            Change::Went(connection) => self.go(connection),
        }
    }

    fn come(&mut self, attendee: Attendee) {
        let known = self.members.get(&attendee.connection);
        if known.is_some_and(|known| known.looks() == attendee.looks()) {
            return;
        }
        let since = known.map(|known| known.since);
        // One that is somebody else now has gone and come.
        self.go(attendee.connection);
        let attendee = Attendee {
            since: since.unwrap_or(attendee.since),
            ..attendee
        };
        if let Some(user) = attendee.user() {
            *self.users.entry(user.clone()).or_default() += 1;
        } else {
            self.anonymous += 1;
        }
        self.members.insert(attendee.connection, attendee.clone());
        self.remember((Direction::In, attendee));
    }

    fn go(&mut self, connection: ConnectionId) {
        let Some(attendee) = self.members.remove(&connection) else {
            return;
        };
        match attendee.user() {
            Some(user) => {
                if let Some(count) = self.users.get_mut(user) {
                    *count -= 1;
                    if *count == 0 {
                        self.users.remove(user);
                    }
                }
            }
            None => self.anonymous -= 1,
        }
        self.remember((Direction::Out, attendee));
    }

    fn remember(&mut self, change: (Direction, Attendee)) {
        self.version.number += 1;
        if !self.is_watched {
            return;
        }
        self.changes.push_back(change);
        if self.changes.len() > CHANGES_MAX {
            // Nobody has looked for long.
            self.is_watched = false;
            self.changes = VecDeque::new();
        }
    }

    /// Everyone of a shard has gone.
    pub fn go_all(&mut self, shard: usize) {
        let first = ConnectionId::new(shard, 0, 0);
        let those = self.members.range(first..).map(|(&connection, _)| connection);
        let those: Vec<ConnectionId> = those
            .take_while(|connection| connection.shard() == shard)
            .collect();
        for connection in those {
            self.go(connection);
        }
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many are there.
    pub fn attendance(&self) -> Attendance {
        Attendance {
            connections: self.members.len() as u64,
            users: self.users.len() as u64,
            anonymous: self.anonymous,
        }
    }

    /// At most `count` of those behind `after`, or the first. Whoever stays is on exactly one of the pages.
    pub fn page(&self, after: Option<ConnectionId>, count: usize) -> RosterPage {
        let from = after.map_or(0, |after| after.to_bits().saturating_add(1));
        let mut rest = self.members.range(ConnectionId::from_bits(from)..);
        let members: Vec<Attendee> = rest
            .by_ref()
            .take(count)
            .map(|(_, attendee)| attendee.clone())
            .collect();
        let last = members.last().map(|last| last.connection);
        RosterPage {
            attendance: self.attendance(),
            next: last.filter(|_| rest.next().is_some()),
            members,
        }
    }

    /// What has changed since a version, and where that is lost, or in any case, the first `count` of everyone. Costs the
    /// changes in between and what it gives; a roster of which this is never asked remembers no changes.
    pub fn survey(&mut self, since: Version, is_all: bool, count: usize) -> RosterDiff {
        let mut diff = self.since(since);
        diff.everyone = (is_all || diff.is_lost).then(|| self.page(None, count));
        diff
    }

    fn since(&mut self, version: Version) -> RosterDiff {
        let oldest = self.version.number - self.changes.len() as u64;
        let is_known = version.life == self.version.life && version.number >= oldest;
        let is_lost = !self.is_watched || !is_known;
        self.is_watched = true;
        let skipped = if is_lost {
            self.changes.len()
        } else {
            (version.number - oldest) as usize
        };
        // By connection: who was there before the first of its changes, and who is after the last.
        let mut ends: BTreeMap<ConnectionId, (Option<&Attendee>, Option<&Attendee>)> = BTreeMap::new();
        for (direction, attendee) in self.changes.range(skipped..) {
            let before = (*direction == Direction::Out).then_some(attendee);
            let ends = ends.entry(attendee.connection).or_insert((before, None));
            ends.1 = (*direction == Direction::In).then_some(attendee);
        }
        let mut diff = RosterDiff {
            version: self.version,
            attendance: self.attendance(),
            is_lost,
            ..RosterDiff::default()
        };
        for (before, after) in ends.into_values() {
            if before.map(Attendee::looks) != after.map(Attendee::looks) {
                diff.went.extend(before.cloned());
                diff.came.extend(after.cloned());
            }
        }
        diff
    }
}

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
