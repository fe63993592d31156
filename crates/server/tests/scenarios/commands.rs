//! Commands that are none: JSON that means harm, fields that do not fit, ids that are no ids. Each has one exact answer,
//! and none of them ends the connection.

use serde_json::{Value, json};

use crate::client::{BINARY, Client, masked};
use crate::story::{Bystanders, disconnects, rejections, story};

const VERBS: &str =
    "`auth`, `subscribe`, `unsubscribe`, `publish`, `history`, `presence`, `send`, `call`, `ping`";
const ID_RULE: &str = "`id` is neither an integer from 0 to 2^53-1 nor a string of at most 64 bytes";
const NOT_AN_OBJECT: &str = "message is not a JSON object, send one with a `type`";

/// A message, and the error that answers it.
struct Bad {
    text: String,
    code: &'static str,
    /// The `id` of the answer, when it could be read.
    id: Option<Value>,
    message: String,
}

impl Bad {
    fn json(text: &str, message: &str) -> Self {
        Self::new(text, "bad_json", None, message)
    }

    fn command(text: &str, message: &str) -> Self {
        Self::new(text, "bad_command", None, message)
    }

    fn new(text: &str, code: &'static str, id: Option<Value>, message: &str) -> Self {
        Self {
            text: text.to_owned(),
            code,
            id,
            message: message.to_owned(),
        }
    }

    /// Its `id` is 1 and was read.
    fn with_id(self) -> Self {
        Self {
            id: Some(json!(1)),
            ..self
        }
    }

    fn answer(&self) -> Value {
        let mut answer =
            json!({"type": "error", "code": self.code, "message": self.message, "temporary": false});
        if let Some(id) = &self.id {
            answer["id"] = id.clone();
        }
        answer
    }
}

