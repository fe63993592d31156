//! Commands that are none: JSON that means harm, fields that do not fit, ids that are no ids. Each has one exact answer,
//! and none of them ends the connection.

use serde_json::{Value, json};

use crate::client::{BINARY, Client, masked};
use crate::story::{Bystanders, disconnects, rejections, story};

const VERBS: &str = "`subscribe`, `unsubscribe`, `publish`, `send`, `ping`";
const ID_RULE: &str = "`id` is neither an integer from 0 to 2^53-1 nor a string of at most 64 bytes";
const NOT_AN_OBJECT: &str = "message is not a JSON object, send one with a `type`";

/// A message, and the error that answers it: its code, its `id` when that could be read, and its text.
type Bad<'a> = (&'a str, &'a str, Value, &'a str);

/// Sends every message; each is answered with its error and nothing else, and they are counted by code.
fn story_of_errors(bad: &[Bad<'_>]) {
    story(&[], |server| {
        let mut bystanders = Bystanders::open(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        for (text, code, id, message) in bad {
            client.send_text(text);
            let mut expected = json!({"type": "error", "code": code, "message": message, "temporary": false});
            if !id.is_null() {
                expected["id"] = id.clone();
            }
            assert_eq!(client.json(), expected, "{text:.200}");
        }
        assert_eq!(client.ask(json!({"type": "ping", "id": "well"}))["type"], "pong");
        for code in ["bad_json", "bad_command", "bad_topic", "not_found"] {
            let count = bad.iter().filter(|(_, bad, ..)| *bad == code).count();
            server.await_metrics(&[(&rejections(code), count as u64)]);
        }
        bystanders.assert_well();
    });
}

// Row 51.
#[test]
fn malformed_commands_have_one_exact_answer_each() {
    let none = Value::Null;
    let unknown = |kind: &str| format!("`type` is {kind:?}, it is one of {VERBS}");
    let missing = format!("`type` is missing, it is one of {VERBS}");
    let (dance, connect, empty, case) = (unknown("dance"), unknown("connect"), unknown(""), unknown("PING"));
    let nobody = "the connection is not open, it may have been closed or never existed";
    let whom = "`send` needs either `connection` or `user`";
    let data = "`data` is missing, it is any JSON value";
    let longest = format!(r#"{{"type":"dance","id":"{}"}}"#, "x".repeat(64));
    let too_long = format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(65));
    story_of_errors(&[
        ("", "bad_json", none.clone(), NOT_AN_OBJECT),
        ("hello", "bad_json", none.clone(), NOT_AN_OBJECT),
        ("null", "bad_json", none.clone(), NOT_AN_OBJECT),
        ("7", "bad_json", none.clone(), NOT_AN_OBJECT),
        (r#"[{"type":"ping"}]"#, "bad_json", none.clone(), NOT_AN_OBJECT),
        (
            "\u{feff}{\"type\":\"ping\"}",
            "bad_json",
            none.clone(),
            NOT_AN_OBJECT,
        ),
        ("{}", "bad_command", none.clone(), &missing),
        (r#"{"id":1}"#, "bad_command", json!(1), &missing),
        (r#"{"type":"","id":1}"#, "bad_command", json!(1), &empty),
        (r#"{"type":"dance","id":1}"#, "bad_command", json!(1), &dance),
        (r#"{"type":"connect","id":1}"#, "bad_command", json!(1), &connect),
        (r#"{"type":"PING","id":1}"#, "bad_command", json!(1), &case),
        (&longest, "bad_command", json!("x".repeat(64)), &dance),
        // Ids.
        (r#"{"type":"ping","id":-1}"#, "bad_command", none.clone(), ID_RULE),
        (
            r#"{"type":"ping","id":1.5}"#,
            "bad_command",
            none.clone(),
            ID_RULE,
        ),
        (
            r#"{"type":"ping","id":1e3}"#,
            "bad_command",
            none.clone(),
            ID_RULE,
        ),
        (
            r#"{"type":"ping","id":9007199254740992}"#,
            "bad_command",
            none.clone(),
            ID_RULE,
        ),
        (
            r#"{"type":"ping","id":18446744073709551616}"#,
            "bad_command",
            none.clone(),
            ID_RULE,
        ),
        (
            r#"{"type":"ping","id":null}"#,
            "bad_command",
            none.clone(),
            ID_RULE,
        ),
        (
            r#"{"type":"ping","id":true}"#,
            "bad_command",
            none.clone(),
            ID_RULE,
        ),
        (
            r#"{"type":"ping","id":[1]}"#,
            "bad_command",
            none.clone(),
            ID_RULE,
        ),
        (r#"{"type":"ping","id":{}}"#, "bad_command", none.clone(), ID_RULE),
        (&too_long, "bad_command", none.clone(), ID_RULE),
        // Fields.
        (
            r#"{"type":"subscribe","id":1}"#,
            "bad_command",
            json!(1),
            "`topic` or `topics` is missing",
        ),
        (
            r#"{"type":"unsubscribe","id":1}"#,
            "bad_command",
            json!(1),
            "`topic` or `topics` is missing",
        ),
        (
            r#"{"type":"subscribe","topics":[],"id":1}"#,
            "bad_command",
            json!(1),
            "`topics` is empty, name at least one",
        ),
        (
            r#"{"type":"subscribe","topic":"a","topics":["b"],"id":1}"#,
            "bad_command",
            json!(1),
            "both `topic` and `topics` are given, give one",
        ),
        (
            r#"{"type":"publish","topic":"a","id":1}"#,
            "bad_command",
            json!(1),
            data,
        ),
        (
            r#"{"type":"publish","data":1,"id":1}"#,
            "bad_command",
            json!(1),
            "`topic` is missing",
        ),
        (
            r#"{"type":"publish","topics":["a"],"data":1,"id":1}"#,
            "bad_command",
            json!(1),
            "`topic` is missing",
        ),
        (
            r#"{"type":"send","user":"a","id":1}"#,
            "bad_command",
            json!(1),
            data,
        ),
        (
            r#"{"type":"send","data":1,"id":1}"#,
            "bad_command",
            json!(1),
            whom,
        ),
        (
            r#"{"type":"send","user":"a","connection":"0000000000000000","data":1,"id":1}"#,
            "bad_command",
            json!(1),
            whom,
        ),
        (
            r#"{"type":"send","connection":"0000000000000000","data":1,"id":1}"#,
            "not_found",
            json!(1),
            nobody,
        ),
        (
            r#"{"type":"send","connection":"ffffffffffffffff","data":1,"id":1}"#,
            "not_found",
            json!(1),
            nobody,
        ),
    ]);
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

// Row 49.
#[test]
fn json_that_means_harm_is_an_error() {
    let none = Value::Null;
    let unclosed = "[".repeat(60_000);
    let kind_of_arrays = format!("{{\"type\":{}", "[".repeat(60_000));
    let objects = "{\"a\":".repeat(10_000);
    let long_id = format!(r#"{{"type":"ping","id":{}}}"#, "9".repeat(60_000));
    let unread = |rest: &str| format!("message is not a command: {rest}");
    let at = |rest: &str, column: usize| unread(&format!("{rest} at line 1 column {column}"));
    let sequence = at("invalid type: sequence, expected a string", 8);
    let number = at("invalid type: integer `5`, expected a string", 9);
    let topic_number = at("invalid type: integer `5`, expected a string", 29);
    let topics_text = at("invalid type: string \"a\", expected a sequence", 32);
    let topics_null = at("invalid type: null, expected a string", 38);
    let echo = at("invalid type: string \"no\", expected a boolean", 50);
    let twice = (at("duplicate field `type`", 21), at("duplicate field `id`", 26));
    let control = at(
        "control character (\\u0000-\\u001F) found while parsing a string",
        12,
    );
    let (value, ends) = (at("expected value", 38), at("EOF while parsing a value", 50_000));
    let (octal, comma) = (at("invalid number", 39), at("trailing comma", 40));
    let (quotes, two) = (at("key must be a string", 2), at("trailing characters", 17));
    story_of_errors(&[
        (&unclosed, "bad_json", none.clone(), NOT_AN_OBJECT),
        (&kind_of_arrays, "bad_command", none.clone(), &sequence),
        (&objects, "bad_json", none.clone(), &ends),
        (&long_id, "bad_command", none.clone(), ID_RULE),
        (
            r#"{"type":"ping","type":"ping","id":1}"#,
            "bad_command",
            json!(1),
            &twice.0,
        ),
        (
            r#"{"type":"ping","id":1,"id":2}"#,
            "bad_command",
            none.clone(),
            &twice.1,
        ),
        (
            r#"{"type":"publish","topic":"a","data":NaN,"id":1}"#,
            "bad_json",
            none.clone(),
            &value,
        ),
        (
            r#"{"type":"publish","topic":"a","data":Infinity,"id":1}"#,
            "bad_json",
            none.clone(),
            &value,
        ),
        (
            r#"{"type":"publish","topic":"a","data":01,"id":1}"#,
            "bad_json",
            none.clone(),
            &octal,
        ),
        (
            r#"{"type":"publish","topic":"a","data":1,}"#,
            "bad_json",
            none.clone(),
            &comma,
        ),
        (r"{'type':'ping'}", "bad_json", none.clone(), &quotes),
        ("{\"type\":\"pi\u{0}ng\"}", "bad_json", none.clone(), &control),
        (r#"{"type":5,"id":1}"#, "bad_command", json!(1), &number),
        (
            r#"{"type":"subscribe","topic":5,"id":1}"#,
            "bad_command",
            json!(1),
            &topic_number,
        ),
        (
            r#"{"type":"subscribe","topics":"a","id":1}"#,
            "bad_command",
            json!(1),
            &topics_text,
        ),
        (
            r#"{"type":"subscribe","topics":["a",null],"id":1}"#,
            "bad_command",
            json!(1),
            &topics_null,
        ),
        (
            r#"{"type":"publish","topic":"a","data":1,"echo":"no","id":1}"#,
            "bad_command",
            json!(1),
            &echo,
        ),
        (
            r#"{"type":"ping"} {"type":"ping"}"#,
            "bad_json",
            none.clone(),
            &two,
        ),
    ]);
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
