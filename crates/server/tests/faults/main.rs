//! What dies with what, in the real program. Needs the feature `fault-injection`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

#[allow(dead_code, reason = "the library's tests use the rest of it")]
#[path = "../../../fanfare/tests/sockets/client.rs"]
mod client;
#[allow(dead_code, reason = "the other tests use the rest of it")]
#[path = "../serve/process.rs"]
mod process;

use std::io::Read as _;
use std::process::{ChildStderr, Stdio};

use rustix::process::Signal;
use serde_json::json;

use client::{Client, eventually};
use process::{PROMPT, Server, get, serve};

/// Has something in the server panic that works for this client.
fn inject(client: &mut Client, place: &str) {
    client.send_json(json!({"type": "publish", "topic": "secret-topic", "data": format!("fault:{place}")}));
}

/// A server with its log.
fn logged(arguments: &[&str]) -> (Server, ChildStderr) {
    let mut server = Server::start_by(serve(arguments).stderr(Stdio::piped()));
    let log = server.stderr();
    (server, log)
}

fn read(mut log: ChildStderr) -> String {
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_panic_in_a_connection_closes_it_and_is_counted_and_logged_without_what_was_sent() {
    let (mut server, log) = logged(&["--shards", "1", "--close-timeout", "200ms"]);
    let (mut witness, _) = Client::open_json(server.address, "/ws?topic=a");
    witness.expect("subscribed");
    let (mut victim, _) = Client::open_json(server.address, "/ws");
    inject(&mut victim, "dialect");
    assert_eq!(victim.ending().code, 1011);
    let command = json!({"type": "publish", "topic": "a", "data": 1, "id": 1});
    assert_eq!(witness.ask_past_messages(command)["type"], "published");
    server.await_metrics(&[
        ("fanfare_panics_total{place=\"dialect\"}", 1),
        ("fanfare_process_panics_total", 1),
        (
            "fanfare_disconnects_total{code=\"1011\",reason=\"internal error\"}",
            1,
        ),
        ("fanfare_shard_restarts_total", 0),
    ]);
    drop(witness);
    server.signal(Signal::TERM);
    assert_eq!(server.end_within(PROMPT).code(), Some(0));
    let log = read(log);
    assert_eq!(log.matches("place=\"dialect\"").count(), 1, "{log}");
    assert!(log.contains("fault.rs"), "where it happened: {log}");
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn a_panic_in_the_hub_drops_its_connections_and_the_server_goes_on() {
    let (server, _log) = logged(&["--shards", "1"]);
    let (mut witness, _) = Client::open_json(server.address, "/ws?topic=a");
    witness.expect("subscribed");
    let (mut victim, _) = Client::open_json(server.address, "/ws");
    inject(&mut victim, "hub");
    witness.time_to_end();
    server.await_metrics(&[
        ("fanfare_panics_total{place=\"hub\"}", 1),
        ("fanfare_shard_restarts_total", 1),
        ("fanfare_connections", 0),
        ("fanfare_connections_opened_total", 2),
        ("fanfare_connections_released_total", 2),
    ]);
    let (mut back, _) = Client::open_json(server.address, "/ws?topic=a");
    back.expect("subscribed");
    assert_eq!(server.get("/ready").status, 200);
}

#[test]
fn a_shard_that_panics_over_and_over_ends_the_program() {
    let (mut server, log) = logged(&["--shards", "1"]);
    for _ in 0..5 {
        let (mut victim, _) = Client::open_json(server.address, "/ws");
        inject(&mut victim, "hub");
        victim.time_to_end();
    }
    assert_eq!(server.end_within(PROMPT).code(), Some(1));
    let log = read(log);
    assert!(log.contains("failed for good"), "{log}");
    assert!(log.contains("it panicked too often"), "{log}");
}

#[test]
fn a_panic_in_a_handler_is_answered_with_500() {
    let (server, _log) = logged(&[]);
    let mut client = Client::connect(server.address);
    let response = get(&mut client, "/fault/handler");
    assert_eq!(
        (response.status, response.body.as_str()),
        (500, "the server failed at this request\n")
    );
    assert_eq!(get(&mut client, "/health").status, 200, "the connection goes on");
    server.await_metrics(&[("fanfare_http_panics_total", 1)]);
}

#[test]
fn a_panic_in_a_chore_ends_this_turn_of_it() {
    let (server, _log) = logged(&["--history-frames", "10"]);
    for turn in 1..=2 {
        assert_eq!(server.get("/fault/history").status, 200);
        server.await_metrics(&[("fanfare_chore_panics_total", turn)]);
    }
}

#[test]
fn a_panic_of_the_listener_ends_the_program() {
    let (mut server, log) = logged(&[]);
    let mut client = Client::connect(server.address);
    assert_eq!(get(&mut client, "/fault/listener").status, 200);
    // The next one to come wakes it.
    let _next = Client::connect(server.address);
    assert_eq!(server.end_within(PROMPT).code(), Some(1));
    assert!(read(log).contains("the listener failed"));
    eventually("nobody is left connected", || {
        std::net::TcpStream::connect(server.address).is_err()
    });
}
