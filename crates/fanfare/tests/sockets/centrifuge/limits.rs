//! What holds for messages holds for what is said beside a stream.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use fanfare::{
    Admission, Application, Caller, Denial, DoorLimits, Hooks, Leaves, Limits, Options, TopicName, TopicRule,
    TopicRules, Who,
};
use serde_json::json;

use super::{Feed, Framing, HELLO, aside, post, publish, request};
use crate::client::{Client, DEADLINE, eventually};
use crate::server::{Server, options};

/// An application that takes a while over everything.
struct Slow;

impl Hooks for Slow {
    async fn subscribe(&self, _: &Caller, _: &[TopicName], _: Option<&str>) -> Result<Leaves, Denial> {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(Leaves::default())
    }

    async fn authenticate(&self, _: &str) -> Result<Admission, Denial> {
        Err(Denial::unauthenticated("nobody has a token"))
    }
}

#[test]
fn what_is_said_while_the_application_is_asked_waits_its_turn() {
    let server = Server::with(Options {
        application: Some(Application::new(Slow)),
        rules: TopicRules::from([
            TopicRule::new("asked").unwrap().subscribe(Who::Hook),
            TopicRule::new("open").unwrap().subscribe(Who::Anyone),
        ])
        .into(),
        ..options()
    });
    let (mut feed, told) = Feed::open(&server, Framing::Lines);
    for command in [
        json!({"id": 2, "subscribe": {"channel": "asked"}}),
        json!({"id": 3, "subscribe": {"channel": "open"}}),
        json!({"id": 4, "unsubscribe": {"channel": "open"}}),
    ] {
        assert_eq!(aside(&server, &told, &command.to_string()).status, 204);
    }
    let mut ids: Vec<_> = (0..3).map(|_| feed.json()["id"].as_u64().unwrap()).collect();
    assert_eq!(ids[0], 2, "the others were not looked at before");
    ids.sort_unstable();
    assert_eq!(ids, [2, 3, 4]);
}

#[test]
fn who_says_more_than_is_taken_in_is_told_to_wait() {
    let server = Server::with_limits(Limits {
        commands_per_second: 20,
        ..Limits::default()
    });
    let (mut feed, told) = Feed::open(&server, Framing::Lines);
    let commands = r#"{"id":2,"history":{"channel":"a"}}"#.to_owned() + "\n";
    let many = commands.repeat((32 << 10) / commands.len());
    let mut statuses = Vec::new();
    for _ in 0..10 {
        let answer = aside(&server, &told, many.trim_end());
        if answer.status == 429 {
            assert!(answer.retry_after() >= 1);
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses[0], 204);
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| matches!(status, 204 | 429)),
        "{statuses:?}"
    );
    feed.json();
    publish(&server, "b", "others go on");
    drop(feed);
    server.assert_released();
}

#[test]
fn a_connection_that_is_spoken_for_too_fast_is_slowed_and_others_are_not() {
    let server = Server::with_limits(Limits {
        commands_per_second: 10,
        ..Limits::default()
    });
    let (mut feed, told) = Feed::open(&server, Framing::Lines);
    let commands: Vec<String> = (2..42)
        .map(|id| json!({"id": id, "history": {"channel": "a"}}).to_string())
        .collect();
    let began = Instant::now();
    assert_eq!(aside(&server, &told, &commands.join("\n")).status, 204);
    let mut replies = 0;
    while replies < 40 {
        replies += usize::from(feed.json()["id"].is_u64());
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_slow_body_is_not_waited_for() {
    let server = Server::with_limits(Limits {
        message_timeout_ms: 300,
        ..Limits::default()
    });
    for target in ["/emulation", "/connection/http_stream"] {
        let mut client = Client::connect(server.address);
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{{");
        client.send(head.as_bytes());
        assert_eq!(client.response().unwrap().status, 408);
    }
}

#[test]
fn bodies_hold_no_more_than_messages_that_are_not_finished() {
    let server = Server::with_limits(Limits {
        receiving_bytes_max: 16 << 10,
        ..Limits::default()
    });
    let say = |bytes: usize| request(&server, &post("/emulation", &vec![b' '; bytes], &[]));
    for _ in 0..5 {
        assert_eq!(
            say(10_000).status,
            400,
            "there is room, and nothing of it was kept"
        );
        let refused = say(20_000);
        assert_eq!(refused.status, 503);
        assert!(refused.retry_after() > 0);
    }
}

#[test]
fn streams_and_websockets_count_together() {
    let server = Server::with(Options {
        door: DoorLimits {
            connections_max: NonZeroU32::new(2),
            ..DoorLimits::default()
        },
        ..options()
    });
    let (stream, _) = Feed::open(&server, Framing::Lines);
    let uni = Feed::post(&server, "/connection/uni_sse", b"", Framing::Events);
    let body = post("/connection/http_stream", HELLO.as_bytes(), &[]);
    let refused = request(&server, &body);
    assert_eq!(refused.status, 503);
    assert!(refused.retry_after() > 0);
    drop((stream, uni));
    server.assert_empty();
    Feed::open(&server, Framing::Lines);
}

#[test]
fn a_stream_that_is_not_read_is_told_slow_and_delays_nobody() {
    let server = Server::with_limits(Limits {
        outbox_bytes_max: 64 << 10,
        ..Limits::default()
    });
    let body = format!("{HELLO}\n{}", r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    let stalled = Feed::ask(
        Client::connect_narrow(server.address),
        &post("/connection/http_stream", body.as_bytes(), &[]),
        Framing::Lines,
    );
    let mut lively = Feed::post(
        &server,
        "/connection/http_stream",
        body.as_bytes(),
        Framing::Lines,
    );
    for id in [1, 2] {
        assert_eq!(lively.json()["id"], id);
    }
    let text = "x".repeat(16 << 10);
    let began = Instant::now();
    while server.fanfare.subscribers("a") == 2 && began.elapsed() < DEADLINE {
        publish(&server, "a", &text);
        assert!(lively.json()["push"]["pub"]["data"].is_string());
    }
    eventually("the one that does not read is closed", || {
        server.fanfare.subscribers("a") == 1
    });
    drop(stalled);
}
