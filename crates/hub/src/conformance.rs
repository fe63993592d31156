//! The conformance suite of the [`Broker`] contract. Every broker's tests call [`check`] or
//! [`check_without_history`] with a function that makes an empty one; a broken promise panics with the promise.
//!
//! Answers may come at once or later: the suite waits for them, up to five seconds each. What is not done here:
//! what a broker does when its connection to somewhere else breaks, which only its own tests can arrange.

#![allow(
    clippy::panic,
    reason = "this is the body of tests: a broken promise is reported by panicking"
)]

mod attending;
mod detaching;
mod expecting;
mod history;
mod outdated;
mod probe;
mod racing;
mod refusals;
mod repeating;

use std::sync::Arc;

use fanfare_protocol::{
    ConnectionId, Draft, IdempotencyKey, Key, Payload, Position, Publisher, Timestamp, TopicName,
};

use crate::broker::{Broker, Refusal};
use probe::Probe;

/// Publications per topic that the brokers given to [`check`] keep, whatever their size and age.
pub const HISTORY_FRAMES: usize = 64;

/// Checks a broker that keeps the last [`HISTORY_FRAMES`] publications of every topic. Each promise gets a broker of
/// its own from `make`; they need not be independent of each other, because topic names are not used twice.
///
/// # Panics
/// When a promise of the contract is broken.
pub fn check<B: Broker + ?Sized>(make: impl Fn() -> Arc<B>) {
    check_promises(&make);
    history::everything_kept_is_given(&*make());
    history::everything_kept_is_given_backward(&*make());
    history::a_reading_may_begin_anywhere(&*make());
    history::a_reading_is_bounded(&*make());
    history::what_cannot_be_recovered_is_said(&*make());
    history::a_topic_outlives_its_subscribers(&*make());
    racing::readings_meet_live_publications(&*make());
}

/// Checks a broker that keeps no history.
///
/// # Panics
/// When a promise of the contract is broken.
pub fn check_without_history<B: Broker + ?Sized>(make: impl Fn() -> Arc<B>) {
    check_promises(&make);
    history::nothing_older_than_now_is_recovered(&*make());
    history::a_topic_ends_with_its_last_subscriber(&*make());
    racing::readings_meet_live_publications(&*make());
}

fn check_promises<B: Broker + ?Sized>(make: &impl Fn() -> Arc<B>) {
    offsets_are_dense(&*make());
    topics_are_independent(&*make());
    nothing_comes_before_a_join_or_after_a_leave(&*make());
    publications_arrive_as_they_were_drafted(&*make());
    refusals::a_full_mailbox_refuses_the_publisher(&*make());
    refusals::a_mailbox_full_of_bytes_refuses_the_publisher(&*make());
    detaching::what_is_detached_has_left_every_topic(&*make());
    detaching::what_is_detached_is_not_answered(&*make());
    subscribers_are_summed(&*make());
    attending::who_is_there_is_told(&*make());
    attending::what_has_changed_is_told(&*make());
    attending::who_leaves_takes_its_own_along(&*make());
    topics_are_listed_once_each(&*make());
    racing::every_outlet_sees_one_order(&*make());
    repeating::a_repetition_is_told_the_place_of_the_first(&*make());
    repeating::a_known_key_is_looked_at_first(&*make());
    repeating::a_refused_publication_is_not_known_by_its_key(&*make());
    repeating::a_key_outlives_its_topic(&*make());
    repeating::one_of_racing_repetitions_is_published(&*make());
    expecting::a_publication_follows_where_it_is_expected_to(&*make());
    expecting::a_first_publication_may_be_expected(&*make());
    expecting::one_of_racing_publications_follows(&*make());
    outdated::what_is_out_of_date_is_not_published(&*make());
    outdated::a_refused_publication_outdates_none(&*make());
}

fn offsets_are_dense<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("dense");
    let (reader, other, publisher) = (Probe::new(broker), Probe::new(broker), Probe::new(broker));
    let start = reader.join(&topic);
    assert_eq!(start.offset, 0, "an empty log stands at offset 0");
    other.join(&topic);
    for offset in 1..=20 {
        let place = accepted(&publisher, draft(&topic, offset));
        let expected = Position { offset, ..start };
        assert_eq!(place, expected, "offsets are dense from 1 within an epoch");
        for probe in [&reader, &other] {
            let publication = probe.publication("a publication of a joined topic");
            assert_eq!(
                publication.position, expected,
                "an outlet gets publications in order, without a gap"
            );
        }
    }
}

fn topics_are_independent<B: Broker + ?Sized>(broker: &B) {
    let (left, right) = (topic("left"), topic("right"));
    let probe = Probe::new(broker);
    probe.join(&left);
    probe.join(&right);
    for number in 1..=5 {
        assert_eq!(accepted(&probe, draft(&left, number)).offset, number);
        assert_eq!(accepted(&probe, draft(&right, number)).offset, number);
    }
    let mut last = [0; 2];
    for _ in 0..10 {
        let publication = probe.publication("a publication of either topic");
        let last = &mut last[usize::from(publication.draft.topic == right)];
        *last += 1;
        assert_eq!(publication.position.offset, *last, "each topic counts for itself");
    }
}

