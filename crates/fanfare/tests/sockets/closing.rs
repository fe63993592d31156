//! How connections end: by a fault of the client, by a close frame, or without a word.

use std::io::Write;
use std::time::{Duration, Instant};

use fanfare::Limits;
use serde_json::json;

use crate::client::{BINARY, CLOSE, Client, PING, PONG, TEXT, eventually, masked, unmasked};
use crate::server::Server;

/// A first byte that goes on with a message and does not end it.
const CONTINUATION: u8 = 0x00;

/// Limits with a small message and little patience for close frames.
fn tight() -> Limits {
    Limits {
        message_bytes_max: 1_000,
        close_timeout_ms: 500,
        ..Limits::default()
    }
}

#[test]
fn a_frame_that_breaks_the_rules_closes_with_the_right_code_and_a_goodbye() {
    let server = Server::with_limits(tight());
    let fragments = [
        masked(TEXT & 0x0f, &[b'x'; 600]),
        masked(CONTINUATION | 0x80, &[b'x'; 600]),
    ]
    .concat();
    let huge = [TEXT, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4].to_vec();
    for (what, bytes, code, reason) in [
        ("unmasked", unmasked(TEXT, b"{}"), 1002, "protocol error"),
        ("a reserved bit", masked(0xC1, b"{}"), 1002, "protocol error"),
        ("a reserved opcode", masked(0x83, b"{}"), 1002, "protocol error"),
        ("a long ping", masked(PING, &[0; 126]), 1002, "protocol error"),
        (
            "a fragment of nothing",
            masked(0x80, b"x"),
            1002,
            "protocol error",
        ),
        ("a close of one byte", masked(CLOSE, &[3]), 1002, "protocol error"),
        (
            "a reserved close code",
            masked(CLOSE, &1005_u16.to_be_bytes()),
            1002,
            "protocol error",
        ),
        (
            "binary",
            masked(BINARY, b"{}"),
            1003,
            "binary messages are not accepted in this dialect",
        ),
        ("no UTF-8", masked(TEXT, b"{\"\xff\"}"), 1007, "invalid data"),
        ("too long", masked(TEXT, &[b' '; 1_001]), 1009, "message too big"),
        ("too long in sum", fragments, 1009, "message too big"),
        ("too long announced", huge, 1009, "message too big"),
    ] {
        let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
        client.expect("subscribed");
        client.send(&bytes);
        let ending = client.ending();
        assert_eq!((ending.code, ending.reason.as_str()), (code, reason), "{what}");
        let goodbye = json!({"type": "goodbye", "code": code, "reason": reason, "reconnect": false});
        assert_eq!(ending.goodbye, Some(goodbye), "{what}");
    }
    server.assert_empty();
    for (code, count) in [(1002, 7), (1003, 1), (1007, 1), (1009, 3)] {
        assert_eq!(server.disconnects(code), count, "{code}");
    }
}

#[test]
fn a_raw_connection_gets_the_close_frame_alone() {
    let server = Server::with_limits(tight());
    let mut client = Client::open(server.address, "/ws?dialect=raw");
    client.send(&masked(TEXT, &[b'x'; 1_001]));
    let ending = client.ending();
    assert_eq!((ending.code, ending.goodbye), (1009, None));
}

#[test]
fn a_message_of_exactly_the_limit_is_taken() {
    let server = Server::with_limits(tight());
    let (mut client, _) = Client::open_json(server.address, "/ws");
    let command = json!({"type": "ping", "id": 1}).to_string();
    client.send_text(&format!("{command:<1000}"));
    client.expect("pong");
}

#[test]
fn a_close_frame_is_answered_with_its_code() {
    let server = Server::start();
    for code in [1000, 1001, 3000, 4999] {
        let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
        client.expect("subscribed");
        assert_eq!(client.close(code), code);
    }
    let (mut client, _) = Client::open_json(server.address, "/ws");
    client.send(&masked(CLOSE, &[]));
    assert_eq!(
        client.ending().code,
        1005,
        "a close without code is answered without"
    );
    server.assert_empty();
    assert_eq!(
        server.fanfare.stats().disconnects,
        [],
        "the server closed none of them"
    );
}

#[test]
fn what_comes_after_a_close_frame_is_ignored() {
    let server = Server::start();
    let (mut other, _) = Client::open_json(server.address, "/ws?topic=a");
    other.expect("subscribed");
    let (mut client, _) = Client::open_json(server.address, "/ws");
    let publish = json!({"type": "publish", "topic": "a", "data": "too late"}).to_string();
    let mut bytes = masked(CLOSE, &1000_u16.to_be_bytes());
    bytes.extend(masked(TEXT, publish.as_bytes()));
    bytes.extend(masked(CLOSE, &1001_u16.to_be_bytes()));
    bytes.extend(unmasked(0xff, b"not even a frame"));
    client.send(&bytes);
    assert_eq!(client.ending().code, 1000);
    other.send_json(json!({"type": "publish", "topic": "a", "data": "next"}));
    assert_eq!(other.expect("message")["data"], "next");
}

