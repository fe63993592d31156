//! What gets into the log: nothing that could pass for a line of it, and nothing that is secret.

use serde_json::json;

use crate::client::{BINARY, CLOSE, Client, TEXT, masked, upgrade_request};
use crate::process::{API_KEY, Server};
use crate::story::{percent_encoded, post, story_with_log};

/// Characters that would begin a line, or paint one.
const HOSTILE: &str = "\r\n2026-01-01T00:00:00Z ERROR fanfare: \u{1b}[31mthe disk is full\u{1b}[0m";

/// Says everything that a client can say, with a text in each place.
fn say_everywhere(server: &Server, text: &str) {
    let encoded = percent_encoded(text);
    // In the head of a request no line can be broken, but other bytes get through.
    let visible: String = text
        .chars()
        .filter(|character| !matches!(character, '\r' | '\n'))
        .collect();
    for (target, line) in [
        (format!("/ws?topic={encoded}"), String::from("X: y")),
        (format!("/ws?user={encoded}"), String::from("X: y")),
        (format!("/ws?dialect={encoded}"), String::from("X: y")),
        (format!("/{encoded}"), String::from("X: y")),
        (
            format!("/api/{encoded}?{encoded}={encoded}"),
            String::from("X: y"),
        ),
        ("/ws".to_owned(), format!("Origin: {visible}")),
        ("/ws".to_owned(), format!("User-Agent: {visible}")),
        ("/ws".to_owned(), format!("X-Forwarded-For: {visible}")),
        ("/ws".to_owned(), format!("Sec-WebSocket-Protocol: {visible}")),
    ] {
        let mut client = Client::connect(server.address);
        client.send(upgrade_request(&target, &[&line]).as_bytes());
        let _ = client.response();
    }
    let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
    client.expect("subscribed");
    for command in [
        json!({"type": text}),
        json!({"type": "subscribe", "topic": text}),
        json!({"type": "publish", "topic": text, "data": text}),
        json!({"type": "send", "user": text, "data": text}),
        json!({"type": "ping", "id": "x", "more": text}),
        json!({"type": "publish", "topic": "a", "data": text, "id": 1}),
    ] {
        client.send_json(command);
        client.json();
    }
    let reason = &text.as_bytes()[..text.len().min(100)];
    client.send(&masked(CLOSE, &[&[0x0f, 0xa0], reason].concat()));
    client.ending();
    for bytes in [
        masked(BINARY, text.as_bytes()),
        masked(TEXT, &[text.as_bytes(), &[0xff]].concat()),
    ] {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        client.send(&bytes);
        client.ending();
    }
}

// Row 84.
#[test]
fn what_clients_say_begins_no_line_and_paints_none() {
    for format in ["text", "json"] {
        let arguments = [
            "--log-format",
            format,
            "--close-timeout",
            "100ms",
            "--dev",
            "--history-age",
            "1s",
        ];
        let tell = |server: &Server, _: &_| {
            say_everywhere(server, HOSTILE);
            let (_client, id) = Client::open_json(server.address, "/ws");
            let mut caller = Client::connect(server.address);
            let body = json!({"connection": id, "code": 4000, "reason": "\r\nERROR \u{1b}[31m"});
            assert_eq!(
                post(&mut caller, "/api/disconnect", &body.to_string())["connections"],
                1
            );
        };
        story_with_log(&arguments, "trace", tell, |log| {
            assert!(
                log.lines().count() > 10,
                "{format}: there is something to look at: {log}"
            );
            for line in log.lines() {
                assert!(!line.contains('\u{1b}'), "{format}: {line:?}");
                assert!(
                    line.chars().all(|character| !character.is_control()),
                    "{format}: {line:?}"
                );
                if format == "json" {
                    assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
                } else {
                    let mut words = line.split_whitespace();
                    let (time, level) = (words.next().unwrap(), words.next().unwrap());
                    assert!(
                        time.ends_with('Z') && !time.starts_with("2026-01-01T00:00:00Z"),
                        "{line}"
                    );
                    assert!(["TRACE", "DEBUG", "INFO"].contains(&level), "{line}");
                }
            }
        });
    }
}

// Row 84.
#[test]
fn no_key_no_token_and_no_payload_is_logged_at_any_level() {
    const TOKEN: &str = "token-that-nobody-may-read";
    const PAYLOAD: &str = "payload that nobody may read";
    let arguments = ["--api-key", API_KEY, "--close-timeout", "100ms"];
    let tell = |server: &Server, _: &_| {
        let mut client = Client::connect(server.address);
        let lines = [
            format!("Authorization: Bearer {TOKEN}"),
            format!("Cookie: session={TOKEN}"),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        client.send(upgrade_request(&format!("/ws?topic=a&token={TOKEN}"), &lines).as_bytes());
        assert_eq!(client.response().unwrap().status, 101);
        client.expect("welcome");
        client.expect("subscribed");
        client.send_json(json!({"type": "publish", "topic": "a", "data": PAYLOAD}));
        assert_eq!(client.expect("message")["data"], PAYLOAD);
        // Broken in ways that name what is wrong with them.
        client.send_json(json!({"type": "publish", "topic": "a b", "data": PAYLOAD}));
        client.send_text(&format!(r#"{{"type":"publish","data":"{PAYLOAD}""#));
        client.expect("error");
        client.expect("error");
        client.send(&masked(TEXT, &[PAYLOAD.as_bytes(), &[0xff]].concat()));
        assert_eq!(client.ending().code, 1007);
        let mut caller = Client::connect(server.address);
        assert_eq!(post(&mut caller, "/api/publish?topic=a", PAYLOAD)["topic"], "a");
        assert_eq!(server.get(&format!("/api/stats?token={TOKEN}")).status, 400);
        let mut raw = Client::open(server.address, "/ws?dialect=raw&topic=a");
        raw.send_text(PAYLOAD);
        assert_eq!(raw.text(), PAYLOAD);
    };
    story_with_log(&arguments, "trace", tell, |log| {
        assert!(log.contains("opened"), "there is something to look at: {log}");
        for secret in [API_KEY, TOKEN, PAYLOAD] {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret}");
        }
    });
}
