//! Subscriptions with a rate.

use crate::driver::{Door, Shard};

const EVERY_2S: &str = r#"{"type":"subscribe","topic":"a","every":"2s","id":1}"#;

fn paced(shard: &mut Shard) -> fanfare_protocol::ConnectionId {
    let client = shard.client(&[]);
    shard.say(client, EVERY_2S);
    shard.turn();
    assert_eq!(shard.read(client), ["subscribed #1 a@0"]);
    client
}

#[test]
fn the_newest_comes_at_most_that_often() {
    let mut shard = Shard::new();
    let client = paced(&mut shard);
    shard.publish("a", "1");
    shard.turn();
    assert_eq!(shard.read(client), [r#"a/1 "1""#], "the first comes at once");
    for text in ["2", "3", "4"] {
        shard.publish("a", text);
        shard.pass(500);
    }
    assert_eq!(shard.read(client), [""; 0]);
    shard.pass(500);
    assert_eq!(shard.read(client), [r#"a/4 "4""#]);
    shard.pass(10_000);
    assert_eq!(shard.read(client), [""; 0], "nothing comes twice");
    assert_eq!(shard.hub.counters().replaced, 2);
    shard.publish("a", "5");
    shard.turn();
    assert_eq!(shard.read(client), [r#"a/5 "5""#]);
    shard.end();
}

#[test]
fn every_key_has_its_newest() {
    let mut shard = Shard::new();
    let client = paced(&mut shard);
    shard.publish("a", "0");
    shard.turn();
    shard.read(client);
    for (text, key) in [("x1", "x"), ("y1", "y"), ("x2", "x")] {
        shard.publish_with("a", text, Some(key));
        shard.turn();
    }
    shard.pass(2_000);
    assert_eq!(shard.read(client), [r#"a/3 "y1""#, r#"a/4 "x2""#]);
    shard.end();
}

#[test]
fn others_of_the_topic_are_not_held_back() {
    let mut shard = Shard::new();
    let (slow, quick) = (paced(&mut shard), shard.client(&["a"]));
    for text in ["1", "2", "3"] {
        shard.publish("a", text);
        shard.turn();
    }
    assert_eq!(shard.read(quick).len(), 3);
    assert_eq!(shard.read(slow).len(), 1);
    assert_eq!(shard.hub.counters().topics, 1);
    shard.end();
}

#[test]
fn too_many_keys_come_early_and_none_is_lost() {
    let mut shard = Shard::new();
    let client = paced(&mut shard);
    shard.publish("a", "first");
    shard.turn();
    shard.read(client);
    for key in 0..257 {
        shard.publish_with("a", "x", Some(&key.to_string()));
    }
    shard.turn();
    assert_eq!(shard.read(client).len(), 257);
    shard.end();
}

#[test]
fn the_pace_changes_and_nothing_is_out_of_order() {
    let mut shard = Shard::new();
    let client = paced(&mut shard);
    for text in ["1", "2"] {
        shard.publish("a", text);
        shard.turn();
    }
    shard.say(client, r#"{"type":"subscribe","topic":"a"}"#);
    shard.publish("a", "3");
    shard.turn();
    assert_eq!(
        shard.read(client),
        [r#"a/1 "1""#, r#"a/2 "2""#, "subscribed a@2", r#"a/3 "3""#]
    );
    shard.say(client, EVERY_2S);
    for text in ["4", "5"] {
        shard.publish("a", text);
        shard.turn();
    }
    assert_eq!(shard.read(client), ["subscribed #1 a@3", r#"a/4 "4""#]);
    shard.say(client, r#"{"type":"subscribe","topic":"a","every":"100ms"}"#);
    shard.turn();
    assert_eq!(shard.read(client), [r#"a/5 "5""#, "subscribed a@5"]);
    shard.end();
}

#[test]
fn an_own_publication_without_echo_does_not_come_late_either() {
    let mut shard = Shard::new();
    let client = paced(&mut shard);
    shard.publish("a", "1");
    shard.turn();
    shard.read(client);
    shard.say(client, r#"{"type":"publish","topic":"a","data":2,"echo":false}"#);
    shard.pass(5_000);
    assert_eq!(shard.read(client), [""; 0]);
    shard.end();
}

#[test]
fn the_pace_can_be_given_at_the_door_in_every_dialect() {
    let mut shard = Shard::new();
    let raw = shard.open(Door {
        dialect: fanfare_protocol::dialect::Dialect::Raw,
        topics: &["a"],
        every: "1s".parse().ok(),
        ..Door::default()
    });
    shard.turn();
    for text in ["1", "2", "3"] {
        shard.publish("a", text);
        shard.turn();
    }
    shard.pass(1_000);
    assert_eq!(shard.read(raw), ["text 1", "text 3"]);
    shard.end();
}

#[test]
fn who_leaves_leaves_nothing_waiting() {
    let mut shard = Shard::new();
    let (one, other) = (paced(&mut shard), paced(&mut shard));
    for text in ["1", "2"] {
        shard.publish("a", text);
        shard.turn();
    }
    shard.say(one, r#"{"type":"unsubscribe","topic":"a"}"#);
    shard.pass(3_000);
    assert_eq!(shard.read(one), [r#"a/1 "1""#, "unsubscribed a"]);
    assert_eq!(shard.read(other), [r#"a/1 "1""#, r#"a/2 "2""#]);
    shard.end();
}

#[test]
fn what_is_kept_for_a_rate_counts_in_the_budget_of_all() {
    let mut shard = Shard::with_limits(fanfare_hub::Limits {
        waiting_bytes_max: 5_000,
        ..fanfare_hub::Limits::default()
    });
    let client = paced(&mut shard);
    shard.publish("a", "first");
    shard.turn();
    shard.read(client);
    let text = "x".repeat(1_000);
    for key in 0..4 {
        shard.publish_with("a", &text, Some(&key.to_string()));
        shard.turn();
    }
    assert_eq!(shard.read(client), [""; 0]);
    shard.publish_with("a", &text, Some("one too many"));
    shard.turn();
    assert_eq!(shard.read(client).len(), 5, "they are delivered early");
    assert_eq!(shard.hub.counters().disconnects.iter().sum::<u64>(), 0);
    shard.end();
}
