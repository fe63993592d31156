//! The parameters `since` and `last` of the endpoint's address.

use serde_json::{Value, json};

use crate::client::{Client, eventually, upgrade_request};
use crate::history::{keeping, publish};
use crate::server::Server;

/// The entry of the one topic in what a client is told when it comes.
fn subscribed(client: &mut Client) -> Value {
    client.expect("subscribed")["topics"][0].clone()
}

#[test]
fn an_address_says_from_where_on_its_topics_are_wanted() {
    let server = keeping(100);
    publish(&server, "a", 10);
    let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
    let epoch = subscribed(&mut client)["epoch"].as_str().unwrap().to_owned();
    for (parameter, after, recovered) in [
        (format!("since={epoch}:7"), 7, json!(true)),
        (format!("since={epoch}%3A10"), 10, json!(true)),
        (format!("since={epoch}:11"), 10, json!(false)),
        ("since=other:7".to_owned(), 0, json!(false)),
        ("since=5m".to_owned(), 0, Value::Null),
        ("since=0s".to_owned(), 10, Value::Null),
        ("last=3".to_owned(), 7, Value::Null),
        ("last=0".to_owned(), 10, Value::Null),
        ("last=4294967295".to_owned(), 0, Value::Null),
    ] {
        // Nothing is younger than nothing, where the clock has moved on.
        eventually("the clock has moved on", || is_past(&server));
        let target = format!("/ws?topic=a&{parameter}");
        let (mut client, _) = Client::open_json(server.address, &target);
        let place = subscribed(&mut client);
        assert_eq!(
            (&place["offset"], &place["recovered"]),
            (&json!(after), &recovered),
            "{parameter}"
        );
        for offset in after + 1..=10 {
            assert_eq!(client.expect("message")["offset"], offset, "{parameter}");
        }
    }
}

/// Whether the newest publication of `a` is older than the clock tells apart.
fn is_past(server: &Server) -> bool {
    let newest = fanfare::Reading::Since(fanfare::Since::Age(0));
    let read = server.fanfare.history("a", newest, 1);
    server.runtime.block_on(read).unwrap().publications.is_empty()
}

#[test]
fn an_address_that_says_nothing_clear_is_refused() {
    let server = keeping(100);
    for (query, words) in [
        ("since=", "since"),
        ("since=5", "since"),
        ("since=5w", "since"),
        ("since=-5m", "since"),
        ("since=4294967296s", "since"),
        ("since=a:-1", "since"),
        ("since=a:18446744073709551616", "since"),
        ("since=%2Ba:1", "since"),
        ("since=:1", "since"),
        ("last=", "last"),
        ("last=-1", "last"),
        ("last=%2B1", "last"),
        ("last=1.5", "last"),
        ("last=4294967296", "last"),
        ("last=9223372036854775808", "last"),
        ("last=3&since=5m", "give one of them once"),
        ("since=5m&last=3", "give one of them once"),
        ("since=5m&since=6m", "give one of them once"),
    ] {
        let mut client = Client::connect(server.address);
        let target = format!("/ws?topic=a&{query}");
        client.send(upgrade_request(&target, &[]).as_bytes());
        let response = client.response().expect("an answer");
        assert_eq!(response.status, 400, "{query}: {response:?}");
        assert!(response.body.contains(words), "{query}: {response:?}");
    }
    assert_eq!(server.fanfare.connection_count(), 0);
}

#[test]
fn a_raw_newcomer_gets_the_newest_and_then_what_is_published() {
    let server = keeping(100);
    for number in 1..=10 {
        let payload = fanfare::Payload::text(number.to_string());
        server
            .runtime
            .block_on(server.fanfare.publish("a", payload))
            .unwrap();
    }
    let mut raw = Client::open(server.address, "/ws?dialect=raw&topic=a&last=3");
    assert_eq!([raw.text(), raw.text(), raw.text()], ["8", "9", "10"]);
    raw.send_text("11");
    assert_eq!(raw.text(), "11");
    let mut young = Client::open(server.address, "/ws?dialect=raw&topic=a&since=10m");
    for number in 1..=11 {
        assert_eq!(young.text(), number.to_string());
    }
}
