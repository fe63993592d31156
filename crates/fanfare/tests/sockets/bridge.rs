//! Connections over a bridge behave as those on a socket do, and leave nothing behind, whoever goes first.

use std::thread;
use std::time::Duration;

use fanfare::{Limits, Options, Payload, SlowRule};
use serde_json::json;
use tokio::net::TcpListener;

use crate::client::{BINARY, CLOSE, Client, PING, PONG, TEXT, eventually, masked, unmasked};
use crate::hosts::{bridges, over_opaque};
use crate::server::{Server, options};
use crate::slow_rules::{self, with_rule};

fn bridged(limits: Limits) -> Server {
    let options = Options {
        limits,
        send_buffer_bytes: Some(8 << 10),
        ..options()
    };
    Server::hosted(options, over_opaque)
}

fn subscriber(server: &Server) -> Client {
    let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
    client.expect("subscribed");
    client
}

/// A subscriber that will not read.
fn stalled(server: &Server) -> Client {
    let mut client = Client::connect_narrow(server.address).upgraded("/ws?topic=a");
    client.expect("welcome");
    client.expect("subscribed");
    client
}

fn publish(server: &Server, count: usize) {
    let payload = Payload::text("x".repeat(1_000));
    for _ in 0..count {
        let published = server.fanfare.publish("a", payload.clone());
        server.runtime.block_on(published).unwrap();
    }
}

fn assert_nothing_left(server: &Server) {
    server.assert_empty();
    eventually("no bridge is left", || bridges(server) == 0);
}

#[test]
fn slow_clients_over_a_bridge_are_told_what_they_miss() {
    for rule in [SlowRule::DropOldest, SlowRule::DropNewest, SlowRule::Conflate] {
        let server = Server::hosted(with_rule(rule), over_opaque);
        let (received, missed) = slow_rules::play(&server);
        slow_rules::check_told(&received, &missed, slow_rules::COUNT);
        let has_newest = received.contains(&slow_rules::COUNT);
        assert_eq!(has_newest, rule != SlowRule::DropNewest, "{rule:?}");
    }
}

#[test]
fn a_slow_client_over_a_bridge_is_closed_and_told_when_it_reads_again() {
    let server = bridged(Limits {
        close_timeout_ms: 60_000,
        ..Limits::default()
    });
    let mut slow = stalled(&server);
    let mut reader = subscriber(&server);
    for round in 1..=50 {
        publish(&server, 20);
        while reader.expect("message")["offset"] != round * 20 {}
    }
    eventually("it is closed", || server.disconnects(3001) == 1);
    assert_eq!(server.fanfare.stats().overflow_disconnects, 1);
    let ending = slow.ending();
    assert_eq!(ending.code, 3001);
    assert_eq!(ending.goodbye.unwrap()["reason"], "slow");
    drop((slow, reader));
    assert_nothing_left(&server);
}

#[test]
fn a_client_that_takes_nothing_is_dropped_and_its_bridge_with_it() {
    let server = bridged(Limits {
        write_timeout_ms: 1_000,
        close_timeout_ms: 500,
        ..Limits::default()
    });
    let client = stalled(&server);
    publish(&server, 200);
    eventually("it is closed", || server.disconnects(3003) == 1);
    assert_nothing_left(&server);
    drop(client);
}

#[test]
fn everything_comes_in_order_under_load() {
    const COUNT: usize = 2_000;
    let server = Server::hosted(
        Options {
            limits: Limits {
                outbox_frames_max: 10_000,
                outbox_bytes_max: 64 << 20,
                ..Limits::default()
            },
            ..options()
        },
        over_opaque,
    );
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let mut client = subscriber(&server);
            thread::spawn(move || {
                for offset in 1..=COUNT {
                    let message = client.expect("message");
                    assert_eq!(message["offset"], offset);
                    assert_eq!(message["data"].as_str().unwrap().len(), 1_000);
                }
                assert_eq!(client.close(1000), 1000);
            })
        })
        .collect();
    publish(&server, COUNT);
    for reader in readers {
        reader.join().unwrap();
    }
    assert_nothing_left(&server);
}

#[test]
fn what_clients_send_arrives_in_order_and_whole() {
    let server = bridged(Limits {
        commands_per_second: 0,
        bytes_per_second: 0,
        publications_per_second: 0,
        outbox_frames_max: 1_000,
        outbox_bytes_max: 64 << 20,
        ..Limits::default()
    });
    let mut reader = subscriber(&server);
    let mut writer = Client::open(server.address, "/ws");
    writer.expect("welcome");
    let sending = thread::spawn(move || {
        for number in 0..500 {
            let data = format!("{number:0width$}", width = number * 50 + 4);
            writer.send_json(json!({"type": "publish", "topic": "a", "data": data}));
        }
        writer
    });
    for number in 0..500 {
        let message = reader.expect("message");
        let data = message["data"].as_str().unwrap();
        assert_eq!((data.len(), data.parse()), (number * 50 + 4, Ok(number)));
    }
    assert_eq!(sending.join().unwrap().close(1000), 1000);
    drop(reader);
    assert_nothing_left(&server);
}

