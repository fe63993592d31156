//! Joining and leaving topics.

use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::{
    CommandId, ConnectionId, Loss, Position, Rejection, Reply, Since, SubscribedTopic, TopicName,
};

use super::Hub;
use super::commands::refused;
use super::gathering::Gathering;
use super::reading::Sought;
use crate::access::Action;
use crate::ask::Suspended;
use crate::broker::{Page, Refusal};
use crate::outbox::Lane;
use crate::session::{MadeBy, Manner, Place, SILENT, Seat, Subscription, Wishes};
use crate::topic::{Topic, Wants};
use crate::{Leave, Output, Role, WantedTopic};

/// A subscribe command that waits for the broker.
pub(super) struct Pending {
    connection: ConnectionId,
    id: Option<CommandId>,
    topics: Vec<Begin>,
    /// Joins and searches for places that are not answered yet.
    unanswered: usize,
    refusal: Option<Refusal>,
    options: SubscribeOptions,
}

/// A topic of a subscribe command, and where it begins.
struct Begin {
    topic: u32,
    /// Behind this place; `None` for now.
    at: Option<Position>,
    /// Whether that is the place that the client named, if it named one.
    recovered: Option<Result<(), Loss>>,
}

#[derive(Clone, Copy)]
struct SubscribeOptions {
    /// How; `None` leaves a subscription as it is.
    wishes: Option<Wishes>,
    /// What the client is told.
    told: Told,
}

impl SubscribeOptions {
    /// Whether it is the application that wishes it, which may look back itself.
    fn is_by_application(&self) -> bool {
        self.wishes.is_none() && self.told == Told::Subscribed
    }
}

/// What a client is told of a subscription.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing: the topic belongs to the server.
    Nothing,
    /// That it is subscribed.
    Subscribed,
    /// That it is let in, with what it is subscribed to.
    Welcome,
}

impl Hub {
    /// Subscribes to all of `topics` or, past the limit, to none.
    pub(super) fn subscribe(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        topics: &[WantedTopic],
        wishes: Wishes,
    ) {
        if let Some(error) = self.too_many(slot, topics) {
            return self.reject(slot, Rejection::new(id, ErrorCode::TooManySubscriptions, error));
        }
        self.subscribe_with(
            slot,
            id,
            topics,
            SubscribeOptions {
                wishes: Some(wishes),
                told: Told::Subscribed,
            },
        );
    }

    /// Subscribes by the application's wish; false past the limit, and nothing is changed then.
    pub(super) fn subscribe_by_application(
        &mut self,
        slot: usize,
        topics: &[WantedTopic],
        leaves: Vec<(TopicName, Leave)>,
    ) -> bool {
        let has_room = self.too_many(slot, topics).is_none();
        if has_room {
            let names: Vec<TopicName> = topics.iter().map(|wanted| wanted.topic.clone()).collect();
            self.keep_leaves(slot, &names, leaves, MadeBy::Application);
            let options = SubscribeOptions {
                wishes: None,
                told: Told::Subscribed,
            };
            self.subscribe_with(slot, None, topics, options);
        }
        has_room
    }

    /// Subscribes a client that is let in to what it is subscribed to whatever the rules say; past the limit that is its
    /// end. It is taken in again when it has been told.
    pub(super) fn welcome_with(&mut self, slot: usize, id: Option<CommandId>, topics: &[WantedTopic]) {
        if self.too_many(slot, topics).is_some() {
            return self.disconnect(slot, &Disconnect::TooManySubscriptions, None);
        }
        if let Some(session) = self.sessions[slot].as_mut().filter(|_| !topics.is_empty()) {
            session.waiting.get_or_insert_default().suspended = Some(Suspended::Read);
        }
        let options = SubscribeOptions {
            wishes: None,
            told: Told::Welcome,
        };
        self.subscribe_with(slot, id, topics, options);
    }

    /// Subscribes to a topic of the server's.
    pub(super) fn subscribe_quietly(&mut self, slot: usize, name: TopicName) {
        self.subscribe_with(
            slot,
            None,
            &[name.into()],
            SubscribeOptions {
                wishes: None,
                told: Told::Nothing,
            },
        );
    }

