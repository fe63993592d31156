//! The protocol without any I/O: what was asked, what is subscribed to, and what the server's messages mean.
//!
//! Commands go in as calls, messages as text; out come texts to send ([`Session::poll_outgoing`]) and what they mean
//! ([`Session::poll_incoming`]). Both are to be drained after every call. There is no clock and no socket here: who
//! drives a session says when it was lost and decides when to try again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use fanfare_protocol::{Every, Key};
use serde_json::value::RawValue;

use crate::command::{Command, batches};
use crate::limits::{COMMANDS_PENDING_MAX, RESUBSCRIPTION_BYTES_MAX, TOPICS_MAX};
use crate::publication::Publication;
use crate::server_message::{Goodbye, Malformed, Published, Refusal, ServerMessage, Subscribed, Welcome};

/// One client's side of the `json` dialect. It outlives connections: after a new `welcome` it subscribes again.
#[derive(Debug, Default)]
pub struct Session {
    last_id: u64,
    asked: HashMap<u64, Asked>,
    topics: BTreeMap<String, Topic>,
    is_welcome: bool,
    /// What the server takes at most, as it said last.
    message_bytes_max: Option<usize>,
    incoming: VecDeque<Incoming>,
    outgoing: VecDeque<String>,
}

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
    /// Something nobody asked for.
    Push(Push),
}

/// What the server did about a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It subscribed the connection.
    Subscribed(Vec<Subscribed>),
    /// It unsubscribed the connection from these topics.
    Unsubscribed(Vec<String>),
    /// It published.
    Published(Published),
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
    /// Publications of a topic went by unseen: the server left them out because this client reads too slowly, or they
    /// were published while it was not connected.
    Missed {
        /// The topic.
        topic: String,
        /// How many; none when the topic began a new epoch and the number cannot be known.
        count: Option<u64>,
    },
    /// How many connections are subscribed to a topic.
    Occupancy {
        /// The topic.
        topic: String,
        /// The number of connections.
        subscribers: u64,
    },
    /// The server subscribed the connection on its own, or again after a reconnect.
    Subscribed(Vec<Subscribed>),
    /// The server unsubscribed the connection from these topics on its own.
    Unsubscribed(Vec<String>),
    /// After a reconnect the server did not subscribe the connection to these topics again. They are forgotten.
    NotSubscribedAgain {
        /// The topics.
        topics: Vec<String>,
        /// Why.
        refusal: Refusal,
    },
    /// The server refused something that had no id.
    Refused(Refusal),
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

/// How topics are subscribed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Whether to be told their numbers of subscribers. After a reconnect they are not asked for again.
    pub occupancy: bool,
    /// How often the newest publication, of every key, is wanted at most; all of them at once by default.
    pub every: Option<Every>,
}

/// What is said about a publication beside its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// What it is the newest state of.
    pub key: Option<Key>,
}

/// A bound refuses a command; nothing was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitExceeded {
    /// Too many commands wait for replies.
    #[error(
        "{COMMANDS_PENDING_MAX} commands wait for their replies, which is the limit; wait for some of them"
    )]
    Commands,
    /// Too many topics.
    #[error("the subscription exceeds the limit of {TOPICS_MAX} topics; unsubscribe from others first")]
    Topics,
    /// The command is larger than what the server takes.
    #[error("command is {bytes} bytes, the server's limit is {bytes_max}; send less at once")]
    Message {
        /// The length of its text.
        bytes: usize,
        /// The limit the server told.
        bytes_max: usize,
    },
}

/// What a reply is awaited for.
#[derive(Debug)]
enum Asked {
    Subscription(Option<Every>),
    Resubscription(Vec<String>),
    Unsubscription,
    Other,
}

/// What is known of a topic the connection is, or was, subscribed to.
#[derive(Debug)]
struct Topic {
    epoch: String,
    offset: u64,
    /// Whether the program asked for it, so that it is asked for again.
    is_asked: bool,
    /// Whether the current connection is subscribed, so that nothing can be missed.
    is_live: bool,
    /// How often the newest is wanted at most; what is skipped by that is not missed.
    every: Option<Every>,
    /// How many the server told to be missing that no gap in the offsets has shown yet.
    told: u64,
}

impl Session {
    /// A session that has not been connected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the server has welcomed the current connection.
    pub fn is_welcome(&self) -> bool {
        self.is_welcome
    }

    /// Whether another command may be asked.
    pub fn has_room(&self) -> bool {
        self.asked.len() < COMMANDS_PENDING_MAX
    }

    /// Asks to subscribe to `topics`, all or none.
    ///
    /// The id of the command is returned, as by the other commands.
    ///
    /// # Errors
    /// A bound refuses it.
    pub fn subscribe(&mut self, topics: &[String], options: SubscribeOptions) -> Result<u64, LimitExceeded> {
        if self.topics.len() + topics.len() > TOPICS_MAX {
            return Err(LimitExceeded::Topics);
        }
        let command = Command {
            topics: Some(topics),
            occupancy: options.occupancy.then_some(true),
            every: options.every.map(|every| every.to_string()),
            ..Command::new("subscribe")
        };
        self.ask(Asked::Subscription(options.every), command)
    }

