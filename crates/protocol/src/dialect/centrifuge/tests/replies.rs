//! What commands are answered.

use super::wire::{int, message, part, text};
use super::*;
use crate::codes::ErrorCode;
use crate::{
    Attendance, CommandId, Granted, HistoryPage, Loss, PresencePage, Present, Reply, SubscribedTopic, Welcome,
};

/// Holds the answer to command 7 against how it travels.
fn check(said: &Reply, json: &str, fields: &[Vec<u8>]) {
    let written = |encoding| {
        let mut bytes = Vec::new();
        reply(framed(encoding), Some(&CommandId::of(7)), said, &mut bytes);
        bytes
    };
    let text = String::from_utf8(written(Encoding::Json)).unwrap();
    assert_eq!(text, format!(r#"{{"id":7,{json}}}"#));
    let expected = message(&[&[int(1, 7)], fields].concat());
    assert_eq!(written(Encoding::Protobuf), expected, "{json}");
}

fn version() -> String {
    format!("Fanfare {}", env!("CARGO_PKG_VERSION"))
}

fn begun(name: &str) -> SubscribedTopic {
    SubscribedTopic {
        topic: topic(name),
        position: at(5),
        recovered: None,
        is_recoverable: true,
        publications: Vec::new(),
        granted: None,
        has_deltas: false,
    }
}

fn welcome() -> Welcome {
    Welcome {
        key: None,
        connection: client(),
        user: None,
        auth_timeout_ms: None,
        expires_at: None,
        time: Timestamp(1_000),
        ping_interval_ms: 25_000,
        pong_timeout_ms: 8_000,
        message_bytes_max: 65_536,
        subscriptions_max: 128,
        commands_per_second: None,
        bytes_per_second: None,
        data: None,
    }
}

#[test]
fn connect() {
    let welcomed = Reply::Welcomed {
        welcome: welcome(),
        topics: Vec::new(),
    };
    let version = version();
    check(
        &welcomed,
        &format!(
            r#""connect":{{"client":"{CLIENT}","version":"{version}","ping":25,"pong":true,"time":1000}}"#
        ),
        &[part(
            5,
            &[
                text(1, CLIENT),
                text(2, &version),
                int(7, 25),
                int(8, 1),
                int(11, 1_000),
            ],
        )],
    );
}

#[test]
fn connect_with_subscriptions_until_the_token_ends() {
    let passing = SubscribedTopic {
        is_recoverable: false,
        ..begun("b")
    };
    let welcomed = Reply::Welcomed {
        welcome: Welcome {
            expires_at: Some(Timestamp(60_001)),
            ..welcome()
        },
        topics: vec![begun("%24a"), passing],
    };
    let version = version();
    let of_a = [int(3, 1), text(6, "abc"), int(9, 5), int(10, 1)];
    check(
        &welcomed,
        &format!(
            r#""connect":{{"client":"{CLIENT}","version":"{version}","expires":true,"ttl":60,"subs":{{"$a":{{"recoverable":true,"epoch":"abc","offset":5,"positioned":true}},"b":{{}}}},"ping":25,"pong":true,"time":1000}}"#
        ),
        &[part(
            5,
            &[
                text(1, CLIENT),
                text(2, &version),
                int(3, 1),
                int(4, 60),
                part(6, &[text(1, "$a"), part(2, &of_a)]),
                // The libraries of JavaScript and Go end where an entry has no value.
                part(6, &[text(1, "b"), part(2, &[])]),
                int(7, 25),
                int(8, 1),
                int(11, 1_000),
            ],
        )],
    );
}

#[test]
fn connect_with_what_the_application_has_for_the_client() {
    let json = serde_json::from_str::<&RawValue>(r#"{"a": 1}"#).unwrap();
    let welcomed = Reply::Welcomed {
        welcome: Welcome {
            data: Some(Payload::json(json)),
            ..welcome()
        },
        topics: Vec::new(),
    };
    let version = version();
    check(
        &welcomed,
        &format!(
            r#""connect":{{"client":"{CLIENT}","version":"{version}","data":{{"a": 1}},"ping":25,"pong":true,"time":1000}}"#
        ),
        &[part(
            5,
            &[
                text(1, CLIENT),
                text(2, &version),
                text(5, r#"{"a": 1}"#),
                int(7, 25),
                int(8, 1),
                int(11, 1_000),
            ],
        )],
    );
}

#[test]
fn subscribe() {
    let subscribed = |begun| Reply::Subscribed { topics: vec![begun] };
    check(
        &subscribed(begun("a")),
        r#""subscribe":{"recoverable":true,"epoch":"abc","offset":5,"positioned":true}"#,
        &[part(6, &[int(3, 1), text(6, "abc"), int(9, 5), int(10, 1)])],
    );
    let passing = SubscribedTopic {
        is_recoverable: false,
        ..begun("a")
    };
    check(&subscribed(passing), r#""subscribe":{}"#, &[part(6, &[])]);
    let lost = SubscribedTopic {
        recovered: Some(Err(Loss::TooOld)),
        ..begun("a")
    };
    check(
        &subscribed(lost),
        r#""subscribe":{"recoverable":true,"epoch":"abc","offset":5,"positioned":true,"was_recovering":true}"#,
        &[part(
            6,
            &[int(3, 1), text(6, "abc"), int(9, 5), int(10, 1), int(12, 1)],
        )],
    );
}

#[test]
fn subscribe_with_what_was_missed() {
    let recovered = SubscribedTopic {
        recovered: Some(Ok(())),
        publications: vec![
            Arc::new(published(6, json("{\"b\":\n 1}"))),
            Arc::new(published(7, json("2"))),
        ],
        ..begun("a")
    };
    check(
        &Reply::Subscribed {
            topics: vec![recovered],
        },
        r#""subscribe":{"recoverable":true,"epoch":"abc","publications":[{"data":{"b": 1},"offset":6,"time":1500},{"data":2,"offset":7,"time":1500}],"recovered":true,"offset":5,"positioned":true,"was_recovering":true}"#,
        &[part(
            6,
            &[
                int(3, 1),
                text(6, "abc"),
                part(7, &[text(4, "{\"b\":\n 1}"), int(6, 6), int(9, 1_500)]),
                part(7, &[text(4, "2"), int(6, 7), int(9, 1_500)]),
                int(8, 1),
                int(9, 5),
                int(10, 1),
                int(12, 1),
            ],
        )],
    );
}

#[test]
fn what_comes_with_a_subscription() {
    let with = |granted| SubscribedTopic {
        is_recoverable: false,
        granted: Some(Box::new(granted)),
        ..begun("a")
    };
    let granted = Granted {
        expires_at: Some(Timestamp(2_500)),
        time: Timestamp(1_000),
        data: Some(json("[\n1]")),
    };
    check(
        &Reply::Subscribed {
            topics: vec![with(granted.clone())],
        },
        r#""subscribe":{"expires":true,"ttl":2,"data":[1]}"#,
        &[part(6, &[int(1, 1), int(2, 2), text(11, "[\n1]")])],
    );
    check(
        &Reply::Renewed {
            granted: granted.clone(),
        },
        r#""sub_refresh":{"expires":true,"ttl":2}"#,
        &[part(15, &[int(1, 1), int(2, 2)])],
    );
    let for_ever = Granted {
        expires_at: None,
        ..granted
    };
    check(
        &Reply::Renewed { granted: for_ever },
        r#""sub_refresh":{}"#,
        &[part(15, &[])],
    );
}

#[test]
fn unsubscribe_and_publish() {
    let unsubscribed = Reply::Unsubscribed {
        topics: vec![topic("a")],
    };
    check(&unsubscribed, r#""unsubscribe":{}"#, &[part(7, &[])]);
    let published = Reply::Published {
        topic: topic("a"),
        position: at(1),
        is_repetition: false,
    };
    check(&published, r#""publish":{}"#, &[part(8, &[])]);
}

#[test]
fn presence_and_its_stats() {
    let attendance = Attendance {
        connections: 4,
        users: 1,
        anonymous: 2,
    };
    let present = Present {
        connection: client(),
        user: ada().user,
        info: ada().info,
        since: Timestamp(0),
        topic_info: Some(r#"{"m":2}"#.into()),
    };
    let page = PresencePage {
        topic: topic("a"),
        attendance,
        members: vec![present],
        next: None,
    };
    let info = [
        text(1, "ada"),
        text(2, CLIENT),
        text(3, r#"{"n":1}"#),
        text(4, r#"{"m":2}"#),
    ];
    check(
        &Reply::Presence(page),
        &format!(
            r#""presence":{{"presence":{{"{CLIENT}":{{"user":"ada","client":"{CLIENT}","conn_info":{{"n":1}},"chan_info":{{"m":2}}}}}}}}"#
        ),
        &[part(9, &[part(1, &[text(1, CLIENT), part(2, &info)])])],
    );
    let stats = Reply::Attendance {
        topic: topic("a"),
        attendance,
    };
    check(
        &stats,
        r#""presence_stats":{"num_clients":4,"num_users":2}"#,
        &[part(10, &[int(1, 4), int(2, 2)])],
    );
}

fn page(publications: Vec<Arc<Publication>>, recovered: Option<Result<(), Loss>>) -> Reply {
    Reply::History(HistoryPage {
        topic: topic("a"),
        end: at(9),
        recovered,
        publications,
        next: None,
    })
}

#[test]
fn history() {
    let mut first = published(1, json("true"));
    first.draft.from = Some(ada());
    check(
        &page(vec![Arc::new(first)], None),
        &format!(
            r#""history":{{"publications":[{{"data":true,"info":{{"user":"ada","client":"{CLIENT}","conn_info":{{"n":1}}}},"offset":1,"time":1500,"epoch":"abc"}}],"epoch":"abc","offset":9}}"#
        ),
        &[part(
            11,
            &[
                part(
                    1,
                    &[
                        text(4, "true"),
                        part(5, &[text(1, "ada"), text(2, CLIENT), text(3, r#"{"n":1}"#)]),
                        int(6, 1),
                        int(9, 1_500),
                        text(14, "abc"),
                    ],
                ),
                text(2, "abc"),
                int(3, 9),
            ],
        )],
    );
    check(
        &page(Vec::new(), None),
        r#""history":{"publications":[],"epoch":"abc","offset":9}"#,
        &[part(11, &[text(2, "abc"), int(3, 9)])],
    );
}

#[test]
fn history_from_a_place_that_is_no_more() {
    check(
        &page(Vec::new(), Some(Err(Loss::EpochChanged))),
        r#""error":{"code":112,"message":"unrecoverable position"}"#,
        &[part(2, &[int(1, 112), text(2, "unrecoverable position")])],
    );
}

#[test]
fn rpc() {
    let result = |payload| Reply::Result { payload };
    check(
        &result(json("[1]")),
        r#""rpc":{"data":[1]}"#,
        &[part(13, &[text(1, "[1]")])],
    );
    let mut bytes = Vec::new();
    let binary = result(Payload::binary(vec![0xff]));
    reply(
        framed(Encoding::Protobuf),
        Some(&CommandId::of(7)),
        &binary,
        &mut bytes,
    );
    assert_eq!(bytes, message(&[int(1, 7), part(13, &[text(1, b"\xff")])]));
}

#[test]
fn refresh() {
    let version = version();
    let authenticated = |expires_at| Reply::Authenticated {
        connection: client(),
        time: Timestamp(1_000),
        user: None,
        expires_at,
    };
    check(
        &authenticated(Some(Timestamp(11_000))),
        &format!(r#""refresh":{{"client":"{CLIENT}","version":"{version}","expires":true,"ttl":10}}"#),
        &[part(
            14,
            &[text(1, CLIENT), text(2, &version), int(3, 1), int(4, 10)],
        )],
    );
    check(
        &authenticated(None),
        &format!(r#""refresh":{{"client":"{CLIENT}","version":"{version}"}}"#),
        &[part(14, &[text(1, CLIENT), text(2, &version)])],
    );
}

fn error(code: ErrorCode, application_code: Option<u16>) -> Reply {
    Reply::Error {
        code,
        message: "what we say".to_owned(),
        retry_after_ms: None,
        position: None,
        application_code,
    }
}

#[test]
fn errors() {
    for (code, number, message, is_temporary) in [
        (ErrorCode::StorageFull, 100, "internal server error", true),
        (ErrorCode::Unauthenticated, 101, "unauthorized", false),
        (ErrorCode::Forbidden, 103, "permission denied", false),
        (ErrorCode::NotFound, 104, "method not found", false),
        (ErrorCode::AlreadySubscribed, 105, "already subscribed", false),
        (ErrorCode::TooManySubscriptions, 106, "limit exceeded", false),
        (ErrorCode::BadTopic, 107, "bad request", false),
        (ErrorCode::NotAvailable, 108, "not available", false),
        (ErrorCode::TokenExpired, 109, "token expired", false),
        (ErrorCode::RateLimited, 111, "too many requests", true),
        (ErrorCode::Unrecoverable, 112, "unrecoverable position", false),
    ] {
        let temporary = if is_temporary { r#","temporary":true"# } else { "" };
        let mut fields = vec![int(1, number), text(2, message)];
        fields.extend(is_temporary.then(|| int(3, 1)));
        check(
            &error(code, None),
            &format!(r#""error":{{"code":{number},"message":"{message}"{temporary}}}"#),
            &[part(2, &fields)],
        );
    }
}

#[test]
fn errors_of_the_application() {
    check(
        &error(ErrorCode::Forbidden, Some(1_234)),
        r#""error":{"code":1234,"message":"what we say"}"#,
        &[part(2, &[int(1, 1_234), text(2, "what we say")])],
    );
}