    fn too_many(&self, slot: usize, topics: &[WantedTopic]) -> Option<String> {
        let max = self.limits.subscriptions_max as usize;
        let session = self.sessions[slot].as_ref()?;
        let mut held: Vec<&str> = session
            .subscriptions
            .iter()
            .map(|s| &self.topics[s.topic as usize].name)
            .filter(|name| !name.is_reserved())
            .map(TopicName::as_str)
            .collect();
        held.sort_unstable();
        held.dedup();
        let mut wanted: Vec<&str> = topics.iter().map(|wanted| wanted.topic.as_str()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|name| held.binary_search(name).is_err());
        let (held, wanted) = (held.len(), wanted.len());
        (held + wanted > max).then(|| {
            format!(
                "{held} subscriptions and {wanted} more pass the limit of {max}, unsubscribe from some first"
            )
        })
    }

    fn subscribe_with(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        wanted: &[WantedTopic],
        options: SubscribeOptions,
    ) {
        let topics: Vec<u32> = wanted.iter().map(|wanted| self.topic_of(&wanted.topic)).collect();
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        let entry = self.pending.vacant_entry();
        let key = entry.key() as u32;
        let mut unanswered = 0;
        session.subscriptions.reserve_exact(topics.len());
        for &index in &topics {
            let topic = &mut self.topics[index as usize];
            topic.holds += 1;
            if topic.position.is_none() {
                unanswered += 1;
                topic.waiting.push(key);
            }
            if !session.is_subscriber(index) {
                let place = Place::Joining(key);
                session.subscriptions.push(Subscription { topic: index, place });
            }
        }
        let connection = session.connection;
        let begin = |topic| Begin {
            topic,
            at: None,
            recovered: None,
        };
        entry.insert(Pending {
            connection,
            id,
            topics: topics.iter().copied().map(begin).collect(),
            unanswered,
            refusal: None,
            options,
        });
        self.subscribe_is_pending(slot);
        for (place, WantedTopic { topic, since }) in wanted.iter().enumerate() {
            if let Some(sought) = self.sought(slot, topic, *since) {
                self.begin_at(slot, key, (place, topic), sought);
            }
        }
        if self.pending[key as usize].unanswered == 0 {
            self.complete(key);
        }
    }

    /// Where a subscription is to begin, if not now.
    fn sought(&self, slot: usize, topic: &TopicName, since: Option<Since>) -> Option<Sought> {
        if self.is_hailed(slot) && self.rules.gives_newest_of(topic) {
            let but = match since {
                Some(Since::Position(place)) => Some(place),
                _ => None,
            };
            return Some(Sought::Newest { but });
        }
        since.map(Sought::Since)
    }

    /// Finds out where a topic of a subscribe command begins, if the client may look back at all.
    fn begin_at(&mut self, slot: usize, key: u32, (place, topic): (usize, &TopicName), sought: Sought) {
        let is_receiver = self.sessions[slot]
            .as_ref()
            .is_some_and(|session| session.role == Role::Subscriber);
        let may_look_back = self.may_as_subscriber(slot, Action::History, topic);
        let pending = &mut self.pending[key as usize];
        let may_look_back = may_look_back || pending.options.is_by_application();
        let begin = &mut pending.topics[place];
        if is_receiver && may_look_back {
            pending.unanswered += 1;
            let topic = begin.topic;
            self.find_place((key, place), topic, sought);
        } else {
            begin.recovered = Some(Err(Loss::Forbidden));
        }
    }

    /// The broker knows where a topic of a subscribe command begins.
    pub(super) fn place_found(
        &mut self,
        (key, place): (u32, usize),
        sought: Sought,
        outcome: Result<Page, Refusal>,
    ) {
        let connection = self.pending[key as usize].connection;
        let is_hailed = self
            .open_slot_of(connection)
            .is_some_and(|slot| self.is_hailed(slot));
        let pending = &mut self.pending[key as usize];
        pending.unanswered -= 1;
        match outcome {
            Ok(page) => {
                let begin = &mut pending.topics[place];
                begin.recovered = sought.recovered(&page);
                // Where nothing is kept that it could have, it begins with what comes, whenever that is. Others could not tell
                // what they missed from what they did not.
                let is_lost = page.lost.is_some() && (page.start == page.end || is_hailed);
                begin.at = Some(page.start).filter(|_| !is_lost && !sought.is_had(&page));
            }
            Err(refusal) => pending.refusal = pending.refusal.or(Some(refusal)),
        }
        if pending.unanswered == 0 {
            self.complete(key);
        }
    }

    /// The topic of that name, asked for at the broker if it is new here.
    fn topic_of(&mut self, name: &TopicName) -> u32 {
        let index = self.names.get(name).copied().unwrap_or_else(|| {
            self.topics_made += 1;
            let rule = self.slow_rule_of(name);
            let index = self
                .topics
                .insert(Topic::new(name.clone(), self.topics_made, rule)) as u32;
            self.topics[index as usize].is_tracked = self.rules.keeps_presence_of(name);
            self.names.insert(name.clone(), index);
            index
        });
        let topic = &mut self.topics[index as usize];
        if topic.position.is_none() && !std::mem::replace(&mut topic.is_joining, true) {
            self.outputs.push_back(Output::Join(name.clone()));
        }
        index
    }

