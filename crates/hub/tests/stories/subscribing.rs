//! Welcome, joining and leaving topics.

use fanfare_hub::broker::Refusal;
use fanfare_hub::{Control, Leave, Limits, Listed, Output, Role, Selector};
use fanfare_protocol::dialect::Dialect;

use crate::driver::{Door, Shard, topic};

#[test]
fn welcome_comes_first() {
    let mut shard = Shard::new();
    let ada = shard.open(Door {
        user: Some("ada"),
        topics: &["a"],
        ..Door::default()
    });
    shard.say(ada, r#"{"type":"ping"}"#);
    shard.turn();
    assert_eq!(shard.read(ada), ["welcome", "pong", "subscribed a@0"]);
    shard.end();
}

#[test]
fn a_raw_client_hears_publications_and_nothing_else() {
    let mut shard = Shard::new();
    let raw = shard.open(Door {
        dialect: Dialect::Raw,
        topics: &["a", "b"],
        ..Door::default()
    });
    shard.turn();
    assert!(shard.read(raw).is_empty());
    shard.say(raw, "hi");
    shard.turn();
    assert_eq!(
        shard.read(raw),
        ["text hi", "text hi"],
        "its messages go to all its topics, and to itself"
    );
    shard.end();
}

#[test]
fn a_subscriber_hears_from_its_position_on() {
    let mut shard = Shard::new();
    let early = shard.client(&["a"]);
    shard.publish("a", "one");
    shard.turn();
    let late = shard.client(&[]);
    shard.publish("a", "two");
    shard.say(late, r#"{"type":"subscribe","topic":"a","id":1}"#);
    shard.publish("a", "three");
    shard.turn();
    assert_eq!(
        shard.read(early),
        [r#"a/1 "one""#, r#"a/2 "two""#, r#"a/3 "three""#]
    );
    assert_eq!(
        shard.read(late),
        ["subscribed #1 a@1", r#"a/2 "two""#, r#"a/3 "three""#]
    );
    shard.end();
}

#[test]
fn a_subscriber_is_not_sent_what_was_taken_in_before_it_came() {
    let mut shard = Shard::new();
    let early = shard.client(&["a"]);
    let late = shard.client(&[]);
    shard.publish("a", "one");
    shard.take_mail();
    shard.say(late, r#"{"type":"subscribe","topic":"a","id":1}"#);
    shard.publish("a", "two");
    shard.turn();
    assert_eq!(shard.read(early), [r#"a/1 "one""#, r#"a/2 "two""#]);
    assert_eq!(shard.read(late), ["subscribed #1 a@1", r#"a/2 "two""#]);
    shard.end();
}

#[test]
fn a_subscription_is_pending_until_the_broker_answers() {
    let mut shard = Shard::new();
    let ada = shard.client(&[]);
    shard.holds_joins = true;
    shard.say(ada, r#"{"type":"subscribe","topics":["a","b"],"id":1}"#);
    shard.turn();
    assert!(shard.read(ada).is_empty());
    shard.answer_join("a", Ok(()));
    shard.publish("a", "before the command is complete");
    shard.turn();
    assert!(shard.read(ada).is_empty(), "both topics or none");
    assert_eq!(shard.hub.gauges().pending, 1);
    shard.answer_join("b", Ok(()));
    shard.publish("a", "after");
    shard.turn();
    assert_eq!(shard.read(ada), ["subscribed #1 a@1 b@0", r#"a/2 "after""#]);
    shard.end();
}

#[test]
fn subscribing_again_changes_nothing() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.say(ada, r#"{"type":"subscribe","topics":["a","a"],"id":1}"#);
    shard.publish("a", "once");
    shard.turn();
    assert_eq!(shard.read(ada), ["subscribed #1 a@0 a@0", r#"a/1 "once""#]);
    shard.say(ada, r#"{"type":"unsubscribe","topic":"a","id":2}"#);
    shard.say(ada, r#"{"type":"unsubscribe","topics":["a","never"],"id":3}"#);
    shard.publish("a", "for nobody");
    shard.turn();
    assert_eq!(shard.read(ada), ["unsubscribed #2 a", "unsubscribed #3 a never"]);
    shard.end();
}

#[test]
fn nothing_of_a_topic_follows_unsubscribed() {
    let mut shard = Shard::new();
    let (ada, bob) = (shard.client(&["a"]), shard.client(&["a"]));
    shard.publish("a", "one");
    shard.take_mail();
    shard.say(ada, r#"{"type":"unsubscribe","topic":"a","id":1}"#);
    shard.publish("a", "two");
    shard.turn();
    assert_eq!(shard.read(ada), [r#"a/1 "one""#, "unsubscribed #1 a"]);
    assert_eq!(shard.read(bob), [r#"a/1 "one""#, r#"a/2 "two""#]);
    shard.end();
}

#[test]
fn a_bad_topic_subscribes_to_none() {
    let mut shard = Shard::new();
    let ada = shard.client(&[]);
    for name in ["", "a b", "$all", "$user:bob", "a*"] {
        let command = format!(r#"{{"type":"subscribe","topics":["a","{name}"],"id":1}}"#);
        shard.say(ada, &command);
        shard.turn();
        assert_eq!(shard.read(ada), ["error #1 bad_topic"], "{name}");
    }
    for verb in ["unsubscribe", "publish"] {
        shard.say(
            ada,
            &format!(r#"{{"type":"{verb}","topic":"$all","data":1,"id":2}}"#),
        );
        shard.turn();
        assert_eq!(shard.read(ada), ["error #2 bad_topic"]);
    }
    shard.publish("a", "for nobody");
    shard.turn();
    assert!(shard.read(ada).is_empty());
    shard.end();
}

#[test]
fn a_refused_join_is_an_error_and_leaves_nothing() {
    let mut shard = Shard::new();
    let ada = shard.client(&[]);
    shard.holds_joins = true;
    shard.say(ada, r#"{"type":"subscribe","topics":["a","b"],"id":1}"#);
    shard.answer_join("a", Ok(()));
    shard.answer_join("b", Err(Refusal::Unavailable));
    shard.turn();
    assert_eq!(shard.read(ada), ["error #1 unavailable"]);
    let topics_of_the_server = 1;
    assert_eq!(shard.hub.gauges().topics, topics_of_the_server);
    assert!(!shard.logs.contains_key(&topic("a")), "what was joined is left");
    shard.holds_joins = false;
    shard.say(ada, r#"{"type":"subscribe","topics":["a","b"],"id":2}"#);
    shard.turn();
    assert_eq!(shard.read(ada), ["subscribed #2 a@0 b@0"]);
    shard.end();
}

#[test]
fn a_raw_client_whose_join_is_refused_is_disconnected() {
    let mut shard = Shard::new();
    shard.holds_joins = true;
    let raw = shard.open(Door {
        dialect: Dialect::Raw,
        topics: &["a"],
        ..Door::default()
    });
    shard.answer_join("a", Err(Refusal::Unavailable));
    shard.turn();
    assert_eq!(shard.read(raw), ["close 3004"]);
    shard.end();
}

#[test]
fn a_client_that_goes_while_the_broker_is_asked_leaves_nothing() {
    let mut shard = Shard::new();
    let ada = shard.client(&[]);
    shard.holds_joins = true;
    shard.say(ada, r#"{"type":"subscribe","topics":["a"],"id":1}"#);
    shard.handle(fanfare_hub::Input::Lost(ada));
    shard.answer_join("a", Ok(()));
    shard.turn();
    assert_eq!((shard.hub.gauges().topics, shard.hub.gauges().pending), (0, 0));
    shard.end();
}

#[test]
fn the_application_subscribes_and_unsubscribes() {
    let mut shard = Shard::new();
    let door = || Door {
        user: Some("ada"),
        ..Door::default()
    };
    let (first, second) = (shard.open(door()), shard.open(door()));
    let other = shard.client(&["a"]);
    shard.turn();
    let user = || Selector::User(fanfare_protocol::UserName::parse("ada").unwrap());
    assert_eq!(
        shard.control(Control::Subscribe(
            user(),
            vec![topic("a"), topic("b")],
            Leave::default()
        )),
        2
    );
    shard.publish("b", "x");
    shard.turn();
    shard.control(Control::Unsubscribe(
        Selector::Connection(second),
        vec![topic("b")],
    ));
    shard.publish("b", "y");
    shard.turn();
    let both = ["welcome", "subscribed a@0 b@0", r#"b/1 "x""#];
    assert_eq!(shard.read(first), [&both[..], &[r#"b/2 "y""#]].concat());
    assert_eq!(shard.read(second), [&both[..], &["unsubscribed b"]].concat());
    assert!(shard.read(other).is_empty());
    shard.end();
}

#[test]
fn the_application_cannot_subscribe_past_the_limit() {
    let mut shard = Shard::with_limits(Limits {
        subscriptions_max: 2,
        ..Limits::default()
    });
    let ada = shard.client(&["a"]);
    shard.turn();
    shard.read(ada);
    let selector = Selector::Connection(ada);
    let past = Control::Subscribe(selector.clone(), vec![topic("b"), topic("c")], Leave::default());
    assert_eq!(shard.control(past), 0, "it is told to whoever asked");
    assert!(
        shard.read(ada).is_empty(),
        "the client did not ask and hears nothing"
    );
    assert_eq!(
        shard.control(Control::Subscribe(selector, vec![topic("b")], Leave::default())),
        1
    );
    shard.turn();
    assert_eq!(shard.read(ada), ["subscribed b@0"]);
    shard.end();
}

#[test]
fn a_publisher_receives_nothing() {
    let mut shard = Shard::new();
    let publisher = shard.open(Door {
        role: Role::Publisher,
        user: Some("ada"),
        topics: &["a"],
        ..Door::default()
    });
    let reader = shard.client(&["a"]);
    shard.read(publisher);
    shard.say(publisher, r#"{"type":"publish","topic":"a","data":1,"id":1}"#);
    shard.publish("$all", "broadcast");
    shard.publish("$user:ada", "to the user");
    shard.say(
        reader,
        &format!(r#"{{"type":"send","connection":"{publisher}","data":1,"id":2}}"#),
    );
    shard.turn();
    assert_eq!(shard.read(publisher), ["published #1 a/1"]);
    assert_eq!(
        shard.read(reader),
        ["error #2 not_found", "a/1 1", r#"$all/1 "broadcast""#]
    );
    shard.end();
}

#[test]
fn unsubscribing_while_the_broker_is_asked_wins() {
    let mut shard = Shard::new();
    let ada = shard.client(&[]);
    shard.holds_joins = true;
    shard.say(ada, r#"{"type":"subscribe","topics":["a","b"],"id":1}"#);
    shard.say(ada, r#"{"type":"unsubscribe","topic":"a","id":2}"#);
    shard.answer_join("a", Ok(()));
    shard.answer_join("b", Ok(()));
    shard.turn();
    shard.publish("a", "unwanted");
    shard.publish("b", "wanted");
    shard.turn();
    assert_eq!(
        shard.read(ada),
        ["unsubscribed #2 a", "subscribed #1 b@0", r#"b/1 "wanted""#]
    );
    shard.end();
}

#[test]
fn subscriptions_are_limited_and_past_the_limit_none_is_made() {
    let mut shard = Shard::with_limits(Limits {
        subscriptions_max: 3,
        ..Limits::default()
    });
    let ada = shard.open(Door {
        user: Some("ada"),
        topics: &["a", "b"],
        ..Door::default()
    });
    shard.turn();
    shard.read(ada);
    shard.say(ada, r#"{"type":"subscribe","topics":["c","d"],"id":1}"#);
    shard.say(ada, r#"{"type":"subscribe","topics":["a","b","c"],"id":2}"#);
    shard.say(ada, r#"{"type":"subscribe","topics":["d"],"id":3}"#);
    shard.turn();
    shard.say(ada, r#"{"type":"unsubscribe","topics":["a"],"id":4}"#);
    shard.say(ada, r#"{"type":"subscribe","topics":["d"],"id":5}"#);
    shard.turn();
    let heard = shard.read(ada);
    assert_eq!(
        heard,
        [
            "error #1 too_many_subscriptions",
            "error #3 too_many_subscriptions",
            "subscribed #2 a@0 b@0 c@0",
            "unsubscribed #4 a",
            "subscribed #5 d@0"
        ]
    );
    assert!(
        !shard.performed.contains(&Output::Leave(topic("d"))),
        "what is refused is not even asked of the broker"
    );
    shard.end();
}

#[test]
fn subscribed_overtakes_no_message_of_the_subscription_before() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    let bob = shard.client(&["a"]);
    shard.stall_after(ada, 0);
    shard.publish("a", "one");
    shard.turn();
    shard.say(ada, r#"{"type":"unsubscribe","topic":"a","id":1}"#);
    shard.publish("a", "two");
    shard.turn();
    shard.say(ada, r#"{"type":"subscribe","topic":"a","id":2}"#);
    shard.publish("a", "three");
    shard.turn();
    shard.say(ada, r#"{"type":"subscribe","topic":"a","id":3}"#);
    shard.unstall(ada, usize::MAX);
    shard.turn();
    let expected = [
        r#"a/1 "one""#,
        "unsubscribed #1 a",
        "subscribed #2 a@2",
        r#"a/3 "three""#,
        "subscribed #3 a@3",
    ];
    assert_eq!(shard.read(ada), expected);
    assert_eq!(shard.read(bob).len(), 3);
    shard.end();
}

#[test]
fn a_refused_command_takes_nothing_from_another() {
    let mut shard = Shard::new();
    let ada = shard.client(&[]);
    shard.holds_joins = true;
    shard.say(ada, r#"{"type":"subscribe","topics":["a","b"],"id":1}"#);
    shard.say(ada, r#"{"type":"subscribe","topics":["a","c"],"id":2}"#);
    shard.answer_join("a", Ok(()));
    shard.answer_join("b", Err(Refusal::Unavailable));
    shard.turn();
    assert_eq!(shard.read(ada), ["error #1 unavailable"]);
    shard.answer_join("c", Ok(()));
    shard.turn();
    assert_eq!(shard.read(ada), ["subscribed #2 a@0 c@0"]);
    shard.end();
}

#[test]
fn unsubscribing_cancels_what_was_asked_before_and_nothing_after() {
    let mut shard = Shard::new();
    let ada = shard.client(&[]);
    shard.holds_joins = true;
    shard.say(ada, r#"{"type":"subscribe","topics":["a","b"],"id":1}"#);
    shard.say(ada, r#"{"type":"unsubscribe","topic":"a","id":2}"#);
    shard.say(ada, r#"{"type":"subscribe","topics":["a","c"],"id":3}"#);
    for name in ["a", "b", "c"] {
        shard.answer_join(name, Ok(()));
    }
    shard.turn();
    assert_eq!(
        shard.read(ada),
        ["unsubscribed #2 a", "subscribed #1 b@0", "subscribed #3 a@0 c@0"]
    );
    shard.say(ada, r#"{"type":"unsubscribe","topics":["a","b","c"],"id":4}"#);
    shard.publish("a", "unwanted");
    shard.turn();
    assert_eq!(shard.read(ada), ["unsubscribed #4 a b c"]);
    shard.end();
}

#[test]
fn who_is_about_to_be_subscribed_gets_nothing_beside_its_own_publication() {
    let mut shard = Shard::new();
    let bob = shard.client(&["a"]);
    let ada = shard.client(&[]);
    shard.holds_joins = true;
    shard.say(ada, r#"{"type":"subscribe","topics":["a","b"],"id":1}"#);
    shard.say(ada, r#"{"type":"publish","topic":"a","data":"own","echo":false}"#);
    shard.publish("a", "beside it");
    shard.turn();
    assert_eq!(shard.read(bob), [r#"a/1 "own""#, r#"a/2 "beside it""#]);
    assert!(shard.read(ada).is_empty());
    shard.answer_join("b", Ok(()));
    shard.turn();
    assert_eq!(shard.read(ada), ["subscribed #1 a@2 b@0"]);
    shard.end();
}

#[test]
fn a_topic_counts_once_for_the_limit_however_often_it_is_named() {
    let mut shard = Shard::with_limits(Limits {
        subscriptions_max: 2,
        ..Limits::default()
    });
    let ada = shard.client(&[]);
    shard.holds_joins = true;
    shard.say(ada, r#"{"type":"subscribe","topics":["a","a","b"],"id":1}"#);
    shard.say(ada, r#"{"type":"subscribe","topics":["b","a"],"id":2}"#);
    shard.say(ada, r#"{"type":"subscribe","topics":["c"],"id":3}"#);
    shard.answer_join("a", Ok(()));
    shard.answer_join("b", Ok(()));
    shard.turn();
    assert_eq!(
        shard.read(ada),
        [
            "error #3 too_many_subscriptions",
            "subscribed #1 a@0 a@0 b@0",
            "subscribed #2 b@0 a@0"
        ]
    );
    assert_eq!(
        shard.hub.connections(Listed::All, 0, 1).0[0].topics,
        [topic("a"), topic("b")]
    );
    shard.end();
}
