//! Consumers: the host's own code receives what is published to a topic.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fanfare::{
    CallError, Delivery, Fanfare, Limits, Missed, Options, Payload, Publication, Refusal, SubscribeOptions,
    Subscription, TopicRules,
};
use futures_core::Stream;
use serde_json::json;
use tokio::time::timeout;

use crate::client::{Client, DEADLINE, eventually};
use crate::server::{Server, options};

fn few(publications_max: usize) -> SubscribeOptions {
    SubscribeOptions {
        publications_max,
        ..SubscribeOptions::default()
    }
}

fn subscribe(server: &Server, topic: &str, options: SubscribeOptions) -> Subscription {
    let subscribed = server.fanfare.subscribe_with(topic, options);
    server.runtime.block_on(subscribed).unwrap()
}

fn publish(server: &Server, topic: &str, text: &str) {
    let published = server.fanfare.publish(topic, Payload::text(text));
    server.runtime.block_on(published).unwrap();
}

/// The next delivery, by the stream and not by its own method.
async fn delivery(subscription: &mut Subscription) -> Option<Delivery> {
    let next = std::future::poll_fn(|cx| Stream::poll_next(Pin::new(&mut *subscription), cx));
    timeout(DEADLINE, next).await.expect("a delivery in time")
}

fn next(server: &Server, subscription: &mut Subscription) -> Option<Delivery> {
    server.runtime.block_on(delivery(subscription))
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

fn text(publication: &Publication) -> &str {
    std::str::from_utf8(publication.draft.payload.as_bytes()).unwrap()
}

#[test]
fn a_consumer_gets_what_clients_and_the_host_publish_from_where_it_joined() {
    let server = Server::with(Options {
        rules: Arc::new(TopicRules::open()),
        ..options()
    });
    let (mut client, id) = Client::open_json(server.address, "/ws?topic=a&user=ada");
    client.expect("subscribed");
    publish(&server, "a", "before");
    client.expect("message");
    let mut subscription = subscribe(&server, "a", SubscribeOptions::default());
    assert_eq!(subscription.topic().as_str(), "a");
    assert_eq!(subscription.joined_at().offset, 1);
    client.send_json(json!({"type": "publish", "topic": "a", "data": "hers", "echo": false}));
    let hers = publication(&server, &mut subscription);
    assert_eq!((hers.position.offset, text(&hers)), (2, r#""hers""#));
    let from = hers
        .draft
        .from
        .as_ref()
        .expect("a client's publication says whose it is");
    assert_eq!(from.connection.to_string(), id);
    assert_eq!(from.user.as_ref().unwrap().as_str(), "ada");
    publish(&server, "b", "elsewhere");
    publish(&server, "a", "mine");
    let mine = publication(&server, &mut subscription);
    assert_eq!((mine.position.offset, text(&mine)), (3, "mine"));
    assert_eq!(mine.position.epoch, subscription.joined_at().epoch);
    assert_eq!(mine.draft.from, None);
}

#[test]
fn a_slow_consumer_loses_the_oldest_and_is_told_in_their_place() {
    let server = Server::start();
    let mut slow = subscribe(&server, "a", few(3));
    let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
    client.expect("subscribed");
    (1..=10).for_each(|number| publish(&server, "a", &number.to_string()));
    for offset in 1..=10 {
        assert_eq!(client.expect("message")["offset"], offset, "clients miss nothing");
    }
    let gap = missed(&server, &mut slow);
    assert_eq!(gap.topic.as_str(), "a");
    assert_eq!((gap.from.offset, gap.to, gap.count), (1, 7, 7));
    assert_eq!(gap.from.epoch, slow.joined_at().epoch);
    for number in 8..=10 {
        assert_eq!(text(&publication(&server, &mut slow)), number.to_string());
    }
    publish(&server, "a", "11");
    assert_eq!(text(&publication(&server, &mut slow)), "11");
    assert_eq!(server.fanfare.stats().consumer_missed, 7);
    let page = server.fanfare.metrics();
    assert!(page.contains("fanfare_consumer_missed_total 7\n"), "{page}");
    assert!(page.contains("fanfare_consumers 1\n"), "{page}");
}

#[test]
fn a_consumers_bytes_are_bounded_and_the_newest_waits_whatever_its_size() {
    let server = Server::start();
    let options = SubscribeOptions {
        bytes_max: 20_000,
        ..SubscribeOptions::default()
    };
    let mut slow = subscribe(&server, "a", options);
    for _ in 0..10 {
        publish(&server, "a", &"x".repeat(6_000));
    }
    assert_eq!(missed(&server, &mut slow).count, 7, "three of 6,000 bytes fit");
    (0..3).for_each(|_| drop(publication(&server, &mut slow)));
    publish(&server, "a", "small");
    publish(&server, "a", &"x".repeat(50_000));
    assert_eq!(missed(&server, &mut slow).count, 1);
    assert_eq!(text(&publication(&server, &mut slow)).len(), 50_000);
}

#[test]
fn under_load_everything_comes_in_order_or_is_told_to_be_missing_once() {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 5_000;
    let server = Server::start();
    let mut subscription = subscribe(&server, "a", few(8));
    let publishing: Vec<_> = (0..PUBLISHERS)
        .map(|_| {
            let fanfare = server.fanfare.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for _ in 0..EACH {
                    runtime
                        .block_on(fanfare.publish("a", Payload::text("x")))
                        .unwrap();
                }
            })
        })
        .collect();
    let (mut last, mut missing) = (0, 0);
    server.runtime.block_on(async {
        while last < PUBLISHERS * EACH {
            match delivery(&mut subscription).await.unwrap() {
                Delivery::Publication(publication) => {
                    assert_eq!(publication.position.offset, last + 1);
                    last += 1;
                }
                Delivery::Missed(missed) => {
                    assert_eq!(missed.from.offset, last + 1);
                    assert_eq!(missed.count, missed.to - last);
                    missing += missed.count;
                    last = missed.to;
                }
            }
        }
    });
    for thread in publishing {
        thread.join().unwrap();
    }
    assert_eq!(server.fanfare.stats().consumer_missed, missing);
}

#[test]
fn a_consumer_is_no_subscriber_and_leaves_nothing_behind() {
    let server = Server::start();
    let subscription = subscribe(&server, "a", SubscribeOptions::default());
    assert_eq!(server.fanfare.subscribers("a"), 0);
    let topics = server.fanfare.topics(0, 10).topics;
    assert_eq!(topics.len(), 1, "the topic is there, though");
    assert_eq!(server.fanfare.stats().consumers, 1);
    let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
    client.expect("subscribed");
    eventually("it is counted", || server.fanfare.subscribers("a") == 1);
    drop(client);
    eventually("it is gone", || server.fanfare.subscribers("a") == 0);
    drop(subscription);
    server.assert_empty();
    assert_eq!(server.fanfare.stats().consumers, 0);
}

#[test]
fn many_consumers_come_and_go_without_disturbing_those_that_stay() {
    let server = Server::start();
    let mut stays = subscribe(&server, "a", SubscribeOptions::default());
    for round in 1..=200 {
        let passing: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|topic| subscribe(&server, topic, few(1)))
            .collect();
        publish(&server, "a", "x");
        drop(passing);
        assert_eq!(publication(&server, &mut stays).position.offset, round);
    }
    let topics = server.fanfare.topics(0, 10).topics;
    assert_eq!(topics.len(), 1, "{topics:?}");
}

