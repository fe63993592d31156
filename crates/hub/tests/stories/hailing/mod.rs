//! A dialect in which the client speaks first, in the words of Centrifuge's JSON.

mod attending;
mod choices;

use fanfare_hub::access::{TopicRule, TopicRules, Who};
use fanfare_hub::broker::BrokerEvent;
use fanfare_hub::{Admission, Answer, Control, Denial, Input, Limits, Output, Retention, Selector};
use fanfare_protocol::dialect::centrifuge::client_of;
use fanfare_protocol::dialect::{Dialect, Direct};
use fanfare_protocol::{ConnectionId, Draft, Payload, Position, Publication, Timestamp};
use serde_json::{Value, json};

use crate::driver::{Door, Shard, topic};

fn door() -> Door {
    Door {
        dialect: Dialect::CentrifugeJson,
        ..Door::default()
    }
}

/// A shard whose broker keeps so many.
fn keeping(publications_max: usize) -> Shard {
    let mut shard = Shard::new();
    shard.retention = Retention {
        publications_max,
        ..Retention::default()
    };
    shard
}

/// A client that was let in.
pub(crate) fn client(shard: &mut Shard) -> ConnectionId {
    let client = shard.open(door());
    say(shard, client, &json!({"id": 1, "connect": {}}));
    assert_eq!(hear(shard, client).len(), 1);
    client
}

pub(crate) fn say(shard: &mut Shard, client: ConnectionId, command: &Value) {
    shard.say(client, &command.to_string());
    shard.turn();
}

/// The messages that a client got; a close frame is its code.
pub(crate) fn hear(shard: &mut Shard, client: ConnectionId) -> Vec<Value> {
    let frames = shard.read(client).into_iter();
    let messages = frames.flat_map(|frame| match frame.split_once(' ') {
        Some(("text", lines)) => lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        Some(("close", code)) => vec![json!(code.parse::<u16>().unwrap())],
        _ => panic!("{frame}"),
    });
    messages.collect()
}

/// The offsets of publications that were pushed.
fn pushed(messages: &[Value]) -> Vec<u64> {
    let pushes = messages
        .iter()
        .map(|message| message["push"]["pub"]["offset"].as_u64().unwrap());
    pushes.collect()
}

fn offsets(publications: &Value) -> Vec<u64> {
    let publications = publications.as_array().into_iter().flatten();
    publications
        .map(|publication| publication["offset"].as_u64().unwrap())
        .collect()
}

pub(crate) fn publish(shard: &mut Shard, name: &str, count: usize) {
    (0..count).for_each(|_| shard.publish(name, "x"));
    shard.turn();
}

fn epoch(shard: &Shard, name: &str) -> String {
    shard.logs[&topic(name)].position.epoch.to_string()
}

fn recover(shard: &mut Shard, client: ConnectionId, name: &str, offset: u64) -> Value {
    let epoch = epoch(shard, name);
    let subscribe = json!({"channel": name, "recover": true, "epoch": epoch, "offset": offset});
    say(shard, client, &json!({"id": 2, "subscribe": subscribe}));
    let heard = hear(shard, client);
    assert_eq!(heard.len(), 1, "{heard:?}");
    heard[0]["subscribe"].clone()
}

#[test]
fn nobody_is_told_anything_before_hello() {
    let mut shard = Shard::new();
    let client = shard.open(door());
    shard.publish("$all", "x");
    shard.turn();
    assert_eq!(hear(&mut shard, client), [] as [Value; 0]);
    say(&mut shard, client, &json!({"id": 7, "connect": {}}));
    let heard = hear(&mut shard, client);
    assert_eq!(heard[0]["id"], 7);
    assert_eq!(heard[0]["connect"]["client"], client_of(client));
    assert_eq!(
        (&heard[0]["connect"]["ping"], &heard[0]["connect"]["pong"]),
        (&json!(21), &json!(true))
    );
    shard.publish("$all", "y");
    shard.turn();
    assert_eq!(
        hear(&mut shard, client),
        [json!({"push": {"message": {"data": "y"}}})]
    );
    shard.end();
}

