//! Publishers that try again, and publishers that race, over connections and the HTTP API at once.

use std::thread;

use serde_json::{Value, json};

use crate::client::Client;
use crate::process::Server;
use crate::story::{post, story};

const KEYS: u64 = 40;
const CONNECTIONS: usize = 3;

/// A client of a topic that is subscribed, and the place where it stands.
fn listener(server: &Server, topic: &str) -> (Client, Value) {
    let (mut client, _) = Client::open_json(server.address, &format!("/ws?topic={topic}"));
    let subscribed = client.expect("subscribed");
    (client, subscribed["topics"][0].clone())
}

/// The place in an answer.
fn place(answer: &Value) -> (String, u64) {
    let epoch = answer["epoch"].as_str().unwrap().to_owned();
    (epoch, answer["offset"].as_u64().unwrap())
}

fn is_repeated(answer: &Value) -> bool {
    answer["repeated"] == true
}

/// Publishes every key over a connection of its own, and gives the answers.
fn by_connection(server: &Server) -> Vec<Value> {
    let (mut client, _) = Client::open_json(server.address, "/ws");
    let publish = |key: u64| {
        let key = format!("key {key}");
        json!({"type": "publish", "id": 1, "topic": "a", "idempotency_key": key, "data": key})
    };
    let answers = (0..KEYS).map(|key| client.ask(publish(key))).collect();
    assert_eq!(client.close(1000), 1000);
    answers
}

/// The same over the HTTP API.
fn by_api(server: &Server) -> Vec<Value> {
    let mut caller = Client::connect(server.address);
    let body = |key: u64| {
        let key = format!("key {key}");
        json!({"topic": "a", "idempotency_key": key, "data": key}).to_string()
    };
    (0..KEYS)
        .map(|key| post(&mut caller, "/api/publish", &body(key)))
        .collect()
}

// Row 56: of racing duplicates one is published, and all are told its place.
#[test]
fn of_racing_duplicates_over_every_way_one_is_published() {
    story(&["--shards", "2"], |server| {
        let (mut listener, _) = listener(server, "a");
        let answers: Vec<Vec<Value>> = thread::scope(|scope| {
            let mut ways: Vec<_> = (0..CONNECTIONS)
                .map(|_| scope.spawn(|| by_connection(server)))
                .collect();
            ways.push(scope.spawn(|| by_api(server)));
            ways.into_iter().map(|way| way.join().unwrap()).collect()
        });
        for key in 0..KEYS as usize {
            let of_key: Vec<&Value> = answers.iter().map(|answers| &answers[key]).collect();
            let first = of_key.iter().filter(|answer| !is_repeated(answer));
            assert_eq!(first.count(), 1, "{of_key:?}");
            assert!(
                of_key.iter().all(|answer| place(answer) == place(of_key[0])),
                "{of_key:?}"
            );
        }
        for offset in 1..=KEYS {
            let message = listener.expect("message");
            assert_eq!(message["offset"], offset);
            let number = message["data"].as_str().unwrap().strip_prefix("key ").unwrap();
            let told = place(&answers[0][number.parse::<usize>().unwrap()]);
            assert_eq!(
                told.1, offset,
                "a publication stands where its publishers are told"
            );
        }
        let pong = listener.ask(json!({"type": "ping", "id": "last"}));
        assert_eq!(pong["type"], "pong", "nothing is published twice");
        let repeated = KEYS * CONNECTIONS as u64;
        server.await_metrics(&[
            ("fanfare_publications_repeated_total", repeated),
            ("fanfare_idempotency_keys", KEYS),
            ("fanfare_idempotency_keys_forgotten_total", 0),
        ]);
        assert_eq!(listener.close(1000), 1000);
    });
}

/// Counts up what the topic says last, so many times, as one of several.
fn count_up(server: &Server, mut known: Value, times: usize) {
    let (mut client, _) = Client::open_json(server.address, "/ws");
    for _ in 0..times {
        loop {
            let expected = json!({"epoch": known["epoch"], "offset": known["offset"]});
            let count = known["offset"].as_u64().unwrap() + 1;
            let command =
                json!({"type": "publish", "id": 1, "topic": "a", "expected": expected, "data": count});
            known = client.ask(command);
            if known["type"] == "published" {
                break;
            }
            assert_eq!(known["code"], "conflict", "{known}");
            assert_eq!(known["temporary"], false);
        }
    }
    assert_eq!(client.close(1000), 1000);
}

// A counter that several count up together loses no count, because each expects what it has seen.
#[test]
fn of_racing_publications_behind_one_place_one_is_taken() {
    story(&["--shards", "2"], |server| {
        let (mut listener, start) = listener(server, "a");
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| count_up(server, start.clone(), 20));
            }
        });
        for count in 1..=CONNECTIONS as u64 * 20 {
            let message = listener.expect("message");
            assert_eq!(
                (&message["offset"], &message["data"]),
                (&json!(count), &json!(count))
            );
        }
        assert_eq!(listener.close(1000), 1000);
    });
}
