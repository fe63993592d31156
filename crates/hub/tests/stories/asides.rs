//! Streams whose clients speak beside them, and clients that say hello and only receive, in the words of Centrifuge.

use std::collections::HashMap;

use fanfare_hub::broker::BrokerEvent;
use fanfare_hub::{Answer, Control, Denial, Input, Leave, Output, Retention, Selector};
use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::dialect::centrifuge::{client_of, session_of};
use fanfare_protocol::websocket::{Compression, Item};
use fanfare_protocol::{ConnectionId, Draft, Payload, Position, Publication, SessionKey, Timestamp};
use serde_json::{Value, json};

use crate::driver::{Door, Shard, topic};
use crate::hailing::say;

const SECRET: u128 = 7;

const SPOKEN: [Dialect; 2] = [Dialect::CentrifugeJsonLines, Dialect::CentrifugeJsonEvents];

const UNI: [Dialect; 3] = [
    Dialect::CentrifugeUniJson,
    Dialect::CentrifugeUniJsonLines,
    Dialect::CentrifugeUniJsonEvents,
];

fn door(dialect: Dialect) -> Door {
    let node = dialect.is_spoken_beside().then(|| "n1".into());
    Door {
        dialect,
        key: Some(SessionKey { secret: SECRET, node }),
        ..Door::default()
    }
}

/// The messages that a client got, of a WebSocket or of a stream, in which each has its end; the code of a close frame, and
/// `"ping"` for one of WebSockets.
fn hear(shard: &mut Shard, client: ConnectionId, dialect: Dialect) -> Vec<Value> {
    let parse = |text: &str| serde_json::from_str(text).unwrap();
    if !dialect.is_stream() {
        let frames = shard.read(client).into_iter();
        return frames
            .map(|frame| match frame.split_once(' ') {
                Some(("text", text)) => parse(text),
                Some(("close", code)) => json!(code.parse::<u16>().unwrap()),
                _ => json!(frame),
            })
            .collect();
    }
    let text = String::from_utf8(shard.read_bytes(client)).unwrap();
    let (begin, end) = match dialect {
        Dialect::CentrifugeJsonEvents | Dialect::CentrifugeUniJsonEvents => ("data: ", "\n\n"),
        _ => ("", "\n"),
    };
    assert!(text.is_empty() || text.ends_with(end), "{text:?}");
    text.split_terminator(end)
        .map(|message| parse(message.strip_prefix(begin).unwrap()))
        .collect()
}

/// A client that was let in.
fn client(shard: &mut Shard, dialect: Dialect) -> ConnectionId {
    let client = shard.open(door(dialect));
    let hello = if dialect.is_unidirectional() {
        json!({})
    } else {
        json!({"id": 1, "connect": {}})
    };
    say(shard, client, &hello);
    assert_eq!(hear(shard, client, dialect).len(), 1);
    client
}

/// A client that shows a token to which the application says this; what it hears.
fn refused(shard: &mut Shard, dialect: Dialect, code: ErrorCode) -> Vec<Value> {
    let client = shard.open(Door {
        is_awaited: true,
        ..door(dialect)
    });
    let hello = if dialect.is_unidirectional() {
        json!({"token": "t"})
    } else {
        json!({"id": 1, "connect": {"token": "t"}})
    };
    say(shard, client, &hello);
    let denial = Denial::refused(code, "no");
    shard.handle(Input::Answered(client, Answer::Enter(Err(denial))));
    shard.turn();
    hear(shard, client, dialect)
}

fn disconnected(code: u16, reason: &str) -> Value {
    json!({"code": code, "reason": reason})
}

/// How many tokens counted against their clients.
fn refusals(shard: &Shard) -> usize {
    let is_refusal = |output: &&Output| matches!(output, Output::TokenRefused(_));
    shard.performed.iter().filter(is_refusal).count()
}

