//! A panic in the hub takes the connections of its shard; the shard begins anew, until it does so too often.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanfare::{Application, CallError, Fanfare, Happening, Hooks, Listed, Notice, Options, Payload};
use serde_json::json;

use crate::client::{Client, eventually};
use crate::hosts::{bridges, over_opaque};
use crate::server::{Server, options};

/// Makes the hub of the client's shard panic in the middle of a publish, and waits until the client is dropped.
fn break_hub(client: &mut Client) {
    client.send_json(json!({"type": "publish", "topic": "a", "data": "fault:hub"}));
    client.time_to_end();
}

fn one_shard() -> Options {
    Options {
        shards: 1,
        ..options()
    }
}

#[test]
fn the_shard_begins_anew_and_the_others_do_not_notice() {
    let server = Server::start();
    let (mut elsewhere, _) = server.open_in(1, "/ws?topic=a");
    elsewhere.expect("subscribed");
    let (mut neighbour, _) = server.open_in(0, "/ws?topic=a");
    neighbour.expect("subscribed");
    let (mut victim, _) = server.open_in(0, "/ws?topic=a&topic=b");
    victim.expect("subscribed");
    let opened = server.fanfare.stats();
    break_hub(&mut victim);
    neighbour.time_to_end();
    eventually("the shard began anew", || {
        server.fanfare.stats().shard_restarts == 1
    });
    assert_eq!(server.fanfare.stats().panics, [("hub", 1)]);
    eventually("the broker knows that they left", || {
        (server.fanfare.subscribers("a"), server.fanfare.subscribers("b")) == (1, 0)
    });

    let (mut back, _) = server.open_in(0, "/ws?topic=a");
    let offset = back.expect("subscribed")["topics"][0]["offset"].as_u64().unwrap();
    let command = json!({"type": "publish", "topic": "a", "data": 1, "id": 1});
    assert_eq!(elsewhere.ask_past_messages(command)["type"], "published");
    assert_eq!(
        back.expect("message")["offset"],
        offset + 1,
        "nothing is lost or mixed up"
    );
    assert!(
        server.fanfare.stats().publications >= opened.publications,
        "counters do not go back"
    );
    drop((elsewhere, neighbour, victim, back));
    server.assert_empty();
}

#[test]
fn bridges_end_with_their_shard() {
    let server = Server::hosted(one_shard(), over_opaque);
    let (mut victim, _) = Client::open_json(server.address, "/ws?topic=a");
    let (mut neighbour, _) = Client::open_json(server.address, "/ws?topic=a");
    assert_eq!(bridges(&server), 2);
    break_hub(&mut victim);
    neighbour.time_to_end();
    drop((victim, neighbour));
    eventually("no bridge is left", || bridges(&server) == 0);
    let (mut back, _) = Client::open_json(server.address, "/ws?topic=a");
    assert_eq!(back.expect("subscribed")["topics"][0]["topic"], "a");
}

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<Happening>>>);

impl Hooks for Diary {
    async fn notice(&self, _: &Fanfare, notice: Notice) {
        self.0.lock().unwrap().push(notice.happening);
    }
}

#[test]
fn the_application_is_told_of_everyone_who_went_with_the_shard() {
    let diary = Diary::default();
    let server = Server::with(Options {
        application: Some(Application::new(diary.clone())),
        notices: true,
        ..one_shard()
    });
    let (mut victim, _) = Client::open_json(server.address, "/ws?topic=a&user=ada");
    victim.expect("subscribed");
    let (mut neighbour, _) = Client::open_json(server.address, "/ws?topic=b");
    neighbour.expect("subscribed");
    break_hub(&mut victim);
    let count = |is_wanted: fn(&Happening) -> bool| {
        let told = diary.0.lock().unwrap();
        told.iter().filter(|happening| is_wanted(happening)).count()
    };
    eventually("both are told to have gone", || {
        count(|happening| matches!(happening, Happening::Disconnected { code: 1011, .. })) == 2
    });
    assert_eq!(
        count(|happening| matches!(happening, Happening::Connected { .. })),
        2
    );
    assert_eq!(
        count(|happening| matches!(happening, Happening::Vacated { .. })),
        2
    );
    assert_eq!(
        count(|happening| matches!(happening, Happening::Offline { .. })),
        1
    );
}

