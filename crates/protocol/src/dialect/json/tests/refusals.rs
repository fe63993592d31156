//! What is no command: the answer, its id and its rule.

use super::*;

/// A message, the id of its answer, the answer's code, and what its text says.
const BAD_MESSAGES: &[(&str, Option<&str>, &str, &str)] = &[
    ("", None, "bad_json", "not a JSON object"),
    ("hello", None, "bad_json", "not a JSON object"),
    (r#"["ping"]"#, None, "bad_json", "not a JSON object"),
    ("{", None, "bad_json", "EOF while parsing"),
    (r#"{"type":"ping"} x"#, None, "bad_json", "trailing characters"),
    (
        "{}",
        None,
        "bad_command",
        "`type` is missing, it is one of `auth`",
    ),
    (
        r#"{"type":"dance","id":7}"#,
        Some("7"),
        "bad_command",
        "`type` is \"dance\", it is one of",
    ),
    (
        r#"{"type":"publish","id":"x","topic":"a"}"#,
        Some("\"x\""),
        "bad_command",
        "`data` is missing",
    ),
    (
        r#"{"type":"publish","data":1}"#,
        None,
        "bad_command",
        "`topic` is missing",
    ),
    (
        r#"{"type":"subscribe","id":1}"#,
        Some("1"),
        "bad_command",
        "`topic` or `topics` is missing",
    ),
    (
        r#"{"type":"subscribe","topics":[]}"#,
        None,
        "bad_command",
        "`topics` is empty",
    ),
    (
        r#"{"type":"subscribe","topic":"a","topics":["b"]}"#,
        None,
        "bad_command",
        "both `topic` and `topics`",
    ),
    (
        r#"{"type":"subscribe","topic":"a","since":"5m","last":3}"#,
        None,
        "bad_command",
        "both `since` and `last`",
    ),
    (
        r#"{"type":"subscribe","topics":[{"topic":"a","since":"5m","last":3}]}"#,
        None,
        "bad_command",
        "both `since` and `last`",
    ),
    (
        r#"{"type":"subscribe","id":4,"topics":[{"since":"5m"}]}"#,
        Some("4"),
        "bad_command",
        "missing field `topic`",
    ),
    (
        r#"{"type":"subscribe","topics":[7]}"#,
        None,
        "bad_command",
        "the name of a topic, or an object with `topic`",
    ),
    (
        r#"{"type":"subscribe","topic":"a","since":"yesterday"}"#,
        None,
        "bad_command",
        "`since` is neither a position such as k2w9:17 nor an age",
    ),
    (
        r#"{"type":"subscribe","topic":"a","since":7}"#,
        None,
        "bad_command",
        "expected a position such as",
    ),
    (
        r#"{"type":"subscribe","topic":"a","since":{"epoch":"a"}}"#,
        None,
        "bad_command",
        "missing field `offset`",
    ),
    (
        r#"{"type":"subscribe","topic":"a","last":-1}"#,
        None,
        "bad_command",
        "invalid value: integer `-1`",
    ),
    (r#"{"type":"history"}"#, None, "bad_command", "`topic` is missing"),
    (
        r#"{"type":"history","topic":"a","before":"a:1","last":3}"#,
        None,
        "bad_command",
        "`before` is given with `since` or `last`",
    ),
    (
        r#"{"type":"history","topic":"a","before":"5m"}"#,
        None,
        "bad_command",
        "`before` is not a position",
    ),
    (
        r#"{"type":"subscribe","id":3,"topic":5}"#,
        Some("3"),
        "bad_command",
        "invalid type: integer `5`",
    ),
    (
        r#"{"type":"subscribe","topic":"a","every":"2"}"#,
        None,
        "bad_command",
        "`every` is not a time from 100ms to 60m",
    ),
    (
        r#"{"type":"publish","topic":"a","key":"","data":1}"#,
        None,
        "bad_command",
        "key is empty",
    ),
    (
        r#"{"type":"publish","topic":"a","idempotency_key":"a\u0007","data":1}"#,
        None,
        "bad_command",
        "`idempotency_key`: key has a control character",
    ),
    (
        r#"{"type":"publish","topic":"a","expected":"5m","data":1}"#,
        None,
        "bad_command",
        "`expected` is not a position",
    ),
    (
        r#"{"type":"ping","id":-1}"#,
        None,
        "bad_command",
        "`id` is neither an integer",
    ),
    (
        r#"{"type":"ping","id":null}"#,
        None,
        "bad_command",
        "`id` is neither an integer",
    ),
    (
        r#"{"type":"send","data":1}"#,
        None,
        "bad_command",
        "either `connection` or `user`",
    ),
    (
        r#"{"type":"send","connection":"x","data":1}"#,
        None,
        "bad_command",
        "16 lower-case hexadecimal",
    ),
    (
        r#"{"type":"send","user":"a b","data":1}"#,
        None,
        "bad_command",
        "user name has",
    ),
    (
        r#"{"type":"ping","type":"ping"}"#,
        None,
        "bad_command",
        "duplicate field `type`",
    ),
    (
        r#"{"type":"publish","topic":"a","data":NaN}"#,
        None,
        "bad_json",
        "expected",
    ),
    (
        r#"{"type":"auth","id":1}"#,
        Some("1"),
        "bad_command",
        "`token` is missing",
    ),
    (
        r#"{"type":"presence"}"#,
        None,
        "bad_command",
        "`topic` is missing",
    ),
    (r#"{"type":"call"}"#, None, "bad_command", "`method` is missing"),
    (
        r#"{"type":"call","method":""}"#,
        None,
        "bad_command",
        "`method` is 0 bytes, it has 1 to",
    ),
    (
        r#"{"type":"subscribe","topic":"a","since":"end"}"#,
        None,
        "bad_command",
        "nothing follows the end, leave `since` away",
    ),
];

#[test]
fn bad_messages_are_answered_with_their_id_and_the_rule() {
    for &(text, id, code, says) in BAD_MESSAGES {
        let rejection = decode(text).expect_err(text);
        assert_eq!(rejection.code.name(), code, "{text}: {rejection:?}");
        assert!(rejection.message.contains(says), "{text}: {}", rejection.message);
        assert_eq!(rejection.id.as_ref().map(CommandId::as_json), id, "{text}");
    }
}

#[test]
fn a_refusal_is_short_however_long_the_value_it_is_about() {
    let long = "\u{1}é".repeat(10_000).replace('\u{1}', "\\u0001");
    for text in [
        format!(r#"{{"type":"{long}","id":1}}"#),
        format!(r#"{{"type":"ping","echo":"{long}","id":1}}"#),
    ] {
        let rejection = decode(&text).unwrap_err();
        assert!(
            rejection.message.len() < 2_000,
            "{} bytes",
            rejection.message.len()
        );
        assert_eq!(rejection.id.as_ref().map(CommandId::as_json), Some("1"));
    }
}

#[test]
fn deep_json_neither_overflows_the_stack_nor_closes() {
    let deep = "[".repeat(60_000);
    assert!(decode(&deep).is_err());
    let deep = format!(
        r#"{{"type":"publish","topic":"a","data":{}1{}}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    let _ = decode(&deep);
}