#[test]
fn a_stream_is_spoken_to_like_a_websocket_and_knows_its_session() {
    for dialect in SPOKEN {
        let mut shard = Shard::new();
        let client = shard.open(door(dialect));
        say(&mut shard, client, &json!({"id": 1, "connect": {}}));
        say(
            &mut shard,
            client,
            &json!({"id": 2, "subscribe": {"channel": "a"}}),
        );
        let heard = hear(&mut shard, client, dialect);
        let connect = &heard[0]["connect"];
        assert_eq!(connect["client"], client_of(client));
        assert_eq!(connect["session"], session_of(client, SECRET));
        assert_eq!((&connect["node"], &connect["pong"]), (&json!("n1"), &json!(true)));
        assert_eq!((&heard[1]["id"], heard.len()), (&json!(2), 2));
        shard.publish("a", "x");
        shard.publish("a", "y");
        shard.turn();
        let heard = hear(&mut shard, client, dialect);
        let data = |message: &Value| message["push"]["pub"]["data"].clone();
        assert_eq!(heard.iter().map(data).collect::<Vec<_>>(), ["x", "y"]);
        shard.end();
    }
}

#[test]
fn a_stream_of_protobuf_has_each_message_behind_its_length() {
    let mut shard = Shard::new();
    let dialect = Dialect::CentrifugeProtobufStream;
    let client = shard.open(door(dialect));
    let hello = dialect.decode(&Item::Binary(b"\x04\x08\x01\x22\x00"));
    shard.handle(Input::Message(client, hello));
    shard.turn();
    let heard = shard.read_bytes(client);
    assert_eq!(usize::from(heard[0]), heard.len() - 1, "{heard:?}");
    let session = session_of(client, SECRET).into_bytes();
    assert!(heard.windows(session.len()).any(|part| part == session));
    shard.pass(22_000);
    assert_eq!(shard.read_bytes(client), b"\0", "a ping");
    shard.end();
}

#[test]
fn who_speaks_beside_a_stream_answers_its_pings_there() {
    for dialect in SPOKEN {
        let mut shard = Shard::new();
        let (lively, silent) = (client(&mut shard, dialect), client(&mut shard, dialect));
        let mut pings = 0;
        for _ in 0..1_000 {
            shard.pass(100);
            for message in hear(&mut shard, lively, dialect) {
                assert_eq!(message, json!({}));
                pings += 1;
                say(&mut shard, lively, &json!({}));
            }
        }
        assert!(pings >= 3, "{pings}");
        let heard = hear(&mut shard, silent, dialect);
        let last = &heard.last().unwrap()["push"]["disconnect"];
        assert_eq!(*last, disconnected(3012, "no pong"));
        say(&mut shard, lively, &json!({}));
        let heard = hear(&mut shard, lively, dialect);
        assert_eq!(
            heard[0]["push"]["disconnect"]["code"], 3501,
            "nobody asked for it"
        );
        shard.end();
    }
}

#[test]
fn who_only_receives_is_told_bare_pushes() {
    for dialect in UNI {
        let mut shard = Shard::new();
        let client = shard.open(Door {
            granted_topics: &["news"],
            ..door(dialect)
        });
        say(&mut shard, client, &json!({"name": "curl", "later": 1}));
        let heard = hear(&mut shard, client, dialect);
        let connect = &heard[0]["connect"];
        assert_eq!(connect["session"], session_of(client, SECRET));
        assert!(connect["pong"].is_null() && connect["node"].is_null() && connect["ping"].is_u64());
        assert_eq!(
            connect["subs"].as_object().unwrap().keys().collect::<Vec<_>>(),
            ["news"]
        );
        shard.publish("news", "x");
        shard.turn();
        let heard = hear(&mut shard, client, dialect);
        assert_eq!(
            (&heard[0]["channel"], &heard[0]["pub"]["data"]),
            (&json!("news"), &json!("x"))
        );
        let others = || Selector::Connection(client);
        shard.control(Control::Subscribe(others(), vec![topic("a")], Leave::default()));
        shard.turn();
        shard.control(Control::Unsubscribe(others(), vec![topic("a")]));
        shard.turn();
        let heard = hear(&mut shard, client, dialect);
        assert!(heard[0]["subscribe"].is_object(), "{heard:?}");
        assert_eq!(heard[1]["unsubscribe"]["code"], 2000);
        shard.end();
    }
}

