//! The broker of the simulation: the contract with every delay and refusal that it allows.
//!
//! Either it answers at once, as a broker in memory does, or requests and answers both take random time, as with one
//! on another machine. Each mailbox keeps its order; mailboxes are late independently of each other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;

use fanfare_hub::broker::{BrokerEvent, PublishId, Published, Read, ReadId, Refusal};
use fanfare_hub::{
    Bucket, Change, History, Limits, Rate, Repetitions, Retention, Roster, RosterDiff, RosterPage, Version,
};
use fanfare_protocol::{ConnectionId, Draft, Epoch, Millis, Position, Publication, Timestamp, TopicName};
use fastrand::Rng;

use crate::truth::Truth;

pub(crate) struct Broker {
    pub(crate) truth: Truth,
    topics: BTreeMap<TopicName, Log>,
    /// Never forgotten, so that nothing is published twice.
    keys: BTreeMap<TopicName, Repetitions>,
    mailboxes: Vec<Mailbox>,
    epochs: u64,
    is_remote: bool,
    delay_ms_max: u64,
    places_max: usize,
    /// Of a thousand requests, how many are refused.
    refused_of_thousand: u32,
    rate: Rate,
    topics_max: usize,
    retention: Retention,
    rng: Rng,
}

struct Log {
    position: Position,
    bucket: Bucket,
    /// Subscribers by shard.
    joined: BTreeMap<usize, u32>,
    history: History,
    roster: Roster,
}

#[derive(Default)]
struct Mailbox {
    requests: VecDeque<(Millis, Request)>,
    mail: VecDeque<(Millis, BrokerEvent)>,
    publications: usize,
}

/// What a shard asks of the broker.
pub(crate) enum Request {
    Join(TopicName),
    Read(TopicName, Read, ReadId),
    Attend(TopicName, Vec<Change>),
    Leave(TopicName),
    Report(TopicName, u32),
    Publish(Draft, PublishId),
}

impl Broker {
    pub(crate) fn new(shards: usize, limits: &Limits, retention: Retention, rng: &mut Rng) -> Self {
        let is_remote = rng.bool();
        Self {
            truth: Truth::default(),
            topics: BTreeMap::new(),
            keys: BTreeMap::new(),
            mailboxes: (0..shards).map(|_| Mailbox::default()).collect(),
            epochs: 0,
            is_remote,
            delay_ms_max: *pick(rng, &[0, 0, 5, 200]),
            places_max: *pick(rng, &[4, 32, 4096]),
            refused_of_thousand: *pick(rng, &[0, 0, 20, 200]),
            rate: Rate::per_second(limits.publications_per_second),
            topics_max: limits.topics_max,
            retention,
            rng: rng.fork(),
        }
    }

    /// From now on nothing is refused without need.
    pub(crate) fn stop_refusing(&mut self) {
        self.refused_of_thousand = 0;
    }

    /// From now on nothing is kept, and what was kept is forgotten.
    pub(crate) fn forget(&mut self) {
        self.retention = Retention::default();
        self.expire(Millis::default());
    }

    /// Whether anything is kept.
    pub(crate) fn keeps(&self) -> bool {
        self.retention.keeps()
    }

    /// Drops what is too old, and topics that have nothing left.
    fn expire(&mut self, now: Millis) {
        let retention = self.retention;
        self.topics.retain(|_, log| {
            log.history.trim(Timestamp(now.0), &retention);
            !log.is_unused()
        });
    }

    /// Takes a request, which is done at once or later.
    pub(crate) fn request(&mut self, now: Millis, shard: usize, request: Request) {
        if !self.is_remote {
            return self.perform(now, shard, request);
        }
        let ready_at = self.later(now);
        let requests = &mut self.mailboxes[shard].requests;
        let ready_at = requests.back().map_or(ready_at, |(last, _)| ready_at.max(*last));
        requests.push_back((ready_at, request));
    }

    /// Publishes for a client; pending when the answer comes by mail.
    pub(crate) fn ask_to_publish(
        &mut self,
        now: Millis,
        shard: usize,
        draft: Draft,
        publish: PublishId,
    ) -> Poll<Result<Published, Refusal>> {
        if !self.is_remote {
            return Poll::Ready(self.publish(now, draft));
        }
        self.request(now, shard, Request::Publish(draft, publish));
        Poll::Pending
    }