    /// The broker answered a join.
    pub(super) fn joined(&mut self, name: &TopicName, outcome: Result<Position, Refusal>) {
        let Some(&index) = self.names.get(name) else {
            return;
        };
        let topic = &mut self.topics[index as usize];
        topic.is_joining = false;
        let refusal = match outcome {
            Ok(position) => {
                topic.position = Some(position);
                None
            }
            Err(refusal) => Some(refusal),
        };
        for key in std::mem::take(&mut topic.waiting) {
            let pending = &mut self.pending[key as usize];
            pending.unanswered -= 1;
            pending.refusal = pending.refusal.or(refusal);
            if pending.unanswered == 0 {
                self.complete(key);
            }
        }
        self.vacate_if_empty(index);
    }

    /// All joins of a subscribe command are answered: the connection becomes a member of all topics or of none.
    fn complete(&mut self, key: u32) {
        let Pending {
            connection,
            id,
            topics,
            refusal,
            options,
            ..
        } = self.pending.remove(key as usize);
        self.subscribe_was_answered(connection);
        if let Some(slot) = self.open_slot_of(connection) {
            if let Some(refusal) = refusal {
                self.forget_joining(slot, key);
                self.reject(slot, refused(id, refusal));
            } else {
                self.become_subscriber_of_all(slot, id, &topics, (key, options));
            }
        }
        for Begin { topic, .. } in topics {
            self.topics[topic as usize].holds -= 1;
            self.vacate_if_empty(topic);
        }
    }

    /// Makes the connection a subscriber of topics and has it told so, at once or when what it missed is there.
    fn become_subscriber_of_all(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        topics: &[Begin],
        (key, options): (u32, SubscribeOptions),
    ) {
        let session = self.sessions[slot].as_ref();
        let connection = session.map(|session| session.connection);
        let is_lost = |begin: &Begin| matches!(begin.recovered, Some(Err(_)));
        let insists = options.wishes.is_some_and(|wishes| wishes.insists);
        if insists && topics.iter().any(is_lost) {
            self.forget_joining(slot, key);
            return self.reject_unrecoverable(slot, id);
        }
        let is_behind =
            |begin: &Begin| begin.at.is_some() && begin.at != self.topics[begin.topic as usize].position;
        let is_gathering = self.is_hailed(slot) && topics.iter().any(is_behind);
        let (mut positions, mut comers) = (Vec::with_capacity(topics.len()), Vec::new());
        for begin in topics {
            if let Some(subscribed) = self.become_subscriber(slot, begin, (key, is_gathering), options) {
                let session = self.sessions[slot].as_ref();
                let comer = session.and_then(|session| session.comer_of(begin.topic));
                comers.extend(comer.map(|comer| (comer, positions.len())));
                positions.push(subscribed);
            }
        }
        self.forget_joining(slot, key);
        if let Some(connection) = connection.filter(|_| is_gathering && !comers.is_empty()) {
            let gathering = Gathering {
                connection,
                id,
                told: options.told,
                topics: positions,
                insists,
                waiting: comers.len(),
                bytes: 0,
            };
            self.begin_gathering(slot, gathering, &comers);
        } else {
            self.tell_subscribed(slot, id.as_ref(), positions, options.told);
        }
        self.read_on(slot);
    }

    /// Tells a client what it is subscribed to.
    pub(super) fn tell_subscribed(
        &mut self,
        slot: usize,
        id: Option<&CommandId>,
        topics: Vec<SubscribedTopic>,
        told: Told,
    ) {
        match told {
            Told::Nothing => {}
            Told::Subscribed => self.say_subscribed(slot, id, topics),
            Told::Welcome => {
                if let Some(welcome) = self.welcome_of(slot) {
                    let reply = Reply::Welcomed { welcome, topics };
                    self.reply_to(slot, Lane::Data, id, &reply);
                    self.subscribe_to_own(slot);
                    self.forget_welcome(slot);
                    self.take_suspended(slot);
                    self.go_on(slot);
                }
            }
        }
    }

