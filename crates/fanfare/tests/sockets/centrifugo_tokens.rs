//! Tokens as backends make them for Centrifugo, shown by clients of the json dialect; channels that are private, and those
//! that name their users.

use std::sync::Arc;

use fanfare::tokens::{Algorithm, IssuerOptions, NewKey, SigningKey, TokenKey};
use fanfare::{Application, Options, TopicRule, TopicRules, Who, centrifuge};
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::Server;
use crate::tokens::{claims, tokens_of, with};

/// A server, and who makes its tokens.
struct House {
    server: Server,
    key: SigningKey,
}

impl House {
    fn of(algorithm: Algorithm) -> Self {
        let pair = NewKey::generate(algorithm).unwrap();
        let tokens = tokens_of(IssuerOptions {
            keys: vec![TokenKey::new(None, algorithm, pair.public().as_bytes()).unwrap()],
            ..IssuerOptions::default()
        });
        let options = Options {
            rules: Arc::new(rules()),
            ..with(Application::of_tokens(tokens))
        };
        Self {
            server: Server::with(options),
            key: SigningKey::new(None, algorithm, pair.private().as_bytes()).unwrap(),
        }
    }

    fn token(&self, changes: Value) -> String {
        self.key.sign(&claims(&changes))
    }

    /// A client that has yet to say who it is, and its id as Centrifugo's clients have ids.
    fn open(&self) -> (Client, String) {
        let mut client = Client::open(self.server.address, "/ws");
        let welcome = client.expect("welcome");
        let connection = welcome["connection"].as_str().unwrap().parse().unwrap();
        (client, centrifuge::client_of(connection))
    }

    /// A client of a user's.
    fn enter(&self, user: &str) -> (Client, String) {
        let (mut client, id) = self.open();
        let reply = auth(&mut client, &self.token(json!({"sub": user})));
        assert_eq!(reply["type"], "authenticated", "{reply}");
        (client, id)
    }
}

/// Private channels are nobody's without a token, dialogs those of whom they name, and the rest is everyone's.
fn rules() -> TopicRules {
    let rule = |pattern| TopicRule::new(pattern).unwrap();
    TopicRules::from([
        rule("%24*"),
        rule("*%23*").subscribe(Who::Named).publish(Who::Named),
        rule("*").subscribe(Who::Anyone).publish(Who::Anyone),
    ])
}

fn auth(client: &mut Client, token: &str) -> Value {
    client.ask(json!({"type": "auth", "token": token, "id": 1}))
}

fn subscribe(client: &mut Client, channel: &str, token: Option<&str>) -> Value {
    let mut command = json!({"type": "subscribe", "topic": centrifuge::topic_of(channel), "id": 2});
    if let Some(token) = token {
        command["token"] = json!(token);
    }
    let reply = client.ask(command);
    reply.get("code").unwrap_or(&reply["type"]).clone()
}

#[test]
fn a_connection_token_works_as_it_is_with_every_algorithm() {
    for &algorithm in Algorithm::ALL {
        let house = House::of(algorithm);
        let (mut ada, _) = house.open();
        let reply = auth(
            &mut ada,
            &house.token(json!({
                "info": {"name": "Ada"},
                "channels": ["news"],
                "subs": {"$private": {"info": {}, "data": {"a": 1}}},
                "expire_at": 0,
            })),
        );
        assert_eq!(
            (&reply["user"], &reply["expires_at"]),
            (&json!("ada"), &Value::Null),
            "{algorithm}: {reply}"
        );
        let topics = ada.expect("subscribed")["topics"].clone();
        let names: Vec<_> = topics
            .as_array()
            .unwrap()
            .iter()
            .map(|topic| &topic["topic"])
            .collect();
        assert_eq!(names, ["news", "%24private"], "{algorithm}");
        ada.send_json(json!({"type": "publish", "topic": "news", "data": 1}));
        assert_eq!(ada.expect("message")["from"]["info"], json!({"name": "Ada"}));
    }
}

#[test]
fn a_token_that_has_ended_is_told_from_one_that_does_not_hold() {
    let house = House::of(Algorithm::Hs256);
    for (changes, code) in [
        (json!({"exp": 1}), "token_expired"),
        (json!({"expire_at": 1}), "token_expired"),
        (json!({"nbf": 4_000_000_000_u64}), "unauthenticated"),
        (json!({"aud": "others"}), "unauthenticated"),
        (json!({"channel": "news"}), "unauthenticated"),
        (json!({"info": {}, "fanfare": {"info": {}}}), "unauthenticated"),
    ] {
        let (mut client, _) = house.open();
        assert_eq!(
            auth(&mut client, &house.token(changes.clone()))["code"],
            code,
            "{changes}"
        );
        let reply = auth(&mut client, &house.token(json!({})));
        assert_eq!(reply["type"], "authenticated", "it may show another one: {reply}");
    }
    // Nobody learns from a forged one when it would end.
    let (mut client, _) = house.open();
    let forged = House::of(Algorithm::Hs256).token(json!({"exp": 1}));
    assert_eq!(auth(&mut client, &forged)["code"], "unauthenticated");
}

