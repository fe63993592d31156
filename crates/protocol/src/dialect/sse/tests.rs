//! What the `sse` dialect writes, read as browsers read it.

use super::*;
use crate::codes::Disconnect;
use crate::dialect::Dialect;
use crate::{ConnectionId, Draft, Epoch, Goodbye, Missed, Payload, SubscribedTopic, Timestamp, TopicName};

/// An event as a browser dispatches it.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    data: String,
    id: String,
}

/// Reads a stream as section 9.2.6 of the HTML standard says; gives its events, and the last `retry`.
fn read(stream: &[u8]) -> (Vec<Event>, Option<u64>) {
    let text = std::str::from_utf8(stream).unwrap();
    let (mut events, mut retry) = (Vec::new(), None);
    let (mut name, mut data, mut id) = (String::new(), String::new(), String::new());
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    for line in lines.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                let name = std::mem::take(&mut name);
                let mut data = std::mem::take(&mut data);
                if data.pop().is_some() {
                    let id = id.clone();
                    events.push(Event { name, data, id });
                }
            }
            "event" => value.clone_into(&mut name),
            "data" => data.extend([value, "\n"]),
            "id" => value.clone_into(&mut id),
            "retry" => retry = Some(value.parse().unwrap()),
            "" => assert_eq!(value, "", "nothing is said in comments"),
            _ => panic!("{line:?}"),
        }
    }
    assert_eq!((name, data), Default::default(), "the last event has its end");
    (events, retry)
}

fn place(epoch: u64, offset: u64) -> Position {
    Position {
        epoch: Epoch(epoch),
        offset,
    }
}

fn publication(topic: TopicName, payload: Payload) -> Publication {
    Publication {
        draft: Draft {
            topic,
            payload,
            from: None,
            time: Timestamp(5),
            key: None,
            except: None,
            idempotency_key: None,
            tags: None,
            expected: None,
            version: None,
        },
        position: place(35, 7),
    }
}

fn encoded(topic: TopicName, payload: Payload) -> Event {
    let mut stream = Vec::new();
    Dialect::Sse.encode_publication(&publication(topic, payload), &mut stream);
    let (mut events, _) = read(&stream);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

fn a() -> TopicName {
    TopicName::parse("a").unwrap()
}

fn raw(text: &str) -> Payload {
    Payload::json(serde_json::from_str(text).unwrap())
}

#[test]
fn a_publication_is_the_object_of_the_json_dialect_and_knows_its_place() {
    let mut stream = Vec::new();
    Dialect::Sse.encode_publication(&publication(a(), Payload::text("hi")), &mut stream);
    let wanted =
        "id: z:7\ndata: {\"type\":\"message\",\"topic\":\"a\",\"offset\":7,\"time\":5,\"data\":\"hi\"}\n\n";
    assert_eq!(std::str::from_utf8(&stream), Ok(wanted));
}

#[test]
fn line_breaks_between_tokens_reach_the_client_as_white_space() {
    for text in [
        "{\n\"b\":1,\r\n\"a\":[1.0,\rnull]\n}",
        "[\n\n\n1]",
        "[\r\r\n\n1]",
        "[1\n,\r2]",
        "{}",
        "\"a\\nb\"",
    ] {
        let event = encoded(a(), raw(text));
        let whole: serde_json::Value = serde_json::from_str(&event.data).unwrap();
        let wanted: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            (&whole["data"], &*event.name, &*event.id),
            (&wanted, "", "z:7"),
            "{text:?}"
        );
        let as_written = text.replace("\r\n", "\n").replace('\r', "\n");
        assert!(event.data.contains(&as_written), "{:?}", event.data);
    }
}

