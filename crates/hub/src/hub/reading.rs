//! What is read of the broker's logs: the place where a subscription begins, a page for somebody who catches up, a page
//! that a client asked for.

use fanfare_protocol::codes::ErrorCode;
use fanfare_protocol::{
    CommandId, ConnectionId, Loss, Position, Reading as Asked, Rejection, Reply, Since, TopicName,
};

use super::Hub;
use super::commands::refused;
use crate::Output;
use crate::access::{Action, Subject, Verdict};
use crate::ask::{Question, Suspended};
use crate::broker::{Page, Read, ReadId, Refusal, Start};
use crate::counters::Hold;
use crate::outbox::Lane;

/// For whom something is read.
pub(super) enum Reading {
    /// A subscribe command that waits to know where one of its topics begins.
    Place {
        pending: u32,
        /// Which of them.
        place: usize,
        /// What is to be found.
        sought: Sought,
    },
    /// Somebody who catches up.
    On {
        connection: ConnectionId,
        comer: u32,
        serial: u64,
    },
    /// A client that reads history; it waits, and so do its later commands.
    Page {
        connection: ConnectionId,
        id: Option<CommandId>,
        topic: TopicName,
        asked: Asked,
    },
}

/// Where a subscription is to begin.
#[derive(Clone, Copy)]
pub(super) enum Sought {
    /// From there on.
    Since(Since),
    /// With the newest publication, unless the client has this one already.
    Newest {
        /// The place of the last one that it has.
        but: Option<Position>,
    },
}

impl Sought {
    /// Whether a client that sought this can go on from where it was, as it was found; none where it was nowhere.
    pub(super) fn recovered(self, page: &Page) -> Option<Result<(), Loss>> {
        match self {
            Self::Since(Since::Position(_)) => Some(page.recovered()),
            Self::Since(_) => None,
            Self::Newest { but } => {
                let has_newest = page.start.offset < page.end.offset;
                let is_there = has_newest || but == Some(page.end);
                Some(if is_there { Ok(()) } else { Err(Loss::TooOld) })
            }
        }
    }

    /// Whether the client has everything already.
    pub(super) fn is_had(self, page: &Page) -> bool {
        matches!(self, Self::Newest { but } if but == Some(page.end))
    }
}

impl Hub {
    /// Asks where something begins.
    pub(super) fn find_place(&mut self, (pending, place): (u32, usize), topic: u32, sought: Sought) {
        let start = match sought {
            Sought::Since(since) => Start::of(since, self.now.wall),
            Sought::Newest { .. } => Start::Last(1),
        };
        let read = Read {
            start,
            publications_max: 0,
            bytes_max: 0,
        };
        let reading = Reading::Place {
            pending,
            place,
            sought,
        };
        let name = self.topics[topic as usize].name.clone();
        self.read(name, read, reading);
    }

    pub(super) fn read(&mut self, topic: TopicName, read: Read, reading: Reading) {
        let id = ReadId(self.reads.insert(reading) as u64);
        self.outputs.push_back(Output::Read(topic, read, id));
    }

    /// The broker answered a read.
    pub(super) fn was_read(&mut self, ReadId(id): ReadId, outcome: Result<Page, Refusal>) {
        let Some(reading) = self.reads.try_remove(id as usize) else {
            return;
        };
        match reading {
            Reading::Place {
                pending,
                place,
                sought,
            } => self.place_found((pending, place), sought, outcome),
            Reading::On {
                connection,
                comer,
                serial,
            } => self.page_came(connection, (comer, serial), outcome),
            Reading::Page {
                connection,
                id,
                topic,
                asked,
            } => self.history_came(connection, id, (topic, asked), outcome),
        }
    }

    /// Whether a client that subscribes to a topic may do this as its subscriber. Where the application is asked about both,
    /// its leave to subscribe is leave for both.
    pub(super) fn may_as_subscriber(&self, slot: usize, action: Action, topic: &TopicName) -> bool {
        let Some(session) = &self.sessions[slot] else {
            return false;
        };
        let subject = Subject::Client {
            identity: session.identity.as_deref(),
            is_subscribed: true,
        };
        match self.rules.decide(subject, action, topic) {
            Verdict::Allowed => true,
            Verdict::Denied => false,
            Verdict::Ask => self.verdict(slot, Action::Subscribe, topic) == Verdict::Ask,
        }
    }

    /// A client reads history, if it may. It asks one thing at a time.
    pub(super) fn history_by_rules(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        topic: TopicName,
        (asked, limit): (Asked, u32),
    ) {
        match self.verdict(slot, Action::History, &topic) {
            Verdict::Allowed => self.history(slot, id, topic, (asked, limit)),
            Verdict::Denied => self.forbid(slot, id, Action::History, &topic),
            Verdict::Ask => {
                let question = Question::Inspect {
                    action: Action::History,
                    topic: topic.clone(),
                };
                let suspended = Suspended::History {
                    id,
                    topic,
                    asked,
                    limit,
                };
                self.ask(slot, suspended, question);
            }
        }
    }

    /// Reads history for a client. It is not read from until the answer is there: so it cannot ask for more than it takes.
    pub(super) fn history(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        topic: TopicName,
        (asked, limit): (Asked, u32),
    ) {
        if self.is_hailed(slot) && self.rules.keeps_nothing_of(&topic) {
            let message = format!("nothing of {topic:?} is kept, its rule would have to say so");
            return self.reject(slot, Rejection::new(id, ErrorCode::NotAvailable, message));
        }
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        session.waiting.get_or_insert_default().suspended = Some(Suspended::Read);
        self.counters.held[Hold::Broker as usize] += 1;
        let read = Read::asked(asked, limit, self.now.wall);
        let reading = Reading::Page {
            connection: session.connection,
            id,
            topic: topic.clone(),
            asked,
        };
        self.read(topic, read, reading);
    }

    fn history_came(
        &mut self,
        connection: ConnectionId,
        id: Option<CommandId>,
        (topic, asked): (TopicName, Asked),
        outcome: Result<Page, Refusal>,
    ) {
        let Some(slot) = self.open_slot_of(connection) else {
            return;
        };
        self.take_suspended(slot);
        match outcome {
            Ok(page) => {
                let reply = Reply::History(page.answer(topic, asked));
                self.reply_to(slot, Lane::Data, id.as_ref(), &reply);
            }
            Err(refusal) => self.reject(slot, refused(id, refusal)),
        }
        self.go_on(slot);
    }
}
