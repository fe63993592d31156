//! The rules for slow clients, and what each is sent and told: order is kept, and everything comes or is told to be
//! missing, in its place and exactly.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, TEXT, eventually};
use crate::process::Server;
use crate::proxy::{Fault, Proxy, Way};
use crate::story::{Bystanders, disconnects, post, story};

const OVERFLOWS: &str = "fanfare_outbox_overflows_total{rule=\"disconnect\"}";

/// Small buffers, so that a client is behind soon.
const NARROW: [&str; 4] = ["--send-buffer-bytes", "8KiB", "--write-timeout", "1h"];

/// Keys of publications, where they have one.
const KEYS: u64 = 5;

fn left_out(rule: &str) -> String {
    format!("fanfare_left_out_total{{rule=\"{rule}\"}}")
}

/// A client of topic `ticks` that takes in little while it does not read.
fn narrow(address: std::net::SocketAddr, query: &str) -> Client {
    Client::connect_narrow(address).upgraded(&format!("/ws?topic=ticks{query}"))
}

/// What must be read before it counts as a member, in the json dialect.
fn subscribed(mut client: Client) -> Client {
    client.expect("welcome");
    client.expect("subscribed");
    client
}

/// Publishes a kilobyte for each of these offsets, with keys in turn, each confirmed before the next; the reader gets
/// each before the next as well.
fn publish(server: &Server, offsets: RangeInclusive<u64>, mut reader: Option<&mut Client>) {
    let (mut publisher, _) = Client::open_json(server.address, "/ws");
    for offset in offsets {
        let key = format!("key-{}", offset % KEYS);
        let data = format!("{offset:0>1000}");
        let reply = publisher
            .ask(json!({"type": "publish", "topic": "ticks", "data": data, "key": key, "id": offset}));
        assert_eq!(
            (&reply["type"], &reply["offset"]),
            (&json!("published"), &json!(offset))
        );
        if let Some(reader) = &mut reader {
            assert_eq!(reader.expect("message")["offset"], offset);
        }
    }
}

/// What a client knows of a topic that it reads too slowly.
#[derive(Default)]
struct Ledger {
    received: BTreeSet<u64>,
    /// What is told to be missing: ranges, and how many of each.
    told: Vec<(u64, u64, u64)>,
}

impl Ledger {
    /// Takes in one thing that came. Whatever lies before a message came or is told by then.
    fn take(&mut self, said: &Value) {
        let number = |name: &str| said[name].as_u64().unwrap();
        assert_eq!(said["topic"], "ticks", "{said}");
        if said["type"] == "missed" {
            return self.told.push((number("from"), number("to"), number("count")));
        }
        assert_eq!(said["type"], "message", "{said}");
        let offset = number("offset");
        let last = self.received.last().copied().unwrap_or(0);
        assert!(offset > last, "{offset} behind {last}");
        for between in last + 1..offset {
            assert!(
                self.is_told(between),
                "{between} is left out before {offset} without a word"
            );
        }
        self.received.insert(offset);
    }

    fn is_told(&self, offset: u64) -> bool {
        self.told
            .iter()
            .any(|&(from, to, _)| (from..=to).contains(&offset))
    }

    /// Reads until all up to an offset came or were told. A range may hold some that come behind it.
    fn read_to(&mut self, client: &mut Client, last: u64) {
        while self.received.len() as u64 + self.missed() < last {
            self.take(&client.json());
        }
    }

    fn missed(&self) -> u64 {
        self.told.iter().map(|&(_, _, count)| count).sum()
    }

    /// What is told is exactly what did not come, range by range where ranges do not overlap.
    fn assert_exact(&self, last: u64, rule: &str) {
        let absent: BTreeSet<u64> = (1..=last)
            .filter(|offset| !self.received.contains(offset))
            .collect();
        assert_eq!(self.missed(), absent.len() as u64, "{rule}: {:?}", self.told);
        for &(from, to, count) in &self.told {
            assert!(
                absent.contains(&from) && absent.contains(&to),
                "{rule}: {from} to {to}"
            );
            assert!(
                count <= absent.range(from..=to).count() as u64,
                "{rule}: {from} to {to}"
            );
        }
        assert!(absent.iter().all(|&offset| self.is_told(offset)), "{rule}");
    }
}

