//! What clients say.

use super::wire::{int, message, part, text};
use super::*;
use crate::codes::{Disconnect, ErrorCode};
use crate::dialect::BadMessage;
use crate::{
    Command, CommandId, Comparison, Greeting, PRESENCE_PAGE_MAX, PublishOptions, Reading, Since, TagFilter,
    Verb, Wanted,
};

/// Reads a command in both encodings, which must say the same.
fn read(json: &str, protobuf: &[u8]) -> Result<Command<'static>, BadMessage> {
    let by_json = decode(Encoding::Json, json.as_bytes());
    let by_protobuf = decode(Encoding::Protobuf, protobuf);
    assert_eq!(by_json, by_protobuf, "{json}");
    by_json
}

/// What command 1 asks for.
fn asked(json: &str, fields: &[Vec<u8>]) -> Verb<'static> {
    let command = read(json, &one(fields)).unwrap_or_else(|bad| panic!("{json}: {bad:?}"));
    assert_eq!(command.id, Some(CommandId::of(1)), "{json}");
    command.verb
}

/// Why command 1 closes the connection.
fn fatal(json: &str, fields: &[Vec<u8>]) -> Disconnect {
    match read(json, &one(fields)) {
        Err(BadMessage::Fatal(cause)) => cause,
        other => panic!("{json}: {other:?}"),
    }
}

/// Why command 1 is refused.
fn refused(json: &str, fields: &[Vec<u8>]) -> ErrorCode {
    match read(json, &one(fields)) {
        Err(BadMessage::Rejected(rejection)) => {
            assert_eq!(rejection.id, Some(CommandId::of(1)), "{json}");
            rejection.code
        }
        other => panic!("{json}: {other:?}"),
    }
}

/// Command 1 with more fields.
fn one(fields: &[Vec<u8>]) -> Vec<u8> {
    message(&[&[int(1, 1)], fields].concat())
}

