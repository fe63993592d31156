//! Somebody who follows topics over all lives of the server, as a shard does for its clients.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfare_hub::broker::{Broker, BrokerEvent, Outlet, OutletId, Page, Read, ReadId, Start};
use fanfare_protocol::{Position, Publication, TopicName};
use fastrand::Rng;

use super::Durable;
use super::ledger::Ledger;
use super::server::Server;
use crate::broker::pick;

pub(super) struct Follower {
    mailbox: Arc<Mailbox>,
    places_max: usize,
    outlet: Option<OutletId>,
    topics: BTreeMap<TopicName, Following>,
    reads: BTreeMap<u64, TopicName>,
    reads_made: u64,
}

#[derive(Default)]
struct Following {
    /// The place of the last publication that it received.
    at: Option<Position>,
    state: State,
    /// The place of the last publication that was posted, from the join on.
    posted: Option<Position>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Out,
    Joining,
    Reading,
    Live,
}

/// A bounded mailbox.
struct Mailbox(Mutex<Box>);

struct Box {
    events: VecDeque<BrokerEvent>,
    /// Publications that wait or have a place set aside.
    taken: usize,
    places_max: usize,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Box> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet for Mailbox {
    fn try_reserve(&self, _bytes: usize) -> bool {
        let mut inside = self.lock();
        let has_room = inside.taken < inside.places_max;
        inside.taken += usize::from(has_room);
        has_room
    }

    fn cancel(&self, _bytes: usize) {
        self.lock().taken -= 1;
    }

    fn post_reserved(&self, publication: Arc<Publication>) {
        self.lock()
            .events
            .push_back(BrokerEvent::Publication(publication));
    }

    fn post(&self, answer: BrokerEvent) {
        self.lock().events.push_back(answer);
    }
}

impl Follower {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let places_max = *pick(rng, &[2, 8, 1_000]);
        Self {
            mailbox: new_mailbox(places_max),
            places_max,
            outlet: None,
            topics: BTreeMap::new(),
            reads: BTreeMap::new(),
            reads_made: 0,
        }
    }

    /// Comes back to a new life of the server, to all that it followed.
    pub(super) fn attach(&mut self, server: &Server) {
        self.mailbox = new_mailbox(self.places_max);
        let outlet = Arc::clone(&self.mailbox) as Arc<dyn Outlet>;
        self.outlet = Some(server.broker.attach(outlet));
        let topics: Vec<TopicName> = self.topics.keys().cloned().collect();
        for topic in topics {
            self.follow(server, &topic);
        }
    }

    /// The server ended.
    pub(super) fn detach(&mut self) {
        self.outlet = None;
        self.reads.clear();
        for following in self.topics.values_mut() {
            following.state = State::Out;
            following.posted = None;
        }
    }

    pub(super) fn follow(&mut self, server: &Server, topic: &TopicName) {
        let Some(outlet) = self.outlet else {
            return;
        };
        let following = self.topics.entry(topic.clone()).or_default();
        if following.state == State::Out {
            following.state = State::Joining;
            server.broker.join(outlet, topic);
        }
    }

    /// Goes away from a topic, and may come back later.
    pub(super) fn stop(&mut self, server: &Server, topic: &TopicName) {
        let Some(outlet) = self.outlet else {
            return;
        };
        if let Some(following) = self.topics.get_mut(topic)
            && matches!(following.state, State::Reading | State::Live)
        {
            following.state = State::Out;
            following.posted = None;
            self.reads.retain(|_, reading| reading != topic);
            server.broker.leave(outlet, topic);
        }
    }

    /// Where it stands in a topic that it follows.
    pub(super) fn place(&self, topic: &TopicName) -> Option<Position> {
        let following = self.topics.get(topic)?;
        (following.state == State::Live).then_some(following.at?)
    }

    /// Places in its mailbox that are taken.
    pub(super) fn reserved(&self) -> usize {
        self.mailbox.lock().taken
    }

