//! Clients that read slowly or not at all: they are told and closed, their memory comes back, and nobody else notices.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::client::{Client, TEXT, eventually, masked};
use crate::process::Server;
use crate::proxy::{Fault, Proxy, Way};
use crate::story::{Bystanders, disconnects, story};

const OVERFLOWS: &str = "fanfare_outbox_overflows_total{rule=\"disconnect\"}";

/// Small buffers, so that a client is behind soon.
const NARROW: [&str; 4] = ["--send-buffer-bytes", "8KiB", "--close-timeout", "300ms"];

/// A subscriber of a topic with a small receive buffer, which does not read on.
fn stalled(server: &Server, topic: &str) -> Client {
    let mut client = Client::connect_narrow(server.address).upgraded(&format!("/ws?topic={topic}"));
    client.expect("welcome");
    client.expect("subscribed");
    client
}

/// Publishes so many kilobytes, each confirmed before the next; the reader gets each before the next as well.
fn publish(server: &Server, topic: &str, count: usize, reader: Option<&mut Client>) {
    let (mut publisher, _) = Client::open_json(server.address, "/ws");
    let mut readers: Vec<_> = reader.into_iter().collect();
    for offset in 1..=count {
        let command = json!({"type": "publish", "topic": topic, "data": "x".repeat(1_000), "id": offset});
        let reply = publisher.ask(command);
        assert_eq!(
            (&reply["type"], &reply["offset"]),
            (&json!("published"), &json!(offset))
        );
        for reader in &mut readers {
            assert_eq!(reader.expect("message")["offset"], offset);
        }
    }
}

// Row 37: the line of one subscriber takes less than is published; the other one gets all of it.
#[test]
fn a_reader_on_a_slow_line_is_told_that_it_is_slow_and_closed() {
    let arguments = [&NARROW[..2], &["--outbox-frames-max", "50"]].concat();
    story(&arguments, |server| {
        let proxy = Proxy::to(server.address);
        let mut slow = Client::connect_narrow(proxy.address).upgraded("/ws?topic=a");
        slow.expect("welcome");
        slow.expect("subscribed");
        let line = Fault {
            bytes_per_second: Some(20_000),
            ..Fault::default()
        };
        proxy.set(Way::Down, line);
        let (mut quick, _) = Client::open_json(server.address, "/ws?topic=a");
        quick.expect("subscribed");
        publish(server, "a", 300, Some(&mut quick));
        server.await_metrics(&[(&disconnects(3001, "slow"), 1), (OVERFLOWS, 1)]);
        proxy.heal();
        let ending = slow.ending();
        assert_eq!(ending.code, 3001);
        let expected = json!({"type": "goodbye", "code": 3001, "reason": "slow", "reconnect": true});
        assert_eq!(ending.goodbye, Some(expected));
        assert_eq!(quick.close(1000), 1000);
    });
}

// Row 37: slow is not too slow while the outbox holds what the line does not take yet.
#[test]
fn a_reader_on_a_slow_line_gets_everything_that_its_outbox_can_hold() {
    story(&NARROW, |server| {
        let proxy = Proxy::to(server.address);
        let mut slow = Client::connect_narrow(proxy.address).upgraded("/ws?topic=a");
        slow.expect("welcome");
        slow.expect("subscribed");
        let line = Fault {
            bytes_per_second: Some(100_000),
            segment_bytes: Some(700),
            ..Fault::default()
        };
        proxy.set(Way::Down, line);
        publish(server, "a", 150, None);
        for offset in 1..=150 {
            assert_eq!(slow.expect("message")["offset"], offset);
        }
        assert_eq!(slow.close(1000), 1000);
        server.await_metrics(&[(OVERFLOWS, 0), ("fanfare_closed_by_client_total", 1)]);
    });
}

// Row 38: the write deadline, with an outbox that is not nearly full.
#[test]
fn a_client_that_takes_nothing_is_closed_at_the_write_deadline() {
    let arguments = [&NARROW[..], &["--write-timeout", "500ms"]].concat();
    story(&arguments, |server| {
        let mut bystanders = Bystanders::open(server);
        let _stalled = stalled(server, "a");
        publish(server, "a", 60, None);
        assert!(server.metric("fanfare_waiting_bytes") > 20_000);
        server.await_metrics(&[
            (&disconnects(3003, "stalled"), 1),
            (OVERFLOWS, 0),
            ("fanfare_waiting_bytes", 0),
            ("fanfare_connections", 2),
        ]);
        bystanders.assert_well();
    });
}

// Row 39: half of the subscribers of a topic stall.
#[test]
fn a_hundred_stalled_clients_cost_what_one_does_and_delay_nobody() {
    const STALLED: usize = 100;
    let arguments = [
        &NARROW[..],
        &["--outbox-frames-max", "200", "--write-timeout", "1h"],
    ]
    .concat();
    story(&arguments, |server| {
        let stalled: Vec<_> = (0..STALLED).map(|_| stalled(server, "a")).collect();
        let (mut well, _) = Client::open_json(server.address, "/ws?topic=a");
        well.expect("subscribed");
        let before = server.resident_bytes();
        publish(server, "a", 150, Some(&mut well));
        // What waits for all of them is there once per shard: a hundred times 150 KB would be 15 MB.
        let waiting = server.metric("fanfare_waiting_bytes");
        assert!(waiting < 2 * 150 * 1_200, "{waiting} bytes wait");
        let grown = server.resident_bytes().saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes");
        publish_on(server, 151..=400, &mut well);
        server.await_metrics(&[
            (&disconnects(3001, "slow"), STALLED as u64),
            (OVERFLOWS, STALLED as u64),
            ("fanfare_connections", 1),
            ("fanfare_waiting_bytes", 0),
        ]);
        drop(stalled);
        assert_eq!(well.close(1000), 1000);
    });
}

