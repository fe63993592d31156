//! Clients that say who they are by a token: the ways to give one, hostile ones, refreshing, and revoking.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanfare::tokens::{
    Algorithm, IssuerOptions, Revocation, SigningKey, TokenKey, TokenLimits, TokenRefusal, Tokens,
    TokensOptions,
};
use fanfare::{
    Admission, Application, Caller, Denial, DoorLimits, Entrant, Hooks, Identity, Leaves, Limits, Options,
    TopicName, TopicRule, TopicRules, UserName, Who,
};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use crate::client::{Client, Response, upgrade_request};
use crate::server::{Server, options};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn claims(changes: &Value) -> Map<String, Value> {
    let mut claims = json!({"sub": "ada", "exp": now() + 60})
        .as_object()
        .unwrap()
        .clone();
    claims.extend(changes.as_object().unwrap().clone());
    claims
}

/// A token of `ada`'s with these claims beside.
fn token(changes: Value) -> String {
    let key = SigningKey::new(None, Algorithm::Hs256, SECRET).unwrap();
    key.sign(&claims(&changes))
}

fn tokens() -> Tokens {
    tokens_of(IssuerOptions {
        keys: vec![TokenKey::new(None, Algorithm::Hs256, SECRET).unwrap()],
        ..IssuerOptions::default()
    })
}

pub(crate) fn tokens_of(issuer: IssuerOptions) -> Tokens {
    Tokens::new(TokensOptions {
        issuers: vec![issuer],
        limits: TokenLimits {
            leeway_ms: 0,
            ..TokenLimits::default()
        },
        ..TokensOptions::default()
    })
    .unwrap()
}

/// Inboxes are their users', teams those of whom a claim says so; the rest is granted.
fn rules() -> TopicRules {
    let rule = |pattern, who| TopicRule::new(pattern).unwrap().subscribe(who).publish(who);
    TopicRules {
        by_pattern: vec![
            rule("inbox:{user}", Who::Users),
            rule("team:{claims.team}", Who::Users),
            rule("closed", Who::Nobody),
            rule("asked", Who::Hook),
        ],
        ..TopicRules::default()
    }
}

pub(crate) fn with(application: Application) -> Options {
    Options {
        rules: Arc::new(rules()),
        is_development: false,
        application: Some(application),
        ..options()
    }
}

fn with_tokens() -> Options {
    with(Application::of_tokens(tokens()))
}

/// The answer to an upgrade with more header lines, and its connection.
pub(crate) fn knock(server: &Server, target: &str, lines: &[&str]) -> (Response, Client) {
    let mut client = Client::connect(server.address);
    client.send(upgrade_request(target, lines).as_bytes());
    let response = client.response().expect("an answer");
    (response, client)
}

/// A client that shows a token in its request.
fn enter(server: &Server, token: &str) -> Client {
    let (response, mut client) = knock(server, "/ws", &[&format!("Authorization: Bearer {token}")]);
    assert_eq!(response.status, 101, "{response:?}");
    client.expect("welcome");
    client
}

fn may(client: &mut Client, action: &str, topic: &str) -> bool {
    let reply = client.ask_past_messages(json!({"type": action, "topic": topic, "data": 1, "id": 1}));
    assert!(
        ["subscribed", "published", "error"].contains(&reply["type"].as_str().unwrap()),
        "{reply}"
    );
    reply["type"] != "error"
}

