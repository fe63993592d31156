//! What a shard can be told.

use std::sync::Arc;

use fanfare_hub::access::TopicRules;
use fanfare_hub::broker::{BrokerEvent, Refusal};
use fanfare_hub::{Answer, ConnectionRow, Control, Listed, Opened, Ticket};
use fanfare_protocol::dialect::Direct;
use fanfare_protocol::{ConnectionId, Publication};
use tokio::sync::oneshot;

use super::mailbox::Mailbox;
use super::stats::Counted;
use super::transport::Transport;
use crate::door::Place;
use crate::entrant::Entrant;

/// One thing that a shard is told.
pub(crate) enum Mail {
    /// A publication in a place set aside.
    Publication(Arc<Publication>),
    /// An answer of the broker.
    Broker(BrokerEvent),
    /// A connection that came through the door.
    Adopt(Box<Adoption>),
    /// A direct publication from a connection of another shard, which waits for the answer.
    Deliver {
        to: ConnectionId,
        direct: Box<Direct>,
        receipt: Receipt,
    },
    /// The answer to a `Deliver`.
    Delivered(Ticket, Result<bool, Refusal>),
    /// What the application decided about a command.
    Answered(ConnectionId, Box<Answer>),
    /// What a client says beside its stream.
    Said(Box<Said>),
    /// Somebody names a session.
    Named(Box<Named>),
    /// Other rules of topics.
    Rules(Arc<TopicRules>),
    /// The application asks for something.
    Control(Box<Control>, oneshot::Sender<usize>),
    /// The application wants a page of connections, from a slot on.
    Page {
        listed: Listed,
        from: usize,
        count: usize,
        answer: oneshot::Sender<(Vec<ConnectionRow>, Option<usize>)>,
    },
    /// Close every connection within this many milliseconds, then end.
    Shutdown { window_ms: u64 },
    /// End now.
    Stop,
}

/// A socket on its way into a shard.
pub(crate) struct Adoption {
    /// The socket, taken out of the HTTP server or leading to it.
    pub(crate) transport: Transport,
    /// What the client sent behind its request.
    pub(crate) early: Vec<u8>,
    /// What is known of the connection; its id is given by the shard.
    pub(crate) opened: Opened,
    /// Its place among those of its address and user, to be dropped with it.
    pub(crate) place: Option<Box<Place>>,
    /// The request that it came with, where the application is to see it.
    pub(crate) entrant: Option<Arc<Entrant>>,
    /// Its place among the connections of the shard.
    pub(crate) counted: Counted,
}

/// What a client says beside its stream, as if it had said it there.
pub(crate) struct Said {
    /// Its connection, if that is true.
    pub(crate) connection: ConnectionId,
    /// What proves that.
    pub(crate) secret: u128,
    /// Its commands, as the frame that a WebSocket would carry them in.
    pub(crate) frame: Vec<u8>,
    /// Who waits to know what became of it.
    pub(crate) answer: oneshot::Sender<Heard>,
}

/// A session as somebody names it, who wants to know whether it is there.
pub(crate) struct Named {
    /// Its connection, if that is true.
    pub(crate) connection: ConnectionId,
    /// What proves that.
    pub(crate) secret: u128,
    /// Who waits to know.
    pub(crate) answer: oneshot::Sender<bool>,
}

/// What became of [`Said`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is carried out, in its turn.
    Taken,
    /// There is no such connection, or somebody else spoke for it.
    Unknown,
    /// Too much of what it said waits.
    Full,
}

/// The answer that a `Deliver` owes to the shard it came from. It is posted when this is dropped, so that nobody
/// waits for ever for a shard that is full, failed or ended.
pub(crate) struct Receipt {
    to: Arc<Mailbox>,
    ticket: Ticket,
    outcome: Result<bool, Refusal>,
}

impl Receipt {
    /// A receipt that refuses unless it is signed.
    pub(crate) fn new(to: &Arc<Mailbox>, ticket: Ticket) -> Self {
        Self {
            to: Arc::clone(to),
            ticket,
            outcome: Err(Refusal::Overloaded),
        }
    }

    /// Says whether the connection was there.
    pub(crate) fn sign(mut self, was_there: bool) {
        self.outcome = Ok(was_there);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let answer = Mail::Delivered(self.ticket.clone(), self.outcome);
        self.to.post_unbounded(answer);
    }
}
