//! What comes with subscriptions: until when they last, who renews them, and what clients are told of it.

use fanfare_hub::access::{TopicRule, TopicRules, Who};
use fanfare_hub::{
    Admission, Answer, Control, Denial, Input, Leave, Leaves, Limits, Output, Question, RenewedBy, Selector,
};
use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{ConnectionId, Payload, Timestamp};
use serde_json::{Value, json};

use crate::driver::{Door, Shard, topic};
use crate::hailing::{self, client, say};

/// Everything is asked about, and nobody is pinged.
fn shard() -> Shard {
    let limits = Limits {
        ping_interval_ms: 3_600_000,
        ..Limits::default()
    };
    let rule = TopicRule::new("*").unwrap().subscribe(Who::Hook);
    let rule = TopicRule {
        keeps_presence: Some(true),
        ..rule.presence(Who::Anyone).publish(Who::Anyone)
    };
    Shard::with_rules(limits, TopicRules::from([rule]))
}

/// The messages that a client got, once all that is under way has come.
fn hear(shard: &mut Shard, client: ConnectionId) -> Vec<Value> {
    shard.turn();
    hailing::hear(shard, client)
}

fn until(ms: u64, renewed_by: RenewedBy) -> Leave {
    Leave {
        expires_at: Some(Timestamp(ms)),
        renewed_by,
        ..Leave::default()
    }
}

/// The application gives leave for what was asked last.
fn give(shard: &mut Shard, client: ConnectionId, leave: Leave) {
    let answer = Answer::Subscribe(Ok(Leaves::from(leave)));
    shard.handle(Input::Answered(client, answer));
    shard.turn();
}

/// A client of Centrifuge's that has leave for `a`, and what it was told.
fn subscribed(shard: &mut Shard, leave: Leave) -> (ConnectionId, Value) {
    let client = client(shard);
    say(
        shard,
        client,
        &json!({"id": 2, "subscribe": {"channel": "a", "token": "t"}}),
    );
    give(shard, client, leave);
    let heard = hear(shard, client);
    assert_eq!(heard.len(), 1, "{heard:?}");
    (client, heard[0]["subscribe"].clone())
}

/// The topics of which the application was asked, since that was last looked at, whether they go on.
fn renewals(shard: &mut Shard) -> Vec<String> {
    let outputs = std::mem::take(&mut shard.performed).into_iter();
    let topics = outputs.filter_map(|output| match output {
        Output::Ask(_, _, Question::RenewSubscription { topic }) => Some(topic.to_string()),
        _ => None,
    });
    topics.collect()
}

fn renew(shard: &mut Shard, client: ConnectionId, name: &str, outcome: Result<Leave, Denial>) {
    let answer = Answer::RenewSubscription(topic(name), outcome);
    shard.handle(Input::Answered(client, answer));
    shard.turn();
}

fn expired(name: &str) -> Value {
    json!({"push": {"channel": name, "unsubscribe": {"code": 2501, "reason": "subscription expired"}}})
}

#[test]
fn a_client_is_told_what_comes_with_a_subscription() {
    let mut shard = shard();
    let leave = Leave {
        data: Some(Payload::text("hello")),
        ..until(90_500, RenewedBy::Client)
    };
    let (_, told) = subscribed(&mut shard, leave);
    assert_eq!(
        (&told["expires"], &told["ttl"], &told["data"]),
        (&json!(true), &json!(91), &json!("hello"))
    );
    let (_, told) = subscribed(&mut shard, until(90_500, RenewedBy::Application));
    assert_eq!(told, json!({}), "what it cannot renew it is not told");
    let (_, told) = subscribed(&mut shard, Leave::default());
    assert_eq!(told, json!({}));
    shard.end();
}

