//! The page about this API against the program: every row of its tables is true, and every line to try works.

use std::process::Command;

use serde_json::{Value, json};

use crate::process::Server;
use crate::stand::Stand;

const PAGE: &str = include_str!("../../../../docs/protocol/centrifugo-api.md");

/// Every method with parameters that are taken.
const METHODS: [(&str, &str); 13] = [
    ("publish", r#"{"channel": "kept:a", "data": 1}"#),
    ("broadcast", r#"{"channels": ["kept:a"], "data": 1}"#),
    ("subscribe", r#"{"user": "ana", "channel": "a"}"#),
    ("unsubscribe", r#"{"user": "ana", "channel": "a"}"#),
    ("disconnect", r#"{"user": "ana", "whitelist": []}"#),
    ("refresh", r#"{"user": "ana", "expired": true}"#),
    ("presence", r#"{"channel": "a"}"#),
    ("presence_stats", r#"{"channel": "a"}"#),
    ("history", r#"{"channel": "kept:a", "limit": 1}"#),
    ("history_remove", r#"{"channel": "kept:a"}"#),
    ("channels", "{}"),
    ("info", "{}"),
    ("batch", r#"{"commands": []}"#),
];

/// A value that means something.
fn value_of(method: &str, parameter: &str) -> Value {
    match (method, parameter) {
        ("publish" | "broadcast", "data") => json!({"n": 1}),
        ("publish" | "broadcast", "skip_history") => json!(false),
        (_, "channel") => json!("kept:a"),
        (_, "channels") => json!(["a", "b"]),
        (_, "user" | "client" | "session" | "idempotency_key" | "version_epoch") => json!("some"),
        (_, "b64data") => json!("AAEC"),
        (_, "b64info") => json!("e30="),
        (_, "data" | "info") => json!({"some": 1}),
        (_, "override") => json!({"presence": {"value": true}}),
        (_, "delta" | "expired" | "reverse" | "parallel") => json!(true),
        (_, "expire_at") => json!(4_000_000_000_u64),
        (_, "version" | "limit") => json!(7),
        (_, "tags") => json!({"a": "b"}),
        (_, "since") => json!({"offset": 1}),
        (_, "recover_since") => json!({"offset": 1, "epoch": "abc"}),
        (_, "whitelist") => json!(["x"]),
        (_, "disconnect") => json!({"code": 4000, "reason": "bye"}),
        (_, "pattern") => json!("a*"),
        (_, "commands") => json!([{"info": {}}]),
        _ => panic!("`{parameter}` of `{method}` has no value here"),
    }
}

/// What no parameter takes that is looked at, but for those that are any JSON.
fn nonsense() -> Value {
    json!([[]])
}

/// The part of the page about a method.
fn section(heading: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("\n### {heading}\n")).unwrap();
    rest.split("\n### ").next().unwrap()
}

/// The rows of a method's table: a parameter, and what is said of it.
fn rows(method: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    section(&format!("`{method}`")).lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cells.next()?.strip_suffix('`')?, cells.next()?))
    })
}

#[test]
fn every_row_about_a_parameter_is_true() {
    let stand = Stand::start();
    let mut count = 0;
    for (method, taken) in METHODS {
        for (parameter, verdict) in rows(method) {
            count += 1;
            let with = |value: Value| {
                let mut parameters: Value = serde_json::from_str(taken).unwrap();
                parameters[parameter] = value;
                let answer = stand.call(method, &parameters);
                (answer.status, answer.json["error"]["code"].clone())
            };
            let fine = (200, json!(null));
            let what = format!("`{parameter}` of `{method}`: {verdict}");
            match verdict {
                "yes" => {
                    assert_eq!(with(value_of(method, parameter)), fine, "{what}");
                    if !["data", "info"].contains(&parameter) {
                        assert_eq!(with(nonsense()).0, 400, "{what}, and is read");
                    }
                }
                "passed over" => assert_eq!(with(nonsense()), fine, "{what}"),
                "no" => assert_eq!(with(value_of(method, parameter)), (200, json!(108)), "{what}"),
                _ => panic!("{what} is neither yes, no nor passed over"),
            }
        }
    }
    assert!(count > 50, "{count} rows were found");
}

#[test]
fn every_method_has_its_part_and_what_is_not_available_is_named() {
    let headings = PAGE.lines().filter_map(|line| line.strip_prefix("### "));
    let methods = METHODS.iter().map(|(method, _)| format!("`{method}`"));
    let expected: Vec<String> = methods.chain(["Not available".to_owned()]).collect();
    assert_eq!(headings.collect::<Vec<_>>(), expected);
    let stand = Stand::start();
    let (named, rest) = section("Not available").split_once(". The methods").unwrap();
    let named: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
    assert_eq!(named.len(), 8);
    for method in named {
        stand.assert_refused(method, json!({}), 108, "not available");
    }
    assert!(rest.contains("404"));
    for target in ["/api", "/api/", "/api/device_register", "/api/connections"] {
        let answer = stand.request("POST", target, "{}", "");
        assert!([404, 405].contains(&answer.status), "{target}: {}", answer.json);
    }
}

#[test]
fn every_line_to_try_works() {
    let server = Server::start(&["--dev"]);
    let lines: Vec<&str> = PAGE.lines().filter(|line| line.starts_with("curl ")).collect();
    for line in &lines {
        let line = line.replace("127.0.0.1:8080", &server.address.to_string());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{line} --silent --show-error --fail")])
            .env("KEY", "none is set");
        let output = shell.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer: Value = serde_json::from_str(&said).unwrap();
        let is_done = answer["result"].is_object() || answer["replies"].is_array();
        assert!(is_done && answer["error"].is_null(), "{line}: {answer}");
    }
    for (method, _) in METHODS {
        let path = format!("/api/{method}");
        assert!(
            lines.iter().any(|line| line.ends_with(&path)),
            "no line tries {path}"
        );
    }
}
