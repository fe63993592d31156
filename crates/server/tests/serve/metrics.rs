//! The metrics page: well-formed, and exact.

use std::collections::HashMap;

use serde_json::json;

use crate::client::{BINARY, Client, masked};
use crate::process::Server;

#[test]
fn the_page_is_open_metrics() {
    let hook = [
        "--hook-call-url=http://localhost:1/",
        "--notice-url=http://localhost:1/",
        "--hook-secret=the-secret-of-the-hooks",
    ];
    let server = Server::start(&[&["--shards", "2"][..], &hook].concat());
    let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
    client.expect("subscribed");
    let response = server.get("/metrics");
    assert_eq!(response.status, 200);
    let kind = response.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"));
    let page = response.body;
    assert!(page.ends_with("# EOF\n"), "{page}");
    assert_eq!(page.matches("# EOF").count(), 1);

    let mut kinds = HashMap::new();
    let mut helps = Vec::new();
    for line in page.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(kinds.insert(name, kind), None, "{name} has one type");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            helps.push(rest.split_once(' ').unwrap().0);
        } else if !line.starts_with("# UNIT ") {
            check_sample(line, &kinds);
        }
    }
    assert!(kinds.len() > 20, "{}", kinds.len());
    let histograms = kinds.values().filter(|kind| **kind == "histogram").count();
    // OpenMetrics, "Histogram": the last bucket is +Inf. Histograms of hooks have none until one is asked.
    let last_buckets = page.matches("le=\"+Inf\"}").count();
    assert!((4..=histograms).contains(&last_buckets), "{page}");
    assert!(!page.contains("e308"), "{page}");
    let documented = include_str!("../../../../docs/operating/metrics.md");
    for (name, kind) in &kinds {
        assert!(helps.contains(name), "{name} has a help text");
        let suffix = if *kind == "counter" { "_total" } else { "" };
        assert!(
            [format!("`{name}{suffix}`"), format!("`{name}{suffix}{{")]
                .iter()
                .any(|word| documented.contains(word)),
            "{name} is not in docs/operating/metrics.md"
        );
        assert!(
            name.starts_with("fanfare_") || *name == "process_resident_memory_bytes",
            "{name}"
        );
    }
}

/// A sample belongs to a family whose type was given before, has the suffix of that type, and a number.
fn check_sample(line: &str, kinds: &HashMap<&str, &str>) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    assert!(value.parse::<f64>().is_ok(), "{line}");
    let name = series.split('{').next().unwrap();
    let is_known = |suffix: &str, kind: &str| {
        name.strip_suffix(suffix)
            .is_some_and(|family| kinds.get(family) == Some(&kind))
    };
    assert!(
        is_known("_total", "counter")
            || is_known("", "gauge")
            || ["_sum", "_count", "_bucket"]
                .iter()
                .any(|suffix| is_known(suffix, "histogram")),
        "{line}"
    );
    if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
        assert!(labels.starts_with('{') && labels.ends_with('}'), "{line}");
    }
}

#[test]
fn the_values_after_a_known_story_are_exact() {
    let server = Server::start(&["--shards", "2"]);
    let mut subscribers: Vec<_> = (0..6)
        .map(|_| {
            let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
            client.expect("subscribed");
            client
        })
        .collect();
    let (mut publisher, _) = Client::open_json(server.address, "/ws");
    for id in 0..10 {
        publisher.ask(json!({"type": "publish", "topic": "a", "data": id, "id": id}));
    }
    publisher.ask(json!({"type": "publish", "topic": "a b", "data": 1}));
    publisher.ask(json!({"type": "dance"}));
    publisher.ask(json!({"type": "dance"}));
    for subscriber in &mut subscribers {
        (0..10).for_each(|_| drop(subscriber.expect("message")));
    }
    server.await_metrics(&[
        ("fanfare_connections", 7),
        ("fanfare_subscriptions", 6),
        ("fanfare_commands_total", 13),
        ("fanfare_publish_commands_total", 10),
        ("fanfare_deliveries_total", 60),
        ("fanfare_waiting_bytes", 0),
        ("fanfare_rejections_total{code=\"bad_topic\"}", 1),
        ("fanfare_rejections_total{code=\"bad_command\"}", 2),
        ("fanfare_rejections_total{code=\"overloaded\"}", 0),
        ("fanfare_draining", 0),
    ]);

    publisher.send(&masked(BINARY, b"x"));
    assert_eq!(publisher.ending().code, 1003);
    let mut subscribers = subscribers.into_iter();
    assert_eq!(subscribers.next().unwrap().close(1000), 1000);
    subscribers.next().unwrap().reset();
    let binary = "fanfare_disconnects_total{code=\"1003\",reason=\"binary messages are not accepted in this dialect\"}";
    server.await_metrics(&[
        ("fanfare_connections", 4),
        ("fanfare_connections_opened_total", 7),
        ("fanfare_connections_released_total", 3),
        ("fanfare_closed_by_client_total", 1),
        ("fanfare_lost_total", 1),
        (binary, 1),
    ]);
    let delivered = server.metric("fanfare_encoded_total");
    assert!(
        (10..=20).contains(&delivered),
        "once per shard at most: {delivered}"
    );
}

#[test]
fn slow_and_stalled_clients_are_counted_apart() {
    let server = Server::start(&[
        "--send-buffer-bytes",
        "8KiB",
        "--outbox-frames-max",
        "64",
        "--write-timeout",
        "1s",
    ]);
    let stalled = |topic: &str| {
        let target = format!("/ws?topic={topic}");
        let mut client = Client::connect_narrow(server.address).upgraded(&target);
        client.expect("welcome");
        client.expect("subscribed");
        client
    };
    let (_slow, _stalled) = (stalled("busy"), stalled("calm"));
    let (mut publisher, _) = Client::open_json(server.address, "/ws");
    for (topic, count) in [("calm", 40), ("busy", 150)] {
        for id in 0..count {
            let command = json!({"type": "publish", "topic": topic, "data": "x".repeat(2_000), "id": id});
            assert_eq!(publisher.ask(command)["type"], "published");
        }
    }
    server.await_metrics(&[
        ("fanfare_disconnects_total{code=\"3001\",reason=\"slow\"}", 1),
        ("fanfare_disconnects_total{code=\"3003\",reason=\"stalled\"}", 1),
        ("fanfare_outbox_overflows_total{rule=\"disconnect\"}", 1),
        ("fanfare_waiting_bytes", 0),
        ("fanfare_connections", 1),
    ]);
}
