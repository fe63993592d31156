//! Going on where a stream broke off: everything, once, in order.

use std::collections::HashMap;
use std::thread;

use super::{Stream, keeping, on_axum, on_opaque, publish};
use crate::client::Client;
use crate::server::Server;

/// Reads so many messages; gives how many that makes of each topic, whose offsets must follow on each other.
fn read(stream: &mut Stream, count: usize, seen: &mut HashMap<String, u64>) {
    for _ in 0..count {
        let message = stream.expect("message");
        let topic = message["topic"].as_str().unwrap().to_owned();
        let offset = seen.entry(topic).or_default();
        *offset += 1;
        assert_eq!(message["offset"], *offset, "{message}");
    }
}

/// Cuts a stream again and again while others publish at full speed.
fn cut_and_go_on(server: &Server, connect: impl Fn() -> Client, target: &str) {
    const EACH: u64 = 1_500;
    let topics = target.matches("topic=").count() as u64;
    let publishers: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|topic| {
            let (fanfare, runtime) = (server.fanfare.clone(), server.runtime.handle().clone());
            move || {
                for number in 0..EACH {
                    let payload = fanfare::Payload::text("x".repeat(number as usize % 200));
                    runtime.block_on(fanfare.publish(topic, payload)).unwrap();
                }
            }
        })
        .collect();
    // A topic without history and without subscribers is forgotten.
    let mut seen: HashMap<String, u64> = ["a", "b"]
        .into_iter()
        .filter(|topic| target.contains(&format!("topic={topic}")))
        .map(|topic| (topic.to_owned(), publish(server, topic, "first")))
        .collect();
    let (stream, _) = Stream::open(connect(), target, "");
    let mut last_id = stream.last_id().to_owned();
    drop(stream);
    let publishers: Vec<_> = publishers.into_iter().map(thread::spawn).collect();
    let mut lives = 0;
    while seen.values().sum::<u64>() < (EACH + 1) * topics {
        let (mut stream, begun) = Stream::open(connect(), target, &last_id);
        for topic in begun.as_array().unwrap() {
            assert_eq!(topic["recovered"], true, "{topic}");
        }
        let left = (EACH + 1) * topics - seen.values().sum::<u64>();
        read(&mut stream, (1 + lives % 97).min(left) as usize, &mut seen);
        stream.last_id().clone_into(&mut last_id);
        lives += 1;
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
    assert!(lives > 20, "{lives}");
    server.assert_released();
}

#[test]
fn nothing_is_lost_or_doubled_over_cuts() {
    for target in ["/sse?topic=a", "/sse?topic=b&topic=a"] {
        let server = Server::with(keeping());
        cut_and_go_on(&server, || Client::connect(server.address), target);
    }
}

#[test]
fn nor_over_the_body_of_an_answer() {
    let server = Server::hosted(keeping(), on_axum);
    cut_and_go_on(&server, || Client::connect(server.address), "/sse?topic=a");
    let server = Server::hosted(keeping(), on_opaque);
    cut_and_go_on(
        &server,
        || Client::connect(server.address),
        "/sse?topic=b&topic=a",
    );
}

#[cfg(feature = "tls")]
#[test]
fn nor_over_tls() {
    let secured = crate::tls::Secured::with(keeping(), |_| ());
    cut_and_go_on(&secured.server, || secured.connect(), "/sse?topic=b&topic=a");
}

#[test]
fn newcomers_begin_where_they_wish_and_those_who_come_back_where_they_were() {
    let server = Server::with(keeping());
    for offset in 1..=5 {
        assert_eq!(publish(&server, "a", "x"), offset);
    }
    let connect = || Client::connect(server.address);
    let (mut stream, _) = Stream::open(connect(), "/sse?topic=a&last=2", "");
    assert_eq!(stream.expect("message")["offset"], 4);
    let (id, target) = (stream.last_id().to_owned(), "/sse?topic=a&last=2");
    drop(stream);
    let (mut stream, begun) = Stream::open(connect(), target, &id);
    assert_eq!(
        stream.expect("message")["offset"],
        5,
        "the id goes before `last`: {begun}"
    );
    for name in ["lastEventId", "last_event_id"] {
        let target = format!("/sse?topic=a&since=5m&{name}={}", id.replace(':', "%3A"));
        let (mut stream, _) = Stream::open(connect(), &target, "");
        assert_eq!(stream.expect("message")["offset"], 5, "{name}");
    }
    let (mut stream, _) = Stream::open(connect(), "/sse?topic=a&since=5m", "");
    assert_eq!(stream.expect("message")["offset"], 1);
}

#[test]
fn whoever_cannot_have_what_it_missed_is_told_why() {
    let server = Server::with(keeping());
    publish(&server, "a", "x");
    let (_, begun) = Stream::open(Client::connect(server.address), "/sse?topic=a", "zzz:1");
    assert_eq!(
        (&begun[0]["recovered"], &begun[0]["reason"]),
        (&false.into(), &"epoch_changed".into())
    );
    let (_, begun) = Stream::open(Client::connect(server.address), "/sse?topic=a", "-");
    assert_eq!(begun[0].get("recovered"), None, "it had no place");
}