#[test]
fn whoever_does_not_say_hello_first_and_once_is_closed() {
    let mut shard = Shard::new();
    for command in [
        json!({"id": 1, "subscribe": {"channel": "a"}}),
        json!({"id": 1, "refresh": {"token": "t"}}),
        json!({}),
        json!({"id": 1, "ping": {}}),
        json!({"id": 1}),
    ] {
        let early = shard.open(door());
        say(&mut shard, early, &command);
        assert_eq!(hear(&mut shard, early), [json!(3501)], "{command}");
        let late = client(&mut shard);
        if command["subscribe"].is_null() && command["refresh"].is_null() {
            say(&mut shard, late, &command);
            assert_eq!(hear(&mut shard, late), [json!(3501)], "{command}");
        }
    }
    let twice = client(&mut shard);
    say(&mut shard, twice, &json!({"id": 2, "connect": {}}));
    assert_eq!(hear(&mut shard, twice), [json!(3501)]);
    let silent = shard.open(door());
    shard.pass(11_000);
    assert_eq!(hear(&mut shard, silent), [json!(3502)]);
    let nobody = shard.open(Door {
        is_awaited: true,
        ..door()
    });
    say(&mut shard, nobody, &json!({"id": 1, "connect": {}}));
    assert_eq!(hear(&mut shard, nobody), [json!(3501)]);
    shard.end();
}

/// The question that the application is asked.
fn is_asked(shard: &Shard) -> bool {
    matches!(shard.performed.last(), Some(Output::Ask(..)))
}

#[test]
fn a_token_says_who_it_is_and_what_it_receives() {
    let mut shard = Shard::new();
    let client = shard.open(Door {
        is_awaited: true,
        ..door()
    });
    say(&mut shard, client, &json!({"id": 1, "connect": {"token": "t"}}));
    assert!(is_asked(&shard));
    assert_eq!(hear(&mut shard, client), [] as [Value; 0]);
    let admission = Admission {
        topics: vec![topic("news"), topic("inbox")],
        ..Admission::default()
    };
    shard.handle(Input::Answered(client, Answer::Enter(Ok(Some(admission)))));
    shard.turn();
    let heard = hear(&mut shard, client);
    let subs = heard[0]["connect"]["subs"].as_object().unwrap();
    assert_eq!(subs.keys().collect::<Vec<_>>(), ["inbox", "news"]);
    assert_eq!(subs["news"]["epoch"], epoch(&shard, "news"));
    publish(&mut shard, "news", 1);
    assert_eq!(pushed(&hear(&mut shard, client)), [1]);
    shard.end();
}

#[test]
fn a_token_that_is_over_is_an_error_and_a_bad_one_the_end() {
    let mut shard = Shard::new();
    for (code, expected) in [
        (fanfare_protocol::codes::ErrorCode::TokenExpired, None),
        (fanfare_protocol::codes::ErrorCode::Unauthenticated, Some(3500)),
    ] {
        let client = shard.open(Door {
            is_awaited: true,
            ..door()
        });
        say(&mut shard, client, &json!({"id": 1, "connect": {"token": "t"}}));
        let denial = Denial::refused(code, "no");
        shard.handle(Input::Answered(client, Answer::Enter(Err(denial))));
        shard.turn();
        let heard = hear(&mut shard, client);
        match expected {
            None => assert_eq!(heard[0]["error"]["code"], 109, "{heard:?}"),
            Some(code) => assert_eq!(heard, [json!(code)]),
        }
    }
    shard.end();
}

