//! Who gets a stream, and what those are told who get none.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fanfare::{
    Admission, Application, Denial, DoorLimits, Hooks, Identity, Listed, Options, OriginRule, UserName,
};

use super::{Feed, Framing, HELLO, post, request};
use crate::client::{Client, upgrade_request};
use crate::server::{Server, options};

/// An application whose tokens are the names of its users.
struct Backend;

impl Hooks for Backend {
    async fn authenticate(&self, token: &str) -> Result<Admission, Denial> {
        match UserName::parse(token) {
            Ok(user) if token != "mallory" => Ok(Admission {
                identity: Arc::new(Identity::of_user(user)),
                ..Admission::default()
            }),
            _ => Err(Denial::unauthenticated("who is that?")),
        }
    }
}

fn guarded() -> Options {
    Options {
        is_development: false,
        application: Some(Application::new(Backend)),
        ..options()
    }
}

fn hello(token: &str) -> String {
    format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#)
}

#[test]
fn a_token_lets_a_stream_in() {
    let server = Server::with(guarded());
    for (target, body, framing) in [
        ("/connection/http_stream", hello("ann"), Framing::Lines),
        ("/connection/sse", hello("ann"), Framing::Events),
        (
            "/connection/uni_sse",
            r#"{"token":"ann"}"#.to_owned(),
            Framing::Events,
        ),
        (
            "/connection/uni_http_stream",
            r#"{"token":"ann"}"#.to_owned(),
            Framing::Lines,
        ),
    ] {
        let mut feed = Feed::post(&server, target, body.as_bytes(), framing);
        assert!(feed.json()["connect"].is_object());
        let page = server
            .runtime
            .block_on(server.fanfare.connections(Listed::All, 0, 10));
        let row = &page.unwrap().connections[0];
        assert_eq!(row.user, UserName::parse("ann").ok(), "{target}");
        drop(feed);
        server.assert_empty();
    }
}

#[test]
fn whoever_is_not_let_in_is_told_by_a_push() {
    let server = Server::with(guarded());
    for (target, body, framing, code) in [
        ("/connection/http_stream", hello("mallory"), Framing::Lines, 3500),
        ("/connection/http_stream", HELLO.to_owned(), Framing::Lines, 3501),
        ("/connection/http_stream", "x".to_owned(), Framing::Lines, 3501),
        ("/connection/sse", hello("mallory"), Framing::Events, 3500),
        (
            "/connection/uni_sse",
            r#"{"token":"mallory"}"#.to_owned(),
            Framing::Events,
            3500,
        ),
        ("/connection/uni_http_stream", String::new(), Framing::Lines, 3501),
        (
            "/connection/uni_http_stream",
            "[]".to_owned(),
            Framing::Lines,
            3501,
        ),
    ] {
        let mut feed = Feed::post(&server, target, body.as_bytes(), framing);
        assert_eq!(feed.response.status, 200);
        let rest = feed.rest();
        let push = rest[0].get("push").unwrap_or(&rest[0]);
        assert_eq!(push["disconnect"]["code"], code, "{target} {body}");
        assert_eq!(rest.len(), 1);
    }
    server.assert_empty();
}

#[test]
fn what_asks_for_no_stream_is_told_with_a_status() {
    let server = Server::start();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
    let put = b"PUT /connection/sse HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let too_long = format!(r#"{{"id":1,"connect":{{"name":"{}"}}}}"#, "x".repeat(64 << 10));
    for (knock, status, allow) in [
        (get("/connection/http_stream"), 405, Some("POST, OPTIONS")),
        (get("/connection/uni_http_stream"), 405, Some("POST, OPTIONS")),
        (put.to_vec(), 405, Some("GET, POST, OPTIONS")),
        (get("/connection/sse"), 400, None),
        (get("/connection/sse?cf_connect="), 400, None),
        (post("/connection/sse", b"", &[]), 400, None),
        (post("/connection/http_stream", b"", &[]), 400, None),
        (
            post("/connection/http_stream", too_long.as_bytes(), &[]),
            413,
            None,
        ),
        (
            post(
                "/connection/http_stream",
                HELLO.as_bytes(),
                &["Origin: https://evil.example"],
            ),
            403,
            None,
        ),
        (
            post("/emulation", b"{}", &["Origin: https://evil.example"]),
            403,
            None,
        ),
        (get("/connection/uni_websocket"), 426, None),
    ] {
        let answer = request(&server, &knock);
        assert_eq!(answer.status, status, "{:.80}", String::from_utf8_lossy(&knock));
        assert_eq!(answer.header("allow"), allow);
    }
    server.assert_empty();
}

