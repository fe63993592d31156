//! What a session gives out: replies to commands, and what nobody asked for.

use std::time::Duration;

use crate::gap::Gap;
use crate::history::HistoryPage;
use crate::presence::{PresencePage, PresenceUpdate};
use crate::publication::{Payload, Publication};
use crate::server_message::{Authenticated, Goodbye, Published, Refusal, Subscribed, Welcome};
use crate::token::TokenSource;

/// What a message of the server means.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// The outcome of a command.
    Reply {
        /// The command's id.
        id: u64,
        /// What the server did, or why it did not.
        outcome: Result<Reply, Refusal>,
    },
    /// To subscribe to these topics again, another token is needed: [`Session::subscribe_again`](crate::Session::subscribe_again) takes it.
    TokenWanted {
        /// The topics, which were subscribed to with tokens of this source.
        topics: Vec<String>,
        /// Where it comes from.
        source: TokenSource,
    },
    /// After a reconnect the server did not subscribe the connection to these topics for now. They keep their places, and
    /// are to be asked for again with [`Session::subscribe_again`](crate::Session::subscribe_again).
    Postponed {
        /// The topics.
        topics: Vec<String>,
        /// Why; with `rate_limited` it says when to ask at the earliest.
        refusal: Refusal,
        /// How often it was so in a row, this time included: the more often, the later they are to be asked for.
        refusals: u32,
    },
    /// Something nobody asked for.
    Push(Push),
}

/// What the server did about a command.
#[derive(Debug, Clone)]
pub enum Reply {
    /// It subscribed the connection.
    Subscribed(Vec<Subscribed>),
    /// It unsubscribed the connection from these topics.
    Unsubscribed(Vec<String>),
    /// A part of a topic's history.
    History(HistoryPage),
    /// Some of those who are in a topic.
    Presence(PresencePage),
    /// It published.
    Published(Published),
    /// It takes the client for this user.
    Authenticated(Authenticated),
    /// What the application's procedure gave.
    Result(Payload),
    /// It is alive; its time in milliseconds since 1970.
    Pong(Option<u64>),
}

/// What the server says unasked, and what a client notices itself.
#[derive(Debug, Clone)]
pub enum Push {
    /// A connection begins.
    Welcome(Welcome),
    /// A publication of a topic, or something sent to this connection alone.
    Publication(Publication),
    /// Publications of a topic went by unseen.
    Missed {
        /// The topic.
        topic: String,
        /// Which, and why.
        gap: Gap,
    },
    /// How many connections are subscribed to a topic.
    Occupancy {
        /// The topic.
        topic: String,
        /// The number of connections.
        subscribers: u64,
    },
    /// Who is in a topic, or who came and went.
    Presence {
        /// The topic.
        topic: String,
        /// What has changed.
        update: PresenceUpdate,
    },
    /// The server subscribed the connection on its own, or again after a reconnect.
    Subscribed(Vec<Subscribed>),
    /// The server unsubscribed the connection from these topics on its own.
    Unsubscribed(Vec<String>),
    /// After a reconnect the server did not subscribe the connection to these topics for now. They are asked for again, from
    /// where they were. A session alone never says so.
    Postponed {
        /// The topics.
        topics: Vec<String>,
        /// Why.
        refusal: Refusal,
        /// How long until they are asked for.
        retry_after: Duration,
    },
    /// After a reconnect the server did not subscribe the connection to these topics again. They are forgotten.
    NotSubscribedAgain {
        /// The topics.
        topics: Vec<String>,
        /// Why.
        refusal: Refusal,
    },
    /// The server refused something that had no id.
    Refused(Refusal),
    /// A token was shown over the connection, because the one before would have ended or the server waited for one.
    Authenticated(Authenticated),
    /// No other token could be had or shown for this reason, in words. When the one in use ends, the server closes the
    /// connection, and the client connects again if there is a token by then. A session alone never says so.
    NotAuthenticated {
        /// Why.
        reason: String,
    },
    /// The server is about to close the connection.
    Goodbye(Goodbye),
    /// The connection ended. A session alone never says so; its driver does.
    Disconnected {
        /// Why, in words.
        reason: String,
        /// How long until the next attempt; none when there is none and nothing follows.
        reconnect_after: Option<Duration>,
    },
}
