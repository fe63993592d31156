//! How a session subscribes again: after a reconnect, and after the server has refused it for now.

use std::collections::BTreeMap;

use fanfare_protocol::codes::ErrorCode;

use super::{Asked, Session, Stage};
use crate::command::{Command, batches};
use crate::incoming::{Incoming, Push};
use crate::limits::RESUBSCRIPTION_BYTES_MAX;
use crate::server_message::Refusal;
use crate::token::{Token, TokenSource};
use crate::topic::{Topic, Wishes};

impl Session {
    /// Commands are taken from now on: asks for every topic the program had asked for.
    pub(super) fn open(&mut self) {
        self.stage = Stage::Open;
        let names: Vec<String> = self.topics.keys().cloned().collect();
        self.subscribe_again(&names, None);
    }

    /// Asks to subscribe to `topics` again, as [`Incoming::TokenWanted`] named them, with the token that was wanted, or as
    /// [`Incoming::Postponed`] did, without: for those that need one it is wanted then. In as few commands as fit the
    /// server's limit; what was given up meanwhile is left out.
    pub fn subscribe_again(&mut self, topics: &[String], token: Option<&Token>) {
        let mut open: BTreeMap<Wishes, Vec<String>> = BTreeMap::new();
        let mut closed: BTreeMap<usize, (TokenSource, Vec<String>)> = BTreeMap::new();
        for name in topics {
            let Some(topic) = self.topics.get(name).filter(|topic| topic.is_lost()) else {
                continue;
            };
            let alike = match &topic.terms.source {
                Some(source) if token.is_none() => {
                    let wanted = closed.entry(source.identity());
                    &mut wanted.or_insert_with(|| (source.clone(), Vec::new())).1
                }
                _ => open.entry(topic.terms.wishes).or_default(),
            };
            alike.push(name.clone());
        }
        for (wishes, names) in open {
            self.ask_again(names, wishes, token);
        }
        let wanted = closed.into_values();
        self.incoming
            .extend(wanted.map(|(source, topics)| Incoming::TokenWanted { topics, source }));
    }

    fn ask_again(&mut self, names: Vec<String>, wishes: Wishes, token: Option<&Token>) {
        let bytes_max = self.message_bytes_max.map_or(RESUBSCRIPTION_BYTES_MAX, |max| {
            RESUBSCRIPTION_BYTES_MAX.min(max / 2)
        });
        let bytes_max = bytes_max.saturating_sub(token.map_or(0, |token| token.expose().len()));
        for topics in batches(names.into_iter(), bytes_max) {
            let entries: Vec<_> = topics.iter().map(|topic| self.entry(topic)).collect();
            let (id, text) = self.write(Command {
                topics: Some(&entries),
                token: token.map(Token::expose),
                ..Command::new("subscribe").wishing(wishes)
            });
            self.send(id, text, Asked::Resubscription(topics));
        }
    }

    /// What the server refuses for now keeps its place and is to be asked for later; what it refuses for good is forgotten.
    pub(super) fn on_not_subscribed_again(&mut self, mut topics: Vec<String>, refusal: Refusal) {
        if !refusal.temporary {
            for name in &topics {
                self.topics.remove(name);
            }
            return self.push(Push::NotSubscribedAgain { topics, refusal });
        }
        topics.retain(|name| self.topics.get(name).is_some_and(Topic::is_lost));
        // A command happens as a whole or not at all, and some of them may fit where all do not.
        if refusal.code == ErrorCode::TooManyTopics.name() && topics.len() > 1 {
            let half = topics.split_off(topics.len() / 2);
            self.postpone(half, refusal.clone());
        }
        self.postpone(topics, refusal);
    }

    fn postpone(&mut self, topics: Vec<String>, refusal: Refusal) {
        let mut refusals = 0;
        for name in &topics {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.refusals = topic.refusals.saturating_add(1);
                refusals = refusals.max(topic.refusals);
            }
        }
        if refusals > 0 {
            self.incoming.push_back(Incoming::Postponed {
                topics,
                refusal,
                refusals,
            });
        }
    }
}
