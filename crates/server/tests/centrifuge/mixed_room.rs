//! One room with everyone in it: Centrifuge's clients, one of the `json` dialect, and curl.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use fanfare_testing::Socket;
use serde_json::{Value, json};

use crate::client::together;
use crate::house::House;

/// curl, as it reads a stream of server-sent events.
struct Curl {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Curl {
    fn read(url: &str) -> Self {
        let mut command = Command::new("curl");
        command.args(["--silent", "--no-buffer", "--fail", url]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("curl is installed");
        Self {
            lines: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// The next of a type; others are passed over.
    fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "curl has ended");
            if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).unwrap();
                if event["type"] == kind {
                    return event;
                }
            }
        }
    }

    /// Publishes as somebody does who has nothing but curl.
    fn publish(house: &House, data: &Value) {
        let body = json!({"topic": "room", "data": data}).to_string();
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--fail",
            "--json",
            &body,
            &house.program.url("/api/publish"),
        ]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn everyone_in_one_room_hears_the_same_in_the_same_order() {
    let house = House::open();
    let clients = house.clients();
    together(&clients, |client| {
        client.connect();
        client.subscribe("room");
    });
    let mut socket = Socket::open(&house.program, "/ws?topic=room");
    socket.next_of("subscribed");
    let mut curl = Curl::read(&house.program.url("/sse?topic=room"));
    curl.next_of("subscribed");

    let mut expected = Vec::new();
    for round in 0..3 {
        for client in &clients {
            expected.push(json!({"from": client.slug, "round": round, "text": "<é\n🎺>", "n": 0.5}));
            client.publish("room", expected.last().unwrap());
        }
        expected.push(json!({"from": "a socket", "round": round}));
        let data = expected.last().unwrap();
        let published = socket.ask(json!({"type": "publish", "topic": "room", "data": data}));
        assert_eq!(published["type"], "published", "{published}");
        expected.push(json!([null, "curl", round]));
        Curl::publish(&house, expected.last().unwrap());
    }

    let number = expected.len();
    together(&clients, |client| {
        assert_eq!(
            client.take_data("publication", "room", number),
            expected,
            "{client}"
        );
    });
    let heard: Vec<Value> = (0..number)
        .map(|_| socket.next_of("message")["data"].take())
        .collect();
    assert_eq!(heard, expected, "over the WebSocket of the dialect json");
    let heard: Vec<Value> = (0..number)
        .map(|_| curl.next_of("message")["data"].take())
        .collect();
    assert_eq!(heard, expected, "over server-sent events");
}
