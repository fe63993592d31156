//! What is asked wrongly.

use serde_json::json;

use crate::client::{Client, together};
use crate::house::House;

#[test]
fn what_cannot_be_done_has_its_number() {
    let house = House::open();
    together(&house.clients(), |client| {
        client.connect();
        let long = "x".repeat(256);
        let fields = json!({"channel": long, "data": 1, "limit": 1});
        for what in ["publish", "presence", "presence_stats", "history"] {
            assert_eq!(client.refused(what, fields.clone()), 107, "{client}: {what}");
        }
        client.done("subscribe", json!({"channel": long}));
        let unsubscribed = client.expect_in("unsubscribed", &long);
        assert_eq!(unsubscribed["code"], 107, "{client}: {unsubscribed}");
        let code = client.refused("rpc", json!({"method": "sum", "data": [1, 2]}));
        assert_eq!(code, 108, "{client}");
        client.assert_not_told("disconnected");
    });
}

/// Does something that is no way to speak; the code with which the connection is closed for good.
fn closed_by(house: &House, code: u64, act: impl Fn(&Client) + Sync) {
    together(&house.clients(), |client| {
        client.connect();
        act(client);
        let disconnected = client.expect("disconnected");
        assert_eq!(disconnected["code"], code, "{client}: {disconnected}");
    });
}

#[test]
fn what_is_no_way_to_speak_closes_the_connection() {
    let house = House::open();
    for what in ["publish", "presence", "presence_stats", "history"] {
        closed_by(&house, 3501, |client| {
            let _ = client.ask(what, json!({"channel": "", "data": 1, "limit": 1}));
        });
    }
}

#[test]
fn too_many_subscriptions_are_refused_one_by_one() {
    let house = House::with(&["--subscriptions-max", "3"]);
    together(&house.clients(), |client| {
        client.connect();
        for number in 0..3 {
            client.subscribe(&format!("room:{number}"));
        }
        client.done("subscribe", json!({"channel": "room:3"}));
        let unsubscribed = client.expect_in("unsubscribed", "room:3");
        assert_eq!(unsubscribed["code"], 106, "{client}: {unsubscribed}");
        client.assert_not_told("disconnected");
    });
}
