//! Who is in a topic, as clients are told.

use std::sync::Arc;

use crate::{ConnectionId, Timestamp, TopicName, UserName};

/// A connection that is subscribed to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Its id.
    pub connection: ConnectionId,
    /// Its user, when known.
    pub user: Option<UserName>,
    /// What others may see of it: JSON.
    pub info: Option<Arc<str>>,
    /// What others may see of it in the topic: JSON.
    pub topic_info: Option<Arc<str>>,
    /// Since when it is subscribed.
    pub since: Timestamp,
}

/// How many are in a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attendance {
    /// Connections.
    pub connections: u64,
    /// Users, each counted once. Anonymous connections are nobody's.
    pub users: u64,
    /// Connections without a user.
    pub anonymous: u64,
}

/// Those who are in a topic, or some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresencePage {
    /// The topic.
    pub topic: TopicName,
    /// How many there are in all.
    pub attendance: Attendance,
    /// Those of the page.
    pub members: Vec<Present>,
    /// Whom the next page begins behind; `None` after the last one.
    pub next: Option<ConnectionId>,
}

/// Who came to a topic and who went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceDiff {
    /// The topic.
    pub topic: TopicName,
    /// How many are there now.
    pub attendance: Attendance,
    /// Who came.
    pub came: Vec<Present>,
    /// Who went.
    pub went: Vec<Present>,
}

/// The most members of a topic that a client is told at once.
pub const PRESENCE_PAGE_MAX: u32 = 1_000;
