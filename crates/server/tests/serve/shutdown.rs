//! How the server stops: everyone is told, what waits is written, and nothing holds it up for ever.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::client::{CLOSE, Client, eventually};
use crate::process::{PROMPT, Server, get};

#[test]
fn everyone_is_told_and_what_was_queued_is_written() {
    let mut server = Server::start(&["--shards", "2"]);
    let mut clients: Vec<_> = (0..40)
        .map(|_| {
            let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
            client.expect("subscribed");
            client
        })
        .collect();
    let mut raw = Client::open(server.address, "/ws?dialect=raw&topic=b");
    let (mut publisher, _) = Client::open_json(server.address, "/ws");
    for number in 0..100 {
        publisher.send_json(json!({"type": "publish", "topic": "a", "data": number}));
    }
    publisher.ask(json!({"type": "publish", "topic": "a", "data": "last", "id": 1}));
    server.signal(Signal::TERM);
    for client in &mut clients {
        for offset in 1..=101 {
            assert_eq!(client.expect("message")["offset"], offset);
        }
    }
    clients.push(publisher);
    for mut client in clients {
        let ending = client.ending();
        assert_eq!((ending.code, ending.reason.as_str()), (3000, "shutdown"));
        let goodbye = ending.goodbye.unwrap();
        assert_eq!(
            (&goodbye["code"], &goodbye["reconnect"]),
            (&json!(3000), &json!(true))
        );
        assert!(
            goodbye["reconnect_after_ms"]
                .as_u64()
                .is_some_and(|after| after <= 5_000),
            "{goodbye}"
        );
    }
    assert_eq!(raw.ending().code, 3000);
    assert_eq!(server.end_within(PROMPT).code(), Some(0));
}

#[test]
fn a_server_without_clients_stops_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&[]);
        let began = Instant::now();
        server.signal(signal);
        assert_eq!(server.end_within(PROMPT).code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}

#[test]
fn a_signal_right_after_the_first_line_stops_it_in_order() {
    for _ in 0..10 {
        let mut server = Server::start(&[]);
        server.signal(Signal::TERM);
        assert_eq!(server.end_within(PROMPT).code(), Some(0));
    }
}

/// A client that has begun to be told and does not answer.
fn stuck(server: &Server) -> Client {
    let (mut client, _) = Client::open_json(server.address, "/ws");
    server.signal(Signal::TERM);
    client.expect("goodbye");
    assert_eq!(client.frame().unwrap().first, CLOSE);
    client
}

#[test]
fn a_stuck_client_is_cut_off_at_the_deadline() {
    let mut server = Server::start(&["--shutdown-timeout", "1s", "--close-timeout", "1h"]);
    let began = Instant::now();
    let stuck = stuck(&server);
    assert_eq!(server.end_within(PROMPT).code(), Some(0));
    let elapsed = began.elapsed();
    assert!(
        elapsed >= Duration::from_millis(900) && elapsed < Duration::from_secs(8),
        "{elapsed:?}"
    );
    drop(stuck);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&["--shutdown-timeout", "1h", "--close-timeout", "1h"]);
    let stuck = stuck(&server);
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.end_within(PROMPT).code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(stuck);
}

#[test]
fn nobody_new_is_taken_while_it_stops() {
    let server = Server::start(&["--shutdown-timeout", "1h", "--close-timeout", "1h"]);
    let mut probe = Client::connect(server.address);
    assert_eq!(get(&mut probe, "/ready").status, 200);
    let _stuck = stuck(&server);
    let refused = get(&mut probe, "/ready");
    assert_eq!((refused.status, refused.body.as_str()), (503, "shutting down\n"));
    probe.send(crate::client::upgrade_request("/ws", &[]).as_bytes());
    let refused = probe.response().unwrap();
    assert_eq!(refused.status, 503);
    assert!(
        (1..=5).contains(&refused.retry_after()),
        "spread like those who are told goodbye: {refused:?}"
    );
    eventually("connections are refused", || {
        TcpStream::connect(server.address).is_err()
    });
}
