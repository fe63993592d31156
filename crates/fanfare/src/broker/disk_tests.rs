//! Durable topics: the contract, what is there after a restart, and what a disk that fails does to whom.

use std::sync::Mutex;
use std::task::Poll;
use std::time::{Duration, Instant};

use fanfare_hub::access::{TopicRule, TopicRules};
use fanfare_hub::broker::{
    Broker, BrokerEvent, Outlet, OutletId, Page, PublishId, Published, Read, ReadId, Refusal, Start,
};
use fanfare_hub::{Retention, conformance};
use fanfare_log::{Fault, Memory};
use fanfare_protocol::{
    Draft as Publishing, IdempotencyKey, Loss, Payload, Position, Publication, StateVersion, Timestamp,
    TopicName,
};

use super::*;
use crate::clock::wall;

/// A server on a disk in memory, with one subscriber's mailbox.
struct Server {
    broker: Arc<LocalBroker>,
    disk: Arc<Disk>,
    mail: Arc<Mail>,
    outlet: OutletId,
}

/// A mailbox that keeps everything.
#[derive(Default)]
struct Mail {
    events: Mutex<Vec<BrokerEvent>>,
    reserved: Mutex<usize>,
}

impl Outlet for Mail {
    fn try_reserve(&self, _bytes: usize) -> bool {
        *self.reserved.lock().unwrap() += 1;
        true
    }

    fn cancel(&self, _bytes: usize) {
        *self.reserved.lock().unwrap() -= 1;
    }

    fn post_reserved(&self, publication: Arc<Publication>) {
        *self.reserved.lock().unwrap() -= 1;
        self.post(BrokerEvent::Publication(publication));
    }

    fn post(&self, answer: BrokerEvent) {
        self.events.lock().unwrap().push(answer);
    }
}