    /// Tells a client the positions of topics, some of whose publications may wait before that.
    fn say_subscribed(&mut self, slot: usize, id: Option<&CommandId>, positions: Vec<SubscribedTopic>) {
        let names = positions.iter().map(|at| at.topic.clone()).collect();
        let bytes = self.encode_subscribed(slot, id, positions);
        self.enqueue(slot, Lane::Data, bytes);
        let outbox = &self.outboxes[slot];
        let session = self.sessions[slot].as_ref();
        let is_told = session.is_some_and(|session| session.dialect.has_notices()) && !outbox.is_closing;
        if is_told
            && outbox.has_expendables()
            && let Some(frame) = outbox.last(&self.frames)
        {
            self.notices.fence(slot, names, frame, &mut self.frames);
        }
    }

    fn forget_joining(&mut self, slot: usize, key: u32) {
        if let Some(session) = &mut self.sessions[slot] {
            session.subscriptions.retain(|s| s.place != Place::Joining(key));
        }
    }

    /// Makes the connection a subscriber from where its command begins, unless it unsubscribed meanwhile.
    fn become_subscriber(
        &mut self,
        slot: usize,
        begin: &Begin,
        (key, is_gathering): (u32, bool),
        options: SubscribeOptions,
    ) -> Option<SubscribedTopic> {
        let index = begin.topic;
        self.fan_out(index);
        let wishes = options.wishes;
        let manner = wishes.map_or(Manner::AtOnce, |wishes| wishes.manner);
        let mut wants = wishes.map_or(Wants::default(), |wishes| wishes.wants);
        let Topic { name, position, .. } = self.topics.get(index as usize)?;
        wants.presence |= self.is_hailed(slot) && self.rules.tells_presence_of(name);
        let now = *position;
        let session = self.sessions[slot].as_mut()?;
        // Who is here already goes on from where it is.
        let is_here = session.is_subscriber(index);
        let recovered = begin.recovered.filter(|_| !is_here);
        if session.seat(index).is_some() {
            self.close_notice(slot, index);
            self.catch_up(slot, index);
            if let Some(wishes) = wishes {
                self.reseat(slot, index, wishes.manner)?;
                self.set_wants(slot, index, wants);
            }
        } else if session.comer_of(index).is_some() {
            if wishes.is_some() {
                self.set_comer(slot, index, manner, wants);
            }
        } else if let Some(at) = begin
            .at
            .filter(|&at| Some(at) != now)
            .or(now.filter(|_| is_gathering))
        {
            self.come_from(slot, (index, key), at, (manner, wants))?;
        } else {
            self.join_topic(slot, index, key, manner)?;
            self.set_wants(slot, index, wants);
        }
        if is_here {
            self.note_change_in(slot, index);
        }
        let granted = self.grant(slot, index);
        let topic = self.topics.get(index as usize)?;
        let position = self.comes_from(slot, index).or(topic.position)?;
        let session = self.sessions[slot].as_ref()?;
        Some(SubscribedTopic {
            topic: topic.name.clone(),
            position,
            recovered,
            is_recoverable: session.dialect.is_hailed()
                && self.may_as_subscriber(slot, Action::History, &topic.name),
            has_deltas: manner == Manner::Deltas,
            publications: Vec::new(),
            granted,
        })
    }

    /// Makes the connection a member, unless it unsubscribed since its command `key`.
    fn join_topic(&mut self, slot: usize, index: u32, key: u32, manner: Manner) -> Option<()> {
        let seat = self.new_seat(slot, index, manner)?;
        let session = self.sessions[slot].as_mut()?;
        let Some(subscription) = session.joining(index, key) else {
            self.vacate_seat(index, seat);
            return None;
        };
        subscription.place = Place::Member(seat);
        let role = session.role;
        self.count_in(slot, index, role);
        Some(())
    }

    /// Counts somebody who has come to a topic.
    pub(super) fn count_in(&mut self, slot: usize, index: u32, role: Role) {
        self.note_coming(slot, index);
        let topic = &mut self.topics[index as usize];
        if !topic.name.is_reserved() {
            self.counters.subscriptions += 1;
            let is_first = role == Role::Subscriber && topic.subscribers() == 1;
            self.counters.topics += u64::from(is_first);
        }
        report_due(topic, index, &mut self.reports);
    }

    /// Counts out somebody who has left a topic, which ends here with the last.
    pub(super) fn count_out(&mut self, connection: ConnectionId, index: u32, role: Role) {
        let topic = &mut self.topics[index as usize];
        Self::note_going(topic, connection);
        if !topic.name.is_reserved() {
            self.counters.subscriptions -= 1;
            let was_last = role == Role::Subscriber && topic.subscribers() == 0;
            self.counters.topics -= u64::from(was_last);
        }
        report_due(topic, index, &mut self.reports);
        self.vacate_if_empty(index);
    }

