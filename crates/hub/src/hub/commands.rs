//! Commands of clients, and the answers that come later.

use std::borrow::Cow;
use std::collections::VecDeque;

use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::dialect::{BadMessage, Direct};
use fanfare_protocol::websocket::{Opcode, encode_frame};
use fanfare_protocol::{
    Command, CommandId, ConnectionId, Draft, Payload, PublishOptions, Publisher, Rejection, Reply, Target,
    TopicName, TopicNameError, Verb, Wanted,
};

use super::Hub;
use super::presence::Look;
use crate::access::{Action, Verdict};
use crate::broker::{Published, Refusal};
use crate::outbox::Lane;
use crate::session::{Manner, Session, Wishes};
use crate::topic::Wants;
use crate::{Asked, Dirty, Output, Ticket, WantedTopic};

impl Hub {
    pub(super) fn message(&mut self, connection: ConnectionId, message: Result<Command<'_>, BadMessage>) {
        let Some(slot) = self.open_slot_of(connection) else {
            return;
        };
        self.counters.commands += 1;
        self.charge(slot, 1);
        match message {
            Ok(command) => self.command(slot, connection, command),
            Err(BadMessage::Rejected(rejection)) => self.reject(slot, rejection),
            Err(BadMessage::Fatal(cause)) => self.disconnect(slot, &cause, None),
        }
    }

    /// Answers a ping with a pong. While the socket is blocked at most one pong waits, the latest: RFC 6455 section
    /// 5.5.3 lets it stand for all; and the connection is read from no further until its socket takes something.
    pub(super) fn pinged(&mut self, connection: ConnectionId, payload: &[u8]) {
        let Some(slot) = self.open_slot_of(connection) else {
            return;
        };
        self.charge(slot, 1);
        let mut bytes = Vec::with_capacity(payload.len() + 2);
        encode_frame(Opcode::Pong, payload, &mut bytes);
        let frame = self.frames.insert(bytes, 0, self.now.monotonic);
        self.outboxes[slot].push_pong(frame, &mut self.frames);
        self.frames.release(frame);
        let outbox = &mut self.outboxes[slot];
        outbox.is_paused |= outbox.is_blocked || outbox.reply_bytes() > self.limits.replies_bytes_max;
        self.mark_dirty(slot, Dirty::Small);
    }

    /// A pong asks for nothing, but one that was not asked for is work.
    pub(super) fn ponged(&mut self, connection: ConnectionId) {
        if let Some(slot) = self.open_slot_of(connection)
            && let Some(session) = &mut self.sessions[slot]
            && !std::mem::take(&mut session.is_pong_due)
        {
            self.charge(slot, 1);
        }
    }

    fn command(&mut self, slot: usize, connection: ConnectionId, command: Command<'_>) {
        let Command { id, verb } = command;
        let is_awaited = self.sessions[slot].as_ref().is_some_and(Session::is_awaited);
        let is_hello = matches!(verb, Verb::Hello { .. });
        if self.is_hailed(slot) && is_hello != is_awaited {
            // Whoever speaks first says hello, and once.
            return self.disconnect(slot, &Disconnect::ProtocolError, None);
        }
        if is_awaited && !is_hello && !matches!(verb, Verb::Authenticate { .. } | Verb::Ping) {
            let message = "the client has not said who it is, send `auth` with a token first";
            return self.reject(slot, Rejection::new(id, ErrorCode::Unauthenticated, message));
        }
        match verb {
            Verb::Hello {
                token,
                places,
                greeting,
            } => self.hello(slot, id, (token.map(Into::into), greeting), places),
            Verb::Pong => self.answered_ping(slot),
            Verb::Authenticate { token } => self.authenticate(slot, id, token.into()),
            Verb::Call { method, payload } => self.call(slot, id, method.into(), payload),
            Verb::Subscribe { .. } => self.subscribe_command(slot, id, verb),
            Verb::Renew { topic, token } => self.renew_command(slot, id, &topic, token.into()),
            Verb::Unsubscribe { topics } => self.unsubscribe_command(slot, id, &topics),
            Verb::Publish {
                topic,
                payload,
                options,
                echo,
            } => {
                let except = (!echo).then_some(connection);
                self.publish(slot, (connection, id), (&topic, options), payload, except);
            }
            Verb::History {
                topic,
                reading,
                limit,
            } => match self.name(&topic) {
                Ok(topic) => self.history_by_rules(slot, id, topic, (reading, limit)),
                Err(error) => self.reject(slot, Rejection::new(id, ErrorCode::BadTopic, error)),
            },
            Verb::Presence { topic, after, limit } => {
                self.presence_command(slot, id, &topic, Look { after, limit });
            }
            Verb::Attendance { topic } => self.presence_command(slot, id, &topic, Look::COUNT),
            Verb::Relay { payload } => self.relay(slot, connection, &payload),
            Verb::Send { to, payload } => {
                let asked = Asked::Send;
                let ticket = Ticket {
                    connection,
                    id,
                    asked,
                };
                self.send(slot, ticket, to, payload);
            }
            Verb::Ping => {
                let pong = Reply::Pong { time: self.now.wall };
                self.reply_to(slot, Lane::Control, id.as_ref(), &pong);
            }
        }
    }