#[test]
fn counters_go_on_and_gauges_begin_anew() {
    let server = Server::with(one_shard());
    let (mut victim, _) = Client::open_json(server.address, "/ws?topic=a");
    victim.expect("subscribed");
    let other = Client::open_json(server.address, "/ws?topic=b");
    break_hub(&mut victim);
    eventually("the shard began anew", || {
        server.fanfare.stats().shard_restarts == 1
    });
    let page = server.fanfare.metrics();
    for line in [
        "fanfare_connections_opened_total 2",
        "fanfare_connections_released_total 2",
        "fanfare_lost_total 2",
        "fanfare_connections 0",
        "fanfare_subscriptions 0",
        "fanfare_topics 0",
        "fanfare_shard_restarts_total 1",
        "fanfare_panics_total{place=\"hub\"} 1",
        "fanfare_panics_total{place=\"decoding\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in {page}");
    }
    assert_eq!(server.fanfare.connection_count(), 0);
    drop(other);
}

#[test]
fn connections_that_wait_to_be_taken_in_live_through_it() {
    let server = Server::with(one_shard());
    for _ in 0..3 {
        let (mut victim, _) = Client::open_json(server.address, "/ws");
        // The newcomers' requests are on their way while the hub breaks.
        let newcomers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| Client::open(server.address, "/ws")))
                .collect();
            break_hub(&mut victim);
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for mut newcomer in newcomers {
            // Welcomed, or dropped with the shard if it was there already; never left hanging.
            if let Some(frame) = newcomer.message() {
                assert!(String::from_utf8(frame.payload).unwrap().contains("welcome"));
            }
        }
    }
    Client::open_json(server.address, "/ws");
}

#[test]
fn calls_of_the_application_are_answered() {
    let server = Server::with(one_shard());
    let (mut victim, _) = Client::open_json(server.address, "/ws?topic=a");
    victim.expect("subscribed");
    let fanfare = server.fanfare.clone();
    let calls = server.runtime.spawn(async move {
        let mut outcomes = Vec::new();
        for _ in 0..2_000 {
            outcomes.push(fanfare.connections(Listed::All, 0, 10).await.map(|_| ()));
            outcomes.push(fanfare.publish("a", Payload::text("x")).await.map(|_| ()));
        }
        outcomes
    });
    break_hub(&mut victim);
    let outcomes = server
        .runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(60), calls).await });
    for outcome in outcomes.expect("no call is left hanging").unwrap() {
        assert!(
            matches!(outcome, Ok(()) | Err(CallError::Failed | CallError::Refused(_))),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_shard_that_panics_over_and_over_ends_and_its_host_is_told() {
    let server = Server::start();
    let failed = server.runtime.spawn({
        let fanfare = server.fanfare.clone();
        async move { fanfare.failed().await }
    });
    for _ in 0..4 {
        let (mut victim, _) = server.open_in(0, "/ws");
        break_hub(&mut victim);
    }
    eventually("four are not too many", || {
        server.fanfare.stats().shard_restarts == 4
    });
    assert!(!failed.is_finished());
    let (mut victim, _) = server.open_in(0, "/ws");
    break_hub(&mut victim);
    let shard = server
        .runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(20), failed).await });
    assert_eq!(shard.expect("the host is told").unwrap(), 0);

    for _ in 0..10 {
        let (_, id) = Client::open_json(server.address, "/ws");
        let id: fanfare::ConnectionId = id.parse().unwrap();
        assert_eq!(id.shard(), 1, "the other shards go on");
    }
    let listed = server
        .runtime
        .block_on(server.fanfare.connections(Listed::All, 0, 10));
    assert_eq!(listed, Err(CallError::Closed), "its calls are answered");
}

#[test]
fn a_hub_that_breaks_while_it_drains_still_ends() {
    let server = Server::with(one_shard());
    let (mut victim, _) = Client::open_json(server.address, "/ws");
    let fanfare = server.fanfare.clone();
    // Its goodbye is long in coming.
    let ending = server.runtime.spawn(async move {
        fanfare
            .shutdown(Duration::from_secs(600), Duration::from_secs(15))
            .await
    });
    eventually("it drains", || server.fanfare.is_draining());
    break_hub(&mut victim);
    let left = server.runtime.block_on(ending).unwrap();
    assert_eq!(left, 0);
}