/// A story of a client whose line takes less than is published, under a rule, and of one that misses nothing.
fn story_of_a_slow_line(rule: &str, check: impl Fn(&Ledger)) {
    const COUNT: u64 = 400;
    let slow_rule = format!("ticks={rule}");
    let arguments = [
        &NARROW[..],
        &["--outbox-frames-max", "40", "--slow-rule", &slow_rule],
    ]
    .concat();
    story(&arguments, |server| {
        let proxy = Proxy::to(server.address);
        let mut slow = subscribed(narrow(proxy.address, ""));
        let mut well = subscribed(Client::open(server.address, "/ws?topic=ticks"));
        let line = Fault {
            bytes_per_second: Some(100_000),
            ..Fault::default()
        };
        proxy.set(Way::Down, line);
        let ledger = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut ledger = Ledger::default();
                ledger.read_to(&mut slow, COUNT);
                ledger
            });
            publish(server, 1..=COUNT, Some(&mut well));
            reader.join().unwrap()
        });
        ledger.assert_exact(COUNT, rule);
        assert!(ledger.missed() > 0, "{rule}: the line was not too slow");
        check(&ledger);
        server.await_metrics(&[(&left_out(rule), ledger.missed()), (OVERFLOWS, 0)]);
        assert_eq!(slow.close(1000), 1000);
    });
}

// Row 37.
#[test]
fn a_slow_line_under_drop_oldest_brings_the_newest() {
    story_of_a_slow_line("drop_oldest", |ledger| {
        let newest: Vec<u64> = ledger.received.iter().rev().take(20).copied().collect();
        assert_eq!(newest, (381..=400).rev().collect::<Vec<u64>>());
        for &(from, to, count) in &ledger.told {
            assert_eq!(count, to - from + 1, "one gap each: {from} to {to}");
        }
    });
}

// Row 37.
#[test]
fn a_slow_line_under_drop_newest_brings_what_came_first() {
    story_of_a_slow_line("drop_newest", |ledger| {
        assert!((1..=40).all(|offset| ledger.received.contains(&offset)));
    });
}

// Row 37.
#[test]
fn a_slow_line_under_conflate_brings_the_newest_of_every_key() {
    story_of_a_slow_line("conflate", |ledger| {
        for offset in 396..=400 {
            assert!(
                ledger.received.contains(&offset),
                "the newest of its key, {offset}"
            );
        }
    });
}

// Row 37: what waits too long is dealt with by the rule as well, however little it is.
#[test]
fn what_has_waited_too_long_is_left_out_or_the_end() {
    const COUNT: u64 = 60;
    for rule in ["drop_oldest", "drop_newest", "disconnect"] {
        let slow_rule = format!("ticks={rule}");
        let arguments = [
            &NARROW[..],
            &["--outbox-age-max", "1s", "--slow-rule", &slow_rule],
        ]
        .concat();
        story(&arguments, |server| {
            let mut bystanders = Bystanders::open(server);
            let mut stalled = subscribed(narrow(server.address, ""));
            publish(server, 1..=COUNT, None);
            if rule == "disconnect" {
                server.await_metrics(&[(OVERFLOWS, 1), (&disconnects(3001, "slow"), 1)]);
                let ending = stalled.ending();
                assert_eq!((ending.code, ending.reason.as_str()), (3001, "slow"));
            } else {
                server.await_metrics(&[("fanfare_connections_behind", 1)]);
                // What the socket has begun to take stays, and the notice.
                eventually("the others are left out", || {
                    server.metric(&left_out(rule)) > 0 && server.metric("fanfare_outbox_places") <= 2
                });
                let mut ledger = Ledger::default();
                ledger.read_to(&mut stalled, COUNT);
                ledger.assert_exact(COUNT, rule);
                server.await_metrics(&[(&left_out(rule), ledger.missed()), (OVERFLOWS, 0)]);
                assert_eq!(stalled.close(1000), 1000);
            }
            bystanders.assert_well();
        });
    }
}

