//! The json dialect: every command and its replies, within a shard and between shards.

use std::time::{SystemTime, UNIX_EPOCH};

use fanfare::{ConnectionId, Disconnect, Limits, Payload, Selector};
use serde_json::{Value, json};

use crate::client::{Client, DEADLINE};
use crate::server::Server;

/// A client in each of the two shards.
fn two_shards(server: &Server) -> [(Client, String); 2] {
    [server.open_in(0, "/ws"), server.open_in(1, "/ws")]
}

/// The topics and offsets of a `subscribed`.
fn positions(subscribed: &Value) -> Vec<(String, u64)> {
    let topics = subscribed["topics"].as_array().unwrap();
    topics
        .iter()
        .map(|at| {
            (
                at["topic"].as_str().unwrap().to_owned(),
                at["offset"].as_u64().unwrap(),
            )
        })
        .collect()
}

#[test]
fn the_welcome_names_the_connection_and_its_limits() {
    let limits = Limits {
        message_bytes_max: 1234,
        subscriptions_max: 7,
        ping_interval_ms: 20_000,
        pong_timeout_ms: 9_000,
        ..Limits::default()
    };
    let server = Server::with_limits(limits);
    let mut client = Client::open(server.address, "/ws?user=anna");
    let mut welcome = client.expect("welcome");
    let id = welcome["connection"].take();
    assert!(id.as_str().unwrap().parse::<ConnectionId>().is_ok(), "{id}");
    assert_eq!(
        welcome,
        json!({"type": "welcome", "connection": null, "user": "anna", "ping_interval_ms": 20_000,
            "pong_timeout_ms": 9_000,
            "limits": {"message_bytes_max": 1234, "subscriptions_max": 7, "topic_bytes_max": 255,
                "commands_per_second": 100, "bytes_per_second": 1_048_576}})
    );
}

#[test]
fn a_publication_reaches_subscribers_in_every_shard() {
    let server = Server::start();
    let [(mut here, sender), (mut there, _)] = two_shards(&server);
    let reply = there.ask(json!({"type": "subscribe", "topic": "a", "id": "x"}));
    assert_eq!(
        (&reply["type"], &reply["id"]),
        (&json!("subscribed"), &json!("x"))
    );
    let epoch = reply["topics"][0]["epoch"].clone();
    here.subscribe(&["a"]);
    let published = here.ask_past_messages(json!({"type": "publish", "topic": "a", "data": [1], "id": 5}));
    assert_eq!(
        published,
        json!({"type": "published", "id": 5, "topic": "a", "epoch": epoch, "offset": 1})
    );
    let mut message = there.expect("message");
    let time = message["time"].take().as_u64().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(now - time < DEADLINE.as_millis() as u64);
    assert_eq!(
        message,
        json!({"type": "message", "topic": "a", "offset": 1, "time": null, "from": {"connection": sender},
            "data": [1]})
    );
}

#[test]
fn subscribing_gives_the_position_after_which_messages_follow() {
    let server = Server::start();
    let [(mut early, _), (mut late, _)] = two_shards(&server);
    assert_eq!(positions(&early.subscribe(&["a"])), [("a".to_owned(), 0)]);
    for number in 1..=3 {
        early.ask_past_messages(json!({"type": "publish", "topic": "a", "data": number, "id": number}));
    }
    let subscribed = late.subscribe(&["b", "a"]);
    assert_eq!(positions(&subscribed), [("b".to_owned(), 0), ("a".to_owned(), 3)]);
    early.send_json(json!({"type": "publish", "topic": "a", "data": 4}));
    assert_eq!(late.expect("message")["offset"], 4);
}

