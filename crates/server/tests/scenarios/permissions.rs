//! Who may do what: every verb that touches a topic, in every place where a client can say it, against a table that was
//! written by hand. What callers of the HTTP API may do is in the API's own tests (`scopes`).

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};

use crate::client::{Client, TEXT, upgrade_request};
use crate::process::Server;
use crate::story::{api, story};

const SECRET: &str = "hs256:0123456789abcdef0123456789abcdef";

const RULES: [&str; 10] = [
    r#"{ pattern = "first", subscribe = "anyone" }"#,
    r#"{ pattern = "free:*", subscribe = "anyone", publish = "anyone", history = "anyone" }"#,
    r#"{ pattern = "news:*", subscribe = "anyone" }"#,
    r#"{ pattern = "box:*", publish = "anyone" }"#,
    r#"{ pattern = "members:*", subscribe = "users", publish = "users", history = "users" }"#,
    r#"{ pattern = "inbox:{user}", subscribe = "users" }"#,
    r#"{ pattern = "team:{claims.team}:*", subscribe = "users", publish = "subscribers", history = "subscribers" }"#,
    r#"{ pattern = "closed:*", subscribe = "nobody", publish = "nobody" }"#,
    r#"{ pattern = "log:*", subscribe = "anyone", history = "nobody" }"#,
    r#"{ pattern = "$user:b*", publish = "users" }"#,
];

/// Those who ask: without a name, with one, with one and a team, and with one and everything granted.
const WHO: [&str; 4] = ["", "ada", "bob", "gil"];

/// A topic, who may receive it, who may publish to it and who may read its history that does not receive it.
const TABLE: &[(&str, [&[&str]; 3])] = &[
    ("free:a", [&WHO, &WHO, &WHO]),
    ("news:a", [&WHO, &["gil"], &["gil"]]),
    ("log:a", [&WHO, &["gil"], &[]]),
    ("box:a", [&["gil"], &WHO, &["gil"]]),
    (
        "members:a",
        [
            &["ada", "bob", "gil"],
            &["ada", "bob", "gil"],
            &["ada", "bob", "gil"],
        ],
    ),
    ("inbox:ada", [&["ada", "gil"], &["gil"], &["gil"]]),
    ("inbox:bob", [&["bob", "gil"], &["gil"], &["gil"]]),
    ("team:red:a", [&["bob", "gil"], &["gil"], &["gil"]]),
    ("team:blue:a", [&["gil"], &["gil"], &["gil"]]),
    ("closed:a", [&[], &[], &["gil"]]),
    ("other", [&["gil"], &["gil"], &["gil"]]),
];

fn token_of(who: &str) -> Option<String> {
    let more: &[&str] = match who {
        "" => return None,
        "bob" => &["--claim", "team=red"],
        "gil" => &[
            "--subscribe",
            "*",
            "--publish",
            "*",
            "--publish",
            "$*",
            "--history",
            "*",
        ],
        _ => &[],
    };
    let mut make = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    make.args(["token", "make", "--key", SECRET, "--user", who])
        .args(more);
    let token = make.output().unwrap().stdout;
    Some(String::from_utf8(token).unwrap().trim_end().to_owned())
}

/// How many receive a topic, as the server says.
fn subscribers(server: &Server, topic: &str) -> u64 {
    let listed = api(server, "/api/topics?reserved=true");
    let topics = listed["topics"].as_array().unwrap();
    let found = topics.iter().find(|row| row["topic"] == topic);
    found.map_or(0, |row| row["subscribers"].as_u64().unwrap())
}

/// A client of theirs, from the handshake on.
fn open(address: SocketAddr, who: &str, target: &str) -> Client {
    let bearer = token_of(who).map(|token| format!("Authorization: Bearer {token}"));
    let mut client = Client::connect(address);
    client.send(upgrade_request(target, &bearer.iter().map(String::as_str).collect::<Vec<_>>()).as_bytes());
    assert_eq!(client.response().expect("an answer to the handshake").status, 101);
    client
}

fn open_json(address: SocketAddr, who: &str) -> Client {
    let mut client = open(address, who, "/ws");
    client.expect("welcome");
    client
}

