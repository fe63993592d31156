//! Keys that are fetched from whoever makes tokens, in good times and bad ones.

use std::time::Duration;

use fanfare::tokens::{Algorithm, IssuerOptions, JwksOptions, Revocation, SigningKey, TokenRefusal, Tokens};
use fanfare::{Application, Options, UserName};
use serde_json::{Value, json};

use crate::client::{Client, eventually, upgrade_request};
use crate::issuer::{KeyServer, jwk};
use crate::server::Server;
use crate::tokens::{claims, knock, tokens_of, with};

/// A key pair with an id: what signs, and what an issuer publishes.
fn pair(id: &str) -> (SigningKey, Value) {
    let (private, public) = jwk(id);
    (
        SigningKey::new(Some(id), Algorithm::Es256, private.as_bytes()).unwrap(),
        public,
    )
}

fn fetching(keys: &KeyServer, change: impl Fn(&mut JwksOptions)) -> Tokens {
    let mut jwks = JwksOptions::new(keys.url.parse().unwrap());
    change(&mut jwks);
    tokens_of(IssuerOptions {
        jwks: Some(jwks),
        ..IssuerOptions::default()
    })
}

fn status(server: &Server, key: &SigningKey) -> u16 {
    let token = key.sign(&claims(&json!({})));
    knock(server, "/ws", &[&format!("Authorization: Bearer {token}")])
        .0
        .status
}

#[test]
fn an_issuers_keys_are_fetched_and_a_new_one_is_found() {
    let ((old, old_public), (new, new_public), (other, _)) = (pair("old"), pair("new"), pair("other"));
    let keys = KeyServer::start(json!({"keys": [old_public]}).to_string());
    let tokens = fetching(&keys, |jwks| jwks.retry_after = Duration::from_millis(500));
    let server = Server::with(with(Application::of_tokens(tokens)));
    assert_eq!(keys.fetches(), 0, "nothing is fetched before it is needed");
    assert_eq!(status(&server, &old), 101);
    for _ in 0..5 {
        assert_eq!(status(&server, &old), 101);
    }
    assert_eq!(keys.fetches(), 1);
    keys.set(json!({"keys": [old_public, new_public]}).to_string());
    eventually("the new key is found", || status(&server, &new) == 101);
    assert_eq!(status(&server, &old), 101);
    // Whatever ids are asked for, it is fetched no more than once in a while.
    let before = keys.fetches();
    for _ in 0..20 {
        assert_eq!(status(&server, &other), 401);
    }
    let fetches = keys.fetches() - before;
    assert!(fetches <= 10, "{fetches} fetches for 20 unknown keys");
    keys.set(json!({"keys": [new_public]}).to_string());
    eventually("the old key is dropped", || {
        status(&server, &other);
        status(&server, &old) == 401
    });
}

#[test]
fn many_who_wait_for_keys_wait_for_one_fetch() {
    let (key, public) = pair("k");
    let keys = KeyServer::start(json!({"keys": [public]}).to_string());
    keys.delay(Duration::from_millis(300));
    let server = Server::with(with(Application::of_tokens(fetching(&keys, |_| {}))));
    let token = key.sign(&claims(&json!({})));
    let mut clients: Vec<Client> = (0..20)
        .map(|_| {
            let mut client = Client::connect(server.address);
            client.send(upgrade_request("/ws", &[&format!("Authorization: Bearer {token}")]).as_bytes());
            client
        })
        .collect();
    for client in &mut clients {
        assert_eq!(client.response().unwrap().status, 101);
    }
    assert_eq!(keys.fetches(), 1);
    assert_eq!(server.fanfare.tokens().unwrap().fetches(), (1, 0));
}

#[test]
fn an_issuer_that_is_dead_slow_or_huge_is_unavailable_and_harms_nobody_else() {
    let (key, public) = pair("k");
    let set = json!({"keys": [public]}).to_string();
    let slow = KeyServer::start(set.clone());
    slow.delay(Duration::from_secs(30));
    let huge = KeyServer::start(format!("{set}{}", " ".repeat(300 << 10)));
    let lying = KeyServer::start("<html>".to_owned());
    let redirecting = KeyServer::start(set);
    redirecting.redirect_to("/elsewhere");
    let dead = KeyServer::start(String::new());
    dead.stop();
    for (name, keys) in [
        ("slow", &slow),
        ("huge", &huge),
        ("lying", &lying),
        ("redirecting", &redirecting),
        ("dead", &dead),
    ] {
        let tokens = fetching(keys, |jwks| jwks.timeout = Duration::from_millis(500));
        let server = Server::with(Options {
            anonymous: true,
            ..with(Application::of_tokens(tokens))
        });
        let (mut bystander, _) = Client::open_json(server.address, "/ws");
        assert_eq!(status(&server, &key), 503, "{name}");
        assert_eq!(status(&server, &key), 503, "{name}");
        assert_eq!(bystander.ask(json!({"type": "ping", "id": 1}))["type"], "pong");
        let tokens = server.fanfare.tokens().unwrap();
        assert_eq!(tokens.fetches(), (0, 1), "{name}: it is not tried again at once");
        assert_eq!(tokens.refused(TokenRefusal::KeysUnavailable), 2, "{name}");
    }
}

#[test]
fn known_keys_are_used_while_their_issuer_is_away() {
    let (key, public) = pair("k");
    let keys = KeyServer::start(json!({"keys": [public]}).to_string());
    let tokens = fetching(&keys, |jwks| {
        jwks.refresh_after = Duration::from_millis(50);
        jwks.retry_after = Duration::from_millis(50);
        jwks.stale_max = Duration::from_secs(3);
        jwks.timeout = Duration::from_millis(500);
    });
    let server = Server::with(with(Application::of_tokens(tokens)));
    assert_eq!(status(&server, &key), 101);
    keys.stop();
    eventually("it was tried again", || {
        assert!([101, 503].contains(&status(&server, &key)));
        server.fanfare.tokens().unwrap().fetches().1 > 0
    });
    eventually("keys that are too old are not used", || {
        status(&server, &key) == 503
    });
}

#[test]
fn who_waits_for_keys_while_something_is_revoked_is_to_come_again() {
    let (key, public) = pair("k");
    let keys = KeyServer::start(json!({"keys": [public]}).to_string());
    keys.delay(Duration::from_millis(500));
    let server = Server::with(with(Application::of_tokens(fetching(&keys, |_| {}))));
    let mut client = Client::open(server.address, "/ws");
    client.expect("welcome");
    client.send_json(json!({"type": "auth", "token": key.sign(&claims(&json!({}))), "id": 1}));
    eventually("its token is looked at", || keys.fetches() == 1);
    let other = Revocation::User(UserName::parse("bob").unwrap());
    server.runtime.block_on(server.fanfare.revoke(other)).unwrap();
    client.expect("authenticated");
    assert_eq!(client.ending().code, 3006);
}