#[test]
fn a_subscription_that_the_client_does_not_renew_ends_and_may_begin_again() {
    let mut shard = shard();
    let (client, _) = subscribed(&mut shard, until(10_000, RenewedBy::Client));
    shard.pass(34_000);
    shard.publish("a", "x");
    assert_eq!(
        hear(&mut shard, client).len(),
        1,
        "there is some time to renew it"
    );
    shard.pass(2_000);
    assert_eq!(hear(&mut shard, client), [expired("a")]);
    shard.publish("a", "x");
    assert_eq!(hear(&mut shard, client), [] as [Value; 0]);
    assert_eq!(
        renewals(&mut shard),
        [""; 0],
        "the application has nothing to do with it"
    );
    say(
        &mut shard,
        client,
        &json!({"id": 3, "subscribe": {"channel": "a", "token": "t"}}),
    );
    give(&mut shard, client, Leave::default());
    assert_eq!(hear(&mut shard, client)[0]["subscribe"], json!({}));
    shard.pass(60_000);
    assert_eq!(
        hear(&mut shard, client),
        [] as [Value; 0],
        "it does not end any more"
    );
    shard.end();
}

/// What a client is answered that shows another token for `a`.
fn refresh(shard: &mut Shard, client: ConnectionId, answer: Result<Leaves, Denial>) -> Vec<Value> {
    let refresh = json!({"id": 5, "sub_refresh": {"channel": "a", "token": "t2"}});
    say(shard, client, &refresh);
    let Some(Output::Ask(_, _, Question::Subscribe { topics, token })) = shard.performed.last() else {
        panic!("{:?}", shard.performed.last());
    };
    assert_eq!((&topics[..], token.as_deref()), (&[topic("a")][..], Some("t2")));
    shard.handle(Input::Answered(client, Answer::Subscribe(answer)));
    hear(shard, client)
}

#[test]
fn another_token_renews_a_subscription() {
    let mut shard = shard();
    let (client, _) = subscribed(&mut shard, until(10_000, RenewedBy::Client));
    shard.pass(12_000);
    let leave = until(60_000, RenewedBy::Client);
    let heard = refresh(&mut shard, client, Ok(leave.into()));
    assert_eq!(
        heard,
        [json!({"id": 5, "sub_refresh": {"expires": true, "ttl": 48}})]
    );
    shard.pass(70_000);
    assert_eq!(hear(&mut shard, client), [] as [Value; 0]);
    let heard = refresh(&mut shard, client, Ok(Leaves::default()));
    assert_eq!(heard, [json!({"id": 5, "sub_refresh": {}})], "for ever");
    shard.pass(300_000);
    assert_eq!(hear(&mut shard, client), [] as [Value; 0]);
    shard.end();
}

#[test]
fn a_token_that_does_not_renew_a_subscription_is_an_error_or_the_end() {
    let mut shard = shard();
    for (code, expected) in [
        (ErrorCode::TokenExpired, json!(109)),
        (ErrorCode::Unauthenticated, json!(103)),
        (ErrorCode::TokenMismatch, Value::Null),
    ] {
        let (client, _) = subscribed(&mut shard, until(10_000, RenewedBy::Client));
        let heard = refresh(&mut shard, client, Err(Denial::refused(code, "no")));
        if expected.is_null() {
            assert_eq!(heard, [json!(3500)]);
        } else {
            assert_eq!(heard[0]["error"]["code"], expected, "{heard:?}");
            shard.publish("a", "x");
            assert_eq!(hear(&mut shard, client).len(), 1, "it still has the old one");
        }
        shard.lose(client);
    }
    let nobody = client(&mut shard);
    let asked = shard.performed.len();
    say(
        &mut shard,
        nobody,
        &json!({"id": 5, "sub_refresh": {"channel": "a", "token": "t"}}),
    );
    assert_eq!(hear(&mut shard, nobody)[0]["error"]["code"], 103);
    let is_asked = |output: &Output| matches!(output, Output::Ask(..));
    assert!(
        !shard.performed[asked..].iter().any(is_asked),
        "it has nothing to renew"
    );
    shard.end();
}

#[test]
fn the_application_renews_what_is_its_own() {
    let mut shard = shard();
    let (client, _) = subscribed(&mut shard, until(10_000, RenewedBy::Application));
    assert_eq!(renewals(&mut shard), [""; 0]);
    shard.pass(9_500);
    assert_eq!(renewals(&mut shard), [""; 0], "it has not ended");
    shard.pass(2_000);
    assert_eq!(renewals(&mut shard), ["a"]);
    // Its commands are taken meanwhile.
    say(
        &mut shard,
        client,
        &json!({"id": 3, "presence_stats": {"channel": "a"}}),
    );
    assert_eq!(hear(&mut shard, client)[0]["id"], 3);
    shard.pass(3_000);
    assert_eq!(renewals(&mut shard), [""; 0], "it is asked once");
    renew(&mut shard, client, "a", Ok(until(60_000, RenewedBy::Application)));
    shard.pass(40_000);
    assert_eq!(renewals(&mut shard), [""; 0]);
    shard.pass(6_000);
    assert_eq!(renewals(&mut shard), ["a"]);
    renew(&mut shard, client, "a", Err(Denial::forbidden("no more")));
    assert_eq!(hear(&mut shard, client), [expired("a")]);
    shard.end();
}

