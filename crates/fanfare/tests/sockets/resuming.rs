//! Consumers that begin in the past.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fanfare::{
    Delivery, Epoch, Fanfare, Loss, Missed, Payload, Position, Publication, Reading, Since, SubscribeOptions,
    Subscription,
};
use tokio::time::timeout;

use crate::client::{Client, DEADLINE};
use crate::history::{keeping, publish};
use crate::server::Server;

fn since(since: Since) -> SubscribeOptions {
    SubscribeOptions {
        since: Some(since),
        ..SubscribeOptions::default()
    }
}

fn subscribe(server: &Server, options: SubscribeOptions) -> Subscription {
    let subscribed = server.fanfare.subscribe_with("a", options);
    server.runtime.block_on(subscribed).unwrap()
}

/// Where the topic stands.
fn end(server: &Server) -> Position {
    let read = server.fanfare.history("a", Reading::Oldest, 0);
    server.runtime.block_on(read).unwrap().end
}

fn next(server: &Server, subscription: &mut Subscription) -> Option<Delivery> {
    let next = async { timeout(DEADLINE, subscription.next()).await };
    server.runtime.block_on(next).expect("a delivery in time")
}

fn publication(server: &Server, subscription: &mut Subscription) -> Arc<Publication> {
    match next(server, subscription) {
        Some(Delivery::Publication(publication)) => publication,
        other => panic!("{other:?} is no publication"),
    }
}

fn missed(server: &Server, subscription: &mut Subscription) -> Missed {
    match next(server, subscription) {
        Some(Delivery::Missed(missed)) => missed,
        other => panic!("{other:?} is no gap"),
    }
}

/// What comes until an offset has: publications, and how many are told to be missing. Each offset exactly once.
fn until(server: &Server, subscription: &mut Subscription, mut last: u64, end: u64) -> (u64, u64) {
    let (mut given, mut missing) = (0, 0);
    while last < end {
        match next(server, subscription).unwrap() {
            Delivery::Publication(publication) => {
                assert_eq!(publication.position.offset, last + 1);
                given += 1;
                last += 1;
            }
            Delivery::Missed(missed) => {
                assert_eq!((missed.from.offset, missed.count), (last + 1, missed.to - last));
                missing += missed.count;
                last = missed.to;
            }
        }
    }
    assert_eq!(last, end);
    (given, missing)
}

/// Threads that publish to `a` as fast as they can.
fn publishers(fanfare: &Fanfare, threads: u64, each: u64) -> Vec<JoinHandle<()>> {
    let publishing = |_| {
        let fanfare = fanfare.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for _ in 0..each {
                let published = fanfare.publish("a", Payload::text("x"));
                runtime.block_on(published).unwrap();
            }
        })
    };
    (0..threads).map(publishing).collect()
}

#[test]
fn what_was_missed_comes_before_what_is_published() {
    for (from, first, recovered) in [
        (Some("17"), 18, Some(Ok(()))),
        (Some("200"), 201, Some(Ok(()))),
        (Some("last 150"), 51, None),
        (Some("last 0"), 201, None),
        (Some("age"), 1, None),
        (None, 201, None),
    ] {
        let server = keeping(1_000);
        publish(&server, "a", 200);
        let options = SubscribeOptions {
            since: from.map(|from| match from.strip_prefix("last ") {
                Some(count) => Since::Last(count.parse().unwrap()),
                None if from == "age" => Since::Age(600_000),
                None => Since::Position(Position {
                    offset: from.parse().unwrap(),
                    ..end(&server)
                }),
            }),
            ..SubscribeOptions::default()
        };
        let mut subscription = subscribe(&server, options);
        assert_eq!(subscription.joined_at().offset, first - 1, "{from:?}");
        assert_eq!(subscription.recovered(), recovered, "{from:?}");
        publish(&server, "a", 200);
        let (given, missing) = until(&server, &mut subscription, first - 1, 400);
        assert_eq!((given, missing), (401 - first, 0), "{from:?}");
    }
}

#[test]
fn what_is_gone_is_told_first_and_with_the_reason() {
    let server = keeping(100);
    publish(&server, "a", 300);
    let here = end(&server);
    let other = Epoch(here.epoch.0.wrapping_add(1));
    for (place, loss, gone) in [
        (Position { offset: 50, ..here }, Loss::TooOld, 51..=200),
        (
            Position {
                epoch: other,
                offset: 250,
            },
            Loss::EpochChanged,
            1..=200,
        ),
    ] {
        let mut subscription = subscribe(&server, since(Since::Position(place)));
        assert_eq!(subscription.recovered(), Some(Err(loss)));
        assert_eq!(subscription.joined_at(), Position { offset: 200, ..here });
        let gap = missed(&server, &mut subscription);
        assert_eq!((gap.from.offset..=gap.to, gap.from.epoch), (gone, here.epoch));
        assert_eq!(until(&server, &mut subscription, 200, 300), (100, 0));
    }
    let ahead = Position { offset: 301, ..here };
    let mut subscription = subscribe(&server, since(Since::Position(ahead)));
    assert_eq!(subscription.recovered(), Some(Err(Loss::Ahead)));
    assert_eq!(subscription.joined_at(), here);
    publish(&server, "a", 1);
    assert_eq!(publication(&server, &mut subscription).position.offset, 301);
}