#[test]
fn pages_of_allowed_origins_may_use_every_transport() {
    const PAGE: &str = "https://app.example";
    let server = Server::with(Options {
        origins: OriginRule::allow([PAGE]).unwrap(),
        ..options()
    });
    let origin = format!("Origin: {PAGE}");
    for (target, methods) in [
        ("/connection/http_stream", "POST, OPTIONS"),
        ("/connection/sse", "GET, POST, OPTIONS"),
        ("/connection/uni_sse", "GET, POST, OPTIONS"),
        ("/connection/uni_http_stream", "POST, OPTIONS"),
        ("/emulation", "POST, OPTIONS"),
    ] {
        let ask = format!(
            "OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\n{origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type, x-mine\r\n\r\n"
        );
        let allowed = request(&server, ask.as_bytes());
        assert_eq!(allowed.status, 204);
        for (name, value) in [
            ("access-control-allow-origin", PAGE),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", methods),
            ("access-control-allow-headers", "content-type, x-mine"),
            ("access-control-max-age", "300"),
            ("vary", "Origin"),
        ] {
            assert_eq!(allowed.header(name), Some(value), "{target} {name}");
        }
        let foreign = ask.replace(PAGE, "https://evil.example");
        let foreign = request(&server, foreign.as_bytes());
        assert_eq!(
            (foreign.status, foreign.header("access-control-allow-origin")),
            (403, None)
        );
    }
    let body = post("/connection/http_stream", HELLO.as_bytes(), &[&origin]);
    let feed = Feed::ask(Client::connect(server.address), &body, Framing::Lines);
    assert_eq!(feed.response.header("access-control-allow-origin"), Some(PAGE));
    let refused = request(&server, &post("/emulation", b"{", &[&origin]));
    assert_eq!(
        (refused.status, refused.header("access-control-allow-origin")),
        (400, Some(PAGE)),
        "a page sees what it did wrong"
    );
}

#[test]
fn who_fails_to_connect_in_a_loop_is_not_let_in_for_a_while() {
    let server = Server::with(Options {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        door: DoorLimits {
            refused_tokens_per_address: NonZeroU32::new(4),
            connections_per_address_max: None,
            ..DoorLimits::default()
        },
        ..guarded()
    });
    let try_stream = |address: &str, token: &str| {
        let from = format!("X-Forwarded-For: {address}");
        let body = post("/connection/http_stream", hello(token).as_bytes(), &[&from]);
        let mut feed = Feed::ask(Client::connect(server.address), &body, Framing::Lines);
        if feed.response.status == 200 && token == "mallory" {
            feed.rest();
        }
        feed.response.status
    };
    let try_websocket = |address: &str| {
        let from = format!("X-Forwarded-For: {address}");
        request(
            &server,
            upgrade_request("/connection/websocket", &[&from]).as_bytes(),
        )
        .status
    };
    let statuses: Vec<u16> = (0..20).map(|_| try_stream("192.0.2.1", "mallory")).collect();
    assert_eq!(statuses[..4], [200; 4], "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let mut is_refused = false;
    for _ in 0..20 {
        try_stream("192.0.2.1", "mallory");
        is_refused |= try_websocket("192.0.2.1") == 429;
    }
    assert!(is_refused, "nor over a WebSocket");
    assert_eq!(try_stream("192.0.2.2", "ann"), 200, "nobody else is meant");
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(try_stream("192.0.2.1", "ann"), 200, "it passes");
}
