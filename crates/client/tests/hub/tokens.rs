//! How tokens are shown, renewed and given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanfare::Disconnect;
use fanfare_client::{
    Client, ConnectOptions, Delivery, Error, HandshakeError, SubscribeOptions, TokenError, TokenSource,
    UnsubscribedBy,
};
use tokio::time::sleep;

use crate::server::{PATIENCE, Server, now_ms, pushes_until, quick, token};

/// A source that makes a token of the number of times it was asked before, and counts them.
fn source<F>(make: F) -> (TokenSource, Arc<AtomicUsize>)
where
    F: Fn(usize) -> Result<String, TokenError> + Send + Sync + 'static,
{
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let source = TokenSource::new(move || {
        let made = make(count.fetch_add(1, Ordering::SeqCst));
        async move { made }
    });
    (source, asked)
}

#[tokio::test]
async fn a_token_says_who_the_client_is_and_without_one_it_is_turned_away() {
    let server = Server::start_for_tokens().await;
    let mut client = server.client_with(token("ada", 1, 600_000).as_str().into()).await;
    match client.next().await {
        Some(fanfare_client::Push::Welcome(welcome)) => assert_eq!(welcome.user.as_deref(), Some("ada")),
        other => panic!("{other:?}"),
    }
    let expired = token("ada", 1, 0);
    let options = ConnectOptions {
        token: Some(expired.as_str().into()),
        ..quick()
    };
    let error = Client::connect(&server.url(), options).await.unwrap_err();
    assert!(error.is_unauthenticated() && !error.is_temporary(), "{error}");
    assert!(matches!(
        error,
        Error::Handshake(HandshakeError::Status { status: 401, .. })
    ));
    assert!(error.to_string().contains("the token is not accepted"), "{error}");
    assert!(!format!("{error} {error:?}").contains(&expired), "{error:?}");
}

#[tokio::test]
async fn a_token_is_renewed_over_the_connection_before_it_ends() {
    let server = Server::start_for_tokens().await;
    let ends = |time: usize| if time == 0 { 6_000 } else { 600_000 };
    let (source, asked) = source(move |time| Ok(token("ada", time, ends(time))));
    let began_at = now_ms();
    let mut client = server.client_with(source).await;
    assert_eq!(
        pushes_until(&mut client, "Authenticated").await,
        ["Welcome", "Authenticated"]
    );
    // Past the end of the first one.
    while now_ms() < began_at + 7_500 {
        sleep(Duration::from_millis(50)).await;
    }
    client.commands().ping().await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let disconnects = server.fanfare.stats().disconnects;
    assert!(
        disconnects.iter().all(|(_, count)| *count == 0),
        "{disconnects:?}"
    );
}

#[tokio::test]
async fn a_token_that_always_is_the_same_ends_with_its_client() {
    let server = Server::start_for_tokens().await;
    let mut client = server.client_with(token("ada", 1, 4_000).into()).await;
    let told = pushes_until(&mut client, "over").await;
    assert_eq!(told.first().unwrap(), "Welcome", "{told:?}");
    let error = client.ended_by().unwrap();
    assert!(matches!(
        error,
        Error::Handshake(HandshakeError::Status { status: 401, .. })
    ));
    assert!(error.is_unauthenticated(), "{error}");
}

#[tokio::test]
async fn a_refused_token_is_followed_by_another_but_not_for_ever() {
    let server = Server::start_for_tokens().await;
    let (recovering, _) = source(|time| Ok(token("ada", time, if time == 1 { 0 } else { 600_000 })));
    let mut client = server.client_with(recovering).await;
    pushes_until(&mut client, "Welcome").await;
    server.disconnect("ada", Disconnect::Reconnect).await;
    let told = pushes_until(&mut client, "Welcome").await;
    assert!(told.iter().any(|kind| kind == "Disconnected"), "{told:?}");

    let (hopeless, asked) = source(|time| Ok(token("bob", time, if time == 0 { 600_000 } else { 0 })));
    let mut client = server.client_with(hopeless).await;
    server.disconnect("bob", Disconnect::Reconnect).await;
    pushes_until(&mut client, "over").await;
    assert!(client.ended_by().unwrap().is_unauthenticated());
    assert_eq!(
        asked.load(Ordering::SeqCst),
        4,
        "one that was good, three that were not"
    );
}

#[tokio::test]
async fn a_source_that_cannot_answer_is_waited_for_and_one_that_denies_is_the_end() {
    let server = Server::start_for_tokens().await;
    let (source, asked) = source(|time| match time {
        0 | 3 => Ok(token("ada", time, 600_000)),
        1 | 2 => Err(TokenError::unavailable("the backend restarts")),
        _ => Err(TokenError::denied("logged out")),
    });
    let mut client = server.client_with(source).await;
    pushes_until(&mut client, "Welcome").await;
    server.disconnect("ada", Disconnect::Reconnect).await;
    pushes_until(&mut client, "Welcome").await;
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    server.disconnect("ada", Disconnect::Reconnect).await;
    pushes_until(&mut client, "over").await;
    let error = client.ended_by().unwrap();
    assert!(matches!(error, Error::Token(TokenError::Denied(_))), "{error}");
    assert!(error.to_string().contains("logged out"), "{error}");
}

#[tokio::test]
async fn a_topic_with_a_token_of_its_own_is_asked_for_with_another_after_a_reconnect() {
    let server = Server::start().await;
    let client = server.client_with(token("ada", 1, 600_000).into()).await;
    let refused = client.subscription("vip:a").await.unwrap_err();
    assert!(refused.is_forbidden(), "{refused}");
    let (source, asked) = source(|time| match time {
        0 | 1 => Ok(format!("vip:a.{time}")),
        _ => Err(TokenError::denied("not a member any more")),
    });
    let options = SubscribeOptions {
        token: Some(source),
        ..SubscribeOptions::default()
    };
    let mut stream = client.subscription_with("vip:a", options).await.unwrap();
    server.disconnect("ada", Disconnect::Reconnect).await;
    server.await_subscribers("vip:a", 0).await;
    server.await_subscribers("vip:a", 1).await;
    server.publish("vip:a", [7]).await;
    // Nobody was there in between, so the topic began anew.
    let missed = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
    assert!(
        matches!(&missed, Some(Delivery::Missed(gap)) if gap.count.is_none()),
        "{missed:?}"
    );
    match tokio::time::timeout(PATIENCE, stream.next()).await.unwrap() {
        Some(Delivery::Publication(publication)) => assert_eq!(publication.json::<u64>().unwrap(), 7),
        other => panic!("{other:?}"),
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    server.disconnect("ada", Disconnect::Reconnect).await;
    match tokio::time::timeout(PATIENCE, stream.next()).await.unwrap() {
        Some(Delivery::Unsubscribed(UnsubscribedBy::Refusal(refusal))) => {
            assert!(refusal.message.contains("not a member"), "{refusal}");
        }
        other => panic!("{other:?}"),
    }
    client.commands().ping().await.unwrap();
}