#[test]
fn nothing_is_lost_or_twice_while_others_publish_at_full_speed() {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 2_000;
    const MISSED: u64 = 700;
    let server = keeping(100_000);
    publish(&server, "a", MISSED);
    for _ in 0..10 {
        let place = Position {
            offset: end(&server).offset - MISSED,
            ..end(&server)
        };
        let options = SubscribeOptions {
            publications_max: 100_000,
            bytes_max: 64 << 20,
            ..since(Since::Position(place))
        };
        let publishing = publishers(&server.fanfare, PUBLISHERS, EACH);
        let mut subscription = subscribe(&server, options);
        assert_eq!(subscription.recovered(), Some(Ok(())));
        let all = MISSED + PUBLISHERS * EACH;
        let came = until(&server, &mut subscription, place.offset, place.offset + all);
        assert_eq!(came, (all, 0));
        for thread in publishing {
            thread.join().unwrap();
        }
    }
}

#[test]
fn a_slow_one_is_told_what_the_topic_forgets_and_each_offset_comes_once() {
    const ALL: u64 = 20_000;
    let server = keeping(100);
    publish(&server, "a", 100);
    let options = SubscribeOptions {
        publications_max: 8,
        ..since(Since::Last(100))
    };
    let mut subscription = subscribe(&server, options);
    let publishing = publishers(&server.fanfare, 2, ALL / 2);
    let (given, missing) = until(&server, &mut subscription, 0, ALL + 100);
    assert_eq!(given + missing, ALL + 100);
    for thread in publishing {
        thread.join().unwrap();
    }
}

#[test]
fn what_is_missed_waits_in_the_log_and_not_for_the_consumer() {
    const ALL: u64 = 10_000;
    let server = keeping(100_000);
    publish(&server, "a", ALL / 2);
    let options = SubscribeOptions {
        publications_max: 16,
        ..since(Since::Last(u32::MAX))
    };
    let mut subscription = subscribe(&server, options);
    assert_eq!(publication(&server, &mut subscription).position.offset, 1);
    // More than may wait for it, while it does not look.
    publish(&server, "a", ALL / 2);
    assert_eq!(until(&server, &mut subscription, 1, ALL), (ALL - 1, 0));
    assert_eq!(server.fanfare.stats().consumer_missed, 0);
    // It has come up with the others: now its own bound holds.
    publish(&server, "a", 100);
    assert_eq!(until(&server, &mut subscription, ALL, ALL + 100), (16, 84));
}

#[test]
fn a_consumer_and_a_client_that_come_back_get_the_same() {
    let server = keeping(1_000);
    publish(&server, "a", 100);
    let place = Position {
        offset: 40,
        ..end(&server)
    };
    let mut subscription = subscribe(&server, since(Since::Position(place)));
    let target = format!("/ws?topic=a&since={place}");
    let (mut client, _) = Client::open_json(server.address, &target);
    assert_eq!(client.expect("subscribed")["topics"][0]["recovered"], true);
    publish(&server, "a", 100);
    for offset in 41..=200 {
        assert_eq!(client.expect("message")["offset"], offset);
        assert_eq!(publication(&server, &mut subscription).position.offset, offset);
    }
}

#[test]
fn one_that_still_reads_ends_with_the_hub() {
    let server = keeping(1_000);
    publish(&server, "a", 500);
    let mut subscription = subscribe(&server, since(Since::Last(500)));
    let shut_down = server.fanfare.shutdown(Duration::ZERO, Duration::ZERO);
    server.runtime.block_on(shut_down);
    // What it missed is in memory, so it can be read to its end.
    assert_eq!(until(&server, &mut subscription, 0, 500), (500, 0));
    publish(&server, "a", 1);
    assert_eq!(next(&server, &mut subscription), None);
    assert_eq!(next(&server, &mut subscription), None, "the end stays the end");
    let late = server.fanfare.subscribe_with("a", since(Since::Last(1)));
    assert!(server.runtime.block_on(late).is_err());
}

#[test]
fn one_that_is_given_up_in_between_leaves_nothing_behind() {
    let server = keeping(0);
    for _ in 0..100 {
        let subscribing = server.fanfare.subscribe_with("a", since(Since::Last(10)));
        drop(subscribing);
        drop(subscribe(&server, since(Since::Last(10))));
    }
    server.assert_empty();
    assert_eq!(server.fanfare.stats().consumers, 0);
}
