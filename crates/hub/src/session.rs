//! What a hub knows of one connection.

use std::net::SocketAddr;
use std::sync::Arc;

use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{ConnectionId, Millis, Timestamp, TopicName, UserName};

use crate::input::Role;

/// One connection as the hub sees it.
pub(crate) struct Session {
    pub(crate) connection: ConnectionId,
    pub(crate) dialect: Dialect,
    pub(crate) role: Role,
    pub(crate) state: SessionState,
    pub(crate) user: Option<UserName>,
    pub(crate) user_agent: Option<Arc<str>>,
    pub(crate) remote: SocketAddr,
    pub(crate) joined_at: Timestamp,
    pub(crate) subscriptions: Vec<Subscription>,
    /// Where messages of a dialect without topics go.
    pub(crate) relay: Box<[TopicName]>,
    /// When the last byte came.
    pub(crate) heard_at: Millis,
    /// When the last ping went, or the connection was opened.
    pub(crate) pinged_at: Millis,
    /// Since when the socket has taken nothing, when it is blocked.
    pub(crate) blocked_at: Millis,
}

/// Where a session stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    /// Commands are taken, publications delivered.
    Open,
    /// A close frame is queued or written; nothing else is taken or delivered.
    Closing {
        /// When the socket is dropped whatever happens.
        deadline: Millis,
        /// Whether the client's close frame came.
        is_answered: bool,
    },
}

/// One topic of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The topic.
    pub(crate) topic: u32,
    /// The place among the topic's members, or [`Subscription::JOINING`].
    pub(crate) member: u32,
}

impl Subscription {
    /// The place of a subscription whose topic the broker has not answered for yet.
    pub(crate) const JOINING: u32 = u32::MAX;
}

impl Session {
    /// Which of a topic's audiences it belongs to.
    pub(crate) fn audience(&self) -> usize {
        match self.role {
            Role::Subscriber => self.dialect.index(),
            Role::Publisher => SILENT,
        }
    }

    /// Its subscription to `topic`, if any.
    pub(crate) fn subscription(&mut self, topic: u32) -> Option<&mut Subscription> {
        self.subscriptions
            .iter_mut()
            .find(|subscription| subscription.topic == topic)
    }
}

/// The audience of those that belong to a topic but receive nothing.
pub(crate) const SILENT: usize = Dialect::ALL.len();

/// How many audiences a topic has: one per dialect, and the silent.
pub(crate) const AUDIENCES: usize = SILENT + 1;