/// Publications of the API at these offsets, each read before the next.
fn publish_on(server: &Server, offsets: std::ops::RangeInclusive<usize>, reader: &mut Client) {
    let body = "x".repeat(1_000);
    let mut caller = Client::connect(server.address);
    for offset in offsets {
        let answer = crate::story::post(&mut caller, "/api/publish?topic=a", &body);
        assert_eq!(answer["offset"], offset);
        assert_eq!(reader.expect("message")["offset"], offset);
    }
}

// Row 40.
#[test]
fn a_client_that_does_not_read_its_replies_is_not_read_from() {
    story(&NARROW, |server| {
        let mut bystanders = Bystanders::open(server);
        let mut client = Client::connect_narrow(server.address).upgraded("/ws");
        client.expect("welcome");
        client
            .stream
            .set_write_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let ping = masked(TEXT, json!({"type": "ping"}).to_string().as_bytes());
        let flood = ping.repeat(1_000);
        let sent = (0..3_000)
            .take_while(|_| client.stream.write_all(&flood).is_ok())
            .count();
        assert!(sent < 3_000, "the server still reads");
        // 64 KiB of replies may wait, and a few more for the command at hand.
        let waiting = server.metric("fanfare_waiting_bytes");
        assert!(waiting < 128 << 10, "{waiting} bytes wait");
        let commands = server.metric("fanfare_commands_total");
        bystanders.assert_well();
        server.await_metrics(&[("fanfare_commands_total", commands + 3)]);
        bystanders.assert_well();
        server.await_metrics(&[("fanfare_commands_total", commands + 6)]);

        // When it reads, it is read from: every command that arrived whole is answered.
        let mut answers = 0;
        while answers < commands - 1 {
            client.expect("pong");
            answers += 1;
        }
        eventually("it goes on", || {
            server.metric("fanfare_commands_total") > commands + 6
        });
    });
}

// Row 37: under a rule that drops, nobody is closed, and what is not sent is told, to the last publication.
#[test]
fn whatever_a_rule_drops_is_told_in_its_place() {
    const COUNT: u64 = 300;
    for rule in ["drop_oldest", "drop_newest"] {
        let slow_rule = format!("ticks:*={rule}");
        let arguments = [
            &NARROW[..],
            &["--outbox-frames-max", "20", "--slow-rule", &slow_rule],
        ]
        .concat();
        story(&arguments, |server| {
            let mut slow = stalled(server, "ticks:a");
            publish(server, "ticks:a", COUNT as usize, None);
            let (mut next, mut missed) = (1, 0);
            while next <= COUNT {
                let value = slow.json();
                if value["type"] == "message" {
                    assert_eq!(value["offset"], next, "{rule}");
                    next += 1;
                    continue;
                }
                assert_eq!(
                    (&value["type"], &value["from"]),
                    (&json!("missed"), &json!(next)),
                    "{rule}: {value}"
                );
                let to = value["to"].as_u64().unwrap();
                assert_eq!(value["count"], to - next + 1, "{rule}: {value}");
                missed += to - next + 1;
                next = to + 1;
            }
            assert!(missed > 0, "{rule}: nothing was dropped");
            let left_out = format!("fanfare_left_out_total{{rule=\"{rule}\"}}");
            server.await_metrics(&[(&left_out, missed), (OVERFLOWS, 0)]);
            assert_eq!(slow.close(1000), 1000);
        });
    }
}

// Rows 39 and 58: the sum of what waits has a bound, and those for whom most waits go first.
#[test]
fn when_the_memory_for_all_is_full_those_with_the_most_are_closed() {
    const GREEDY: usize = 30;
    let arguments = [
        &NARROW[..],
        &[
            "--shards",
            "1",
            "--waiting-bytes-max",
            "1MiB",
            "--outbox-frames-max",
            "65536",
        ],
        &["--write-timeout", "1h", "--outbox-age-max", "1h"],
    ]
    .concat();
    story(&arguments, |server| {
        let mut bystanders = Bystanders::open(server);
        let greedy: Vec<_> = (0..GREEDY)
            .map(|number| stalled(server, &format!("own-{number}")))
            .collect();
        let mut modest = stalled(server, "modest");
        let mut caller = Client::connect(server.address);
        let body = "x".repeat(10_000);
        for _ in 0..4 {
            crate::story::post(&mut caller, "/api/publish?topic=modest", &body);
        }
        let before = server.resident_bytes();
        // Nothing of it is shared: 6 MB for who does not read.
        for _ in 0..20 {
            for number in 0..GREEDY {
                crate::story::post(&mut caller, &format!("/api/publish?topic=own-{number}"), &body);
            }
            bystanders.assert_well();
            let waiting = server.metric("fanfare_waiting_bytes");
            assert!(waiting <= (1 << 20) + 100_000, "{waiting} bytes wait");
        }
        let grown = server.resident_bytes().saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes");
        let shed = server.metric(&disconnects(3007, "shed"));
        assert!((10..=GREEDY as u64).contains(&shed), "{shed} were closed");
        assert_eq!(server.metric(OVERFLOWS), 0);
        // Whoever had little waiting finds it all.
        for _ in 0..4 {
            assert_eq!(modest.expect("message")["data"], body);
        }
        assert_eq!(modest.close(1000), 1000);
        drop(greedy);
    });
}