#[test]
fn an_application_that_does_not_answer_is_asked_again_while_there_is_time() {
    let mut shard = shard();
    let (client, _) = subscribed(&mut shard, until(10_000, RenewedBy::Application));
    let mut asked = 0;
    shard.pass(11_000);
    for _ in 0..240 {
        if !renewals(&mut shard).is_empty() {
            asked += 1;
            renew(&mut shard, client, "a", Err(Denial::unavailable()));
        }
        shard.pass(100);
    }
    assert!((4..=6).contains(&asked), "{asked}");
    shard.pass(2_000);
    assert_eq!(hear(&mut shard, client), [expired("a")]);
    shard.end();
}

#[test]
fn subscriptions_that_end_together_are_asked_about_one_by_one() {
    let mut shard = shard();
    let client = client(&mut shard);
    for name in ["a", "b", "c"] {
        say(
            &mut shard,
            client,
            &json!({"id": 2, "subscribe": {"channel": name}}),
        );
        give(&mut shard, client, until(10_000, RenewedBy::Application));
    }
    shard.pass(11_500);
    assert_eq!(renewals(&mut shard), ["a"]);
    // Who goes and comes has another leave, to which the answer does not belong.
    say(
        &mut shard,
        client,
        &json!({"id": 3, "unsubscribe": {"channel": "a"}}),
    );
    say(
        &mut shard,
        client,
        &json!({"id": 4, "subscribe": {"channel": "a"}}),
    );
    give(&mut shard, client, until(50_000, RenewedBy::Application));
    hear(&mut shard, client);
    renew(&mut shard, client, "a", Err(Denial::forbidden("no")));
    assert_eq!(hear(&mut shard, client), [] as [Value; 0]);
    shard.pass(1_000);
    assert_eq!(renewals(&mut shard), ["b"]);
    renew(&mut shard, client, "b", Ok(Leave::default()));
    assert_eq!(renewals(&mut shard), ["c"], "the next one at once");
    let closed = Denial::Closed(Disconnect::Forbidden);
    renew(&mut shard, client, "c", Err(closed));
    assert_eq!(hear(&mut shard, client), [json!(3507)]);
    shard.end();
}

#[test]
fn where_the_server_subscribed_it_a_client_is_closed_to_come_again() {
    let mut shard = shard();
    let leave = Leave {
        data: Some(Payload::text("hi")),
        ..until(10_000, RenewedBy::Application)
    };
    let by_door = shard.open(Door {
        dialect: Dialect::CentrifugeJson,
        granted_topics: &["a", "b"],
        leaves: vec![(topic("a"), leave.clone())],
        ..Door::default()
    });
    say(&mut shard, by_door, &json!({"id": 1, "connect": {}}));
    let subs = hear(&mut shard, by_door)[0]["connect"]["subs"].clone();
    assert_eq!((&subs["a"]["data"], &subs["b"]), (&json!("hi"), &json!({})));
    let by_token = shard.open(Door {
        dialect: Dialect::CentrifugeJson,
        is_awaited: true,
        ..Door::default()
    });
    say(&mut shard, by_token, &json!({"id": 1, "connect": {"token": "t"}}));
    let admission = Admission {
        topics: vec![topic("a")],
        leaves: vec![(topic("a"), leave.clone())],
        ..Admission::default()
    };
    shard.handle(Input::Answered(by_token, Answer::Enter(Ok(Some(admission)))));
    assert_eq!(
        hear(&mut shard, by_token)[0]["connect"]["subs"]["a"]["data"],
        "hi"
    );
    let by_call = client(&mut shard);
    let who = Selector::Connection(by_call);
    shard.control(Control::Subscribe(who, vec![topic("a")], leave));
    let push = json!({"push": {"channel": "a", "subscribe": {"data": "hi"}}});
    assert_eq!(hear(&mut shard, by_call), [push]);
    shard.pass(12_000);
    assert_eq!(renewals(&mut shard).len(), 3);
    for client in [by_door, by_token, by_call] {
        renew(&mut shard, client, "a", Err(Denial::forbidden("no")));
        assert_eq!(hear(&mut shard, client), [json!(3006)]);
    }
    shard.end();
}

