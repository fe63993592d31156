//! Streams that are read too slowly.

use fanfare::{Limits, Listed, Options, SlowRule};

use super::{Stream, on_axum};
use crate::client::{Client, eventually};
use crate::server::{Server, options};
use crate::slow_rules::{COUNT, check_told, publish, with_rule};

/// Publishes while a stream is not read, then reads it.
fn play(rule: SlowRule, target: &str, is_hosted: bool) {
    let server = if is_hosted {
        Server::hosted(with_rule(rule), on_axum)
    } else {
        Server::with(with_rule(rule))
    };
    let (mut slow, _) = Stream::open(Client::connect_narrow(server.address), target, "");
    let mut witness = Client::open_json(server.address, "/ws?topic=a").0;
    witness.expect("subscribed");
    // What a host's server takes into its own buffers comes on top.
    let count = if is_hosted { 4 * COUNT } else { COUNT };
    for from in (1..=count).step_by(100) {
        publish(&server, from..=from + 99);
        while witness.json()["offset"] != from + 99 {}
    }
    eventually("it is told so", || {
        let page = server.fanfare.connections(Listed::Behind, 0, 10);
        let rows = server.runtime.block_on(page).unwrap().connections;
        rows.iter().any(|row| row.missed > 0)
    });
    let (mut received, mut missed, mut has_last_word) = (Vec::new(), Vec::new(), false);
    while received.last() != Some(&(count + 1)) {
        let is_behind = server.fanfare.metrics().contains("fanfare_connections_behind 1");
        if !has_last_word && !is_behind {
            publish(&server, count + 1..=count + 1);
            has_last_word = true;
        }
        let event = slow.event().expect("the stream goes on");
        match &*event.name {
            "message" => received.push(event.data["offset"].as_u64().unwrap()),
            "missed" => missed.push(event.data),
            other => panic!("{other}: {}", event.data),
        }
    }
    check_told(&received, &missed, count);
    assert_eq!(
        received.contains(&count),
        rule != SlowRule::DropNewest,
        "{rule:?}"
    );
}

#[test]
fn drop_oldest() {
    play(SlowRule::DropOldest, "/sse?topic=a", false);
    play(SlowRule::DropOldest, "/sse?topic=a&topic=b", false);
}

#[test]
fn drop_newest() {
    play(SlowRule::DropNewest, "/sse?topic=a", false);
    play(SlowRule::DropNewest, "/sse?topic=a&topic=b", false);
}

#[test]
fn conflate() {
    play(SlowRule::Conflate, "/sse?topic=a", false);
    play(SlowRule::Conflate, "/sse?topic=a&topic=b", false);
}

#[test]
fn over_the_body_of_an_answer() {
    play(SlowRule::DropOldest, "/sse?topic=a", true);
}

#[test]
fn disconnect() {
    let server = Server::with(Options {
        limits: Limits {
            close_timeout_ms: 60_000,
            ..Limits::default()
        },
        send_buffer_bytes: Some(8 << 10),
        ..options()
    });
    let (mut slow, _) = Stream::open(Client::connect_narrow(server.address), "/sse?topic=a", "");
    let mut witness = Client::open_json(server.address, "/ws?topic=a").0;
    witness.expect("subscribed");
    for from in (1..=COUNT).step_by(100) {
        publish(&server, from..=from + 99);
        while witness.json()["offset"] != from + 99 {}
    }
    eventually("it is closed", || server.disconnects(3001) == 1);
    let mut last = None;
    while let Some(event) = slow.event() {
        last = Some(event);
    }
    let goodbye = last.unwrap();
    assert_eq!((&*goodbye.name, &goodbye.data["code"]), ("goodbye", &3001.into()));
    drop((slow, witness));
    server.assert_empty();
}

#[test]
fn a_stream_that_takes_nothing_is_dropped() {
    let server = Server::with(Options {
        limits: Limits {
            write_timeout_ms: 1_000,
            close_timeout_ms: 500,
            ..Limits::default()
        },
        send_buffer_bytes: Some(8 << 10),
        ..options()
    });
    let (stalled, _) = Stream::open(Client::connect_narrow(server.address), "/sse?topic=a", "");
    publish(&server, 1..=200);
    eventually("it is closed", || server.disconnects(3003) == 1);
    server.assert_empty();
    drop(stalled);
}
