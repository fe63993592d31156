//! Who is in a topic.

use std::time::Duration;

use fanfare_client::{
    Attendance, Client, Delivery, PresenceOptions, PresenceUpdate, Present, Push, Roster, SubscribeOptions,
    Subscription,
};
use tokio::time::timeout;

use crate::server::{PATIENCE, Server, token};

fn watching() -> SubscribeOptions {
    SubscribeOptions {
        presence: true,
        ..SubscribeOptions::default()
    }
}

/// A client with a name that is in a room.
async fn guest(server: &Server, user: &str, room: &str) -> (Client, Subscription) {
    let client = server.client_with(token(user, 1, 600_000).as_str().into()).await;
    let stream = client.subscription(room).await.unwrap();
    (client, stream)
}

fn users<'m>(members: impl IntoIterator<Item = &'m Present>) -> Vec<&'m str> {
    let members = members.into_iter();
    let mut users: Vec<_> = members
        .map(|member| member.user.as_deref().unwrap_or("?"))
        .collect();
    users.sort_unstable();
    users
}

/// The next one; the end of a topic in a restart of the hub is another story.
async fn update(stream: &mut Subscription) -> PresenceUpdate {
    loop {
        match timeout(PATIENCE, stream.next()).await.expect("a delivery") {
            Some(Delivery::Presence(update)) => return update,
            Some(Delivery::Missed(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Everyone who is there, as a watcher is told first and whenever it begins anew.
async fn everyone(stream: &mut Subscription) -> Roster {
    let update = update(stream).await;
    assert!(matches!(update, PresenceUpdate::Everyone { .. }), "{update:?}");
    let mut roster = Roster::new();
    roster.apply(update);
    assert!(roster.is_complete());
    roster
}

/// Takes updates until these are there.
async fn await_users(stream: &mut Subscription, roster: &mut Roster, expected: &[&str]) {
    while users(roster.members()) != expected {
        roster.apply(update(stream).await);
    }
    assert_eq!(roster.attendance().connections, expected.len() as u64);
}

#[tokio::test]
async fn who_is_in_a_topic_is_told_page_by_page_or_all_at_once() {
    let server = Server::start().await;
    let asker = server.client().await;
    let mut guests = Vec::new();
    for user in ["ada", "ada", "bob", "eve"] {
        guests.push(guest(&server, user, "room:a").await);
    }
    let _nobody = asker.subscription("room:a").await.unwrap();
    server.await_subscribers("room:a", 5).await;

    let options = PresenceOptions {
        limit: Some(2),
        ..PresenceOptions::default()
    };
    let mut pages = asker.commands().presence_with("room:a", options);
    let (mut sizes, mut members) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await.unwrap() {
        let five = Attendance {
            connections: 5,
            users: 3,
        };
        assert_eq!((&*page.topic, page.attendance), ("room:a", five));
        sizes.push(page.members.len());
        members.extend(page.members);
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(users(&members), ["?", "ada", "ada", "bob", "eve"]);

    let mut presence = asker.presence("room:a");
    let (first, rest) = (presence.all(3).await.unwrap(), presence.all(100).await.unwrap());
    assert_eq!((first.len(), rest.len()), (3, 2));
    assert!(presence.next().await.unwrap().is_none(), "that was all");
    let ids = |members: &[Present]| -> Vec<String> { members.iter().map(|m| m.connection.clone()).collect() };
    assert_eq!(ids(&members), [ids(&first), ids(&rest)].concat());
    assert_eq!(asker.attendance("room:a").await.unwrap().users, 3);
    assert_eq!(asker.attendance("room:b").await.unwrap(), Attendance::default());
}

#[tokio::test]
async fn who_watches_is_told_everyone_and_then_who_comes_and_goes() {
    let server = Server::start().await;
    let ada = guest(&server, "ada", "room:a").await;
    let watcher = server.client().await;
    let mut stream = watcher.subscription_with("room:a", watching()).await.unwrap();
    let mut roster = everyone(&mut stream).await;
    await_users(&mut stream, &mut roster, &["?", "ada"]).await;
    let _bob = guest(&server, "bob", "room:a").await;
    await_users(&mut stream, &mut roster, &["?", "ada", "bob"]).await;
    ada.0.close().await;
    await_users(&mut stream, &mut roster, &["?", "bob"]).await;
}

#[tokio::test]
async fn after_a_reconnect_everyone_is_told_again() {
    let server = Server::start().await;
    let watcher = server.client().await;
    let mut stream = watcher.subscription_with("room:a", watching()).await.unwrap();
    assert_eq!(users(everyone(&mut stream).await.members()), ["?"]);
    let server = server.restart(Duration::from_millis(50)).await;
    let _ada = guest(&server, "ada", "room:a").await;
    let mut roster = everyone(&mut stream).await;
    await_users(&mut stream, &mut roster, &["?", "ada"]).await;
}

/// The server has one wish of a connection for each topic; that of another part of the program must not end it.
#[tokio::test]
async fn who_subscribes_beside_a_watcher_does_not_end_its_watch() {
    let server = Server::start().await;
    let client = server.client().await;
    let commands = client.commands();
    let (watched, beside) = tokio::join!(
        client.subscription_with("room:a", watching()),
        commands.subscription("room:a")
    );
    let (mut watched, mut beside) = (watched.unwrap(), beside.unwrap());
    let mut roster = everyone(&mut watched).await;
    everyone(&mut beside).await;
    let _later = client.subscription("room:a").await.unwrap();
    let _ada = guest(&server, "ada", "room:a").await;
    while !roster.members().any(|member| member.user.is_some()) {
        roster.apply(update(&mut watched).await);
    }
}

#[tokio::test]
async fn next_is_told_as_well() {
    let server = Server::start().await;
    let mut watcher = server.client().await;
    watcher
        .commands()
        .subscribe_with(&["room:a"], watching())
        .await
        .unwrap();
    let _ada = guest(&server, "ada", "room:a").await;
    let mut roster = Roster::new();
    while roster.members().count() < 2 {
        match timeout(PATIENCE, watcher.next()).await.expect("a push") {
            Some(Push::Presence { topic, update }) => {
                assert_eq!(topic, "room:a");
                roster.apply(update);
            }
            Some(_) => {}
            None => panic!("{:?}", watcher.ended_by()),
        }
    }
}

#[tokio::test]
async fn where_it_is_not_kept_the_server_says_so() {
    let server = Server::start().await;
    let client = server.client().await;
    for refused in [
        client.attendance("open:a").await.unwrap_err(),
        client.presence("open:a").next().await.unwrap_err(),
        client.subscription_with("open:a", watching()).await.unwrap_err(),
    ] {
        assert!(
            !refused.is_temporary() && refused.to_string().contains("not_available"),
            "{refused}"
        );
    }
    assert_eq!(server.fanfare.subscribers("open:a"), 0);
}