    pub(super) fn take_mail(
        &mut self,
        server: &Server,
        ledger: &mut Ledger,
        count: usize,
        summary: &mut Durable,
    ) {
        for _ in 0..count {
            let Some(event) = self.mailbox.lock().events.pop_front() else {
                return;
            };
            match event {
                BrokerEvent::Publication(publication) => {
                    self.mailbox.lock().taken -= 1;
                    self.take_live(server, ledger, &publication, summary);
                }
                BrokerEvent::Joined { topic, outcome } => match outcome {
                    Ok(position) => self.joined(server, &topic, position),
                    // It asks again.
                    Err(_) => {
                        if let (Some(outlet), Some(_)) = (self.outlet, self.topics.get(&topic)) {
                            server.broker.join(outlet, &topic);
                        }
                    }
                },
                BrokerEvent::Read { read, outcome } => {
                    let Some(topic) = self.reads.remove(&read.0) else {
                        continue;
                    };
                    match outcome {
                        Ok(page) => self.take_page(server, ledger, &topic, &page, summary),
                        Err(_) => self.read_on(server, &topic),
                    }
                }
                BrokerEvent::Published { .. } => panic!("a follower publishes nothing"),
            }
        }
    }

    fn joined(&mut self, server: &Server, topic: &TopicName, position: Position) {
        let Some(following) = self.topics.get_mut(topic) else {
            return;
        };
        if following.state != State::Joining {
            return;
        }
        following.posted = Some(position);
        if following.at.is_some() {
            following.state = State::Reading;
            self.read_on(server, topic);
        } else {
            following.at = Some(position);
            following.state = State::Live;
        }
    }

    fn read_on(&mut self, server: &Server, topic: &TopicName) {
        let (Some(outlet), Some(following)) = (self.outlet, self.topics.get(topic)) else {
            return;
        };
        let (State::Reading, Some(at)) = (following.state, following.at) else {
            return;
        };
        let read = Read {
            start: Start::After(at),
            publications_max: 4,
            bytes_max: 10_000,
        };
        self.reads_made += 1;
        self.reads.insert(self.reads_made, topic.clone());
        server.broker.read(outlet, topic, read, ReadId(self.reads_made));
    }

    fn take_page(
        &mut self,
        server: &Server,
        ledger: &mut Ledger,
        topic: &TopicName,
        page: &Page,
        summary: &mut Durable,
    ) {
        let Some(following) = self.topics.get_mut(topic) else {
            return;
        };
        if following.state != State::Reading {
            return;
        }
        let Some(at) = following.at else {
            return;
        };
        if page.lost.is_some() {
            summary.told += 1;
        } else {
            assert_eq!(
                page.start, at,
                "{topic}: the page does not begin where it was asked to"
            );
        }
        let mut at = page.start;
        for publication in &page.publications {
            assert_eq!(publication.position, at.next(), "{topic}: a page has a gap");
            ledger.received(publication);
            summary.received += 1;
            at = publication.position;
        }
        following.at = Some(at);
        if following
            .posted
            .is_some_and(|posted| posted.epoch != page.end.epoch)
        {
            // The topic began a new epoch since it joined.
            return self.stop_anew(server, topic);
        }
        assert_eq!(
            Some(page.end),
            following.posted,
            "{topic}: a page says what was not posted"
        );
        if at == page.end {
            following.state = State::Live;
        } else {
            assert!(
                !page.publications.is_empty(),
                "{topic}: there is more and it is not given"
            );
            self.read_on(server, topic);
        }
    }

    fn take_live(
        &mut self,
        server: &Server,
        ledger: &mut Ledger,
        publication: &Publication,
        summary: &mut Durable,
    ) {
        let topic = &publication.draft.topic;
        let Some(following) = self.topics.get_mut(topic) else {
            panic!("{topic}: a publication came and nobody joined");
        };
        ledger.received(publication);
        // What was still in the mailbox when it left.
        let Some(posted) = following.posted else {
            return;
        };
        let at = publication.position;
        if at != posted.next() {
            assert_ne!(at.epoch, posted.epoch, "{topic}: {at} was posted behind {posted}");
            // The topic began a new epoch: it comes again, and is told.
            let topic = topic.clone();
            self.stop_anew(server, &topic);
            return;
        }
        following.posted = Some(at);
        if following.state == State::Live {
            following.at = Some(at);
            summary.received += 1;
        }
    }

    fn stop_anew(&mut self, server: &Server, topic: &TopicName) {
        self.stop(server, topic);
        self.follow(server, topic);
    }
}

fn new_mailbox(places_max: usize) -> Arc<Mailbox> {
    Arc::new(Mailbox(Mutex::new(Box {
        events: VecDeque::new(),
        taken: 0,
        places_max,
    })))
}