#[test]
fn who_only_receives_answers_no_pings() {
    for dialect in UNI {
        let mut shard = Shard::new();
        let client = client(&mut shard, dialect);
        for _ in 0..1_200 {
            shard.pass(100);
            // Libraries for WebSockets answer behind the client's back.
            if !dialect.is_stream() && hear(&mut shard, client, dialect).contains(&json!("ping")) {
                shard.handle(Input::Pong(client));
                shard.hear(client);
            }
        }
        let pings = hear(&mut shard, client, dialect);
        assert!(pings.iter().all(|ping| *ping == json!({})), "{pings:?}");
        assert_eq!(pings.is_empty(), !dialect.is_stream());
        assert!(shard.hub.is_open(client));
        say(&mut shard, client, &json!({}));
        let heard = hear(&mut shard, client, dialect);
        assert_eq!(
            heard[0]["disconnect"]["code"], 3501,
            "it says hello once: {heard:?}"
        );
        shard.end();
    }
    let mut shard = Shard::new();
    let gone = client(&mut shard, Dialect::CentrifugeUniJson);
    shard.pass(60_000);
    let heard = hear(&mut shard, gone, Dialect::CentrifugeUniJson);
    assert_eq!(heard.last(), Some(&json!(3012)), "no pong of the WebSocket came");
    shard.end();
}

#[test]
fn an_error_is_the_end_for_who_only_receives() {
    let mut shard = Shard::new();
    for dialect in UNI {
        for (code, expected, reason) in [
            (ErrorCode::TokenExpired, 3005, "connection expired"),
            (ErrorCode::RateLimited, 3013, "too many requests"),
            (ErrorCode::Forbidden, 3507, "permission denied"),
            (ErrorCode::Unauthenticated, 3500, "invalid token"),
            (ErrorCode::Unavailable, 3004, "internal server error"),
        ] {
            let heard = refused(&mut shard, dialect, code);
            assert_eq!(heard[0]["disconnect"], disconnected(expected, reason), "{code:?}");
            let is_closed = heard.get(1) == Some(&json!(expected));
            assert_eq!(is_closed, !dialect.is_stream());
        }
    }
    shard.end();
}

#[test]
fn whoever_does_not_show_who_it_is_is_counted() {
    let mut shard = Shard::new();
    for dialect in [Dialect::CentrifugeJson, SPOKEN[0], UNI[0]] {
        for (code, counts) in [
            (ErrorCode::Unauthenticated, true),
            (ErrorCode::TokenExpired, true),
            (ErrorCode::Unavailable, false),
        ] {
            let before = refusals(&shard);
            refused(&mut shard, dialect, code);
            assert_eq!(
                refusals(&shard) - before,
                usize::from(counts),
                "{dialect:?} {code:?}"
            );
        }
        let before = refusals(&shard);
        let nobody = shard.open(Door {
            is_awaited: true,
            ..door(dialect)
        });
        let hello = if dialect.is_unidirectional() {
            json!({})
        } else {
            json!({"id": 1, "connect": {}})
        };
        say(&mut shard, nobody, &hello);
        assert!(!shard.hub.is_open(nobody));
        assert_eq!(refusals(&shard) - before, 1);
    }
    shard.end();
}

#[test]
fn a_websocket_may_be_pinged_with_its_own_frames() {
    let mut shard = Shard::new();
    let dialect = Dialect::CentrifugeJson;
    let open = |shard: &mut Shard| {
        let client = shard.open(Door {
            pings_natively: true,
            ..door(dialect)
        });
        say(shard, client, &json!({"id": 1, "connect": {}}));
        let heard = hear(shard, client, dialect);
        let connect = &heard[0]["connect"];
        assert!(
            connect["ping"].is_null() && connect["pong"].is_null(),
            "{connect}"
        );
        client
    };
    let (lively, silent) = (open(&mut shard), open(&mut shard));
    for _ in 0..1_000 {
        shard.pass(100);
        for ping in hear(&mut shard, lively, dialect) {
            assert_eq!(ping, "ping");
            shard.handle(Input::Pong(lively));
            shard.hear(lively);
        }
    }
    assert!(shard.hub.is_open(lively));
    let heard = hear(&mut shard, silent, dialect);
    assert_eq!(heard.last(), Some(&json!(3012)));
    say(&mut shard, lively, &json!({}));
    assert_eq!(
        hear(&mut shard, lively, dialect),
        [json!(3501)],
        "no message asked for it"
    );
    shard.end();
}