#[test]
fn tokens_that_have_ended_end_a_connection_when_they_are_too_many() {
    let house = House::of(Algorithm::Hs256);
    let ended = house.token(json!({"exp": 1}));
    let (mut client, _) = house.open();
    for _ in 0..3 {
        assert_eq!(auth(&mut client, &ended)["code"], "token_expired");
    }
    assert_eq!(client.ending().code, 3502);
}

#[test]
fn a_connection_ends_when_its_token_says_so() {
    let house = House::of(Algorithm::Hs256);
    let at = claims(&json!({}))["exp"].as_u64().unwrap() - 54;
    let (mut client, _) = house.open();
    let reply = auth(&mut client, &house.token(json!({"expire_at": at})));
    assert_eq!(reply["expires_at"], at * 1_000, "{reply}");
    assert_eq!(client.ending().code, 3009);
}

#[test]
fn a_private_channel_needs_a_token_for_it() {
    let house = House::of(Algorithm::Hs256);
    let (mut ada, id) = house.enter("ada");
    let channel = "$vip";
    let token = |changes: Value| {
        let mut all = json!({"channel": channel});
        all.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        house.token(all)
    };
    let (_others, another_id) = house.enter("ada");
    assert_eq!(subscribe(&mut ada, channel, None), "forbidden");
    for (changes, code) in [
        (json!({"exp": 1}), "token_expired"),
        (json!({"expire_at": 1}), "token_expired"),
        (json!({"sub": "bob"}), "token_mismatch"),
        (json!({"sub": ""}), "token_mismatch"),
        (json!({"channel": "$other"}), "token_mismatch"),
        (json!({"channel": "vip"}), "token_mismatch"),
        (json!({"channel": null}), "token_mismatch"),
        (json!({"client": another_id}), "token_mismatch"),
        (json!({"nbf": 4_000_000_000_u64}), "unauthenticated"),
        (
            json!({"override": {"presence": {"value": false}}}),
            "unauthenticated",
        ),
    ] {
        assert_eq!(
            subscribe(&mut ada, channel, Some(&token(changes.clone()))),
            code,
            "{changes}"
        );
    }
    assert_eq!(
        subscribe(&mut ada, channel, Some(&token(json!({"client": id})))),
        "subscribed"
    );
    let (mut again, _) = house.enter("ada");
    assert_eq!(
        subscribe(&mut again, channel, Some(&token(json!({})))),
        "subscribed"
    );
    let reply = again.ask(json!({"type": "publish", "topic": "%24vip", "data": 1, "id": 3}));
    assert_eq!(
        reply["code"], "forbidden",
        "a subscription token is one to receive"
    );
}

#[test]
fn a_channel_that_names_its_users_is_theirs_alone() {
    let house = House::of(Algorithm::Hs256);
    let (mut ada, _) = house.enter("ada");
    for (channel, outcome) in [
        ("dialog#ada", "subscribed"),
        ("dialog#bob,ada", "subscribed"),
        ("dialog#eve#ada", "subscribed"),
        ("dialog#ada#eve", "forbidden"),
        ("dialog#bob", "forbidden"),
        ("dialog#", "forbidden"),
        ("dialog#ad", "forbidden"),
        ("news", "subscribed"),
    ] {
        assert_eq!(subscribe(&mut ada, channel, None), outcome, "{channel}");
    }
    let publish = |client: &mut Client, channel: &str| {
        let topic = centrifuge::topic_of(channel);
        client.ask_past_messages(json!({"type": "publish", "topic": topic, "data": 1, "id": 3}))["type"]
            .clone()
    };
    assert_eq!(publish(&mut ada, "dialog#ada"), "published");
    assert_eq!(publish(&mut ada, "dialog#bob"), "error");
    let (mut nobody, _) = house.enter("");
    assert_eq!(subscribe(&mut nobody, "dialog#", None), "forbidden");
    assert_eq!(subscribe(&mut nobody, "news", None), "subscribed");
    let token = house.token(json!({"channel": "dialog#bob"}));
    assert_eq!(subscribe(&mut ada, "dialog#bob", Some(&token)), "subscribed");
}
