//! What comes with subscriptions: it is kept from when it is granted, told with the subscription, and ends it. Only those
//! that come with something cost anything; they are looked at in the sweep.

use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::{CommandId, Granted, Millis, Push, Rejection, Reply, Timestamp, TopicName};

use super::Hub;
use crate::ask::{Denial, Question, Suspended};
use crate::limits::{EXPIRY_GRACE_MS, RENEWAL_RETRY_MS};
use crate::outbox::Lane;
use crate::session::{HeldLeave, MadeBy, Session, Wishes};
use crate::{Leave, Leaves, Output, RenewedBy, WantedTopic};

impl Hub {
    /// Keeps what comes with topics that a connection is about to be subscribed to. With those of them that are not among
    /// the leaves comes nothing, whatever came with them before.
    pub(super) fn keep_leaves(
        &mut self,
        slot: usize,
        topics: &[TopicName],
        leaves: impl IntoIterator<Item = (TopicName, Leave)>,
        made_by: MadeBy,
    ) {
        let now = self.now.monotonic;
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        if let Some(mut held) = session.leaves.take() {
            // What came with those that it was refused goes.
            let is_wanted = |topic: &TopicName| {
                let index = self.names.get(topic);
                session.is_awaited() || index.is_some_and(|&index| session.subscription(index).is_some())
            };
            held.retain(|held| is_wanted(&held.topic) && !topics.contains(&held.topic));
            session.leaves = Some(held).filter(|held| !held.is_empty());
        }
        for (topic, leave) in leaves {
            if !leave.is_plain() {
                session.leaves.get_or_insert_default().push(HeldLeave {
                    topic,
                    leave,
                    made_by,
                    asks_at: Some(now),
                });
            }
        }
    }

    /// Nothing comes with topics that the rules allow.
    pub(super) fn forget_leaves(&mut self, slot: usize, topics: &[WantedTopic]) {
        if let Some(session) = &mut self.sessions[slot] {
            session.retain_leaves(|held| topics.iter().all(|wanted| wanted.topic != held.topic));
        }
    }

    /// Subscribes to topics, for some of which the application has given leave.
    pub(super) fn subscribe_with_leave(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        (topics, leaves): (&[WantedTopic], impl Iterator<Item = (TopicName, Leave)>),
        wishes: Wishes,
    ) {
        self.forget_leaves(slot, topics);
        self.keep_leaves(slot, &[], leaves, MadeBy::Client);
        self.subscribe(slot, id, topics, wishes);
    }

    /// What a client is told that comes with a topic; the data is not kept any longer.
    pub(super) fn grant(&mut self, slot: usize, index: u32) -> Option<Box<Granted>> {
        let session = self.sessions[slot].as_mut()?;
        let topic = &self.topics.get(index as usize)?.name;
        let leave = &mut session.leave(topic)?.leave;
        let granted = Granted {
            data: leave.data.take(),
            ..told(leave, self.now.wall)
        };
        if leave.is_plain() {
            session.forget_leave(topic);
        }
        let is_something = granted.data.is_some() || granted.expires_at.is_some();
        is_something.then(|| Box::new(granted))
    }

    /// A client shows another token for a topic that it is subscribed to.
    pub(super) fn renew_command(&mut self, slot: usize, id: Option<CommandId>, topic: &str, token: Box<str>) {
        let topic = match self.name(topic) {
            Ok(topic) => topic,
            Err(error) => return self.reject(slot, Rejection::new(id, ErrorCode::BadTopic, error)),
        };
        if !self.is_subscribed(slot, &topic) {
            let message = format!("the client is not subscribed to {topic:?}, subscribe with the token");
            return self.reject(slot, Rejection::new(id, ErrorCode::Forbidden, message));
        }
        let question = Question::Subscribe {
            topics: vec![topic.clone()],
            token: Some(token),
        };
        self.ask(slot, Suspended::Renew { id, topic }, question);
    }

    fn is_subscribed(&self, slot: usize, topic: &TopicName) -> bool {
        let session = self.sessions[slot].as_ref();
        let index = self.names.get(topic);
        session
            .zip(index)
            .is_some_and(|(session, &index)| session.is_subscriber(index))
    }

    /// The token that a client has shown holds.
    pub(super) fn renewed(&mut self, slot: usize, id: Option<CommandId>, topic: TopicName, leaves: Leaves) {
        let Some((topic, leave)) = leaves.for_each(vec![topic]).next() else {
            return;
        };
        let granted = told(&leave, self.now.wall);
        // The server may have unsubscribed it meanwhile.
        if self.is_subscribed(slot, &topic) {
            self.renew(slot, &topic, leave);
        }
        self.reply_to(slot, Lane::Control, id.as_ref(), &Reply::Renewed { granted });
    }

    /// A subscription goes on with another leave. Others see the client as before, unless it says otherwise.
    fn renew(&mut self, slot: usize, topic: &TopicName, leave: Leave) {
        let before = self.sessions[slot].as_mut().and_then(|session| {
            let held = session.leave(topic)?;
            Some((held.made_by, held.leave.info.clone()))
        });
        let (made_by, info) = before.unwrap_or((MadeBy::Client, None));
        let leave = Leave {
            info: leave.info.or(info),
            data: None,
            ..leave
        };
        let topics = std::slice::from_ref(topic);
        self.keep_leaves(slot, topics, [(topic.clone(), leave)], made_by);
        if let Some(&index) = self.names.get(topic) {
            self.note_change_in(slot, index);
        }
    }