#[test]
fn every_stream_is_told_why_it_ends_behind_what_was_published() {
    for dialect in [SPOKEN[0], SPOKEN[1], UNI[1], UNI[2]] {
        let mut shard = Shard::new();
        let client = shard.open(Door {
            granted_topics: &["a"],
            ..door(dialect)
        });
        let hello = json!({"id": 1, "connect": {}});
        say(&mut shard, client, &hello);
        shard.publish("a", "last");
        shard.take_mail();
        shard.handle(Input::Disconnect(client, Disconnect::Shutdown));
        shard.turn();
        let heard = hear(&mut shard, client, dialect);
        let bare = |message: &Value| match message.get("push") {
            Some(push) => push.clone(),
            None => message.clone(),
        };
        assert_eq!(bare(&heard[1])["pub"]["data"], "last");
        assert_eq!(bare(&heard[2])["disconnect"], disconnected(3001, "shutdown"));
        assert_eq!(heard.len(), 3);
        shard.end();
    }
}

#[test]
fn who_cannot_subscribe_anew_is_closed_where_a_position_is_lost() {
    for dialect in UNI {
        let mut shard = Shard::new();
        shard.retention = Retention {
            publications_max: 10,
            ..Retention::default()
        };
        let client = client(&mut shard, dialect);
        let a = vec![topic("a")];
        shard.control(Control::Subscribe(
            Selector::Connection(client),
            a,
            Leave::default(),
        ));
        shard.turn();
        hear(&mut shard, client, dialect);
        let position = Position {
            offset: 9,
            ..shard.logs[&topic("a")].position
        };
        let draft = Draft::new(topic("a"), Payload::text("x"), Timestamp(0));
        let publication = Publication { draft, position };
        shard.handle(Input::Broker(BrokerEvent::Publication(publication.into())));
        shard.turn();
        let heard = hear(&mut shard, client, dialect);
        assert_eq!(heard[0]["disconnect"], disconnected(3010, "insufficient state"));
        shard.end();
    }
}

#[test]
fn a_mixed_audience_encodes_once_per_format() {
    let mut shard = Shard::new();
    let dialects = [SPOKEN, [UNI[1], UNI[2]]].concat();
    let mut clients = HashMap::new();
    for &dialect in &dialects {
        for _ in 0..3 {
            let client = shard.open(Door {
                granted_topics: &["a"],
                compression: Compression::None,
                ..door(dialect)
            });
            say(&mut shard, client, &json!({"id": 1, "connect": {}}));
            hear(&mut shard, client, dialect);
            clients.insert(client, dialect);
        }
    }
    let before = shard.hub.counters().encoded;
    shard.publish("a", "x");
    shard.turn();
    assert_eq!(shard.hub.counters().encoded - before, dialects.len() as u64);
    for (&client, &dialect) in &clients {
        assert_eq!(hear(&mut shard, client, dialect).len(), 1);
    }
    shard.end();
}

/// With the last member its topic goes, in the midst of what is published there.
#[test]
fn what_json_has_no_words_for_ends_whoever_is_to_be_told() {
    let mut shard = Shard::new();
    let plain = json!({"channel": "a"});
    let filtered = json!({"channel": "a", "tf": {"key": "k", "cmp": "nex"}});
    let deltas = json!({"channel": "a", "delta": "fossil"});
    for dialect in [Dialect::CentrifugeJson, SPOKEN[0], SPOKEN[1]] {
        for wanted in [&plain, &filtered, &deltas] {
            let client = client(&mut shard, dialect);
            say(&mut shard, client, &json!({"id": 2, "subscribe": wanted}));
            assert!(hear(&mut shard, client, dialect)[0]["subscribe"].is_object());
            let draft = Draft::new(topic("a"), Payload::binary(vec![0xff]), Timestamp(0));
            shard.append(draft);
            shard.turn();
            let heard = hear(&mut shard, client, dialect);
            let code = if dialect.is_stream() {
                &heard[0]["push"]["disconnect"]["code"]
            } else {
                &heard[0]
            };
            assert_eq!(*code, 3506, "{dialect:?} {wanted}: {heard:?}");
            shard.lose(client);
            shard.pass(100);
        }
    }
    let uni = UNI[2];
    let client = shard.open(Door {
        granted_topics: &["a"],
        ..door(uni)
    });
    say(&mut shard, client, &json!({}));
    hear(&mut shard, client, uni);
    shard.append(Draft::new(topic("a"), Payload::binary(vec![0xff]), Timestamp(0)));
    shard.turn();
    let heard = hear(&mut shard, client, uni);
    assert_eq!(
        heard[0]["disconnect"],
        disconnected(3506, "inappropriate protocol")
    );
    shard.end();
}