#[test]
fn a_token_is_given_in_any_of_four_ways() {
    let server = Server::with(with_tokens());
    let token = token(json!({"fanfare": {"topics": ["news"], "info": {"color": "red"}}}));
    let bearer = format!("Authorization: Bearer {token}");
    let subprotocol = format!("Sec-WebSocket-Protocol: fanfare.json.v1, fanfare.token.{token}");
    let in_query = format!("/ws?token={token}");
    let ways: [(&str, &[&str]); 3] = [("/ws", &[&bearer]), ("/ws", &[&subprotocol]), (&in_query, &[])];
    for (target, lines) in ways {
        let (response, mut client) = knock(&server, target, lines);
        assert_eq!(response.status, 101, "{target} {lines:?}");
        assert!(!response.head.contains(&token), "a token is not said back");
        assert_eq!(client.expect("welcome")["user"], "ada");
        assert_eq!(client.expect("subscribed")["topics"][0]["topic"], "news");
    }
    let mut client = Client::open(server.address, "/ws");
    client.expect("welcome");
    let reply = client.ask(json!({"type": "auth", "token": token, "id": 1}));
    assert_eq!(
        (&reply["type"], &reply["user"]),
        (&json!("authenticated"), &json!("ada"))
    );
    assert_eq!(client.expect("subscribed")["topics"][0]["topic"], "news");
}

#[test]
fn claims_and_grants_open_what_the_rules_leave_to_them() {
    let server = Server::with(with_tokens());
    let grants = json!({"subscribe": ["chat:*", "closed"], "publish": ["chat:ada"]});
    let mut ada = enter(
        &server,
        &token(json!({"team": ["red", "blue"], "fanfare": grants})),
    );
    for (action, topic, is_open) in [
        ("subscribe", "inbox:ada", true),
        ("subscribe", "inbox:bob", false),
        ("subscribe", "team:blue", true),
        ("subscribe", "team:green", false),
        ("subscribe", "chat:lobby", true),
        ("publish", "chat:ada", true),
        ("publish", "chat:lobby", false),
        ("subscribe", "news", false),
        ("subscribe", "closed", false),
    ] {
        assert_eq!(may(&mut ada, action, topic), is_open, "{action} {topic}");
    }
}

#[test]
fn refused_tokens_are_told_one_thing_at_the_door_and_behind_it() {
    let server = Server::with(with_tokens());
    let good = token(json!({}));
    let hostile = [
        token(json!({"nbf": now() + 60})),
        token(json!({"aud": "others"})),
        token(json!({"sub": 1})),
        format!("{good}x"),
        "nonsense".to_owned(),
        format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap()),
    ];
    for token in &hostile {
        let (response, _) = knock(&server, "/ws", &[&format!("Authorization: Bearer {token}")]);
        assert_eq!(response.status, 401);
        assert_eq!(response.header("www-authenticate"), Some("Bearer"));
        assert!(
            response.body.contains("the token is not accepted"),
            "{response:?}"
        );
        let mut client = Client::open(server.address, "/ws");
        client.expect("welcome");
        let reply = client.ask(json!({"type": "auth", "token": token, "id": 1}));
        assert_eq!(
            (&reply["code"], &reply["message"]),
            (&json!("unauthenticated"), &json!("the token is not accepted"))
        );
    }
    let (response, _) = knock(
        &server,
        &format!("/ws?token={good}"),
        &[&format!("Authorization: Bearer {good}")],
    );
    assert_eq!(response.status, 400, "two tokens are one too many");
    // Whoever shows one that has ended had it from the issuer, and may know.
    let ended = token(json!({"exp": now() - 1}));
    let (response, _) = knock(&server, "/ws", &[&format!("Authorization: Bearer {ended}")]);
    assert_eq!(response.status, 401);
    assert!(response.body.contains("it has expired"), "{response:?}");
    let mut client = Client::open(server.address, "/ws");
    client.expect("welcome");
    let reply = client.ask(json!({"type": "auth", "token": ended, "id": 1}));
    assert_eq!(reply["code"], "token_expired", "{reply}");
    let tokens = server.fanfare.tokens().unwrap();
    assert_eq!(tokens.refused(TokenRefusal::Expired), 2);
    let metrics = server.fanfare.metrics();
    assert!(
        metrics.contains("fanfare_tokens_refused_total{cause=\"expired\"} 2\n"),
        "{metrics}"
    );
}