/// Tells a story of a server with these rules.
fn ruled(tell: impl FnOnce(&Server)) {
    let mut arguments = vec!["--open=false", "--anonymous", "--token-key", SECRET];
    arguments.extend(RULES.iter().flat_map(|rule| ["--topic-rule", rule]));
    story(&arguments, tell);
}

/// Whether a reply grants; else it must be the one refusal that there is.
fn is_allowed(reply: &Value, what: &str) -> bool {
    if reply["type"] != "error" {
        return true;
    }
    assert_eq!(reply["code"], "forbidden", "{what}: {reply}");
    assert_eq!(reply["id"], 1, "{what}: {reply}");
    false
}

/// Whether a client of the dialect `raw` is left alone: it is told nothing but by its end.
fn is_left_alone(client: &mut Client, text: &str) -> bool {
    client.send_text(text);
    let first = client.message().expect("a frame");
    if first.first == TEXT {
        assert_eq!(first.payload, text.as_bytes());
        return true;
    }
    assert_eq!(first.payload[..2], 3503_u16.to_be_bytes(), "{first:?}");
    false
}

#[test]
fn who_may_receive_a_topic_is_the_same_by_command_and_in_the_address() {
    ruled(|server| {
        for who in WHO {
            for (topic, [receivers, ..]) in TABLE {
                let (may, what) = (receivers.contains(&who), format!("{who:?} receives {topic}"));

                let mut by_command = open_json(server.address, who);
                let reply = by_command.ask(json!({"type": "subscribe", "topic": topic, "id": 1}));
                assert_eq!(is_allowed(&reply, &what), may, "{what}: {reply}");

                let mut by_address = open(server.address, who, &format!("/ws?topic={topic}"));
                by_address.expect("welcome");
                let push = by_address.json();
                assert_eq!(push["type"] == "subscribed", may, "{what}: {push}");
                assert!(may || push["code"] == "forbidden", "{what}: {push}");

                // With another one that is allowed it is all or nothing.
                let mut with_another = open_json(server.address, who);
                let topics = json!({"type": "subscribe", "topics": ["free:b", topic], "id": 1});
                assert_eq!(is_allowed(&with_another.ask(topics), &what), may, "{what}");

                // What came in by any of these ways is what the server says itself.
                let expected = [if may { 3 } else { 0 }, u64::from(may)];
                let subscribers = [*topic, "free:b"].map(|topic| subscribers(server, topic));
                assert_eq!(subscribers, expected, "{what}");
                drop((by_command, by_address, with_another));
                server.await_metrics(&[("fanfare_connections", 0)]);
            }
        }
    });
}

#[test]
fn who_may_publish_to_a_topic_is_the_same_in_both_dialects() {
    ruled(|server| {
        for who in WHO {
            for (topic, [receivers, publishers, _]) in TABLE {
                let what = format!("{who:?} publishes to {topic}");
                let command = json!({"type": "publish", "topic": topic, "data": 1, "id": 1});
                let mut stranger = open_json(server.address, who);
                assert_eq!(
                    is_allowed(&stranger.ask(command.clone()), &what),
                    publishers.contains(&who),
                    "{what}"
                );

                // Who receives `team` may publish to it as well.
                let may_as_member = publishers.contains(&who) || topic.starts_with("team:");
                if receivers.contains(&who) {
                    stranger.subscribe(&[topic]);
                    let reply = stranger.ask_past_messages(command);
                    assert_eq!(is_allowed(&reply, &what), may_as_member, "{what}: {reply}");
                }
                let may_by_raw = receivers.contains(&who) && may_as_member;
                let mut raw = open(server.address, who, &format!("/ws?dialect=raw&topic={topic}"));
                assert_eq!(is_left_alone(&mut raw, "x"), may_by_raw, "{what}");
            }
        }
    });
}