// Row 37: a dialect that cannot tell what is missing leaves nothing out, unless the client chose so.
#[test]
fn a_raw_client_is_closed_unless_it_chose_the_newest_of_every_key() {
    const COUNT: u64 = 300;
    for rule in ["drop_oldest", "drop_newest", "conflate"] {
        let slow_rule = format!("ticks={rule}");
        let arguments = [
            &NARROW[..],
            &["--outbox-frames-max", "20", "--slow-rule", &slow_rule],
        ]
        .concat();
        story(&arguments, |server| {
            let mut ordinary = narrow(server.address, "&dialect=raw");
            let mut choosing = narrow(server.address, "&dialect=raw&slow=conflate");
            // One who reads: without a member the topic would begin anew.
            let mut well = subscribed(Client::open(server.address, "/ws?topic=ticks"));
            server.await_metrics(&[("fanfare_subscriptions", 3)]);
            publish(server, 1..=COUNT, Some(&mut well));
            let is_conflated = rule == "conflate";
            let closed = if is_conflated { 1 } else { 2 };
            server.await_metrics(&[(&disconnects(3001, "slow"), closed), (OVERFLOWS, closed)]);
            assert_eq!(ordinary.ending().code, 3001);
            if !is_conflated {
                assert_eq!(choosing.ending().code, 3001);
                return;
            }
            let mut offsets = vec![0];
            while offsets.last() != Some(&COUNT) {
                let frame = choosing.message().unwrap();
                assert_eq!(frame.first, TEXT);
                let data: String = serde_json::from_slice(&frame.payload).unwrap();
                offsets.push(data.parse().unwrap());
            }
            assert!(offsets.is_sorted_by(|one, next| one < next), "{offsets:?}");
            assert!(offsets.ends_with(&[296, 297, 298, 299, 300]), "{offsets:?}");
            let absent = COUNT - (offsets.len() as u64 - 1);
            server.await_metrics(&[(&left_out(rule), absent)]);
            assert_eq!(choosing.close(1000), 1000);
        });
    }
}

// Row 37: whoever wants a topic at its own pace gets the newest of every key, no more often than that.
#[test]
fn at_a_pace_of_its_own_a_client_gets_the_newest() {
    const EVERY: Duration = Duration::from_secs(1);
    story(&["--shards", "1"], |server| {
        let mut paced = subscribed(Client::open(server.address, "/ws?topic=ticks&every=1s"));
        let mut well = subscribed(Client::open(server.address, "/ws?topic=ticks"));
        publish(server, 1..=1, Some(&mut well));
        assert_eq!(paced.expect("message")["offset"], 1, "the first one at once");
        let began = Instant::now();
        publish(server, 2..=200, Some(&mut well));
        let mut offsets = Vec::new();
        while offsets.last() != Some(&200) {
            offsets.push(paced.expect("message")["offset"].as_u64().unwrap());
        }
        // Each time it is due it gets one of each key.
        let rounds = began.elapsed().div_duration_f64(EVERY).ceil() as usize;
        assert!(
            offsets.len() <= rounds * KEYS as usize,
            "{rounds} rounds: {offsets:?}"
        );
        assert!(
            began.elapsed() >= Duration::from_millis(800),
            "{:?}",
            began.elapsed()
        );
        assert!(offsets.is_sorted_by(|one, next| one < next), "{offsets:?}");
        assert!(offsets.ends_with(&[196, 197, 198, 199, 200]), "{offsets:?}");
        server.await_metrics(&[("fanfare_replaced_total", 199 - offsets.len() as u64)]);
        // Nothing is told to be missing: what was replaced was not wanted.
        assert_eq!(paced.ask(json!({"type": "ping"}))["type"], "pong");
        // What the application publishes is no different.
        let mut caller = Client::connect(server.address);
        post(&mut caller, "/api/publish?topic=ticks", "x");
        assert_eq!(paced.expect("message")["offset"], 201);
    });
}