// Row 51.
#[test]
fn nothing_is_done_for_who_has_not_said_who_it_is() {
    let server = Server::with(with_tokens());
    let mut client = Client::open(server.address, "/ws");
    client.expect("welcome");
    for command in [
        json!({"type": "subscribe", "topic": "inbox:ada", "id": 1}),
        json!({"type": "subscribe", "topic": "a", "token": token(json!({"topic": "a"})), "id": 1}),
        json!({"type": "publish", "topic": "inbox:ada", "data": 1, "id": 1}),
        json!({"type": "unsubscribe", "topic": "a", "id": 1}),
        json!({"type": "call", "method": "x", "data": 1, "id": 1}),
    ] {
        let reply = client.ask(command.clone());
        assert_eq!(
            (&reply["code"], &reply["id"]),
            (&json!("unauthenticated"), &json!(1)),
            "{command}"
        );
    }
    assert_eq!(client.ask(json!({"type": "ping", "id": 2}))["type"], "pong");
    let reply = client.ask(json!({"type": "auth", "token": token(json!({})), "id": 3}));
    assert_eq!(reply["type"], "authenticated");
    let others = token(json!({"sub": "bob"}));
    let reply = client.ask(json!({"type": "auth", "token": others, "id": 4}));
    assert_eq!(
        reply["code"], "forbidden",
        "nobody becomes somebody else: {reply}"
    );
    assert!(
        server
            .fanfare
            .topics(0, 10)
            .topics
            .iter()
            .all(|row| row.topic.is_reserved())
    );
}

// Row 52.
#[test]
fn who_never_says_who_it_is_is_closed() {
    let server = Server::with(Options {
        limits: Limits {
            auth_timeout_ms: 300,
            ..Limits::default()
        },
        ..with_tokens()
    });
    let mut silent = Client::open(server.address, "/ws");
    silent.expect("welcome");
    assert_eq!(silent.ending().code, 3502);
    drop(silent);
    server.assert_empty();
}

// Row 53.
#[test]
fn guessing_ends_a_connection_and_slows_an_address_down() {
    let server = Server::with(Options {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        door: DoorLimits {
            refused_tokens_per_address: NonZeroU32::new(5),
            ..DoorLimits::default()
        },
        ..with_tokens()
    });
    let from = "X-Forwarded-For: 192.0.2.1";
    let (_, mut one) = knock(&server, "/ws", &[from]);
    one.expect("welcome");
    for id in 0..3 {
        one.send_json(json!({"type": "auth", "token": format!("guess.{id}.x"), "id": id}));
    }
    assert_eq!(one.ending().code, 3502, "three are the end");
    let statuses: Vec<u16> = (0..40)
        .map(|guess| {
            knock(
                &server,
                "/ws",
                &[from, &format!("Authorization: Bearer a.b.{guess}")],
            )
            .0
            .status
        })
        .collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| [401, 429].contains(status)),
        "{statuses:?}"
    );
    let looked_at = server.fanfare.tokens().unwrap().refused(TokenRefusal::Format);
    assert!(looked_at < 43, "{looked_at} were looked at");
    let good = format!("Authorization: Bearer {}", token(json!({})));
    let (response, _) = knock(&server, "/ws", &["X-Forwarded-For: 192.0.2.2", &good]);
    assert_eq!(response.status, 101, "nobody else is meant");
}

#[test]
fn a_token_ends_its_connection_unless_it_is_refreshed() {
    let server = Server::with(with_tokens());
    let short = || token(json!({"exp": now() + 3}));
    let (mut refreshed, mut left) = (enter(&server, &short()), enter(&server, &short()));
    let reply = refreshed.ask(json!({"type": "auth", "token": token(json!({})), "id": 1}));
    assert_eq!(reply["type"], "authenticated", "{reply}");
    assert_eq!(left.ending().code, 3009);
    assert!(may(&mut refreshed, "subscribe", "inbox:ada"));
}

