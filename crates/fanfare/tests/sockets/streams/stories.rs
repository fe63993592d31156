//! What every stream does, whatever it comes over.

use std::time::Duration;

use fanfare::{Dialect, Limits, Listed, Options, Payload, UserName};
use serde_json::json;

use super::{Stream, on_axum, on_opaque, publish, request};
use crate::client::{Client, eventually};
use crate::hosts::bridges;
use crate::server::{Server, options};

/// Plays a little on a stream, and looks whether it has a socket of its own.
fn play(server: &Server, client: Client, bridged: u64) {
    let (mut stream, topics) = Stream::open(client, "/sse?topic=a&topic=b&user=ann", "");
    assert_eq!(
        (topics[0]["topic"].as_str(), topics[1]["topic"].as_str()),
        (Some("a"), Some("b"))
    );
    let page = server
        .runtime
        .block_on(server.fanfare.connections(Listed::All, 0, 10));
    let row = &page.unwrap().connections[0];
    assert_eq!(
        (row.dialect, row.user.clone()),
        (Dialect::Sse, UserName::parse("ann").ok())
    );
    assert_eq!(bridges(server), bridged);
    publish(server, "a", "one");
    publish(server, "b", "two");
    let ann = UserName::parse("ann").unwrap();
    let sent = server.fanfare.send_to_user(&ann, Payload::text("three"));
    server.runtime.block_on(sent).unwrap();
    for (topic, data) in [("a", "one"), ("b", "two"), ("$user:ann", "three")] {
        let message = stream.expect("message");
        assert_eq!(
            (&message["topic"], &message["data"]),
            (&json!(topic), &json!(data))
        );
    }
    drop(stream);
    server.assert_empty();
    eventually("no bridge is left", || bridges(server) == 0);
}

#[test]
fn the_listener_gives_the_socket_to_the_shard() {
    let server = Server::with(options());
    play(&server, Client::connect(server.address), 0);
    let stream = Stream::ask(Client::connect(server.address), "/sse?topic=a", &[]);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("x-content-type-options", "nosniff"),
        ("connection", "close"),
    ] {
        assert_eq!(stream.response.header(name), Some(value), "{name}");
    }
    assert!(stream.response.header("date").unwrap().ends_with(" GMT"));
}

#[test]
fn elsewhere_the_stream_is_the_body_of_an_answer() {
    let server = Server::hosted(options(), on_axum);
    play(&server, Client::connect(server.address), 1);
    let server = Server::hosted(options(), on_opaque);
    play(&server, Client::connect(server.address), 1);
}

#[cfg(feature = "tls")]
#[test]
fn a_session_of_tls_goes_to_the_shard_with_its_socket() {
    let secured = crate::tls::Secured::with(options(), |_| ());
    play(&secured.server, secured.connect(), 0);
}

#[test]
fn a_stream_may_follow_other_requests_on_its_connection() {
    let server = Server::start();
    let mut client = Client::connect(server.address);
    let other = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send(other.as_bytes());
    assert_eq!(client.response().unwrap().status, 404);
    // And right behind one that was not answered yet.
    client.send(other.as_bytes());
    let mut stream = {
        client.send(request("/sse?topic=a", &[]).as_bytes());
        assert_eq!(client.response().unwrap().status, 404);
        Stream::ask(client, "/ignored", &[])
    };
    assert_eq!(stream.response.status, 200);
    stream.expect("welcome");
    stream.expect("subscribed");
    assert_eq!(publish(&server, "a", "x"), 1);
    stream.expect("message");
}

#[test]
fn what_a_client_sends_behind_its_request_means_nothing() {
    let server = Server::start();
    let (mut stream, _) = Stream::open(Client::connect(server.address), "/sse?topic=a", "");
    stream.client.send(&vec![b'x'; 300_000]);
    stream.client.send(request("/sse?topic=b", &[]).as_bytes());
    publish(&server, "a", "x");
    stream.expect("message");
    assert_eq!(server.fanfare.connection_count(), 1);
    stream.client.shut_write();
    server.assert_empty();
}

#[test]
fn quiet_streams_are_kept_alive() {
    let limits = Limits {
        ping_interval_ms: 1_000,
        pong_timeout_ms: 1_000,
        ..Limits::default()
    };
    for server in [
        Server::with_limits(limits.clone()),
        Server::hosted(Options { limits, ..options() }, on_axum),
    ] {
        let (mut stream, _) = Stream::open(Client::connect(server.address), "/sse?topic=a", "");
        std::thread::sleep(Duration::from_secs(4));
        publish(&server, "a", "x");
        stream.expect("message");
        assert!(stream.comments() >= 2, "{}", stream.comments());
    }
}

#[test]
fn a_server_that_stops_says_so_and_when_to_come_back() {
    for server in [Server::start(), Server::hosted(options(), on_axum)] {
        let (mut stream, _) = Stream::open(Client::connect(server.address), "/sse?topic=a", "");
        let fanfare = server.fanfare.clone();
        let stopping = server.runtime.spawn(async move {
            fanfare
                .shutdown(Duration::from_secs(1), Duration::from_secs(20))
                .await
        });
        let goodbye = stream.expect("goodbye");
        assert_eq!(
            (&goodbye["code"], &goodbye["reconnect"]),
            (&json!(3000), &json!(true))
        );
        assert_eq!(stream.retry_ms(), goodbye["reconnect_after_ms"].as_u64());
        assert_eq!(stream.event(), None);
        drop(stream);
        assert_eq!(server.runtime.block_on(stopping).unwrap(), 0);
    }
}