#[test]
fn topics_of_the_address_are_subscribed_before_the_first_command() {
    let server = Server::start();
    let (mut client, _) = Client::open_json(server.address, "/ws?topic=a&topic=b&occupancy=true");
    let subscribed = client.expect("subscribed");
    assert_eq!(positions(&subscribed), [("a".to_owned(), 0), ("b".to_owned(), 0)]);
    assert_eq!(subscribed.get("id"), None, "nobody asked");
    let mut counts = [client.expect("occupancy"), client.expect("occupancy")];
    counts.sort_by_key(|count| count["topic"].to_string());
    assert_eq!(
        counts[0],
        json!({"type": "occupancy", "topic": "a", "subscribers": 1})
    );
    let (mut other, _) = Client::open_json(server.address, "/ws");
    other.subscribe(&["b"]);
    assert_eq!(
        client.expect("occupancy"),
        json!({"type": "occupancy", "topic": "b", "subscribers": 2})
    );
}

#[test]
fn nothing_of_a_topic_follows_unsubscribed() {
    let server = Server::start();
    let [(mut publisher, _), (mut reader, _)] = two_shards(&server);
    reader.subscribe(&["a", "b"]);
    for number in 0..200 {
        publisher.send_json(json!({"type": "publish", "topic": "a", "data": number}));
    }
    reader.send_json(json!({"type": "unsubscribe", "topics": ["a"], "id": 1}));
    publisher.ask(json!({"type": "publish", "topic": "b", "data": "end", "id": 1}));
    let mut next = 0;
    let unsubscribed = loop {
        let value = reader.json();
        if value["type"] != "message" {
            break value;
        }
        assert_eq!(value["data"], next, "in order and none left out");
        next += 1;
    };
    assert_eq!(
        unsubscribed,
        json!({"type": "unsubscribed", "id": 1, "topics": ["a"]})
    );
    assert_eq!(reader.expect("message")["data"], "end");
}

#[test]
fn replies_about_subscriptions_come_in_the_order_of_their_commands() {
    let server = Server::start();
    let (mut other, _) = server.open_in(0, "/ws");
    other.subscribe(&["a"]);
    let (mut client, _) = server.open_in(0, "/ws");
    let mut bytes = Vec::new();
    for (id, kind) in [
        "subscribe",
        "unsubscribe",
        "subscribe",
        "unsubscribe",
        "subscribe",
    ]
    .iter()
    .enumerate()
    {
        let command = json!({"type": kind, "topic": "a", "id": id}).to_string();
        bytes.extend(crate::client::masked(crate::client::TEXT, command.as_bytes()));
    }
    client.send(&bytes);
    let replies: Vec<Value> = (0..5).map(|_| client.json()["id"].clone()).collect();
    assert_eq!(replies, [0, 1, 2, 3, 4]);
    other.ask_past_messages(json!({"type": "publish", "topic": "a", "data": 1, "id": 1}));
    client.expect("message");
}

#[test]
fn the_sender_is_left_out_of_its_publication_when_it_says_so() {
    let server = Server::start();
    for shard in [0, 1] {
        let (mut sender, _) = server.open_in(0, "/ws");
        let (mut other, _) = server.open_in(shard, "/ws");
        sender.subscribe(&["a"]);
        other.subscribe(&["a"]);
        sender.send_json(json!({"type": "publish", "topic": "a", "data": 1, "echo": false}));
        sender.send_json(json!({"type": "publish", "topic": "a", "data": 2}));
        let seen = sender.expect("message");
        assert_eq!((&seen["data"], &seen["offset"]), (&json!(2), &json!(2)));
        assert_eq!(other.expect("message")["data"], 1);
        assert_eq!(other.expect("message")["data"], 2);
        sender.close(1000);
        other.close(1000);
        server.assert_empty();
    }
}

#[test]
fn a_connection_is_sent_to_wherever_it_lives() {
    let server = Server::start();
    let [(mut one, one_id), (mut other, other_id)] = two_shards(&server);
    let (mut neighbour, neighbour_id) = server.open_in(0, "/ws");
    for (client, id) in [(&mut other, &other_id), (&mut neighbour, &neighbour_id)] {
        let sent = one.ask(json!({"type": "send", "connection": id, "data": "psst", "id": 1}));
        assert_eq!(sent, json!({"type": "sent", "id": 1}));
        let message = client.expect("message");
        assert_eq!(
            (&message["data"], &message["from"]["connection"]),
            (&json!("psst"), &json!(one_id))
        );
        assert!(
            message.get("topic").is_none() && message.get("offset").is_none(),
            "{message}"
        );
    }
    other.close(1000);
    for gone in [other_id.as_str(), "ff00000000000000", "0000ffff00000000"] {
        let error = one.ask(json!({"type": "send", "connection": gone, "data": 1, "id": 2}));
        assert_eq!((&error["code"], &error["id"]), (&json!("not_found"), &json!(2)));
    }
}

