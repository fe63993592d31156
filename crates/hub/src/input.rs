//! What goes into a hub.

use std::net::SocketAddr;
use std::sync::Arc;

use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::{BadMessage, Dialect, Direct};
use fanfare_protocol::websocket::Compression;
use fanfare_protocol::{
    Command, ConnectionId, Every, Millis, Payload, SessionKey, Since, Timestamp, TopicName, UserName,
};

use crate::access::{Identity, TopicRules};
use crate::ask::Answer;
use crate::broker::{BrokerEvent, Published, Refusal};
use crate::roster::{RosterDiff, RosterPage};
use crate::{Leave, Ticket};

/// One thing that happened. See [`crate::Hub::handle`].
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection was opened. Its slot is free.
    Opened(Opened),
    /// A message came, read by the connection's dialect.
    Message(ConnectionId, Result<Command<'a>, BadMessage>),
    /// A WebSocket ping came.
    Ping(ConnectionId, &'a [u8]),
    /// A WebSocket pong came, asked for or not.
    Pong(ConnectionId),
    /// A close frame came, with its code if it had one.
    PeerClose(ConnectionId, Option<u16>),
    /// The connection is to be closed.
    Disconnect(ConnectionId, Disconnect),
    /// The socket is gone.
    Lost(ConnectionId),
    /// The broker said something.
    Broker(BrokerEvent),
    /// A publish that came out as [`crate::Output::Publish`] was decided.
    Published(Ticket, TopicName, Result<Published, Refusal>),
    /// What became of an [`crate::Output::Deliver`]: whether the connection was there.
    Delivered(Ticket, Result<bool, Refusal>),
    /// The answer to [`crate::Output::Count`].
    Counted(TopicName, u64),
    /// The answer to [`crate::Output::Roster`].
    Roster(Ticket, TopicName, RosterPage),
    /// The answer to [`crate::Output::Survey`].
    Surveyed(TopicName, RosterDiff),
    /// The answer to an [`crate::Output::Ask`].
    Answered(ConnectionId, Answer),
    /// From now on these are the rules of topics. They decide about what is asked from now on; nobody is unsubscribed.
    Rules(Arc<TopicRules>),
    /// The inputs at hand are all taken in: fan out what was gathered.
    Settle,
    /// Time went by; given at least every 100 ms.
    Tick,
    /// Close every connection, spread over at most this many milliseconds.
    Shutdown {
        /// The window.
        window_ms: u64,
    },
}

/// Which connections an API call means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// One connection.
    Connection(ConnectionId),
    /// All connections of a user.
    User(UserName),
    /// All connections that showed the token of this id (`jti`).
    Token(Box<str>),
}

/// What the application asks of a hub, beside the commands of clients. See [`crate::Hub::control`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Hand this to a connection.
    Deliver(ConnectionId, Direct),
    /// Subscribe the selected connections, with this leave for each of the topics.
    Subscribe(Selector, Vec<TopicName>, Leave),
    /// Subscribe the selected connections to a topic from a place on, whether they might look back by themselves or not.
    SubscribeSince(Selector, WantedTopic, Leave),
    /// Unsubscribe the selected connections.
    Unsubscribe(Selector, Vec<TopicName>),
    /// Close the selected connections.
    Disconnect(Selector, Disconnect),
    /// Say anew who the selected connections are.
    Renew(Selector, Renewal),
}

/// What is said anew of who a client is. Who it is and what was granted to it stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewal {
    /// When it ends; `None` for never by itself.
    pub expires_at: Option<Timestamp>,
    /// What others may see of it, JSON; `None` for what they see already.
    pub info: Option<Arc<str>>,
}

/// The time of an input, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub monotonic: Millis,
    /// For display.
    pub wall: Timestamp,
}

/// A connection as it comes through the door.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its id; the slot in it is where the hub keeps it.
    pub connection: ConnectionId,
    /// The dialect it speaks.
    pub dialect: Dialect,
    /// What was agreed on about compression.
    pub compression: Compression,
    /// Whether it receives.
    pub role: Role,
    /// Who it is, when that is known: `None` for an anonymous one.
    pub identity: Option<Arc<Identity>>,
    /// Whether it is still to say who it is, by its first command. Where that is a hello: whether it may come in only as
    /// somebody who is known.
    pub is_awaited: bool,
    /// Where it comes from.
    pub remote: SocketAddr,
    /// What it calls itself.
    pub user_agent: Option<Arc<str>>,
    /// When it was opened.
    pub joined_at: Timestamp,
    /// Topics that it asks to be subscribed to at once, and from where on; for `raw` also those that its messages go to.
    pub topics: Vec<WantedTopic>,
    /// What is written before anything else: the head of an HTTP answer behind which a stream follows.
    pub greeting: Box<[u8]>,
    /// Topics that it is subscribed to whatever the rules say.
    pub granted_topics: Vec<TopicName>,
    /// What comes with some of those.
    pub leaves: Vec<(TopicName, Leave)>,
    /// What the application has for it, where it says hello.
    pub data: Option<Payload>,
    /// Whether to push the occupancy of those topics.
    pub occupancy: bool,
    /// Whether to tell who comes to those topics and who goes.
    pub presence: bool,
    /// How often the newest of those topics is delivered at most; `None` delivers everything at once.
    pub every: Option<Every>,
    /// Whether topics under the rule `conflate` may leave publications out without a word, in a dialect that has no
    /// word for it. Otherwise such a connection is closed when it is too slow.
    pub conflates: bool,
    /// Whether it is pinged with frames of the WebSocket, in a dialect that has messages for that.
    pub pings_natively: bool,
    /// What it calls its session by, in a dialect whose clients are told.
    pub key: Option<Box<SessionKey>>,
}

/// A topic that is to be received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTopic {
    /// Its name.
    pub topic: TopicName,
    /// From where on; `None` for what is published from now on.
    pub since: Option<Since>,
}

impl From<TopicName> for WantedTopic {
    /// From now on.
    fn from(topic: TopicName) -> Self {
        Self { topic, since: None }
    }
}

/// Whether a connection receives publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It does.
    #[default]
    Subscriber,
    /// It only sends.
    Publisher,
}
