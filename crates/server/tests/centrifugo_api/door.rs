//! Who may call, what can be decoded, and whose call it is.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::process::API_KEY;
use crate::stand::{JSON, Stand};

/// Every method with parameters that it takes.
fn methods() -> Vec<(&'static str, Value)> {
    vec![
        ("publish", json!({"channel": "kept:a", "data": 1})),
        ("broadcast", json!({"channels": ["kept:a"], "data": 1})),
        ("subscribe", json!({"channel": "a", "user": "ana"})),
        ("unsubscribe", json!({"channel": "a", "user": "ana"})),
        ("disconnect", json!({"client": "x", "user": "ana"})),
        ("refresh", json!({"user": "ana", "expired": true})),
        ("presence", json!({"channel": "a"})),
        ("presence_stats", json!({"channel": "a"})),
        ("history", json!({"channel": "kept:a"})),
        ("history_remove", json!({"channel": "kept:a"})),
        ("channels", json!({})),
        ("info", json!({})),
        ("batch", json!({"commands": []})),
        ("rpc", json!({"method": "x"})),
    ]
}

#[test]
fn a_key_is_taken_from_either_header_and_from_nowhere_else() {
    let stand = Stand::with(&["--api-key", API_KEY]);
    for (method, parameters) in methods() {
        let body = parameters.to_string();
        for line in [
            format!("X-API-Key: {API_KEY}\r\n"),
            format!("Authorization: apikey {API_KEY}\r\n"),
            format!("Authorization: Bearer {API_KEY}\r\n"),
        ] {
            assert_eq!(
                stand.call_with(method, &body, &line).status,
                200,
                "{method} {line}"
            );
        }
        for line in [
            "",
            "X-API-Key: wrong\r\n",
            "Authorization: apikey wrong-as-well-it-is\r\n",
        ] {
            assert_eq!(
                stand.call_with(method, &body, line).status,
                401,
                "{method} {line}"
            );
        }
        let line = format!("X-API-Key: {API_KEY}\r\n");
        let answer = stand.call_with(&format!("{method}?api_key={API_KEY}"), &body, &line);
        assert_eq!(
            (answer.status, &answer.json["error"]["code"]),
            (400, &json!("key_in_query")),
            "{method}"
        );
    }
}

#[test]
fn a_key_does_what_its_scopes_say() {
    for (scopes, may) in [
        ("publish:kept:*", &["publish", "broadcast", "batch"][..]),
        (
            "stats",
            &[
                "presence",
                "presence_stats",
                "history",
                "channels",
                "info",
                "batch",
            ],
        ),
        (
            "admin",
            &[
                "publish",
                "broadcast",
                "subscribe",
                "unsubscribe",
                "disconnect",
                "refresh",
                "presence",
                "presence_stats",
                "history",
                "history_remove",
                "channels",
                "info",
                "batch",
            ],
        ),
    ] {
        let stand = Stand::with(&[&format!("--api-key=one {scopes} {}", hash_of(API_KEY))]);
        for (method, parameters) in methods().into_iter().filter(|(method, _)| *method != "rpc") {
            let key = format!("X-API-Key: {API_KEY}\r\n");
            let answer = stand.call_with(method, &parameters.to_string(), &key);
            assert_eq!(answer.status, 200, "{method}: {}", answer.json);
            let response = &answer.json["result"]["responses"][0];
            let error = if method == "broadcast" {
                &response["error"]
            } else {
                &answer.json["error"]
            };
            let code = if may.contains(&method) {
                json!(null)
            } else {
                json!(103)
            };
            assert_eq!(error["code"], code, "{scopes} {method}: {error}");
            let command = json!({"commands": [{method: parameters}]});
            let reply = &stand.call_with("batch", &command.to_string(), &key).json["replies"][0];
            let code = if method == "batch" { json!(104) } else { code };
            let in_reply = if method == "broadcast" {
                &reply["broadcast"]["responses"][0]
            } else {
                reply
            };
            assert_eq!(
                in_reply["error"]["code"], code,
                "{scopes} {method} in a batch: {reply}"
            );
        }
    }
}

