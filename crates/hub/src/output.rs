//! What comes out of a hub.

use std::sync::Arc;

use fanfare_protocol::dialect::Direct;
use fanfare_protocol::{CommandId, ConnectionId, Draft, TopicName};

use crate::access::Identity;
use crate::ask::Question;
use crate::broker::{Read, ReadId};
use crate::roster::{Change, Version};

/// One thing to be done in the world. See [`crate::Hub::poll_output`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Join the topic at the broker.
    Join(TopicName),
    /// Read from the topic's log at the broker.
    Read(TopicName, Read, ReadId),
    /// Leave the topic at the broker.
    Leave(TopicName),
    /// Report the number of subscribers to the broker.
    Report(TopicName, u32),
    /// Ask the broker for the number of subscribers; answer with [`crate::Input::Counted`].
    Count(TopicName),
    /// Tell the broker who came to the topic and who went.
    Attend(TopicName, Vec<Change>),
    /// Ask the broker who is in the topic; answer with [`crate::Input::Roster`].
    Roster {
        /// The topic.
        topic: TopicName,
        /// Whom the page begins behind.
        after: Option<ConnectionId>,
        /// How many at most.
        count: usize,
        /// Whose command it was.
        ticket: Ticket,
    },
    /// Ask the broker what has changed in the topic since a version, and, where that is lost or `all` is true, for a page of
    /// everyone; answer with [`crate::Input::Surveyed`].
    Survey {
        /// The topic.
        topic: TopicName,
        /// The version.
        since: Version,
        /// Whether everyone is to be told in any case.
        all: bool,
    },
    /// Publish; answer with [`crate::Input::Published`].
    Publish(Draft, Ticket),
    /// Hand to a connection of any shard; answer with [`crate::Input::Delivered`].
    Deliver(ConnectionId, Direct, Ticket),
    /// Ask the application on behalf of a connection that is who it says; answer with [`crate::Input::Answered`]. A
    /// connection asks one question at a time, and beside it at most one whether a subscription goes on.
    Ask(ConnectionId, Option<Arc<Identity>>, Question),
    /// A token of the connection was refused, or it was to show one and did not.
    TokenRefused(ConnectionId),
    /// The connection may be read from again.
    Resume(ConnectionId),
    /// It is known who the connection is, and it has become one like any other. Given at most once for every one opened.
    Entered(ConnectionId, Option<Arc<Identity>>),
    /// The connection is over: close its socket and forget it. Given exactly once for every one opened, with the close
    /// code: the one of whoever closed it first, 1005 where the client gave none, 1006 where nobody did (RFC 6455,
    /// section 7.4.1).
    Release(ConnectionId, u16),
}

/// Whose command it was, so that the answer finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The connection that asked.
    pub connection: ConnectionId,
    /// The id of its command.
    pub id: Option<CommandId>,
    /// What kind of answer it waits for.
    pub asked: Asked,
}

/// What kind of answer a command waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The place of a publication.
    Publish,
    /// That it was handed over.
    Send,
    /// Who is there.
    Presence,
    /// How many are there.
    Attendance,
}
