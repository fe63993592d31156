//! A session's stories, told as what it hears and says.

use super::*;
use crate::token::TokenSource;

#[path = "session_recovery_tests.rs"]
mod recovery;

/// A session and everything it said, to be told as a story.
struct Story(Session);

impl Story {
    fn welcomed() -> Self {
        let mut story = Self(Session::new());
        story.hears(
            r#"{"type":"welcome","connection":"c1","ping_interval_ms":25000,"pong_timeout_ms":10000}"#,
        );
        story
    }

    fn subscribed_to_a_at(epoch: &str, offset: u64) -> Self {
        let mut story = Self::welcomed();
        story
            .0
            .subscribe(&["a".to_owned()], SubscribeOptions::default(), None)
            .unwrap();
        story.says();
        story.hears(&subscribed(Some(1), epoch, offset));
        story
    }

    fn hears(&mut self, text: &str) -> Vec<String> {
        self.0.handle_text(text).unwrap();
        std::iter::from_fn(|| self.0.poll_incoming())
            .map(|incoming| told(&incoming))
            .collect()
    }

    fn says(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.poll_outgoing()).collect()
    }

    fn reconnects(&mut self) -> Vec<String> {
        self.0.handle_lost();
        self.hears(r#"{"type":"welcome","connection":"c2"}"#);
        self.says()
    }
}

