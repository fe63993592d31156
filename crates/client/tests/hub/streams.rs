//! Topics as streams.

use std::future::poll_fn;
use std::pin::Pin;

use fanfare_client::{Client, ConnectOptions, Delivery, Subscription, UnsubscribedBy};
use futures_core::Stream as _;
use tokio::time::timeout;

use crate::server::{PATIENCE, Server, pushes_until, quick};

async fn next(stream: &mut Subscription) -> Option<Delivery> {
    let next = poll_fn(|context| Pin::new(&mut *stream).poll_next(context));
    timeout(PATIENCE, next).await.expect("a delivery")
}

async fn number(stream: &mut Subscription) -> u64 {
    match next(stream).await {
        Some(Delivery::Publication(publication)) => publication.json().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn streams_of_one_topic_each_get_everything_and_the_last_one_unsubscribes() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut one = client.subscription("open:a").await.unwrap();
    let mut other = client.subscription("open:a").await.unwrap();
    assert_eq!((one.topic(), one.position().offset), ("open:a", 0));
    server.publish("open:a", 1..=3).await;
    for stream in [&mut one, &mut other] {
        for expected in 1..=3 {
            assert_eq!(number(stream).await, expected);
        }
    }
    drop(one);
    server.publish("open:a", [4]).await;
    assert_eq!(number(&mut other).await, 4);
    assert_eq!(server.fanfare.subscribers("open:a"), 1);
    drop(other);
    server.await_subscribers("open:a", 0).await;
    // Nothing of all that was for `next`.
    client.subscribe(&["open:a"]).await.unwrap();
    server.publish("open:a", [5]).await;
    assert_eq!(
        pushes_until(&mut client, "Publication").await,
        ["Welcome", "Publication"]
    );
}

#[tokio::test]
async fn a_topic_that_the_program_also_takes_with_next_stays() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.subscribe(&["open:a"]).await.unwrap();
    let mut stream = client.subscription("open:a").await.unwrap();
    server.publish("open:a", [1]).await;
    assert_eq!(number(&mut stream).await, 1);
    pushes_until(&mut client, "Publication").await;
    drop(stream);
    client.commands().ping().await.unwrap();
    server.publish("open:a", [2]).await;
    pushes_until(&mut client, "Publication").await;
    assert_eq!(server.fanfare.subscribers("open:a"), 1);
}

#[tokio::test]
async fn a_stream_that_is_not_read_holds_up_nobody_and_is_told_what_it_missed() {
    let server = Server::start().await;
    let options = ConnectOptions {
        deliveries_max: 4,
        ..quick()
    };
    let client = Client::connect(&server.url(), options).await.unwrap();
    let mut slow = client.subscription("open:slow").await.unwrap();
    let mut quick = client.subscription("open:quick").await.unwrap();
    server.publish("open:slow", 1..=20).await;
    server.publish("open:quick", [1]).await;
    assert_eq!(number(&mut quick).await, 1);
    // The order between topics is not promised, so everything must have come before the slow one is looked at.
    client.subscribe(&["open:slow"]).await.unwrap();
    client.commands().ping().await.unwrap();
    for expected in 1..=4 {
        assert_eq!(number(&mut slow).await, expected);
    }
    match next(&mut slow).await {
        Some(Delivery::Missed(gap)) => assert_eq!(gap.count, Some(16)),
        other => panic!("{other:?}"),
    }
    server.publish("open:slow", [21]).await;
    assert_eq!(number(&mut slow).await, 21);
}

#[tokio::test]
async fn whoever_ends_a_stream_is_told() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut stream = client.subscription("open:a").await.unwrap();
    client.commands().unsubscribe(&["open:a"]).await.unwrap();
    assert!(matches!(
        next(&mut stream).await,
        Some(Delivery::Unsubscribed(UnsubscribedBy::Program))
    ));
    assert!(next(&mut stream).await.is_none());
}

#[tokio::test]
async fn a_forbidden_topic_is_refused_and_leaves_nothing() {
    let server = Server::start().await;
    let client = server.client().await;
    let error = client.subscription("secret").await.unwrap_err();
    assert!(error.is_forbidden() && !error.is_unauthenticated(), "{error}");
    let error = client.publish("secret", &1).await.unwrap_err();
    assert!(error.is_forbidden() && !error.is_temporary(), "{error}");
    assert_eq!(server.fanfare.subscribers("secret"), 0);
    client.commands().ping().await.unwrap();
}
