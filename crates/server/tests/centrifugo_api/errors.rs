//! Errors of commands: each by its code, with a text that says what was wrong.

use serde_json::json;

use crate::client::eventually;
use crate::stand::Stand;

/// Methods, parameters that are answered with code 107, and words of the error's text.
const BAD_REQUESTS: &[(&str, &str, &str)] = &[
    (
        "publish",
        r#"{"channel": "", "data": 1}"#,
        "`channel` is missing or empty",
    ),
    (
        "publish",
        r#"{"channel": null, "data": 1}"#,
        "`channel` is missing or empty",
    ),
    (
        "publish",
        r#"{"channel": "LONG", "data": 1}"#,
        "`channel`: topic name is 256 bytes, limit is 255",
    ),
    ("publish", r#"{"channel": "a"}"#, "the payload is missing"),
    (
        "publish",
        r#"{"channel": "a", "b64data": "?"}"#,
        "`b64data` is not padded standard base64",
    ),
    (
        "publish",
        r#"{"channel": "a", "data": 1, "idempotency_key": "LONG"}"#,
        "`idempotency_key`",
    ),
    (
        "publish",
        r#"{"channel": "a", "data": 1, "tags": {"": "b"}}"#,
        "`tags`: a tag has no name",
    ),
    (
        "broadcast",
        r#"{"channels": [], "data": 1}"#,
        "`channels` is missing or empty",
    ),
    ("broadcast", r#"{"channels": ["a"]}"#, "the payload is missing"),
    (
        "broadcast",
        r#"{"channel": "a", "data": 1}"#,
        "`channels` is missing or empty",
    ),
    ("subscribe", r#"{"channel": "a"}"#, "`user` is missing or empty"),
    (
        "subscribe",
        r#"{"channel": "a", "user": ""}"#,
        "`user` is missing or empty",
    ),
    (
        "subscribe",
        r#"{"channel": "a", "user": "a b"}"#,
        "`user`: user name has",
    ),
    (
        "subscribe",
        r#"{"channel": "", "user": "a"}"#,
        "`channel` is missing or empty",
    ),
    (
        "subscribe",
        r#"{"user": "a", "channel": "a", "expire_at": 1}"#,
        "`expire_at` is over",
    ),
    (
        "subscribe",
        r#"{"user": "a", "channel": "a", "recover_since": {"offset": 1}}"#,
        "`recover_since.epoch` is missing",
    ),
    (
        "subscribe",
        r#"{"user": "a", "channel": "a", "b64info": "AP8="}"#,
        "`b64info` is not JSON",
    ),
    (
        "subscribe",
        r#"{"user": "a", "channel": "a", "b64data": "?"}"#,
        "`b64data` is not base64",
    ),
    ("unsubscribe", r#"{"channel": "a"}"#, "`user` is missing or empty"),
    ("disconnect", r#"{"client": ""}"#, "`user` is missing or empty"),
    (
        "disconnect",
        r#"{"user": "a*", "whitelist": []}"#,
        "`user`: user name has",
    ),
    (
        "disconnect",
        r#"{"user": "a", "disconnect": {"code": 2999}}"#,
        "`disconnect.code` is 2999",
    ),
    (
        "disconnect",
        r#"{"user": "a", "disconnect": {"code": 5000}}"#,
        "`disconnect.code` is 5000",
    ),
    (
        "disconnect",
        r#"{"user": "a", "disconnect": {"reason": "x"}}"#,
        "`disconnect.reason` belongs to",
    ),
    (
        "disconnect",
        r#"{"user": "a", "disconnect": {"code": 4000, "reason": "LONG"}}"#,
        "`disconnect.reason` is 256 bytes, limit is 123",
    ),
    ("refresh", r#"{"expired": true}"#, "`user` is missing or empty"),
    ("presence", "{}", "`channel` is missing or empty"),
    (
        "presence_stats",
        r#"{"channel": ""}"#,
        "`channel` is missing or empty",
    ),
    ("history", "{}", "`channel` is missing or empty"),
    ("history_remove", "{}", "`channel` is missing or empty"),
    (
        "channels",
        r#"{"pattern": "LONG"}"#,
        "`pattern`: it is 256 bytes, limit is 255",
    ),
];

/// The same of code 108.
const NOT_AVAILABLE: &[(&str, &str, &str)] = &[
    (
        "publish",
        r#"{"channel": "kept:a", "data": 1, "skip_history": true}"#,
        "`skip_history`",
    ),
    (
        "subscribe",
        r#"{"user": "a", "channel": "unseen", "override": {"presence": {"value": true}}}"#,
        "`override.presence`",
    ),
    (
        "subscribe",
        r#"{"user": "a", "channel": "a", "override": {"join_leave": {}}}"#,
        "`override.join_leave`",
    ),
    (
        "subscribe",
        r#"{"user": "a", "channel": "a", "override": {"force_push_join_leave": {"value": true}}}"#,
        "`override.force_push_join_leave`",
    ),
    (
        "subscribe",
        r#"{"user": "a", "channel": "a", "override": {"force_recovery": {"value": true}}}"#,
        "`override.force_recovery`",
    ),
    (
        "subscribe",
        r#"{"user": "a", "channel": "kept:a", "override": {"force_positioning": {"value": false}}}"#,
        "`override.force_positioning`",
    ),
    (
        "history",
        r#"{"channel": "a"}"#,
        "set `history_frames` in its rule",
    ),
    (
        "history_remove",
        r#"{"channel": "a"}"#,
        "set `history_frames` in its rule",
    ),
    (
        "presence",
        r#"{"channel": "unseen"}"#,
        "set `keep_presence` in its rule",
    ),
    (
        "presence_stats",
        r#"{"channel": "unseen"}"#,
        "set `keep_presence` in its rule",
    ),
    ("rpc", r#"{"method": "x", "params": {}}"#, "`rpc`"),
    (
        "map_publish",
        r#"{"channel": "a", "key": "b", "data": 1}"#,
        "map subscriptions",
    ),
    (
        "map_remove",
        r#"{"channel": "a", "key": "b"}"#,
        "map subscriptions",
    ),
    ("map_read_state", r#"{"channel": "a"}"#, "map subscriptions"),
    ("map_read_stream", r#"{"channel": "a"}"#, "map subscriptions"),
    ("map_stats", r#"{"channel": "a"}"#, "map subscriptions"),
    ("map_clear", r#"{"channel": "a"}"#, "map subscriptions"),
    (
        "shared_poll_publish",
        r#"{"channel": "a", "key": "b", "data": 1}"#,
        "shared polls",
    ),
];

fn assert_refused(stand: &Stand, wrong: &[(&str, &str, &str)], code: u32) {
    for (method, parameters, words) in wrong {
        let parameters = parameters.replace("LONG", &"x".repeat(256));
        stand.assert_refused(method, serde_json::from_str(&parameters).unwrap(), code, words);
    }
}

#[test]
fn a_parameter_that_is_missing_or_wrong_is_a_bad_request() {
    assert_refused(&Stand::start(), BAD_REQUESTS, 107);
}

#[test]
fn what_is_not_there_is_said_to_be_not_available() {
    let stand = Stand::start();
    assert_refused(&stand, NOT_AVAILABLE, 108);
    // What says nothing is not refused.
    let silent = json!({
        "user": "ana", "channel": "a", "info": null, "data": null, "recover_since": null, "override": null, "expire_at": 0,
        "session": "", "client": "",
    });
    assert_eq!(stand.done("subscribe", silent), json!({}));
}

#[test]
fn more_than_a_call_or_the_server_may_have_is_a_limit() {
    let stand = Stand::with(&["--message-bytes-max=1KiB", "--topics-max=1"]);
    let parameters = json!({"channel": "a", "data": "x".repeat(1_024)});
    stand.assert_refused(
        "publish",
        parameters,
        106,
        "the payload is 1026 bytes, limit is 1024",
    );
    stand.done("publish", json!({"channel": "kept:a", "data": 1}));
    let body = json!({"channel": "kept:b", "data": 1});
    stand.assert_refused("publish", body, 106, "as many topics as it may");
}

#[test]
fn a_server_that_takes_nothing_now_says_so() {
    let stand = Stand::with(&["--memory-max=16MiB"]);
    let parameters = json!({"channel": "a", "data": 1});
    eventually("memory is short", || {
        stand.call("publish", &parameters).json["error"]["code"] == 100
    });
    let answer = stand.call_with(
        "publish",
        &parameters.to_string(),
        "X-Centrifugo-Error-Mode: transport\r\n",
    );
    assert_eq!(answer.status, 500, "{}", answer.json);
}

#[test]
fn callers_that_ask_for_it_are_told_by_the_status() {
    let stand = Stand::start();
    let since = json!({"offset": 1, "epoch": "0"});
    for (method, parameters, status, code) in [
        ("publish", json!({"channel": "", "data": 1}), 400, 107),
        ("rpc", json!({}), 400, 108),
        ("history", json!({"channel": "kept:a", "since": since}), 416, 112),
        (
            "broadcast",
            json!({"channels": vec!["a"; 10_001], "data": 1}),
            413,
            106,
        ),
    ] {
        for (mode, expected) in [("transport", status), ("reply", 200), ("", 200)] {
            let line = format!("X-Centrifugo-Error-Mode: {mode}\r\n");
            let answer = stand.call_with(method, &parameters.to_string(), &line);
            let found = (answer.status, &answer.json["error"]["code"]);
            assert_eq!(found, (expected, &json!(code)), "{method} {mode}");
        }
    }
    let answer = stand.call_with("info", "{}", "X-Centrifugo-Error-Mode: transport\r\n");
    assert_eq!(answer.done()["nodes"][0]["name"], "fanfare");
}