/// Sends every message; each is answered with its error and nothing else, and they are counted by code.
fn story_of_errors(bad: &[Bad]) {
    story(&[], |server| {
        let mut bystanders = Bystanders::open(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        for bad in bad {
            client.send_text(&bad.text);
            assert_eq!(client.json(), bad.answer(), "{:.200}", bad.text);
        }
        assert_eq!(client.ask(json!({"type": "ping", "id": "well"}))["type"], "pong");
        for code in ["bad_json", "bad_command", "bad_topic", "not_found"] {
            let count = bad.iter().filter(|bad| bad.code == code).count();
            server.await_metrics(&[(&rejections(code), count as u64)]);
        }
        bystanders.assert_well();
    });
}

const NOT_OBJECTS: [&str; 6] = [
    "",
    "hello",
    "null",
    "7",
    r#"[{"type":"ping"}]"#,
    "\u{feff}{\"type\":\"ping\"}",
];

const BAD_IDS: [&str; 9] = [
    "-1",
    "1.5",
    "1e3",
    "9007199254740992",
    "18446744073709551616",
    "null",
    "true",
    "[1]",
    "{}",
];

/// Fields that are missing, too many or at odds; all have the id 1.
const BAD_FIELDS: [(&str, &str); 9] = [
    (r#"{"type":"subscribe","id":1}"#, "`topic` or `topics` is missing"),
    (
        r#"{"type":"unsubscribe","id":1}"#,
        "`topic` or `topics` is missing",
    ),
    (
        r#"{"type":"subscribe","topics":[],"id":1}"#,
        "`topics` is empty, name at least one",
    ),
    (
        r#"{"type":"subscribe","topic":"a","topics":["b"],"id":1}"#,
        "both `topic` and `topics` are given, give one",
    ),
    (
        r#"{"type":"publish","topic":"a","id":1}"#,
        "`data` is missing, it is any JSON value",
    ),
    (r#"{"type":"publish","data":1,"id":1}"#, "`topic` is missing"),
    (
        r#"{"type":"send","user":"a","id":1}"#,
        "`data` is missing, it is any JSON value",
    ),
    (
        r#"{"type":"send","data":1,"id":1}"#,
        "`send` needs either `connection` or `user`",
    ),
    (
        r#"{"type":"send","user":"a","connection":"0000000000000000","data":1,"id":1}"#,
        "`send` needs either `connection` or `user`",
    ),
];

// Row 51.
#[test]
fn malformed_commands_have_one_exact_answer_each() {
    let missing = format!("`type` is missing, it is one of {VERBS}");
    let mut bad: Vec<Bad> = NOT_OBJECTS.map(|text| Bad::json(text, NOT_AN_OBJECT)).into();
    bad.push(Bad::command("{}", &missing));
    bad.push(Bad::command(r#"{"id":1}"#, &missing).with_id());
    for kind in ["", "dance", "connect", "PING"] {
        let text = json!({"type": kind, "id": 1}).to_string();
        bad.push(Bad::command(&text, &format!("`type` is {kind:?}, it is one of {VERBS}")).with_id());
    }
    let too_long = format!("{:?}", "x".repeat(65));
    for id in BAD_IDS.into_iter().chain([too_long.as_str()]) {
        bad.push(Bad::command(&format!(r#"{{"type":"ping","id":{id}}}"#), ID_RULE));
    }
    bad.extend(BAD_FIELDS.map(|(text, message)| Bad::command(text, message).with_id()));
    for connection in ["0000000000000000", "ffffffffffffffff"] {
        let text = json!({"type": "send", "connection": connection, "data": 1, "id": 1}).to_string();
        let message = "the connection is not open, it may have been closed or never existed";
        bad.push(Bad::new(&text, "not_found", Some(json!(1)), message));
    }
    story_of_errors(&bad);
}

// Row 51: an id may come again, and the largest one is repeated exactly.
#[test]
fn ids_are_repeated_as_they_are_and_may_be_replayed() {
    story(&[], |server| {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        for id in [
            "0",
            "9007199254740991",
            "\"\"",
            "\"\\u0000\"",
            "\"9007199254740993\"",
        ] {
            for _ in 0..2 {
                client.send_text(&format!(r#"{{"type":"ping","id":{id}}}"#));
                let text = client.text();
                assert!(
                    text.starts_with(&format!(r#"{{"type":"pong","id":{id},"#)),
                    "{text}"
                );
            }
        }
        // The same publication twice is two, because an id names a command and not what it publishes.
        for offset in 1..=2 {
            let reply = client.ask(json!({"type": "publish", "topic": "a", "data": 1, "id": 1}));
            assert_eq!(reply["type"], "published");
            assert!(reply["offset"].as_u64().is_some_and(|at| at <= offset), "{reply}");
        }
    });
}

/// JSON that cannot be read, and why.
const UNREADABLE: [(&str, &str); 7] = [
    (
        r#"{"type":"publish","topic":"a","data":NaN,"id":1}"#,
        "expected value at line 1 column 38",
    ),
    (
        r#"{"type":"publish","topic":"a","data":Infinity,"id":1}"#,
        "expected value at line 1 column 38",
    ),
    (
        r#"{"type":"publish","topic":"a","data":01,"id":1}"#,
        "invalid number at line 1 column 39",
    ),
    (
        r#"{"type":"publish","topic":"a","data":1,}"#,
        "trailing comma at line 1 column 40",
    ),
    (r"{'type':'ping'}", "key must be a string at line 1 column 2"),
    (
        "{\"type\":\"pi\u{0}ng\"}",
        "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 12",
    ),
    (
        r#"{"type":"ping"} {"type":"ping"}"#,
        "trailing characters at line 1 column 17",
    ),
];

/// Fields of another type than theirs, and one that comes twice; all have the id 1.
const WRONG_TYPES: [(&str, &str); 6] = [
    (
        r#"{"type":"ping","type":"ping","id":1}"#,
        "duplicate field `type` at line 1 column 21",
    ),
    (
        r#"{"type":5,"id":1}"#,
        "invalid type: integer `5`, expected a string at line 1 column 9",
    ),
    (
        r#"{"type":"subscribe","topic":5,"id":1}"#,
        "invalid type: integer `5`, expected a string at line 1 column 29",
    ),
    (
        r#"{"type":"subscribe","topics":"a","id":1}"#,
        "invalid type: string \"a\", expected a sequence at line 1 column 32",
    ),
    (
        r#"{"type":"subscribe","topics":["a",null],"id":1}"#,
        "invalid type: null, expected the name of a topic, or an object with `topic` and `since` or `last` at line 1 column 38",
    ),
    (
        r#"{"type":"publish","topic":"a","data":1,"echo":"no","id":1}"#,
        "invalid type: string \"no\", expected a boolean at line 1 column 50",
    ),
];

// Row 49.
#[test]
fn json_that_means_harm_is_an_error() {
    let unread = |why: &str| format!("message is not a command: {why}");
    let (arrays, objects) = ("[".repeat(60_000), "{\"a\":".repeat(10_000));
    let in_kind = format!("{{\"type\":{arrays}");
    let long_id = format!(r#"{{"type":"ping","id":{}}}"#, "9".repeat(60_000));
    let mut bad = vec![
        Bad::json(&arrays, NOT_AN_OBJECT),
        Bad::json(
            &objects,
            &unread("EOF while parsing a value at line 1 column 50000"),
        ),
        Bad::command(
            &in_kind,
            &unread("invalid type: sequence, expected a string at line 1 column 8"),
        ),
        Bad::command(&long_id, ID_RULE),
        // Which of two ids is meant cannot be known.
        Bad::command(
            r#"{"type":"ping","id":1,"id":2}"#,
            &unread("duplicate field `id` at line 1 column 26"),
        ),
    ];
    bad.extend(UNREADABLE.map(|(text, why)| Bad::json(text, &unread(why))));
    bad.extend(WRONG_TYPES.map(|(text, why)| Bad::command(text, &unread(why)).with_id()));
    story_of_errors(&bad);
}

// Row 49: what nobody here needs to read is not read, so its depth and its numbers cost nothing.
#[test]
fn payloads_pass_through_whatever_their_json_holds() {
    story(&[], |server| {
        let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
        client.expect("subscribed");
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let (deep, digits) = (nested(30_000), "7".repeat(60_000));
        let texts = [
            &deep,
            &digits,
            "1e400",
            "-0",
            r#"{"a":1,"a":2}"#,
            r#""\ud800""#,
            r#"{"b":1 , "a":[ ]}"#,
        ];
        for text in texts {
            client.send_text(&format!(r#"{{"type":"publish","topic":"a","data":{text}}}"#));
            let message = client.text();
            assert!(
                message.ends_with(&format!(r#","data":{text}}}"#)),
                "{message:.200}"
            );
        }
        // A field that no command has is passed over just the same.
        client.send_text(&format!(r#"{{"type":"ping","later":{deep},"id":1}}"#));
        assert_eq!(client.expect("pong")["id"], 1);
    });
}

// Row 50: there is no binary protocol yet. Binary in a dialect of text is refused, in `raw` it is a payload.
#[test]
fn binary_is_refused_where_commands_are_text_and_opaque_where_they_are_not() {
    story(&[], |server| {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        client.send(&masked(BINARY, b"{\"type\":\"ping\"}"));
        assert_eq!(client.ending().code, 1003);
        let reason = "binary messages are not accepted in this dialect";
        server.await_metrics(&[(&disconnects(1003, reason), 1)]);
        let mut raw = Client::open(server.address, "/ws?dialect=raw&topic=a");
        // A varint of eleven bytes, a length beyond the message, every byte there is.
        let every: Vec<u8> = (0..=255).collect();
        for payload in [&[0xff; 11][..], &[0xff, 0xff, 0xff, 0x7f, 1], &[], &every] {
            raw.send(&masked(BINARY, payload));
            let frame = raw.message().unwrap();
            assert_eq!((frame.first, frame.payload.as_slice()), (BINARY, payload));
        }
        assert_eq!(raw.close(1000), 1000);
    });
}
