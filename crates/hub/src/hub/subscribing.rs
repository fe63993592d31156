//! Joining and leaving topics.

use fanfare_protocol::codes::ErrorCode;
use fanfare_protocol::{
    CommandId, ConnectionId, Every, Millis, Rejection, Reply, SubscribedTopic, TopicName,
};

use super::Hub;
use super::commands::refused;
use super::timers::Watched;
use crate::Output;
use crate::broker::{Refusal, Snapshot};
use crate::outbox::Lane;
use crate::session::{PACED, Place, SILENT, Seat, Subscription, Wishes};
use crate::topic::{Member, Topic};

/// A subscribe command that waits for the broker.
pub(super) struct Pending {
    connection: ConnectionId,
    id: Option<CommandId>,
    topics: Vec<u32>,
    /// Topics whose join is not answered yet.
    unanswered: usize,
    refusal: Option<Refusal>,
    options: SubscribeOptions,
}

#[derive(Clone, Copy)]
struct SubscribeOptions {
    /// How; `None` leaves a subscription as it is.
    wishes: Option<Wishes>,
    /// Whether the client is told. Not for the topics that belong to the server.
    is_quiet: bool,
}

impl Hub {
    /// Subscribes to all of `names` or, past the limit, to none.
    pub(super) fn subscribe(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        names: &[TopicName],
        wishes: Wishes,
    ) {
        if let Some(error) = self.too_many(slot, names) {
            return self.reject(slot, Rejection::new(id, ErrorCode::TooManySubscriptions, error));
        }
        self.subscribe_with(
            slot,
            id,
            names,
            SubscribeOptions {
                wishes: Some(wishes),
                is_quiet: false,
            },
        );
    }

    /// Subscribes by the application's wish; false past the limit, and nothing is changed then.
    pub(super) fn subscribe_by_application(&mut self, slot: usize, names: &[TopicName]) -> bool {
        let has_room = self.too_many(slot, names).is_none();
        if has_room {
            let options = SubscribeOptions {
                wishes: None,
                is_quiet: false,
            };
            self.subscribe_with(slot, None, names, options);
        }
        has_room
    }

    /// Subscribes to a topic of the server's.
    pub(super) fn subscribe_quietly(&mut self, slot: usize, name: TopicName) {
        self.subscribe_with(
            slot,
            None,
            &[name],
            SubscribeOptions {
                wishes: None,
                is_quiet: true,
            },
        );
    }

