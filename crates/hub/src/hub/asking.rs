//! What clients may do, and what the application is asked about it. A connection asks one question at a time and is not
//! read from until it is answered: its commands stay in order, and nobody else waits.

use std::collections::VecDeque;
use std::sync::Arc;

use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::{CommandId, ConnectionId, Draft, Millis, Payload, Rejection, Reply, TopicName};

use super::Hub;
use crate::access::{Action, Subject, TopicRules, Verdict};
use crate::ask::{Admission, Amendment, Answer, Denial, Question, Suspended, Waiting};
use crate::counters::Hold;
use crate::limits::EXPIRY_GRACE_MS;
use crate::outbox::Lane;
use crate::session::{Manner, NO_USER, Role, SessionState, Wishes};
use crate::{Leave, Output, SlowRule, Ticket, WantedTopic};

impl Hub {
    /// The rule for slow clients of a topic.
    pub(super) fn slow_rule_of(&self, topic: &TopicName) -> SlowRule {
        let own = self.rules.of(topic).and_then(|rule| rule.slow);
        own.unwrap_or_else(|| self.limits.slow_rules.of(topic))
    }

    /// Other rules from now on. What was allowed by the old ones stays.
    pub(super) fn set_rules(&mut self, rules: Arc<TopicRules>) {
        self.rules = rules;
        let indices: Vec<usize> = self.topics.iter().map(|(index, _)| index).collect();
        for index in indices {
            let name = &self.topics[index].name;
            let (rule, is_tracked) = (self.slow_rule_of(name), self.rules.keeps_presence_of(name));
            self.topics[index].rule = rule;
            self.track(index as u32, is_tracked);
        }
    }

    /// What the rules say about something that a client wants to do.
    pub(super) fn verdict(&self, slot: usize, action: Action, topic: &TopicName) -> Verdict {
        let Some(session) = &self.sessions[slot] else {
            return Verdict::Denied;
        };
        let index = self.names.get(topic);
        let subject = Subject::Client {
            identity: session.identity.as_deref(),
            is_subscribed: index.is_some_and(|&index| session.is_subscriber(index)),
        };
        self.rules.decide(subject, action, topic)
    }

    /// Subscribes to what the rules allow, asks about what they leave to the application, and refuses all of it for one
    /// topic that they deny.
    pub(super) fn subscribe_by_rules(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        topics: Vec<WantedTopic>,
        mut wishes: Wishes,
        token: Option<Box<str>>,
    ) {
        if let Some(topic) = self.subscribed_already(slot, &topics) {
            let message = format!("{topic:?} is subscribed to already, unsubscribe first");
            return self.reject(slot, Rejection::new(id, ErrorCode::AlreadySubscribed, message));
        }
        if wishes.wants.presence
            && let Some(rejection) = self.refuses_presence(slot, id.as_ref(), &topics)
        {
            if !self.is_hailed(slot) {
                return self.reject(slot, rejection);
            }
            // To be told who comes and goes is a wish there, which is not granted.
            wishes.wants.presence = false;
        }
        let sends_deltas = |wanted: &WantedTopic| self.rules.sends_deltas_of(&wanted.topic);
        if wishes.manner == Manner::Deltas && !topics.iter().all(sends_deltas) {
            wishes.manner = Manner::AtOnce;
        }
        let mut asked = Vec::new();
        for WantedTopic { topic, .. } in &topics {
            match self.verdict(slot, Action::Subscribe, topic) {
                Verdict::Allowed => {}
                Verdict::Denied if token.is_none() || self.rules.is_closed(Action::Subscribe, topic) => {
                    return self.forbid(slot, id, Action::Subscribe, topic);
                }
                Verdict::Denied | Verdict::Ask => asked.push(topic.clone()),
            }
        }
        if asked.is_empty() {
            self.forget_leaves(slot, &topics);
            return self.subscribe(slot, id, &topics, wishes);
        }
        let question = Question::Subscribe {
            topics: asked.clone(),
            token,
        };
        let suspended = Suspended::Subscribe {
            id,
            topics,
            asked,
            wishes,
        };
        self.ask(slot, suspended, question);
    }

