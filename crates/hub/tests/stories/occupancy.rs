//! Telling how many are subscribed.

use fanfare_hub::Input;

use crate::driver::{Door, Shard, topic, unbound};

fn watcher(shard: &mut Shard) -> fanfare_protocol::ConnectionId {
    let watcher = shard.open(Door {
        topics: &["a"],
        occupancy: true,
        ..Door::default()
    });
    shard.turn();
    shard.read(watcher);
    watcher
}

#[test]
fn a_watcher_is_told_the_occupancy_and_every_change() {
    let mut shard = Shard::new();
    let ada = watcher(&mut shard);
    let bob = shard.client(&["a"]);
    shard.pass(1_000);
    assert_eq!(shard.read(ada), ["a has 2"]);
    shard.pass(3_000);
    assert!(shard.read(ada).is_empty(), "no change, no push");
    shard.elsewhere.insert(topic("a"), 5);
    shard.pass(1_100);
    assert_eq!(shard.read(ada), ["a has 7"]);
    shard.handle(Input::Lost(bob));
    shard.turn();
    shard.pass(1_100);
    assert_eq!(shard.read(ada), ["a has 6"]);
    shard.end();
}

#[test]
fn watching_is_turned_on_and_off_by_subscribing_again() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.pass(2_000);
    assert!(shard.read(ada).is_empty());
    shard.say(ada, r#"{"type":"subscribe","topic":"a","occupancy":true}"#);
    shard.pass(2_000);
    assert_eq!(shard.read(ada), ["subscribed a@0", "a has 1"]);
    shard.say(ada, r#"{"type":"subscribe","topic":"a"}"#);
    shard.elsewhere.insert(topic("a"), 1);
    shard.pass(2_000);
    assert_eq!(shard.read(ada), ["subscribed a@0"]);
    shard.end();
}

#[test]
fn what_is_reported_are_those_who_receive() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.client(&["a"]);
    shard.open(Door {
        role: fanfare_hub::Role::Publisher,
        topics: &["a"],
        ..Door::default()
    });
    shard.turn();
    assert_eq!(shard.logs[&topic("a")].reported, 2);
    shard.handle(Input::Lost(ada));
    shard.turn();
    assert_eq!(shard.logs[&topic("a")].reported, 1);
    shard.end();
}

#[test]
fn a_publisher_that_belongs_to_a_topic_is_no_subscriber_of_it() {
    let mut shard = Shard::new();
    let publisher = shard.open(Door {
        role: fanfare_hub::Role::Publisher,
        ..Door::default()
    });
    let topics = |shard: &Shard| shard.hub.counters().topics;
    shard.say(publisher, r#"{"type":"subscribe","topic":"a"}"#);
    shard.turn();
    assert_eq!(topics(&shard), 0);
    let ada = shard.client(&["a"]);
    shard.say(publisher, r#"{"type":"unsubscribe","topic":"a"}"#);
    shard.say(publisher, r#"{"type":"subscribe","topic":"a"}"#);
    assert_eq!(topics(&shard), 1);
    shard.handle(Input::Lost(ada));
    assert_eq!(topics(&shard), 0);
    shard.handle(Input::Lost(publisher));
    assert_eq!(topics(&shard), 0);
    shard.end();
}

#[test]
fn a_watcher_is_told_at_most_once_a_second_and_the_last_word_is_true() {
    let mut shard = Shard::new();
    let ada = watcher(&mut shard);
    let mut told = Vec::new();
    for count in 1..=100 {
        shard.elsewhere.insert(topic("a"), count);
        shard.pass(100);
        told.extend(shard.read(ada));
    }
    assert!((9..=11).contains(&told.len()), "{told:?} in ten seconds");
    shard.pass(1_000);
    assert_eq!(shard.read(ada), ["a has 101"]);
    shard.end();
}

#[test]
fn a_new_watcher_is_told_within_a_second() {
    let mut shard = Shard::new();
    watcher(&mut shard);
    shard.pass(5_500);
    let late = shard.client(&["a"]);
    shard.pass(5_500);
    shard.say(late, r#"{"type":"subscribe","topic":"a","occupancy":true}"#);
    shard.pass(1_000);
    assert_eq!(shard.read(late), ["subscribed a@0", "a has 2"]);
    shard.end();
}

#[test]
fn a_watcher_whose_socket_was_blocked_learns_the_occupancy() {
    let mut shard = Shard::new();
    let ada = watcher(&mut shard);
    shard.pass(1_100);
    assert_eq!(shard.read(ada), ["a has 1"]);
    shard.stall_after(ada, 0);
    shard.publish("a", "x");
    shard.turn();
    shard.elsewhere.insert(topic("a"), 4);
    shard.pass(2_000);
    shard.unstall(ada, usize::MAX);
    shard.pass(2_000);
    assert_eq!(shard.read(ada), [r#"a/1 "x""#, "a has 5"]);
    shard.end();
}

#[test]
fn who_never_reads_is_not_told_for_ever() {
    let mut shard = Shard::with_limits(fanfare_hub::Limits {
        outbox_bytes_max: 1_000,
        write_timeout_ms: u64::MAX / 2,
        pong_timeout_ms: u64::MAX / 2,
        ..fanfare_hub::Limits::default()
    });
    let ada = watcher(&mut shard);
    shard.stall_after(ada, 0);
    for count in 1..100 {
        shard.elsewhere.insert(topic("a"), count);
        shard.pass(1_000);
    }
    assert!(!shard.hub.is_open(ada));
    assert_eq!(shard.hub.counters().overflow_disconnects, 1);
    shard.end();
}

#[test]
fn topics_that_come_and_go_take_no_turn_of_those_that_stay() {
    let mut shard = Shard::with_limits(unbound());
    let ada = watcher(&mut shard);
    shard.pass(2_000);
    shard.read(ada);
    let bob = shard.client(&[]);
    for round in 0..20_000 {
        let name = format!(r#""topic":"b{round}""#);
        shard.say(bob, &format!(r#"{{"type":"subscribe",{name},"occupancy":true}}"#));
        shard.turn();
        shard.say(bob, &format!(r#"{{"type":"unsubscribe",{name}}}"#));
        shard.turn();
    }
    shard.elsewhere.insert(topic("a"), 5);
    shard.pass(1_000);
    assert_eq!(shard.read(ada), ["a has 6"]);
    shard.end();
}