    fn too_many(&self, slot: usize, names: &[TopicName]) -> Option<String> {
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
        let mut wanted: Vec<&str> = names.iter().map(TopicName::as_str).collect();
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
        names: &[TopicName],
        options: SubscribeOptions,
    ) {
        let topics: Vec<u32> = names.iter().map(|name| self.topic_of(name)).collect();
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
            if !session.is_member(index) {
                let place = Place::Joining(key);
                session.subscriptions.push(Subscription { topic: index, place });
            }
        }
        let connection = session.connection;
        entry.insert(Pending {
            connection,
            id,
            topics,
            unanswered,
            refusal: None,
            options,
        });
        self.subscribe_is_pending(slot);
        if unanswered == 0 {
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
    pub(super) fn joined(&mut self, name: &TopicName, outcome: Result<Snapshot, Refusal>) {
        let Some(&index) = self.names.get(name) else {
            return;
        };
        let topic = &mut self.topics[index as usize];
        topic.is_joining = false;
        let refusal = match outcome {
            Ok(snapshot) => {
                topic.position = Some(snapshot.position);
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
                let positions = topics
                    .iter()
                    .filter_map(|&topic| self.become_member(slot, topic, key, options))
                    .collect();
                self.forget_joining(slot, key);
                if !options.is_quiet {
                    self.say_subscribed(slot, id.as_ref(), positions);
                }
            }
        }
        for topic in topics {
            self.topics[topic as usize].holds -= 1;
            self.vacate_if_empty(topic);
        }
    }

    /// Tells a client the positions of topics, some of whose publications may wait before that.
    fn say_subscribed(&mut self, slot: usize, id: Option<&CommandId>, positions: Vec<SubscribedTopic>) {
        let names = positions.iter().map(|at| at.topic.clone()).collect();
        self.reply_to(slot, Lane::Data, id, &Reply::Subscribed { topics: positions });
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

    /// Makes the connection a member from the topic's present position on, unless it unsubscribed meanwhile.
    fn become_member(
        &mut self,
        slot: usize,
        index: u32,
        key: u32,
        options: SubscribeOptions,
    ) -> Option<SubscribedTopic> {
        self.fan_out(index);
        let session = self.sessions[slot].as_ref()?;
        let every = options.wishes.and_then(|wishes| wishes.every);
        if session.is_member(index) {
            self.close_notice(slot, index);
            self.catch_up(slot, index);
            if let Some(wishes) = options.wishes {
                self.reseat(slot, index, wishes.every)?;
            }
        } else {
            self.join_topic(slot, index, key, every)?;
        }
        if let Some(wishes) = options.wishes {
            self.set_watching(slot, index, wishes.occupancy);
        }
        let topic = self.topics.get(index as usize)?;
        Some(SubscribedTopic {
            topic: topic.name.clone(),
            position: topic.position?,
        })
    }

    /// Makes the connection a member, unless it unsubscribed since its command `key`.
    fn join_topic(&mut self, slot: usize, index: u32, key: u32, every: Option<Every>) -> Option<()> {
        let seat = self.new_seat(slot, index, every)?;
        let session = self.sessions[slot].as_mut()?;
        let is_joining = |s: &&mut Subscription| s.topic == index && s.place == Place::Joining(key);
        let Some(subscription) = session.subscriptions.iter_mut().find(is_joining) else {
            self.vacate_seat(index, seat);
            return None;
        };
        subscription.place = Place::Member(seat);
        let topic = &mut self.topics[index as usize];
        if !topic.name.is_reserved() {
            self.counters.subscriptions += 1;
            let is_first = usize::from(seat.audience) != SILENT && topic.subscribers() == 1;
            self.counters.topics += u64::from(is_first);
        }
        report_due(topic, index, &mut self.reports);
        Some(())
    }

    /// Gives a member at a pace of its own what it waits for, before it is told a position. That may close it.
    fn catch_up(&mut self, slot: usize, index: u32) {
        let seat = self.sessions[slot]
            .as_mut()
            .and_then(|session| session.seat(index));
        if let Some(&mut seat) = seat.filter(|seat| usize::from(seat.audience) == PACED) {
            self.serve_now(index, seat.at);
        }
    }

    /// Gives a member its topic at another pace, or at once. None if it is a member no more.
    fn reseat(&mut self, slot: usize, index: u32, every: Option<Every>) -> Option<()> {
        let seat = *self.sessions[slot].as_mut()?.seat(index)?;
        let is_paced = usize::from(seat.audience) == PACED;
        match every {
            Some(every) if is_paced => self.set_pace(index, seat.at, every),
            None if !is_paced => {}
            _ => {
                let watches = self.vacate_seat(index, seat).watches();
                let seat = self.new_seat(slot, index, every)?;
                *self.sessions[slot].as_mut()?.seat(index)? = seat;
                let audience = &mut self.topics[index as usize].audiences[usize::from(seat.audience)];
                audience[seat.at as usize] = Member::new(slot, watches);
            }
        }
        Some(())
    }

    /// A seat at the end of the audience that a connection belongs to.
    fn new_seat(&mut self, slot: usize, index: u32, every: Option<Every>) -> Option<Seat> {
        let audience = self.sessions[slot].as_ref()?.audience();
        let (audience, at) = match every {
            Some(every) if audience != SILENT => (PACED, self.seat_paced(index, slot, every)),
            _ => {
                let members = &mut self.topics[index as usize].audiences[audience];
                members.push(Member::new(slot, false));
                (audience, members.len() as u32 - 1)
            }
        };
        Some(Seat {
            audience: audience as u8,
            at,
        })
    }

    /// Takes a member out of its audience, and gives it. The last one there takes its seat.
    fn vacate_seat(&mut self, index: u32, seat: Seat) -> Member {
        let audience = usize::from(seat.audience);
        let members = &mut self.topics[index as usize].audiences[audience];
        let removed = members.swap_remove(seat.at as usize);
        let moved = members.get(seat.at as usize).copied();
        if members.capacity() > 64 && members.len() < members.capacity() / 4 {
            members.shrink_to(members.len() * 2);
        }
        if audience == PACED {
            self.unseat_paced(index, seat.at);
        }
        if let Some(moved) = moved
            && let Some(session) = &mut self.sessions[moved.slot()]
            && let Some(place) = session.seat(index)
        {
            *place = seat;
        }
        removed
    }

    fn set_watching(&mut self, slot: usize, index: u32, watches: bool) {
        let Some(&mut seat) = self.sessions[slot]
            .as_mut()
            .and_then(|session| session.seat(index))
        else {
            return;
        };
        let topic = &mut self.topics[index as usize];
        let place = &mut topic.audiences[usize::from(seat.audience)][seat.at as usize];
        topic.watchers -= u32::from(place.watches());
        topic.watchers += u32::from(watches);
        *place = Member::new(slot, watches);
        if watches {
            topic.occupancy = UNKNOWN_OCCUPANCY;
            if !std::mem::replace(&mut topic.is_watched, true) {
                self.watched.push_front(Watched {
                    index,
                    serial: topic.serial,
                    due_at: Millis::default(),
                });
            }
        }
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
            let seat = session.seat(topic).copied();
            session.subscriptions.retain(|s| s.topic != topic);
            if let Some(seat) = seat {
                self.close_notice(slot, topic);
                self.remove_member(topic, seat);
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
        for Subscription { topic, place } in std::mem::take(&mut session.subscriptions) {
            if let Place::Member(seat) = place {
                self.remove_member(topic, seat);
            }
        }
    }

    /// Takes a member out of its topic. The caller has taken the subscription out of its session.
    fn remove_member(&mut self, index: u32, seat: Seat) {
        let removed = self.vacate_seat(index, seat);
        let topic = &mut self.topics[index as usize];
        topic.watchers -= u32::from(removed.watches());
        if !topic.name.is_reserved() {
            self.counters.subscriptions -= 1;
            let was_last = usize::from(seat.audience) != SILENT && topic.subscribers() == 0;
            self.counters.topics -= u64::from(was_last);
        }
        report_due(topic, index, &mut self.reports);
        self.vacate_if_empty(index);
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

    /// Tells the broker how many subscribers the topics have that changed.
    pub(super) fn report(&mut self) {
        for index in std::mem::take(&mut self.reports) {
            if let Some(topic) = self.topics.get_mut(index as usize)
                && std::mem::take(&mut topic.is_report_due)
            {
                self.outputs
                    .push_back(Output::Report(topic.name.clone(), topic.subscribers() as u32));
            }
        }
    }
}

/// Different from any number of subscribers: the next count is pushed whatever it is.
const UNKNOWN_OCCUPANCY: u64 = u64::MAX;

fn report_due(topic: &mut Topic, index: u32, reports: &mut Vec<u32>) {
    if !std::mem::replace(&mut topic.is_report_due, true) {
        reports.push(index);
    }
}
