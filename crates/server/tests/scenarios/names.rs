//! Names of topics that mean harm, by every way that a name comes in.

use serde_json::json;

use crate::client::{Client, TEXT, masked, upgrade_request};
use crate::process::{API_KEY, Server};
use crate::story::{api, percent_encoded, rejections, story};

const FORBIDDEN: &str = "control, white-space, invisible and pattern characters (* # ? >) are not allowed";

/// A bad name, and what is said about it.
fn bad_names() -> Vec<(String, String)> {
    let at = |name: &str, shown: &str, at: usize| {
        (
            name.to_owned(),
            format!("topic name has {shown} at byte {at}; {FORBIDDEN}"),
        )
    };
    let reserved = |name: &str| {
        let text = "topic names that begin with `$` belong to the server, choose another first character";
        (name.to_owned(), text.to_owned())
    };
    let long = |name: String| {
        let text = format!("topic name is {} bytes, limit is 255", name.len());
        (name, text)
    };
    vec![
        (
            String::new(),
            "topic name is empty, it needs 1 to 255 bytes".to_owned(),
        ),
        long("x".repeat(256)),
        long("é".repeat(128)),
        long("x".repeat(8_000)),
        reserved("$"),
        reserved("$all"),
        reserved("$user:anna"),
        at("a\0b", "\\u{0}", 1),
        at("a\nb", "\\u{a}", 1),
        at("a\rb", "\\u{d}", 1),
        at("\u{1b}[31m", "\\u{1b}", 0),
        at("a\u{7f}", "\\u{7f}", 1),
        at("a\u{85}", "\\u{85}", 1),
        at("a b", "\\u{20}", 1),
        at("a\u{a0}b", "\\u{a0}", 1),
        at("a\u{3000}b", "\\u{3000}", 1),
        at("user\u{202e}nimda", "\\u{202e}", 4),
        at("a\u{200b}", "\\u{200b}", 1),
        at("\u{feff}a", "\\u{feff}", 0),
        at("a\u{2066}b", "\\u{2066}", 1),
        at("a\u{fffd}", "\\u{fffd}", 1),
        // Row 47: there are no patterns yet, so that none can cost anything.
        at("#", "\\u{23}", 0),
        at("*", "\\u{2a}", 0),
        at(">", "\\u{3e}", 0),
        at("a?", "\\u{3f}", 1),
        at(&"*.".repeat(100), "\\u{2a}", 0),
    ]
}

/// Names that look odd and are names: they are told apart byte by byte and never taken for a path.
const ODD_NAMES: [&str; 8] = [
    "..",
    "../../etc/passwd",
    "/",
    "a/../b",
    "_internal",
    "раураl",
    "%s%n{}",
    "<img/src=x/onerror=alert(1)//",
];

// Row 46.
#[test]
fn a_bad_name_is_refused_with_its_rule_by_every_command() {
    story(&[], |server| {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let mut count = 0;
        for (name, message) in bad_names() {
            let error = json!({
                "type": "error", "id": 1, "code": "bad_topic", "temporary": false, "message": message,
            });
            for command in [
                json!({"type": "subscribe", "topic": name, "id": 1}),
                json!({"type": "subscribe", "topics": ["good", name], "id": 1}),
                json!({"type": "unsubscribe", "topic": name, "id": 1}),
                json!({"type": "publish", "topic": name, "data": 1, "id": 1}),
            ] {
                assert_eq!(client.ask(command), error);
                count += 1;
            }
        }
        server.await_metrics(&[
            (&rejections("bad_topic"), count),
            ("fanfare_topics", 0),
            ("fanfare_subscriptions", 0),
        ]);
    });
}

// Row 46.
#[test]
fn a_bad_name_is_refused_in_the_address_and_by_the_api() {
    story(&[], |server| {
        let names = bad_names();
        for (name, message) in names.iter().filter(|(name, _)| name.len() < 2_000) {
            let encoded = percent_encoded(name);
            for dialect in ["json", "raw"] {
                let target = format!("/ws?dialect={dialect}&topic=good&topic={encoded}");
                let mut client = Client::connect(server.address);
                client.send(upgrade_request(&target, &[]).as_bytes());
                let response = client.response().unwrap();
                assert_eq!((response.status, response.body), (400, format!("{message}\n")));
            }
        }
        for (name, message) in &names {
            let bad = |target: &str, body: serde_json::Value, message: &str| {
                let (status, answer) = call(server, target, &body.to_string());
                let expected = json!({"error": {"code": "bad_topic", "message": message}});
                assert_eq!((status, answer), (400, expected), "{target} {body}");
            };
            bad("/api/publish", json!({"topic": name, "data": 1}), message);
            let among_others = format!("topic 2 of 2: {message}");
            bad(
                "/api/publish",
                json!({"topics": ["good", name], "data": 1}),
                &among_others,
            );
            for target in ["/api/subscribe", "/api/unsubscribe"] {
                bad(target, json!({"user": "anna", "topic": name}), message);
                bad(target, json!({"user": "anna", "topics": ["good", name]}), message);
            }
        }
        server.await_metrics(&[
            ("fanfare_connections_opened_total", 1),
            ("fanfare_publications_total", 0),
        ]);
    });
}

/// The status and JSON that the API answers to a POST.
fn call(server: &Server, target: &str, body: &str) -> (u16, serde_json::Value) {
    let mut client = Client::connect(server.address);
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {API_KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(request.as_bytes());
    let response = client.response().unwrap();
    (response.status, serde_json::from_str(&response.body).unwrap())
}

// Row 46: what is not UTF-8 never becomes a name.
#[test]
fn a_name_that_is_not_utf8_is_refused() {
    story(&["--close-timeout", "100ms"], |server| {
        let mut client = Client::connect(server.address);
        client.send(upgrade_request("/ws?topic=a%ff", &[]).as_bytes());
        assert_eq!(client.response().unwrap().status, 400);
        let (status, answer) = call(server, "/api/publish?topic=a%ff", "1");
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad_query")));
        let (mut client, _) = Client::open_json(server.address, "/ws");
        client.send(&masked(TEXT, b"{\"type\":\"subscribe\",\"topic\":\"a\xff\"}"));
        assert_eq!(client.ending().code, 1007);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        client.send_text(r#"{"type":"subscribe","topic":"a\ud800","id":1}"#);
        let error = client.expect("error");
        assert_eq!((&error["code"], &error["id"]), (&json!("bad_json"), &json!(1)));
        // The other half of the pair makes it a character, and a name.
        client.send_text(r#"{"type":"subscribe","topic":"\ud83c\udfba","id":1}"#);
        assert_eq!(client.expect("subscribed")["topics"][0]["topic"], "🎺");
    });
}

// Row 46.
#[test]
fn odd_names_are_nothing_but_names() {
    story(&["--history-frames", "0"], |server| {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        client.subscribe(&ODD_NAMES);
        for (id, name) in ODD_NAMES.iter().enumerate() {
            client.send_json(json!({"type": "publish", "topic": name, "data": id}));
            let message = client.expect("message");
            assert_eq!((&message["topic"], &message["offset"]), (&json!(name), &json!(1)));
        }
        let listed = api(server, "/api/topics");
        let listed: Vec<_> = listed["topics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row["topic"])
            .collect();
        assert_eq!(listed.len(), ODD_NAMES.len());
        assert!(
            ODD_NAMES.iter().all(|name| listed.contains(&&json!(name))),
            "{listed:?}"
        );
    });
}
