//! What clients read of what was.

use serde_json::{Value, json};

use crate::client::{Client, together};
use crate::house::House;

fn data_of(page: &Value) -> Vec<u64> {
    let publications = page["publications"].as_array().unwrap().iter();
    publications
        .map(|publication| publication["data"].as_u64().unwrap())
        .collect()
}

#[test]
fn history_is_read_in_both_directions_and_from_anywhere() {
    let house = House::open();
    together(&house.clients(), |client| {
        client.connect();
        let channel = client.slug.as_str();
        for number in 1..=10 {
            client.publish(channel, &json!(number));
        }
        read_everything(client, channel);
    });
}

fn read_everything(client: &Client, channel: &str) {
    let read = |more: Value| {
        let mut fields = json!({"channel": channel, "limit": 100});
        for (name, value) in more.as_object().unwrap() {
            fields[name] = value.clone();
        }
        client.done("history", fields)
    };
    let all = read(json!({}));
    assert_eq!(data_of(&all), (1..=10).collect::<Vec<u64>>(), "{client}");
    assert_eq!(all["offset"], 10, "{client}");
    let top = read(json!({"limit": 0}));
    assert_eq!((data_of(&top), &top["offset"]), (vec![], &json!(10)), "{client}");
    let epoch = all["epoch"].as_str().unwrap();
    assert!(!epoch.is_empty() && top["epoch"] == *epoch, "{client}: {top}");
    let since = |offset: u64| json!({"offset": offset, "epoch": epoch});
    assert_eq!(data_of(&read(json!({"limit": 3}))), [1, 2, 3], "{client}");
    assert_eq!(
        data_of(&read(json!({"limit": 3, "reverse": true}))),
        [10, 9, 8],
        "{client}"
    );
    assert_eq!(data_of(&read(json!({"since": since(7)}))), [8, 9, 10], "{client}");
    assert_eq!(
        data_of(&read(json!({"since": since(7), "limit": 2}))),
        [8, 9],
        "{client}"
    );
    assert_eq!(data_of(&read(json!({"since": since(10)}))), [0; 0], "{client}");
    let backwards = read(json!({"since": since(4), "reverse": true}));
    assert_eq!(data_of(&backwards), [3, 2, 1], "{client}");
    let lost = json!({"channel": channel, "limit": 10, "since": {"offset": 1, "epoch": "xxxx"}});
    assert_eq!(client.refused("history", lost), 112, "{client}");
    let before_all = json!({"channel": channel, "limit": 10, "reverse": true, "since": since(0)});
    assert_eq!(client.refused("history", before_all), 107, "{client}");
}

#[test]
fn at_most_300_publications_are_read_at_once() {
    let house = House::open();
    house.fill("long", 310);
    together(&house.clients(), |client| {
        client.connect();
        for limit in [-1, 301, 1_000] {
            let page = client.done("history", json!({"channel": "long", "limit": limit}));
            assert_eq!(data_of(&page), (1..=300).collect::<Vec<u64>>(), "{client}");
            assert_eq!(page["offset"], 310, "{client}");
        }
    });
}
