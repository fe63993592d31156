//! The rules for slow clients over real sockets: everything comes, or is told to be missing.

use std::collections::BTreeSet;

use fanfare::{Limits, Listed, Options, Payload, SlowRule, SlowRules};
use serde_json::Value;

use crate::client::{Client, eventually};
use crate::server::{Server, options};

/// Publications that are more than the kernel and an outbox hold.
pub(crate) const COUNT: u64 = 2_000;

/// Small buffers, and a rule for everything.
pub(crate) fn with_rule(rule: SlowRule) -> Options {
    Options {
        limits: Limits {
            slow_rules: SlowRules {
                otherwise: rule,
                ..SlowRules::default()
            },
            // However slow the machine is.
            outbox_age_max_ms: 600_000,
            write_timeout_ms: 600_000,
            ..Limits::default()
        },
        send_buffer_bytes: Some(8 << 10),
        ..options()
    }
}

pub(crate) fn publish(server: &Server, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let payload = Payload::text(format!("{number:01000}"));
        let published = server.runtime.block_on(server.fanfare.publish("a", payload));
        assert_eq!(published.unwrap().offset, number);
    }
}

/// Publishes while a client does not read, then lets it read. Gives the offsets it got, and what it was told to miss.
pub(crate) fn play(server: &Server) -> (Vec<u64>, Vec<Value>) {
    let mut slow = Client::connect_narrow(server.address).upgraded("/ws?topic=a");
    slow.expect("welcome");
    slow.expect("subscribed");
    let mut witness = Client::open_json(server.address, "/ws?topic=a").0;
    witness.expect("subscribed");
    for from in (1..=COUNT).step_by(100) {
        publish(server, from..=from + 99);
        while witness.json()["offset"] != from + 99 {}
    }
    eventually("the slow client is listed", || {
        let page = server.fanfare.connections(Listed::Behind, 0, 10);
        let rows = server.runtime.block_on(page).unwrap().connections;
        rows.len() == 1 && rows[0].missed > 0 && rows[0].outbox_bytes > 0
    });
    let (mut received, mut missed) = (Vec::new(), Vec::new());
    let mut has_last_word = false;
    while received.last() != Some(&(COUNT + 1)) {
        let is_behind = server.fanfare.metrics().contains("fanfare_connections_behind 1");
        if !has_last_word && !is_behind {
            publish(server, COUNT + 1..=COUNT + 1);
            has_last_word = true;
        }
        let said = slow.json();
        match said["type"].as_str() {
            Some("message") => received.push(said["offset"].as_u64().unwrap()),
            Some("missed") => missed.push(said),
            other => panic!("{other:?}: {said}"),
        }
    }
    (received, missed)
}

/// Checks that the offsets are in order, and that what is missing is exactly what was told.
pub(crate) fn check_told(received: &[u64], missed: &[Value], count: u64) {
    assert!(received.is_sorted_by(|a, b| a < b), "{received:?}");
    let mut absent: BTreeSet<u64> = (1..=count + 1).collect();
    absent.retain(|offset| !received.contains(offset));
    let number = |missed: &Value, field: &str| missed[field].as_u64().unwrap();
    let told: u64 = missed.iter().map(|missed| number(missed, "count")).sum();
    assert_eq!(told, absent.len() as u64, "{missed:?}");
    for offset in absent {
        let is_told = |missed| (number(missed, "from")..=number(missed, "to")).contains(&offset);
        assert!(missed.iter().any(is_told), "{offset} is missing in silence");
    }
}

#[test]
fn drop_oldest_over_a_socket() {
    let (received, missed) = play(&Server::with(with_rule(SlowRule::DropOldest)));
    check_told(&received, &missed, COUNT);
    assert!(received.contains(&COUNT));
}

#[test]
fn drop_newest_over_a_socket() {
    let (received, missed) = play(&Server::with(with_rule(SlowRule::DropNewest)));
    check_told(&received, &missed, COUNT);
    assert!(!received.contains(&COUNT));
}

#[test]
fn conflate_over_a_socket() {
    let (received, missed) = play(&Server::with(with_rule(SlowRule::Conflate)));
    check_told(&received, &missed, COUNT);
    assert!(received.contains(&COUNT));
}