#[test]
fn what_comes_after_the_servers_close_frame_is_ignored() {
    let server = Server::start();
    let (mut other, _) = Client::open_json(server.address, "/ws?topic=a");
    other.expect("subscribed");
    let (mut client, _) = Client::open_json(server.address, "/ws");
    let publish = json!({"type": "publish", "topic": "a", "data": "too late"}).to_string();
    client.send(&masked(BINARY, b"x"));
    client.send(&masked(TEXT, publish.as_bytes()).repeat(1_000));
    assert_eq!(client.ending().code, 1003);
    other.send_json(json!({"type": "publish", "topic": "a", "data": "next"}));
    assert_eq!(other.expect("message")["data"], "next");
}

#[test]
fn a_client_that_does_not_answer_a_close_frame_is_dropped_at_the_deadline() {
    let server = Server::with_limits(tight());
    for bytes in [masked(BINARY, b"x"), unmasked(TEXT, b"x")] {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let began = Instant::now();
        client.send(&bytes);
        client.expect("goodbye");
        eventually("it is dropped", || server.fanfare.connection_count() == 0);
        let elapsed = began.elapsed();
        assert!(elapsed >= Duration::from_millis(450), "{elapsed:?}");
        client.time_to_end();
    }
    server.assert_empty();
}

#[test]
fn connections_that_vanish_are_released() {
    let server = Server::start();
    let open = || {
        let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
        client.expect("subscribed");
        client
    };
    let (reset, mut half_closed, dropped, mut torn) = (open(), open(), open(), open());
    assert_eq!(server.fanfare.connection_count(), 4);
    torn.send(&masked(TEXT, &[b'x'; 500])[..100]);
    torn.reset();
    reset.reset();
    half_closed.shut_write();
    half_closed.time_to_end();
    drop(dropped);
    server.assert_empty();
}

#[test]
fn a_client_that_vanishes_during_the_handshake_leaves_nothing() {
    let server = Server::start();
    for cut in [1, 50, 10_000] {
        let mut client = Client::connect(server.address);
        let request = crate::client::upgrade_request("/ws?topic=a", &[]);
        client.send(&request.as_bytes()[..request.len().min(cut)]);
        client.reset();
    }
    let (mut other, _) = Client::open_json(server.address, "/ws");
    assert_eq!(other.close(1000), 1000);
    server.assert_empty();
}

#[test]
fn every_ping_is_answered_with_its_payload() {
    let server = Server::start();
    let (mut client, _) = Client::open_json(server.address, "/ws");
    for payload in [&b""[..], b"x", &[7; 125]] {
        client.send(&masked(PING, payload));
        let pong = client.frame().unwrap();
        assert_eq!((pong.first, pong.payload.as_slice()), (PONG, payload));
    }
    client.send(&masked(PONG, b"nobody asked"));
    client.ask(json!({"type": "ping", "id": 1}));
}

#[test]
fn a_quiet_client_is_pinged_and_dropped_when_it_does_not_answer() {
    let limits = Limits {
        ping_interval_ms: 1_000,
        pong_timeout_ms: 1_000,
        ..tight()
    };
    let server = Server::with_limits(limits);
    let (mut answering, _) = Client::open_json(server.address, "/ws");
    let (mut silent, _) = Client::open_json(server.address, "/ws");
    let began = Instant::now();
    assert_eq!(silent.frame().unwrap().first, PING);
    let pinged_after = began.elapsed();
    assert!(pinged_after >= Duration::from_millis(900), "{pinged_after:?}");
    // The other one answers pings as they come, and is kept.
    let mut pings = 0;
    while server.disconnects(3002) == 0 {
        assert_eq!(answering.frame().unwrap().first, PING);
        answering.send(&masked(PONG, b""));
        pings += 1;
        assert!(pings < 15, "the silent client is still here");
    }
    assert_eq!(silent.ending().code, 3002);
    assert_eq!(server.disconnects(3002), 1);
    answering.ask(json!({"type": "ping", "id": 1}));
    assert_eq!(answering.close(1000), 1000);
    server.assert_empty();
}

#[test]
fn replies_that_are_not_read_stop_the_reading_and_not_the_server() {
    let server = Server::with_limits(Limits {
        outbox_bytes_max: 200_000,
        write_timeout_ms: 60_000,
        ..Limits::default()
    });
    let topics: Vec<String> = (0..100).map(|number| format!("topic-{number}")).collect();
    let unsubscribe = json!({"type": "unsubscribe", "topics": topics}).to_string();
    let ping = json!({"type": "ping"}).to_string();
    for command in [unsubscribe, ping] {
        let mut client = Client::connect_narrow(server.address).upgraded("/ws");
        client
            .stream
            .set_write_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        let flood = masked(TEXT, command.as_bytes()).repeat(64_000 / command.len());
        let sent = (0..1_000)
            .take_while(|_| client.stream.write_all(&flood).is_ok())
            .count();
        assert!(sent < 1_000, "{command:.30}: the server still reads");
        let waiting = server.fanfare.stats().waiting_bytes;
        assert!(waiting < 1_000_000, "{command:.30}: {waiting} bytes wait");
        client.reset();
        eventually("the flood is over", || server.fanfare.connection_count() == 0);
    }
}
