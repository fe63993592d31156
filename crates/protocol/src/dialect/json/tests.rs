//! What the `json` dialect reads and writes, byte by byte.

use super::*;
use crate::codes::Disconnect;
use crate::{ConnectionId, Draft, Epoch, Goodbye, Missed, Position, Timestamp, Welcome};

fn verb(text: &str) -> Verb<'_> {
    decode(text)
        .unwrap_or_else(|rejection| panic!("{text}: {rejection:?}"))
        .verb
}

fn raw(text: &str) -> Payload {
    Payload::json(serde_json::from_str(text).unwrap())
}

/// The text of the one frame in `frame`.
fn text_of(frame: &[u8]) -> &str {
    assert_eq!(frame[0], 0x81);
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    std::str::from_utf8(&frame[header..]).unwrap()
}

fn reply(id: Option<&str>, reply: &Reply) -> String {
    let id = id.map(|id| CommandId::from_json(id).unwrap());
    let mut frame = Vec::new();
    encode_reply(id.as_ref(), reply, &mut frame);
    text_of(&frame).to_owned()
}

fn push(push: &Push) -> String {
    let mut frame = Vec::new();
    encode_push(push, &mut frame);
    text_of(&frame).to_owned()
}

#[test]
fn commands_are_read() {
    assert_eq!(
        verb(r#"{"type":"subscribe","topic":"a"}"#),
        Verb::Subscribe {
            topics: vec!["a".into()],
            occupancy: false,
            every: None,
            token: None,
        }
    );
    assert_eq!(
        verb(r#"{"topics":["a","b"],"occupancy":true,"type":"subscribe","unknown":[1]}"#),
        Verb::Subscribe {
            topics: vec!["a".into(), "b".into()],
            occupancy: true,
            every: None,
            token: None,
        }
    );
    assert_eq!(
        verb(r#"{"type":"unsubscribe","topics":["a"]}"#),
        Verb::Unsubscribe {
            topics: vec!["a".into()]
        }
    );
    assert_eq!(verb(r#"{"type":"ping"}"#), Verb::Ping);
    let to = Target::User(UserName::parse("bob").unwrap());
    assert_eq!(
        verb(r#"{"type":"send","user":"bob","data":1}"#),
        Verb::Send {
            to,
            payload: raw("1")
        }
    );
    let to = Target::Connection(ConnectionId::new(1, 2, 3));
    assert_eq!(
        verb(r#"{"type":"send","connection":"0100000200000003","data":"x"}"#),
        Verb::Send {
            to,
            payload: raw("\"x\"")
        }
    );
}

#[test]
fn payloads_pass_through_untouched() {
    for data in [
        "null",
        "1e400",
        r#"{"b":1 , "a":[ ]}"#,
        "\"\\u00e9\"",
        "123456789012345678901234567890",
    ] {
        let text = format!(r#"{{"type":"publish","topic":"a","data":{data},"echo":false}}"#);
        let Verb::Publish {
            payload, echo: false, ..
        } = verb(&text)
        else {
            panic!("{text}")
        };
        assert_eq!(payload.as_bytes(), data.as_bytes());
    }
}

#[test]
fn a_procedure_may_be_called_with_nothing() {
    for (data, expected) in [
        ("", "null"),
        (r#","data":null"#, "null"),
        (r#","data":[1]"#, "[1]"),
    ] {
        let text = format!(r#"{{"type":"call","method":"m"{data}}}"#);
        let Verb::Call { payload, .. } = verb(&text) else {
            panic!("{text}")
        };
        assert_eq!(payload.as_bytes(), expected.as_bytes());
    }
}

#[test]
fn escaped_names_are_understood() {
    assert_eq!(
        verb(r#"{"type":"subscribe","topic":"caf\u00e9"}"#),
        Verb::Subscribe {
            topics: vec!["café".into()],
            occupancy: false,
            every: None,
            token: None,
        }
    );
}

#[test]
fn a_rate_and_a_key_are_read() {
    assert_eq!(
        verb(r#"{"type":"subscribe","topic":"a","every":"2s"}"#),
        Verb::Subscribe {
            topics: vec!["a".into()],
            occupancy: false,
            every: "2s".parse().ok(),
            token: None,
        }
    );
    let Verb::Publish { key, .. } = verb(r#"{"type":"publish","topic":"a","key":"EURUSD","data":1}"#) else {
        panic!("it publishes")
    };
    assert_eq!(key, Key::parse("EURUSD").ok());
}

/// A message, the id of its answer, the answer's code, and what its text says.
const BAD_MESSAGES: &[(&str, Option<&str>, &str, &str)] = &[
    ("", None, "bad_json", "not a JSON object"),
    ("hello", None, "bad_json", "not a JSON object"),
    (r#"["ping"]"#, None, "bad_json", "not a JSON object"),
    ("{", None, "bad_json", "EOF while parsing"),
    (r#"{"type":"ping"} x"#, None, "bad_json", "trailing characters"),
    (
        "{}",
        None,
        "bad_command",
        "`type` is missing, it is one of `auth`",
    ),
    (
        r#"{"type":"dance","id":7}"#,
        Some("7"),
        "bad_command",
        "`type` is \"dance\", it is one of",
    ),
    (
        r#"{"type":"publish","id":"x","topic":"a"}"#,
        Some("\"x\""),
        "bad_command",
        "`data` is missing",
    ),
    (
        r#"{"type":"publish","data":1}"#,
        None,
        "bad_command",
        "`topic` is missing",
    ),
    (
        r#"{"type":"subscribe","id":1}"#,
        Some("1"),
        "bad_command",
        "`topic` or `topics` is missing",
    ),
    (
        r#"{"type":"subscribe","topics":[]}"#,
        None,
        "bad_command",
        "`topics` is empty",
    ),
    (
        r#"{"type":"subscribe","topic":"a","topics":["b"]}"#,
        None,
        "bad_command",
        "both `topic` and `topics`",
    ),
    (
        r#"{"type":"subscribe","id":3,"topic":5}"#,
        Some("3"),
        "bad_command",
        "invalid type: integer `5`",
    ),
    (
        r#"{"type":"subscribe","topic":"a","every":"2"}"#,
        None,
        "bad_command",
        "`every` is not a time from 100ms to 60m",
    ),
    (
        r#"{"type":"publish","topic":"a","key":"","data":1}"#,
        None,
        "bad_command",
        "key is empty",
    ),
    (
        r#"{"type":"ping","id":-1}"#,
        None,
        "bad_command",
        "`id` is neither an integer",
    ),
    (
        r#"{"type":"ping","id":null}"#,
        None,
        "bad_command",
        "`id` is neither an integer",
    ),
    (
        r#"{"type":"send","data":1}"#,
        None,
        "bad_command",
        "either `connection` or `user`",
    ),
    (
        r#"{"type":"send","connection":"x","data":1}"#,
        None,
        "bad_command",
        "16 lower-case hexadecimal",
    ),
    (
        r#"{"type":"send","user":"a b","data":1}"#,
        None,
        "bad_command",
        "user name has",
    ),
    (
        r#"{"type":"ping","type":"ping"}"#,
        None,
        "bad_command",
        "duplicate field `type`",
    ),
    (
        r#"{"type":"publish","topic":"a","data":NaN}"#,
        None,
        "bad_json",
        "expected",
    ),
];

#[test]
fn bad_messages_are_answered_with_their_id_and_the_rule() {
    for &(text, id, code, says) in BAD_MESSAGES {
        let rejection = decode(text).expect_err(text);
        assert_eq!(rejection.code.name(), code, "{text}: {rejection:?}");
        assert!(rejection.message.contains(says), "{text}: {}", rejection.message);
        assert_eq!(rejection.id.as_ref().map(CommandId::as_json), id, "{text}");
    }
}

#[test]
fn a_refusal_is_short_however_long_the_value_it_is_about() {
    let long = "\u{1}é".repeat(10_000).replace('\u{1}', "\\u0001");
    for text in [
        format!(r#"{{"type":"{long}","id":1}}"#),
        format!(r#"{{"type":"ping","echo":"{long}","id":1}}"#),
    ] {
        let rejection = decode(&text).unwrap_err();
        assert!(
            rejection.message.len() < 2_000,
            "{} bytes",
            rejection.message.len()
        );
        assert_eq!(rejection.id.as_ref().map(CommandId::as_json), Some("1"));
    }
}

#[test]
fn deep_json_neither_overflows_the_stack_nor_closes() {
    let deep = "[".repeat(60_000);
    assert!(decode(&deep).is_err());
    let deep = format!(
        r#"{{"type":"publish","topic":"a","data":{}1{}}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    let _ = decode(&deep);
}

#[test]
fn replies_are_written() {
    let topic = TopicName::parse("a\"b").unwrap();
    let position = Position {
        epoch: Epoch(36),
        offset: 7,
    };
    let at = SubscribedTopic {
        topic: topic.clone(),
        position,
    };
    assert_eq!(
        reply(Some("1"), &Reply::Subscribed { topics: vec![at] }),
        r#"{"type":"subscribed","id":1,"topics":[{"topic":"a\"b","epoch":"10","offset":7}]}"#
    );
    assert_eq!(
        reply(
            None,
            &Reply::Unsubscribed {
                topics: vec![topic.clone()]
            }
        ),
        r#"{"type":"unsubscribed","topics":["a\"b"]}"#
    );
    assert_eq!(
        reply(Some("\"x\""), &Reply::Published { topic, position }),
        r#"{"type":"published","id":"x","topic":"a\"b","epoch":"10","offset":7}"#
    );
    assert_eq!(reply(Some("2"), &Reply::Sent), r#"{"type":"sent","id":2}"#);
    assert_eq!(
        reply(None, &Reply::Pong { time: Timestamp(5) }),
        r#"{"type":"pong","time":5}"#
    );
    assert_eq!(
        reply(
            Some("9"),
            &Reply::Error {
                code: ErrorCode::Overloaded,
                message: "full".to_owned(),
                retry_after_ms: None,
            }
        ),
        r#"{"type":"error","id":9,"code":"overloaded","message":"full","temporary":true}"#
    );
    assert_eq!(
        reply(
            None,
            &Reply::Error {
                code: ErrorCode::RateLimited,
                message: "slower".to_owned(),
                retry_after_ms: Some(40),
            }
        ),
        r#"{"type":"error","code":"rate_limited","message":"slower","temporary":true,"retry_after_ms":40}"#
    );
}

#[test]
fn pushes_are_written() {
    let welcome = Welcome {
        connection: ConnectionId::new(0, 1, 2),
        user: Some(UserName::parse("alice").unwrap()),
        auth_timeout_ms: None,
        expires_at: None,
        ping_interval_ms: 25_000,
        pong_timeout_ms: 10_000,
        message_bytes_max: 65_536,
        subscriptions_max: 128,
        commands_per_second: None,
        bytes_per_second: None,
    };
    assert_eq!(
        push(&Push::Welcome(welcome.clone())),
        r#"{"type":"welcome","connection":"0000000100000002","user":"alice","ping_interval_ms":25000,"pong_timeout_ms":10000,"limits":{"message_bytes_max":65536,"subscriptions_max":128,"topic_bytes_max":255}}"#
    );
    let paced = Welcome {
        commands_per_second: Some(100),
        bytes_per_second: Some(4096),
        ..welcome.clone()
    };
    assert!(
        push(&Push::Welcome(paced))
            .ends_with(r#""topic_bytes_max":255,"commands_per_second":100,"bytes_per_second":4096}}"#)
    );
    let ending = Welcome {
        expires_at: Some(Timestamp(1_790_000_000_000)),
        ..welcome
    };
    assert!(push(&Push::Welcome(ending)).contains(r#""expires_at":1790000000000,"ping_interval_ms""#));
    let topic = TopicName::parse("a").unwrap();
    assert_eq!(
        push(&Push::Occupancy {
            topic,
            subscribers: 3
        }),
        r#"{"type":"occupancy","topic":"a","subscribers":3}"#
    );
    let missed = Missed {
        topic: TopicName::parse("a").unwrap(),
        from: Position {
            epoch: Epoch(1),
            offset: 5,
        },
        to: 11,
        count: 6,
    };
    assert_eq!(
        push(&Push::Missed(missed)),
        r#"{"type":"missed","topic":"a","epoch":"1","from":5,"to":11,"count":6}"#
    );
    let goodbye = Goodbye {
        disconnect: Disconnect::Shutdown,
        reconnect_after_ms: Some(250),
    };
    assert_eq!(
        push(&Push::Goodbye(goodbye)),
        r#"{"type":"goodbye","code":3000,"reason":"shutdown","reconnect":true,"reconnect_after_ms":250}"#
    );
}

#[test]
fn messages_carry_every_kind_of_payload() {
    let publication = |payload| Publication {
        draft: Draft {
            topic: TopicName::parse("a").unwrap(),
            payload,
            from: Some(Publisher {
                connection: ConnectionId::new(0, 0, 1),
                user: None,
                info: None,
            }),
            time: Timestamp(1_700_000_000_000),
            key: None,
            except: None,
        },
        position: Position {
            epoch: Epoch(1),
            offset: 9,
        },
    };
    let head = r#"{"type":"message","topic":"a","offset":9,"time":1700000000000,"from":{"connection":"0000000000000001"}"#;
    for (payload, tail) in [
        (raw("{\"x\": 1}"), r#","data":{"x": 1}}"#),
        (Payload::text("a\nb"), r#","data":"a\nb"}"#),
        (Payload::binary(vec![0, 1, 2]), r#","data_base64":"AAEC"}"#),
    ] {
        let mut frame = Vec::new();
        encode_publication(&publication(payload), &mut frame);
        assert_eq!(text_of(&frame), format!("{head}{tail}"));
    }
    let mut keyed = publication(raw("1"));
    keyed.draft.key = Key::parse("k").ok();
    let mut frame = Vec::new();
    encode_publication(&keyed, &mut frame);
    let head = head.replacen("9,", r#"9,"key":"k","#, 1);
    assert_eq!(text_of(&frame), format!(r#"{head},"data":1}}"#));
    let sent = Direct {
        from: None,
        time: Timestamp(1),
        payload: raw("[]"),
    };
    let mut frame = Vec::new();
    encode_direct(&sent, &mut frame);
    assert_eq!(text_of(&frame), r#"{"type":"message","time":1,"data":[]}"#);
}

#[test]
fn the_page_of_the_dialect_names_every_message() {
    let page = include_str!("../../../../docs/protocol/json.md");
    let answers = [
        "welcome",
        "subscribed",
        "unsubscribed",
        "published",
        "sent",
        "pong",
        "message",
        "occupancy",
        "missed",
        "error",
        "goodbye",
    ];
    let verbs = VERBS.split(", ").map(|verb| verb.trim_matches('`'));
    for name in verbs.chain(answers) {
        assert!(
            page.contains(&format!("| `{name}` |")),
            "docs/protocol/json.md has no row for `{name}`"
        );
    }
}