#[test]
fn text_and_bytes_have_no_line_breaks_of_their_own() {
    for (payload, data) in [
        (Payload::text("a\nb\r\n\rc\u{2028}"), r#""data":"a\nb\r\n\rc"#),
        (Payload::text(""), r#""data":"""#),
        (
            Payload::binary(vec![0, b'\n', b'\r', 255]),
            r#""data_base64":"AAoN/w==""#,
        ),
        (Payload::binary(vec![]), r#""data_base64":"""#),
    ] {
        let mut stream = Vec::new();
        Dialect::Sse.encode_publication(&publication(a(), payload.clone()), &mut stream);
        assert_eq!(
            std::str::from_utf8(&stream).unwrap().matches('\n').count(),
            3,
            "{payload:?}"
        );
        assert!(encoded(a(), payload).data.contains(data));
    }
}

#[test]
fn what_nobody_asked_for_does_not_move_the_place_of_a_stream() {
    let all = encoded(TopicName::all(), Payload::text("hi"));
    assert_eq!(all.id, "");
    let mut stream = Vec::new();
    let sent = Direct {
        from: None,
        time: Timestamp(5),
        payload: Payload::null(),
    };
    Dialect::Sse.encode_publication(&publication(a(), Payload::text("hi")), &mut stream);
    Dialect::Sse.encode_direct(&sent, &mut stream);
    let (events, _) = read(&stream);
    assert_eq!(
        (&*events[1].data, &*events[1].id),
        (r#"{"type":"message","time":5,"data":null}"#, "z:7")
    );
}

#[test]
fn everything_but_messages_is_named_by_its_type() {
    let subscribed = Reply::Subscribed {
        topics: vec![SubscribedTopic {
            topic: a(),
            position: place(35, 7),
            recovered: Some(Ok(())),
            is_recoverable: false,
            has_deltas: false,
            publications: Vec::new(),
            granted: None,
        }],
    };
    let missed = Push::Missed(Missed {
        topic: a(),
        from: place(35, 8),
        to: 9,
        count: 2,
    });
    let occupancy = Push::Occupancy {
        topic: a(),
        subscribers: 3,
    };
    let mut stream = COMMENT.to_vec();
    LastEventId(vec![Some(place(35, 7)), None]).encode(&mut stream);
    Dialect::Sse.encode_reply(None, &subscribed, &mut stream);
    for push in [&missed, &occupancy] {
        stream.extend_from_slice(COMMENT);
        Dialect::Sse.encode_push(push, &mut stream);
    }
    let (events, retry) = read(&stream);
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!((names, retry), (vec!["subscribed", "missed", "occupancy"], None));
    for Event { name, data, id } in &events {
        let object: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!((object["type"].as_str(), &**id), (Some(&**name), "z:7,-"));
    }
}

#[test]
fn a_welcome_and_a_goodbye_say_when_to_come_back() {
    let welcome = |nonce| {
        Push::Welcome(Welcome {
            connection: ConnectionId::new(0, 1, nonce),
            user: None,
            auth_timeout_ms: None,
            expires_at: None,
            time: Timestamp(0),
            ping_interval_ms: 25_000,
            pong_timeout_ms: 8_000,
            message_bytes_max: 65_536,
            subscriptions_max: 128,
            commands_per_second: None,
            bytes_per_second: None,
            data: None,
            key: None,
        })
    };
    let goodbye = |disconnect, reconnect_after_ms| {
        Push::Goodbye(Goodbye {
            disconnect,
            reconnect_after_ms,
        })
    };
    for (push, retry) in [
        (welcome(0), Some(1_000)),
        (welcome(4_711), Some(1_711)),
        (goodbye(Disconnect::Shutdown, Some(250)), Some(250)),
        (goodbye(Disconnect::Slow, None), None),
        (goodbye(Disconnect::Forbidden, None), Some(3_600_000)),
    ] {
        let mut stream = Vec::new();
        Dialect::Sse.encode_push(&push, &mut stream);
        let (events, told) = read(&stream);
        assert_eq!((events.len(), told), (1, retry), "{push:?}");
    }
}

#[test]
fn nothing_is_answered_to_those_who_say_nothing() {
    let mut stream = Vec::new();
    Dialect::Sse.encode_reply(None, &Reply::Sent, &mut stream);
    assert_eq!(stream, b"");
    let said = Dialect::Sse.decode(&crate::websocket::Item::Text("{}"));
    assert!(said.is_err());
}

#[test]
fn an_id_is_read_as_it_is_written() {
    for (places, text) in [
        (vec![Some(place(35, 7))], "z:7"),
        (
            vec![Some(place(35, 7)), None, Some(place(u64::MAX, u64::MAX))],
            "z:7,-,3w5e11264sgsf:18446744073709551615",
        ),
        (vec![None], "-"),
    ] {
        let id = LastEventId(places);
        assert_eq!((id.to_string().as_str(), text.parse()), (text, Ok(id)));
    }
    for text in ["", ",", "z:7,", "z", "z:7;z:8", "--", " z:7", "z:7 ", "z:-1"] {
        assert_eq!(text.parse::<LastEventId>(), Err(LastEventIdError), "{text:?}");
    }
}
