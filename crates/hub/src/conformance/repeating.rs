//! What is published again with the same idempotency key.

use std::thread;

use fanfare_protocol::{Draft, IdempotencyKey, Position, TopicName};

use crate::broker::{Broker, Published, Refusal};

use super::probe::Probe;
use super::{accepted, draft, topic};

const PUBLISHERS: usize = 4;
const KEYS: u64 = 50;

pub(super) fn a_repetition_is_told_the_place_of_the_first<B: Broker + ?Sized>(broker: &B) {
    let (topic, elsewhere) = (topic("repeated"), topic("repeated-elsewhere"));
    let (reader, publisher) = (Probe::new(broker), Probe::new(broker));
    reader.join(&topic);
    let first = accepted(&publisher, keyed(&topic, "a", 1));
    accepted(&publisher, draft(&topic, 2));
    let other = accepted(&publisher, keyed(&topic, "b", 3));
    assert_eq!(other.offset, 3, "another key is another publication");
    for (key, place) in [("a", first), ("b", other), ("a", first)] {
        let outcome = Probe::new(broker).publish(keyed(&topic, key, 4));
        assert_eq!(
            outcome,
            Ok(Published::again(place)),
            "whoever publishes a known key is told the place of the first"
        );
    }
    accepted(&publisher, keyed(&elsewhere, "a", 5));
    assert_eq!(
        accepted(&publisher, draft(&topic, 6)).offset,
        4,
        "a repetition takes no place"
    );
    for (offset, text) in [(1, "1"), (2, "2"), (3, "3"), (4, "6")] {
        let publication = reader.publication("a publication that repeats nothing");
        assert_eq!(
            (publication.position.offset, publication.draft.payload.as_bytes()),
            (offset, text.as_bytes()),
            "a repetition is posted to nobody"
        );
    }
}

pub(super) fn a_known_key_is_looked_at_first<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("repeated-at-a-bad-time");
    let (full, publisher) = (Probe::with_room(broker, 1, usize::MAX), Probe::new(broker));
    let start = full.join(&topic);
    let expecting = Draft {
        expected: Some(start),
        ..keyed(&topic, "a", 1)
    };
    let place = accepted(&publisher, expecting.clone());
    assert_eq!(
        publisher.publish(draft(&topic, 2)),
        Err(Refusal::Overloaded),
        "a full mailbox refuses"
    );
    assert_eq!(
        publisher.publish(expecting),
        Ok(Published::again(place)),
        "what was published is told, though the topic has moved on and nothing else would be taken"
    );
}

pub(super) fn a_refused_publication_is_not_known_by_its_key<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("refused-and-repeated");
    let (full, publisher) = (Probe::with_room(broker, 1, usize::MAX), Probe::new(broker));
    full.join(&topic);
    accepted(&publisher, draft(&topic, 1));
    let refused = publisher.publish(keyed(&topic, "a", 2));
    assert_eq!(refused, Err(Refusal::Overloaded), "a full mailbox refuses");
    full.publication("what fitted into the mailbox");
    assert_eq!(
        accepted(&publisher, keyed(&topic, "a", 2)).offset,
        2,
        "what was refused may be published again"
    );
    full.publication("what was refused before");
}

pub(super) fn a_key_outlives_its_topic<B: Broker + ?Sized>(broker: &B) {
    let (left, unknown) = (topic("repeated-after-the-end"), topic("repeated-for-nobody"));
    let (reader, publisher) = (Probe::new(broker), Probe::new(broker));
    reader.join(&left);
    let places = [&left, &unknown].map(|topic| accepted(&publisher, keyed(topic, "a", 1)));
    reader.publication("a publication");
    broker.leave(reader.id, &left);
    for (topic, place) in [&left, &unknown].into_iter().zip(places) {
        let outcome = publisher.publish(keyed(topic, "a", 2));
        assert_eq!(
            outcome,
            Ok(Published::again(place)),
            "a key is known though nobody is there any more"
        );
    }
}

/// Several publish the same keys at the same time, as does one whose answers are lost, over several ways.
pub(super) fn one_of_racing_repetitions_is_published<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("repeated-racing");
    let reader = Probe::new(broker);
    reader.join(&topic);
    let told: Vec<Vec<Published>> = thread::scope(|scope| {
        let publish_all = || scope.spawn(|| publish_all_keys(broker, &topic));
        let publishers: Vec<_> = (0..PUBLISHERS).map(|_| publish_all()).collect();
        let told = publishers.into_iter().map(thread::ScopedJoinHandle::join);
        told.map(|told| told.unwrap_or_else(|_| panic!("a publisher failed")))
            .collect()
    });
    let mut places: Vec<Position> = Vec::new();
    for number in 0..KEYS as usize {
        let of_key: Vec<Published> = told.iter().map(|told| told[number]).collect();
        let place = of_key[0].position;
        assert!(
            of_key.iter().all(|published| published.position == place),
            "all who publish a key are told one place"
        );
        let first = of_key.iter().filter(|published| !published.is_repetition);
        assert_eq!(first.count(), 1, "one of them is the first");
        places.push(place);
    }
    for _ in 0..KEYS {
        let publication = reader.publication("a publication of each key");
        let place = places.iter().position(|place| *place == publication.position);
        let text = publication.draft.payload.as_bytes();
        assert_eq!(
            place.map(|number| number.to_string().into_bytes()).as_deref(),
            Some(text),
            "of racing repetitions one is published, in the place that all are told"
        );
    }
    reader.fence();
    assert_eq!(reader.waiting(), 0, "there is one publication of each key");
}

fn publish_all_keys<B: Broker + ?Sized>(broker: &B, topic: &TopicName) -> Vec<Published> {
    let probe = Probe::new(broker);
    let publish = |number: u64| match probe.publish(keyed(topic, &number.to_string(), number)) {
        Ok(published) => published,
        Err(refusal) => panic!("a publication was refused: {refusal}"),
    };
    (0..KEYS).map(publish).collect()
}

/// A draft that says `number` and is known by `key`.
fn keyed(topic: &TopicName, key: &str, number: u64) -> Draft {
    Draft {
        idempotency_key: IdempotencyKey::parse(key).ok(),
        ..draft(topic, number)
    }
}