impl Mail {
    /// Waits for the first event that is looked for, and takes it out.
    fn wait<T>(&self, what: &str, look_for: impl Fn(&BrokerEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let mut events = self.events.lock().unwrap();
            let found = events.iter().position(|event| look_for(event).is_some());
            if let Some(event) = found.map(|at| events.remove(at)) {
                return look_for(&event).unwrap();
            }
            drop(events);
            assert!(Instant::now() < deadline, "{what} does not come");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Server {
    fn start(storage: &Memory) -> Self {
        Self::with(storage, TopicRules::default(), |options| options)
    }

    fn with(
        storage: &Memory,
        rules: TopicRules,
        change: impl FnOnce(StorageOptions) -> StorageOptions,
    ) -> Self {
        let way = WayToBroker::default();
        let options = change(StorageOptions::new("unused"));
        let disk = Arc::new(Disk::on(Arc::new(storage.clone()), &options, &way).unwrap());
        let kept = Retention {
            publications_max: conformance::HISTORY_FRAMES,
            age_max_ms: 3_600_000,
            ..Retention::default()
        };
        let broker = LocalBroker::new(kept, &fanfare_hub::Limits::default(), fastrand::u64(..))
            .with_journal(Some(Arc::clone(&disk) as Arc<dyn Journal>));
        let broker = Arc::new(broker);
        broker.set_rules(Arc::new(rules));
        broker.restore_keys(wall()).unwrap();
        way.lead_to(&broker);
        let mail = Arc::new(Mail::default());
        let outlet = broker.attach(Arc::clone(&mail) as Arc<dyn Outlet>);
        Self {
            broker,
            disk,
            mail,
            outlet,
        }
    }

    fn publish(&self, topic: &str, text: &str) -> Result<Published, Refusal> {
        self.publish_draft(draft(topic, text))
    }

    fn publish_draft(&self, draft: Publishing) -> Result<Published, Refusal> {
        self.answered(|id| self.broker.publish(draft, self.outlet, id))
    }

    fn remove(&self, name: &str) -> Result<Published, Refusal> {
        self.answered(|id| self.broker.remove_history(&topic(name), self.outlet, id))
    }

    fn answered(
        &self,
        ask: impl FnOnce(PublishId) -> Poll<Result<Published, Refusal>>,
    ) -> Result<Published, Refusal> {
        let id = PublishId(fastrand::u64(..));
        match ask(id) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => self.mail.wait("an answer", |event| match event {
                BrokerEvent::Published { publish, outcome } if *publish == id => Some(*outcome),
                _ => None,
            }),
        }
    }

    fn join(&self, name: &str) -> Position {
        self.broker.join(self.outlet, &topic(name));
        self.mail.wait("a join", |event| match event {
            BrokerEvent::Joined { outcome, .. } => Some(outcome.unwrap()),
            _ => None,
        })
    }

    /// The next publication that comes live.
    fn next(&self) -> String {
        self.mail.wait("a publication", |event| match event {
            BrokerEvent::Publication(publication) => Some(text(publication)),
            _ => None,
        })
    }

    fn read(&self, name: &str, start: Start) -> Result<Page, Refusal> {
        let (id, read) = (
            ReadId(fastrand::u64(..)),
            Read {
                start,
                publications_max: 1_000,
                bytes_max: 1 << 20,
            },
        );
        self.broker.read(self.outlet, &topic(name), read, id);
        self.mail.wait("a page", |event| match event {
            BrokerEvent::Read { read, outcome } if *read == id => Some(outcome.clone()),
            _ => None,
        })
    }

    fn texts(&self, name: &str, start: Start) -> Vec<String> {
        let page = self.read(name, start).unwrap();
        page.publications.iter().map(|one| text(one)).collect()
    }
}

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn draft(name: &str, text: &str) -> Publishing {
    Publishing::new(topic(name), Payload::text(text.to_owned()), wall())
}

fn text(publication: &Publication) -> String {
    String::from_utf8(publication.draft.payload.as_bytes().to_vec()).unwrap()
}

/// Flips a bit of the first of these bytes, in whatever segment they are.
fn flip(storage: &Memory, bytes: &[u8]) {
    for name in storage.names().unwrap() {
        let mut content = storage.content(&name).unwrap();
        let at = content.windows(bytes.len()).position(|there| there == bytes);
        if let Some(at) = at {
            content[at] ^= 1;
            storage.set_content(&name, content);
            return;
        }
    }
    panic!("no file has these bytes");
}

#[test]
fn it_keeps_the_contract() {
    conformance::check(|| Server::start(&Memory::new(7)).broker);
}

#[test]
fn what_was_answered_is_there_after_a_loss_of_power() {
    let storage = Memory::new(1);
    let server = Server::start(&storage);
    let first = server.publish("a", "one").unwrap().position;
    let second = server.publish("a", "two").unwrap().position;
    assert_eq!(second, first.next());
    // The one before never ends: it was cut off.
    std::mem::forget(server);
    storage.lose_power();

    let server = Server::start(&storage);
    let page = server.read("a", Start::Oldest).unwrap();
    assert_eq!((page.end, page.oldest), (second, 1));
    assert_eq!(server.texts("a", Start::After(first)), ["two"]);
    assert_eq!(server.texts("a", Start::At(Timestamp(0))), ["one", "two"]);
    assert_eq!(server.texts("a", Start::Before(second)), ["one"]);
    assert_eq!(server.texts("a", Start::Last(1)), ["two"]);
    assert_eq!(server.join("a"), second, "the epoch is the same");
    let third = server.publish("a", "three").unwrap().position;
    assert_eq!(third, second.next());
    assert_eq!(server.next(), "three");
    assert_eq!(server.texts("a", Start::After(first)), ["two", "three"]);
}

#[test]
fn a_repetition_is_known_after_a_restart() {
    let storage = Memory::new(1);
    let keyed = || Publishing {
        idempotency_key: IdempotencyKey::parse("k").ok(),
        ..draft("a", "one")
    };
    let server = Server::start(&storage);
    let first = server.publish_draft(keyed()).unwrap();
    assert!(!first.is_repetition);
    drop(server);
    let server = Server::start(&storage);
    let again = server.publish_draft(keyed()).unwrap();
    assert_eq!(again, Published::again(first.position));
    assert_eq!(server.texts("a", Start::Oldest), ["one"]);
}

#[test]
fn topics_that_nobody_uses_are_listed_from_the_disk() {
    let storage = Memory::new(1);
    let server = Server::start(&storage);
    for name in ["a", "b", "c"] {
        server.publish(name, "one").unwrap();
    }
    drop(server);
    let server = Server::start(&storage);
    server.join("b");
    let mut listed = Vec::new();
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        let page = server.broker.topics(at, 1);
        listed.extend(
            page.topics
                .into_iter()
                .map(|row| (row.topic.to_string(), row.history)),
        );
        cursor = page.next;
    }
    listed.sort();
    assert_eq!(listed, ["a", "b", "c"].map(|name| (name.to_owned(), 1)));
}

#[test]
fn a_full_disk_refuses_durable_topics_alone() {
    let storage = Memory::new(1);
    let rules = TopicRules::from([TopicRule::new("live").unwrap().durable(false)]);
    let server = Server::with(&storage, rules, |options| options);
    let before = server.publish("a", "one").unwrap().position;
    server.join("a");
    storage.set_room(Some(0));
    assert_eq!(server.publish("a", "two"), Err(Refusal::StorageFull));
    assert!(server.publish("live", "here").is_ok());
    assert!(server.disk.figures().is_full);
    storage.set_room(None);
    let after = server.publish("a", "three").unwrap().position;
    assert_eq!(after, before.next(), "what was refused has no place");
    assert_eq!(server.next(), "three");
    assert!(!server.disk.figures().is_full);
    assert_eq!(*server.mail.reserved.lock().unwrap(), 0);
}

#[test]
fn a_publication_that_may_be_lost_is_not_said_to_be_refused() {
    let storage = Memory::new(1);
    let server = Server::start(&storage);
    server.publish("a", "one").unwrap();
    server.join("a");
    storage.fail_after(1, Fault::Error);
    assert_eq!(server.publish("a", "two"), Err(Refusal::OutcomeUnknown));
    assert_eq!(server.publish("a", "three"), Err(Refusal::Unavailable));
    assert!(server.disk.figures().is_failed);
    assert_eq!(server.texts("a", Start::Oldest), ["one"], "what is there is read");
    assert_eq!(*server.mail.reserved.lock().unwrap(), 0);
}

#[test]
fn a_damaged_publication_ends_the_epoch_and_is_not_given() {
    let storage = Memory::new(1);
    let server = Server::start(&storage);
    let first = server.publish("a", "one").unwrap().position;
    server.publish("a", "DAMAGED").unwrap();
    let third = server.publish("a", "three").unwrap().position;
    drop(server);
    let server = Server::start(&storage);
    flip(&storage, b"DAMAGED");
    let page = server.read("a", Start::After(first)).unwrap();
    assert_eq!(page.lost, Some(Loss::EpochChanged));
    assert_ne!(page.end.epoch, third.epoch);
    assert_eq!(page.end.offset, third.offset);
    assert_eq!(server.texts("a", Start::Oldest), ["three"]);
    let fourth = server.publish("a", "four").unwrap().position;
    assert_eq!(fourth, page.end.next());
}

#[test]
fn the_servers_own_topics_are_in_memory() {
    let storage = Memory::new(1);
    let server = Server::start(&storage);
    let draft = Publishing::new(TopicName::all(), Payload::text("hello"), wall());
    let answer = server.broker.publish(draft, server.outlet, PublishId(1));
    assert!(answer.is_ready());
    drop(server);
    let server = Server::start(&storage);
    assert_eq!(server.broker.topics(0, 10).topics, []);
}

#[test]
fn what_was_removed_is_gone_over_a_restart_and_offsets_go_on() {
    let storage = Memory::new(1);
    let server = Server::start(&storage);
    server.publish("a", "one").unwrap();
    let before = server.publish("a", "two").unwrap().position;
    assert_eq!(server.remove("a"), Ok(Published::first(before)));
    assert_eq!(server.texts("a", Start::Oldest), Vec::<String>::new());
    let after = server.publish("a", "three").unwrap().position;
    assert_eq!(after, before.next());
    assert_eq!(server.texts("a", Start::Oldest), ["three"]);
    drop(server);
    let server = Server::start(&storage);
    assert_eq!(server.texts("a", Start::Oldest), ["three"]);
    // It is on the disk alone now.
    assert_eq!(server.remove("a"), Ok(Published::first(after)));
    assert_eq!(server.texts("a", Start::Oldest), Vec::<String>::new());
    assert!(server.remove("never").is_ok());
    assert_eq!(
        server.broker.topics(0, 10).topics.len(),
        0,
        "nothing is made by that"
    );
}

#[test]
fn a_removal_has_its_place_among_publications_that_are_under_way() {
    let storage = Memory::new(1);
    let server = Server::start(&storage);
    server.join("a");
    // None of these is waited for before the next.
    for text in ["one", "two"] {
        let pending = server
            .broker
            .publish(draft("a", text), server.outlet, PublishId(0));
        assert!(pending.is_pending());
    }
    let removal = server
        .broker
        .remove_history(&topic("a"), server.outlet, PublishId(1));
    assert!(removal.is_pending());
    server.publish("a", "three").unwrap();
    assert_eq!(server.texts("a", Start::Oldest), ["three"]);
    assert_eq!([(); 3].map(|()| server.next()), ["one", "two", "three"]);
    assert_eq!(*server.mail.reserved.lock().unwrap(), 0);
}

#[test]
fn what_a_failed_disk_does_not_remove_is_kept() {
    let storage = Memory::new(1);
    let server = Server::start(&storage);
    server.publish("a", "one").unwrap();
    storage.fail_after(0, Fault::Error);
    assert!(server.remove("a").is_err());
    assert_eq!(server.texts("a", Start::Oldest), ["one"]);
}

/// The same with a version.
fn state(name: &str, text: &str, number: u64) -> Publishing {
    let version = StateVersion { number, epoch: None };
    Publishing {
        version: Some(Box::new(version)),
        ..draft(name, text)
    }
}

#[test]
fn an_older_state_waits_for_the_newer_one_and_is_told_its_place() {
    let storage = Memory::new(1);
    let server = Server::start(&storage);
    let newer = server
        .broker
        .publish(state("a", "two", 2), server.outlet, PublishId(1));
    assert!(newer.is_pending());
    let told = server.publish_draft(state("a", "one", 1)).unwrap();
    let at = server.read("a", Start::Oldest).unwrap().end;
    assert_eq!((at.offset, told), (1, Published::again(at)));
    drop(server);
    let server = Server::start(&storage);
    let first = server.publish_draft(state("a", "one", 1)).unwrap();
    assert!(!first.is_repetition, "after a restart any version is new");
}

#[test]
fn a_state_that_the_disk_refused_makes_none_out_of_date() {
    let storage = Memory::new(1);
    let server = Server::start(&storage);
    server.join("a");
    storage.set_room(Some(0));
    assert_eq!(
        server.publish_draft(state("a", "three", 3)),
        Err(Refusal::StorageFull)
    );
    storage.set_room(None);
    assert!(!server.publish_draft(state("a", "two", 2)).unwrap().is_repetition);
    assert_eq!(server.next(), "two");
}