#[test]
fn faults_are_closed_with_their_codes() {
    let server = bridged(Limits {
        message_bytes_max: 1_000,
        close_timeout_ms: 60_000,
        ..Limits::default()
    });
    for (bytes, code) in [
        (unmasked(TEXT, b"{}"), 1002),
        (masked(BINARY, b"{}"), 1003),
        (masked(TEXT, b"{\"\xff\"}"), 1007),
        (masked(TEXT, &[b' '; 1_001]), 1009),
    ] {
        let mut client = subscriber(&server);
        client.send(&bytes);
        let ending = client.ending();
        assert_eq!(ending.code, code);
        assert_eq!(ending.goodbye.unwrap()["code"], code);
    }
    for code in [1000, 3000, 4999] {
        assert_eq!(subscriber(&server).close(code), code);
    }
    assert_nothing_left(&server);
}

#[test]
fn a_bridge_does_not_wait_for_a_client_that_its_shard_is_done_with() {
    let server = bridged(Limits {
        close_timeout_ms: 60_000,
        ..Limits::default()
    });
    let mut client = subscriber(&server);
    client.send(&masked(CLOSE, &1000_u16.to_be_bytes()));
    assert_eq!(client.frame().unwrap().first, CLOSE);
    // It stays, and says no more.
    assert_nothing_left(&server);
    client.time_to_end();
}

#[test]
fn pings_are_answered_and_a_silent_client_is_dropped() {
    let server = bridged(Limits {
        ping_interval_ms: 1_000,
        pong_timeout_ms: 1_000,
        close_timeout_ms: 500,
        ..Limits::default()
    });
    let mut client = subscriber(&server);
    client.send(&masked(PING, b"are you there"));
    let pong = client.frame().unwrap();
    assert_eq!(
        (pong.first, pong.payload.as_slice()),
        (PONG, &b"are you there"[..])
    );
    // It stays open and says nothing any more, as if its network were gone.
    eventually("it is closed", || server.disconnects(3002) == 1);
    assert_nothing_left(&server);
    drop(client);
}

#[test]
fn clients_that_vanish_leave_nothing() {
    let server = bridged(Limits::default());
    let (reset, half_closed, dropped, mut torn) = (
        subscriber(&server),
        subscriber(&server),
        subscriber(&server),
        subscriber(&server),
    );
    let stalled: Vec<_> = (0..4).map(|_| stalled(&server)).collect();
    assert_eq!(bridges(&server), 8);
    publish(&server, 150);
    torn.send(&masked(TEXT, &[b'x'; 500])[..100]);
    torn.reset();
    reset.reset();
    half_closed.shut_write();
    drop(dropped);
    for (number, client) in stalled.into_iter().enumerate() {
        if number % 2 == 0 {
            client.reset();
        }
    }
    assert_nothing_left(&server);
    drop(half_closed);
}

#[test]
fn a_client_that_does_not_end_is_dropped_behind_the_close_frame() {
    let server = bridged(Limits {
        close_timeout_ms: 500,
        ..Limits::default()
    });
    let mut client = subscriber(&server);
    client.send(&masked(BINARY, b"x"));
    client.expect("goodbye");
    assert_eq!(client.frame().unwrap().first, CLOSE);
    // Neither an answer nor an end comes from it.
    assert_nothing_left(&server);
    client.time_to_end();
}

#[test]
fn replies_that_are_not_read_stop_the_reading() {
    let server = bridged(Limits {
        write_timeout_ms: 60_000,
        commands_per_second: 0,
        bytes_per_second: 0,
        ..Limits::default()
    });
    let mut client = Client::connect_narrow(server.address).upgraded("/ws");
    client
        .stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let flood = masked(TEXT, json!({"type": "ping"}).to_string().as_bytes()).repeat(3_000);
    let sent = (0..1_000)
        .take_while(|_| std::io::Write::write_all(&mut client.stream, &flood).is_ok())
        .count();
    assert!(sent < 1_000, "the server still reads");
    let waiting = server.fanfare.stats().waiting_bytes;
    assert!(waiting < 1_000_000, "{waiting} bytes wait");
    client.reset();
    assert_nothing_left(&server);
}

#[test]
fn shutting_down_closes_bridges_too() {
    let server = bridged(Limits::default());
    let mut client = subscriber(&server);
    let fanfare = server.fanfare.clone();
    let shutting = server
        .runtime
        .spawn(async move { fanfare.shutdown(Duration::ZERO, Duration::from_secs(20)).await });
    assert_eq!(client.ending().code, 3000);
    drop(client);
    assert_eq!(
        server.runtime.block_on(shutting).unwrap(),
        0,
        "nobody was cut off"
    );
    eventually("no bridge is left", || bridges(&server) == 0);
}

#[test]
fn connections_end_with_the_runtime_of_their_bridges() {
    let server = Server::hosted(options(), |_, _| async {});
    let other = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = other.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    other.spawn(over_opaque(server.fanfare.clone(), listener));
    let (mut client, _) = Client::open_json(address, "/ws?topic=a");
    client.expect("subscribed");
    assert_eq!(bridges(&server), 1);
    other.shutdown_background();
    client.time_to_end();
    assert_nothing_left(&server);
}
