//! Who gets a stream, and what those are told who get none.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare::{
    Admission, Application, Caller, Denial, DoorLimits, Entrant, Hooks, Identity, Leaves, Options,
    OriginRule, Timestamp, TopicName, TopicRule, TopicRules, UserName, Who,
};
use serde_json::json;

use super::{Stream, publish, request};
use crate::client::{Client, Response, upgrade_request};
use crate::server::{Server, options};

/// An application whose tokens are the names of its users.
struct Backend;

impl Hooks for Backend {
    async fn authenticate(&self, token: &str) -> Result<Admission, Denial> {
        if token == "mallory" {
            return Err(Denial::unauthenticated("who is that?"));
        }
        let expires_at = (token == "brief").then(|| {
            let at = SystemTime::now() + Duration::from_secs(2);
            Timestamp(at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64)
        });
        Ok(Admission {
            identity: Arc::new(Identity {
                expires_at,
                ..Identity::of_user(UserName::parse(token).unwrap())
            }),
            topics: vec![TopicName::parse("news").unwrap()],
            ..Admission::default()
        })
    }

    async fn connect(
        &self,
        entrant: &Entrant,
        admission: Option<Admission>,
    ) -> Result<Option<Admission>, Denial> {
        if entrant.headers.contains_key("x-banned") {
            return Err(Denial::forbidden("you are banned"));
        }
        Ok(admission)
    }

    async fn subscribe(&self, caller: &Caller, _: &[TopicName], _: Option<&str>) -> Result<Leaves, Denial> {
        let is_ann = caller.user().is_some_and(|user| user.as_str() == "ann");
        is_ann
            .then(Leaves::default)
            .ok_or_else(|| Denial::forbidden("not yours"))
    }
}

fn guarded() -> Options {
    Options {
        is_development: false,
        application: Some(Application::new(Backend)),
        rules: Arc::new(TopicRules::from([
            TopicRule::new("open").unwrap().subscribe(Who::Users),
            TopicRule::new("asked").unwrap().subscribe(Who::Hook),
        ])),
        ..options()
    }
}

fn knock(server: &Server, target: &str, lines: &[&str]) -> Response {
    Stream::ask(Client::connect(server.address), target, lines).response
}

