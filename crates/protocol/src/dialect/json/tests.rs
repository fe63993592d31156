//! What the `json` dialect reads and writes, byte by byte.

mod publishing;
mod refusals;

use std::sync::Arc;

use super::*;
use crate::codes::{Disconnect, ErrorCode};
use crate::dialect::Direct;
use crate::{
    Attendance, CommandId, ConnectionId, Draft, Epoch, Goodbye, Granted, HISTORY_PAGE_MAX, HistoryPage, Key,
    Loss, Missed, PRESENCE_PAGE_MAX, Payload, Position, PresenceDiff, PresencePage, Present, Publication,
    PublishOptions, Publisher, Push, Reading, Reply, Since, SubscribedTopic, Tags, Target, Timestamp,
    TopicName, Turn, UserName, Verb, Wanted, Welcome,
};

fn verb(text: &str) -> Verb<'_> {
    decode(text)
        .unwrap_or_else(|rejection| panic!("{text}: {rejection:?}"))
        .verb
}

fn now(topic: &str) -> Wanted<'_> {
    Wanted {
        topic: topic.into(),
        since: None,
    }
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
            topics: vec![now("a")],
            occupancy: false,
            every: None,
            presence: false,
            deltas: false,
            filter: None,
            insists: false,
            token: None,
        }
    );
    assert_eq!(
        verb(r#"{"topics":["a","b"],"occupancy":true,"type":"subscribe","unknown":[1]}"#),
        Verb::Subscribe {
            topics: vec![now("a"), now("b")],
            occupancy: true,
            every: None,
            presence: false,
            deltas: false,
            filter: None,
            insists: false,
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
            topics: vec![now("café")],
            occupancy: false,
            every: None,
            presence: false,
            deltas: false,
            filter: None,
            insists: false,
            token: None,
        }
    );
    let Verb::Subscribe { topics, .. } = verb(r#"{"type":"subscribe","topics":["caf\u00e9","b"]}"#) else {
        panic!("it subscribes")
    };
    assert_eq!(topics, [now("café"), now("b")]);
}

#[test]
fn a_subscription_may_begin_in_the_past() {
    let at = Position {
        epoch: Epoch(36),
        offset: 7,
    };
    let wanted = |text: &'static str| -> Vec<Wanted<'static>> {
        match verb(text) {
            Verb::Subscribe { topics, .. } => topics,
            other => panic!("{other:?}"),
        }
    };
    for (text, expected) in [
        (
            r#"{"type":"subscribe","topic":"a","since":{"epoch":"10","offset":7}}"#,
            vec![("a", Some(Since::Position(at)))],
        ),
        (
            r#"{"type":"subscribe","topic":"a","since":"10:7"}"#,
            vec![("a", Some(Since::Position(at)))],
        ),
        (
            r#"{"type":"subscribe","topic":"a","last":20}"#,
            vec![("a", Some(Since::Last(20)))],
        ),
        (
            r#"{"type":"subscribe","since":"5m","topics":["a",{"topic":"b","since":{"offset":7,"epoch":"10","x":[1]}},
               {"last":18446744073709551615,"topic":"c","x":{}},{"topic":"d"}]}"#,
            vec![
                ("a", Some(Since::Age(300_000))),
                ("b", Some(Since::Position(at))),
                ("c", Some(Since::Last(u32::MAX))),
                ("d", Some(Since::Age(300_000))),
            ],
        ),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(topic, since)| Wanted {
                topic: topic.into(),
                since,
            })
            .collect();
        assert_eq!(wanted(text), expected, "{text}");
    }
}