#[test]
fn a_user_is_sent_to_on_all_connections() {
    let server = Server::start();
    let mut devices = [
        server.open_in(0, "/ws?user=anna").0,
        server.open_in(1, "/ws?user=anna").0,
    ];
    let (mut other, _) = server.open_in(0, "/ws?user=berta");
    let sent = other.ask(json!({"type": "send", "user": "anna", "data": {"k": 1}, "id": 1}));
    assert_eq!(sent, json!({"type": "sent", "id": 1}));
    for device in &mut devices {
        let message = device.expect("message");
        assert_eq!(message["topic"], "$user:anna");
        assert_eq!(
            (&message["data"], &message["from"]["user"]),
            (&json!({"k": 1}), &json!("berta"))
        );
    }
    let nobody = other.ask(json!({"type": "send", "user": "carla", "data": 1, "id": 2}));
    assert_eq!(
        nobody["type"], "sent",
        "a user without connection is no error: {nobody}"
    );
}

#[test]
fn the_application_reaches_everyone_a_user_a_connection_and_a_topic() {
    let server = Server::start();
    let (mut anna, id) = server.open_in(0, "/ws?user=anna");
    let (mut berta, _) = server.open_in(1, "/ws?user=berta");
    let fanfare = &server.fanfare;
    let anna_name = fanfare::UserName::parse("anna").unwrap();
    server.runtime.block_on(async {
        fanfare.broadcast(Payload::text("all")).await.unwrap();
        fanfare
            .send_to_user(&anna_name, Payload::text("anna"))
            .await
            .unwrap();
        let id = id.parse().unwrap();
        assert!(
            fanfare
                .send_to_connection(id, Payload::text("one"))
                .await
                .unwrap()
        );
        let who = Selector::User(anna_name.clone());
        assert_eq!(fanfare.subscribe_clients(who.clone(), &["a"]).await, Ok(1));
        fanfare.publish("a", Payload::text("topic")).await.unwrap();
        assert_eq!(fanfare.unsubscribe_clients(who, &["a"]).await, Ok(1));
        fanfare.publish("a", Payload::text("missed")).await.unwrap();
        fanfare.broadcast(Payload::text("end")).await.unwrap();
    });
    let all = berta.expect("message");
    assert_eq!(
        (&all["topic"], &all["data"], all.get("from")),
        (&json!("$all"), &json!("all"), None)
    );
    assert_eq!(berta.expect("message")["data"], "end");
    let mut seen: Vec<Value> = (0..7)
        .map(|_| {
            let mut value = anna.json();
            let is_message = value["type"] == "message";
            value[if is_message { "data" } else { "type" }].take()
        })
        .collect();
    // The order is promised per topic only.
    seen.sort_by_key(Value::to_string);
    assert_eq!(
        seen,
        ["all", "anna", "end", "one", "subscribed", "topic", "unsubscribed"]
    );
}

#[test]
fn the_application_closes_connections_with_its_own_code() {
    let server = Server::start();
    let (mut client, id) = Client::open_json(server.address, "/ws");
    let cause = Disconnect::Application {
        code: 4503,
        reason: "banned".into(),
    };
    let who = Selector::Connection(id.parse().unwrap());
    let closed = server.runtime.block_on(server.fanfare.disconnect(who, cause));
    assert_eq!(closed, Ok(1));
    let ending = client.ending();
    assert_eq!((ending.code, ending.reason.as_str()), (4503, "banned"));
    assert_eq!(
        ending.goodbye,
        Some(json!({"type": "goodbye", "code": 4503, "reason": "banned", "reconnect": false}))
    );
}