    /// Unsubscribes from those of `names` that it is subscribed to.
    pub(super) fn unsubscribe(&mut self, slot: usize, names: &[TopicName]) {
        for name in names {
            let Some(&topic) = self.names.get(name) else {
                continue;
            };
            // First, because it may find this very connection overflowing, and then it has left already.
            self.fan_out(topic);
            let Some(session) = &mut self.sessions[slot] else {
                return;
            };
            let connection = session.connection;
            let seat = session.seat(topic).copied();
            let comer = session.comer_of(topic);
            session.subscriptions.retain(|s| s.topic != topic);
            session.forget_filter(name);
            session.forget_leave(name);
            if let Some(seat) = seat {
                self.close_notice(slot, topic);
                self.remove_member(connection, topic, seat);
            } else if let Some(comer) = comer {
                self.remove_comer(comer);
                self.read_on(slot);
            }
        }
    }

    /// Fans out what the topics of a session gathered while it is a member of them. Its outbox may overflow by
    /// that; then it is closing afterwards.
    pub(super) fn fan_out_to_session(&mut self, slot: usize) {
        let Some(session) = self.sessions[slot].as_ref().filter(|_| !self.batched.is_empty()) else {
            return;
        };
        let topics: Vec<u32> = session.subscriptions.iter().map(|s| s.topic).collect();
        for topic in topics {
            self.fan_out(topic);
        }
    }

    /// Leaves every topic. What they gathered and have not fanned out is not for this connection any more; see
    /// [`Hub::fan_out_to_session`].
    pub(super) fn leave_all(&mut self, slot: usize) {
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        let connection = session.connection;
        let subscriptions = std::mem::take(&mut session.subscriptions);
        // Nobody waits for their replies any more.
        self.gatherings
            .retain(|_, gathering| gathering.connection != connection);
        for Subscription { topic, place } in subscriptions {
            match place {
                Place::Member(seat) => self.remove_member(connection, topic, seat),
                Place::CatchingUp(comer) => self.remove_comer(comer),
                Place::Joining(_) => {}
            }
        }
    }

    /// Takes a member out of its topic. The caller has taken the subscription out of its session.
    fn remove_member(&mut self, connection: ConnectionId, index: u32, seat: Seat) {
        let removed = self.vacate_seat(index, seat);
        let topic = &mut self.topics[index as usize];
        topic.count_wants(removed.wants(), Wants::default());
        let is_silent = usize::from(seat.audience) == SILENT;
        let role = if is_silent {
            Role::Publisher
        } else {
            Role::Subscriber
        };
        self.count_out(connection, index, role);
    }

    /// What a connection is told to have missed of a topic ends here.
    fn close_notice(&mut self, slot: usize, index: u32) {
        if let Some(session) = self.sessions[slot].as_ref().filter(|_| !self.notices.is_empty()) {
            let topic = &self.topics[index as usize].name;
            let outbox = &mut self.outboxes[slot];
            self.notices
                .close(slot, topic, session.dialect, &mut self.frames, outbox);
        }
    }

    /// Forgets a topic that nobody belongs to or waits for.
    fn vacate_if_empty(&mut self, index: u32) {
        let Some(topic) = self.topics.get(index as usize) else {
            return;
        };
        if !topic.is_vacant() {
            return;
        }
        let topic = self.topics.remove(index as usize);
        self.names.remove(&topic.name);
        self.outputs.push_back(Output::Leave(topic.name));
    }

    /// Has the broker told of a topic at the end of the turn.
    pub(super) fn report_later(&mut self, index: u32) {
        report_due(&mut self.topics[index as usize], index, &mut self.reports);
    }

    /// Tells the broker how many subscribers the topics have that changed, and who they are.
    pub(super) fn report(&mut self) {
        for index in std::mem::take(&mut self.reports) {
            if let Some(topic) = self.topics.get_mut(index as usize)
                && std::mem::take(&mut topic.is_report_due)
            {
                self.outputs
                    .push_back(Output::Report(topic.name.clone(), topic.subscribers() as u32));
                if !topic.changes.is_empty() {
                    let changes = std::mem::take(&mut topic.changes);
                    self.outputs
                        .push_back(Output::Attend(topic.name.clone(), changes));
                }
            }
        }
    }
}

fn report_due(topic: &mut Topic, index: u32, reports: &mut Vec<u32>) {
    if !std::mem::replace(&mut topic.is_report_due, true) {
        reports.push(index);
    }
}
