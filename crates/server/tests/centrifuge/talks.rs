//! What clients say to each other.

use serde_json::{Value, json};

use crate::client::{Client, together};
use crate::house::{House, token};
use crate::sdk::Sdk;
use crate::way::Encoding;

/// What JSON can be.
fn data() -> Vec<Value> {
    vec![
        json!({"text": "two\nlines, <b>&amp;</b> \u{2028} \"quoted\" \\ 聊天 🎺", "n": 9_007_199_254_740_991_u64}),
        json!("a text"),
        json!([1, -2.5, true, null, [], {}]),
        json!(0),
        json!(false),
        json!({"key": "k".repeat(10_000)}),
    ]
}

#[test]
fn whoever_is_in_a_channel_hears_everything_in_order() {
    let house = House::open();
    let clients = house.clients();
    together(&clients, |client| {
        client.connect();
        let subscribed = client.subscribe("room");
        assert_eq!(subscribed["recoverable"], true, "{subscribed}");
        assert_eq!(subscribed["positioned"], true, "{subscribed}");
        assert_eq!(subscribed["was_recovering"], false, "{subscribed}");
        assert_eq!(subscribed["position"]["offset"], 0, "{subscribed}");
    });
    let mut expected = Vec::new();
    for client in &clients {
        for datum in data() {
            client.publish("room", &datum);
            expected.push((expected.len() as u64 + 1, datum));
        }
    }
    together(&clients, |client| {
        for (offset, datum) in &expected {
            let publication = client.expect_in("publication", "room");
            assert_eq!(publication["offset"], *offset, "{client}");
            assert_eq!(publication["data"], *datum, "{client}");
            assert_eq!(publication["info"]["user"], "", "{client}");
        }
        client.done("unsubscribe", json!({"channel": "room"}));
        let unsubscribed = client.expect_in("unsubscribed", "room");
        assert_eq!(unsubscribed["code"], 0, "by itself: {unsubscribed}");
    });
    clients[0].publish("room", &json!("nobody is there"));
    together(&clients, |client| {
        client.done("history", json!({"channel": "room", "limit": 0}));
        client.assert_not_told("publication");
    });
}

#[test]
fn subscriptions_that_are_made_before_connecting_are_all_there() {
    let house = House::open();
    together(&house.clients(), |client| {
        let channels: Vec<String> = (0..20)
            .map(|number| format!("{}:{number}", client.slug))
            .collect();
        for channel in &channels {
            client.done("subscribe", json!({"channel": channel}));
        }
        client.connect();
        for channel in &channels {
            client.expect_in("subscribed", channel);
            client.publish(channel, &json!(channel));
            assert_eq!(client.expect_in("publication", channel)["data"], *channel);
        }
    });
}

#[test]
fn names_of_channels_may_be_what_they_are_at_centrifugo() {
    let house = House::open();
    together(&house.clients(), |client| {
        client.connect();
        for name in [
            "with space",
            "$not-private",
            "dialog#1,2",
            "100%",
            "聊天",
            "a?*>",
            "%24",
        ] {
            let channel = format!("{name}{}", client.slug);
            client.subscribe(&channel);
            client.publish(&channel, &json!(name));
            assert_eq!(
                client.expect_in("publication", &channel)["data"],
                name,
                "{client}"
            );
        }
    });
}

#[test]
fn bytes_pass_between_clients_of_protobuf_and_close_those_of_json() {
    let house = House::open();
    let clients = house.clients();
    together(&clients, |client| {
        client.connect();
        client.subscribe("bytes");
    });
    let bytes = json!({"channel": "bytes", "base64": "AP9mYW5mYXJlCg=="});
    let sender = clients
        .iter()
        .find(|client| client.way.encoding == Encoding::Protobuf);
    sender.unwrap().done("publish", bytes.clone());
    together(&clients, |client| match client.way.encoding {
        Encoding::Protobuf => {
            let publication = client.expect_in("publication", "bytes");
            assert_eq!(publication["data"]["base64"], bytes["base64"], "{client}");
        }
        Encoding::Json => {
            let disconnected = client.expect("disconnected");
            assert_eq!(disconnected["code"], 3506, "{client}: {disconnected}");
        }
    });
}

