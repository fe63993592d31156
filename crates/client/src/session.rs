//! The protocol without any I/O: what was asked, what is subscribed to, and what the server's messages mean.
//!
//! Commands go in as calls, messages as text; out come texts to send ([`Session::poll_outgoing`]) and what they mean
//! ([`Session::poll_incoming`]). Both are to be drained after every call. There is no clock and no socket here: who
//! drives a session says when it was lost and decides when to try again.

mod resuming;

use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;

use fanfare_protocol::{IdempotencyKey, Key, Position, PublishOptions, Reading, Since, TOPIC_BYTES_MAX};
use serde_json::value::RawValue;

use crate::command::{Command, SubscribeOptions, entries};
use crate::gap::{Gap, GapCause};
use crate::history::HistoryOptions;
use crate::incoming::{Incoming, Push, Reply};
use crate::limits::{COMMANDS_PENDING_MAX, LimitExceeded, TOPICS_MAX};
use crate::place::Entry;
use crate::presence::PresenceOptions;
use crate::publication::Publication;
use crate::server_message::{Authenticated, Malformed, Missed, Refusal, ServerMessage, Subscribed, Welcome};
use crate::token::Token;
use crate::topic::{Terms, Topic, Wishes};

/// One client's side of the `json` dialect. It outlives connections: after a new `welcome` it subscribes again, from where
/// it was.
#[derive(Default)]
pub struct Session {
    last_id: u64,
    asked: HashMap<u64, Asked>,
    topics: BTreeMap<String, Topic>,
    stage: Stage,
    /// What the server takes at most, as it said last.
    message_bytes_max: Option<usize>,
    incoming: VecDeque<Incoming>,
    outgoing: VecDeque<String>,
}

/// How far the current connection has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// There is none, or it has not been welcomed.
    #[default]
    Lost,
    /// The server waits for a token.
    Awaited,
    /// Commands are taken.
    Open,
    /// The server has said goodbye.
    Leaving,
}

impl Stage {
    /// Whether a message has its place here. Without this, a server could have any number of them kept.
    fn check(self, message: &ServerMessage) -> Result<(), Malformed> {
        use ServerMessage::{Goodbye, Unknown, Welcome};
        match (self, message) {
            (Self::Lost, Welcome(_) | Goodbye(_) | Unknown) => Ok(()),
            (Self::Lost, _) => Err(Malformed::misplaced("the first message is no welcome")),
            (_, Welcome(_)) => Err(Malformed::misplaced("a second welcome")),
            (Self::Leaving, Goodbye(_)) => Err(Malformed::misplaced("a second goodbye")),
            _ => Ok(()),
        }
    }
}

/// What a reply is awaited for.
#[derive(Debug)]
enum Asked {
    Subscription {
        topics: Vec<String>,
        terms: Terms,
        since: Option<Since>,
    },
    Resubscription(Vec<String>),
    Authentication,
    Unsubscription,
    Other,
}

impl Session {
    /// A session that has not been connected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the server has welcomed the current connection.
    pub fn is_welcome(&self) -> bool {
        matches!(self.stage, Stage::Awaited | Stage::Open)
    }

    /// Whether the server takes nothing but a token: [`authenticate`](Self::authenticate) shows it one.
    pub fn is_awaited(&self) -> bool {
        self.stage == Stage::Awaited
    }

