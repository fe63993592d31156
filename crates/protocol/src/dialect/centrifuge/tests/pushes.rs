//! What clients are told unasked.

use super::wire::{int, message, part, text};
use super::*;
use crate::dialect::Direct;
use crate::{Attendance, PresenceDiff, Present, Push, Reply, SubscribedTopic, Tags};

/// Holds what is said in both encodings against pushes as they travel.
fn check(put: impl Fn(Encoding, &mut Vec<u8>), json: &[&str], pushes: &[Vec<u8>]) {
    let written = |encoding| {
        let mut bytes = Vec::new();
        put(encoding, &mut bytes);
        bytes
    };
    let lines: Vec<String> = json.iter().map(|push| format!(r#"{{"push":{push}}}"#)).collect();
    let text = String::from_utf8(written(Encoding::Json)).unwrap();
    assert_eq!(text, lines.join("\n"));
    let messages: Vec<Vec<u8>> = pushes
        .iter()
        .map(|push| message(std::slice::from_ref(push)))
        .collect();
    assert_eq!(written(Encoding::Protobuf), messages.concat(), "{json:?}");
}

fn of_publication(said: &Publication) -> impl Fn(Encoding, &mut Vec<u8>) {
    |encoding, bytes| publication(framed(encoding), said, bytes)
}

fn of_push(said: &Push) -> impl Fn(Encoding, &mut Vec<u8>) {
    |encoding, bytes| push(framed(encoding), said, bytes)
}

fn of_reply(said: &Reply) -> impl Fn(Encoding, &mut Vec<u8>) {
    |encoding, bytes| reply(framed(encoding), None, said, bytes)
}

#[test]
fn a_publication() {
    check(
        of_publication(&published(2, json("{\"b\":\r\n1}"))),
        &[r#"{"channel":"a","pub":{"data":{"b":1},"offset":2,"time":1500}}"#],
        &[part(
            4,
            &[
                text(2, "a"),
                part(4, &[text(4, "{\"b\":\r\n1}"), int(6, 2), int(9, 1_500)]),
            ],
        )],
    );
}

#[test]
fn a_publication_of_which_all_is_said() {
    let mut said = published(1, json("1"));
    said.draft.topic = topic("%24a");
    said.draft.from = Some(ada());
    said.draft.tags = Tags::parse([("tag", "value")]).unwrap();
    let info = [text(1, "ada"), text(2, CLIENT), text(3, r#"{"n":1}"#)];
    check(
        of_publication(&said),
        &[&format!(
            r#"{{"channel":"$a","pub":{{"data":1,"info":{{"user":"ada","client":"{CLIENT}","conn_info":{{"n":1}}}},"offset":1,"tags":{{"tag":"value"}},"time":1500,"epoch":"abc"}}}}"#
        )],
        &[part(
            4,
            &[
                text(2, "$a"),
                part(
                    4,
                    &[
                        text(4, "1"),
                        part(5, &info),
                        int(6, 1),
                        part(7, &[text(1, "tag"), text(2, "value")]),
                        int(9, 1_500),
                        text(14, "abc"),
                    ],
                ),
            ],
        )],
    );
}

#[test]
fn a_publication_of_text_is_a_string_and_one_of_bytes_has_no_form_in_json() {
    check(
        of_publication(&published(2, Payload::text("say \"hi\""))),
        &[r#"{"channel":"a","pub":{"data":"say \"hi\"","offset":2,"time":1500}}"#],
        &[part(
            4,
            &[
                text(2, "a"),
                part(4, &[text(4, "say \"hi\""), int(6, 2), int(9, 1_500)]),
            ],
        )],
    );
    check(
        of_publication(&published(2, Payload::binary(vec![0xff]))),
        &[],
        &[part(
            4,
            &[
                text(2, "a"),
                part(4, &[text(4, b"\xff"), int(6, 2), int(9, 1_500)]),
            ],
        )],
    );
}

#[test]
fn a_publication_as_what_has_changed() {
    let first = json(r#"{"text":"the quick brown fox jumps over the lazy dog","n":1}"#);
    let second = r#"{"text":"the quick brown fox jumps over the lazy dog","n":2}"#;
    let said = published(2, json(second));
    // As it is where nothing was before; in JSON as a string.
    check(
        |encoding, bytes| delta(framed(encoding), &said, None, bytes),
        &[&format!(
            r#"{{"channel":"a","pub":{{"data":{second:?},"offset":2,"time":1500}}}}"#
        )],
        &[part(
            4,
            &[
                text(2, "a"),
                part(4, &[text(4, second), int(6, 2), int(9, 1_500)]),
            ],
        )],
    );
    // 60 bytes (`x`) of which 58 (`v`) are those at the beginning of the one before and two are new, and their sum.
    let change = "x\nv@0,2:2}1uaIUS;";
    check(
        |encoding, bytes| delta(framed(encoding), &said, Some(&first), bytes),
        &[&format!(
            r#"{{"channel":"a","pub":{{"data":{change:?},"offset":2,"delta":true,"time":1500}}}}"#
        )],
        &[part(
            4,
            &[
                text(2, "a"),
                part(4, &[text(4, change), int(6, 2), int(8, 1), int(9, 1_500)]),
            ],
        )],
    );
}

#[test]
fn a_message_is_what_is_sent_to_a_user_or_a_connection() {
    let sent = Direct {
        from: None,
        time: Timestamp(1_500),
        payload: json("[1]"),
    };
    let expected = (
        [r#"{"message":{"data":[1]}}"#],
        [part(4, &[part(8, &[text(1, "[1]")])])],
    );
    check(
        |encoding, bytes| direct(framed(encoding), &sent, bytes),
        &expected.0,
        &expected.1,
    );
    let mut to_user = published(3, json("[1]"));
    to_user.draft.topic = TopicName::of_user(&ada().user.unwrap());
    check(of_publication(&to_user), &expected.0, &expected.1);
}

#[test]
fn join_and_leave() {
    let present = |user: Option<UserName>| Present {
        connection: client(),
        user,
        info: None,
        since: Timestamp(0),
        topic_info: None,
    };
    let diff = Push::Attendance(PresenceDiff {
        topic: topic("a"),
        attendance: Attendance::default(),
        came: vec![present(ada().user)],
        went: vec![present(None)],
    });
    check(
        of_push(&diff),
        &[
            &format!(r#"{{"channel":"a","join":{{"info":{{"user":"ada","client":"{CLIENT}"}}}}}}"#),
            &format!(r#"{{"channel":"a","leave":{{"info":{{"user":"","client":"{CLIENT}"}}}}}}"#),
        ],
        &[
            part(
                4,
                &[
                    text(2, "a"),
                    part(5, &[part(1, &[text(1, "ada"), text(2, CLIENT)])]),
                ],
            ),
            part(4, &[text(2, "a"), part(6, &[part(1, &[text(2, CLIENT)])])]),
        ],
    );
}

#[test]
fn subscribe() {
    let begun = |is_recoverable| SubscribedTopic {
        topic: topic("a"),
        position: at(5),
        recovered: None,
        is_recoverable,
        publications: Vec::new(),
        granted: None,
        has_deltas: false,
    };
    check(
        of_reply(&Reply::Subscribed {
            topics: vec![begun(true), begun(false)],
        }),
        &[
            r#"{"channel":"a","subscribe":{"recoverable":true,"epoch":"abc","offset":5,"positioned":true}}"#,
            r#"{"channel":"a","subscribe":{}}"#,
        ],
        &[
            part(
                4,
                &[
                    text(2, "a"),
                    part(9, &[int(1, 1), text(4, "abc"), int(5, 5), int(6, 1)]),
                ],
            ),
            part(4, &[text(2, "a"), part(9, &[])]),
        ],
    );
}

#[test]
fn unsubscribe() {
    let unsubscribe =
        |code, reason: &str| part(4, &[text(2, "a"), part(7, &[int(2, code), text(3, reason)])]);
    check(
        of_reply(&Reply::Unsubscribed {
            topics: vec![topic("a")],
        }),
        &[r#"{"channel":"a","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}"#],
        &[unsubscribe(2_000, "server unsubscribe")],
    );
    check(
        of_push(&Push::PositionLost { topic: topic("a") }),
        &[r#"{"channel":"a","unsubscribe":{"code":2500,"reason":"insufficient state"}}"#],
        &[unsubscribe(2_500, "insufficient state")],
    );
    check(
        of_push(&Push::LeaveEnded { topic: topic("a") }),
        &[r#"{"channel":"a","unsubscribe":{"code":2501,"reason":"subscription expired"}}"#],
        &[unsubscribe(2_501, "subscription expired")],
    );
}

#[test]
fn ping() {
    assert_eq!(Encoding::Json.ping(), b"{}");
    assert_eq!(Encoding::Protobuf.ping(), b"\0");
}

#[test]
fn refresh() {
    let renewed = |expires_at| Reply::Authenticated {
        connection: client(),
        time: Timestamp(1_000),
        user: None,
        expires_at,
    };
    check(
        of_reply(&renewed(Some(Timestamp(11_000)))),
        &[r#"{"refresh":{"expires":true,"ttl":10}}"#],
        &[part(4, &[part(12, &[int(1, 1), int(2, 10)])])],
    );
    check(
        of_reply(&renewed(None)),
        &[r#"{"refresh":{}}"#],
        &[part(4, &[part(12, &[])])],
    );
}
