//! Those who come back: what they missed comes once, whatever the network does and however much is published meanwhile,
//! and what is gone is said to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::client::{Client, TEXT, eventually};
use crate::process::Server;
use crate::proxy::{Fault, Proxy, Then, Way};
use crate::story::{Bystanders, api, post, story};

/// Topics that keep more than is published here.
const KEEPING: [&str; 4] = ["--history-frames", "100000", "--history-bytes-max", "256MiB"];

/// Where the topic `a` stands.
fn stands(server: &Server) -> (String, u64) {
    let page = api(server, "/api/history?topic=a&limit=1");
    let epoch = page["epoch"].as_str().unwrap().to_owned();
    (epoch, page["offset"].as_u64().unwrap())
}

/// Publishes to `a` through the API, so many.
fn publish(server: &Server, count: u64) {
    let mut client = Client::connect(server.address);
    for _ in 0..count {
        post(&mut client, "/api/publish?topic=a", "x");
    }
}

/// Clients that publish to `a` as fast as the server takes it, until they are told that it is enough.
struct Publishers {
    is_enough: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Publishers {
    fn start(server: &Server, clients: usize) -> Self {
        let is_enough = Arc::new(AtomicBool::new(false));
        let publishing = |_| {
            let (client, _) = Client::open_json(server.address, "/ws");
            let is_enough = Arc::clone(&is_enough);
            std::thread::spawn(move || publish_until(client, &is_enough))
        };
        let threads = (0..clients).map(publishing).collect();
        Self { is_enough, threads }
    }

    /// Waits until all that they have sent is published.
    fn end(self) {
        self.is_enough.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Publishes, at most a fifth of what is kept.
fn publish_until(mut client: Client, is_enough: &AtomicBool) {
    for _ in 0..200 {
        for number in 0..100 {
            client.send_json(json!({"type": "publish", "topic": "a", "data": number}));
        }
        // When this is answered, so is everything before.
        client.send_json(json!({"type": "ping", "id": 1}));
        while client.json()["type"] != "pong" {}
        if is_enough.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Somebody who knows where it is.
struct Reader {
    epoch: String,
    last: u64,
}

impl Reader {
    fn at(server: &Server, last: u64) -> Self {
        let (epoch, _) = stands(server);
        Self { epoch, last }
    }

    /// Asks for what follows.
    fn subscribe(&self, client: &mut Client) {
        let place = json!({"epoch": self.epoch, "offset": self.last});
        client.send_json(json!({"type": "subscribe", "topic": "a", "since": place, "id": 1}));
    }

    /// Comes back and reads until `end`, or until the connection is gone.
    fn read(&mut self, client: &mut Client, end: u64) {
        self.subscribe(client);
        self.read_on(client, end);
    }

    /// Comes back as often as it must.
    fn read_all(&mut self, server: &Server, end: u64) {
        while self.last < end {
            self.read(&mut Client::open(server.address, "/ws"), end);
        }
        assert_eq!(self.last, end);
    }

    /// Reads until `end`, or until the connection is gone: each offset once.
    fn read_on(&mut self, client: &mut Client, end: u64) {
        while self.last < end {
            let Some(frame) = client.message().filter(|frame| frame.first == TEXT) else {
                return;
            };
            let push: Value = serde_json::from_slice(&frame.payload).unwrap();
            match push["type"].as_str().unwrap() {
                "welcome" => {}
                "subscribed" => {
                    let topic = &push["topics"][0];
                    assert_eq!(
                        (&topic["recovered"], &topic["offset"]),
                        (&json!(true), &json!(self.last))
                    );
                }
                "message" => {
                    assert_eq!(push["offset"], self.last + 1, "{push}");
                    self.last += 1;
                }
                // Whoever reads too slowly is closed, and comes back like any other.
                "goodbye" => assert_eq!(push["code"], 3001, "{push}"),
                _ => panic!("{push}"),
            }
        }
    }
}

#[test]
fn every_offset_comes_once_over_a_line_that_breaks_while_others_publish() {
    const FAULTS: [(usize, Then); 6] = [
        (1_000, Then::Cut),
        (20_000, Then::Reset),
        (3_001, Then::Cut),
        (70_007, Then::Cut),
        (1_777, Then::Reset),
        (33_333, Then::Reset),
    ];
    story(&KEEPING, |server| {
        publish(server, 500);
        let mut reader = Reader::at(server, 0);
        let publishers = Publishers::start(server, 2);
        let mut left_alone = Vec::new();
        for (bytes, then) in FAULTS.into_iter().cycle().take(24) {
            let proxy = Proxy::to(server.address);
            proxy.set(Way::Down, Fault::then(bytes, then));
            reader.read(&mut Client::open(proxy.address, "/ws"), u64::MAX);
            // And a line that goes dead: the client gives up by itself, and the server has yet to find out.
            let proxy = Proxy::to(server.address);
            let mut client = Client::open(proxy.address, "/ws");
            reader.read(&mut client, reader.last + 50);
            proxy.stall();
            left_alone.push((proxy, client));
        }
        publishers.end();
        let end = stands(server).1;
        reader.read_all(server, end);
        // From here on it is one of those who receive.
        let mut client = Client::open(server.address, "/ws");
        let (mut publisher, _) = Client::open_json(server.address, "/ws");
        reader.subscribe(&mut client);
        client.expect("welcome");
        assert_eq!(client.expect("subscribed")["topics"][0]["offset"], end);
        publisher.send_json(json!({"type": "publish", "topic": "a", "data": "live"}));
        reader.read_on(&mut client, end + 1);
        assert_eq!(reader.last, end + 1);
    });
}

#[test]
fn many_who_lose_their_connections_at_once_come_back_at_once() {
    const READERS: usize = 200;
    const MISSED: u64 = 500;
    story(&KEEPING, |server| {
        let mut bystanders = Bystanders::open(server);
        let mut clients: Vec<_> = (0..READERS)
            .map(|_| Client::open_json(server.address, "/ws").0)
            .collect();
        for client in &mut clients {
            client.subscribe(&["a"]);
        }
        publish(server, 1);
        clients.into_iter().for_each(Client::reset);
        publish(server, MISSED);
        let before = server.metric("fanfare_encoded_total");
        let mut back: Vec<_> = (0..READERS)
            .map(|_| (Client::open(server.address, "/ws"), Reader::at(server, 1)))
            .collect();
        for (client, reader) in &mut back {
            reader.subscribe(client);
        }
        let publishers = Publishers::start(server, 1);
        bystanders.assert_well();
        publishers.end();
        let end = stands(server).1;
        for (client, reader) in &mut back {
            reader.read_on(client, end);
            reader.read_all(server, end);
        }
        let recovered = server.metric("fanfare_recovered_total");
        assert!(recovered >= READERS as u64 * MISSED, "{recovered} were recovered");
        // What all of them missed was not encoded for each.
        let encoded = server.metric("fanfare_encoded_total") - before;
        assert!(
            encoded < recovered / 4,
            "{encoded} encoded, {recovered} recovered"
        );
        bystanders.assert_well();
    });
}

#[test]
fn what_somebody_reads_slowly_that_was_missed_waits_in_the_log() {
    const MISSED: u64 = 5_000;
    let arguments = [
        &KEEPING[..],
        &["--send-buffer-bytes", "8KiB", "--write-timeout", "1h"],
    ]
    .concat();
    story(&arguments, |server| {
        let (mut publisher, _) = Client::open_json(server.address, "/ws");
        let mut publish = |count| {
            for number in 0..count {
                let data = "x".repeat(1_000);
                publisher.send_json(json!({"type": "publish", "topic": "a", "data": data}));
                // One at a time would take long, and all at once more than the server takes in.
                if number % 50 == 49 {
                    assert_eq!(publisher.ask(json!({"type": "ping", "id": 1}))["type"], "pong");
                }
            }
        };
        publish(MISSED);
        let mut reader = Reader::at(server, 0);
        let mut client = Client::connect_narrow(server.address).upgraded("/ws");
        reader.subscribe(&mut client);
        for after in [0, 2_000, 4_000] {
            reader.read_on(&mut client, after);
            eventually("its socket takes no more", || {
                api(server, "/api/connections?behind=true")["connections"] != json!([])
            });
            // More than may wait in an outbox.
            publish(300);
            // Pages are kept for a moment for others who missed the same.
            eventually("two pages wait and nothing else", || {
                server.metric("fanfare_waiting_bytes") < 192 << 10
            });
        }
        reader.read_on(&mut client, MISSED + 900);
        assert_eq!(reader.last, MISSED + 900);
        server.await_metrics(&[("fanfare_forgotten_total", 0)]);
    });
}

/// The entry of the one topic in the answer to a `subscribe`.
fn subscribed(server: &Server, target: &str, since: &str) -> (Client, Value) {
    let (mut client, _) = Client::open_json(server.address, target);
    let reply = client.ask(json!({"type": "subscribe", "topic": "a", "since": since, "id": 1}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    (client, reply["topics"][0].clone())
}

#[test]
fn what_is_gone_is_said_with_the_reason_and_what_is_kept_follows() {
    story(&["--history-frames", "10"], |server| {
        publish(server, 30);
        let (epoch, _) = stands(server);
        for (since, recovered, reason, after) in [
            (format!("{epoch}:20"), true, Value::Null, 20),
            (format!("{epoch}:19"), false, json!("too_old"), 20),
            (format!("{epoch}:0"), false, json!("too_old"), 20),
            (format!("{epoch}:31"), false, json!("ahead"), 30),
            (format!("{epoch}:18446744073709551615"), false, json!("ahead"), 30),
            ("another:5".to_owned(), false, json!("epoch_changed"), 20),
        ] {
            let (mut client, topic) = subscribed(server, "/ws", &since);
            assert_eq!(
                (&topic["recovered"], &topic["reason"], &topic["offset"]),
                (&json!(recovered), &reason, &json!(after)),
                "{since}"
            );
            for offset in after + 1..=30 {
                assert_eq!(client.expect("message")["offset"], offset, "{since}");
            }
        }
    });
}

#[test]
fn after_a_restart_the_log_is_another_one() {
    let server = Server::start(&["--history-frames", "10"]);
    publish(&server, 5);
    let before = stands(&server);
    drop(server);
    let server = Server::start(&["--history-frames", "10"]);
    publish(&server, 3);
    let (mut client, topic) = subscribed(&server, "/ws", &format!("{}:{}", before.0, before.1));
    assert_eq!(
        (&topic["recovered"], &topic["reason"], &topic["offset"]),
        (&json!(false), &json!("epoch_changed"), &json!(0))
    );
    assert_ne!(topic["epoch"], before.0.as_str());
    for offset in 1..=3 {
        assert_eq!(client.expect("message")["offset"], offset);
    }
}

#[test]
fn who_may_not_read_history_begins_with_what_comes_and_is_told_so() {
    let rule = r#"{ pattern = "a", subscribe = "anyone", publish = "anyone", history = "nobody" }"#;
    story(&["--history-frames", "10", "--topic-rule", rule], |server| {
        publish(server, 5);
        let (epoch, _) = stands(server);
        for since in [format!("{epoch}:2"), format!("{epoch}:5"), "5m".to_owned()] {
            let (mut client, topic) = subscribed(server, "/ws", &since);
            let end = stands(server).1;
            assert_eq!(
                (&topic["recovered"], &topic["reason"], &topic["offset"]),
                (&json!(false), &json!("forbidden"), &json!(end)),
                "{since}"
            );
            let reply = client.ask(json!({"type": "history", "topic": "a", "id": 2}));
            assert_eq!(
                (&reply["type"], &reply["code"]),
                (&json!("error"), &json!("forbidden"))
            );
            publish(server, 1);
            assert_eq!(client.expect("message")["offset"], end + 1, "{since}");
        }
    });
}

// Row 55: limit = 2^63, offset -1 and the like, over a socket and over the API.
#[test]
fn history_that_is_asked_for_in_absurd_amounts_is_clamped_or_refused() {
    story(&["--history-frames", "2000"], |server| {
        let mut bystanders = Bystanders::open(server);
        publish(server, 1_500);
        let (epoch, _) = stands(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        for (fields, count) in [
            (r#""limit":9223372036854775808"#.to_owned(), Some(1_000)),
            (r#""limit":18446744073709551615"#.to_owned(), Some(1_000)),
            (r#""limit":0"#.to_owned(), Some(1)),
            (r#""limit":-1"#.to_owned(), None),
            (r#""limit":18446744073709551616"#.to_owned(), None),
            (r#""limit":1e300"#.to_owned(), None),
            (r#""limit":"5""#.to_owned(), None),
            (r#""last":18446744073709551615"#.to_owned(), Some(100)),
            (r#""last":-1"#.to_owned(), None),
            (r#""since":"4294967295d""#.to_owned(), Some(100)),
            (r#""since":"4294967296d""#.to_owned(), None),
            (format!(r#""since":{{"epoch":"{epoch}","offset":-1}}"#), None),
            (
                format!(r#""since":{{"epoch":"{epoch}","offset":18446744073709551615}}"#),
                Some(0),
            ),
            (
                format!(r#""since":{{"epoch":"{epoch}","offset":18446744073709551616}}"#),
                None,
            ),
            (
                format!(r#""before":{{"epoch":"{epoch}","offset":18446744073709551615}}"#),
                Some(100),
            ),
            (format!(r#""before":{{"epoch":"{epoch}","offset":0}}"#), Some(0)),
            (r#""before":{"epoch":"another","offset":9}"#.to_owned(), Some(100)),
            (
                r#""before":{"epoch":"zzzzzzzzzzzzzzzzzzzz","offset":9}"#.to_owned(),
                None,
            ),
            (r#""before":"5m""#.to_owned(), None),
        ] {
            client.send_text(&format!(r#"{{"type":"history","topic":"a","id":7,{fields}}}"#));
            let reply = client.json();
            assert_eq!(reply["id"], 7, "{fields}: {reply}");
            let messages = reply["messages"].as_array().map(Vec::len);
            assert_eq!(messages, count, "{fields}: {reply}");
            if count.is_none() {
                assert_eq!(reply["code"], "bad_command", "{fields}: {reply}");
            }
        }
        for (query, status, count) in [
            ("limit=1000", 200, Some(1_000)),
            ("limit=1001", 400, None),
            ("limit=9223372036854775808", 400, None),
            ("limit=-1", 400, None),
            ("last=18446744073709551615", 200, Some(100)),
            ("since=a:-1", 400, None),
            ("since=a:9223372036854775808", 200, Some(100)),
            ("before=a:18446744073709551615", 200, Some(100)),
        ] {
            let response = server.get(&format!("/api/history?topic=a&{query}"));
            let answer: Value = serde_json::from_str(&response.body).unwrap();
            let messages = answer["messages"].as_array().map(Vec::len);
            assert_eq!((response.status, messages), (status, count), "{query}: {answer}");
        }
        // Whoever asks for page after page and reads none is not read from: one is on the way at most.
        for _ in 0..200 {
            client.send_text(r#"{"type":"history","topic":"a","limit":1000,"id":8}"#);
        }
        bystanders.assert_well();
        for _ in 0..200 {
            assert_eq!(client.json()["id"], 8);
        }
    });
}