#[test]
fn clients_see_who_is_there_and_who_comes_and_goes() {
    let house = House::open();
    let named = token(json!({"sub": "ada", "info": {"name": "Ada"}}));
    let (watchers, comers) = (house.clients(), house.clients_with(&json!({"token": named})));
    let hosts = house.clients();
    together(&hosts, |host| {
        host.connect();
        host.subscribe(&host.way.to_string().replace(' ', "-"));
    });
    std::thread::scope(|scope| {
        for (watcher, comer) in watchers.iter().zip(&comers) {
            scope.spawn(|| see_one_come_and_go(watcher, comer));
        }
    });
}

/// Somebody is there already.
fn see_one_come_and_go(watcher: &Client, comer: &Client) {
    let channel = watcher.way.to_string().replace(' ', "-");
    let watching = watcher.connect();
    watcher.done("subscribe", json!({"channel": channel, "join_leave": true}));
    watcher.expect_in("subscribed", &channel);
    let coming = comer.connect();
    comer.subscribe(&channel);
    let ada = json!({"client": coming, "user": "ada", "conn_info": {"name": "Ada"}});
    let join = watcher.expect_where("join", |told| told["info"]["client"] == *coming);
    assert_eq!(join["info"], ada);
    let members = watcher.done("presence", json!({"channel": channel}));
    assert_eq!(members.as_object().unwrap().len(), 3, "{watcher}: {members}");
    assert_eq!(members[&coming], ada);
    assert_eq!(
        members[&watching],
        json!({"client": watching, "user": "", "conn_info": null})
    );
    // All who have no name are one user.
    let stats = watcher.done("presence_stats", json!({"channel": channel}));
    assert_eq!(stats, json!({"clients": 3, "users": 2}));
    comer.publish(&channel, &json!("it is me"));
    assert_eq!(watcher.expect_in("publication", &channel)["info"], ada);
    comer.done("unsubscribe", json!({"channel": channel}));
    assert_eq!(watcher.expect("leave")["info"], ada);
    let stats = watcher.done("presence_stats", json!({"channel": channel}));
    assert_eq!(stats, json!({"clients": 2, "users": 1}));
}

#[test]
fn the_first_in_a_channel_sees_who_comes_next() {
    let house = House::open();
    let named = token(json!({"sub": "ada"}));
    let (firsts, seconds) = (house.clients(), house.clients_with(&json!({"token": named})));
    together(&firsts, |first| {
        first.connect();
        first.done(
            "subscribe",
            json!({"channel": first.way.to_string(), "join_leave": true}),
        );
        first.expect("subscribed");
    });
    together(&seconds, |second| {
        second.connect();
        second.subscribe(&second.way.to_string());
    });
    // Who comes and goes is told within a second.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    let is_join = |told: &Value| told["event"] == "join" && told["info"]["user"] == "ada";
    for first in &firsts {
        let left = first.left();
        assert!(left.iter().any(is_join), "{first}: {left:?}");
    }
}

#[test]
fn what_the_backend_sends_to_a_user_or_a_connection_is_a_message() {
    let house = House::open();
    let clients = house.clients_with(&json!({"token": token(json!({"sub": "bob"}))}));
    // The library of Python has no word for messages.
    let clients: Vec<Client> = clients
        .into_iter()
        .filter(|client| client.way.sdk != Sdk::Python)
        .collect();
    together(&clients, |client| {
        let id = client.connect();
        let connection = fanfare::centrifuge::connection_of(&id).unwrap().to_string();
        house.api("send", &json!({"connection": connection, "data": [id]}));
        assert_eq!(client.expect("message")["data"], json!([id]), "{client}");
    });
    house.api("send", &json!({"user": "bob", "data": {"for": "bob"}}));
    together(&clients, |client| {
        assert_eq!(
            client.expect("message")["data"],
            json!({"for": "bob"}),
            "{client}"
        );
        client.assert_not_told("message");
    });
}
