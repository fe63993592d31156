//! What becomes of a client when its connection ends.

use std::time::Duration;

use fanfare::Disconnect;
use fanfare_client::{Client, Delivery, Error, Push, Subscription, UnsubscribedBy};
use tokio::time::timeout;

use crate::server::{PATIENCE, Server, pushes_until, token};

/// The numbers of a topic up to `last`, with `-` where some were missed.
async fn numbers_until(subscription: &mut Subscription, last: u64) -> Vec<String> {
    let mut numbers = Vec::new();
    loop {
        let next = timeout(PATIENCE, subscription.next()).await;
        match next.unwrap_or_else(|_| panic!("no {last} after {numbers:?}")) {
            Some(Delivery::Publication(publication)) => {
                let number: u64 = publication.json().unwrap();
                numbers.push(number.to_string());
                if number == last {
                    return numbers;
                }
            }
            Some(Delivery::Missed(_)) => numbers.push("-".to_owned()),
            other => panic!("{other:?} after {numbers:?}"),
        }
    }
}

#[tokio::test]
async fn a_restart_of_the_server_doubles_nothing_and_keeps_the_order() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut stream = client.subscription("open:a").await.unwrap();
    client.subscribe(&["open:b"]).await.unwrap();
    server.publish("open:a", 1..=5).await;
    assert_eq!(numbers_until(&mut stream, 5).await, ["1", "2", "3", "4", "5"]);
    // Long enough for attempts that fail.
    let server = server.restart(Duration::from_millis(300)).await;
    server.await_subscribers("open:a", 1).await;
    server.await_subscribers("open:b", 1).await;
    server.publish("open:a", 6..=9).await;
    server.publish("open:b", 1..=1).await;
    assert_eq!(numbers_until(&mut stream, 9).await, ["-", "6", "7", "8", "9"]);
    let told = pushes_until(&mut client, "Publication").await;
    let (first, last) = (&told[..2], &told[told.len() - 4..]);
    assert_eq!(first, ["Welcome", "Goodbye"]);
    assert_eq!(last, ["Welcome", "Subscribed", "Missed", "Publication"]);
    let between = &told[2..told.len() - 4];
    assert!(
        !between.is_empty() && between.iter().all(|kind| kind == "Disconnected"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_code_that_says_no_is_the_end_of_everything() {
    let server = Server::start().await;
    let mut client = server.client_with(token("ada", 1, 600_000).into()).await;
    let mut stream = client.subscription("open:a").await.unwrap();
    server.disconnect("ada", Disconnect::Revoked).await;
    assert_eq!(
        pushes_until(&mut client, "over").await,
        ["Welcome", "Goodbye", "Disconnected", "over"]
    );
    let error = client.ended_by().unwrap();
    assert!(matches!(error, Error::Closed { code: 3504, .. }), "{error}");
    assert!(error.is_unauthenticated() && !error.is_temporary());
    assert!(matches!(client.publish("open:a", &1).await, Err(Error::Ended)));
    assert!(matches!(
        stream.next().await,
        Some(Delivery::Unsubscribed(UnsubscribedBy::End))
    ));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn closing_waits_for_no_stream() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut stream = client.subscription("open:a").await.unwrap();
    timeout(PATIENCE, client.close()).await.unwrap();
    assert!(matches!(
        stream.next().await,
        Some(Delivery::Unsubscribed(UnsubscribedBy::End))
    ));
    server.await_subscribers("open:a", 0).await;
}

#[tokio::test]
async fn a_client_that_may_not_come_back_does_not_try() {
    let server = Server::start().await;
    let options = fanfare_client::ConnectOptions {
        reconnect_attempts_max: Some(0),
        ..crate::server::quick()
    };
    let mut client = Client::connect(&server.url(), options).await.unwrap();
    let _server = server.restart(Duration::ZERO).await;
    let told = pushes_until(&mut client, "over").await;
    assert_eq!(told, ["Welcome", "Goodbye", "Disconnected", "over"]);
    assert!(client.ended_by().unwrap().is_temporary());
}

#[tokio::test]
async fn each_end_is_told_with_its_reason_and_the_next_attempt() {
    let server = Server::start().await;
    let mut client = server.client_with(token("ada", 1, 600_000).into()).await;
    server.disconnect("ada", Disconnect::Reconnect).await;
    pushes_until(&mut client, "Goodbye").await;
    match client.next().await {
        Some(Push::Disconnected {
            reason,
            reconnect_after: Some(_),
        }) => assert!(reason.contains("3006"), "{reason}"),
        other => panic!("{other:?}"),
    }
    pushes_until(&mut client, "Welcome").await;
}