fn nothing_comes_before_a_join_or_after_a_leave<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("bounded-by-join-and-leave");
    let (probe, keeper) = (Probe::new(broker), Probe::new(broker));
    keeper.join(&topic);
    accepted(&keeper, draft(&topic, 1));
    probe.fence();
    assert_eq!(
        probe.waiting(),
        0,
        "an outlet that has not joined gets no publication"
    );
    assert_eq!(probe.join(&topic).offset, 1, "a join tells where the log stands");
    accepted(&keeper, draft(&topic, 2));
    assert_eq!(
        probe.publication("what follows a join").position.offset,
        2,
        "publications follow a join without a gap"
    );
    broker.leave(probe.id, &topic);
    accepted(&keeper, draft(&topic, 3));
    probe.fence();
    assert_eq!(probe.waiting(), 0, "an outlet that left gets no publication");
    assert_eq!(
        probe.join(&topic).offset,
        3,
        "a topic goes on while another outlet holds it"
    );
    broker.leave(probe.id, &topic);
    broker.leave(probe.id, &topic);
    assert_eq!(accepted(&keeper, draft(&topic, 4)).offset, 4);
}

fn publications_arrive_as_they_were_drafted<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("verbatim");
    let probe = Probe::new(broker);
    probe.join(&topic);
    let connection = ConnectionId::new(3, 4, 5);
    let bare = Draft {
        from: None,
        key: None,
        except: None,
        payload: Payload::binary(vec![0, 255, 128]),
        ..draft(&topic, 1)
    };
    let full = Draft {
        idempotency_key: IdempotencyKey::parse("once").ok(),
        from: Some(Publisher {
            connection,
            user: fanfare_protocol::UserName::parse("ada").ok(),
            info: Some(Arc::from("{\"color\":\"red\"}")),
            topic_info: None,
        }),
        key: Key::parse("key").ok(),
        except: Some(connection),
        ..draft(&topic, 2)
    };
    for drafted in [bare, full] {
        accepted(&probe, drafted.clone());
        let publication = probe.publication("a publication");
        assert_eq!(publication.draft, drafted, "a publication is what was drafted");
    }
}

fn subscribers_are_summed<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("counted");
    let (first, second) = (Probe::new(broker), Probe::new(broker));
    let count = || broker.subscribers(topic.as_str());
    assert_eq!(count(), 0, "an unknown topic has no subscribers");
    first.join(&topic);
    second.join(&topic);
    assert_eq!(count(), 0, "a join alone is no subscriber");
    broker.report(first.id, &topic, 3);
    broker.report(second.id, &topic, 4);
    assert_eq!(count(), 7, "subscribers are summed over outlets");
    broker.report(first.id, &topic, 1);
    assert_eq!(count(), 5, "a report replaces the one before");
    broker.leave(second.id, &topic);
    assert_eq!(count(), 1, "an outlet that left has no subscribers");
    broker.leave(first.id, &topic);
    assert_eq!(count(), 0, "nobody is left");
}

fn topics_are_listed_once_each<B: Broker + ?Sized>(broker: &B) {
    let probe = Probe::new(broker);
    let topics: Vec<_> = (0..100)
        .map(|number| topic(&format!("listed-{number}")))
        .collect();
    for (number, topic) in topics.iter().enumerate() {
        probe.join(topic);
        broker.report(probe.id, topic, number as u32);
    }
    accepted(&probe, draft(&topics[7], 1));
    for count in [1, 7, 100, 1_000] {
        let rows = listed(broker, count);
        for (number, topic) in topics.iter().enumerate() {
            let mut of_topic = rows.iter().filter(|row| row.topic == *topic);
            let Some(row) = of_topic.next() else {
                panic!("{topic} is missing from the pages of {count}");
            };
            assert!(of_topic.next().is_none(), "{topic} is listed twice");
            assert_eq!(
                row.subscribers, number as u64,
                "a row has the topic's subscribers"
            );
            assert_eq!(
                row.position.offset,
                u64::from(number == 7),
                "a row has the topic's position"
            );
        }
    }
}

/// All pages of `count` topics.
fn listed<B: Broker + ?Sized>(broker: &B, count: usize) -> Vec<crate::broker::TopicRow> {
    let (mut rows, mut cursor) = (Vec::new(), Some(0));
    while let Some(from) = cursor {
        let page = broker.topics(from, count);
        assert!(page.topics.len() <= count, "a page is at most as long as asked");
        rows.extend(page.topics);
        cursor = page.next;
    }
    rows
}

fn topic(name: &str) -> TopicName {
    match TopicName::parse(name) {
        Ok(topic) => topic,
        Err(error) => panic!("{error}"),
    }
}

/// A draft that says `number`.
fn draft(topic: &TopicName, number: u64) -> Draft {
    let payload = Payload::text(number.to_string());
    Draft::new(topic.clone(), payload, Timestamp(1_700_000_000_000))
}

/// Publishes what no mailbox has a reason to refuse.
fn accepted<B: Broker + ?Sized>(probe: &Probe<'_, B>, draft: Draft) -> Position {
    match probe.publish(draft) {
        Ok(published) => {
            assert!(
                !published.is_repetition,
                "what has a place of its own repeats nothing"
            );
            published.position
        }
        Err(Refusal::Overloaded) => panic!("a publication was refused although no mailbox was full"),
        Err(Refusal::Unavailable) => panic!("the broker does not answer"),
        Err(refusal @ (Refusal::StorageFull | Refusal::OutcomeUnknown)) => {
            panic!("its disk fails: {refusal}")
        }
        Err(refusal @ (Refusal::RateLimited { .. } | Refusal::TooManyTopics)) => {
            panic!("set the broker's limits higher for this suite: {refusal}")
        }
        Err(Refusal::Conflict { .. }) => panic!("a publication that expects nothing is in nobody's way"),
    }
}
