//! The raw dialect: every message goes verbatim to all subscribers.

use fanfare::{Payload, UserName};
use serde_json::json;
use tungstenite::{Message, WebSocket};

use crate::client::{BINARY, Client, PONG, TEXT, eventually, masked, upgrade_request};
use crate::server::{Server, options};

/// An ordinary client.
fn ordinary(server: &Server, target: &str) -> WebSocket<std::net::TcpStream> {
    let stream = Client::connect(server.address).stream;
    stream.set_read_timeout(Some(crate::client::DEADLINE)).unwrap();
    let url = format!("ws://{}{target}", server.address);
    tungstenite::client(url, stream).unwrap().0
}

/// Waits until a topic has so many subscribers: the raw dialect has no reply that says so.
fn await_subscribers(server: &Server, topic: &str, count: u64) {
    eventually("the subscriptions are in force", || {
        server.fanfare.subscribers(topic) == count
    });
}

#[test]
fn everyone_without_a_topic_is_in_the_lobby() {
    let server = Server::start();
    let mut one = ordinary(&server, "/ws?dialect=raw");
    let mut other = ordinary(&server, "/ws?dialect=raw");
    await_subscribers(&server, "lobby", 2);
    for message in [
        Message::text("héllo"),
        Message::binary(vec![0, 255, 1]),
        Message::text(""),
    ] {
        one.send(message.clone()).unwrap();
        assert_eq!(other.read().unwrap(), message);
        assert_eq!(one.read().unwrap(), message, "the sender is a subscriber too");
    }
}

#[test]
fn a_message_goes_to_every_topic_of_its_sender_and_to_no_other() {
    let server = Server::start();
    let mut both = Client::open(server.address, "/ws?dialect=raw&topic=a&topic=b");
    let mut a = Client::open(server.address, "/ws?dialect=raw&topic=a");
    let mut c = Client::open(server.address, "/ws?dialect=raw&topic=c");
    await_subscribers(&server, "a", 2);
    await_subscribers(&server, "b", 1);
    await_subscribers(&server, "c", 1);
    both.send_text("to a and b");
    assert_eq!(a.text(), "to a and b");
    assert_eq!([both.text(), both.text()], ["to a and b", "to a and b"]);
    a.send_text("to a");
    assert_eq!(both.text(), "to a");
    assert_eq!(a.text(), "to a");
    c.send_text("to c");
    assert_eq!(c.text(), "to c", "nothing of the others came before");
}

#[test]
fn a_publisher_receives_nothing() {
    // In one shard the subscriber is written in the same turn as the publisher would be.
    let server = Server::with(fanfare::Options {
        shards: 1,
        ..options()
    });
    let mut subscriber = Client::open(server.address, "/ws?dialect=raw&topic=a&role=subscriber");
    await_subscribers(&server, "a", 1);
    let mut publisher = Client::open(server.address, "/ws?dialect=raw&topic=a&role=publisher&user=anna");
    publisher.send_text("one");
    publisher.send(&masked(BINARY, b"two"));
    assert_eq!(subscriber.text(), "one");
    assert_eq!(subscriber.message().unwrap().payload, b"two");
    assert_eq!(server.fanfare.subscribers("a"), 1);
    let anna = UserName::parse("anna").unwrap();
    let publish = async {
        server.fanfare.broadcast(Payload::text("all")).await.unwrap();
        server
            .fanfare
            .send_to_user(&anna, Payload::text("anna"))
            .await
            .unwrap();
    };
    server.runtime.block_on(publish);
    assert_eq!(subscriber.text(), "all");
    publisher.send(&masked(crate::client::PING, b"still here"));
    assert_eq!(
        publisher.frame().unwrap().first,
        PONG,
        "nothing came before the pong"
    );
    assert_eq!(publisher.close(1000), 1000);
}

#[test]
fn raw_and_json_in_one_topic_see_each_other() {
    let server = Server::start();
    let mut raw = Client::connect(server.address);
    let offer = upgrade_request("/ws?topic=mixed", &["Sec-WebSocket-Protocol: fanfare.raw.v1"]);
    raw.send(offer.as_bytes());
    assert_eq!(raw.response().unwrap().status, 101);
    await_subscribers(&server, "mixed", 1);
    let (mut json, id) = Client::open_json(server.address, "/ws");
    json.subscribe(&["mixed"]);

    json.send_text(r#"{"type":"publish","topic":"mixed","data": {"b":1,  "a":[1.0, null]} }"#);
    assert_eq!(
        raw.text(),
        r#"{"b":1,  "a":[1.0, null]}"#,
        "JSON passes through untouched"
    );
    let message = json.expect("message");
    assert_eq!(message["from"]["connection"], id.as_str());

    raw.send_text("plain \"text\"");
    assert_eq!(json.expect("message")["data"], "plain \"text\"");
    raw.send(&masked(BINARY, &[0, 1, 255]));
    let binary = json.expect("message");
    assert_eq!(
        (&binary["data_base64"], &binary["data"]),
        (&json!("AAH/"), &json!(null))
    );
    assert_eq!(binary["offset"], 3);
    assert_eq!(raw.text(), "plain \"text\"");
    assert_eq!(raw.message().unwrap().payload, [0, 1, 255]);
}

#[test]
fn a_raw_message_may_come_in_fragments() {
    let server = Server::start();
    let mut client = Client::open(server.address, "/ws?dialect=raw&topic=a");
    await_subscribers(&server, "a", 1);
    let mut bytes = masked(TEXT & 0x0f, "gr\u{fc}".as_bytes().split_at(3).0);
    bytes.extend(masked(crate::client::PING, b"between"));
    bytes.extend(masked(0x00, &"\u{fc}".as_bytes()[1..]));
    bytes.extend(masked(0x80, b"n"));
    client.send(&bytes);
    assert_eq!(client.message().unwrap().payload, b"between");
    assert_eq!(client.text(), "grün", "a character may be cut between fragments");
}