/// A key as the configuration has it.
fn hash_of(key: &str) -> String {
    let hash = Sha256::digest(key.as_bytes());
    hash.iter()
        .fold("sha256$".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn what_cannot_be_decoded_is_a_status() {
    let stand = Stand::with(&["--message-bytes-max=1KiB"]);
    for (method, _) in methods() {
        for body in [
            "",
            "{",
            "1",
            "\"channel\"",
            "[]",
            "null",
            "{\"channel\": \"a\"",
            "{} {}",
        ] {
            let answer = stand.call_with(method, body, JSON);
            assert_eq!(answer.status, 400, "{method} {body}: {}", answer.json);
        }
        let long = format!("{{\"channel\": \"a\", \"x\": \"{}\"}}", "x".repeat(1 << 20));
        assert_eq!(stand.call_with(method, &long, "").status, 413, "{method}");
        let answer = stand.call_with(method, "{}", "Content-Encoding: gzip\r\n");
        assert_eq!(answer.status, 415, "{method}");
        assert_eq!(
            stand.request("PUT", &format!("/api/{method}"), "{}", "").status,
            405,
            "{method}"
        );
    }
    for (method, body) in [
        ("publish", json!({"channel": 5, "data": 1})),
        ("broadcast", json!({"channels": "a", "data": 1})),
        ("subscribe", json!({"channel": "a", "user": 42})),
        ("history", json!({"channel": "kept:a", "limit": "5"})),
        ("history", json!({"channel": "kept:a", "since": {"offset": -1}})),
        ("disconnect", json!({"user": "a", "disconnect": "now"})),
    ] {
        let answer = stand.call(method, &body);
        assert_eq!(answer.status, 400, "{method} {body}: {}", answer.json);
    }
}

#[test]
fn the_body_says_whose_call_it_is() {
    let stand = Stand::start();
    let ours = |target: &str, body: &str, lines: &str| {
        let answer = stand.request("POST", target, body, lines);
        assert_eq!(
            answer.json.get("result"),
            None,
            "{target} {body}: {}",
            answer.json
        );
        answer
    };
    let answer = ours("/api/publish", r#"{"topic": "a", "data": {"channel": "b"}}"#, "");
    assert_eq!(answer.json["topic"], "a");
    let answer = ours("/api/publish?topic=a", r#"{"channel": "b", "data": 1}"#, "");
    assert_eq!(answer.json["topic"], "a");
    let answer = ours(
        "/api/publish",
        r#"{"channel": "b"}"#,
        "Content-Type: text/plain\r\n",
    );
    assert_eq!(
        (answer.status, &answer.json["error"]["code"]),
        (415, &json!("wrong_type"))
    );
    let answer = ours("/api/broadcast", r#"{"data": 1}"#, "");
    assert_eq!(answer.json["topic"], "$all");
    for method in ["subscribe", "unsubscribe"] {
        let answer = ours(&format!("/api/{method}"), r#"{"user": "ana", "topic": "a"}"#, "");
        assert_eq!(answer.json, json!({"connections": 0}));
    }
    let answer = ours("/api/disconnect", r#"{"user": "ana", "code": 4000}"#, "");
    assert_eq!(answer.json, json!({"connections": 0}));
    let both = r#"{"topic": "a", "channel": "kept:b", "data": 1}"#;
    let theirs = stand.request("POST", "/api/publish", both, "");
    assert_eq!(theirs.json["result"]["offset"], 1, "{}", theirs.json);
    for target in ["/api/presence?topic=a", "/api/history?topic=a"] {
        assert_eq!(stand.request("GET", target, "", "").status, 200);
    }
    assert_eq!(stand.request("POST", "/api", "{}", "").status, 404);
    assert_eq!(stand.request("POST", "/api/nonsense", "{}", "").status, 404);
}