fn wanted(topic: &'static str, since: Option<Position>) -> Wanted<'static> {
    Wanted {
        topic: topic.into(),
        since: since.map(Since::Position),
    }
}

#[test]
fn connect() {
    let nothing = asked(r#"{"id":1,"connect":{}}"#, &[part(4, &[])]);
    let hello = |token: Option<&'static str>, places, greeting| Verb::Hello {
        token: token.map(Into::into),
        places,
        greeting: Box::new(greeting),
    };
    assert_eq!(nothing, hello(None, Vec::new(), Greeting::default()));
    let everything = asked(
        r#"{"id":1,"connect":{"token":"t","data":{"a":1},"subs":{"a":{"recover":true,"epoch":"abc","offset":300}},"name":"js","version":"1","headers":{"h":"v"},"flag":1}}"#,
        &[part(
            4,
            &[
                text(1, "t"),
                text(2, r#"{"a":1}"#),
                part(
                    3,
                    &[text(1, "a"), part(2, &[int(3, 1), text(6, "abc"), int(7, 300)])],
                ),
                text(4, "js"),
                text(5, "1"),
                part(6, &[text(1, "h"), text(2, "v")]),
                int(7, 1),
            ],
        )],
    );
    let json = serde_json::from_str::<&RawValue>(r#"{"a":1}"#).unwrap();
    let greeting = Greeting {
        data: Some(Payload::json(json)),
        name: "js".to_owned(),
        version: "1".to_owned(),
        topics: vec![TopicName::parse("a").unwrap()],
        headers: [("h".to_owned(), "v".to_owned())].into(),
    };
    let places = vec![wanted("a", Some(at(300)))];
    assert_eq!(everything, hello(Some("t"), places, greeting));
    let not_recovering = asked(
        r#"{"id":1,"connect":{"subs":{"$a":{"offset":3}}}}"#,
        &[part(4, &[part(3, &[text(1, "$a"), part(2, &[int(7, 3)])])])],
    );
    let greeting = Greeting {
        topics: vec![TopicName::parse("%24a").unwrap()],
        ..Greeting::default()
    };
    assert_eq!(not_recovering, hello(None, Vec::new(), greeting));
}

fn subscribe_to(wanted: Wanted<'static>, is_all: bool, token: Option<&'static str>) -> Verb<'static> {
    Verb::Subscribe {
        topics: vec![wanted],
        occupancy: false,
        every: None,
        presence: is_all,
        deltas: is_all,
        filter: None,
        insists: is_all,
        token: token.map(Into::into),
    }
}

#[test]
fn subscribe() {
    let now = asked(
        r#"{"id":1,"subscribe":{"channel":"a"}}"#,
        &[part(5, &[text(1, "a")])],
    );
    assert_eq!(now, subscribe_to(wanted("a", None), false, None));
    let everything = asked(
        r#"{"id":1,"subscribe":{"channel":"$a#1","token":"t","recover":true,"epoch":"abc","offset":7,"data":{},"positioned":true,"recoverable":true,"join_leave":true,"delta":"fossil","flag":2}}"#,
        &[part(
            5,
            &[
                text(1, "$a#1"),
                text(2, "t"),
                int(3, 1),
                text(6, "abc"),
                int(7, 7),
                text(8, "{}"),
                int(9, 1),
                int(10, 1),
                int(11, 1),
                text(12, "fossil"),
                int(14, 2),
            ],
        )],
    );
    assert_eq!(
        everything,
        subscribe_to(wanted("%24a%231", Some(at(7))), true, Some("t"))
    );
}

#[test]
fn subscribe_to_what_has_certain_tags() {
    let leaf = [text(2, "k"), text(3, "in"), text(5, "a"), text(5, "b")];
    let other = [text(2, "n"), text(3, "eq"), text(4, "1")];
    let verb = asked(
        r#"{"id":1,"subscribe":{"channel":"a","tf":{"op":"and","nodes":[{"key":"k","cmp":"in","vals":["a","b"]},{"key":"n","cmp":"eq","val":"1"}]}}}"#,
        &[part(
            5,
            &[
                text(1, "a"),
                part(13, &[text(1, "and"), part(6, &leaf), part(6, &other)]),
            ],
        )],
    );
    let one_of = |name: &str, values: &[&str]| TagFilter::Tag {
        name: name.into(),
        is: Comparison::OneOf(values.iter().map(|&value| value.into()).collect()),
    };
    let Verb::Subscribe { filter, .. } = verb else {
        panic!("{verb:?}");
    };
    let expected = TagFilter::All(vec![one_of("k", &["a", "b"]), one_of("n", &["1"])]);
    assert_eq!(filter.as_deref(), Some(&expected));
}

#[test]
fn subscribe_to_what_is_not_there() {
    let map = refused(
        r#"{"id":1,"subscribe":{"channel":"a","type":1,"phase":2,"cursor":"c","limit":10,"asc":true}}"#,
        &[part(
            5,
            &[
                text(1, "a"),
                int(15, 1),
                int(16, 2),
                text(17, "c"),
                int(18, 10),
                int(19, 1),
            ],
        )],
    );
    assert_eq!(map, ErrorCode::NotAvailable);
    let delta = fatal(
        r#"{"id":1,"subscribe":{"channel":"a","delta":"xdelta"}}"#,
        &[part(5, &[text(1, "a"), text(12, "xdelta")])],
    );
    assert_eq!(delta, Disconnect::ProtocolError);
}

#[test]
fn unsubscribe() {
    let verb = asked(
        r#"{"id":1,"unsubscribe":{"channel":"a"}}"#,
        &[part(6, &[text(1, "a")])],
    );
    assert_eq!(
        verb,
        Verb::Unsubscribe {
            topics: vec!["a".into()]
        }
    );
}

fn publish_of(payload: Payload) -> Verb<'static> {
    Verb::Publish {
        topic: "a".into(),
        payload,
        options: PublishOptions::default(),
        echo: true,
    }
}

#[test]
fn publish() {
    let data = r#"{"b": [1.50]}"#;
    let verb = asked(
        r#"{"id":1,"publish":{"channel":"a","data":{"b": [1.50]}}}"#,
        &[part(7, &[text(1, "a"), text(2, data)])],
    );
    assert_eq!(verb, publish_of(json(data)));
    let bytes = one(&[part(7, &[text(1, "a"), text(2, b"\xff\0")])]);
    let verb = decode(Encoding::Protobuf, &bytes).unwrap().verb;
    assert_eq!(verb, publish_of(Payload::binary(vec![0xff, 0])));
    let nothing = refused(
        r#"{"id":1,"publish":{"channel":"a"}}"#,
        &[part(7, &[text(1, "a")])],
    );
    assert_eq!(nothing, ErrorCode::BadCommand);
    let to_map = refused(
        r#"{"id":1,"publish":{"channel":"a","data":1,"type":1,"key":"k","removed":true}}"#,
        &[part(
            7,
            &[text(1, "a"), text(2, "1"), int(3, 1), text(4, "k"), int(5, 1)],
        )],
    );
    assert_eq!(to_map, ErrorCode::NotAvailable);
}

#[test]
fn presence_and_its_stats() {
    let verb = asked(
        r#"{"id":1,"presence":{"channel":"a"}}"#,
        &[part(8, &[text(1, "a")])],
    );
    assert_eq!(
        verb,
        Verb::Presence {
            topic: "a".into(),
            after: None,
            limit: PRESENCE_PAGE_MAX,
        }
    );
    let verb = asked(
        r#"{"id":1,"presence_stats":{"channel":"a"}}"#,
        &[part(9, &[text(1, "a")])],
    );
    assert_eq!(verb, Verb::Attendance { topic: "a".into() });
}

#[test]
fn history() {
    let of = |reading, limit| Verb::History {
        topic: "a".into(),
        reading,
        limit,
    };
    let place = || part(8, &[int(1, 7), text(2, "abc")]);
    let top = asked(
        r#"{"id":1,"history":{"channel":"a"}}"#,
        &[part(10, &[text(1, "a")])],
    );
    assert_eq!(top, of(Reading::Oldest, 0));
    let newest = asked(
        r#"{"id":1,"history":{"channel":"a","limit":3,"reverse":true}}"#,
        &[part(10, &[text(1, "a"), int(7, 3), int(9, 1)])],
    );
    assert_eq!(newest, of(Reading::Newest, 3));
    let after = asked(
        r#"{"id":1,"history":{"channel":"a","limit":301,"since":{"offset":7,"epoch":"abc"}}}"#,
        &[part(10, &[text(1, "a"), int(7, 301), place()])],
    );
    assert_eq!(after, of(Reading::Since(Since::Position(at(7))), 300));
    // A negative int32 is ten bytes long.
    let before = asked(
        r#"{"id":1,"history":{"channel":"a","limit":-1,"since":{"offset":7,"epoch":"abc"},"reverse":true}}"#,
        &[part(10, &[text(1, "a"), int(7, u64::MAX), place(), int(9, 1)])],
    );
    assert_eq!(before, of(Reading::Before(at(7)), 300));
    let before_all = refused(
        r#"{"id":1,"history":{"channel":"a","since":{"epoch":"abc"},"reverse":true}}"#,
        &[part(10, &[text(1, "a"), part(8, &[text(2, "abc")]), int(9, 1)])],
    );
    assert_eq!(before_all, ErrorCode::BadCommand);
}

#[test]
fn rpc_and_refresh() {
    let call = asked(
        r#"{"id":1,"rpc":{"method":"sum","data":[1,2]}}"#,
        &[part(13, &[text(1, "[1,2]"), text(2, "sum")])],
    );
    assert_eq!(
        call,
        Verb::Call {
            method: "sum".into(),
            payload: json("[1,2]"),
        }
    );
    let refresh = asked(
        r#"{"id":1,"refresh":{"token":"t"}}"#,
        &[part(14, &[text(1, "t")])],
    );
    assert_eq!(refresh, Verb::Authenticate { token: "t".into() });
}

#[test]
fn sub_refresh() {
    let renew = asked(
        r#"{"id":1,"sub_refresh":{"channel":"$a","token":"t"}}"#,
        &[part(15, &[text(1, "$a"), text(2, "t")])],
    );
    let expected = Verb::Renew {
        topic: "%24a".into(),
        token: "t".into(),
    };
    assert_eq!(renew, expected);
    for kind in [1, 2] {
        let shared_poll = refused(
            &format!(r#"{{"id":1,"sub_refresh":{{"channel":"a","type":{kind}}}}}"#),
            &[part(15, &[text(1, "a"), int(3, kind)])],
        );
        assert_eq!(shared_poll, ErrorCode::NotAvailable);
    }
}

#[test]
fn pong_and_all_else_without_an_id() {
    for (json, fields) in [
        ("{}", vec![]),
        (r#"{"rpc":{"method":"sum"}}"#, vec![part(13, &[text(2, "sum")])]),
        (r#"{"id":0,"ping":{}}"#, vec![part(11, &[])]),
    ] {
        let command = read(json, &message(&fields)).unwrap();
        assert_eq!((command.id, command.verb), (None, Verb::Pong), "{json}");
    }
}

#[test]
fn send_and_ping_that_nobody_takes() {
    let send = || part(12, &[text(1, "1")]);
    let unanswered = read(r#"{"send":{"data":1}}"#, &message(&[send()]));
    assert!(matches!(
        unanswered,
        Err(BadMessage::Fatal(Disconnect::NotAvailable))
    ));
    assert_eq!(
        fatal(r#"{"id":1,"send":{"data":1}}"#, &[send()]),
        Disconnect::NotAvailable
    );
    assert_eq!(
        fatal(r#"{"id":1,"ping":{}}"#, &[part(11, &[])]),
        Disconnect::ProtocolError
    );
    assert_eq!(
        fatal(r#"{"id":1}"#, &[]),
        Disconnect::ProtocolError,
        "nothing is asked"
    );
}

#[test]
fn of_no_channel() {
    let names = [
        ("subscribe", 5),
        ("unsubscribe", 6),
        ("publish", 7),
        ("presence", 8),
        ("presence_stats", 9),
        ("history", 10),
    ];
    for (name, number) in names {
        let cause = fatal(&format!(r#"{{"id":1,"{name}":{{}}}}"#), &[part(number, &[])]);
        assert_eq!(cause, Disconnect::ProtocolError, "{name}");
    }
}

#[test]
fn where_several_things_are_said_the_first_of_the_protocol_is_taken() {
    let verb = asked(
        r#"{"id":1,"refresh":{"token":"t"},"unsubscribe":{"channel":"a"}}"#,
        &[part(14, &[text(1, "t")]), part(6, &[text(1, "a")])],
    );
    assert!(matches!(verb, Verb::Unsubscribe { .. }));
}