#[test]
fn in_json_a_subscription_ends_with_its_reason_and_is_renewed_by_subscribing() {
    let mut shard = shard();
    let client = shard.client(&[]);
    let subscribe = r#"{"type":"subscribe","topic":"a","token":"t"}"#;
    shard.say(client, subscribe);
    let leave = Leave {
        data: Some(Payload::text("hello")),
        ..until(10_000, RenewedBy::Client)
    };
    give(&mut shard, client, leave);
    let told = String::from_utf8_lossy(&shard.read_bytes(client)).into_owned();
    assert!(told.contains(r#""expires_at":10000,"data":"hello""#), "{told}");
    shard.pass(8_000);
    shard.say(client, subscribe);
    give(&mut shard, client, until(20_000, RenewedBy::Client));
    shard.pass(11_500);
    assert_eq!(shard.read(client), ["subscribed a@0"], "it goes on");
    shard.pass(2_000);
    assert_eq!(
        shard.read(client),
        ["unsubscribed a (expired)"],
        "it has known when"
    );
    let stream = shard.open(Door {
        dialect: Dialect::Sse,
        topics: &["a"],
        ..Door::default()
    });
    give(&mut shard, stream, until(30_000, RenewedBy::Application));
    shard.read(stream);
    shard.pass(10_000);
    renew(&mut shard, stream, "a", Err(Denial::forbidden("no")));
    assert_eq!(shard.read(stream), ["unsubscribed a (expired)"]);
    let raw = shard.open(Door {
        dialect: Dialect::Raw,
        topics: &["a"],
        ..Door::default()
    });
    give(&mut shard, raw, until(40_000, RenewedBy::Application));
    shard.pass(10_000);
    renew(&mut shard, raw, "a", Err(Denial::forbidden("no")));
    assert_eq!(shard.read(raw), ["close 3010"], "it has no words for it");
    shard.end();
}

#[test]
fn each_of_several_topics_has_its_own_leave() {
    let mut shard = shard();
    let client = shard.client(&[]);
    shard.say(client, r#"{"type":"subscribe","topics":["a","b"],"token":"t"}"#);
    let leaves = [10_000, 20_000].map(|end| until(end, RenewedBy::Client));
    let answer = Answer::Subscribe(Ok(leaves.into_iter().collect()));
    shard.handle(Input::Answered(client, answer));
    shard.pass(12_000);
    assert_eq!(
        shard.read(client),
        ["subscribed a@0 b@0", "unsubscribed a (expired)"]
    );
    shard.pass(10_000);
    assert_eq!(shard.read(client), ["unsubscribed b (expired)"]);
    shard.end();
}

#[test]
fn what_has_ended_before_it_began_ends_when_it_has() {
    let mut shard = shard();
    shard.holds_joins = true;
    let slow = client(&mut shard);
    say(&mut shard, slow, &json!({"id": 2, "subscribe": {"channel": "a"}}));
    give(&mut shard, slow, until(10_000, RenewedBy::Client));
    shard.pass(40_000);
    shard.holds_joins = false;
    shard.answer_join("a", Ok(()));
    assert_eq!(hear(&mut shard, slow)[0]["subscribe"]["ttl"], 1);
    shard.pass(2_000);
    assert_eq!(hear(&mut shard, slow), [expired("a")]);
    let early = shard.open(Door {
        dialect: Dialect::CentrifugeJson,
        granted_topics: &["a"],
        leaves: vec![(topic("a"), until(41_000, RenewedBy::Application))],
        ..Door::default()
    });
    shard.pass(5_000);
    assert_eq!(renewals(&mut shard), [""; 0], "it is not let in yet");
    say(&mut shard, early, &json!({"id": 1, "connect": {}}));
    shard.pass(2_000);
    assert_eq!(renewals(&mut shard), ["a"]);
    assert_eq!(shard.hub.counters().subscriptions_expired, 1);
    shard.end();
}

#[test]
fn a_refused_subscription_leaves_nothing_that_ends_another() {
    let mut shard = shard();
    shard.holds_joins = true;
    let client = client(&mut shard);
    say(
        &mut shard,
        client,
        &json!({"id": 2, "subscribe": {"channel": "a"}}),
    );
    give(&mut shard, client, until(10_000, RenewedBy::Client));
    shard.answer_join("a", Err(fanfare_hub::broker::Refusal::Unavailable));
    assert_eq!(hear(&mut shard, client)[0]["error"]["code"], 100);
    shard.holds_joins = false;
    say(
        &mut shard,
        client,
        &json!({"id": 3, "subscribe": {"channel": "a"}}),
    );
    give(&mut shard, client, Leave::default());
    assert_eq!(hear(&mut shard, client)[0]["subscribe"], json!({}));
    shard.pass(60_000);
    assert_eq!(hear(&mut shard, client), [] as [Value; 0]);
    shard.end();
}

fn publish(shard: &mut Shard, client: ConnectionId, (id, name): (u32, &str)) {
    say(
        shard,
        client,
        &json!({"id": id, "publish": {"channel": name, "data": 1}}),
    );
}

#[test]
fn others_see_what_they_may_see_of_a_client_in_one_topic() {
    let mut shard = shard();
    let seen = |info: &str| Leave {
        info: Some(info.into()),
        ..until(10_000, RenewedBy::Application)
    };
    let watcher = client(&mut shard);
    for name in ["a", "b"] {
        let subscribe = json!({"channel": name, "join_leave": true});
        say(&mut shard, watcher, &json!({"id": 2, "subscribe": subscribe}));
        give(&mut shard, watcher, Leave::default());
    }
    shard.pass(2_000);
    hear(&mut shard, watcher);
    let (client, _) = subscribed(&mut shard, seen(r#"{"role":"host"}"#));
    let id = fanfare_protocol::dialect::centrifuge::client_of(client);
    let as_host = json!({"user": "", "client": id, "chan_info": {"role": "host"}});
    publish(&mut shard, client, (3, "a"));
    publish(&mut shard, client, (4, "b"));
    shard.pass(2_000);
    let heard = hear(&mut shard, watcher);
    assert_eq!(heard[0]["push"]["pub"]["info"], as_host);
    let elsewhere = json!({"user": "", "client": id});
    assert_eq!(
        heard[1]["push"]["pub"]["info"], elsewhere,
        "in another topic it has none"
    );
    assert_eq!(heard[2]["push"]["join"]["info"], as_host);
    let look = json!({"id": 5, "presence": {"channel": "a"}});
    say(&mut shard, watcher, &look);
    assert_eq!(hear(&mut shard, watcher)[0]["presence"]["presence"][&id], as_host);

    // A renewal that says nothing of it leaves it, another one changes it.
    shard.pass(8_000);
    renew(&mut shard, client, "a", Ok(until(20_000, RenewedBy::Application)));
    shard.pass(2_000);
    assert_eq!(hear(&mut shard, watcher), [] as [Value; 0]);
    shard.pass(8_000);
    renew(
        &mut shard,
        client,
        "a",
        Ok(Leave {
            expires_at: None,
            ..seen(r#"{"role":"guest"}"#)
        }),
    );
    shard.pass(2_000);
    let heard = hear(&mut shard, watcher);
    assert_eq!(
        heard[0]["push"]["join"]["info"]["chan_info"],
        json!({"role": "guest"})
    );
    assert_eq!(heard[1]["push"]["leave"]["info"], as_host);
    let json = shard.client(&[]);
    shard.say(json, r#"{"type":"presence","topic":"a"}"#);
    shard.turn();
    let told = String::from_utf8_lossy(&shard.read_bytes(json)).into_owned();
    assert!(told.contains(r#""topic_info":{"role":"guest"}"#), "{told}");
    say(
        &mut shard,
        client,
        &json!({"id": 6, "unsubscribe": {"channel": "a"}}),
    );
    publish(&mut shard, client, (7, "a"));
    let heard = hear(&mut shard, watcher);
    assert_eq!(
        heard[0]["push"]["pub"]["info"], elsewhere,
        "it goes with the subscription"
    );
    shard.end();
}
