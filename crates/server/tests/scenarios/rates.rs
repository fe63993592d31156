//! Clients that ask faster than they may: who waits, who is refused, who is closed, and that the others do not pay.

use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, PING, PONG, TEXT, eventually, masked};
use crate::process::Server;
use crate::story::{Bystanders, disconnects, post, rejections, story};

const HELD_FOR_COMMANDS: &str = "fanfare_holds_total{limit=\"commands\"}";
const HELD_FOR_BYTES: &str = "fanfare_holds_total{limit=\"bytes\"}";
const HELD_FOR_USER: &str = "fanfare_holds_total{limit=\"user_commands\"}";

/// Publications with ids as their data, to be confirmed.
fn publications(topic: &str, ids: Range<u64>) -> Vec<u8> {
    ids.map(|id| json!({"type": "publish", "topic": topic, "data": id, "id": id}).to_string())
        .flat_map(|command| masked(TEXT, command.as_bytes()))
        .collect()
}

fn assert_published(client: &mut Client, ids: Range<u64>) {
    for id in ids {
        assert_eq!(client.expect("published")["id"], id);
    }
}

/// A client of topic `a` that is subscribed.
fn listener(server: &Server) -> Client {
    let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
    client.expect("subscribed");
    client
}

// Row 30: pongs nobody asked for count as commands do, and what is between them waits in its order.
#[test]
fn pongs_beyond_the_rate_wait_and_keep_their_order() {
    story(&["--commands-per-second", "100"], |server| {
        let mut bystanders = Bystanders::open(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let began = Instant::now();
        let mut flood = Vec::new();
        // 290 in all, of which 200 may come at once.
        for number in 0..29 {
            flood.extend(masked(PONG, b"nobody asked").repeat(9));
            flood.extend(masked(PING, &[number]));
        }
        client.send(&flood);
        eventually("it is not read from", || server.metric("fanfare_held") == 1);
        bystanders.assert_well();
        for number in 0..29 {
            let pong = client.frame().unwrap();
            assert_eq!((pong.first, pong.payload), (PONG, vec![number]));
        }
        let time = began.elapsed();
        assert!(time >= Duration::from_millis(800), "90 too many in {time:?}");
        assert!(server.metric(HELD_FOR_COMMANDS) >= 1);
        server.await_metrics(&[(HELD_FOR_BYTES, 0), (HELD_FOR_USER, 0)]);
        assert_eq!(client.close(1000), 1000);
    });
}

// Row 41: whoever publishes too fast waits, loses nothing, and takes nothing from others.
#[test]
fn a_publish_flood_of_one_client_waits_and_the_others_keep_their_share() {
    story(&["--commands-per-second", "200"], |server| {
        let mut bystanders = Bystanders::open(server);
        let mut listener = listener(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let began = Instant::now();
        client.send(&publications("a", 0..600));
        eventually("it is not read from", || server.metric("fanfare_held") == 1);
        bystanders.assert_well();
        assert_published(&mut client, 0..600);
        let time = began.elapsed();
        assert!(time >= Duration::from_millis(900), "200 too many in {time:?}");
        for id in 0..600 {
            let message = listener.expect("message");
            assert_eq!(
                (&message["data"], &message["offset"]),
                (&json!(id), &json!(id + 1))
            );
        }
        let holds = server.metric(HELD_FOR_COMMANDS);
        assert!((1..=200).contains(&holds), "held {holds} times");
        server.await_metrics(&[(&rejections("rate_limited"), 0), ("fanfare_held", 0)]);
    });
}

// Row 41: what counts may be bytes, or what all connections of a user send together.
#[test]
fn bytes_count_as_well_and_those_of_one_user_together() {
    story(&["--bytes-per-second", "20000B"], |server| {
        let mut bystanders = Bystanders::open(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let began = Instant::now();
        let command = json!({"type": "ping", "id": 1, "padding": "x".repeat(9_900)}).to_string();
        client.send(&masked(TEXT, command.as_bytes()).repeat(6));
        for _ in 0..6 {
            client.expect("pong");
        }
        assert!(
            began.elapsed() >= Duration::from_millis(800),
            "{:?}",
            began.elapsed()
        );
        assert!(server.metric(HELD_FOR_BYTES) >= 1);
        bystanders.assert_well();
    });
    let arguments = [
        "--dev",
        "--history-age",
        "1s",
        "--shards",
        "1",
        "--user-commands-per-second",
        "100",
    ];
    story(&arguments, |server| {
        let mut bystanders = Bystanders::open(server);
        let mut clients = [0, 1, 2].map(|_| Client::open_json(server.address, "/ws?user=ada").0);
        let began = Instant::now();
        for client in &mut clients {
            client.send(&publications("a", 0..95));
        }
        eventually("they are not read from", || server.metric("fanfare_held") > 0);
        bystanders.assert_well();
        for client in &mut clients {
            assert_published(client, 0..95);
        }
        // 285 in all, of which 200 may come at once.
        let time = began.elapsed();
        assert!(time >= Duration::from_millis(750), "85 too many in {time:?}");
        assert!(server.metric(HELD_FOR_USER) >= 1);
        server.await_metrics(&[(HELD_FOR_COMMANDS, 0)]);
    });
}

// Row 41: a topic that is published to too fast refuses, and whoever does not wait is closed.
#[test]
fn a_publish_flood_into_one_topic_is_refused_and_then_closed() {
    // Ten at once, and then one every two tenths of a second.
    let arguments = ["--publications-per-second", "5", "--refusals-max", "30"];
    story(&arguments, |server| {
        let mut listener = listener(server);
        let (mut other, _) = Client::open_json(server.address, "/ws");
        let (mut flooder, _) = Client::open_json(server.address, "/ws");
        flooder.send(&publications("a", 0..1_000));
        let (mut published, mut refused, mut wait_ms) = (0, 0, 0);
        let goodbye = loop {
            let reply: Value = flooder.json();
            match reply["type"].as_str() {
                Some("published") => published += 1,
                Some("error") => {
                    assert_eq!(
                        (&reply["code"], &reply["temporary"]),
                        (&json!("rate_limited"), &json!(true))
                    );
                    assert_eq!(reply["id"], published + refused, "answers in order");
                    wait_ms = reply["retry_after_ms"].as_u64().unwrap();
                    assert!((100..=200).contains(&wait_ms), "{reply}");
                    refused += 1;
                }
                _ => break reply,
            }
        };
        let expected = json!({"type": "goodbye", "code": 3501, "reason": "flooding", "reconnect": false});
        assert_eq!(goodbye, expected);
        assert_eq!(flooder.ending().code, 3501);
        // 30 refusals may be, the next is answered as well; one or another may have been let in meanwhile.
        assert_eq!(refused, 31);
        assert!(published >= 10, "{published} published");

        // What was refused was not published, and another topic is another matter.
        let reply = other.ask(json!({"type": "publish", "topic": "b", "data": 1, "id": 1}));
        assert_eq!(reply["type"], "published");
        // The application is not bound to it.
        let mut caller = Client::connect(server.address);
        assert_eq!(
            post(&mut caller, "/api/publish?topic=a", "x")["offset"],
            published + 1
        );
        // Whoever waits as it is told is served.
        let mut reply = json!({"retry_after_ms": wait_ms});
        while let Some(wait_ms) = reply["retry_after_ms"].as_u64() {
            std::thread::sleep(Duration::from_millis(wait_ms));
            reply = other.ask(json!({"type": "publish", "topic": "a", "data": 1, "id": 2}));
        }
        assert_eq!(reply["offset"], published + 2);
        for offset in 1..=published + 2 {
            assert_eq!(listener.expect("message")["offset"], offset);
        }
        server.await_metrics(&[
            (&disconnects(3501, "flooding"), 1),
            (&disconnects(3004, "overloaded"), 0),
        ]);
    });
}

// Row 41: a dialect without errors can only be closed.
#[test]
fn a_raw_client_whose_publication_is_refused_is_closed() {
    story(&["--publications-per-second", "5"], |server| {
        let mut listener = listener(server);
        let mut raw = Client::open(server.address, "/ws?dialect=raw&topic=a");
        raw.send(&masked(TEXT, b"x").repeat(100));
        let ending = raw.ending();
        assert_eq!((ending.code, ending.reason.as_str()), (3004, "overloaded"));
        for offset in 1..=10 {
            assert_eq!(listener.expect("message")["offset"], offset);
        }
        server.await_metrics(&[
            (&disconnects(3004, "overloaded"), 1),
            (&rejections("rate_limited"), 1),
        ]);
    });
}

// Row 43: topics cost memory, so there is a number of them.
#[test]
fn topics_beyond_the_limit_are_refused_and_leave_nothing() {
    const TOPICS_MAX: u64 = 50;
    let arguments = ["--shards", "1", "--topics-max", "50"];
    story(&arguments, |server| {
        // They have one of the topics.
        let mut bystanders = Bystanders::open(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let names: Vec<String> = (1..TOPICS_MAX).map(|number| format!("topic-{number}")).collect();
        let subscribed = client.ask(json!({"type": "subscribe", "topics": names, "id": 0}));
        assert_eq!(subscribed["topics"].as_array().unwrap().len(), names.len());
        let topics = || {
            (
                server.metric("fanfare_topics"),
                server.metric("fanfare_subscriptions"),
            )
        };
        for number in 0..500 {
            // All or none: one of these is there.
            let topics = json!(["topic-1", format!("more-{number}")]);
            let reply = client.ask(json!({"type": "subscribe", "topics": topics, "id": number}));
            assert_eq!(
                (&reply["code"], &reply["id"], &reply["temporary"]),
                (&json!("too_many_topics"), &json!(number), &json!(true)),
                "{reply}"
            );
        }
        server.await_metrics(&[(&rejections("too_many_topics"), 500)]);
        assert_eq!(topics(), (TOPICS_MAX, TOPICS_MAX));
        bystanders.assert_well();
        // Those that are there can be joined, and one that goes makes room.
        let (mut other, _) = Client::open_json(server.address, "/ws");
        other.subscribe(&["topic-1", "topic-2"]);
        client.ask(json!({"type": "unsubscribe", "topic": "topic-3"}));
        other.subscribe(&["one-more"]);
        let reply = other.ask(json!({"type": "subscribe", "topic": "topic-3"}));
        assert_eq!(reply["code"], "too_many_topics");
        assert_eq!(topics(), (TOPICS_MAX, TOPICS_MAX + 2));
    });
}