#[test]
fn a_next_that_is_given_up_loses_nothing() {
    let server = Server::start();
    let mut subscription = subscribe(&server, "a", SubscribeOptions::default());
    server.runtime.block_on(async {
        let early = timeout(Duration::from_millis(10), subscription.next()).await;
        assert!(early.is_err(), "{early:?}");
    });
    publish(&server, "a", "1");
    publish(&server, "a", "2");
    assert_eq!(text(&publication(&server, &mut subscription)), "1");
    assert_eq!(text(&publication(&server, &mut subscription)), "2");
}

#[test]
fn a_consumer_that_waits_is_woken_and_one_that_finds_always_something_lets_others_run() {
    let server = Server::start();
    let mut subscription = subscribe(&server, "a", few(100_000));
    (0..20_000).for_each(|_| publish(&server, "a", "x"));
    let got = server.runtime.block_on(async {
        let together = tokio::task::LocalSet::new();
        let other = together.spawn_local(async {});
        let consuming = async {
            let mut got = 0;
            while !other.is_finished() && got < 20_000 {
                subscription.next().await.unwrap();
                got += 1;
            }
            got
        };
        together.run_until(consuming).await
    });
    assert!(got < 20_000, "the other task ran only when nothing was left");
}

#[test]
fn consumers_end_with_the_hub_behind_what_waits() {
    let server = Server::start();
    let mut subscription = subscribe(&server, "a", SubscribeOptions::default());
    let (mut client, _) = Client::open_json(server.address, "/ws");
    client.ask(json!({"type": "publish", "topic": "a", "data": "last words", "id": 1}));
    let shut_down = server.fanfare.shutdown(Duration::ZERO, Duration::ZERO);
    server.runtime.block_on(shut_down);
    assert_eq!(text(&publication(&server, &mut subscription)), r#""last words""#);
    assert_eq!(next(&server, &mut subscription), None);
    publish(&server, "a", "nobody hears this");
    assert_eq!(next(&server, &mut subscription), None, "the end stays the end");
    let late = server.runtime.block_on(server.fanfare.subscribe("a"));
    assert_eq!(late.unwrap_err(), CallError::Closed);
}

#[test]
fn a_consumer_does_not_keep_a_hub_that_nobody_holds() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let fanfare = Fanfare::start(options()).unwrap();
    let mut subscription = runtime.block_on(fanfare.subscribe("a")).unwrap();
    let waiting = std::thread::spawn(move || runtime.block_on(delivery(&mut subscription)));
    drop(fanfare);
    assert_eq!(waiting.join().unwrap(), None);
}

#[test]
fn a_consumer_needs_a_topic_that_may_exist() {
    let server = Server::with_limits(Limits {
        topics_max: 1,
        ..Limits::default()
    });
    let ask = |topic: &'static str| server.runtime.block_on(server.fanfare.subscribe(topic));
    assert!(matches!(ask("$all"), Err(CallError::Topic(_))));
    let only = ask("a").unwrap();
    let refused = ask("b").unwrap_err();
    assert_eq!(refused, CallError::Refused(Refusal::TooManyTopics));
    assert_eq!(
        server.fanfare.stats().consumers,
        1,
        "who was refused is not counted"
    );
    drop(only);
    drop(ask("b").unwrap());
}
