//! Who somebody is and what the application lets it do, over real sockets.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fanfare::{
    Admission, Amendment, Application, Caller, Denial, DoorLimits, Draft, Entrant, ErrorCode, Hooks,
    Identity, Leaves, Limits, Options, Payload, TopicName, TopicRule, TopicRules, UserName, Who,
};
use serde_json::json;
use tokio::sync::Notify;

use crate::client::{Client, Response, eventually, upgrade_request};
use crate::server::{Server, options};

/// An application whose tokens are the names of its users.
#[derive(Default)]
struct Backend {
    /// What ends the hook that is asked about `slow`.
    patience: Arc<Notify>,
}

impl Hooks for Backend {
    async fn authenticate(&self, token: &str) -> Result<Admission, Denial> {
        match token {
            "down" => Err(Denial::unavailable()),
            "mallory" => Err(Denial::unauthenticated("who is that?")),
            name => Ok(Admission {
                identity: Arc::new(Identity {
                    info: Some(Arc::from(r#"{"color":"red"}"#)),
                    ..Identity::of_user(UserName::parse(name).unwrap())
                }),
                topics: vec![TopicName::parse("news").unwrap()],
                ..Admission::default()
            }),
        }
    }

    async fn connect(
        &self,
        entrant: &Entrant,
        admission: Option<Admission>,
    ) -> Result<Option<Admission>, Denial> {
        if entrant.headers.contains_key("x-banned") {
            return Err(Denial::forbidden("you are banned"));
        }
        Ok(admission)
    }

    async fn subscribe(
        &self,
        caller: &Caller,
        topics: &[TopicName],
        token: Option<&str>,
    ) -> Result<Leaves, Denial> {
        let topic = topics[0].as_str();
        match topic {
            "slow" => {
                self.patience.notified().await;
                Ok(Leaves::default())
            }
            "broken" => panic!("the application has a fault"),
            _ if token == Some(topic) => Ok(Leaves::default()),
            _ => {
                let user = caller
                    .user()
                    .ok_or_else(|| Denial::forbidden("no name, no topic"))?;
                let is_own = topic.ends_with(user.as_str());
                is_own
                    .then(Leaves::default)
                    .ok_or_else(|| Denial::forbidden("not yours"))
            }
        }
    }

    async fn publish(&self, _: &Caller, draft: &Draft) -> Result<Amendment, Denial> {
        let text = std::str::from_utf8(draft.payload.as_bytes()).unwrap();
        let upper = serde_json::value::to_raw_value(&text.to_uppercase()).unwrap();
        Ok(Payload::json(&upper).into())
    }

    async fn call(&self, caller: &Caller, method: &str, payload: &Payload) -> Result<Payload, Denial> {
        match method {
            "echo" => Ok(payload.clone()),
            "tell" => {
                let told = caller.fanfare.publish("open", payload.clone()).await;
                told.map(|_| Payload::null()).map_err(|_| Denial::unavailable())
            }
            _ => Err(Denial::refused(ErrorCode::NotFound, "no such method")),
        }
    }
}

/// Everything is left to the application but `open`.
fn asked() -> TopicRules {
    let rule = |pattern, who| TopicRule::new(pattern).unwrap().subscribe(who).publish(who);
    TopicRules::from([rule("open", Who::Anyone), rule("*", Who::Hook)])
}

fn with_backend() -> Options {
    Options {
        rules: Arc::new(asked()),
        is_development: false,
        application: Some(Application::new(Backend::default())),
        ..options()
    }
}

/// The answer to an upgrade with more header lines, and its connection.
fn knock(server: &Server, target: &str, lines: &[&str]) -> (Response, Client) {
    let mut client = Client::connect(server.address);
    client.send(upgrade_request(target, lines).as_bytes());
    let response = client.response().expect("an answer");
    (response, client)
}

#[test]
fn a_token_is_given_in_any_of_four_ways() {
    let server = Server::with(with_backend());
    let ways: [(&str, &[&str]); 3] = [
        ("/ws", &["Authorization: Bearer ada"]),
        (
            "/ws",
            &["Sec-WebSocket-Protocol: fanfare.json.v1, fanfare.token.ada"],
        ),
        ("/ws?token=ada", &[]),
    ];
    for (target, lines) in ways {
        let (response, mut client) = knock(&server, target, lines);
        assert_eq!(response.status, 101, "{lines:?}: {response:?}");
        assert!(
            !response.head.contains("fanfare.token"),
            "a token is not said back"
        );
        assert_eq!(client.expect("welcome")["user"], "ada");
        assert_eq!(client.expect("subscribed")["topics"][0]["topic"], "news");
    }
    let mut client = Client::open(server.address, "/ws?topic=open");
    let welcome = client.expect("welcome");
    assert_eq!(welcome["auth_timeout_ms"], 10_000, "{welcome}");
    let reply = client.ask(json!({"type": "auth", "token": "ada", "id": 1}));
    assert_eq!(reply, json!({"type": "authenticated", "id": 1, "user": "ada"}));
    let topics = [client.expect("subscribed"), client.expect("subscribed")];
    assert_eq!(topics[0]["topics"][0]["topic"], "news");
    assert_eq!(topics[1]["topics"][0]["topic"], "open");
}

#[test]
fn whoever_the_application_does_not_let_in_is_told_with_a_status() {
    let server = Server::with(with_backend());
    for (target, lines, status) in [
        ("/ws", &["Authorization: Bearer mallory"][..], 401),
        ("/ws", &["Authorization: Bearer down"], 503),
        ("/ws", &["Authorization: Bearer ada", "X-Banned: yes"], 403),
        ("/ws?token=ada", &["Authorization: Bearer bob"], 400),
        ("/ws?dialect=raw", &[], 401),
    ] {
        let (response, _) = knock(&server, target, lines);
        assert_eq!(response.status, status, "{target} {lines:?}: {response:?}");
        let is_challenged = response.header("www-authenticate") == Some("Bearer");
        assert_eq!(is_challenged, status == 401, "{response:?}");
    }
    let open = Server::with(Options {
        application: None,
        ..with_backend()
    });
    let (response, _) = knock(&open, "/ws", &[]);
    assert_eq!(response.status, 401, "nobody could say who it is: {response:?}");
}

#[test]
fn an_anonymous_client_is_let_in_where_that_is_configured() {
    let server = Server::with(Options {
        anonymous: true,
        ..with_backend()
    });
    let (mut client, _) = Client::open_json(server.address, "/ws");
    client.subscribe(&["open"]);
    let refused = client.ask(json!({"type": "subscribe", "topic": "notes:ada", "id": 1}));
    assert_eq!(refused["code"], "forbidden", "{refused}");
    assert_eq!(refused["message"], "no name, no topic");
}

#[test]
fn what_is_published_is_what_the_application_made_of_it() {
    let server = Server::with(with_backend());
    let (_, mut ada) = knock(&server, "/ws?topic=notes:ada", &["Authorization: Bearer ada"]);
    ada.expect("welcome");
    ada.expect("subscribed");
    ada.expect("subscribed");
    ada.send_json(json!({"type": "publish", "topic": "notes:ada", "data": "hello"}));
    let message = ada.expect("message");
    assert_eq!(message["data"], "\"HELLO\"", "{message}");
    assert_eq!(message["from"]["info"], json!({"color": "red"}), "{message}");
    let result = ada.ask(json!({"type": "call", "method": "echo", "data": [1, {"a": null}], "id": 4}));
    assert_eq!(
        result,
        json!({"type": "result", "id": 4, "data": [1, {"a": null}]})
    );
    let unknown = ada.ask(json!({"type": "call", "method": "x", "data": 1, "id": 5}));
    assert_eq!(unknown["code"], "not_found");
    let with_token = json!({"type": "subscribe", "topic": "vip", "token": "vip", "id": 6});
    assert_eq!(ada.ask(with_token)["type"], "subscribed");
}

#[test]
fn a_hook_publishes_to_the_hub_that_asks_it() {
    let server = Server::with(with_backend());
    let mut listener = Client::open(server.address, "/ws?token=bob&topic=open");
    listener.expect("welcome");
    while listener.expect("subscribed")["topics"][0]["topic"] != "open" {}
    let mut ada = Client::open(server.address, "/ws?token=ada");
    ada.expect("welcome");
    ada.expect("subscribed");
    let command = json!({"type": "call", "method": "tell", "data": "hello", "id": 1});
    assert_eq!(ada.ask(command)["type"], "result");
    assert_eq!(listener.expect("message")["data"], "hello");
}

#[test]
fn who_waits_for_the_application_waits_in_order_and_alone() {
    let patience = Arc::new(Notify::new());
    let backend = Backend {
        patience: Arc::clone(&patience),
    };
    let server = Server::with(Options {
        application: Some(Application::new(backend)),
        ..with_backend()
    });
    let (_, mut slow) = knock(&server, "/ws?token=ada", &[]);
    let (_, mut other) = knock(&server, "/ws?token=bob", &[]);
    for client in [&mut slow, &mut other] {
        client.expect("welcome");
        client.expect("subscribed");
    }
    slow.send_json(json!({"type": "subscribe", "topic": "slow", "id": 1}));
    for id in 2..50 {
        slow.send_json(json!({"type": "ping", "id": id}));
    }
    for id in 0..50 {
        assert_eq!(other.ask(json!({"type": "ping", "id": id}))["id"], id);
    }
    patience.notify_one();
    assert_eq!(slow.expect("subscribed")["id"], 1);
    for id in 2..50 {
        assert_eq!(slow.expect("pong")["id"], id);
    }
    drop((slow, other));
    server.assert_empty();
}

#[test]
fn a_hook_that_panics_has_answered_that_it_is_unavailable() {
    let server = Server::with(with_backend());
    let (_, mut ada) = knock(&server, "/ws?token=ada", &[]);
    ada.expect("welcome");
    ada.expect("subscribed");
    let reply = ada.ask(json!({"type": "subscribe", "topic": "broken", "id": 1}));
    assert_eq!(
        (&reply["code"], &reply["temporary"]),
        (&json!("unavailable"), &json!(true))
    );
    assert_eq!(ada.ask(json!({"type": "ping", "id": 2}))["type"], "pong");
}

#[test]
fn who_does_not_say_who_it_is_is_closed_and_there_are_not_many_of_them() {
    let server = Server::with(Options {
        limits: Limits {
            auth_timeout_ms: 1_000,
            ..Limits::default()
        },
        door: DoorLimits {
            unauthenticated_max: NonZeroU32::new(2),
            ..DoorLimits::default()
        },
        ..with_backend()
    });
    let mut silent: Vec<Client> = (0..2).map(|_| Client::open(server.address, "/ws")).collect();
    let (response, _) = knock(&server, "/ws", &[]);
    assert_eq!(response.status, 503, "{response:?}");
    let (response, _) = knock(&server, "/ws?token=ada", &[]);
    assert_eq!(response.status, 101, "who is known is not one of them");
    let mut late = silent.pop().unwrap();
    assert_eq!(late.ending().code, 3502);
    eventually("both are closed", || server.disconnects(3502) == 2);
    eventually("their places are free", || {
        knock(&server, "/ws", &[]).0.status == 101
    });
}

#[test]
fn a_long_message_before_the_token_is_too_big() {
    let server = Server::with(with_backend());
    let mut client = Client::open(server.address, "/ws");
    client.expect("welcome");
    client.send_json(json!({"type": "auth", "token": "x".repeat(17 << 10)}));
    assert_eq!(client.ending().code, 1009);
}

#[test]
fn who_guesses_tokens_is_not_listened_to_for_a_while() {
    let server = Server::with(Options {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        door: DoorLimits {
            refused_tokens_per_address: NonZeroU32::new(4),
            ..DoorLimits::default()
        },
        ..with_backend()
    });
    let from = |address: &str| format!("X-Forwarded-For: {address}");
    let guess = |address: &str, token: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        knock(&server, "/ws", &[&from(address), &bearer]).0.status
    };
    let (_, mut open) = knock(&server, "/ws", &[&from("192.0.2.1")]);
    open.expect("welcome");
    let statuses: Vec<u16> = (0..20).map(|_| guess("192.0.2.1", "mallory")).collect();
    assert_eq!(statuses[..4], [401; 4], "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let refused = open.ask(json!({"type": "auth", "token": "mallory", "id": 1}));
    assert!(
        ["rate_limited", "unauthenticated"].contains(&refused["code"].as_str().unwrap()),
        "{refused}"
    );
    assert_eq!(guess("192.0.2.2", "ada"), 101, "nobody else is meant");
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(guess("192.0.2.1", "ada"), 101, "it passes");
}
