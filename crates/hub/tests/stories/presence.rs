//! Who is in a topic, and who comes and goes.

use std::sync::Arc;

use fanfare_hub::access::{Access, TopicRule, TopicRules, Who};
use fanfare_hub::{Answer, Attendee, Change, Input, Limits};
use fanfare_protocol::{ConnectionId, Timestamp};

use crate::driver::{Door, Shard, topic};

fn person(shard: &mut Shard, user: &'static str, topics: &'static [&'static str]) -> ConnectionId {
    let client = shard.open(Door {
        user: Some(user),
        topics,
        ..Door::default()
    });
    shard.turn();
    shard.read(client);
    client
}

fn ask(shard: &mut Shard, client: ConnectionId, fields: &str) -> Vec<String> {
    shard.say(client, &format!(r#"{{"type":"presence","topic":"a"{fields}}}"#));
    shard.turn();
    shard.read(client)
}

fn watch(shard: &mut Shard, client: ConnectionId) {
    shard.say(client, r#"{"type":"subscribe","topic":"a","presence":true}"#);
    shard.turn();
    shard.pass(100);
}

#[test]
fn who_is_there_is_told_page_by_page() {
    let mut shard = Shard::new();
    let ada = person(&mut shard, "ada", &["a"]);
    person(&mut shard, "ada", &["a"]);
    person(&mut shard, "bob", &["a"]);
    shard.client(&["a"]);
    person(&mut shard, "eve", &["b"]);
    assert_eq!(
        ask(&mut shard, ada, r#","id":1"#),
        ["presence #1 a 4/2: ada ada bob ?"]
    );
    assert_eq!(
        ask(&mut shard, ada, r#","limit":2"#),
        ["presence a 4/2: ada ada, more"]
    );
    let second = ConnectionId::new(0, 1, 2);
    assert_eq!(
        ask(&mut shard, ada, &format!(r#","after":"{second}""#)),
        ["presence a 4/2: bob ?"]
    );
    shard.end();
}

#[test]
fn whoever_goes_is_there_no_more() {
    let mut shard = Shard::new();
    let ada = person(&mut shard, "ada", &["a"]);
    let bob = person(&mut shard, "bob", &["a"]);
    let eve = person(&mut shard, "eve", &["a"]);
    shard.say(bob, r#"{"type":"unsubscribe","topic":"a"}"#);
    shard.lose(eve);
    shard.turn();
    assert_eq!(ask(&mut shard, ada, ""), ["presence a 1/1: ada"]);
    shard.end();
}

#[test]
fn who_watches_is_told_everyone_and_then_what_changes() {
    let mut shard = Shard::new();
    person(&mut shard, "bob", &["a"]);
    let ada = person(&mut shard, "ada", &[]);
    watch(&mut shard, ada);
    assert_eq!(shard.read(ada), ["subscribed a@0", "a 2/2 all: bob ada"]);
    let eve = person(&mut shard, "eve", &["a"]);
    shard.pass(1_000);
    assert_eq!(shard.read(ada), ["a 3/3 +eve -"]);
    shard.lose(eve);
    shard.pass(1_000);
    assert_eq!(shard.read(ada), ["a 2/2 + -eve"]);
    shard.pass(3_000);
    assert!(shard.read(ada).is_empty(), "nothing has changed");
    shard.end();
}

/// 300 who come to a room are one push to each who watches, not 300.
#[test]
fn however_many_come_and_go_it_is_told_once_a_second() {
    let mut shard = Shard::new();
    let ada = person(&mut shard, "ada", &[]);
    watch(&mut shard, ada);
    shard.read(ada);
    let crowd: Vec<_> = (0..300).map(|_| shard.client(&["a"])).collect();
    for &client in &crowd[100..] {
        shard.lose(client);
    }
    shard.pass(1_000);
    let heard = shard.read(ada);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0], format!("a 101/1 +{} -", vec!["?"; 100].join(" ")));
    shard.end();
}

#[test]
fn whoever_begins_to_watch_later_is_told_everyone_too() {
    let mut shard = Shard::new();
    let ada = person(&mut shard, "ada", &[]);
    watch(&mut shard, ada);
    shard.read(ada);
    let bob = person(&mut shard, "bob", &[]);
    watch(&mut shard, bob);
    shard.pass(1_000);
    assert_eq!(shard.read(ada), ["a 2/2 +bob -"]);
    assert_eq!(shard.read(bob), ["subscribed a@0", "a 2/2 all: ada bob"]);
    shard.say(ada, r#"{"type":"subscribe","topic":"a"}"#);
    shard.lose(bob);
    shard.turn();
    shard.read(ada);
    shard.pass(2_000);
    assert!(shard.read(ada).is_empty(), "it does not want to be told any more");
    shard.end();
}

/// The broker has lost track: what changed cannot be told, so everyone is.
#[test]
fn what_is_lost_is_told_as_a_whole() {
    let mut shard = Shard::new();
    let ada = person(&mut shard, "ada", &[]);
    watch(&mut shard, ada);
    shard.read(ada);
    for slot in 0..1_100 {
        let attendee = Attendee {
            connection: ConnectionId::new(3, slot, 1),
            identity: None,
            since: Timestamp(0),
            topic_info: None,
        };
        let roster = &mut shard.logs.get_mut(&topic("a")).unwrap().roster;
        roster.apply(Change::Came(attendee));
    }
    shard.pass(1_000);
    let heard = shard.read(ada);
    assert_eq!(heard.len(), 1);
    assert!(
        heard[0].starts_with("a 1101/1 some: ada ?"),
        "{}",
        &heard[0][..40]
    );
    shard.logs.get_mut(&topic("a")).unwrap().roster.go_all(3);
    shard.end();
}

fn rules(presence: Who, keeps_presence: bool) -> TopicRules {
    TopicRules {
        otherwise: Access {
            subscribe: Who::Anyone,
            presence,
            ..Access::default()
        },
        keeps_presence,
        ..TopicRules::default()
    }
}

#[test]
fn who_may_not_see_is_refused() {
    for (presence, asks, subscribes) in [
        (Who::Nobody, "error forbidden", "error forbidden"),
        (Who::Granted, "error forbidden", "error forbidden"),
        (Who::Subscribers, "error forbidden", "subscribed a@0"),
        (Who::Anyone, "presence a 0/0: ", "subscribed a@0"),
    ] {
        let mut shard = Shard::with_rules(Limits::default(), rules(presence, true));
        let client = shard.client(&[]);
        assert_eq!(ask(&mut shard, client, ""), [asks], "{presence:?}");
        shard.say(client, r#"{"type":"subscribe","topic":"a","presence":true}"#);
        shard.turn();
        assert_eq!(shard.read(client), [subscribes], "{presence:?}");
        shard.end();
    }
}

#[test]
fn the_application_is_asked_where_the_rules_ask() {
    let mut shard = Shard::with_rules(Limits::default(), rules(Who::Hook, true));
    let client = shard.client(&["a"]);
    assert!(ask(&mut shard, client, "").is_empty());
    shard.handle(Input::Answered(client, Answer::Inspect(Ok(()))));
    shard.turn();
    assert_eq!(shard.read(client), ["presence a 1/0: ?"]);
    shard.end();
}

#[test]
fn a_topic_that_does_not_keep_it_says_so() {
    let mut shard = Shard::with_rules(Limits::default(), rules(Who::Anyone, false));
    let client = shard.client(&["a"]);
    assert_eq!(ask(&mut shard, client, r#","id":1"#), ["error #1 not_available"]);
    shard.say(client, r#"{"type":"subscribe","topic":"a","presence":true}"#);
    shard.turn();
    assert_eq!(shard.read(client), ["error not_available"]);
    let roster = shard.logs[&topic("a")].roster.page(None, 9);
    assert_eq!(roster.members, [], "the broker is told of nobody");
    shard.end();
}

#[test]
fn other_rules_begin_to_keep_it_and_cease() {
    let mut shard = Shard::with_rules(Limits::default(), rules(Who::Anyone, false));
    let client = shard.client(&["a"]);
    let keeping = TopicRules {
        by_pattern: vec![TopicRule::new("a").unwrap().presence(Who::Anyone).keep_presence()],
        ..rules(Who::Anyone, false)
    };
    shard.handle(Input::Rules(Arc::new(keeping)));
    shard.turn();
    assert_eq!(ask(&mut shard, client, ""), ["presence a 1/0: ?"]);
    shard.handle(Input::Rules(Arc::new(rules(Who::Anyone, false))));
    shard.turn();
    assert!(shard.logs[&topic("a")].roster.is_empty());
    shard.end();
}

/// Somebody who has yet to read what it missed is there all the same, and told when it has arrived.
#[test]
fn who_catches_up_is_there() {
    let mut shard = Shard::new();
    shard.retention.publications_max = 100;
    (0..100).for_each(|_| shard.publish("a", "x"));
    shard.turn();
    let slow = shard.client(&[]);
    shard.stall_after(slow, 0);
    shard.say(
        slow,
        r#"{"type":"subscribe","topic":"a","last":100,"presence":true}"#,
    );
    shard.turn();
    let other = shard.client(&[]);
    assert_eq!(ask(&mut shard, other, ""), ["presence a 1/0: ?"]);
    shard.unstall(slow, usize::MAX);
    shard.turn();
    shard.turn();
    shard.pass(1_000);
    assert_eq!(shard.read(slow).last().map(String::as_str), Some("a 1/0 all: ?"));
    shard.end();
}
