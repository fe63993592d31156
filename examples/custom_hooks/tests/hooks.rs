//! The example as its README has it tried.

use std::thread;
use std::time::{Duration, Instant};

use fanfare_testing::{DEADLINE, LOOK_AGAIN, Program, Socket};
use serde_json::{Value, json};

fn program() -> Program {
    Program::start(env!("CARGO_BIN_EXE_example-custom-hooks"))
}

#[test]
fn everyone_is_in_their_group_and_in_no_other() {
    let program = program();
    let [mut ada, mut ben, mut cleo] =
        [("ada", "red"), ("ben", "red"), ("cleo", "blue")].map(|(name, group)| join(&program, name, group));

    assert_eq!(say(&mut ada, "red", "hello")["type"], "published");
    assert_eq!(say(&mut cleo, "blue", "anyone?")["type"], "published");
    assert_eq!(heard(&mut ben), json!(["ada", "hello"]));
    assert_eq!(heard(&mut ada), json!(["ada", "hello"]));
    assert_eq!(
        heard(&mut cleo),
        json!(["cleo", "anyone?"]),
        "and nothing before it"
    );

    assert_eq!(say(&mut ada, "blue", "hello")["code"], "forbidden");
    for topic in ["group:blue", "group:*", "other"] {
        let answer = ada.ask(json!({"type": "subscribe", "topic": topic}));
        assert_eq!(answer["type"], "error", "{topic}");
    }
    for (path, status) in [
        ("/ws", 401),
        ("/ws?name=ada", 401),
        ("/ws?name=ada&group=green", 403),
        ("/ws?name=a%20b&group=red", 403),
    ] {
        assert_eq!(
            Socket::try_open(&program, path, &[]).unwrap_err(),
            status,
            "{path}"
        );
    }
}

#[test]
fn what_is_said_is_moderated() {
    let program = program();
    let mut ada = join(&program, "ada", "red");
    let link = say(&mut ada, "red", "see https://example.org");
    assert_eq!(
        (&link["code"], &link["message"]),
        (&"forbidden".into(), &"links are not allowed here".into())
    );
    let no_text = ada.ask(json!({"type": "publish", "topic": "group:red", "data": {"a": 1}}));
    assert_eq!(no_text["code"], "bad_command");
    say(&mut ada, "red", "darn it");
    assert_eq!(
        heard(&mut ada),
        json!(["ada", "**** it"]),
        "and nothing of what was refused"
    );
}

#[test]
fn who_talks_too_fast_is_told_when_to_go_on() {
    let program = program();
    let (mut ada, mut ben) = (join(&program, "ada", "red"), join(&program, "ben", "red"));
    let mut answers = (0..1_000).map(|_| say(&mut ada, "red", "hello"));
    assert!(
        answers
            .by_ref()
            .take(5)
            .all(|answer| answer["type"] == "published")
    );
    let refused = answers.find(|answer| answer["code"] == "rate_limited").unwrap();
    assert_eq!(
        say(&mut ben, "red", "hello")["type"],
        "published",
        "others may still talk"
    );

    let wait = refused["retry_after_ms"].as_u64().unwrap();
    assert!((1..=2_001).contains(&wait), "{wait} ms");
    thread::sleep(Duration::from_millis(wait));
    assert_eq!(say(&mut ada, "red", "hello again")["type"], "published");
}

#[test]
fn a_call_gives_who_is_in_the_group() {
    let program = program();
    let mut ada = join(&program, "ada", "red");
    let ben = join(&program, "ben", "red");
    let _cleo = join(&program, "cleo", "blue");
    until_members(&mut ada, &json!(["ada", "ben"]));
    ben.close();
    until_members(&mut ada, &json!(["ada"]));
    assert_eq!(
        ada.ask(json!({"type": "call", "method": "shout"}))["code"],
        "not_found"
    );
}

/// Connects; nothing has to be subscribed to.
fn join(program: &Program, name: &str, group: &str) -> Socket {
    let mut socket = Socket::open(program, &format!("/ws?name={name}&group={group}"));
    let subscribed = socket.next_of("subscribed");
    assert_eq!(subscribed["topics"][0]["topic"], format!("group:{group}"));
    socket
}

/// Publishes to a group; the answer. What is heard before it is left for later.
fn say(socket: &mut Socket, group: &str, text: &str) -> Value {
    socket.ask(json!({"type": "publish", "topic": format!("group:{group}"), "data": text}))
}

/// Who says what next.
fn heard(socket: &mut Socket) -> Value {
    let push = socket.next_of("message");
    json!([push["from"]["user"], push["data"]])
}

/// Asks until those are the members: notices come a moment after what they tell of.
fn until_members(socket: &mut Socket, wanted: &Value) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = socket.ask(json!({"type": "call", "method": "members"}));
        if answer["data"] == *wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{answer}, not {wanted}");
        thread::sleep(LOOK_AGAIN);
    }
}