fn subscribed(id: Option<u64>, epoch: &str, offset: u64) -> String {
    let id = id.map_or(String::new(), |id| format!("\"id\":{id},"));
    format!(r#"{{"type":"subscribed",{id}"topics":[{{"topic":"a","epoch":"{epoch}","offset":{offset}}}]}}"#)
}

fn publication(offset: u64) -> String {
    format!(r#"{{"type":"message","topic":"a","offset":{offset},"data":1}}"#)
}

fn told(incoming: &Incoming) -> String {
    match incoming {
        Incoming::Reply {
            id,
            outcome: Ok(reply),
        } => format!("{id}: {reply:?}").split('(').next().unwrap().into(),
        Incoming::Reply {
            id,
            outcome: Err(refusal),
        } => format!("{id}: refused {}", refusal.code),
        Incoming::Postponed { topics, refusals, .. } => format!("{topics:?} later, refused {refusals} times"),
        Incoming::TokenWanted { topics, .. } => format!("token for {topics:?}"),
        Incoming::Push(Push::Publication(publication)) => {
            format!("message {:?}", publication.offset.unwrap())
        }
        Incoming::Push(Push::Missed { gap, .. }) => match (gap.count, &gap.offsets) {
            (Some(count), Some(offsets)) => format!("missed {count} of {offsets:?}: {:?}", gap.cause),
            _ => format!("missed some: {:?}", gap.cause),
        },
        Incoming::Push(push) => format!("{push:?}").split(['(', ' ']).next().unwrap().to_owned(),
    }
}

#[test]
fn commands_are_written_as_the_dialect_says() {
    let mut story = Story::welcomed();
    let options = SubscribeOptions {
        occupancy: true,
        every: "2s".parse().ok(),
        ..SubscribeOptions::default()
    };
    let data = RawValue::from_string("{\"x\": 1.0}".to_owned()).unwrap();
    story
        .0
        .subscribe(&["a".to_owned(), "b".to_owned()], options, None)
        .unwrap();
    let keyed = PublishOptions {
        key: Key::parse("k").ok(),
        ..PublishOptions::default()
    };
    let once = PublishOptions {
        idempotency_key: IdempotencyKey::parse("order 7").ok(),
        expected: "k2w9:17".parse().ok(),
        ..PublishOptions::default()
    };
    story.0.publish("a", &data, &PublishOptions::default()).unwrap();
    story.0.publish("a", &data, &keyed).unwrap();
    story.0.publish("a", &data, &once).unwrap();
    story.0.unsubscribe(&["a".to_owned()]).unwrap();
    story.0.ping().unwrap();
    let expected = [
        r#"{"type":"subscribe","id":1,"topics":["a","b"],"occupancy":true,"every":"2000ms"}"#,
        r#"{"type":"publish","id":2,"topic":"a","data":{"x": 1.0}}"#,
        r#"{"type":"publish","id":3,"topic":"a","key":"k","data":{"x": 1.0}}"#,
        r#"{"type":"publish","id":4,"topic":"a","idempotency_key":"order 7","expected":"k2w9:17","data":{"x": 1.0}}"#,
        r#"{"type":"unsubscribe","id":5,"topics":["a"]}"#,
        r#"{"type":"ping","id":6}"#,
    ];
    assert_eq!(story.says(), expected);
}

#[test]
fn who_is_there_is_asked_for_as_the_dialect_says() {
    let mut story = Story::welcomed();
    let options = PresenceOptions {
        after: Some("0000000100000002".to_owned()),
        limit: Some(2),
    };
    story.0.presence("a", &PresenceOptions::default()).unwrap();
    story.0.presence("a", &options).unwrap();
    let expected = [
        r#"{"type":"presence","id":1,"topic":"a"}"#,
        r#"{"type":"presence","id":2,"topic":"a","limit":2,"after":"0000000100000002"}"#,
    ];
    assert_eq!(story.says(), expected);
    let page = r#"{"type":"presence","id":1,"topic":"a","connections":0,"users":0,"members":[]}"#;
    assert_eq!(story.hears(page), ["1: Presence"]);
}

#[test]
fn what_is_told_of_a_topic_goes_on_until_it_is_unsubscribed_from() {
    let (a, both) = (vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()]);
    let mut story = Story::welcomed();
    let wishing = SubscribeOptions {
        occupancy: true,
        presence: true,
        ..SubscribeOptions::default()
    };
    let plain = SubscribeOptions::default;
    story.0.subscribe(&a, wishing, None).unwrap();
    story.0.subscribe(&a, plain(), None).unwrap();
    let told = r#""occupancy":true,"presence":true"#;
    assert_eq!(
        story.says(),
        [
            format!(r#"{{"type":"subscribe","id":1,"topics":["a"],{told}}}"#),
            format!(r#"{{"type":"subscribe","id":2,"topics":["a"],{told}}}"#),
        ],
        "it is about to be told"
    );
    story.hears(&subscribed(Some(1), "e", 7));
    story.hears(&subscribed(Some(2), "e", 7));
    story.0.subscribe(&both, plain(), None).unwrap();
    let named = format!(r#"{{"type":"subscribe","id":3,"topics":["a","b"],{told}}}"#);
    assert_eq!(story.says(), [named]);
    let again = format!(r#"{{"type":"subscribe","id":4,"topics":[{{"topic":"a","since":"e:7"}}],{told}}}"#);
    assert_eq!(story.reconnects(), [again]);
    story.hears(&subscribed(Some(4), "e", 7));
    story.0.unsubscribe(&a).unwrap();
    story.0.subscribe(&a, plain(), None).unwrap();
    assert_eq!(story.says()[1], r#"{"type":"subscribe","id":6,"topics":["a"]}"#);
}

#[test]
fn replies_find_their_commands_in_any_order_and_only_once() {
    let mut story = Story::welcomed();
    story.0.ping().unwrap();
    story.0.ping().unwrap();
    assert_eq!(story.hears(r#"{"type":"pong","id":2}"#), ["2: Pong"]);
    assert_eq!(
        story.hears(r#"{"type":"error","id":1,"code":"busy","temporary":true}"#),
        ["1: refused busy"]
    );
    assert_eq!(story.hears(r#"{"type":"pong","id":2}"#), [""; 0]);
}

#[test]
fn a_gap_in_the_offsets_is_told_before_what_follows() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    assert_eq!(story.hears(&publication(8)), ["message 8"]);
    assert_eq!(
        story.hears(&publication(11)),
        ["missed 2 of 9..=10: Slow", "message 11"]
    );
    assert_eq!(story.hears(&publication(12)), ["message 12"]);
}

#[test]
fn what_the_server_leaves_out_is_told_once() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    let missed = r#"{"type":"missed","topic":"a","epoch":"e","from":8,"to":10,"count":3}"#;
    assert_eq!(story.hears(missed), ["missed 3 of 8..=10: Slow"]);
    assert_eq!(story.hears(&publication(11)), ["message 11"]);
    let some = r#"{"type":"missed","topic":"a","epoch":"e","from":12,"to":20,"count":3}"#;
    assert_eq!(story.hears(some), ["missed 3 of 12..=20: Slow"]);
    assert_eq!(
        story.hears(&publication(16)),
        ["missed 1 of 12..=15: Slow", "message 16"]
    );
}

#[test]
fn what_a_rate_skips_is_not_missed_and_the_rate_outlives_the_connection() {
    let mut story = Story::welcomed();
    let options = SubscribeOptions {
        every: "1s".parse().ok(),
        ..SubscribeOptions::default()
    };
    story.0.subscribe(&["a".to_owned()], options, None).unwrap();
    story.says();
    story.hears(&subscribed(Some(1), "e", 0));
    assert_eq!(story.hears(&publication(5)), ["message 5"]);
    assert_eq!(
        story.reconnects(),
        [r#"{"type":"subscribe","id":2,"topics":[{"topic":"a","since":"e:5"}],"every":"1000ms"}"#]
    );
}

#[test]
fn subscribing_again_on_the_same_connection_misses_nothing() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    story
        .0
        .subscribe(&["a".to_owned()], SubscribeOptions::default(), None)
        .unwrap();
    assert_eq!(story.hears(&subscribed(Some(2), "e", 9)), ["2: Subscribed"]);
    assert_eq!(story.hears(&publication(8)), ["message 8"]);
    assert_eq!(story.hears(&publication(9)), ["message 9"]);
}

#[test]
fn what_was_given_up_is_not_asked_for_again() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    story.0.unsubscribe(&["a".to_owned()]).unwrap();
    assert_eq!(story.reconnects(), [""; 0]);
    let mut story = Story::subscribed_to_a_at("e", 7);
    assert_eq!(
        story.hears(r#"{"type":"unsubscribed","topics":["a"]}"#),
        ["Unsubscribed"]
    );
    assert_eq!(story.reconnects(), [""; 0]);
}

#[test]
fn what_was_given_up_is_not_missed_when_it_is_wanted_again() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    story.0.unsubscribe(&["a".to_owned()]).unwrap();
    assert!(!story.0.is_subscribed("a"));
    story.reconnects();
    story
        .0
        .subscribe(&["a".to_owned()], SubscribeOptions::default(), None)
        .unwrap();
    assert_eq!(story.hears(&subscribed(Some(3), "e", 20)), ["3: Subscribed"]);
    assert!(story.0.is_subscribed("a"));
}

#[test]
fn topics_of_the_servers_choice_are_not_asked_for() {
    let mut story = Story::welcomed();
    assert_eq!(story.hears(&subscribed(None, "e", 1)), ["Subscribed"]);
    assert_eq!(story.reconnects(), [""; 0]);
    assert_eq!(
        story.hears(&subscribed(None, "e", 3)),
        ["Subscribed", "missed 2 of 2..=3: Away"]
    );
}

#[test]
fn topics_that_are_refused_after_a_reconnect_are_forgotten() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    story.reconnects();
    assert_eq!(
        story.hears(r#"{"type":"error","id":2,"code":"forbidden"}"#),
        ["NotSubscribedAgain"]
    );
    assert_eq!(story.reconnects(), [""; 0]);
}

#[test]
fn commands_beyond_the_bound_are_refused() {
    let mut story = Story::welcomed();
    for _ in 0..COMMANDS_PENDING_MAX {
        story.0.ping().unwrap();
    }
    assert_eq!(story.0.ping(), Err(LimitExceeded::Commands));
    let topics = vec![String::new(); TOPICS_MAX + 1];
    assert_eq!(
        story.0.subscribe(&topics, SubscribeOptions::default(), None),
        Err(LimitExceeded::Topics)
    );
}

#[test]
fn a_command_the_server_would_not_take_is_refused() {
    let mut story = Story(Session::new());
    story.hears(r#"{"type":"welcome","connection":"c","limits":{"message_bytes_max":30}}"#);
    assert!(story.0.ping().is_ok());
    let refused = story
        .0
        .subscribe(&["a".to_owned()], SubscribeOptions::default(), None);
    assert_eq!(
        refused,
        Err(LimitExceeded::Message {
            bytes: 42,
            bytes_max: 30
        })
    );
    assert_eq!(story.says().len(), 1);
}

fn awaited(story: &mut Story) -> Vec<String> {
    story.0.handle_lost();
    story.hears(r#"{"type":"welcome","connection":"c","auth_timeout_ms":10000}"#);
    story.says()
}

#[test]
fn where_a_token_is_awaited_nothing_else_is_said_before_it() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    assert_eq!(awaited(&mut story), [""; 0]);
    assert!(story.0.is_welcome() && story.0.is_awaited());
    story.0.authenticate(&Token::parse("t").unwrap()).unwrap();
    assert_eq!(story.says(), [r#"{"type":"auth","id":2,"token":"t"}"#]);
    let authenticated = r#"{"type":"authenticated","id":2,"user":"ada","expires_at":5}"#;
    assert_eq!(story.hears(authenticated), ["2: Authenticated"]);
    assert!(!story.0.is_awaited());
    assert_eq!(
        story.says(),
        [r#"{"type":"subscribe","id":3,"topics":[{"topic":"a","since":"e:7"}]}"#]
    );
}

#[test]
fn a_token_that_is_refused_is_a_reply_and_the_server_waits_on() {
    let mut story = Story(Session::new());
    awaited(&mut story);
    story.0.authenticate(&Token::parse("t").unwrap()).unwrap();
    assert_eq!(
        story.hears(r#"{"type":"error","id":1,"code":"unauthenticated"}"#),
        ["1: refused unauthenticated"]
    );
    assert!(story.0.is_awaited());
}

#[test]
fn topics_with_tokens_of_their_own_wait_for_new_ones_after_a_reconnect() {
    let mut story = Story::welcomed();
    let (one, other) = (TokenSource::from("one"), TokenSource::from("one"));
    for (topics, source) in [(&["a", "b"][..], &one), (&["c"], &other), (&["d"], &one)] {
        let topics: Vec<_> = topics.iter().map(ToString::to_string).collect();
        let options = SubscribeOptions {
            token: Some(source.clone()),
            ..SubscribeOptions::default()
        };
        let token = Token::parse("first").unwrap();
        let id = story.0.subscribe(&topics, options, Some(&token)).unwrap();
        let said = story.says().concat();
        assert!(said.contains(r#""token":"first""#), "{said}");
        let at: Vec<_> = topics.iter().map(|topic| at(topic)).collect();
        story.hears(&format!(
            r#"{{"type":"subscribed","id":{id},"topics":[{}]}}"#,
            at.join(",")
        ));
    }
    story.0.unsubscribe(&["b".to_owned()]).unwrap();
    story.0.handle_lost();
    let mut told = story.hears(r#"{"type":"welcome","connection":"c2"}"#);
    told.sort();
    let wanted = [r#"token for ["a", "d"]"#, r#"token for ["c"]"#];
    assert_eq!(told, [&["Welcome"][..], &wanted].concat());
    assert_eq!(story.says(), [""; 0]);
    story.0.forget(&["d".to_owned()]);
    let token = Token::parse("second").unwrap();
    let topics = ["a", "b", "d", "unknown"].map(str::to_owned);
    story.0.subscribe_again(&topics, Some(&token));
    assert_eq!(
        story.says(),
        [r#"{"type":"subscribe","id":5,"topics":[{"topic":"a","since":"e:0"}],"token":"second"}"#]
    );
}

fn at(topic: &str) -> String {
    format!(r#"{{"topic":"{topic}","epoch":"e","offset":0}}"#)
}

#[test]
fn a_call_gives_json_or_bytes() {
    let mut story = Story::welcomed();
    let data = RawValue::from_string("[1]".to_owned()).unwrap();
    story.0.call("add", &data).unwrap();
    assert_eq!(
        story.says(),
        [r#"{"type":"call","id":1,"method":"add","data":[1]}"#]
    );
    assert_eq!(
        story.hears(r#"{"type":"result","id":1,"data":null}"#),
        ["1: Result"]
    );
    story.0.call("add", &data).unwrap();
    assert_eq!(
        story.hears(r#"{"type":"result","id":2,"data_base64":"AAE="}"#),
        ["2: Result"]
    );
}

#[test]
fn no_token_is_shown() {
    let mut story = Story::welcomed();
    let token = Token::parse("secret").unwrap();
    story.0.authenticate(&token).unwrap();
    let options = SubscribeOptions {
        token: Some("secret".into()),
        ..SubscribeOptions::default()
    };
    let shown = format!("{:?} {options:?}", story.0);
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn what_no_server_says_there_is_malformed() {
    for text in [
        r#"{"type":"pong","id":1}"#,
        r#"{"type":"subscribed","topics":[]}"#,
        r#"{"type":"message","data":1}"#,
        r#"{"type":"error","code":"busy"}"#,
    ] {
        assert!(Session::new().handle_text(text).is_err(), "{text}");
    }
    let mut story = Story::welcomed();
    let welcome = r#"{"type":"welcome","connection":"c2"}"#;
    assert!(story.0.handle_text(welcome).is_err());
    let goodbye = r#"{"type":"goodbye","code":3000,"reconnect":true}"#;
    assert_eq!(story.hears(goodbye), ["Goodbye"]);
    assert!(story.0.handle_text(goodbye).is_err());
}

#[test]
fn a_server_that_lies_makes_nothing_grow_and_nothing_overflow() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    for id in 1..100 {
        let reply = format!(r#"{{"type":"published","id":{id},"topic":"a","epoch":"e","offset":1}}"#);
        assert_eq!(story.hears(&reply), [""; 0], "nobody asked");
        story.hears(&format!(r#"{{"type":"error","id":{id},"code":"x"}}"#));
    }
    let missed = format!(
        r#"{{"type":"missed","topic":"a","from":0,"to":{0},"count":{0}}}"#,
        u64::MAX
    );
    story.hears(&missed);
    story.hears(&missed);
    story.hears(&publication(u64::MAX));
    story.hears(&publication(0));
    assert_eq!(story.hears(&subscribed(None, "e", u64::MAX)), ["Subscribed"]);
    let long = "x".repeat(TOPIC_BYTES_MAX + 1);
    story.hears(&format!(r#"{{"type":"subscribed","topics":[{}]}}"#, at(&long)));
    assert!(!story.0.is_subscribed(&long));
    for name in 0..10 {
        let topics: Vec<_> = (0..10_000)
            .map(|number| at(&format!("{name}-{number}")))
            .collect();
        story.hears(&format!(
            r#"{{"type":"subscribed","topics":[{}]}}"#,
            topics.join(",")
        ));
    }
    assert_eq!(story.0.topics.len(), TOPICS_MAX);
}