    /// A topic that the client is subscribed to, or is about to be, in a dialect in which that is asked for once.
    fn subscribed_already<'t>(&self, slot: usize, topics: &'t [WantedTopic]) -> Option<&'t TopicName> {
        let session = self.sessions[slot].as_ref()?;
        let is_subscribed = |topic: &TopicName| {
            let index = self.names.get(topic);
            index.is_some_and(|&index| session.subscription(index).is_some())
        };
        let names = topics.iter().map(|wanted| &wanted.topic);
        names
            .filter(|_| session.dialect.is_hailed())
            .find(|topic| is_subscribed(topic))
    }

    /// Whether the client speaks first.
    pub(super) fn is_hailed(&self, slot: usize) -> bool {
        let session = self.sessions[slot].as_ref();
        session.is_some_and(|session| session.dialect.is_hailed())
    }

    /// Publishes one draft after the other as the rules allow; the rest waits while the application is asked.
    pub(super) fn publish_by_rules(&mut self, slot: usize, mut drafts: VecDeque<(Ticket, Draft)>) {
        while let Some((ticket, draft)) = drafts.pop_front() {
            match self.verdict(slot, Action::Publish, &draft.topic) {
                Verdict::Allowed => self.outputs.push_back(Output::Publish(draft, ticket)),
                Verdict::Denied => self.forbid(slot, ticket.id, Action::Publish, &draft.topic),
                Verdict::Ask => {
                    let question = Question::Publish(draft.clone());
                    drafts.push_front((ticket, draft));
                    return self.ask(slot, Suspended::Publish(drafts), question);
                }
            }
        }
    }

    /// Calls a procedure of the application's.
    pub(super) fn call(&mut self, slot: usize, id: Option<CommandId>, method: Box<str>, payload: Payload) {
        self.ask(slot, Suspended::Call(id), Question::Call { method, payload });
    }

    /// The client says who it is.
    pub(super) fn authenticate(&mut self, slot: usize, id: Option<CommandId>, token: Box<str>) {
        self.ask(
            slot,
            Suspended::Authenticate(id),
            Question::Authenticate { token },
        );
    }

    /// Answers a command that the rules deny.
    pub(super) fn forbid(&mut self, slot: usize, id: Option<CommandId>, action: Action, topic: &TopicName) {
        let message = format!("{} {topic:?} is not allowed to this client", action.name());
        self.reject(slot, Rejection::new(id, ErrorCode::Forbidden, message));
    }

    pub(super) fn ask(&mut self, slot: usize, suspended: Suspended, question: Question) {
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        let waiting = session.waiting.get_or_insert_default();
        debug_assert!(
            waiting.suspended.is_none(),
            "a connection that waits for an answer is not read from"
        );
        waiting.suspended = Some(suspended);
        let (connection, identity) = (session.connection, session.identity.clone());
        self.counters.held[Hold::Application as usize] += 1;
        self.outputs
            .push_back(Output::Ask(connection, identity, question));
    }

    /// The application has decided: the command goes on, and the connection is read from again.
    pub(super) fn answered(&mut self, connection: ConnectionId, answer: Answer) {
        let Some(slot) = self.open_slot_of(connection) else {
            return;
        };
        if let Answer::RenewSubscription(topic, outcome) = answer {
            return self.renewal_decided(slot, &topic, outcome);
        }
        let Some(suspended) = self.take_suspended(slot) else {
            return;
        };
        match (suspended, answer) {
            (Suspended::Authenticate(id), Answer::Authenticate(outcome)) => match outcome {
                Ok(admission) => self.identified(slot, id, admission),
                Err(denial) => self.token_refused(slot, id, denial),
            },
            (hello @ Suspended::Hello { .. }, Answer::Enter(outcome)) => {
                self.hello_answered(slot, hello, outcome);
            }
            (Suspended::Ending, Answer::Renew(outcome)) => self.identity_renewed(slot, outcome),
            (
                Suspended::Subscribe {
                    id,
                    topics,
                    asked,
                    wishes,
                },
                Answer::Subscribe(outcome),
            ) => match outcome {
                Ok(leaves) => self.subscribe_with_leave(slot, id, (&topics, leaves.for_each(asked)), wishes),
                Err(denial) if self.is_hailed(slot) => self.subscription_refused(slot, id, denial),
                Err(denial) => self.deny(slot, id, denial),
            },
            (Suspended::Renew { id, topic }, Answer::Subscribe(outcome)) => match outcome {
                Ok(leaves) => self.renewed(slot, id, topic, leaves),
                Err(denial) if self.is_hailed(slot) => self.subscription_refused(slot, id, denial),
                Err(denial) => self.deny(slot, id, denial),
            },
            (Suspended::Publish(drafts), Answer::Publish(outcome)) => {
                self.publish_decided_by_application(slot, drafts, outcome);
            }
            (
                Suspended::History {
                    id,
                    topic,
                    asked,
                    limit,
                },
                Answer::Inspect(outcome),
            ) => match outcome {
                Ok(()) => self.history(slot, id, topic, (asked, limit)),
                Err(denial) => self.deny(slot, id, denial),
            },
            (Suspended::Presence { id, topic, look }, Answer::Inspect(outcome)) => match outcome {
                Ok(()) => self.presence(slot, id, topic, look),
                Err(denial) => self.deny(slot, id, denial),
            },
            (Suspended::Call(id), Answer::Call(outcome)) => match outcome {
                Ok(payload) => {
                    self.reply_to(slot, Lane::Control, id.as_ref(), &Reply::Result { payload });
                }
                Err(denial) => self.deny(slot, id, denial),
            },
            (suspended, _) => self.deny(slot, suspended.into_id(), Denial::unavailable()),
        }
        self.go_on(slot);
    }

    pub(super) fn take_suspended(&mut self, slot: usize) -> Option<Suspended> {
        let session = self.sessions[slot].as_mut()?;
        let suspended = session.waiting.as_mut()?.suspended.take();
        session.waiting.take_if(|waiting| waiting.is_over());
        suspended
    }

    /// Has the connection read from again, unless it asks anew. What it could not say meanwhile is not its fault.
    pub(super) fn go_on(&mut self, slot: usize) {
        self.renew_if_due(slot);
        let now = self.now.monotonic;
        let Some(session) = self.sessions[slot]
            .as_mut()
            .filter(|session| !session.is_asking())
        else {
            return;
        };
        session.heard_at = now;
        if let Some(demand) = &mut session.demand {
            demand.begun_at = demand.begun_at.map(|_| now);
        }
        // Also where the answer has led to its end: its close frame is still to be read.
        self.outputs.push_back(Output::Resume(session.connection));
    }

    fn publish_decided_by_application(
        &mut self,
        slot: usize,
        mut drafts: VecDeque<(Ticket, Draft)>,
        outcome: Result<Amendment, Denial>,
    ) {
        let Some((ticket, mut draft)) = drafts.pop_front() else {
            return;
        };
        match outcome {
            Ok(amendment) => {
                amendment.apply(&mut draft);
                self.outputs.push_back(Output::Publish(draft, ticket));
            }
            Err(denial) => self.deny(slot, ticket.id, denial),
        }
        if !self.outboxes[slot].is_closing {
            self.publish_by_rules(slot, drafts);
        }
    }

    pub(super) fn deny(&mut self, slot: usize, id: Option<CommandId>, denial: Denial) {
        match denial {
            Denial::Closed(cause) => self.disconnect(slot, &cause, None),
            Denial::Refused {
                code,
                message,
                retry_after_ms,
                application_code,
            } => {
                let rejection = Rejection {
                    id,
                    code,
                    message,
                    retry_after_ms,
                    position: None,
                    application_code,
                };
                self.reject(slot, rejection);
            }
        }
    }

    /// A token was not accepted. A few times that is an error, then the end.
    fn token_refused(&mut self, slot: usize, id: Option<CommandId>, denial: Denial) {
        let is_clients_fault = denial.is_clients_fault();
        if is_clients_fault && self.is_hailed(slot) {
            return self.renewal_refused(slot, &denial);
        }
        self.deny(slot, id, denial);
        let Some(session) = self.sessions[slot].as_mut().filter(|_| is_clients_fault) else {
            return;
        };
        let waiting = session.waiting.get_or_insert_default();
        waiting.refused_tokens += 1;
        let is_enough = waiting.refused_tokens >= self.limits.tokens_refused_max;
        self.outputs.push_back(Output::TokenRefused(session.connection));
        if is_enough {
            self.disconnect(slot, &Disconnect::Unauthenticated, None);
        }
    }

    /// The client is who it says: a new one is let in, another one's identity takes the place of the old.
    fn identified(&mut self, slot: usize, id: Option<CommandId>, admission: Admission) {
        let Admission {
            identity,
            topics,
            leaves,
            ..
        } = admission;
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        let is_new = session.is_awaited();
        if !is_new && session.user() != identity.user.as_ref() {
            if session.dialect.is_hailed() {
                return self.disconnect(slot, &Disconnect::BadToken, None);
            }
            let message = "the token is another user's, connect anew to be somebody else";
            return self.reject(slot, Rejection::new(id, ErrorCode::Forbidden, message));
        }
        session.identity = Some(Arc::clone(&identity));
        if !is_new {
            self.note_change(slot);
        }
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        if is_new {
            session.state = SessionState::Open;
            self.awaited -= 1;
        }
        let reply = Reply::Authenticated {
            connection: session.connection,
            time: self.now.wall,
            user: identity.user.clone(),
            expires_at: self.told_expiry(Some(&identity)),
        };
        self.reply_to(slot, Lane::Data, id.as_ref(), &reply);
        let entry = self.sessions[slot]
            .as_mut()
            .and_then(|session| session.waiting.take()?.entry);
        if is_new {
            self.enter(slot, entry, (topics, leaves));
        } else {
            self.subscribe_granted(slot, &topics, leaves);
        }
    }

    /// Everything that a connection gets once it is known who it is: its user's topic and everyone's, what was granted
    /// to it and what it asked for when it was opened.
    pub(super) fn enter(
        &mut self,
        slot: usize,
        entry: Option<(Vec<WantedTopic>, Wishes)>,
        (granted, leaves): (Vec<TopicName>, Vec<(TopicName, Leave)>),
    ) {
        self.count_user(slot);
        self.subscribe_to_own(slot);
        let session = self.sessions[slot].as_ref();
        if session.is_none_or(|session| session.role == Role::Publisher) {
            return;
        }
        self.subscribe_granted(slot, &granted, leaves);
        if let Some((topics, wishes)) = entry.filter(|(topics, _)| !topics.is_empty()) {
            self.subscribe_by_rules(slot, None, topics, wishes, None);
        }
    }

    /// Takes note that it is known who a connection is.
    pub(super) fn count_user(&mut self, slot: usize) {
        if let Some(session) = &mut self.sessions[slot] {
            let entered = Output::Entered(session.connection, session.identity.clone());
            self.outputs.push_back(entered);
            let user = session
                .identity
                .as_ref()
                .and_then(|identity| identity.user.as_ref());
            session.user_key = user.map_or(NO_USER, |user| self.rates.enter(user));
        }
    }

    /// Subscribes to the topic of the connection's user, and to everyone's.
    pub(super) fn subscribe_to_own(&mut self, slot: usize) {
        let Some(session) = &self.sessions[slot] else {
            return;
        };
        let role = session.role;
        if let Some(user) = session.user().cloned() {
            self.subscribe_quietly(slot, TopicName::of_user(&user));
        }
        if role == Role::Subscriber {
            self.subscribe_quietly(slot, self.all.clone());
        }
    }

    /// Subscribes to what was granted, as far as the limit goes: past it to none of it.
    fn subscribe_granted(&mut self, slot: usize, topics: &[TopicName], leaves: Vec<(TopicName, Leave)>) {
        if !topics.is_empty() {
            let topics: Vec<WantedTopic> = topics.iter().cloned().map(WantedTopic::from).collect();
            self.subscribe_by_application(slot, &topics, leaves);
        }
    }

    /// Keeps what a connection asked for when it was opened, until it has said who it is.
    pub(super) fn keep_entry(&mut self, slot: usize, entry: (Vec<WantedTopic>, Wishes)) {
        if let Some(session) = &mut self.sessions[slot]
            && !entry.0.is_empty()
        {
            session.waiting.get_or_insert_default().entry = Some(entry);
        }
    }

    /// Whether a connection must go because nobody knows who it is, or no longer.
    pub(super) fn lapse(&self, slot: usize) -> Option<Disconnect> {
        let session = self.sessions[slot].as_ref()?;
        if let SessionState::Awaited { deadline } = session.state {
            return (self.now.monotonic >= deadline).then_some(Disconnect::Unauthenticated);
        }
        let mut expires_at = session.identity.as_ref()?.expires_at?;
        if session.dialect.is_hailed() || self.concerns.endings {
            expires_at.0 = expires_at.0.saturating_add(EXPIRY_GRACE_MS);
        }
        (self.now.wall >= expires_at).then_some(Disconnect::Expired)
    }

    /// When a connection must have said who it is.
    pub(super) fn auth_deadline(&self) -> Millis {
        Millis(self.now.monotonic.0 + self.limits.auth_timeout_ms)
    }
}

impl Suspended {
    /// The id of the command.
    fn into_id(self) -> Option<CommandId> {
        match self {
            Self::Authenticate(id)
            | Self::Hello { id, .. }
            | Self::Subscribe { id, .. }
            | Self::Renew { id, .. }
            | Self::History { id, .. }
            | Self::Presence { id, .. }
            | Self::Call(id) => id,
            Self::Read | Self::Ending => None,
            Self::Publish(mut drafts) => drafts.pop_front().and_then(|(ticket, _)| ticket.id),
        }
    }
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.suspended.is_none()
            && self.entry.is_none()
            && self.newcomer.is_none()
            && self.data.is_none()
            && self.renewal_due.is_none()
            && self.refused_tokens == 0
            && self.key.is_none()
    }
}
