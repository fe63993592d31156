//! Going on from where one was: what was missed comes first, then what is published, and nothing between or twice.

use fanfare_hub::broker::Refusal;
use fanfare_hub::{Limits, Output, Retention, SlowRule, SlowRules};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{ConnectionId, Since};

use crate::driver::{Door, Shard, topic};

/// A shard whose broker keeps so many.
fn keeping(publications_max: usize) -> Shard {
    keeping_with(publications_max, Limits::default())
}

fn keeping_with(publications_max: usize, limits: Limits) -> Shard {
    let mut shard = Shard::with_limits(limits);
    shard.retention = Retention {
        publications_max,
        ..Retention::default()
    };
    shard
}

/// Where the log of `a` stands at `offset`, as clients write it.
fn place(shard: &Shard, offset: u64) -> String {
    format!("{}:{offset}", shard.logs[&topic("a")].position.epoch)
}

fn subscribe(shard: &mut Shard, client: ConnectionId, fields: &str) {
    shard.say(client, &format!(r#"{{"type":"subscribe","topic":"a",{fields}}}"#));
    shard.turn();
}

fn publish(shard: &mut Shard, count: usize) {
    (0..count).for_each(|_| shard.publish("a", "x"));
    shard.turn();
}

/// What a client hears when it is sent these offsets of `a`.
fn messages(offsets: impl Iterator<Item = u64>) -> Vec<String> {
    offsets.map(|offset| format!(r#"a/{offset} "x""#)).collect()
}

#[test]
fn what_was_missed_comes_before_what_follows() {
    let mut shard = keeping(10);
    let gone = shard.client(&["a"]);
    publish(&mut shard, 2);
    shard.lose(gone);
    publish(&mut shard, 3);
    let back = shard.client(&[]);
    let place = place(&shard, 2);
    shard.say(
        back,
        &format!(r#"{{"type":"subscribe","topic":"a","since":"{place}"}}"#),
    );
    publish(&mut shard, 2);
    let mut expected = vec!["subscribed a@2 back".to_owned()];
    expected.extend(messages(3..=7));
    assert_eq!(shard.read(back), expected);
    publish(&mut shard, 1);
    assert_eq!(
        shard.read(back),
        messages(8..=8),
        "then it is a member like any other"
    );
    assert_eq!(shard.hub.counters().recovered, 5);
    shard.end();
}

#[test]
fn whoever_missed_nothing_is_a_member_at_once() {
    let mut shard = keeping(10);
    publish(&mut shard, 2);
    let back = shard.client(&[]);
    let place = place(&shard, 2);
    subscribe(&mut shard, back, &format!(r#""since":"{place}""#));
    publish(&mut shard, 1);
    let mut expected = vec!["subscribed a@2 back".to_owned()];
    expected.extend(messages(3..=3));
    assert_eq!(shard.read(back), expected);
    assert_eq!(shard.hub.counters().recovered, 0);
    shard.end();
}

#[test]
fn what_is_gone_is_said_and_the_rest_is_given() {
    for (offset, reply, given) in [
        (1, "subscribed a@3 too_old", 4..7),
        (9, "subscribed a@6 ahead", 7..7),
    ] {
        let mut shard = keeping(3);
        publish(&mut shard, 6);
        let back = shard.client(&[]);
        let place = place(&shard, offset);
        subscribe(&mut shard, back, &format!(r#""since":"{place}""#));
        let mut expected = vec![reply.to_owned()];
        expected.extend(messages(given));
        assert_eq!(shard.read(back), expected);
        shard.end();
    }
}

#[test]
fn another_life_of_a_topic_is_given_from_its_beginning() {
    let mut shard = keeping(3);
    publish(&mut shard, 2);
    let back = shard.client(&[]);
    subscribe(&mut shard, back, r#""since":{"epoch":"zz","offset":40}"#);
    let mut expected = vec!["subscribed a@0 epoch_changed".to_owned()];
    expected.extend(messages(1..=2));
    assert_eq!(shard.read(back), expected);
    shard.end();
}

/// A topic that keeps nothing goes on with what comes: there is nothing to be told to be missing.
#[test]
fn a_topic_without_history_begins_now() {
    let mut shard = Shard::new();
    let other = shard.client(&["a"]);
    publish(&mut shard, 2);
    let back = shard.client(&[]);
    shard.holds_joins = true;
    let place = place(&shard, 1);
    shard.say(
        back,
        &format!(r#"{{"type":"subscribe","topics":["b",{{"topic":"a","since":"{place}"}}]}}"#),
    );
    shard.turn();
    publish(&mut shard, 1);
    shard.answer_join("b", Ok(()));
    shard.turn();
    publish(&mut shard, 1);
    let mut expected = vec!["subscribed b@0 a@3 too_old".to_owned()];
    expected.extend(messages(4..=4));
    assert_eq!(shard.read(back), expected);
    assert_eq!(shard.read(other), messages(1..=4));
    shard.end();
}

#[test]
fn newcomers_may_have_the_last_or_what_is_not_older() {
    for (fields, first) in [
        (r#""last":2"#, 4),
        (r#""last":99"#, 1),
        (r#""last":0"#, 6),
        (r#""since":"250ms""#, 4),
        (r#""since":"1h""#, 1),
    ] {
        let mut shard = keeping(10);
        for _ in 0..5 {
            publish(&mut shard, 1);
            shard.pass(100);
        }
        let newcomer = shard.client(&[]);
        subscribe(&mut shard, newcomer, fields);
        let mut expected = vec![format!("subscribed a@{}", first - 1)];
        expected.extend(messages(first..=5));
        assert_eq!(shard.read(newcomer), expected, "{fields}");
        shard.end();
    }
}

#[test]
fn a_raw_client_may_have_the_last_as_well() {
    let mut shard = keeping(10);
    publish(&mut shard, 5);
    let raw = shard.open(Door {
        dialect: Dialect::Raw,
        topics: &["a"],
        since: Some(Since::Last(2)),
        ..Door::default()
    });
    shard.turn();
    publish(&mut shard, 1);
    assert_eq!(shard.read(raw), ["text x", "text x", "text x"]);
    shard.end();
}

#[test]
fn topics_of_one_command_may_begin_at_different_places() {
    let mut shard = keeping(10);
    for name in ["a", "b", "c"] {
        (0..3).for_each(|_| shard.publish(name, "x"));
    }
    shard.turn();
    let client = shard.client(&[]);
    let place = place(&shard, 2);
    shard.say(
        client,
        &format!(r#"{{"type":"subscribe","topics":[{{"topic":"a","since":"{place}"}},{{"topic":"b","last":1}},"c"]}}"#),
    );
    shard.turn();
    assert_eq!(
        shard.read(client),
        ["subscribed a@2 back b@2 c@3", r#"a/3 "x""#, r#"b/3 "x""#]
    );
    shard.end();
}

/// Page by page, as fast as it reads: what it missed does not wait in the server's memory.
#[test]
fn no_more_than_a_page_waits_for_somebody_who_does_not_read() {
    let mut shard = keeping(2_000);
    publish(&mut shard, 1_000);
    let slow = shard.client(&[]);
    shard.stall_after(slow, 0);
    subscribe(&mut shard, slow, r#""last":1000"#);
    (0..100).for_each(|_| shard.turn());
    let bytes = shard.hub.gauges().frame_bytes;
    assert!((1..=64 * 160).contains(&bytes), "{bytes} bytes wait");
    assert_eq!(shard.hub.counters().overflow_disconnects, 0);
    publish(&mut shard, 100);
    shard.unstall(slow, usize::MAX);
    (0..100).for_each(|_| shard.turn());
    let heard = shard.read(slow);
    assert_eq!(heard[0], "subscribed a@0");
    assert_eq!(heard[1..], messages(1..=1_100)[..]);
    shard.end();
}

#[test]
fn several_topics_are_read_one_after_the_other() {
    let mut shard = keeping(300);
    for name in ["a", "b"] {
        (0..300).for_each(|_| shard.publish(name, "x"));
    }
    shard.turn();
    let client = shard.client(&[]);
    shard.say(client, r#"{"type":"subscribe","topics":["a","b"],"last":300}"#);
    (0..100).for_each(|_| shard.turn());
    let heard = shard.read(client);
    let of = |name: &str| heard.iter().filter(|word| word.starts_with(name)).count();
    assert_eq!((heard.len(), of("a/"), of("b/")), (601, 300, 300));
    shard.end();
}

#[test]
fn what_the_topic_forgets_meanwhile_is_told() {
    let mut shard = keeping(100);
    publish(&mut shard, 100);
    let slow = shard.client(&[]);
    shard.stall_after(slow, 0);
    subscribe(&mut shard, slow, r#""last":100"#);
    shard.turn();
    publish(&mut shard, 200);
    shard.unstall(slow, usize::MAX);
    (0..20).for_each(|_| shard.turn());
    let heard = shard.read(slow);
    let mut expected = vec!["subscribed a@0".to_owned()];
    expected.extend(messages(1..=64));
    expected.push("missed 136 of a/65-200".to_owned());
    expected.extend(messages(201..=300));
    assert_eq!(heard, expected);
    assert_eq!(shard.hub.counters().forgotten, 136);
    shard.end();
}

#[test]
fn a_raw_client_that_cannot_be_told_is_closed() {
    let mut shard = keeping(100);
    publish(&mut shard, 100);
    let raw = shard.open(Door {
        dialect: Dialect::Raw,
        topics: &["a"],
        since: Some(Since::Last(100)),
        ..Door::default()
    });
    shard.stall_after(raw, 0);
    shard.turn();
    shard.turn();
    publish(&mut shard, 200);
    shard.unstall(raw, usize::MAX);
    (0..20).for_each(|_| shard.turn());
    assert_eq!(shard.read(raw).last().map(String::as_str), Some("close 3005"));
    shard.end();
}

/// Everyone in a room that comes back missed the same: it is encoded for the first one only.
#[test]
fn what_many_missed_is_encoded_once() {
    let mut shard = keeping(100);
    publish(&mut shard, 100);
    let clients: Vec<_> = (0..50).map(|_| shard.client(&[])).collect();
    let encoded = shard.hub.counters().encoded;
    for &client in &clients {
        shard.say(client, r#"{"type":"subscribe","topic":"a","last":100}"#);
    }
    (0..20).for_each(|_| shard.turn());
    for client in clients {
        assert_eq!(shard.read(client)[1..], messages(1..=100)[..]);
    }
    assert_eq!(shard.hub.counters().encoded - encoded, 100);
    shard.end();
}

#[test]
fn its_own_publications_without_echo_are_left_out_here_too() {
    let mut shard = keeping(100);
    let client = shard.client(&[]);
    for echo in [true, false, true] {
        shard.say(
            client,
            &format!(r#"{{"type":"publish","topic":"a","data":"x","echo":{echo}}}"#),
        );
    }
    subscribe(&mut shard, client, r#""last":3"#);
    shard.turn();
    assert_eq!(shard.read(client), ["subscribed a@0", r#"a/1 "x""#, r#"a/3 "x""#]);
    shard.end();
}

#[test]
fn unsubscribing_ends_the_reading() {
    let mut shard = keeping(100);
    publish(&mut shard, 100);
    let client = shard.client(&[]);
    shard.holds_reads = true;
    subscribe(&mut shard, client, r#""last":100"#);
    shard.answer_reads();
    shard.turn();
    assert_eq!(shard.read(client), ["subscribed a@0"]);
    let rows = shard.hub.gauges();
    assert_eq!((rows.catching_up, rows.reads), (1, 1));
    shard.say(client, r#"{"type":"unsubscribe","topic":"a"}"#);
    subscribe(&mut shard, client, r#""last":1"#);
    shard.answer_reads();
    shard.turn();
    shard.answer_reads();
    shard.turn();
    publish(&mut shard, 1);
    let mut expected = vec!["unsubscribed a".to_owned(), "subscribed a@99".to_owned()];
    expected.extend(messages(100..=101));
    assert_eq!(
        shard.read(client),
        expected,
        "the page of the first reading is not given"
    );
    shard.end();
}

#[test]
fn a_broker_that_cannot_read_just_now_is_asked_again() {
    let mut shard = keeping(10);
    publish(&mut shard, 5);
    let client = shard.client(&[]);
    shard.holds_reads = true;
    subscribe(&mut shard, client, r#""last":5"#);
    shard.answer_reads();
    shard.turn();
    shard.refusal = Some(Refusal::Unavailable);
    shard.answer_reads();
    shard.turn();
    shard.refusal = None;
    shard.holds_reads = false;
    assert_eq!(shard.read(client), ["subscribed a@0"]);
    shard.pass(200);
    assert_eq!(shard.read(client), messages(1..=5));
    shard.end();
}

#[test]
fn a_place_that_cannot_be_found_refuses_the_command() {
    let mut shard = keeping(10);
    publish(&mut shard, 5);
    let client = shard.client(&[]);
    shard.refusal = Some(Refusal::Unavailable);
    subscribe(&mut shard, client, r#""id":1,"last":5"#);
    assert_eq!(shard.read(client), ["error #1 unavailable"]);
    shard.refusal = None;
    publish(&mut shard, 1);
    assert!(shard.read(client).is_empty(), "it is subscribed to nothing");
    shard.end();
}

/// Subscribing again is for other wishes; where a client is, it knows.
#[test]
fn who_is_subscribed_already_goes_on_from_where_it_is() {
    let mut shard = keeping(100);
    let client = shard.client(&["a"]);
    publish(&mut shard, 3);
    subscribe(&mut shard, client, r#""last":3"#);
    let mut expected = messages(1..=3);
    expected.push("subscribed a@3".to_owned());
    assert_eq!(shard.read(client), expected);
    shard.end();
}

#[test]
fn whoever_still_reads_counts_as_a_subscriber() {
    let mut shard = keeping(100);
    publish(&mut shard, 100);
    let slow = shard.client(&[]);
    shard.stall_after(slow, 0);
    subscribe(&mut shard, slow, r#""last":100,"occupancy":true"#);
    shard.turn();
    assert_eq!(shard.logs[&topic("a")].reported, 1);
    assert_eq!(shard.hub.counters().subscriptions, 1);
    shard.unstall(slow, usize::MAX);
    (0..5).for_each(|_| shard.turn());
    assert_eq!(shard.logs[&topic("a")].reported, 1, "it is counted once");
    assert_eq!(shard.hub.counters().subscriptions, 1);
    shard.pass(1_100);
    assert_eq!(shard.read(slow).last().map(String::as_str), Some("a has 1"));
    shard.end();
}

/// What it reads of the past is dropped as the present is: by the rule of the topic, and told.
#[test]
fn what_is_read_is_under_the_rule_of_the_topic() {
    let limits = Limits {
        outbox_age_max_ms: 2_000,
        slow_rules: SlowRules {
            otherwise: SlowRule::DropOldest,
            ..SlowRules::default()
        },
        ..Limits::default()
    };
    let mut shard = keeping_with(100, limits);
    publish(&mut shard, 100);
    let slow = shard.client(&[]);
    shard.stall_after(slow, 0);
    subscribe(&mut shard, slow, r#""last":100"#);
    shard.turn();
    shard.pass(4_000);
    shard.unstall(slow, usize::MAX);
    (0..5).for_each(|_| shard.turn());
    let heard = shard.read(slow);
    assert_eq!(heard[0], "subscribed a@0");
    let told: Vec<_> = heard.iter().filter(|word| word.starts_with("missed")).collect();
    assert_eq!(told, ["missed 64 of a/1-64"]);
    assert_eq!(heard.last().map(String::as_str), Some(r#"a/100 "x""#));
    shard.end();
}

#[test]
fn a_join_and_a_reading_are_asked_for_in_this_order() {
    let mut shard = keeping(100);
    publish(&mut shard, 1);
    let client = shard.client(&[]);
    shard.performed.clear();
    subscribe(&mut shard, client, r#""last":1"#);
    let is_asked = |output: &&Output| matches!(output, Output::Join(_) | Output::Read(..));
    let asked: Vec<_> = shard.performed.iter().filter(is_asked).collect();
    assert!(
        matches!(asked[..], [Output::Join(_), Output::Read(..), Output::Read(..)]),
        "{asked:?}"
    );
    shard.end();
}
