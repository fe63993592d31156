//! What the hub wants done in the world.

use std::sync::Arc;
use std::task::Poll;

use fanfare_hub::access::Identity;
use fanfare_hub::broker::{PublishId, Refusal};
use fanfare_hub::{Admission, Answer, Control, Input, Output, Question, SURVEY_PAGE, Ticket, Version};
use fanfare_protocol::dialect::Direct;
use fanfare_protocol::{ConnectionId, Draft, TopicName};

use super::assistant::Whose;
use super::mail::Receipt;
use super::{Mail, Shard};

impl Shard {
    /// Gives one input to the hub and does everything that comes of it.
    pub(super) fn handle(&mut self, input: Input<'_>) {
        self.hub.handle(self.now, input);
        self.settle_outputs();
    }

    /// Does what the application asks.
    pub(super) fn control(&mut self, control: Control) -> usize {
        let concerned = self.hub.control(self.now, control);
        self.settle_outputs();
        concerned
    }

    /// Drains the hub's outputs, then gives it what is known already, until nothing is left.
    pub(super) fn settle_outputs(&mut self) {
        loop {
            while let Some(output) = self.hub.poll_output() {
                self.perform(output);
            }
            let Some(answer) = self.answers.pop_front() else {
                return;
            };
            self.hub.handle(self.now, answer);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Join(topic) => self.broker.join(self.outlet, &topic),
            Output::Read(topic, read, id) => self.broker.read(self.outlet, &topic, read, id),
            Output::Leave(topic) => self.broker.leave(self.outlet, &topic),
            Output::Report(topic, subscribers) => self.broker.report(self.outlet, &topic, subscribers),
            Output::Count(topic) => {
                let subscribers = self.broker.subscribers(topic.as_str());
                self.answers.push_back(Input::Counted(topic, subscribers));
            }
            Output::Attend(topic, changes) => self.broker.attend(self.outlet, &topic, changes),
            Output::Roster {
                topic,
                after,
                count,
                ticket,
            } => {
                let page = self.broker.roster(topic.as_str(), after, count);
                self.answers.push_back(Input::Roster(ticket, topic, page));
            }
            Output::Survey { topic, since, all } => self.survey(topic, since, all),
            Output::Publish(draft, ticket) => self.publish(draft, ticket),
            Output::Deliver(to, direct, ticket) => self.send(to, direct, ticket),
            Output::Ask(connection, identity, question) => self.ask(connection, identity, question),
            Output::TokenRefused(connection) => self.token_refused(connection),
            Output::Resume(id) => self.resume(id),
            Output::Entered(connection, identity) => {
                if let Some(reporter) = &mut self.reporter {
                    reporter.entered(connection, identity);
                }
            }
            Output::Release(id, code) => {
                if let Some(reporter) = &mut self.reporter {
                    reporter.released(id, code);
                }
                self.release(id);
            }
        }
    }

    fn survey(&mut self, topic: TopicName, since: Version, all: bool) {
        let diff = self.broker.survey(topic.as_str(), since, all, SURVEY_PAGE);
        self.answers.push_back(Input::Surveyed(topic, diff));
    }

    /// Has the application asked, on its own runtime.
    fn ask(&mut self, connection: ConnectionId, identity: Option<Arc<Identity>>, question: Question) {
        if let Question::Authenticate { .. } | Question::Enter { token: Some(_), .. } = question
            && let Some(Some(known)) = self.connections.get(connection.slot())
            && let Some(denial) = known.place.as_ref().and_then(|place| place.deny_guessing())
        {
            let answer = question.denied(denial);
            return self.answers.push_back(Input::Answered(connection, answer));
        }
        let known = self
            .connections
            .get_mut(connection.slot())
            .and_then(Option::as_mut);
        if let (Some(assistant), Some(known)) = (&self.options.assistant, known) {
            let whose = Whose {
                connection,
                identity,
                dialect: known.dialect,
                entrant: assistant.entrant(known, &question),
            };
            assistant.ask(&self.mailbox, whose, question);
        } else {
            let answer = Input::Answered(connection, question.unasked());
            self.answers.push_back(answer);
        }
    }

    /// Gives the hub what the application decided. Somebody who has just said who it is counts among the connections of
    /// its user from now on, or is one too many.
    pub(super) fn answered(&mut self, connection: ConnectionId, mut answer: Answer) {
        let known = self
            .connections
            .get_mut(connection.slot())
            .and_then(Option::as_mut);
        if let Some(known) = known.filter(|known| known.id == connection)
            && let Some(place) = &mut known.place
        {
            let user = |admission: &Admission| admission.identity.user.clone();
            let counted = match &answer {
                Answer::Authenticate(Ok(admission)) => place.identify(user(admission).as_ref()),
                Answer::Enter(Ok(admission)) => place.enter_as(admission.as_ref().and_then(user).as_ref()),
                _ => Ok(()),
            };
            answer = match (counted, answer) {
                (Err(denial), Answer::Enter(_)) => Answer::Enter(Err(denial)),
                (Err(denial), _) => Answer::Authenticate(Err(denial)),
                (Ok(()), answer) => answer,
            };
        }
        self.handle(Input::Answered(connection, answer));
    }

    fn token_refused(&mut self, connection: ConnectionId) {
        if let Some(Some(known)) = self.connections.get(connection.slot())
            && let Some(place) = &known.place
        {
            place.token_refused();
        }
    }

    fn publish(&mut self, draft: Draft, ticket: Ticket) {
        let topic = draft.topic.clone();
        if self.options.pressure.is_on() {
            let outcome = Err(Refusal::Overloaded);
            return self.answers.push_back(Input::Published(ticket, topic, outcome));
        }
        let entry = self.publishes.vacant_entry();
        match self
            .broker
            .publish(draft, self.outlet, PublishId(entry.key() as u64))
        {
            Poll::Ready(outcome) => self.answers.push_back(Input::Published(ticket, topic, outcome)),
            Poll::Pending => drop(entry.insert((ticket, topic))),
        }
    }

    /// Hands a direct publication to the shard that its connection's id names.
    fn send(&mut self, to: ConnectionId, direct: Direct, ticket: Ticket) {
        let (shard, here) = (to.shard(), self.options.index);
        if shard == here {
            let was_there = self.hub.control(self.now, Control::Deliver(to, direct)) == 1;
            return self.answers.push_back(Input::Delivered(ticket, Ok(was_there)));
        }
        let Some(peer) = self.peers.get(shard) else {
            return self.answers.push_back(Input::Delivered(ticket, Ok(false)));
        };
        let mail = Mail::Deliver {
            to,
            direct: Box::new(direct),
            receipt: Receipt::new(&self.mailbox, ticket),
        };
        // What cannot be posted is answered by its receipt.
        let _ = peer.try_post(mail);
    }

    /// Closes the socket and frees the slot.
    fn release(&mut self, id: ConnectionId) {
        let Some(place) = self.connections.get_mut(id.slot()) else {
            return;
        };
        if let Some(mut connection) = place.take_if(|connection| connection.id == id) {
            self.stats.released();
            // A socket that is gone cannot be deregistered, and need not be: closing it does.
            let _ = self.poll.registry().deregister(&mut connection.socket);
            self.receiving_bytes -= connection.receiving_bytes;
            self.sealed_bytes -= connection.sealed_bytes();
            if let Some(tls) = &mut connection.tls {
                tls.close(&mut connection.socket);
            }
            // Whoever sees the count without it can count on its place, too.
            drop(connection);
            self.secrets.remove(&id);
            self.free.push(id.slot() as u32);
            tracing::debug!(connection = %id, "released");
        }
    }
}