#[test]
fn history_is_read_from_either_side() {
    let at = Position {
        epoch: Epoch(36),
        offset: 7,
    };
    for (fields, reading, limit) in [
        ("", Reading::Oldest, 100),
        (
            r#","since":"30s","limit":5"#,
            Reading::Since(Since::Age(30_000)),
            5,
        ),
        (r#","last":20"#, Reading::Since(Since::Last(20)), 100),
        (
            r#","since":"10:7","limit":0"#,
            Reading::Since(Since::Position(at)),
            1,
        ),
        (
            r#","before":{"epoch":"10","offset":7},"limit":9223372036854775808"#,
            Reading::Before(at),
            HISTORY_PAGE_MAX,
        ),
        (r#","before":"end""#, Reading::Newest, 100),
    ] {
        let text = format!(r#"{{"type":"history","topic":"a"{fields}}}"#);
        let topic = "a".into();
        assert_eq!(
            verb(&text),
            Verb::History {
                topic,
                reading,
                limit
            },
            "{text}"
        );
    }
}

#[test]
fn a_page_of_history_has_its_messages_as_they_are() {
    let topic = TopicName::parse("a").unwrap();
    let publication = |offset, payload| {
        let draft = Draft {
            key: Key::parse("k").ok().filter(|_| offset == 1),
            tags: Tags::parse([("lang", "de")]).unwrap().filter(|_| offset == 2),
            ..Draft::new(topic.clone(), payload, Timestamp(5))
        };
        let epoch = Epoch(36);
        Arc::new(Publication {
            draft,
            position: Position { epoch, offset },
        })
    };
    let end = Position {
        epoch: Epoch(36),
        offset: 9,
    };
    let mut page = HistoryPage {
        topic: topic.clone(),
        end,
        recovered: Some(Err(Loss::TooOld)),
        publications: vec![
            publication(1, raw("1e400")),
            publication(2, Payload::binary(vec![255])),
        ],
        next: Some(Turn::Since(Position { offset: 2, ..end })),
    };
    assert_eq!(
        reply(Some("1"), &Reply::History(page.clone())),
        concat!(
            r#"{"type":"history","id":1,"topic":"a","epoch":"10","offset":9,"recovered":false,"reason":"too_old","#,
            r#""next":{"since":{"epoch":"10","offset":2}},"messages":["#,
            r#"{"offset":1,"key":"k","time":5,"data":1e400},{"offset":2,"tags":{"lang":"de"},"time":5,"data_base64":"/w=="}]}"#
        )
    );
    (page.recovered, page.next) = (None, Some(Turn::Before(Position { offset: 1, ..end })));
    page.publications.truncate(1);
    let text = String::from_utf8(page.to_json()).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"topic":"a","epoch":"10","offset":9,"next":{"before":{"epoch":"10","offset":1}},"messages":["#,
            r#"{"offset":1,"key":"k","time":5,"data":1e400}]}"#
        )
    );
    page.next = None;
    page.publications.clear();
    assert_eq!(
        reply(None, &Reply::History(page)),
        r#"{"type":"history","topic":"a","epoch":"10","offset":9,"messages":[]}"#
    );
}

#[test]
fn presence_is_asked_for_and_told() {
    let ada = Present {
        connection: ConnectionId::new(0, 1, 2),
        user: UserName::parse("ada").ok(),
        info: Some(r#"{"color":"red"}"#.into()),
        since: Timestamp(7),
        topic_info: None,
    };
    let bob = Present {
        connection: ConnectionId::new(0, 2, 3),
        user: None,
        info: None,
        since: Timestamp(8),
        topic_info: None,
    };
    assert_eq!(
        verb(r#"{"type":"presence","topic":"a","after":"0000000100000002","limit":1001}"#),
        Verb::Presence {
            topic: "a".into(),
            after: Some(ada.connection),
            limit: PRESENCE_PAGE_MAX,
        }
    );
    let Verb::Subscribe { presence: true, .. } = verb(r#"{"type":"subscribe","topic":"a","presence":true}"#)
    else {
        panic!("it wants to be told")
    };
    let topic = TopicName::parse("a").unwrap();
    let attendance = Attendance {
        connections: 2,
        users: 1,
        anonymous: 1,
    };
    let page = PresencePage {
        topic: topic.clone(),
        attendance,
        members: vec![ada.clone(), bob.clone()],
        next: Some(bob.connection),
    };
    let head = r#""topic":"a","connections":2,"users":1"#;
    let members = concat!(
        r#""members":[{"connection":"0000000100000002","user":"ada","info":{"color":"red"},"since":7},"#,
        r#"{"connection":"0000000200000003","since":8}]"#
    );
    assert_eq!(
        reply(Some("1"), &Reply::Presence(page.clone())),
        format!(r#"{{"type":"presence","id":1,{head},{members},"next":"0000000200000003"}}"#)
    );
    assert_eq!(
        push(&Push::Members(page)),
        format!(r#"{{"type":"attendance",{head},{members},"complete":false}}"#)
    );
    let (came, went) = (vec![bob], Vec::new());
    let diff = PresenceDiff {
        topic,
        attendance,
        came,
        went,
    };
    assert_eq!(
        push(&Push::Attendance(diff)),
        format!(
            r#"{{"type":"attendance",{head},"came":[{{"connection":"0000000200000003","since":8}}],"went":[]}}"#
        )
    );
}

#[test]
fn a_rate_and_a_key_are_read() {
    assert_eq!(
        verb(r#"{"type":"subscribe","topic":"a","every":"2s"}"#),
        Verb::Subscribe {
            topics: vec![now("a")],
            occupancy: false,
            every: "2s".parse().ok(),
            presence: false,
            deltas: false,
            filter: None,
            insists: false,
            token: None,
        }
    );
    let options = publish_options(r#""key":"EURUSD""#);
    assert_eq!(options.key, Key::parse("EURUSD").ok());
}

fn publish_options(fields: &str) -> PublishOptions {
    let text = format!(r#"{{"type":"publish","topic":"a","data":1,{fields}}}"#);
    let Verb::Publish { options, .. } = verb(&text) else {
        panic!("{text}")
    };
    options
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
        recovered: None,
        is_recoverable: false,
        has_deltas: false,
        publications: Vec::new(),
        granted: None,
    };
    let back = [Ok(()), Err(Loss::EpochChanged)].map(|recovered| SubscribedTopic {
        recovered: Some(recovered),
        ..at.clone()
    });
    assert_eq!(
        reply(Some("1"), &Reply::Subscribed { topics: vec![at] }),
        r#"{"type":"subscribed","id":1,"topics":[{"topic":"a\"b","epoch":"10","offset":7}]}"#
    );
    assert_eq!(
        reply(None, &Reply::Subscribed { topics: back.into() }),
        concat!(
            r#"{"type":"subscribed","topics":[{"topic":"a\"b","epoch":"10","offset":7,"recovered":true},"#,
            r#"{"topic":"a\"b","epoch":"10","offset":7,"recovered":false,"reason":"epoch_changed"}]}"#
        )
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
    assert_eq!(reply(Some("2"), &Reply::Sent), r#"{"type":"sent","id":2}"#);
    assert_eq!(
        reply(None, &Reply::Pong { time: Timestamp(5) }),
        r#"{"type":"pong","time":5}"#
    );
}

#[test]
fn pushes_are_written() {
    let welcome = Welcome {
        connection: ConnectionId::new(0, 1, 2),
        user: Some(UserName::parse("alice").unwrap()),
        auth_timeout_ms: None,
        expires_at: None,
        time: Timestamp(0),
        ping_interval_ms: 25_000,
        pong_timeout_ms: 10_000,
        message_bytes_max: 65_536,
        subscriptions_max: 128,
        commands_per_second: None,
        bytes_per_second: None,
        data: None,
        key: None,
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
            from: Some(Publisher {
                connection: ConnectionId::new(0, 0, 1),
                user: None,
                info: None,
                topic_info: None,
            }),
            ..Draft::new(
                TopicName::parse("a").unwrap(),
                payload,
                Timestamp(1_700_000_000_000),
            )
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
fn what_no_client_of_this_dialect_asks_for_is_told_in_the_nearest_words_or_not_at_all() {
    let topic = TopicName::parse("a").unwrap();
    let attendance = Attendance {
        connections: 3,
        users: 1,
        anonymous: 1,
    };
    assert_eq!(
        reply(
            None,
            &Reply::Attendance {
                topic: topic.clone(),
                attendance
            }
        ),
        r#"{"type":"presence","topic":"a","connections":3,"users":1,"members":[]}"#
    );
    assert_eq!(
        push(&Push::LeaveEnded { topic: topic.clone() }),
        r#"{"type":"unsubscribed","topics":["a"],"reason":"expired"}"#
    );
    let mut frame = Vec::new();
    encode_push(&Push::PositionLost { topic }, &mut frame);
    let granted = Granted::default();
    encode_reply(None, &Reply::Renewed { granted }, &mut frame);
    assert!(frame.is_empty(), "{frame:?}");
}

#[test]
fn the_page_of_the_dialect_names_every_message() {
    let page = include_str!("../../../../../docs/protocol/json.md");
    let answers = [
        "welcome",
        "subscribed",
        "unsubscribed",
        "published",
        "history",
        "presence",
        "attendance",
        "sent",
        "pong",
        "message",
        "occupancy",
        "missed",
        "error",
        "goodbye",
    ];
    let verbs = decode::VERBS.split(", ").map(|verb| verb.trim_matches('`'));
    for name in verbs.chain(answers) {
        assert!(
            page.contains(&format!("| `{name}` |")),
            "docs/protocol/json.md has no row for `{name}`"
        );
    }
}