#[test]
fn what_was_missed_is_in_the_reply() {
    let mut shard = keeping(400);
    publish(&mut shard, "a", 5);
    let client = client(&mut shard);
    let begun = recover(&mut shard, client, "a", 2);
    assert_eq!(
        (&begun["recovered"], &begun["was_recovering"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (&begun["offset"], offsets(&begun["publications"])),
        (&json!(2), vec![3, 4, 5])
    );
    publish(&mut shard, "a", 2);
    assert_eq!(pushed(&hear(&mut shard, client)), [6, 7]);
    say(
        &mut shard,
        client,
        &json!({"id": 3, "subscribe": {"channel": "a"}}),
    );
    assert_eq!(hear(&mut shard, client)[0]["error"]["code"], 105);
    say(
        &mut shard,
        client,
        &json!({"id": 4, "unsubscribe": {"channel": "a"}}),
    );
    assert_eq!(hear(&mut shard, client), [json!({"id": 4, "unsubscribe": {}})]);
    let begun = recover(&mut shard, client, "a", 7);
    assert_eq!(
        (&begun["recovered"], offsets(&begun["publications"])),
        (&json!(true), vec![])
    );
    shard.end();
}

#[test]
fn who_missed_too_much_or_was_elsewhere_begins_now() {
    let mut shard = keeping(400);
    publish(&mut shard, "a", 320);
    let client = client(&mut shard);
    let begun = recover(&mut shard, client, "a", 20);
    assert_eq!(
        offsets(&begun["publications"]),
        (21..=320).collect::<Vec<_>>(),
        "300 of them"
    );
    for (offset, epoch) in [
        (19, epoch(&shard, "a")),
        (320, "zz".to_owned()),
        (320, "not one".to_owned()),
        (999, epoch(&shard, "a")),
    ] {
        say(
            &mut shard,
            client,
            &json!({"id": 3, "unsubscribe": {"channel": "a"}}),
        );
        let subscribe = json!({"channel": "a", "recover": true, "epoch": epoch, "offset": offset});
        say(&mut shard, client, &json!({"id": 4, "subscribe": subscribe}));
        let begun = hear(&mut shard, client).pop().unwrap()["subscribe"].clone();
        assert_eq!(
            (&begun["was_recovering"], &begun["recovered"], &begun["offset"]),
            (&json!(true), &Value::Null, &json!(320)),
            "{offset} of {epoch}"
        );
        assert_eq!(begun["publications"], Value::Null);
        assert_eq!(begun["epoch"], self::epoch(&shard, "a"));
    }
    publish(&mut shard, "a", 1);
    assert_eq!(pushed(&hear(&mut shard, client)), [321]);
    for (offset, epoch) in [(19, epoch(&shard, "a")), (320, "zz".to_owned())] {
        say(
            &mut shard,
            client,
            &json!({"id": 5, "unsubscribe": {"channel": "a"}}),
        );
        let subscribe = json!({"channel": "a", "recover": true, "epoch": epoch, "offset": offset, "flag": 2});
        say(&mut shard, client, &json!({"id": 6, "subscribe": subscribe}));
        let refused = hear(&mut shard, client).pop().unwrap();
        assert_eq!(refused["error"]["code"], 112, "where it would rather not");
        publish(&mut shard, "a", 1);
        assert_eq!(hear(&mut shard, client), [] as [Value; 0]);
    }
    shard.end();
}

/// Reads are answered late, and meanwhile there is more in each of the topics.
#[test]
fn who_knows_no_epoch_goes_on_behind_an_offset_of_whichever_there_is() {
    let mut shard = keeping(3);
    publish(&mut shard, "a", 5);
    let first = client(&mut shard);
    let from = |id: u32, offset: u64| {
        let from = json!({"channel": "a", "recover": true, "offset": offset, "flag": 2});
        json!({"id": id, "subscribe": from})
    };
    say(&mut shard, first, &from(2, 1));
    assert_eq!(
        hear(&mut shard, first)[0]["error"]["code"],
        112,
        "it is too long ago"
    );
    say(&mut shard, first, &from(3, 3));
    let begun = hear(&mut shard, first)[0]["subscribe"].clone();
    assert_eq!(begun["recovered"], true, "{begun}");
    assert_eq!(begun["epoch"], epoch(&shard, "a"));
    assert_eq!(begun["publications"].as_array().unwrap().len(), 2);
    shard.end();
}

#[test]
fn what_was_missed_of_several_topics_is_in_the_welcome_and_nothing_comes_before_it() {
    let mut shard = keeping(1_000);
    for name in ["a", "b", "c"] {
        publish(&mut shard, name, 200);
    }
    let client = shard.open(Door {
        granted_topics: &["a", "b", "c", "d"],
        ..door()
    });
    let place =
        |name: &str, offset: u64| json!({"recover": true, "epoch": epoch(&shard, name), "offset": offset});
    let subs =
        json!({"a": place("a", 100), "b": place("b", 1), "c": place("c", 200), "other": {"recover": true}});
    shard.holds_reads = true;
    say(&mut shard, client, &json!({"id": 1, "connect": {"subs": subs}}));
    for _ in 0..40 {
        for name in ["a", "b", "c", "d"] {
            publish(&mut shard, name, 1);
        }
        shard.answer_reads();
        shard.turn();
    }
    shard.holds_reads = false;
    shard.answer_reads();
    shard.turn();
    let heard = hear(&mut shard, client);
    let subs = &heard[0]["connect"]["subs"];
    for (name, first) in [("a", 101), ("b", 2), ("c", 201)] {
        assert_eq!(subs[name]["recovered"], true, "{name}");
        let of_topic = |message: &&Value| message["push"]["channel"] == name;
        let live = pushed(&heard[1..].iter().filter(of_topic).cloned().collect::<Vec<_>>());
        let all = [offsets(&subs[name]["publications"]), live].concat();
        assert_eq!(all, (first..=240).collect::<Vec<_>>(), "{name}");
    }
    let of_d = |message: &&Value| message["push"]["channel"] == "d";
    let live = pushed(&heard[1..].iter().filter(of_d).cloned().collect::<Vec<_>>());
    let began = subs["d"]["offset"].as_u64().unwrap_or(0);
    assert_eq!(
        live,
        (began + 1..=40).collect::<Vec<_>>(),
        "what it could not miss"
    );
    assert!(subs["other"].is_null());
    shard.end();
}

#[test]
fn a_client_that_goes_while_it_is_read_for_leaves_nothing_behind() {
    let mut shard = keeping(1_000);
    publish(&mut shard, "a", 200);
    publish(&mut shard, "b", 200);
    for steps in 0..6 {
        let client = shard.open(Door {
            granted_topics: &["a", "b"],
            ..door()
        });
        let place = |name: &str| json!({"recover": true, "epoch": epoch(&shard, name), "offset": 1});
        let subs = json!({"a": place("a"), "b": place("b")});
        shard.holds_reads = true;
        say(&mut shard, client, &json!({"id": 1, "connect": {"subs": subs}}));
        for _ in 0..steps {
            shard.answer_reads();
            publish(&mut shard, "a", 1);
        }
        if steps % 2 == 0 {
            shard.lose(client);
        } else {
            shard.control(Control::Unsubscribe(
                Selector::Connection(client),
                vec![topic("b")],
            ));
            shard.handle(Input::Settle);
        }
        shard.holds_reads = false;
        shard.answer_reads();
        shard.turn();
        let heard = hear(&mut shard, client);
        let is_told = heard.iter().any(|message| message.get("connect").is_some());
        assert_eq!(is_told, steps % 2 == 1, "{steps}: {heard:?}");
    }
    shard.end();
}

#[test]
fn what_a_client_sends_behind_its_hello_waits_for_the_welcome() {
    let mut shard = Shard::new();
    let client = shard.open(Door {
        granted_topics: &["a"],
        ..door()
    });
    shard.holds_joins = true;
    say(&mut shard, client, &json!({"id": 1, "connect": {}}));
    assert!(!shard.hub.is_readable(client));
    shard.answer_join("a", Ok(()));
    shard.turn();
    assert!(shard.hub.is_readable(client));
    assert!(shard.performed.contains(&Output::Resume(client)));
    assert_eq!(hear(&mut shard, client)[0]["id"], 1);
    shard.holds_joins = false;
    shard.answer_join("$all", Ok(()));
    shard.turn();
    shard.end();
}

#[test]
fn pings_are_messages_and_each_is_answered_once() {
    let mut shard = Shard::new();
    let client = client(&mut shard);
    let mut pings = 0;
    for _ in 0..500 {
        shard.pass(100);
        let heard = hear(&mut shard, client);
        assert!(heard.iter().all(|message| *message == json!({})), "{heard:?}");
        pings += heard.len();
        for _ in heard {
            say(&mut shard, client, &json!({}));
        }
    }
    assert!((2..=3).contains(&pings), "{pings}");
    say(&mut shard, client, &json!({}));
    assert_eq!(hear(&mut shard, client), [json!(3501)], "unasked");
    let silent = self::client(&mut shard);
    shard.pass(31_000);
    assert_eq!(hear(&mut shard, silent), [json!({}), json!(3012)]);
    shard.end();
}

#[test]
fn bytes_have_no_form_in_json() {
    let mut shard = Shard::new();
    let (client, other) = (client(&mut shard), shard.client(&["a"]));
    say(
        &mut shard,
        client,
        &json!({"id": 2, "subscribe": {"channel": "a"}}),
    );
    hear(&mut shard, client);
    let draft = Draft::new(topic("a"), Payload::binary(&b"\xff"[..]), Timestamp(0));
    shard.append(draft);
    shard.turn();
    assert_eq!(hear(&mut shard, client), [json!(3506)]);
    assert_eq!(shard.read(other).len(), 1);
    let sent = self::client(&mut shard);
    let direct = Direct {
        from: None,
        time: Timestamp(0),
        payload: Payload::binary(&b"\xff"[..]),
    };
    assert_eq!(shard.control(Control::Deliver(sent, direct)), 0);
    shard.turn();
    assert_eq!(hear(&mut shard, sent), [json!(3506)]);
    shard.end();
}

#[test]
fn a_gap_ends_a_subscription_and_a_connection_only_where_the_server_subscribed_it() {
    let mut shard = Shard::new();
    let client = client(&mut shard);
    say(
        &mut shard,
        client,
        &json!({"id": 2, "subscribe": {"channel": "a"}}),
    );
    let served = shard.open(Door {
        granted_topics: &["a"],
        ..door()
    });
    say(&mut shard, served, &json!({"id": 1, "connect": {}}));
    hear(&mut shard, client);
    hear(&mut shard, served);
    let position = shard.logs[&topic("a")].position;
    let draft = Draft::new(topic("a"), Payload::text("x"), Timestamp(0));
    let position = Position {
        offset: position.offset + 2,
        ..position
    };
    let publication = std::sync::Arc::new(Publication { draft, position });
    shard.handle(Input::Broker(BrokerEvent::Publication(publication)));
    shard.turn();
    let lost = json!({"channel": "a", "unsubscribe": {"code": 2500, "reason": "insufficient state"}});
    assert_eq!(hear(&mut shard, client), [json!({"push": lost})]);
    assert_eq!(hear(&mut shard, served), [json!(3010)]);
    say(
        &mut shard,
        client,
        &json!({"id": 3, "subscribe": {"channel": "a"}}),
    );
    assert_eq!(hear(&mut shard, client)[0]["id"], 3);
    shard.end();
}

#[test]
fn there_is_no_history_where_the_rule_keeps_none() {
    let rule = |pattern: &str| TopicRule::new(pattern).unwrap().history(Who::Anyone);
    let none = rule("none").retention(Retention::default());
    let mut shard = Shard::with_rules(Limits::default(), TopicRules::from([none, rule("some")]));
    let reader = client(&mut shard);
    for (name, code) in [("none", json!(108)), ("some", json!(null))] {
        say(
            &mut shard,
            reader,
            &json!({"id": 2, "history": {"channel": name}}),
        );
        assert_eq!(hear(&mut shard, reader)[0]["error"]["code"], code, "{name}");
    }
    shard.end();
}

#[test]
fn a_token_for_a_topic_that_is_not_accepted_is_an_error_or_the_end() {
    use fanfare_protocol::codes::ErrorCode;

    let rule = TopicRule::new("a").unwrap();
    let mut shard = Shard::with_rules(Limits::default(), TopicRules::from([rule]));
    for (code, expected) in [
        (ErrorCode::Unauthenticated, json!(103)),
        (ErrorCode::TokenExpired, json!(109)),
        (ErrorCode::TokenMismatch, Value::Null),
    ] {
        let client = client(&mut shard);
        say(
            &mut shard,
            client,
            &json!({"id": 2, "subscribe": {"channel": "a", "token": "t"}}),
        );
        let denial = Denial::refused(code, "no");
        shard.handle(Input::Answered(client, Answer::Subscribe(Err(denial))));
        shard.turn();
        let heard = hear(&mut shard, client);
        if expected.is_null() {
            assert_eq!(heard, [json!(3500)]);
        } else {
            assert_eq!(heard[0]["error"]["code"], expected);
        }
    }
    shard.end();
}