#[test]
fn a_subscription_token_opens_its_topic_to_its_user() {
    let server = Server::with(with_tokens());
    let mut ada = enter(&server, &token(json!({})));
    let ask = |client: &mut Client, topic: &str, token: String| {
        client.ask(json!({"type": "subscribe", "topic": topic, "token": token, "id": 1}))
    };
    let vip = || token(json!({"topic": "vip"}));
    assert_eq!(ask(&mut ada, "vip", vip())["type"], "subscribed");
    for (token, code) in [
        (vip(), "token_mismatch"),
        (token(json!({"topic": "other", "sub": "bob"})), "token_mismatch"),
        (token(json!({})), "token_mismatch"),
        (
            token(json!({"topic": "other", "exp": now() - 1})),
            "token_expired",
        ),
        (
            token(json!({"topic": "other", "nbf": now() + 60})),
            "unauthenticated",
        ),
    ] {
        assert_eq!(ask(&mut ada, "other", token)["code"], code);
    }
    let closed = token(json!({"topic": "closed"}));
    assert_eq!(
        ask(&mut ada, "closed", closed)["code"],
        "forbidden",
        "nobody is nobody"
    );
    // It is no token to come in with.
    let (response, _) = knock(&server, "/ws", &[&format!("Authorization: Bearer {}", vip())]);
    assert_eq!(response.status, 401);
}

#[test]
fn what_is_revoked_is_closed_and_does_not_come_back() {
    let server = Server::with(with_tokens());
    let revoke = |what| server.runtime.block_on(server.fanfare.revoke(what)).unwrap();
    let (one, two) = (token(json!({"jti": "one"})), token(json!({"jti": "two"})));
    let bobs = token(json!({"sub": "bob"}));
    let (mut first, mut second, mut bob) =
        (enter(&server, &one), enter(&server, &two), enter(&server, &bobs));
    let id = Box::from("one");
    assert_eq!(revoke(Revocation::Token { id, expires_at: None }), 1);
    assert_eq!(first.ending().code, 3504);
    assert_eq!(knock(&server, &format!("/ws?token={one}"), &[]).0.status, 401);
    let user = UserName::parse("ada").unwrap();
    assert_eq!(revoke(Revocation::User(user)), 1);
    assert_eq!(second.ending().code, 3504);
    assert_eq!(knock(&server, &format!("/ws?token={two}"), &[]).0.status, 401);
    assert_eq!(bob.ask(json!({"type": "ping", "id": 1}))["type"], "pong");
    assert_eq!(server.disconnects(3504), 2);
}

/// An application behind tokens.
struct Backend;

