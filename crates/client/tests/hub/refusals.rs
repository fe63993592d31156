//! Subscriptions that the server refuses when the client comes back.

use std::time::Duration;

use fanfare::{Denial, ErrorCode};
use fanfare_client::{Client, Delivery, Push, Subscription, UnsubscribedBy};
use fanfare_testing::Line;
use tokio::time::timeout;

use crate::server::{PATIENCE, Server, eventually, pushes_until, quick};

/// How long the application asks to wait.
const RETRY_AFTER: Duration = Duration::from_millis(150);

fn not_so_often() -> Denial {
    Denial::Refused {
        code: ErrorCode::RateLimited,
        message: "not so often".to_owned(),
        retry_after_ms: Some(RETRY_AFTER.as_millis() as u64),
        application_code: None,
    }
}

async fn connect(line: &Line) -> Client {
    Client::connect(&line.websocket_url("/ws"), quick())
        .await
        .unwrap()
}

async fn next(stream: &mut Subscription) -> Delivery {
    timeout(PATIENCE, stream.next())
        .await
        .expect("a delivery")
        .unwrap()
}

async fn numbers(stream: &mut Subscription, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        match next(stream).await {
            Delivery::Publication(publication) => numbers.push(publication.json().unwrap()),
            other => panic!("{other:?} after {numbers:?}"),
        }
    }
    numbers
}

#[tokio::test]
async fn what_is_refused_for_now_is_asked_for_again_and_nothing_of_it_is_missing() {
    let server = Server::start_that_keeps(100).await;
    let line = Line::to(server.address);
    let client = connect(&line).await;
    let mut stream = client.subscription("moody:a").await.unwrap();
    server.publish("moody:a", 1..=3).await;
    assert_eq!(numbers(&mut stream, 3).await, [1, 2, 3]);
    line.cut();
    server.await_subscribers("moody:a", 0).await;
    server.publish("moody:a", 4..=6).await;
    let unavailable = || Denial::refused(ErrorCode::Unavailable, "not now");
    let overloaded = || Denial::refused(ErrorCode::Overloaded, "not now");
    server
        .backend
        .will_deny([not_so_often(), unavailable(), overloaded(), not_so_often()]);
    line.mend();
    assert_eq!(numbers(&mut stream, 3).await, [4, 5, 6]);
    let asked_at = server.backend.asked_at();
    assert_eq!(asked_at.len(), 5);
    for denial in [0, 3] {
        let waited = asked_at[denial + 1] - asked_at[denial];
        assert!(
            waited >= RETRY_AFTER,
            "it was told to wait, and asked after {waited:?}"
        );
    }
    server.publish("moody:a", [7]).await;
    assert_eq!(numbers(&mut stream, 1).await, [7]);
}

#[tokio::test]
async fn what_is_refused_for_good_after_that_ends() {
    let server = Server::start_that_keeps(100).await;
    let line = Line::to(server.address);
    let client = connect(&line).await;
    let mut stream = client.subscription("moody:a").await.unwrap();
    line.cut();
    server.await_subscribers("moody:a", 0).await;
    let never = Denial::forbidden("never");
    server.backend.will_deny([not_so_often(), never]);
    line.mend();
    match next(&mut stream).await {
        Delivery::Unsubscribed(UnsubscribedBy::Refusal(refusal)) => assert_eq!(refusal.code, "forbidden"),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.backend.asked_at().len(), 2);
}

#[tokio::test]
async fn next_is_told_what_is_asked_for_later() {
    let server = Server::start_that_keeps(100).await;
    let line = Line::to(server.address);
    let mut client = connect(&line).await;
    client.subscribe(&["moody:a"]).await.unwrap();
    line.cut();
    server.await_subscribers("moody:a", 0).await;
    server.backend.will_deny([not_so_often()]);
    line.mend();
    loop {
        match timeout(PATIENCE, client.next()).await.expect("a push") {
            Some(Push::Postponed {
                topics,
                refusal,
                retry_after,
            }) => {
                assert_eq!(
                    (topics, &*refusal.code),
                    (vec!["moody:a".to_owned()], "rate_limited")
                );
                assert!(retry_after >= RETRY_AFTER);
                break;
            }
            Some(_) => {}
            None => panic!("{:?}", client.ended_by()),
        }
    }
    assert_eq!(pushes_until(&mut client, "Subscribed").await, ["Subscribed"]);
}

#[tokio::test]
async fn who_gives_up_a_topic_meanwhile_is_not_subscribed_to_it() {
    let server = Server::start_that_keeps(100).await;
    let line = Line::to(server.address);
    let client = connect(&line).await;
    let stream = client.subscription("moody:a").await.unwrap();
    line.cut();
    server.await_subscribers("moody:a", 0).await;
    server.backend.will_deny([not_so_often()]);
    line.mend();
    eventually("it is refused", async || {
        (server.backend.asked_at().len() == 1).then_some(())
    })
    .await;
    drop(stream);
    tokio::time::sleep(2 * RETRY_AFTER).await;
    client.commands().ping().await.unwrap();
    assert_eq!(server.backend.asked_at().len(), 1, "nobody wants it any more");
}

/// The broker itself refuses, and a command happens as a whole or not at all.
#[tokio::test]
async fn as_many_topics_as_fit_are_subscribed_to_and_the_others_when_there_is_room() {
    const TOPICS: [&str; 3] = ["open:a", "open:b", "open:c"];
    let server = Server::start_with_topics(3).await;
    let line = Line::to(server.address);
    let client = connect(&line).await;
    let mut streams = Vec::new();
    for topic in TOPICS {
        streams.push(client.subscription(topic).await.unwrap());
    }
    line.cut();
    for topic in TOPICS {
        server.await_subscribers(topic, 0).await;
    }
    let other = server.client().await;
    let in_the_way = other.subscription("open:other").await.unwrap();
    line.mend();
    let subscribed = || {
        TOPICS
            .iter()
            .filter(|topic| server.fanfare.subscribers(topic) == 1)
            .count()
    };
    eventually("two have room", async || (subscribed() == 2).then_some(())).await;
    drop(in_the_way);
    eventually("all have", async || (subscribed() == 3).then_some(())).await;
    for stream in &mut streams {
        let topic = stream.topic().to_owned();
        server.publish(&topic, [1]).await;
        loop {
            match next(stream).await {
                Delivery::Publication(_) => break,
                // Topics that keep nothing begin anew.
                Delivery::Missed(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