#[test]
fn who_may_read_history_is_the_same_by_command_and_when_somebody_comes_back() {
    ruled(|server| {
        for who in WHO {
            for (topic, [receivers, _, readers]) in TABLE {
                let what = format!("{who:?} reads the history of {topic}");
                let command = json!({"type": "history", "topic": topic, "id": 1});
                let mut stranger = open_json(server.address, who);
                let reply = stranger.ask(command.clone());
                assert_eq!(
                    is_allowed(&reply, &what),
                    readers.contains(&who),
                    "{what}: {reply}"
                );
                let coming = json!({"type": "subscribe", "topic": topic, "since": "other:5", "id": 1});
                let comes = stranger.ask(coming);
                assert_eq!(
                    is_allowed(&comes, &what),
                    receivers.contains(&who),
                    "{what}: {comes}"
                );
                if !receivers.contains(&who) {
                    continue;
                }

                // Who receives `team` may read its history as well; who may not is subscribed all the same.
                let may = readers.contains(&who) || topic.starts_with("team:");
                assert_eq!(is_allowed(&stranger.ask(command), &what), may, "{what}");
                let reason = if may { "epoch_changed" } else { "forbidden" };
                assert_eq!(comes["topics"][0]["reason"], reason, "{what}: {comes}");
                let mut by_address = open(server.address, who, &format!("/ws?topic={topic}&since=other:5"));
                by_address.expect("welcome");
                let push = by_address.expect("subscribed");
                assert_eq!(push["topics"][0]["reason"], reason, "{what}: {push}");
            }
        }
    });
}

#[test]
fn to_send_to_a_user_or_a_connection_is_to_publish_to_its_topic() {
    ruled(|server| {
        let (mut bob, mut ada) = (
            open_json(server.address, "bob"),
            open(server.address, "ada", "/ws"),
        );
        let connection = ada.expect("welcome")["connection"].as_str().unwrap().to_owned();
        for (who, may_to_bob, may_to_ada) in [
            ("", false, false),
            ("ada", true, false),
            ("bob", true, false),
            ("gil", true, true),
        ] {
            let mut sender = open_json(server.address, who);
            for (to, may) in [
                (json!({"user": "bob"}), may_to_bob),
                (json!({"user": "ada"}), may_to_ada),
                (json!({"connection": connection}), may_to_ada),
            ] {
                let what = format!("{who:?} sends to {to}");
                let mut command = json!({"type": "send", "data": what, "id": 1});
                command
                    .as_object_mut()
                    .unwrap()
                    .extend(to.as_object().unwrap().clone());
                let reply = sender.ask_past_messages(command);
                assert_eq!(is_allowed(&reply, &what), may, "{what}: {reply}");
                if may {
                    let receiver = if to["user"] == "bob" { &mut bob } else { &mut ada };
                    assert_eq!(receiver.expect("message")["data"], what);
                }
            }
        }
        // Nobody receives another one's by its name.
        for (who, topic) in [("", "$user:bob"), ("ada", "$user:bob"), ("gil", "$all")] {
            let reply =
                open_json(server.address, who).ask(json!({"type": "subscribe", "topic": topic, "id": 1}));
            assert_eq!(reply["type"], "error", "{who:?} receives {topic}: {reply}");
        }
    });
}

#[test]
fn before_it_is_known_who_it_is_a_client_may_say_that_and_nothing_else() {
    let mut arguments = vec!["--open=false", "--token-key", SECRET];
    arguments.extend(RULES.iter().flat_map(|rule| ["--topic-rule", rule]));
    let server = Server::start(&arguments);
    for mut command in [
        json!({"type": "subscribe", "topic": "free:a"}),
        json!({"type": "unsubscribe", "topic": "free:a"}),
        json!({"type": "publish", "topic": "free:a", "data": 1}),
        json!({"type": "history", "topic": "free:a"}),
        json!({"type": "subscribe", "topic": "free:a", "since": "5m"}),
        json!({"type": "send", "user": "bob", "data": 1}),
        json!({"type": "call", "method": "m", "data": 1}),
    ] {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        command["id"] = 1.into();
        let reply = client.ask(command.clone());
        assert_eq!(reply["code"], "unauthenticated", "{command}: {reply}");
        assert_eq!(client.ask(json!({"type": "ping", "id": 2}))["type"], "pong");
        client.send_json(json!({"type": "auth", "token": token_of("ada"), "id": 3}));
        client.expect("authenticated");
    }
    assert_eq!(subscribers(&server, "free:a"), 0);
}
