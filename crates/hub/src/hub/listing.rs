//! What a hub tells of itself: connections page by page, counters and gauges.

use std::net::SocketAddr;
use std::sync::Arc;

use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::Compression;
use fanfare_protocol::{ConnectionId, Reply, Timestamp, TopicName, UserName};

use super::Hub;
use crate::outbox::Lane;
use crate::session::Session;
use crate::{Control, Counters, Leave, Role, Selector, WantedTopic};

/// One connection as the API lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    /// Its id.
    pub connection: ConnectionId,
    /// Its user, when known.
    pub user: Option<UserName>,
    /// When it was opened.
    pub joined_at: Timestamp,
    /// Where it comes from.
    pub remote: SocketAddr,
    /// The dialect it speaks.
    pub dialect: Dialect,
    /// What was agreed on about compression.
    pub compression: Compression,
    /// Whether it receives.
    pub role: Role,
    /// What it calls itself.
    pub user_agent: Option<Arc<str>>,
    /// What it is subscribed to, the server's own topics left out.
    pub topics: Vec<TopicName>,
    /// Publications that wait to be written.
    pub outbox_frames: u32,
    /// Bytes that wait to be written.
    pub outbox_bytes: u32,
    /// How long the oldest publication has waited, in milliseconds; 0 when none waits.
    pub outbox_age_ms: u64,
    /// Publications that it was not sent because it read too slowly.
    pub missed: u64,
}

/// Which connections a listing is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listed {
    /// All.
    #[default]
    All,
    /// Those whose socket takes no more for now.
    Behind,
}

/// What a hub holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Connections.
    pub connections: usize,
    /// Connections whose socket takes no more for now.
    pub behind: usize,
    /// Topics that somebody belongs to or waits for, the server's own included.
    pub topics: usize,
    /// Bytes of frames that wait to be written, each counted once however many wait for it.
    pub frame_bytes: usize,
    /// Places in outboxes that hold a frame.
    pub queued: usize,
    /// Connections that are yet to be told what they miss.
    pub notices: usize,
    /// Subscribe commands that wait for the broker.
    pub pending: usize,
    /// Subscribers that have yet to read what they missed.
    pub catching_up: usize,
    /// Reads that the broker has not answered.
    pub reads: usize,
    /// Connections that are not read from because they, or their users, asked too fast.
    pub held: usize,
    /// Connections that have yet to say who they are.
    pub awaited: usize,
}

impl Hub {
    /// At most `count` connections from slot `from` on, and the slot to go on from, if any may be left.
    pub fn connections(
        &self,
        listed: Listed,
        from: usize,
        count: usize,
    ) -> (Vec<ConnectionRow>, Option<usize>) {
        let mut rows = Vec::new();
        for slot in from..self.sessions.len() {
            let Some(session) = &self.sessions[slot] else {
                continue;
            };
            if listed == Listed::Behind && !self.outboxes[slot].is_blocked {
                continue;
            }
            if rows.len() == count {
                return (rows, Some(slot));
            }
            rows.push(self.row(slot, session));
        }
        (rows, None)
    }

    /// The connections of a user.
    pub fn connections_of(&self, user: &UserName) -> Vec<ConnectionId> {
        let Some(&topic) = self.names.get(&TopicName::of_user(user)) else {
            return Vec::new();
        };
        let members = self.topics[topic as usize].audiences.members();
        members
            .filter_map(|member| Some(self.sessions[member.slot()].as_ref()?.connection))
            .collect()
    }

    /// The connections that showed a token. Costs a look at every connection.
    fn connections_with(&self, token: &str) -> Vec<ConnectionId> {
        let showed = |session: &&Session| {
            let identity = session.identity.as_ref();
            identity.is_some_and(|identity| identity.token_id.as_deref() == Some(token))
        };
        let sessions = self.sessions.iter().flatten().filter(showed);
        sessions.map(|session| session.connection).collect()
    }

    /// What it counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What it holds now.
    pub fn gauges(&self) -> Gauges {
        Gauges {
            connections: self.open,
            behind: self.blocked,
            topics: self.topics.len(),
            // These are kept ready and wait for nobody.
            frame_bytes: self.pings.into_iter().fold(self.frames.bytes(), |bytes, ready| {
                bytes - self.frames.measure(ready).bytes as usize
            }),
            queued: self.frames.nodes_used(),
            notices: self.notices.len(),
            pending: self.pending.len(),
            catching_up: self.comers.len(),
            reads: self.reads.len(),
            held: self.rates.held(),
            awaited: self.awaited,
        }
    }

    /// Does what the application asks; gives for how many connections it was done. A connection that would pass its
    /// limit of subscriptions is left as it is.
    pub fn control(&mut self, now: crate::Now, control: Control) -> usize {
        self.now = now;
        match control {
            Control::Deliver(connection, direct) => usize::from(self.deliver(connection, &direct)),
            Control::Subscribe(selector, topics, leave) => {
                let topics: Vec<WantedTopic> = topics.into_iter().map(WantedTopic::from).collect();
                self.subscribe_selected(&selector, &topics, &leave)
            }
            Control::SubscribeSince(selector, topic, leave) => {
                self.subscribe_selected(&selector, &[topic], &leave)
            }
            Control::Unsubscribe(selector, topics) => self.each(&selector, |hub, slot| {
                hub.unsubscribe(slot, &topics);
                let reply = Reply::Unsubscribed {
                    topics: topics.clone(),
                };
                hub.reply_to(slot, Lane::Data, None, &reply);
                true
            }),
            Control::Disconnect(selector, cause) => self.each(&selector, |hub, slot| {
                hub.disconnect(slot, &cause, None);
                true
            }),
            Control::Renew(selector, renewal) => self.each(&selector, |hub, slot| {
                hub.refresh_identity(slot, &renewal).is_some()
            }),
        }
    }

    fn subscribe_selected(&mut self, selector: &Selector, topics: &[WantedTopic], leave: &Leave) -> usize {
        self.each(selector, |hub, slot| {
            let leaves = topics.iter().map(|wanted| (wanted.topic.clone(), leave.clone()));
            hub.subscribe_by_application(slot, topics, leaves.collect())
        })
    }

    fn each(&mut self, selector: &Selector, mut act: impl FnMut(&mut Self, usize) -> bool) -> usize {
        let connections = match selector {
            Selector::Connection(connection) => vec![*connection],
            Selector::User(user) => self.connections_of(user),
            Selector::Token(token) => self.connections_with(token),
        };
        let mut concerned = 0;
        for connection in connections {
            // Asked one by one: acting on one may close another.
            if let Some(slot) = self.open_slot_of(connection) {
                concerned += usize::from(act(self, slot));
            }
        }
        concerned
    }

    fn row(&self, slot: usize, session: &Session) -> ConnectionRow {
        let names = session
            .subscriptions
            .iter()
            .filter(|s| s.is_subscriber())
            .map(|s| &self.topics[s.topic as usize].name);
        ConnectionRow {
            connection: session.connection,
            user: session.user().cloned(),
            joined_at: session.joined_at,
            remote: session.remote,
            dialect: session.dialect,
            compression: session.compression,
            role: session.role,
            user_agent: session.user_agent.clone(),
            topics: names.filter(|name| !name.is_reserved()).cloned().collect(),
            outbox_frames: self.outboxes[slot].publications(),
            outbox_bytes: self.outboxes[slot].bytes(),
            outbox_age_ms: self.outboxes[slot]
                .oldest(&self.frames)
                .map_or(0, |since| self.now.monotonic.since(since)),
            missed: session.left_out,
        }
    }
}