    /// Asks to unsubscribe from `topics`.
    ///
    /// # Errors
    /// A bound refuses it.
    pub fn unsubscribe(&mut self, topics: &[String]) -> Result<u64, LimitExceeded> {
        // What is given up must not be asked for again, should the connection end before the reply.
        for name in topics {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.is_asked = false;
            }
        }
        self.ask(
            Asked::Unsubscription,
            Command {
                topics: Some(topics),
                ..Command::new("unsubscribe")
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
        self.is_welcome = false;
        self.asked.clear();
        self.outgoing.clear();
        self.topics.values_mut().for_each(|topic| topic.is_live = false);
    }

    /// Takes in a text message of the server.
    ///
    /// # Errors
    /// The message is not what the dialect allows; the connection is to be closed with code 1002.
    pub fn handle_text(&mut self, text: &str) -> Result<(), Malformed> {
        match ServerMessage::parse(text)? {
            ServerMessage::Publication(publication) => self.on_publication(publication),
            ServerMessage::Welcome(welcome) => self.on_welcome(welcome),
            ServerMessage::Subscribed(id, list) => self.on_subscribed(id, list),
            ServerMessage::Unsubscribed(id, names) => self.on_unsubscribed(id, names),
            ServerMessage::Error(id, refusal) => self.on_refusal(id, refusal),
            ServerMessage::Published(id, published) => self.reply(id, Reply::Published(published)),
            ServerMessage::Pong(id, time) => self.reply(id, Reply::Pong(time)),
            ServerMessage::Occupancy { topic, subscribers } => {
                self.push(Push::Occupancy { topic, subscribers });
            }
            ServerMessage::Missed { topic, count } => self.on_missed(topic, count),
            ServerMessage::Goodbye(goodbye) => self.push(Push::Goodbye(goodbye)),
            ServerMessage::Unknown => {}
        }
        Ok(())
    }

    fn on_welcome(&mut self, welcome: Welcome) {
        self.is_welcome = true;
        self.message_bytes_max = welcome.limits.message_bytes_max;
        self.subscribe_again();
        self.push(Push::Welcome(welcome));
    }

    /// Asks for every topic the program had asked for, in as few commands as fit the server's limit.
    fn subscribe_again(&mut self) {
        let bytes_max = self.message_bytes_max.map_or(RESUBSCRIPTION_BYTES_MAX, |max| {
            RESUBSCRIPTION_BYTES_MAX.min(max / 2)
        });
        let mut by_rate: BTreeMap<Option<Every>, Vec<String>> = BTreeMap::new();
        for (name, topic) in self.topics.iter().filter(|(_, topic)| topic.is_asked) {
            by_rate.entry(topic.every).or_default().push(name.clone());
        }
        for (every, names) in by_rate {
            for topics in batches(names.into_iter(), bytes_max) {
                let (id, text) = self.write(Command {
                    topics: Some(&topics),
                    every: every.map(|every| every.to_string()),
                    ..Command::new("subscribe")
                });
                self.send(id, text, Asked::Resubscription(topics));
            }
        }
    }

    fn on_publication(&mut self, publication: Publication) {
        let known = publication
            .topic
            .as_ref()
            .and_then(|name| self.topics.get_mut(name));
        if let (Some(topic), Some(offset)) = (known, publication.offset) {
            let gap = offset.saturating_sub(topic.offset).saturating_sub(1);
            topic.offset = topic.offset.max(offset);
            let untold = gap.saturating_sub(topic.told);
            topic.told = topic.told.saturating_sub(gap);
            if let (1.., None, Some(name)) = (untold, topic.every, &publication.topic) {
                self.push(Push::Missed {
                    topic: name.clone(),
                    count: Some(untold),
                });
            }
        }
        self.push(Push::Publication(publication));
    }

    /// The server says that publications are left out. The gap in the offsets comes later, if another follows.
    fn on_missed(&mut self, topic: String, count: u64) {
        if let Some(known) = self.topics.get_mut(&topic) {
            known.told += count;
        }
        self.push(Push::Missed {
            topic,
            count: Some(count),
        });
    }

    fn on_subscribed(&mut self, id: Option<u64>, list: Vec<Subscribed>) {
        let asked = id.and_then(|id| self.asked.remove(&id));
        let missed: Vec<_> = list
            .iter()
            .filter_map(|subscribed| self.note(subscribed, asked.is_some()))
            .collect();
        if let Some(Asked::Subscription(every)) = asked {
            for subscribed in &list {
                if let Some(topic) = self.topics.get_mut(&subscribed.topic) {
                    topic.every = every;
                }
            }
        }
        match (id, asked) {
            (Some(id), Some(Asked::Subscription(_))) => {
                self.incoming.push_back(Incoming::Reply {
                    id,
                    outcome: Ok(Reply::Subscribed(list)),
                });
            }
            _ => self.push(Push::Subscribed(list)),
        }
        self.incoming.extend(missed.into_iter().map(Incoming::Push));
    }

    /// Keeps a topic's position; what was missed since the one before.
    fn note(&mut self, subscribed: &Subscribed, is_asked: bool) -> Option<Push> {
        let Subscribed {
            topic: name,
            epoch,
            offset,
        } = subscribed;
        let Some(topic) = self.topics.get_mut(name) else {
            if self.topics.len() < TOPICS_MAX {
                self.topics.insert(
                    name.clone(),
                    Topic {
                        epoch: epoch.clone(),
                        offset: *offset,
                        is_asked,
                        is_live: true,
                        every: None,
                        told: 0,
                    },
                );
            }
            return None;
        };
        topic.is_asked |= is_asked;
        if topic.is_live && topic.epoch == *epoch {
            // This reply may have overtaken publications that are on their way.
            return None;
        }
        let is_same = topic.epoch == *epoch && topic.offset <= *offset;
        let count = is_same.then(|| *offset - topic.offset);
        epoch.clone_into(&mut topic.epoch);
        (topic.offset, topic.is_live, topic.told) = (*offset, true, 0);
        (count != Some(0)).then(|| Push::Missed {
            topic: name.clone(),
            count,
        })
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
            Some((_, Asked::Resubscription(topics))) => {
                for name in &topics {
                    self.topics.remove(name);
                }
                self.push(Push::NotSubscribedAgain { topics, refusal });
            }
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

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
