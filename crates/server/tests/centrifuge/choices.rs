//! What clients choose of publications: deltas, or those with certain tags. The library of Go has no words for these.

use std::ops::RangeInclusive;

use fanfare_testing::Line;
use serde_json::{Value, json};

use crate::client::{Client, together};
use crate::house::House;
use crate::sdk::Sdk;
use crate::way::Way;

/// Clients that can choose, behind a line.
fn clients_behind(line: &Line) -> Vec<Client> {
    let ways = Way::all().filter(|way| way.sdk != Sdk::Go);
    ways.map(|way| Client::new(way, line.address(), &json!({})))
        .collect()
}

/// A large document of which little changes.
fn document(version: u32) -> Value {
    let lines = (0..50).map(|line| format!("line {line} of the document, \"as it is\", 文字"));
    json!({"lines": lines.collect::<Vec<String>>(), "version": version})
}

#[test]
fn what_has_changed_since_the_publication_before_is_enough() {
    let house = House::open();
    let line = Line::to(house.program.address());
    let clients = clients_behind(&line);
    let publish = |version| {
        house.api(
            "publish",
            &json!({"topic": "document", "data": document(version)}),
        )
    };
    publish(0);
    together(&clients, |client| {
        client.connect();
        client.expect("connecting");
        client.done("subscribe", json!({"channel": "document", "delta": true}));
        client.expect("subscribed");
    });
    (1..=5).for_each(|version| drop(publish(version)));
    let assert_told = |client: &Client, versions: RangeInclusive<u32>| {
        let expected: Vec<Value> = versions.map(document).collect();
        assert_eq!(
            client.take_data("publication", "document", expected.len()),
            expected,
            "{client}"
        );
    };
    together(&clients, |client| assert_told(client, 1..=5));
    line.cut();
    together(&clients, |client| drop(client.expect("connecting")));
    (6..=9).for_each(|version| drop(publish(version)));
    line.mend();
    together(&clients, |client| {
        assert_eq!(client.expect("subscribed")["recovered"], true, "{client}");
    });
    publish(10);
    together(&clients, |client| assert_told(client, 6..=10));
}

#[test]
fn only_what_has_the_tags_that_are_wanted_is_told() {
    let house = House::open();
    let line = Line::to(house.program.address());
    let clients = clients_behind(&line);
    let publish = |numbers: RangeInclusive<u64>| {
        for number in numbers {
            let tags =
                json!({"kind": if number % 2 == 0 { "even" } else { "odd" }, "number": number.to_string()});
            house.api(
                "publish",
                &json!({"topic": "numbers", "data": number, "tags": tags}),
            );
        }
    };
    publish(1..=1);
    let filter = json!({"op": "and", "nodes": [
        {"key": "kind", "cmp": "in", "vals": ["even"]},
        {"op": "not", "nodes": [{"key": "number", "cmp": "eq", "val": "4"}]},
        {"key": "number", "cmp": "lte", "val": "20"},
    ]});
    together(&clients, |client| {
        client.connect();
        client.expect("connecting");
        client.done("subscribe", json!({"channel": "numbers", "filter": filter}));
        client.expect("subscribed");
    });
    publish(2..=9);
    let assert_told = |client: &Client, numbers: &[u64]| {
        assert_eq!(
            client.take_data("publication", "numbers", numbers.len()),
            numbers,
            "{client}"
        );
        client.assert_not_told("publication");
    };
    together(&clients, |client| assert_told(client, &[2, 6, 8]));
    line.cut();
    together(&clients, |client| drop(client.expect("connecting")));
    publish(10..=15);
    line.mend();
    together(&clients, |client| {
        assert_eq!(client.expect("subscribed")["recovered"], true, "{client}");
    });
    publish(16..=20);
    together(&clients, |client| assert_told(client, &[10, 12, 14, 16, 18, 20]));
}
