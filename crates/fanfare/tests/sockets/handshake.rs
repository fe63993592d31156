//! The opening handshake: what is refused, with which status, and what becomes a WebSocket.

use std::io::Write;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use fanfare::{DoorLimits, ListenerOptions, Options, OriginRule};

use crate::client::{BINARY, CLOSE, Client, Response, TEXT, masked, upgrade_request};
use crate::server::{Server, options};

/// What a request is answered with.
fn answer(server: &Server, request: &str) -> Response {
    let mut client = Client::connect(server.address);
    client.send(request.as_bytes());
    client.response().expect("an answer")
}

/// A good request with one text in it replaced.
fn spoilt(good: &str, bad: &str) -> String {
    let request = upgrade_request("/ws", &[]);
    assert!(request.contains(good));
    request.replacen(good, bad, 1)
}

#[test]
fn a_request_that_opens_no_websocket_is_refused_with_the_right_status() {
    let server = Server::start();
    for (request, status) in [
        (spoilt("Version: 13", "Version: 8"), 426),
        (spoilt("Sec-WebSocket-Version: 13\r\n", ""), 426),
        (spoilt("Upgrade: websocket\r\n", ""), 426),
        (spoilt("Upgrade: websocket", "Upgrade: h2c"), 426),
        (spoilt("Connection: Upgrade", "Connection: keep-alive"), 426),
        (spoilt("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400),
        (spoilt("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), 400),
        (
            spoilt("dGhlIHNhbXBsZSBub25jZQ==", "not base64 at all!!!!!=="),
            400,
        ),
        (spoilt("GET", "POST"), 405),
        (spoilt("HTTP/1.1", "HTTP/1.0"), 400),
        (spoilt("Host: localhost\r\n", ""), 400),
        (spoilt("Upgrade: websocket", "Upgrade : websocket"), 400),
        (spoilt("localhost", "local\0host"), 400),
        (spoilt("localhost", "local\rhost"), 400),
        (spoilt("localhost", "lócalhost"), 400),
        (upgrade_request("/ws", &["Host: evil.example"]), 400),
        (upgrade_request("/ws", &["Sec-WebSocket-Version: 13"]), 426),
        (
            upgrade_request("/ws", &["Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA=="]),
            400,
        ),
    ] {
        let response = answer(&server, &request);
        assert_eq!(response.status, status, "{request}\n{response:?}");
        assert!(!response.head.contains("101"), "{response:?}");
    }
    assert_eq!(server.fanfare.connection_count(), 0);
}

#[test]
fn a_refusal_says_what_would_have_been_right() {
    let server = Server::start();
    let version = answer(&server, &spoilt("Version: 13", "Version: 12"));
    assert_eq!(version.header("sec-websocket-version"), Some("13"));
    let method = answer(&server, &spoilt("GET", "POST"));
    assert_eq!(method.header("allow"), Some("GET"));
}

#[test]
fn a_request_with_a_body_opens_no_websocket() {
    let server = Server::start();
    for line in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let request = upgrade_request("/ws", &[line]) + "hello";
        assert_eq!(answer(&server, &request).status, 400, "{line}");
    }
    let twice = upgrade_request("/ws", &["Content-Length: 0", "Content-Length: 5"]);
    assert_eq!(answer(&server, &twice).status, 400);
    let empty = upgrade_request("/ws", &["Content-Length: 0"]);
    assert_eq!(answer(&server, &empty).status, 101);
}

#[test]
fn bad_parameters_are_refused_and_named() {
    let server = Server::start();
    for (target, named) in [
        ("/ws?dialect=xml", "xml"),
        ("/ws?topic=", "topic"),
        ("/ws?topic=a%20b", "topic"),
        ("/ws?topic=%24all", "topic"),
        ("/ws?topic=news.*", "topic"),
        ("/ws?dialect=raw&role=king", "role"),
        ("/ws?role=publisher", "role=publisher"),
        ("/ws?user=", "user"),
        ("/ws?occupancy=maybe", "occupancy"),
        ("/ws?every=soon", "every"),
        ("/ws?slow=conflate", "slow"),
        ("/ws?dialect=raw&slow=drop_oldest", "slow"),
    ] {
        let response = answer(&server, &upgrade_request(target, &[]));
        assert_eq!(response.status, 400, "{target}");
        assert!(response.body.contains(named), "{target}: {}", response.body);
    }
    let many: Vec<String> = (0..129).map(|number| format!("topic=t{number}")).collect();
    let request = upgrade_request(&format!("/ws?{}", many.join("&")), &[]);
    assert_eq!(answer(&server, &request).status, 400);
}

#[test]
fn a_user_in_the_address_is_refused_outside_development() {
    let server = Server::with(Options {
        is_development: false,
        ..options()
    });
    let response = answer(&server, &upgrade_request("/ws?user=anna", &[]));
    assert_eq!(response.status, 403);
    assert!(response.body.contains("--dev"), "{}", response.body);
}

#[test]
fn the_subprotocol_that_is_spoken_is_echoed_and_no_other() {
    let server = Server::start();
    for (offered, target, echoed) in [
        (None, "/ws", None),
        (Some("fanfare.raw.v1"), "/ws", Some("fanfare.raw.v1")),
        (Some("soap, fanfare.json.v1"), "/ws", Some("fanfare.json.v1")),
        (
            Some("fanfare.json.v1"),
            "/ws?dialect=json",
            Some("fanfare.json.v1"),
        ),
    ] {
        let line = offered.map(|offered| format!("Sec-WebSocket-Protocol: {offered}"));
        let lines: Vec<&str> = line.as_deref().into_iter().collect();
        let response = answer(&server, &upgrade_request(target, &lines));
        assert_eq!(response.status, 101, "{offered:?}");
        assert_eq!(response.header("sec-websocket-protocol"), echoed);
        assert_eq!(
            response.header("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "the sample of RFC 6455 section 1.3"
        );
    }
    for (offered, target) in [("soap", "/ws"), ("fanfare.raw.v1", "/ws?dialect=json")] {
        let line = format!("Sec-WebSocket-Protocol: {offered}");
        assert_eq!(answer(&server, &upgrade_request(target, &[&line])).status, 400);
    }
}

#[test]
fn nothing_of_a_request_is_echoed_into_the_head_of_its_answer() {
    let server = Server::start();
    for (target, line) in [
        ("/ws", "Sec-WebSocket-Protocol: fanfare.raw.v1\tX-Evil"),
        ("/ws", "Sec-WebSocket-Protocol: X-Evil:1"),
        ("/ws?dialect=%0d%0aX-Evil:%201", "X: y"),
        ("/ws?topic=%0d%0aX-Evil:%201", "X: y"),
        ("/ws?user=%0d%0aX-Evil:%201", "X: y"),
        ("/ws", "Origin: http://X-Evil.example"),
    ] {
        let response = answer(&server, &upgrade_request(target, &[line]));
        assert_ne!(response.status, 101, "{target} {line}");
        assert!(
            !response.head.to_ascii_lowercase().contains("x-evil"),
            "{}",
            response.head
        );
    }
}

#[test]
fn pages_of_other_origins_may_not_connect() {
    let server = Server::with(Options {
        origins: OriginRule::allow(["https://good.example"]).unwrap(),
        ..options()
    });
    let own = |host: &str, origins: &[&str]| {
        let lines: Vec<String> = origins.iter().map(|origin| format!("Origin: {origin}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let request = upgrade_request("/ws", &lines).replacen("localhost", host, 1);
        answer(&server, &request).status
    };
    for (host, origins, status) in [
        ("chat.example", &[][..], 101),
        ("chat.example", &["https://chat.example"], 101),
        ("chat.example:8080", &["http://chat.example:8080"], 101),
        ("127.0.0.1:8080", &["http://localhost:3000"], 101),
        ("chat.example", &["https://good.example"], 101),
        ("chat.example", &["https://GOOD.example:443"], 101),
        ("chat.example", &["http://good.example"], 403),
        ("chat.example", &["https://good.example:8443"], 403),
        ("chat.example", &["https://good.example.evil"], 403),
        ("chat.example", &["https://chat.example.evil"], 403),
        ("chat.example", &["https://evil.example"], 403),
        ("chat.example", &["https://chat.example@evil.example"], 403),
        ("chat.example", &["http://localhost:3000"], 403),
        ("chat.example", &["null"], 403),
        ("chat.example", &[""], 403),
        (
            "chat.example",
            &["https://chat.example", "https://chat.example"],
            403,
        ),
        (
            "chat.example",
            &["https://good.example", "https://evil.example"],
            403,
        ),
        (
            "chat.example",
            &["https://good.example, https://evil.example"],
            403,
        ),
    ] {
        assert_eq!(own(host, origins), status, "{origins:?} to {host}");
    }
}

#[test]
fn a_connection_beyond_the_limit_is_told_to_come_back() {
    let server = Server::with(Options {
        door: DoorLimits {
            connections_max: NonZeroU32::new(1),
            ..DoorLimits::default()
        },
        ..options()
    });
    let (mut first, _) = Client::open_json(server.address, "/ws");
    let refused = answer(&server, &upgrade_request("/ws", &[]));
    assert_eq!(refused.status, 503);
    assert!(
        refused.body.contains("1 connections are open"),
        "{}",
        refused.body
    );
    assert!((1..=5).contains(&refused.retry_after()), "{refused:?}");
    assert_eq!(first.close(1000), 1000);
    server.assert_empty();
    Client::open_json(server.address, "/ws");
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Server::start();
    let mut client = Client::connect(server.address);
    for byte in upgrade_request("/ws?topic=a", &[]).bytes() {
        client.send(&[byte]);
    }
    assert_eq!(client.response().unwrap().status, 101);
    client.expect("welcome");
}

#[test]
fn what_is_sent_right_behind_the_request_is_handled_in_order() {
    let server = Server::start();
    let mut client = Client::connect(server.address);
    let mut bytes = upgrade_request("/ws?dialect=raw&topic=early", &[]).into_bytes();
    for number in 0..50 {
        bytes.extend(masked(TEXT, format!("early {number}").as_bytes()));
    }
    bytes.extend(masked(BINARY, &vec![7; 40_000]));
    bytes.extend(masked(TEXT, b"last"));
    client.send(&bytes);
    assert_eq!(client.response().unwrap().status, 101);
    let mut seen = Vec::new();
    loop {
        let frame = client.message().unwrap();
        if frame.payload == b"last" {
            break;
        }
        seen.push(frame.payload);
    }
    // The subscription comes into force a moment after the first messages: those before it are not seen, none
    // after it is missing.
    let expected: Vec<Vec<u8>> = (0..50)
        .map(|number| format!("early {number}").into_bytes())
        .chain([vec![7; 40_000]])
        .collect();
    assert!(expected.ends_with(&seen), "{} came", seen.len());
}

#[test]
fn a_close_right_behind_the_request_is_answered() {
    let server = Server::start();
    let mut client = Client::connect(server.address);
    let mut bytes = upgrade_request("/ws", &[]).into_bytes();
    bytes.extend(masked(CLOSE, &1000_u16.to_be_bytes()));
    client.send(&bytes);
    assert_eq!(client.response().unwrap().status, 101);
    assert_eq!(client.ending().code, 1000);
    server.assert_empty();
}

/// A server that gives half a second for the handshake.
fn impatient() -> Server {
    let listening = ListenerOptions {
        handshake_timeout: Duration::from_millis(500),
        ..ListenerOptions::default()
    };
    Server::listening(options(), listening)
}

#[test]
fn a_silent_connection_is_dropped_at_the_deadline() {
    let server = impatient();
    let began = Instant::now();
    let mut silent = Client::connect(server.address);
    let mut half = Client::connect(server.address);
    half.send(b"GET /ws HTTP/1.1\r\nHost: loc");
    let mut other_protocol = Client::connect(server.address);
    other_protocol.send(b"PRI * HTTP/2.0");
    for client in [&mut silent, &mut half, &mut other_protocol] {
        client.time_to_end();
    }
    let elapsed = began.elapsed();
    assert!(elapsed >= Duration::from_millis(450), "{elapsed:?}");
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}

#[test]
fn a_slow_handshake_is_dropped_at_a_total_deadline() {
    let server = impatient();
    let mut client = Client::connect(server.address);
    let began = Instant::now();
    let request = upgrade_request("/ws", &[]);
    let was_cut_off = request.bytes().any(|byte| {
        std::thread::sleep(Duration::from_millis(100));
        client.stream.write_all(&[byte]).is_err()
    });
    assert!(was_cut_off, "a byte every 100 ms is not progress enough");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_huge_head_is_refused() {
    let server = Server::start();
    let long = format!("X-Long: {}", "x".repeat(20 << 20));
    let many: Vec<String> = (0..5_000).map(|number| format!("X-{number}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for lines in [&[long.as_str()][..], &many] {
        let mut client = Client::connect(server.address);
        // The server may close while the rest is still on its way.
        let _ = client.stream.write_all(upgrade_request("/ws", lines).as_bytes());
        let status = client.response().map(|response| response.status);
        assert!(matches!(status, None | Some(431)), "{status:?}");
    }
    let (mut other, _) = Client::open_json(server.address, "/ws");
    assert_eq!(other.close(1000), 1000, "the server goes on");
}

#[test]
fn an_application_may_serve_the_endpoint_with_axum() {
    let server = Server::start();
    let router = axum::Router::new().route("/chat", server.fanfare.websocket());
    let listener = server
        .runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    server
        .runtime
        .spawn(async { axum::serve(listener, router).await });
    let mut bytes = upgrade_request("/chat", &[]).into_bytes();
    bytes.extend(masked(TEXT, br#"{"type":"ping"}"#));
    let mut client = Client::connect(address);
    client.send(&bytes);
    assert_eq!(client.response().unwrap().status, 101);
    client.expect("welcome");
    client.expect("pong");
    assert_eq!(client.close(1000), 1000);
}
