//! What the server says: replies to commands, and pushes that nobody asked for.

use std::sync::Arc;

use crate::codes::{Disconnect, ErrorCode};
use crate::{
    Attendance, ConnectionId, Loss, Payload, Position, PresenceDiff, PresencePage, Publication, SessionKey,
    Timestamp, TopicName, UserName,
};

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The client is let in, and receives what the server subscribes it to.
    Welcomed {
        /// Who it is here.
        welcome: Welcome,
        /// What it receives.
        topics: Vec<SubscribedTopic>,
    },
    /// The connection receives these topics, from these positions on.
    Subscribed {
        /// Every topic of the command.
        topics: Vec<SubscribedTopic>,
    },
    /// The connection receives these topics no longer.
    Unsubscribed {
        /// Every topic of the command.
        topics: Vec<TopicName>,
    },
    /// The publication stands in its topic's order.
    Published {
        /// Where.
        topic: TopicName,
        /// Its place.
        position: Position,
        /// Whether it stood there before: it was published with the same idempotency key already.
        is_repetition: bool,
    },
    /// Publications of a topic.
    History(HistoryPage),
    /// Who is in a topic.
    Presence(PresencePage),
    /// How many are in a topic.
    Attendance {
        /// The topic.
        topic: TopicName,
        /// How many.
        attendance: Attendance,
    },
    /// The publication was handed over.
    Sent,
    /// What a procedure of the application's gave.
    Result {
        /// Its result.
        payload: Payload,
    },
    /// The client is who it says.
    Authenticated {
        /// The connection's id.
        connection: ConnectionId,
        /// The server's wall clock.
        time: Timestamp,
        /// The user, if it has one.
        user: Option<UserName>,
        /// When it must have said so again.
        expires_at: Option<Timestamp>,
    },
    /// The client goes on receiving a topic.
    Renewed {
        /// For how long.
        granted: Granted,
    },
    /// The way to the hub and back works.
    Pong {
        /// The server's wall clock.
        time: Timestamp,
    },
    /// The command was refused.
    Error {
        /// The code of the table.
        code: ErrorCode,
        /// Names the value, the rule and the way out.
        message: String,
        /// When to ask again, in milliseconds from now, where that is known.
        retry_after_ms: Option<u64>,
        /// Where the topic stands, where it was expected elsewhere.
        position: Option<Position>,
        /// The application's own number for it, if it was the application that refused and gave one.
        application_code: Option<u16>,
    },
}

/// A topic and the position after which its publications follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribedTopic {
    /// Its name.
    pub topic: TopicName,
    /// The place in its log.
    pub position: Position,
    /// Whether the client goes on from the place that it named, if it named one, or why not.
    pub recovered: Option<Result<(), Loss>>,
    /// Whether the client may go on from its position later.
    pub is_recoverable: bool,
    /// Whether publications come as what has changed since the one before.
    pub has_deltas: bool,
    /// What follows the position, in a dialect in which it is part of the reply.
    pub publications: Vec<Arc<Publication>>,
    /// What comes with it, where anything does.
    pub granted: Option<Box<Granted>>,
}

/// What a client is told of its leave to receive a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// When it ends unless the client has shown another token by then; `None` where that is not the client's matter.
    pub expires_at: Option<Timestamp>,
    /// The server's wall clock.
    pub time: Timestamp,
    /// What the application gives.
    pub data: Option<Payload>,
}

/// Publications of a topic as a client asked for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// The topic.
    pub topic: TopicName,
    /// Where its log stands.
    pub end: Position,
    /// Whether the place that the client named could be gone on from, if it named one, or why not.
    pub recovered: Option<Result<(), Loss>>,
    /// The publications, in the direction of the reading.
    pub publications: Vec<Arc<Publication>>,
    /// Where to read on, while there is more.
    pub next: Option<Turn>,
}

/// Where a reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// With what follows this place.
    Since(Position),
    /// With what comes before this place.
    Before(Position),
}

/// What the server says unasked. Publications are not among them: they are encoded once for all subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// The first thing a client hears.
    Welcome(Welcome),
    /// How many subscribers a topic has.
    Occupancy {
        /// The topic.
        topic: TopicName,
        /// Connections subscribed to it.
        subscribers: u64,
    },
    /// Everyone who is in a topic, or the first of them: what differences are told from.
    Members(PresencePage),
    /// Who came to a topic and who went.
    Attendance(PresenceDiff),
    /// Publications of a topic that this client is not sent, because it reads too slowly.
    Missed(Missed),
    /// A gap in a topic's offsets was found: the client is not subscribed to it any more and should do so anew.
    PositionLost {
        /// The topic.
        topic: TopicName,
    },
    /// The leave to receive a topic has ended: the client is not subscribed to it any more.
    LeaveEnded {
        /// The topic.
        topic: TopicName,
    },
    /// The last thing a client hears when the server closes.
    Goodbye(Goodbye),
}

/// Who the client is here and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The connection's id.
    pub connection: ConnectionId,
    /// Its user, when known.
    pub user: Option<UserName>,
    /// How long the client may take to say who it is, in milliseconds; `None` when that is settled.
    pub auth_timeout_ms: Option<u64>,
    /// When the client must have said who it is again; `None` when that never ends or is not settled.
    pub expires_at: Option<Timestamp>,
    /// The server's wall clock.
    pub time: Timestamp,
    /// How often the server pings, in milliseconds; 0 where the client need not know.
    pub ping_interval_ms: u64,
    /// How long it waits for an answer, in milliseconds.
    pub pong_timeout_ms: u64,
    /// The longest message a client may send, in bytes.
    pub message_bytes_max: u32,
    /// The most topics a connection may be subscribed to.
    pub subscriptions_max: u32,
    /// Commands that a connection may send per second; beyond, it is made to wait. `None` when there is no limit.
    pub commands_per_second: Option<u32>,
    /// Bytes that a connection may send per second; beyond, it is made to wait. `None` when there is no limit.
    pub bytes_per_second: Option<u32>,
    /// What it calls its session by, where it may have to.
    pub key: Option<Box<SessionKey>>,
    /// What the application has for it, in a dialect with words for that.
    pub data: Option<Payload>,
}

/// Which publications a client is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The topic.
    pub topic: TopicName,
    /// The place of the first one.
    pub from: Position,
    /// The offset of the last one.
    pub to: u64,
    /// How many: those between `from` and `to` that do not come.
    pub count: u64,
}

/// Why the server closes, and what the client should do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// The reason in the table.
    pub disconnect: Disconnect,
    /// How long to wait before connecting again, in milliseconds; given when many are told at once.
    pub reconnect_after_ms: Option<u64>,
}
