//! Subscriptions that a backend gives for a time, and renews or does not: in Centrifugo's words and in our own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::backend::{Asked, Backend, Reply, SECRET};
use crate::client::{Client, eventually};
use crate::process::Server;
use crate::story::{api, story};

const RULE: &str = "--topic-rule={ pattern = \"gated:*\", subscribe = \"hook\", publish = \"anyone\", presence = \"anyone\", \
                    keep_presence = true }";

/// Tells a story to a server that asks a backend, in the words of a format, whether somebody may receive `gated:`.
fn with(backend: &Backend, format: &str, more: &[&str], tell: impl Fn(&Server)) {
    let format = format!("--hook-format={format}");
    let url = |kind: &str| format!("--hook-{kind}-url=http://{}/{kind}", backend.address);
    let urls = ["subscribe", "sub-refresh"].map(url);
    let mut arguments = vec![RULE, &format, "--hook-secret", SECRET, &urls[0], &urls[1]];
    arguments.extend(more);
    story(&arguments, tell);
}

/// A client of Centrifuge's that is let in.
fn enter(server: &Server) -> Client {
    let mut client = Client::open(server.address, "/connection/websocket");
    client.ask(json!({"id": 1, "connect": {}}));
    client
}

fn renewals(backend: &Backend) -> Vec<Asked> {
    let mut asked = backend.asked();
    asked.retain(|asked| asked.target == "/sub-refresh");
    asked
}

#[test]
fn a_backend_of_centrifugos_renews_a_subscription_until_it_does_not() {
    let renewed = AtomicUsize::new(0);
    let backend = Backend::start(move |asked| {
        let info = json!({"times": renewed.load(Ordering::SeqCst)});
        Reply::Json(match asked.target.as_str() {
            "/sub-refresh" if renewed.fetch_add(1, Ordering::SeqCst) == 0 => {
                json!({"result": {"expire_at": now() + 2, "info": {"times": 1}}})
            }
            "/sub-refresh" => json!({"result": {"expired": true}}),
            _ => json!({"result": {"expire_at": now() + 2, "info": info, "data": {"hello": "ada"}}}),
        })
    });
    with(&backend, "centrifugo", &["--hook-timeout=30s"], |server| {
        let mut client = enter(server);
        let reply = client.ask(json!({"id": 2, "subscribe": {"channel": "gated:a"}}));
        assert_eq!(
            reply,
            json!({"id": 2, "subscribe": {"data": {"hello": "ada"}}}),
            "it is not the client that renews it"
        );
        let seen = || {
            let presence = api(server, "/api/presence?topic=gated%3Aa");
            presence["members"][0]["topic_info"]["times"].clone()
        };
        eventually("it is kept who is there", || seen() == 0);
        eventually("others see what the renewal says", || seen() == 1);
        assert_eq!(renewals(&backend).len(), 1);
        let push = client.json();
        let expired = json!({"code": 2501, "reason": "subscription expired"});
        assert_eq!(
            push["push"],
            json!({"channel": "gated:a", "unsubscribe": expired})
        );
        let asked = renewals(&backend);
        assert_eq!(asked.len(), 2);
        let about = &asked[1].body;
        assert!(asked[1].is_signed_with(SECRET));
        assert_eq!(
            (&about["channel"], &about["user"], &about["protocol"]),
            (&json!("gated:a"), &json!(""), &json!("json"))
        );
        let reply = client.ask(json!({"id": 4, "subscribe": {"channel": "gated:a"}}));
        assert_eq!(reply["error"], Value::Null, "it may ask anew: {reply}");
    });
}

#[test]
fn a_backend_gives_a_topic_for_a_time_and_says_what_comes_with_it() {
    let backend = Backend::start(|asked| {
        Reply::Json(match asked.body["hook"].as_str() {
            Some("subscribe") => {
                json!({"allow": {"expires_in_s": 1, "data": [1], "info": {"seat": 7}}})
            }
            _ => json!({"deny": {"message": "over"}}),
        })
    });
    with(&backend, "fanfare", &["--hook-timeout=30s"], |server| {
        let (mut client, id) = Client::open_json(server.address, "/ws");
        let reply = client.ask(json!({"type": "subscribe", "topic": "gated:a", "id": 1}));
        let begun = &reply["topics"][0];
        assert_eq!(
            (&begun["data"], &begun["expires_at"]),
            (&json!([1]), &Value::Null),
            "{reply}"
        );
        client.send_json(json!({"type": "publish", "topic": "gated:a", "data": 1}));
        let message = client.expect("message");
        assert_eq!(message["from"]["topic_info"], json!({"seat": 7}), "{message}");
        let ended = client.expect("unsubscribed");
        assert_eq!(
            (&ended["topics"], &ended["reason"]),
            (&json!(["gated:a"]), &json!("expired"))
        );
        let asked = renewals(&backend)[0].body.clone();
        assert_eq!(
            (&asked["hook"], &asked["connection"], &asked["topic"]),
            (&json!("sub_refresh"), &json!(id), &json!("gated:a"))
        );
    });
}

#[test]
fn while_a_backend_does_not_answer_a_subscription_goes_on_and_nobody_waits() {
    let asked = AtomicUsize::new(0);
    let backend = Backend::start(move |question| match question.target.as_str() {
        "/sub-refresh" => match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Silence,
            _ => Reply::Json(json!({"result": {"expired": true}})),
        },
        _ => Reply::Json(json!({"result": {"expire_at": now() + 1}})),
    });
    with(&backend, "centrifugo", &["--hook-timeout=2s"], |server| {
        let mut client = enter(server);
        client.ask(json!({"id": 2, "subscribe": {"channel": "gated:a"}}));
        eventually("the backend is asked", || renewals(&backend).len() == 1);
        let began = Instant::now();
        client.send_json(json!({"id": 3, "publish": {"channel": "gated:a", "data": 1}}));
        let answers = [client.json(), client.json()];
        assert!(answers.iter().any(|answer| answer["id"] == 3), "{answers:?}");
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "it has not waited for the backend"
        );
        let push = client.json();
        assert_eq!(push["push"]["unsubscribe"]["code"], 2501, "{push}");
        assert_eq!(renewals(&backend).len(), 2, "it was asked again");
    });
}

#[test]
fn what_the_server_subscribed_is_closed_to_come_again() {
    let backend = Backend::start(|asked| {
        let subs = json!({"gated:a": {"expire_at": now() + 1, "data": {"seat": 7}}});
        Reply::Json(match asked.target.as_str() {
            "/connect" => json!({"result": {"user": "ada", "subs": subs}}),
            _ => json!({"result": {"expired": true}}),
        })
    });
    let connect = format!("--hook-connect-url=http://{}/connect", backend.address);
    with(
        &backend,
        "centrifugo",
        &[&connect, "--hook-timeout=30s"],
        |server| {
            let mut client = Client::open(server.address, "/connection/websocket");
            let reply = client.ask(json!({"id": 1, "connect": {}}));
            assert_eq!(
                reply["connect"]["subs"]["gated:a"]["data"],
                json!({"seat": 7}),
                "{reply}"
            );
            assert_eq!(client.ending().code, 3006);
        },
    );
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}
