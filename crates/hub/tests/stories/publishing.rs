//! Publishing and sending, and how they are answered.

use fanfare_hub::broker::{BrokerEvent, Published, Refusal};
use fanfare_hub::{Control, Input, Limits, Listed, Output, Selector};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::{Dialect, Direct};
use fanfare_protocol::{ConnectionId, IdempotencyKey, Payload, Position, Timestamp, UserName};

use crate::driver::{Door, Shard};

#[test]
fn a_publish_with_an_id_is_answered_and_one_without_is_not() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.say(ada, r#"{"type":"publish","topic":"a","data":{"x":[1]},"id":"p"}"#);
    shard.say(ada, r#"{"type":"publish","topic":"a","data":null}"#);
    shard.turn();
    assert_eq!(
        shard.read(ada),
        [r#"published #"p" a/1"#, r#"a/1 {"x":[1]}"#, "a/2 null"],
        "its reply comes before the message"
    );
    shard.end();
}

#[test]
fn who_repeats_is_told_so_and_who_expects_another_place_is_told_where_the_topic_stands() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.holds_publishes = true;
    let position = Position {
        offset: 7,
        ..Position::default()
    };
    for outcome in [
        Ok(Published::first(position)),
        Ok(Published::again(position)),
        Err(Refusal::Conflict { position }),
    ] {
        shard.say(
            ada,
            r#"{"type":"publish","topic":"a","data":1,"id":1,"idempotency_key":"k","expected":"z:6"}"#,
        );
        let Some(Output::Publish(draft, ticket)) = shard.held_publishes.pop_front() else {
            panic!("it publishes");
        };
        assert_eq!(draft.idempotency_key, IdempotencyKey::parse("k").ok());
        assert_eq!(draft.expected, "z:6".parse().ok());
        shard.handle(Input::Published(ticket, draft.topic, outcome));
    }
    shard.turn();
    assert_eq!(
        shard.read(ada),
        ["published #1 a/7", "repeated #1 a/7", "error #1 conflict at 7"]
    );
    shard.holds_publishes = false;
    shard.end();
}

#[test]
fn with_echo_false_only_the_sender_is_left_out() {
    let mut shard = Shard::new();
    let (ada, bob) = (shard.client(&["a"]), shard.client(&["a"]));
    let raw = shard.open(Door {
        dialect: Dialect::Raw,
        topics: &["a"],
        ..Door::default()
    });
    shard.turn();
    shard.publish("a", "before");
    shard.say(ada, r#"{"type":"publish","topic":"a","data":"own","echo":false}"#);
    shard.publish("a", "after");
    shard.turn();
    assert_eq!(shard.read(ada), [r#"a/1 "before""#, r#"a/3 "after""#]);
    assert_eq!(
        shard.read(bob),
        [r#"a/1 "before""#, r#"a/2 "own""#, r#"a/3 "after""#]
    );
    assert_eq!(shard.read(raw), ["text before", r#"text "own""#, "text after"]);
    shard.end();
}

#[test]
fn with_echo_false_the_sender_is_left_out_even_if_it_leaves_at_once() {
    let mut shard = Shard::new();
    let (ada, bob) = (shard.client(&["a"]), shard.client(&["a"]));
    for client in [ada, bob] {
        shard.say(
            client,
            r#"{"type":"publish","topic":"a","data":"own","echo":false}"#,
        );
    }
    shard.take_mail();
    shard.say(ada, r#"{"type":"unsubscribe","topic":"a"}"#);
    shard.control(Control::Disconnect(
        Selector::Connection(bob),
        Disconnect::Reconnect,
    ));
    shard.turn();
    assert_eq!(shard.read(ada), [r#"a/2 "own""#, "unsubscribed a"]);
    assert_eq!(shard.read(bob), [r#"a/1 "own""#, "goodbye 3006", "close 3006"]);
    shard.end();
}

#[test]
fn a_broadcast_reaches_everyone_and_what_is_sent_to_a_user_all_of_theirs() {
    let mut shard = Shard::new();
    let door = |user, dialect| Door {
        user: Some(user),
        dialect,
        ..Door::default()
    };
    let first = shard.open(door("ada", Dialect::Json));
    let second = shard.open(door("ada", Dialect::Raw));
    let bob = shard.open(door("bob", Dialect::Json));
    shard.turn();
    shard.read(first);
    shard.read(bob);
    shard.publish("$all", "everyone");
    shard.say(bob, r#"{"type":"send","user":"ada","data":"hi","id":1}"#);
    shard.turn();
    assert_eq!(shard.read(first), [r#"$all/1 "everyone""#, r#"$user:ada/1 "hi""#]);
    assert_eq!(shard.read(second), ["text everyone", r#"text "hi""#]);
    assert_eq!(shard.read(bob), ["sent #1", r#"$all/1 "everyone""#]);
    assert_eq!(
        shard.hub.connections_of(&UserName::parse("ada").unwrap()),
        [first, second]
    );
    shard.end();
}

#[test]
fn a_direct_send_reaches_its_connection_or_is_not_found() {
    let mut shard = Shard::new();
    let (ada, bob) = (shard.client(&[]), shard.client(&[]));
    let nobody = ConnectionId::new(0, bob.slot(), 77);
    for to in [bob, nobody] {
        let command = format!(r#"{{"type":"send","connection":"{to}","data":7,"id":1}}"#);
        shard.say(ada, &command);
    }
    shard.turn();
    assert_eq!(shard.read(ada), ["sent #1", "error #1 not_found"]);
    assert_eq!(shard.read(bob), ["direct 7"]);
    let direct = Direct {
        from: None,
        time: Timestamp(0),
        payload: Payload::text("from the API"),
    };
    assert_eq!(shard.control(Control::Deliver(bob, direct.clone())), 1);
    assert_eq!(shard.control(Control::Deliver(nobody, direct)), 0);
    shard.turn();
    assert_eq!(shard.read(bob), [r#"direct "from the API""#]);
    shard.end();
}

#[test]
fn a_refused_publish_is_an_error_or_the_end_of_a_raw_client() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    let raw = shard.open(Door {
        dialect: Dialect::Raw,
        topics: &["a", "b"],
        ..Door::default()
    });
    shard.turn();
    shard.refusal = Some(Refusal::Overloaded);
    shard.say(ada, r#"{"type":"publish","topic":"a","data":1,"id":1}"#);
    shard.say(ada, r#"{"type":"publish","topic":"a","data":1}"#);
    shard.refusal = Some(Refusal::Unavailable);
    shard.say(ada, r#"{"type":"send","user":"bob","data":1,"id":2}"#);
    shard.say(raw, "hi");
    shard.turn();
    assert_eq!(
        shard.read(ada),
        ["error #1 overloaded", "error overloaded", "error #2 unavailable"]
    );
    assert_eq!(shard.read(raw), ["close 3004"]);
    shard.end();
}

#[test]
fn an_answer_may_come_later_or_too_late() {
    let mut shard = Shard::new();
    let (ada, bob) = (shard.client(&["a"]), shard.client(&[]));
    shard.holds_publishes = true;
    for client in [ada, ada, bob] {
        shard.say(client, r#"{"type":"publish","topic":"a","data":1,"id":1}"#);
    }
    shard.turn();
    assert!(shard.read(ada).is_empty());
    shard.answer_publish(None);
    shard.answer_publish(Some(Refusal::Overloaded));
    shard.handle(Input::Lost(bob));
    shard.answer_publish(None);
    shard.turn();
    assert_eq!(
        shard.read(ada),
        ["published #1 a/1", "error #1 overloaded", "a/1 1", "a/2 1"]
    );
    shard.end();
}

#[test]
fn a_bad_message_is_an_error_and_a_binary_one_is_the_end() {
    let mut shard = Shard::new();
    let ada = shard.client(&[]);
    shard.say(ada, "[]");
    shard.say(ada, r#"{"type":"dance","id":3}"#);
    shard.handle(Input::Message(
        ada,
        Dialect::Json.decode(&fanfare_protocol::websocket::Item::Binary(&[1])),
    ));
    shard.say(ada, r#"{"type":"ping"}"#);
    shard.turn();
    assert_eq!(
        shard.read(ada),
        [
            "error bad_json",
            "error #3 bad_command",
            "goodbye 1003",
            "close 1003"
        ]
    );
    shard.end();
}

#[test]
fn a_duplicate_is_dropped_and_a_gap_is_told() {
    let mut shard = Shard::new();
    let (ada, bob) = (shard.client(&["a"]), shard.client(&["b"]));
    shard.publish("a", "one");
    let first = shard.mail[0].clone();
    shard.mail.push_back(first.clone());
    shard.publish("a", "two");
    shard.publish("a", "three");
    shard.mail.remove(2);
    shard.publish("b", "elsewhere");
    shard.turn();
    assert_eq!(
        shard.read(ada),
        [r#"a/1 "one""#, "goodbye 3005", "close 3005"],
        "what came before the gap is delivered, nothing after it"
    );
    assert_eq!(shard.read(bob), [r#"b/1 "elsewhere""#]);
    assert_eq!(
        (shard.hub.counters().duplicates, shard.hub.counters().gaps),
        (1, 1)
    );
    shard.end();
}

#[test]
fn another_epoch_is_a_gap() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.publish("a", "one");
    if let Some(BrokerEvent::Publication(publication)) = shard.mail.front_mut() {
        std::sync::Arc::make_mut(publication).position.epoch.0 += 1;
    }
    shard.turn();
    assert_eq!(shard.read(ada), ["goodbye 3005", "close 3005"]);
    shard.end();
}

#[test]
fn hubs_say_what_they_hold() {
    let mut shard = Shard::with_limits(Limits::default());
    let all: Vec<_> = (0..5).map(|_| shard.client(&["a"])).collect();
    shard.handle(Input::Lost(all[2]));
    let (rows, next) = shard.hub.connections(Listed::All, 0, 2);
    assert_eq!(
        rows.iter().map(|row| row.connection).collect::<Vec<_>>(),
        all[..2]
    );
    assert_eq!(rows[0].topics.len(), 1, "the server's own topics are left out");
    let (rows, next) = shard.hub.connections(Listed::All, next.unwrap(), 2);
    assert_eq!(
        rows.iter().map(|row| row.connection).collect::<Vec<_>>(),
        all[3..]
    );
    assert_eq!(next, None);
    assert_eq!(shard.hub.gauges().connections, 4);
    shard.end();
}

#[test]
fn what_is_left_of_an_earlier_life_is_not_delivered() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.publish("a", "old");
    shard.say(ada, r#"{"type":"unsubscribe","topic":"a"}"#);
    shard.say(ada, r#"{"type":"subscribe","topic":"a"}"#);
    shard.publish("a", "new");
    shard.turn();
    assert_eq!(
        shard.read(ada),
        ["unsubscribed a", "subscribed a@0", r#"a/1 "new""#]
    );
    assert!(
        shard
            .performed
            .iter()
            .any(|output| matches!(output, Output::Leave(_)))
    );
    shard.end();
}
