//! What every transport does.

use fanfare::{Dialect, Limits, Listed, Options};
use serde_json::{Value, json};

use super::{Feed, Framing, HELLO, aside, await_subscribers, field, on_axum, post, publish, put, request};
use crate::client::{BINARY, CLOSE, Client, PING, PONG, eventually, masked};
use crate::hosts::bridges;
use crate::server::{Server, options};

/// Plays a little on a stream and beside it.
fn play(server: &Server, framing: Framing, bridged: u64) {
    let (mut feed, told) = Feed::open(server, framing);
    assert_eq!(bridges(server), bridged);
    let subscribe = r#"{"id":2,"subscribe":{"channel":"a"}}"#;
    let publish_and_more = "{\"id\":3,\"publish\":{\"channel\":\"a\",\"data\":{\"n\": 1}}}\n{\"id\":4,\"presence_stats\":{\"channel\":\"a\"}}";
    assert_eq!(aside(server, &told, subscribe).status, 204);
    assert_eq!(feed.json()["id"], 2);
    assert_eq!(aside(server, &told, publish_and_more).status, 204);
    let mut heard = [feed.json(), feed.json(), feed.json()];
    heard.sort_by_key(|message| message["id"].as_u64());
    assert_eq!(heard[0]["push"]["pub"]["data"], json!({"n": 1}));
    assert_eq!(heard[0]["push"]["pub"]["info"]["client"], told["client"]);
    assert_eq!((&heard[1]["id"], &heard[2]["id"]), (&json!(3), &json!(4)));
    publish(server, "a", "two");
    assert_eq!(feed.json()["push"]["pub"]["data"], "two");
    drop(feed);
    server.assert_empty();
    eventually("no bridge is left", || bridges(server) == 0);
}

#[test]
fn the_listener_gives_streams_to_the_shard() {
    let server = Server::start();
    for framing in [Framing::Lines, Framing::Events] {
        play(&server, framing, 0);
    }
}

#[test]
fn elsewhere_a_stream_is_the_body_of_an_answer() {
    let server = Server::hosted(options(), on_axum);
    for framing in [Framing::Lines, Framing::Events] {
        play(&server, framing, 1);
    }
}

#[test]
fn a_browser_says_its_first_commands_in_the_address() {
    let server = Server::start();
    let commands = "%7B%22id%22%3A1%2C%22connect%22%3A%7B%7D%7D%0A%7B%22id%22%3A2%2C%22subscribe%22%3A%7B%22channel%22%3A%22a%22%7D%7D";
    let target = format!("GET /connection/sse?cf_connect={commands} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut feed = Feed::ask(
        Client::connect(server.address),
        target.as_bytes(),
        Framing::Events,
    );
    assert_eq!(feed.json()["id"], 1);
    assert_eq!(feed.json()["id"], 2);
    publish(&server, "a", "x");
    assert_eq!(feed.json()["push"]["pub"]["data"], "x");
}