    /// Ends the subscriptions of a connection whose time is over, and has the application asked to renew others.
    pub(super) fn check_leaves(&mut self, slot: usize) {
        let now = self.now.wall;
        // Of one that has yet to be let in nothing has begun.
        let Some(session) = self.sessions[slot]
            .as_ref()
            .filter(|session| !session.is_awaited())
        else {
            return;
        };
        let leaves = session.leaves.iter().flat_map(|leaves| leaves.iter());
        let is_over = |held: &&HeldLeave| {
            let end = held.leave.expires_at;
            end.is_some_and(|end| now.0 >= end.0.saturating_add(grace_ms(session, held)))
        };
        let over: Vec<TopicName> = leaves.filter(is_over).map(|held| held.topic.clone()).collect();
        for topic in over {
            self.end_leave(slot, &topic);
        }
        self.ask_to_renew(slot);
    }

    /// Has the application asked about the first subscription that it is to renew, one at a time.
    fn ask_to_renew(&mut self, slot: usize) {
        let now = self.now;
        let Some(session) = self.sessions[slot].as_mut().filter(|session| session.is_here()) else {
            return;
        };
        let (connection, identity) = (session.connection, session.identity.clone());
        let Some(leaves) = &mut session.leaves else {
            return;
        };
        if leaves.iter().any(|held| held.asks_at.is_none()) {
            return;
        }
        let is_due = |held: &&mut HeldLeave| {
            held.leave.renewed_by == RenewedBy::Application
                && held.leave.expires_at.is_some_and(|end| now.wall >= end)
                && held.asks_at.is_some_and(|at| now.monotonic >= at)
        };
        if let Some(held) = leaves.iter_mut().find(is_due) {
            held.asks_at = None;
            let question = Question::RenewSubscription {
                topic: held.topic.clone(),
            };
            self.outputs
                .push_back(Output::Ask(connection, identity, question));
        }
    }

    /// The application has said whether a subscription goes on. Where it has not answered it is asked again, as long as there
    /// is time.
    pub(super) fn renewal_decided(&mut self, slot: usize, topic: &TopicName, outcome: Result<Leave, Denial>) {
        let retry_at = Millis(self.now.monotonic.0.saturating_add(RENEWAL_RETRY_MS));
        let session = self.sessions[slot].as_mut();
        let held = session.and_then(|session| session.leave(topic));
        // It may have gone, and may have come back with another leave.
        let Some(held) = held.filter(|held| held.asks_at.is_none()) else {
            return;
        };
        held.asks_at = Some(retry_at);
        match outcome {
            Ok(leave) if leave.expires_at.is_none_or(|end| end > self.now.wall) => {
                self.renew(slot, topic, leave);
            }
            Err(denial) if denial.is_temporary() => return,
            Err(Denial::Closed(cause)) => return self.disconnect(slot, &cause, None),
            Ok(_) | Err(Denial::Refused { .. }) => self.end_leave(slot, topic),
        }
        self.ask_to_renew(slot);
    }

    /// A subscription has ended. A client that can make it anew is told; one that cannot, or is not told of subscriptions,
    /// is closed, and has it again when it comes back if it may.
    fn end_leave(&mut self, slot: usize, topic: &TopicName) {
        let Some(session) = self.sessions[slot].as_mut().filter(|session| session.is_here()) else {
            return;
        };
        let Some(made_by) = session.leave(topic).map(|held| held.made_by) else {
            return;
        };
        let index = self.names.get(topic);
        match index.and_then(|&index| session.subscription(index)) {
            // It never came to it.
            None => return session.forget_leave(topic),
            // It has yet to come to it.
            Some(subscription) if !subscription.is_subscriber() => return,
            Some(_) => {}
        }
        let resubscribes = session.resubscribes() && made_by == MadeBy::Client;
        self.counters.subscriptions_expired += 1;
        if resubscribes || session.dialect.has_notices() {
            self.unsubscribe(slot, std::slice::from_ref(topic));
            let topic = topic.clone();
            self.push_to(slot, Lane::Data, &Push::LeaveEnded { topic });
        } else {
            self.disconnect(slot, &Disconnect::SubscriptionExpired, None);
        }
    }
}

/// What a client is told of a leave but its data.
fn told(leave: &Leave, now: Timestamp) -> Granted {
    Granted {
        expires_at: leave.expires_at.filter(|_| leave.renewed_by == RenewedBy::Client),
        time: now,
        data: None,
    }
}

/// How long a leave may be renewed when its time is over, in milliseconds.
fn grace_ms(session: &Session, held: &HeldLeave) -> u64 {
    match held.leave.renewed_by {
        // Others are told when, and renew it by then.
        RenewedBy::Client if !session.dialect.is_hailed() => 0,
        RenewedBy::Client | RenewedBy::Application => EXPIRY_GRACE_MS,
    }
}