impl Hooks for Backend {
    async fn connect(&self, _: &Entrant, admission: Option<Admission>) -> Result<Option<Admission>, Denial> {
        let Some(admission) = admission else {
            return Ok(None);
        };
        match admission.identity.user.as_ref().map(UserName::as_str) {
            Some("mallory") => Err(Denial::forbidden("you are banned")),
            _ => Ok(Some(Admission {
                identity: Arc::new(Identity {
                    info: Some(Arc::from(r#"{"checked":true}"#)),
                    ..(*admission.identity).clone()
                }),
                ..admission
            })),
        }
    }

    async fn subscribe(
        &self,
        caller: &Caller,
        _: &[TopicName],
        token: Option<&str>,
    ) -> Result<Leaves, Denial> {
        assert_eq!(token, None, "a token decides alone");
        let user = caller
            .identity
            .as_ref()
            .and_then(|identity| identity.user.as_ref());
        let is_ada = user.is_some_and(|user| user.as_str() == "ada");
        is_ada
            .then(Leaves::default)
            .ok_or_else(|| Denial::forbidden("not you"))
    }
}

#[test]
fn an_application_is_asked_the_rest() {
    let server = Server::with(with(Application::new(Backend).with_tokens(tokens())));
    let mut ada = enter(&server, &token(json!({"fanfare": {"publish": ["asked"]}})));
    assert!(may(&mut ada, "subscribe", "asked"));
    ada.send_json(json!({"type": "publish", "topic": "asked", "data": 1}));
    assert_eq!(ada.expect("message")["from"]["info"], json!({"checked": true}));
    let mut bob = enter(&server, &token(json!({"sub": "bob"})));
    assert!(!may(&mut bob, "subscribe", "asked"));
    let bobs = token(json!({"sub": "bob", "topic": "asked"}));
    let reply = bob.ask(json!({"type": "subscribe", "topic": "asked", "token": bobs, "id": 1}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    let banned = token(json!({"sub": "mallory"}));
    assert_eq!(knock(&server, &format!("/ws?token={banned}"), &[]).0.status, 403);
}

/// An application that keeps everyone at the door until it is told to let one go on.
struct Porter {
    has_come: Arc<Notify>,
    may_go: Arc<Notify>,
}

impl Hooks for Porter {
    async fn connect(&self, _: &Entrant, admission: Option<Admission>) -> Result<Option<Admission>, Denial> {
        self.has_come.notify_one();
        self.may_go.notified().await;
        Ok(admission)
    }
}

#[test]
fn who_is_at_the_door_while_something_is_revoked_is_to_come_again() {
    let (has_come, may_go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let porter = Porter {
        has_come: Arc::clone(&has_come),
        may_go: Arc::clone(&may_go),
    };
    let server = Server::with(with(Application::new(porter).with_tokens(tokens())));
    let mut client = Client::connect(server.address);
    let bearer = format!("Authorization: Bearer {}", token(json!({"jti": "one"})));
    client.send(upgrade_request("/ws", &[&bearer]).as_bytes());
    server.runtime.block_on(has_come.notified());
    let one = Revocation::Token {
        id: Box::from("one"),
        expires_at: None,
    };
    let closed = server.runtime.block_on(server.fanfare.revoke(one)).unwrap();
    assert_eq!(closed, 0, "it is not in yet");
    may_go.notify_one();
    assert_eq!(client.response().unwrap().status, 101);
    client.expect("welcome");
    assert_eq!(client.ending().code, 3006);
    // What is another's concerns nobody here.
    let mut other = Client::connect(server.address);
    other.send(
        upgrade_request(
            "/ws",
            &[&format!("Authorization: Bearer {}", token(json!({"jti": "two"})))],
        )
        .as_bytes(),
    );
    server.runtime.block_on(has_come.notified());
    let bob = Revocation::User(UserName::parse("bob").unwrap());
    server.runtime.block_on(server.fanfare.revoke(bob)).unwrap();
    may_go.notify_one();
    assert_eq!(other.response().unwrap().status, 101);
    other.expect("welcome");
    assert_eq!(other.ask(json!({"type": "ping", "id": 1}))["type"], "pong");
}

#[test]
fn who_says_hello_while_something_of_it_is_revoked_is_to_come_again() {
    let (has_come, may_go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let porter = Porter {
        has_come: Arc::clone(&has_come),
        may_go: Arc::clone(&may_go),
    };
    let server = Server::with(with(Application::new(porter).with_tokens(tokens())));
    for (revoked, code) in [("one", Some(3011)), ("two", None)] {
        let mut client = Client::open(server.address, "/connection/websocket");
        let token = token(json!({"jti": format!("{revoked}'s")}));
        client.send_json(json!({"id": 1, "connect": {"token": token}}));
        server.runtime.block_on(has_come.notified());
        let id = match code {
            Some(_) => format!("{revoked}'s"),
            None => "another's".to_owned(),
        };
        let revocation = Revocation::Token {
            id: id.into(),
            expires_at: None,
        };
        let closed = server.runtime.block_on(server.fanfare.revoke(revocation));
        assert_eq!(closed.unwrap(), 0, "it is not in yet");
        may_go.notify_one();
        assert!(client.json()["connect"].is_object());
        if let Some(code) = code {
            assert_eq!(client.ending().code, code);
        } else {
            // What would come of it comes at once.
            std::thread::sleep(Duration::from_millis(50));
            let reply = client.ask(json!({"id": 2, "unsubscribe": {"channel": "a"}}));
            assert!(reply["unsubscribe"].is_object(), "{reply}");
        }
    }
}