#[test]
fn errors_name_the_command_and_leave_the_connection_open() {
    let server = Server::start();
    let (mut client, _) = Client::open_json(server.address, "/ws?topic=first");
    client.expect("subscribed");
    let many: Vec<String> = (0..128).map(|number| format!("t{number}")).collect();
    for (text, code) in [
        ("{".to_owned(), "bad_json"),
        ("[1]".to_owned(), "bad_json"),
        ("\"subscribe\"".to_owned(), "bad_json"),
        (String::new(), "bad_json"),
        (r#"{"type":"dance","id":1}"#.to_owned(), "bad_command"),
        (r#"{"id":1}"#.to_owned(), "bad_command"),
        (
            r#"{"type":"publish","topic":"a","id":1}"#.to_owned(),
            "bad_command",
        ),
        (
            r#"{"type":"send","data":1,"connection":"x","id":1}"#.to_owned(),
            "bad_command",
        ),
        (
            r#"{"type":"subscribe","topic":"a*","id":1}"#.to_owned(),
            "bad_topic",
        ),
        (
            r#"{"type":"publish","topic":"$all","data":1,"id":1}"#.to_owned(),
            "bad_topic",
        ),
        (
            r#"{"type":"subscribe","topics":["good","bad one"],"id":1}"#.to_owned(),
            "bad_topic",
        ),
        (
            json!({"type": "subscribe", "topics": many, "id": 1}).to_string(),
            "too_many_subscriptions",
        ),
    ] {
        client.send_text(&text);
        let error = client.expect("error");
        assert_eq!(error["code"], code, "{text}");
        assert_eq!(error["temporary"], false);
        if code != "bad_json" {
            assert_eq!(error["id"], 1, "{text}");
        }
    }
    assert_eq!(
        server.fanfare.subscribers("good"),
        0,
        "a command happens as a whole or not at all"
    );
    let pong = client.ask(json!({"type": "ping", "id": "still here"}));
    assert_eq!(
        (&pong["type"], &pong["id"]),
        (&json!("pong"), &json!("still here"))
    );
}

#[test]
fn a_second_subscription_changes_nothing() {
    let server = Server::start();
    let (mut client, _) = Client::open_json(server.address, "/ws");
    client.subscribe(&["a", "a"]);
    client.subscribe(&["a"]);
    client.ask_past_messages(json!({"type": "publish", "topic": "a", "data": 1, "id": 1}));
    let unsubscribed = client.ask_past_messages(json!({"type": "unsubscribe", "topic": "a", "id": 2}));
    assert_eq!(unsubscribed["topics"], json!(["a"]));
    let again = client.ask(json!({"type": "unsubscribe", "topic": "a", "id": 3}));
    assert_eq!(
        (&again["type"], &again["id"]),
        (&json!("unsubscribed"), &json!(3))
    );
    assert_eq!(client.close(1000), 1000);
    server.assert_empty();
}

#[test]
fn connections_are_listed_with_what_is_known_of_them() {
    let server = Server::start();
    let (mut anna, anna_id) = server.open_in(1, "/ws?user=anna&topic=a");
    anna.expect("subscribed");
    let (_other, _) = server.open_in(0, "/ws");
    let page = server
        .runtime
        .block_on(server.fanfare.connections(fanfare::Listed::All, 0, 100))
        .unwrap();
    let row = page
        .connections
        .iter()
        .find(|row| row.connection.to_string() == anna_id)
        .unwrap();
    assert_eq!(row.user.as_ref().map(fanfare::UserName::as_str), Some("anna"));
    assert_eq!(
        row.topics
            .iter()
            .map(fanfare::TopicName::as_str)
            .collect::<Vec<_>>(),
        ["a"]
    );
    assert_eq!(row.remote, anna.stream.local_addr().unwrap());
    assert_eq!(row.dialect, fanfare::Dialect::Json);
}