    /// Whether the connection is, or was and will be again, subscribed to a topic.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|topic| !topic.is_given_up)
    }

    /// Up to where everything of a topic came, or was told not to come: from there the next connection goes on.
    pub fn position(&self, topic: &str) -> Option<Position> {
        self.topics.get(topic).map(|topic| topic.at)
    }

    /// Whether another command may be asked.
    pub fn has_room(&self) -> bool {
        self.asked.len() < COMMANDS_PENDING_MAX
    }

    /// Asks to subscribe to `topics`, all or none, with a token if one is needed for that.
    ///
    /// The id of the command is returned, as by the other commands.
    ///
    /// # Errors
    /// A bound refuses it.
    pub fn subscribe(
        &mut self,
        topics: &[String],
        options: SubscribeOptions,
        token: Option<&Token>,
    ) -> Result<u64, LimitExceeded> {
        if self.topics.len() + topics.len() > TOPICS_MAX {
            return Err(LimitExceeded::Topics);
        }
        let entries: Vec<_> = topics.iter().map(|topic| self.entry(topic)).collect();
        let wishes = self.wishes(topics, &options);
        let command = Command {
            topics: Some(&entries),
            token: token.map(Token::expose),
            ..Command::new("subscribe").wishing(wishes)
        };
        let asked = Asked::Subscription {
            topics: topics.to_vec(),
            terms: Terms {
                wishes,
                source: options.token,
            },
            since: options.since,
        };
        self.ask(asked, command.since(options.since))
    }

    /// How topics are to be asked for: nobody who is told something of one of them, or is about to be, ceases to be.
    fn wishes(&self, topics: &[String], options: &SubscribeOptions) -> Wishes {
        let known = topics.iter().filter_map(|topic| self.topics.get(topic));
        let known = known
            .filter(|topic| topic.is_asked)
            .map(|topic| topic.terms.wishes);
        let named: HashSet<&String> = topics.iter().collect();
        let pending = self.asked.values().filter_map(|asked| match asked {
            Asked::Subscription { topics, terms, .. } => {
                let is_named = topics.iter().any(|topic| named.contains(topic));
                is_named.then_some(terms.wishes)
            }
            _ => None,
        });
        known.chain(pending).fold(Wishes::of(options), Wishes::beside)
    }

    /// A topic in a command. One that was lost goes on from where it was, whatever else is said.
    fn entry<'a>(&self, topic: &'a str) -> Entry<'a> {
        let lost = self.topics.get(topic).filter(|topic| topic.is_lost());
        Entry {
            topic,
            at: lost.map(|topic| topic.at),
        }
    }

    /// Asks to unsubscribe from `topics`.
    ///
    /// # Errors
    /// A bound refuses it.
    pub fn unsubscribe(&mut self, topics: &[String]) -> Result<u64, LimitExceeded> {
        // What is given up must not be asked for again, should the connection end before the reply.
        self.forget(topics);
        self.ask(
            Asked::Unsubscription,
            Command {
                topics: Some(&entries(topics)),
                ..Command::new("unsubscribe")
            },
        )
    }

    /// Does not ask for `topics` again after the current connection.
    pub fn forget(&mut self, topics: &[String]) {
        for name in topics {
            match self.topics.get_mut(name) {
                Some(topic) if topic.is_live => (topic.is_asked, topic.is_given_up) = (false, true),
                _ => drop(self.topics.remove(name)),
            }
        }
    }

    /// Shows a token: because the server waits for one, or because the one in use will end.
    ///
    /// # Errors
    /// A bound refuses it.
    pub fn authenticate(&mut self, token: &Token) -> Result<u64, LimitExceeded> {
        self.ask(
            Asked::Authentication,
            Command {
                token: Some(token.expose()),
                ..Command::new("auth")
            },
        )
    }

    /// Asks the application for what its procedure `method` gives for `data`.
    ///
    /// # Errors
    /// A bound refuses it.
    pub fn call(&mut self, method: &str, data: &RawValue) -> Result<u64, LimitExceeded> {
        self.ask(
            Asked::Other,
            Command {
                method: Some(method),
                data: Some(data),
                ..Command::new("call")
            },
        )
    }

    /// Asks for a part of a topic's history.
    ///
    /// # Errors
    /// A bound refuses it.
    pub fn history(&mut self, topic: &str, options: HistoryOptions) -> Result<u64, LimitExceeded> {
        let (since, before) = match options.reading {
            Reading::Oldest => (None, None),
            Reading::Since(since) => (Some(since), None),
            Reading::Before(position) => (None, Some(position.to_string())),
            Reading::Newest => (None, Some("end".to_owned())),
        };
        let command = Command {
            topic: Some(topic),
            before,
            limit: options.limit,
            ..Command::new("history")
        };
        self.ask(Asked::Other, command.since(since))
    }

    /// Asks who is in a topic.
    ///
    /// # Errors
    /// A bound refuses it.
    pub fn presence(&mut self, topic: &str, options: &PresenceOptions) -> Result<u64, LimitExceeded> {
        self.ask(
            Asked::Other,
            Command {
                topic: Some(topic),
                after: options.after.as_deref(),
                limit: options.limit,
                ..Command::new("presence")
            },
        )
    }

    /// Asks to publish `data` to `topic`.
    ///
    /// # Errors
    /// A bound refuses it.
    pub fn publish(
        &mut self,
        topic: &str,
        data: &RawValue,
        options: &PublishOptions,
    ) -> Result<u64, LimitExceeded> {
        self.ask(
            Asked::Other,
            Command {
                topic: Some(topic),
                data: Some(data),
                key: options.key.as_ref().map(Key::as_str),
                idempotency_key: options.idempotency_key.as_ref().map(IdempotencyKey::as_str),
                expected: options.expected.map(|place| place.to_string()),
                tags: options.tags.as_ref(),
                ..Command::new("publish")
            },
        )
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// A bound refuses it.
    pub fn ping(&mut self) -> Result<u64, LimitExceeded> {
        self.ask(Asked::Other, Command::new("ping"))
    }

    /// The next text message to send.
    pub fn poll_outgoing(&mut self) -> Option<String> {
        self.outgoing.pop_front()
    }

    /// What the server's messages meant, in their order.
    pub fn poll_incoming(&mut self) -> Option<Incoming> {
        self.incoming.pop_front()
    }

    /// Takes in that the connection ended. What was asked and not answered will not be answered any more; subscriptions
    /// are kept for the next connection.
    pub fn handle_lost(&mut self) {
        self.stage = Stage::Lost;
        self.asked.clear();
        self.outgoing.clear();
        self.topics.retain(|_, topic| !topic.is_given_up);
        self.topics.values_mut().for_each(|topic| topic.is_live = false);
    }

    /// Takes in a text message of the server.
    ///
    /// # Errors
    /// The message is not what the dialect allows; the connection is to be closed with code 1002.
    pub fn handle_text(&mut self, text: &str) -> Result<(), Malformed> {
        let message = ServerMessage::parse(text)?;
        self.stage.check(&message)?;
        match message {
            ServerMessage::Publication(publication) => self.on_publication(publication),
            ServerMessage::Welcome(welcome) => self.on_welcome(welcome),
            ServerMessage::Subscribed(id, list) => self.on_subscribed(id, list),
            ServerMessage::Unsubscribed(id, names) => self.on_unsubscribed(id, names),
            ServerMessage::Error(id, refusal) => self.on_refusal(id, refusal),
            ServerMessage::Published(id, published) => self.reply(id, Reply::Published(published)),
            ServerMessage::Authenticated(id, authenticated) => self.on_authenticated(id, authenticated),
            ServerMessage::Result(id, payload) => self.reply(id, Reply::Result(payload)),
            ServerMessage::Pong(id, time) => self.reply(id, Reply::Pong(time)),
            ServerMessage::Occupancy { topic, subscribers } => {
                self.push(Push::Occupancy { topic, subscribers });
            }
            ServerMessage::History(id, page) => self.reply(id, Reply::History(page)),
            ServerMessage::Presence(id, page) => self.reply(id, Reply::Presence(page)),
            ServerMessage::Attendance(topic, update) => self.push(Push::Presence { topic, update }),
            ServerMessage::Missed(missed) => self.on_missed(missed),
            ServerMessage::Goodbye(goodbye) => {
                self.stage = Stage::Leaving;
                self.push(Push::Goodbye(goodbye));
            }
            ServerMessage::Unknown => {}
        }
        Ok(())
    }

    fn on_welcome(&mut self, welcome: Welcome) {
        self.message_bytes_max = welcome.limits.message_bytes_max;
        if welcome.auth_timeout_ms.is_some() {
            self.stage = Stage::Awaited;
        } else {
            self.open();
        }
        self.push(Push::Welcome(welcome));
    }

    fn on_authenticated(&mut self, id: Option<u64>, authenticated: Authenticated) {
        if self.stage == Stage::Awaited {
            self.open();
        }
        self.reply(id, Reply::Authenticated(authenticated));
    }

    fn on_publication(&mut self, mut publication: Publication) {
        let known = publication
            .topic
            .as_ref()
            .and_then(|name| self.topics.get_mut(name));
        if let (Some(topic), Some(offset)) = (known, publication.offset) {
            publication.epoch = Some(topic.at.epoch);
            let gap = topic.skip_to(offset);
            if let (Some(gap), None, Some(name)) = (gap, topic.terms.wishes.every, &publication.topic) {
                let topic = name.clone();
                self.push(Push::Missed { topic, gap });
            }
        }
        self.push(Push::Publication(publication));
    }

    /// The server says that publications are left out.
    fn on_missed(&mut self, missed: Missed) {
        if let Some(known) = self.topics.get_mut(&missed.topic) {
            known.leave_out(&missed);
        }
        let gap = Gap {
            count: Some(missed.count),
            offsets: Some(missed.from..=missed.to),
            cause: GapCause::Slow,
        };
        self.push(Push::Missed {
            topic: missed.topic,
            gap,
        });
    }

    fn on_subscribed(&mut self, id: Option<u64>, mut list: Vec<Subscribed>) {
        let asked = id.and_then(|id| self.asked.remove(&id));
        let wish = match &asked {
            Some(Asked::Subscription { terms, since, .. }) => Some((terms, *since)),
            _ => None,
        };
        let missed = list
            .iter_mut()
            .filter_map(|subscribed| self.note(subscribed, wish));
        let missed: Vec<_> = missed.collect();
        match (id, asked) {
            (Some(id), Some(Asked::Subscription { .. })) => {
                self.incoming.push_back(Incoming::Reply {
                    id,
                    outcome: Ok(Reply::Subscribed(list)),
                });
            }
            _ => self.push(Push::Subscribed(list)),
        }
        self.incoming.extend(missed.into_iter().map(Incoming::Push));
    }

    /// Keeps where a topic is; what was missed before that.
    fn note(&mut self, subscribed: &mut Subscribed, wish: Option<(&Terms, Option<Since>)>) -> Option<Push> {
        let name = subscribed.topic.clone();
        let has_room = self.topics.len() < TOPICS_MAX && name.len() <= TOPIC_BYTES_MAX;
        let topic = match self.topics.entry(name.clone()) {
            MapEntry::Occupied(known) => known.into_mut(),
            MapEntry::Vacant(place) if has_room => place.insert(Topic::new(match wish {
                Some((_, Some(Since::Position(named)))) => named,
                _ => subscribed.position,
            })),
            MapEntry::Vacant(_) => return None,
        };
        if let Some((terms, _)) = wish {
            (topic.is_asked, topic.is_given_up) = (true, false);
            topic.terms = terms.clone();
        }
        let gap = topic.confirm(subscribed)?;
        Some(Push::Missed { topic: name, gap })
    }

    fn on_unsubscribed(&mut self, id: Option<u64>, names: Vec<String>) {
        for name in &names {
            self.topics.remove(name);
        }
        match id.filter(|id| self.asked.remove(id).is_some()) {
            Some(id) => self.incoming.push_back(Incoming::Reply {
                id,
                outcome: Ok(Reply::Unsubscribed(names)),
            }),
            None => self.push(Push::Unsubscribed(names)),
        }
    }

    fn on_refusal(&mut self, id: Option<u64>, refusal: Refusal) {
        match id.and_then(|id| Some((id, self.asked.remove(&id)?))) {
            Some((_, Asked::Resubscription(topics))) => self.on_not_subscribed_again(topics, refusal),
            Some((id, _)) => self.incoming.push_back(Incoming::Reply {
                id,
                outcome: Err(refusal),
            }),
            None => self.push(Push::Refused(refusal)),
        }
    }

    /// Hands out a reply; one that nobody waits for is dropped.
    fn reply(&mut self, id: Option<u64>, reply: Reply) {
        if let Some(id) = id.filter(|id| self.asked.remove(id).is_some()) {
            self.incoming.push_back(Incoming::Reply {
                id,
                outcome: Ok(reply),
            });
        }
    }

    fn push(&mut self, push: Push) {
        self.incoming.push_back(Incoming::Push(push));
    }

    fn ask(&mut self, asked: Asked, command: Command<'_>) -> Result<u64, LimitExceeded> {
        if !self.has_room() {
            return Err(LimitExceeded::Commands);
        }
        let (id, text) = self.write(command);
        match self.message_bytes_max {
            Some(bytes_max) if text.len() > bytes_max => Err(LimitExceeded::Message {
                bytes: text.len(),
                bytes_max,
            }),
            _ => Ok(self.send(id, text, asked)),
        }
    }

    /// A command under its own id, as text.
    fn write(&mut self, command: Command<'_>) -> (u64, String) {
        self.last_id += 1;
        let command = Command {
            id: self.last_id,
            ..command
        };
        let text = serde_json::to_string(&command).expect("texts, numbers and JSON values always serialize");
        (self.last_id, text)
    }

    fn send(&mut self, id: u64, text: String, asked: Asked) -> u64 {
        self.asked.insert(id, asked);
        self.outgoing.push_back(text);
        id
    }
}

/// What is to be sent may hold tokens, so it is not shown.
impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("stage", &self.stage)
            .field("asked", &self.asked.len())
            .field("topics", &self.topics.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