#[test]
fn several_first_commands_are_taken_in_turn() {
    let server = Server::start();
    let body = format!("{HELLO}\n{}", r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    let mut feed = Feed::post(
        &server,
        "/connection/http_stream",
        body.as_bytes(),
        Framing::Lines,
    );
    assert_eq!(
        (feed.json()["id"].clone(), feed.json()["id"].clone()),
        (json!(1), json!(2))
    );
}

#[test]
fn protobuf_goes_through_a_stream_and_beside_it() {
    let server = Server::start();
    let hello = b"\x04\x08\x01\x22\x00";
    let mut feed = Feed::post(&server, "/connection/http_stream", hello, Framing::Protobuf);
    assert_eq!(
        feed.response.header("content-type"),
        Some("application/octet-stream")
    );
    let reply = feed.message().unwrap();
    let connect = field(&reply, 5).unwrap();
    let (session, node) = (field(connect, 9).unwrap(), field(connect, 10).unwrap());
    let subscribe = [&b"\x07\x08\x02"[..], &put(5, &put(1, b"a"))].concat();
    let said = [put(1, node), put(2, session), put(3, &subscribe)].concat();
    let lines = ["Content-Type: application/octet-stream"];
    let answer = request(&server, &post("/emulation", &said, &lines));
    assert_eq!(answer.status, 204, "{answer:?}");
    let reply = feed.message().unwrap();
    assert!(field(&reply, 6).is_some(), "{reply:?}");
    publish(&server, "a", "x");
    let push = feed.message().unwrap();
    let publication = field(field(&push, 4).unwrap(), 4).unwrap();
    assert_eq!(field(publication, 4), Some(&b"x"[..]));
}

#[test]
fn who_only_receives_says_who_it_is_and_no_more() {
    let server = Server::with(options());
    for (target, framing, is_get) in [
        ("/connection/uni_sse", Framing::Events, true),
        (
            "/connection/uni_sse?cf_connect=%7B%22name%22%3A%22x%22%7D",
            Framing::Events,
            true,
        ),
        ("/connection/uni_sse", Framing::Events, false),
        ("/connection/uni_http_stream", Framing::Lines, false),
    ] {
        let mut feed = if is_get {
            let get = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            Feed::ask(Client::connect(server.address), get.as_bytes(), framing)
        } else {
            Feed::post(&server, target, b"{\n  \"name\": \"x\"\n}", framing)
        };
        let connect = feed.json()["connect"].clone();
        assert_eq!(connect["session"].as_str().unwrap().len(), 48, "{connect}");
        assert!(connect["node"].is_null());
        subscribe_everybody(&server);
        assert_eq!(feed.json()["channel"], "a");
        publish(&server, "a", "x");
        assert_eq!(feed.json()["pub"]["data"], "x");
        drop(feed);
        server.assert_empty();
    }
    let lines = &["Content-Type: application/octet-stream"];
    let connect = post("/connection/uni_http_stream", &put(4, b"x"), lines);
    let mut feed = Feed::ask(Client::connect(server.address), &connect, Framing::Protobuf);
    assert!(field(&feed.message().unwrap(), 10).is_some());
}

/// The application subscribes whoever is there.
fn subscribe_everybody(server: &Server) {
    let page = server
        .runtime
        .block_on(server.fanfare.connections(Listed::All, 0, 10));
    for row in page.unwrap().connections {
        let who = fanfare::Selector::Connection(row.connection);
        let subscribed = server.fanfare.subscribe_clients(who, &["a"]);
        server.runtime.block_on(subscribed).unwrap();
    }
    await_subscribers(server, "a", 1);
}

#[test]
fn a_websocket_may_only_receive() {
    let server = Server::with(Options {
        limits: Limits {
            ping_interval_ms: 1_000,
            ..Limits::default()
        },
        ..options()
    });
    let mut client = Client::open(server.address, "/connection/uni_websocket");
    client.send_text("{}");
    let connect = client.json()["connect"].clone();
    assert!(
        connect["session"].is_string() && connect["pong"].is_null(),
        "{connect}"
    );
    assert_eq!(client.text(), "{}");
    assert_eq!(client.frame().unwrap().first, PING, "and one for its library");
    client.send(&masked(PONG, b""));
    client.send_text("{}");
    let goodbye = loop {
        let message = client.json();
        if message != json!({}) {
            break message;
        }
    };
    assert_eq!(goodbye["disconnect"]["code"], 3501, "it says that once");
    let close = std::iter::from_fn(|| client.frame()).find(|frame| frame.first == CLOSE);
    assert_eq!(close.unwrap().payload[..2], 3501_u16.to_be_bytes());

    let mut client = Client::open(server.address, "/connection/uni_websocket?format=protobuf");
    client.send(&masked(BINARY, &put(4, b"x")));
    let push = client.message().unwrap();
    let length = usize::from(push.payload[0]);
    assert!(length > 0 && push.first == BINARY, "{push:?}");
}

#[test]
fn a_websocket_is_pinged_as_it_asks() {
    let server = Server::with_limits(Limits {
        ping_interval_ms: 1_000,
        ..Limits::default()
    });
    let mut client = Client::open(server.address, "/connection/websocket?cf_ws_frame_ping_pong=true");
    client.send_text(HELLO);
    let connect = client.json()["connect"].clone();
    assert!(
        connect["ping"].is_null() && connect["pong"].is_null(),
        "{connect}"
    );
    assert_eq!(client.frame().unwrap().first, PING);
}

#[test]
fn a_stream_has_the_headers_that_proxies_and_libraries_know() {
    let server = Server::start();
    for (framing, content_type) in [
        (Framing::Lines, "application/json; charset=utf-8"),
        (Framing::Events, "text/event-stream; charset=utf-8"),
    ] {
        let (feed, _) = Feed::open(&server, framing);
        for (name, value) in [
            ("content-type", content_type),
            (
                "cache-control",
                "private, no-cache, no-store, must-revalidate, max-age=0",
            ),
            ("pragma", "no-cache"),
            ("expire", "0"),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(feed.response.header(name), Some(value), "{name}");
        }
    }
    let mut client = Client::connect(server.address);
    client.send(&post("/connection/sse", HELLO.as_bytes(), &[]));
    client.response().unwrap();
    assert!(client.bytes().unwrap().starts_with(b"\n"));
}

#[test]
fn streams_are_told_why_they_end() {
    let server = Server::start();
    let (mut lines, _) = Feed::open(&server, Framing::Lines);
    let (mut events, _) = Feed::open(&server, Framing::Events);
    let mut uni = Feed::post(&server, "/connection/uni_http_stream", b"", Framing::Lines);
    uni.json();
    let rows = server
        .runtime
        .block_on(server.fanfare.connections(Listed::All, 0, 10));
    let dialects: Vec<Dialect> = rows.unwrap().connections.iter().map(|row| row.dialect).collect();
    assert!(
        dialects.contains(&Dialect::CentrifugeUniJsonLines),
        "{dialects:?}"
    );
    let window = std::time::Duration::ZERO;
    server.runtime.block_on(
        server
            .fanfare
            .shutdown(window, std::time::Duration::from_secs(10)),
    );
    let goodbye = json!({"disconnect": {"code": 3001, "reason": "shutdown"}});
    assert_eq!(lines.rest(), [json!({"push": goodbye})]);
    assert_eq!(events.rest(), [json!({"push": goodbye})]);
    assert_eq!(uni.rest(), [goodbye]);
}

#[test]
fn a_client_that_vanishes_leaves_nothing() {
    let server = Server::start();
    let (feed, told) = Feed::open(&server, Framing::Lines);
    assert_eq!(
        aside(&server, &told, r#"{"id":2,"subscribe":{"channel":"a"}}"#).status,
        204
    );
    await_subscribers(&server, "a", 1);
    feed.client.reset();
    server.assert_empty();
    let gone: Value = told;
    assert_eq!(aside(&server, &gone, "{}").status, 404);
}