    fn subscribe_command(&mut self, slot: usize, id: Option<CommandId>, verb: Verb<'_>) {
        let Verb::Subscribe {
            topics,
            occupancy,
            every,
            presence,
            deltas,
            filter,
            insists,
            token,
        } = verb
        else {
            return;
        };
        let manner = match &filter {
            Some(_) => Manner::Filtered,
            None if deltas => Manner::Deltas,
            None => every.into(),
        };
        let wishes = Wishes {
            wants: Wants { occupancy, presence },
            manner,
            insists,
        };
        self.keep_filter(slot, &topics, filter);
        self.subscribe_to(slot, id, topics, wishes, token.map(Into::into));
    }

    fn unsubscribe_command(&mut self, slot: usize, id: Option<CommandId>, topics: &[Cow<'_, str>]) {
        match names(topics) {
            Ok(topics) => {
                self.unsubscribe(slot, &topics);
                let reply = Reply::Unsubscribed { topics };
                self.reply_to(slot, Lane::Data, id.as_ref(), &reply);
            }
            Err(error) => self.reject(slot, Rejection::new(id, ErrorCode::BadTopic, error)),
        }
    }

    fn presence_command(&mut self, slot: usize, id: Option<CommandId>, topic: &str, look: Look) {
        match self.name(topic) {
            Ok(topic) => self.presence_by_rules(slot, id, topic, look),
            Err(error) => self.reject(slot, Rejection::new(id, ErrorCode::BadTopic, error)),
        }
    }

    fn subscribe_to(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        topics: Vec<Wanted<'_>>,
        wishes: Wishes,
        token: Option<Box<str>>,
    ) {
        match wanted(topics) {
            Ok(topics) => self.subscribe_by_rules(slot, id, topics, wishes, token),
            Err(error) => self.reject(slot, Rejection::new(id, ErrorCode::BadTopic, error)),
        }
    }

    fn publish(
        &mut self,
        slot: usize,
        (connection, id): (ConnectionId, Option<CommandId>),
        (topic, options): (&str, PublishOptions),
        payload: Payload,
        except: Option<ConnectionId>,
    ) {
        let topic = match self.name(topic) {
            Ok(topic) => topic,
            Err(error) => return self.reject(slot, Rejection::new(id, ErrorCode::BadTopic, error)),
        };
        let ticket = Ticket {
            connection,
            id,
            asked: Asked::Publish,
        };
        let mut draft = self.draft(slot, topic, payload, options);
        draft.except = except;
        self.publish_by_rules(slot, VecDeque::from([(ticket, draft)]));
    }

    fn draft(&mut self, slot: usize, topic: TopicName, payload: Payload, options: PublishOptions) -> Draft {
        self.counters.publish_commands += 1;
        Draft {
            from: self.publisher(slot, Some(&topic)),
            ..Draft::new(topic, payload, self.now.wall).with(options)
        }
    }

    fn relay(&mut self, slot: usize, connection: ConnectionId, payload: &Payload) {
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        let relay = std::mem::take(&mut session.named);
        // The message itself was counted as one already.
        self.charge(slot, relay.len().saturating_sub(1) as u32);
        let ticket = Ticket {
            connection,
            id: None,
            asked: Asked::Publish,
        };
        let drafts = relay
            .iter()
            .map(|topic| {
                let draft = self.draft(slot, topic.clone(), payload.clone(), PublishOptions::default());
                (ticket.clone(), draft)
            })
            .collect();
        self.publish_by_rules(slot, drafts);
        if let Some(session) = &mut self.sessions[slot] {
            session.named = relay;
        }
    }

    fn send(&mut self, slot: usize, ticket: Ticket, to: Target, payload: Payload) {
        match to {
            Target::Connection(to) => {
                let topic = TopicName::of_connection(to);
                if self.verdict(slot, Action::Publish, &topic) != Verdict::Allowed {
                    return self.forbid(slot, ticket.id, Action::Publish, &topic);
                }
                let direct = Direct {
                    from: self.publisher(slot, None),
                    time: self.now.wall,
                    payload,
                };
                self.outputs.push_back(Output::Deliver(to, direct, ticket));
            }
            Target::User(user) => {
                let topic = TopicName::of_user(&user);
                let draft = self.draft(slot, topic, payload, PublishOptions::default());
                self.publish_by_rules(slot, VecDeque::from([(ticket, draft)]));
            }
        }
    }

    /// A publish was decided by the broker.
    pub(super) fn publish_decided(
        &mut self,
        ticket: Ticket,
        topic: TopicName,
        outcome: Result<Published, Refusal>,
    ) {
        let Some(slot) = self.open_slot_of(ticket.connection) else {
            return;
        };
        let reply = match (outcome, ticket.asked) {
            (Err(refusal), _) => return self.reject(slot, refused(ticket.id, refusal)),
            (Ok(_), Asked::Send) => Reply::Sent,
            (Ok(published), Asked::Publish | Asked::Presence | Asked::Attendance) => Reply::Published {
                topic,
                position: published.position,
                is_repetition: published.is_repetition,
            },
        };
        self.reply_if_asked(slot, ticket.id, &reply);
    }

    /// A direct send found its connection, or did not.
    pub(super) fn send_decided(&mut self, ticket: Ticket, outcome: Result<bool, Refusal>) {
        let Some(slot) = self.open_slot_of(ticket.connection) else {
            return;
        };
        match outcome {
            Ok(true) => self.reply_if_asked(slot, ticket.id, &Reply::Sent),
            Ok(false) => {
                let text = "the connection is not open, it may have been closed or never existed";
                self.reject(slot, Rejection::new(ticket.id, ErrorCode::NotFound, text));
            }
            Err(refusal) => self.reject(slot, refused(ticket.id, refusal)),
        }
    }

    fn reply_if_asked(&mut self, slot: usize, id: Option<CommandId>, reply: &Reply) {
        if id.is_some() {
            self.reply_to(slot, Lane::Control, id.as_ref(), reply);
        }
    }

    /// Answers with an error; in a dialect that has none, closes. Who is told too often to come back later is closed
    /// as well.
    pub(super) fn reject(&mut self, slot: usize, rejection: Rejection) {
        let Some(session) = &self.sessions[slot] else {
            return;
        };
        let Rejection {
            id,
            code,
            message,
            retry_after_ms,
            position,
            application_code,
        } = rejection;
        self.counters.rejected[code as usize] += 1;
        if !session.dialect.has_errors() {
            let cause = session.dialect.disconnect_for(code, application_code);
            return self.disconnect(slot, &cause, None);
        }
        let reply = Reply::Error {
            code,
            message,
            retry_after_ms,
            position,
            application_code,
        };
        self.reply_to(slot, Lane::Control, id.as_ref(), &reply);
        if code == ErrorCode::RateLimited && self.is_flooding(slot) {
            self.disconnect(slot, &Disconnect::Flooding, None);
        }
    }

    /// Who publishes, as others see it, or others in a topic.
    fn publisher(&self, slot: usize, topic: Option<&TopicName>) -> Option<Publisher> {
        let session = self.sessions[slot].as_ref()?;
        Some(Publisher {
            connection: session.connection,
            user: session.user().cloned(),
            info: session
                .identity
                .as_ref()
                .and_then(|identity| identity.info.clone()),
            topic_info: topic.and_then(|topic| session.topic_info(topic)).cloned(),
        })
    }

    /// The name of a topic, shared with the topic itself where it is known here.
    pub(super) fn name(&self, name: &str) -> Result<TopicName, TopicNameError> {
        TopicName::check(name)?;
        self.names
            .get_key_value(name)
            .map_or_else(|| TopicName::parse(name), |(known, _)| Ok(known.clone()))
    }
}

fn wanted(topics: Vec<Wanted<'_>>) -> Result<Vec<WantedTopic>, TopicNameError> {
    let wanted = |Wanted { topic, since }: Wanted<'_>| {
        let topic = TopicName::parse(&topic)?;
        Ok(WantedTopic { topic, since })
    };
    topics.into_iter().map(wanted).collect()
}

fn names(names: &[Cow<'_, str>]) -> Result<Vec<TopicName>, TopicNameError> {
    names.iter().map(|name| TopicName::parse(name)).collect()
}

/// The error reply for what a broker refused.
pub(super) fn refused(id: Option<CommandId>, refusal: Refusal) -> Rejection {
    let code = match refusal {
        Refusal::Overloaded => ErrorCode::Overloaded,
        Refusal::Unavailable => ErrorCode::Unavailable,
        Refusal::TooManyTopics => ErrorCode::TooManyTopics,
        Refusal::StorageFull => ErrorCode::StorageFull,
        Refusal::OutcomeUnknown => ErrorCode::OutcomeUnknown,
        Refusal::RateLimited { retry_after_ms } => {
            return Rejection::new(id, ErrorCode::RateLimited, refusal).retry_after(retry_after_ms);
        }
        Refusal::Conflict { position } => {
            return Rejection::new(id, ErrorCode::Conflict, refusal).standing_at(position);
        }
    };
    Rejection::new(id, code, refusal)
}