    /// Does what was asked and is due by now.
    pub(crate) fn advance(&mut self, now: Millis) {
        self.expire(now);
        for shard in 0..self.mailboxes.len() {
            while let Some((_, request)) = pop_due(&mut self.mailboxes[shard].requests, now) {
                self.perform(now, shard, request);
            }
        }
    }

    /// The next mail of a shard that has arrived by now.
    pub(crate) fn take(&mut self, now: Millis, shard: usize) -> Option<BrokerEvent> {
        let mailbox = &mut self.mailboxes[shard];
        let (_, event) = pop_due(&mut mailbox.mail, now)?;
        mailbox.publications -= usize::from(matches!(event, BrokerEvent::Publication(_)));
        Some(event)
    }

    /// Publications that wait for a shard.
    pub(crate) fn waiting(&self, shard: usize) -> usize {
        self.mailboxes[shard].publications
    }

    /// Whether nothing is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.mailboxes
            .iter()
            .all(|mailbox| mailbox.requests.is_empty() && mailbox.mail.is_empty())
    }

    /// Room for publications in one mailbox.
    pub(crate) fn places_max(&self) -> usize {
        self.places_max
    }

    /// Who is in a topic.
    pub(crate) fn roster(&self, topic: &TopicName, after: Option<ConnectionId>, count: usize) -> RosterPage {
        let log = self.topics.get(topic);
        log.map_or_else(RosterPage::default, |log| log.roster.page(after, count))
    }

    /// What has changed there.
    pub(crate) fn survey(
        &mut self,
        topic: &TopicName,
        since: Version,
        is_all: bool,
        count: usize,
    ) -> RosterDiff {
        let log = self.topics.get_mut(topic);
        log.map_or_else(RosterDiff::default, |log| log.roster.survey(since, is_all, count))
    }

    pub(crate) fn subscribers(&self, topic: &TopicName) -> u64 {
        self.topics
            .get(topic)
            .map_or(0, |log| log.joined.values().map(|&count| u64::from(count)).sum())
    }

    /// The topics that live, with where they stand.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (&TopicName, Position)> {
        self.topics.iter().map(|(topic, log)| (topic, log.position))
    }

    /// Appends and posts to every shard that joined, or refuses.
    pub(crate) fn publish(&mut self, now: Millis, draft: Draft) -> Result<Published, Refusal> {
        if self.refuses() {
            return Err(Refusal::Unavailable);
        }
        let known = (draft.topic.clone(), draft.idempotency_key.clone(), draft.time);
        let (topic, Some(key), time) = known else {
            return self.append(now, draft).map(Published::first);
        };
        let keys = self.keys.entry(topic.clone()).or_insert_with(never_forgotten);
        if let Some(position) = keys.find(&key, time) {
            return Ok(Published::again(position));
        }
        let position = self.append(now, draft)?;
        let keys = self.keys.entry(topic).or_insert_with(never_forgotten);
        keys.remember(key, position, time);
        Ok(Published::first(position))
    }

    fn append(&mut self, now: Millis, draft: Draft) -> Result<Position, Refusal> {
        let position = self.standing(&draft.topic);
        if draft.expected.is_some_and(|expected| expected != position) {
            return Err(Refusal::Conflict { position });
        }
        if self.retention.keeps() && !self.topics.contains_key(&draft.topic) {
            if self.is_one_too_many(&draft.topic) {
                return Err(Refusal::TooManyTopics);
            }
            let log = Log::new(self.next_epoch());
            self.topics.insert(draft.topic.clone(), log);
        }
        let Some(log) = self.topics.get_mut(&draft.topic) else {
            let position = Position {
                epoch: self.next_epoch(),
                offset: 1,
            };
            self.truth.record(&draft, position);
            return Ok(position);
        };
        if draft.from.is_some()
            && let Err(retry_after_ms) = log.bucket.try_take(now, self.rate, 1)
        {
            return Err(Refusal::RateLimited { retry_after_ms });
        }
        let is_full = |shard: &usize| self.mailboxes[*shard].publications >= self.places_max;
        if log.joined.keys().any(is_full) {
            return Err(Refusal::Overloaded);
        }
        log.position.offset += 1;
        let position = log.position;
        self.truth.record(&draft, position);
        let shards: Vec<usize> = log.joined.keys().copied().collect();
        let publication = Arc::new(Publication { draft, position });
        log.history.keep(Arc::clone(&publication), &self.retention);
        for shard in shards {
            self.mailboxes[shard].publications += 1;
            self.post(now, shard, BrokerEvent::Publication(Arc::clone(&publication)));
        }
        Ok(position)
    }

    fn perform(&mut self, now: Millis, shard: usize, request: Request) {
        match request {
            Request::Join(topic) => self.join(now, shard, topic),
            Request::Leave(topic) => {
                if let Some(log) = self.topics.get_mut(&topic) {
                    log.joined.remove(&shard);
                    log.roster.go_all(shard);
                    if log.is_unused() {
                        self.topics.remove(&topic);
                    }
                }
            }
            Request::Attend(topic, changes) => {
                if let Some(log) = self.topics.get_mut(&topic) {
                    for change in changes {
                        log.roster.apply(change);
                    }
                }
            }
            Request::Read(topic, read, id) => {
                let page = if let Some(log) = self.topics.get(&topic) {
                    log.history.read(log.position, &read)
                } else {
                    History::default().read(self.standing(&topic), &read)
                };
                let outcome = if self.refuses() {
                    Err(Refusal::Unavailable)
                } else {
                    Ok(page)
                };
                self.post(now, shard, BrokerEvent::Read { read: id, outcome });
            }
            Request::Report(topic, subscribers) => {
                let log = self.topics.get_mut(&topic);
                if let Some(count) = log.and_then(|log| log.joined.get_mut(&shard)) {
                    *count = subscribers;
                }
            }
            Request::Publish(draft, publish) => {
                let outcome = self.publish(now, draft);
                self.post(now, shard, BrokerEvent::Published { publish, outcome });
            }
        }
    }

    fn join(&mut self, now: Millis, shard: usize, topic: TopicName) {
        let outcome = if self.refuses() && !topic.is_reserved() {
            Err(Refusal::Unavailable)
        } else if self.is_one_too_many(&topic) {
            Err(Refusal::TooManyTopics)
        } else {
            let epoch = self.next_epoch();
            let log = self
                .topics
                .entry(topic.clone())
                .or_insert_with(|| Log::new(epoch));
            let earlier = log.joined.insert(shard, 0);
            assert!(earlier.is_none(), "shard {shard} joined {topic} twice");
            Ok(log.position)
        };
        self.post(now, shard, BrokerEvent::Joined { topic, outcome });
    }

    /// Where a topic stands; one without a log stands where the next log will begin.
    fn standing(&self, topic: &TopicName) -> Position {
        let next = || Log::new(Epoch(self.epochs + 1)).position;
        self.topics.get(topic).map_or_else(next, |log| log.position)
    }

    /// Whether this topic would be one more than there may be.
    fn is_one_too_many(&self, topic: &TopicName) -> bool {
        let count = self.topics.keys().filter(|topic| !topic.is_reserved()).count();
        let is_full = self.topics_max > 0 && count >= self.topics_max;
        is_full && !topic.is_reserved() && !self.topics.contains_key(topic)
    }

    fn post(&mut self, now: Millis, shard: usize, event: BrokerEvent) {
        let ready_at = self.later(now);
        let mail = &mut self.mailboxes[shard].mail;
        let ready_at = mail.back().map_or(ready_at, |(last, _)| ready_at.max(*last));
        mail.push_back((ready_at, event));
    }

    fn later(&mut self, now: Millis) -> Millis {
        Millis(now.0 + self.rng.u64(0..=self.delay_ms_max))
    }

    fn refuses(&mut self) -> bool {
        self.rng.u32(0..1_000) < self.refused_of_thousand
    }

    fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch(self.epochs)
    }
}

impl Log {
    fn new(epoch: Epoch) -> Self {
        Self {
            position: Position { epoch, offset: 0 },
            bucket: Bucket::default(),
            joined: BTreeMap::new(),
            history: History::default(),
            roster: Roster::new(epoch.0),
        }
    }

    fn is_unused(&self) -> bool {
        self.joined.is_empty() && self.history.is_empty()
    }
}

fn never_forgotten() -> Repetitions {
    Repetitions::new(u64::MAX, usize::MAX)
}

fn pop_due<T>(queue: &mut VecDeque<(Millis, T)>, now: Millis) -> Option<(Millis, T)> {
    if queue.front()?.0 > now {
        return None;
    }
    queue.pop_front()
}

/// One of `choices`.
pub(crate) fn pick<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.usize(0..choices.len())]
}