#[test]
fn whoever_gets_no_stream_is_told_with_a_status() {
    let server = Server::with(guarded());
    for (target, lines, status, reason) in [
        ("/sse?topic=open", &[][..], 401, "nobody knows who this is"),
        ("/sse?topic=open&token=mallory", &[], 401, "who is that?"),
        (
            "/sse?topic=open&token=ann",
            &["X-Banned: yes"],
            403,
            "you are banned",
        ),
        ("/sse?topic=open&topic=closed&token=ann", &[], 403, "closed"),
        ("/sse?topic=%00&token=ann", &[], 400, "topic"),
        ("/sse?topic=open&token=ann&dialect=json", &[], 400, "`dialect`"),
        (
            "/sse?topic=open&token=ann&role=publisher",
            &[],
            400,
            "`role=publisher`",
        ),
        ("/sse?topic=open&token=ann&since=x", &[], 400, "`since`"),
        (
            "/sse?topic=open&token=ann",
            &["Last-Event-ID: x"],
            400,
            "`Last-Event-ID` is \"x\"",
        ),
        (
            "/sse?topic=open&token=ann",
            &["Last-Event-ID: a:1,b:2"],
            400,
            "places for 2 topics",
        ),
        ("/sse?topic=open&token=ann", &["Content-Length: 1"], 400, "body"),
        (
            "/sse?topic=open&token=ann",
            &["Origin: https://evil.example"],
            403,
            "origin",
        ),
    ] {
        let response = knock(&server, target, lines);
        assert_eq!(response.status, status, "{target} {lines:?}: {response:?}");
        assert!(response.body.contains(reason), "{target} {lines:?}: {response:?}");
    }
    let mut client = Client::connect(server.address);
    client.send(b"POST /sse?topic=open HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().unwrap().status, 405);
    let mut client = Client::connect(server.address);
    client.send(upgrade_request("/ws?dialect=sse&token=ann", &[]).as_bytes());
    assert_eq!(
        client.response().unwrap().status,
        400,
        "it is no dialect of WebSockets"
    );
    server.assert_empty();
}

#[test]
fn a_token_opens_a_stream_in_a_header_or_in_the_address() {
    let server = Server::with(guarded());
    for (target, lines) in [
        ("/sse?topic=open&token=ann", &[][..]),
        ("/sse?topic=open", &["Authorization: Bearer ann"]),
    ] {
        let mut stream = Stream::ask(Client::connect(server.address), target, lines);
        assert_eq!(stream.expect("welcome")["user"], "ann");
        let topics = [stream.expect("subscribed"), stream.expect("subscribed")];
        assert!(topics.iter().any(|said| said["topics"][0]["topic"] == "news"));
        publish(&server, "news", "granted");
        assert_eq!(stream.expect("message")["data"], "granted");
    }
}

#[test]
fn the_application_is_asked_about_topics_that_the_rules_leave_to_it() {
    let server = Server::with(guarded());
    let mut anns = Stream::ask(Client::connect(server.address), "/sse?topic=asked&token=ann", &[]);
    anns.expect("welcome");
    let topics = [anns.expect("subscribed"), anns.expect("subscribed")];
    assert!(topics.iter().any(|said| said["topics"][0]["topic"] == "asked"));
    let mut bobs = Stream::ask(Client::connect(server.address), "/sse?topic=asked&token=bob", &[]);
    bobs.expect("welcome");
    bobs.expect("subscribed");
    let goodbye = bobs.expect("goodbye");
    assert_eq!(
        (&goodbye["code"], &goodbye["reconnect"]),
        (&json!(3503), &json!(false))
    );
    assert_eq!((bobs.event(), bobs.retry_ms()), (None, Some(3_600_000)));
}

#[test]
fn a_stream_ends_when_its_token_expires() {
    let server = Server::with(guarded());
    let target = "/sse?topic=open&token=brief";
    let mut stream = Stream::ask(Client::connect(server.address), target, &[]);
    assert!(stream.expect("welcome")["expires_at"].is_u64());
    stream.expect("subscribed");
    stream.expect("subscribed");
    assert_eq!(stream.expect("goodbye")["code"], 3009);
    assert_eq!(stream.event(), None);
    drop(stream);
    server.assert_empty();
}

#[test]
fn streams_and_websockets_count_together() {
    let server = Server::with(Options {
        door: DoorLimits {
            connections_per_user_max: NonZeroU32::new(2),
            ..DoorLimits::default()
        },
        ..options()
    });
    let (stream, _) = Stream::open(Client::connect(server.address), "/sse?topic=a&user=ann", "");
    let (websocket, _) = Client::open_json(server.address, "/ws?user=ann");
    let refused = knock(&server, "/sse?topic=a&user=ann", &[]);
    assert_eq!(refused.status, 429);
    assert!(refused.retry_after() > 0);
    drop((stream, websocket));
    server.assert_empty();
    Stream::open(Client::connect(server.address), "/sse?topic=a&user=ann", "");
}

#[test]
fn pages_of_allowed_origins_may_read_a_stream() {
    const PAGE: &str = "https://app.example";
    let server = Server::with(Options {
        origins: OriginRule::allow([PAGE]).unwrap(),
        ..options()
    });
    let origin = format!("Origin: {PAGE}");
    let shared = knock(&server, "/sse?topic=a", &[&origin]);
    assert_eq!(shared.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(shared.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(shared.header("vary"), Some("Origin"));
    let own = knock(&server, "/sse?topic=a", &[]);
    assert_eq!(own.header("access-control-allow-origin"), None);
    let foreign = knock(&server, "/sse?topic=a", &["Origin: https://evil.example"]);
    assert_eq!(
        (foreign.status, foreign.header("access-control-allow-origin")),
        (403, None)
    );

    let mut client = Client::connect(server.address);
    let asked = request("/sse?topic=a", &[&origin, "Access-Control-Request-Method: GET"]);
    client.send(asked.replacen("GET", "OPTIONS", 1).as_bytes());
    let allowed = client.response().unwrap();
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(PAGE));
    let headers = allowed.header("access-control-allow-headers").unwrap();
    assert!(headers.contains("authorization") && headers.contains("last-event-id"));
}
