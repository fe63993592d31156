//! Networks that fail and servers that end: what was missed is there once and in order, or it is said that it is not.

use std::path::PathBuf;

use fanfare_testing::Line;
use serde_json::{Value, json};

use crate::client::{Client, together};
use crate::house::{House, token};
use crate::way::Way;

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    range.map(Value::from).collect()
}

/// A client of every way behind a line.
fn clients_behind(line: &Line, options: &Value) -> Vec<Client> {
    Way::all()
        .map(|way| Client::new(way, line.address(), options))
        .collect()
}

#[test]
fn what_was_missed_while_the_network_was_away_is_told_once_and_in_order() {
    let house = House::open();
    let line = Line::to(house.program.address());
    let ada = token(json!({"sub": "ada", "channels": ["news"]}));
    let clients = clients_behind(&line, &json!({"token": ada}));
    house.fill("room", 3);
    together(&clients, |client| {
        client.connect();
        client.expect("connecting");
        client.expect_in("server subscribed", "news");
        assert_eq!(client.subscribe("room")["position"]["offset"], 3, "{client}");
    });
    house.publish_numbers("room", 4..=5);
    house.publish_numbers("news", 1..=2);
    together(&clients, |client| {
        client.take_data("publication", "room", 2);
        client.take_data("server publication", "news", 2);
    });
    for (round, missed) in [(1, 6..=9), (2, 10..=209)] {
        line.cut();
        together(&clients, |client| drop(client.expect("connecting")));
        house.publish_numbers("room", missed.clone());
        house.publish_numbers("news", missed.clone());
        line.mend();
        together(&clients, |client| {
            client.connected();
            for (event, channel) in [("subscribed", "room"), ("server subscribed", "news")] {
                let subscribed = client.expect_in(event, channel);
                assert_eq!(subscribed["was_recovering"], true, "{client}: {subscribed}");
                assert_eq!(subscribed["recovered"], true, "{client}, {round}: {subscribed}");
            }
            client.publish(&client.slug, &json!("everything is told before this"));
            let count = missed.clone().count();
            for (event, channel) in [("publication", "room"), ("server publication", "news")] {
                let told = client.take_data(event, channel, count);
                assert_eq!(told, numbers(missed.clone()), "{client}");
                client.assert_not_told(event);
            }
        });
    }
}

#[test]
fn who_missed_more_than_300_publications_is_told_that_they_are_lost() {
    let house = House::open();
    let line = Line::to(house.program.address());
    let clients = clients_behind(&line, &json!({}));
    together(&clients, |client| {
        client.connect();
        client.expect("connecting");
        client.subscribe("room");
    });
    house.publish_numbers("room", 1..=1);
    together(&clients, |client| drop(client.expect_in("publication", "room")));
    for (last, missed, is_recovered) in [(1, 300, true), (301, 301, false)] {
        line.cut();
        together(&clients, |client| drop(client.expect("connecting")));
        house.publish_numbers("room", last + 1..=last + missed);
        line.mend();
        together(&clients, |client| {
            let subscribed = client.expect_in("subscribed", "room");
            assert_eq!(subscribed["was_recovering"], true, "{client}: {subscribed}");
            assert_eq!(subscribed["recovered"], is_recovered, "{client}: {subscribed}");
            if is_recovered {
                let told = client.take_data("publication", "room", missed as usize);
                assert_eq!(told, numbers(last + 1..=last + missed), "{client}");
            } else {
                assert_eq!(subscribed["position"]["offset"], last + missed, "{client}");
            }
        });
    }
    house.publish_numbers("room", 603..=603);
    together(&clients, |client| {
        assert_eq!(client.expect_in("publication", "room")["data"], 603, "{client}");
        client.assert_not_told("publication");
    });
}

/// A data directory that goes with the value.
struct Data(PathBuf);

impl Data {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("fanfare-centrifuge-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_server_that_was_killed_goes_on_where_it_was_when_it_keeps_its_data() {
    let data = Data::new();
    let mut house = House::with(&["--data", &data.0.display().to_string()]);
    let clients = house.clients();
    together(&clients, |client| {
        client.connect();
        client.expect("connecting");
        client.subscribe("room");
    });
    house.publish_numbers("room", 1..=5);
    together(&clients, |client| {
        assert_eq!(
            client.take_data("publication", "room", 5),
            numbers(1..=5),
            "{client}"
        );
    });
    house.program.kill();
    together(&clients, |client| drop(client.expect("connecting")));
    house.program.start_again();
    together(&clients, |client| {
        let subscribed = client.expect_in("subscribed", "room");
        assert_eq!(subscribed["recovered"], true, "{client}: {subscribed}");
    });
    house.publish_numbers("room", 6..=10);
    together(&clients, |client| {
        assert_eq!(
            client.take_data("publication", "room", 5),
            numbers(6..=10),
            "{client}"
        );
        client.assert_not_told("publication");
    });
}

#[test]
fn a_server_that_lost_everything_says_so() {
    let mut house = House::open();
    let clients = house.clients();
    together(&clients, |client| {
        client.connect();
        client.expect("connecting");
        client.subscribe("room");
    });
    house.publish_numbers("room", 1..=5);
    together(&clients, |client| {
        client.take_data("publication", "room", 5);
    });
    house.program.kill();
    together(&clients, |client| drop(client.expect("connecting")));
    house.program.start_again();
    together(&clients, |client| {
        let subscribed = client.expect_in("subscribed", "room");
        assert_eq!(subscribed["was_recovering"], true, "{client}: {subscribed}");
        assert_eq!(subscribed["recovered"], false, "{client}: {subscribed}");
    });
    house.publish_numbers("room", 1..=1);
    together(&clients, |client| {
        let publication = client.expect_in("publication", "room");
        assert_eq!(
            (&publication["data"], &publication["offset"]),
            (&json!(1), &json!(1)),
            "{client}"
        );
    });
}
