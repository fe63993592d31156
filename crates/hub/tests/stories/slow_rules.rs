//! What happens to publications that a client reads too slowly for, rule by rule, and what it is told.

use fanfare_hub::{Limits, Listed, SlowRule, SlowRules};
use fanfare_protocol::ConnectionId;
use fanfare_protocol::dialect::Dialect;

use crate::driver::{Door, Shard};

/// Outboxes of four publications; the first letter of a topic says its rule.
fn limits() -> Limits {
    let rule = |pattern: &str, rule| (pattern.parse().unwrap(), rule);
    Limits {
        outbox_frames_max: 4,
        slow_rules: SlowRules {
            by_pattern: vec![
                rule("oldest*", SlowRule::DropOldest),
                rule("newest*", SlowRule::DropNewest),
                rule("conflate*", SlowRule::Conflate),
            ],
            otherwise: SlowRule::Disconnect,
        },
        ..Limits::default()
    }
}

/// A client whose socket is blocked in the middle of a first publication.
fn blocked(shard: &mut Shard, topics: &'static [&'static str]) -> ConnectionId {
    let client = shard.client(topics);
    shard.stall_after(client, 1);
    publish(shard, topics[0], &["first"]);
    client
}

/// Publishes texts, each in a turn of its own.
fn publish(shard: &mut Shard, topic: &str, texts: &[&str]) {
    for text in texts {
        shard.publish(topic, text);
        shard.turn();
    }
}

fn hears_at_last(shard: &mut Shard, client: ConnectionId) -> Vec<String> {
    shard.unstall(client, usize::MAX);
    shard.turn();
    shard.read(client)
}

fn left_out(shard: &Shard, rule: SlowRule) -> u64 {
    shard.hub.counters().left_out[rule as usize]
}

#[test]
fn drop_oldest_keeps_the_newest_and_tells_where_the_gap_is() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["oldest"]);
    publish(&mut shard, "oldest", &["b", "c", "d", "e", "f", "g"]);
    assert_eq!(left_out(&shard, SlowRule::DropOldest), 3);
    assert_eq!(
        hears_at_last(&mut shard, slow),
        [
            r#"oldest/1 "first""#,
            "missed 3 of oldest/2-4",
            r#"oldest/5 "e""#,
            r#"oldest/6 "f""#,
            r#"oldest/7 "g""#,
        ]
    );
    publish(&mut shard, "oldest", &["h"]);
    assert_eq!(shard.read(slow), [r#"oldest/8 "h""#]);
    shard.end();
}

#[test]
fn drop_newest_keeps_what_waits_and_tells_what_came_behind() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["newest"]);
    publish(&mut shard, "newest", &["b", "c", "d", "e", "f"]);
    assert_eq!(left_out(&shard, SlowRule::DropNewest), 2);
    assert_eq!(
        hears_at_last(&mut shard, slow),
        [
            r#"newest/1 "first""#,
            r#"newest/2 "b""#,
            r#"newest/3 "c""#,
            r#"newest/4 "d""#,
            "missed 2 of newest/5-6",
        ]
    );
    shard.end();
}

#[test]
fn conflate_keeps_whoever_takes_a_little_now_and_then() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["conflate"]);
    for _ in 0..10 {
        shard.unstall(slow, 1);
        for text in ["a", "b", "c"] {
            shard.publish("conflate", text);
        }
        shard.turn();
        publish(&mut shard, "conflate", &["d"]);
    }
    assert_eq!(
        hears_at_last(&mut shard, slow),
        [
            r#"conflate/1 "first""#,
            "missed 39 of conflate/2-40",
            r#"conflate/41 "d""#,
        ]
    );
    shard.end();
}

#[test]
fn conflate_keeps_the_newest_of_every_key() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["conflate"]);
    for (text, key) in [
        ("x1", Some("x")),
        ("none", None),
        ("x2", Some("x")),
        ("x3", Some("x")),
    ] {
        shard.publish_with("conflate", text, key);
        shard.turn();
    }
    assert_eq!(
        left_out(&shard, SlowRule::Conflate),
        2,
        "the coming one counts as the newest"
    );
    assert_eq!(
        hears_at_last(&mut shard, slow),
        [
            r#"conflate/1 "first""#,
            "missed 2 of conflate/2-4",
            r#"conflate/3 "none""#,
            r#"conflate/5 "x3""#,
        ]
    );
    shard.end();
}

#[test]
fn a_blocked_client_gets_only_the_newest_even_if_there_was_room() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["conflate"]);
    publish(&mut shard, "conflate", &["b", "c"]);
    assert_eq!(
        hears_at_last(&mut shard, slow),
        [
            r#"conflate/1 "first""#,
            "missed 1 of conflate/2-2",
            r#"conflate/3 "c""#
        ]
    );
    shard.end();
}

#[test]
fn more_keys_than_fit_close_the_connection() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["conflate"]);
    for key in ["1", "2", "3", "4"] {
        shard.publish_with("conflate", "x", Some(key));
        shard.turn();
    }
    assert_eq!(
        hears_at_last(&mut shard, slow),
        [r#"conflate/1 "first""#, "goodbye 3001", "close 3001"]
    );
    shard.end();
}

#[test]
fn what_may_be_left_out_makes_room_for_what_may_not() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["oldest", "kept"]);
    publish(&mut shard, "oldest", &["b"]);
    publish(&mut shard, "kept", &["1", "2", "3"]);
    assert_eq!(
        hears_at_last(&mut shard, slow),
        [
            r#"oldest/1 "first""#,
            "missed 1 of oldest/2-2",
            r#"kept/1 "1""#,
            r#"kept/2 "2""#,
            r#"kept/3 "3""#,
        ]
    );
    shard.end();
}

#[test]
fn what_may_be_left_out_never_takes_the_room_of_what_may_not() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["kept", "oldest"]);
    publish(&mut shard, "kept", &["2", "3", "4"]);
    publish(&mut shard, "oldest", &["a", "b"]);
    let heard = hears_at_last(&mut shard, slow);
    assert_eq!(heard[3..], [r#"kept/4 "4""#, "missed 2 of oldest/1-2"]);
    shard.end();
}

#[test]
fn who_reads_misses_nothing_under_any_rule() {
    let mut shard = Shard::with_limits(limits());
    let quick = shard.client(&["oldest", "newest", "conflate"]);
    blocked(&mut shard, &["oldest"]);
    for topic in ["oldest", "newest", "conflate"] {
        publish(&mut shard, topic, &["x"; 20]);
    }
    assert_eq!(shard.read(quick).len(), 61);
    assert!(shard.hub.counters().left_out.iter().sum::<u64>() > 0);
    shard.end();
}

#[test]
fn a_notice_that_the_socket_has_begun_to_take_grows_no_more() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["oldest"]);
    publish(&mut shard, "oldest", &["b", "c", "d", "e"]);
    let rest_of_first = r#"{"type":"message","topic":"oldest","offset":1,"time":0,"data":"first"}"#.len() + 1;
    shard.unstall(slow, rest_of_first + 5);
    shard.turn();
    publish(&mut shard, "oldest", &["f", "g"]);
    assert_eq!(
        hears_at_last(&mut shard, slow),
        [
            r#"oldest/1 "first""#,
            "missed 1 of oldest/2-2",
            "missed 1 of oldest/3-3",
            r#"oldest/4 "d""#,
            r#"oldest/5 "e""#,
            r#"oldest/6 "f""#,
            r#"oldest/7 "g""#,
        ]
    );
    shard.end();
}

#[test]
fn the_publications_of_one_turn_are_left_out_one_by_one() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["oldest"]);
    for text in ["b", "c", "d", "e", "f"] {
        shard.publish("oldest", text);
    }
    shard.turn();
    assert_eq!(
        hears_at_last(&mut shard, slow)[1..],
        [
            "missed 2 of oldest/2-3",
            r#"oldest/4 "d""#,
            r#"oldest/5 "e""#,
            r#"oldest/6 "f""#
        ]
    );
    assert_eq!(shard.hub.counters().encoded, 6, "each is encoded once");
    shard.end();
}

#[test]
fn who_cannot_be_told_is_closed_unless_it_chose_otherwise() {
    for (topics, conflates, is_closed) in [
        (&["oldest"], true, true),
        (&["newest"], true, true),
        (&["conflate"], false, true),
        (&["conflate"], true, false),
    ] {
        let mut shard = Shard::with_limits(limits());
        let raw = shard.open(Door {
            dialect: Dialect::Raw,
            topics,
            conflates,
            ..Door::default()
        });
        shard.turn();
        shard.stall_after(raw, 1);
        publish(&mut shard, topics[0], &["a", "b", "c", "d", "e", "f"]);
        let heard = hears_at_last(&mut shard, raw);
        let expected = if is_closed {
            ["text a", "close 3001"]
        } else {
            ["text a", "text f"]
        };
        assert_eq!(heard, expected, "{topics:?} {conflates}");
        shard.end();
    }
}

#[test]
fn what_waits_too_long_is_left_out_or_closes() {
    for (topics, expected) in [
        (&["oldest"], [r#"oldest/1 "first""#, "missed 1 of oldest/2-2"]),
        (&["newest"], [r#"newest/1 "first""#, "missed 1 of newest/2-2"]),
    ] {
        let mut shard = Shard::with_limits(Limits {
            outbox_age_max_ms: 5_000,
            write_timeout_ms: 100_000,
            ..limits()
        });
        let slow = blocked(&mut shard, topics);
        let first = hears_at_last(&mut shard, slow);
        shard.stall_after(slow, 0);
        publish(&mut shard, topics[0], &["b"]);
        shard.pass(7_000);
        let mut heard = first;
        heard.extend(hears_at_last(&mut shard, slow));
        assert_eq!(heard, expected);
        shard.end();
    }
    for topics in [&["kept"], &["conflate"]] {
        let mut shard = Shard::with_limits(Limits {
            outbox_age_max_ms: 5_000,
            write_timeout_ms: 100_000,
            ..limits()
        });
        let slow = blocked(&mut shard, topics);
        publish(&mut shard, topics[0], &["b"]);
        shard.pass(7_000);
        let heard = hears_at_last(&mut shard, slow);
        assert_eq!(heard[1..], ["goodbye 3001", "close 3001"], "{topics:?}");
        shard.end();
    }
}

#[test]
fn a_slow_client_shows_in_the_listing() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["oldest"]);
    publish(&mut shard, "oldest", &["b", "c", "d", "e", "f"]);
    shard.pass(1_500);
    shard.client(&["oldest"]);
    let (rows, _) = shard.hub.connections(Listed::Behind, 0, 10);
    assert_eq!((rows.len(), shard.hub.gauges().behind), (1, 1));
    let row = rows.iter().find(|row| row.connection == slow).unwrap();
    assert_eq!((row.outbox_frames, row.missed, row.outbox_age_ms), (4, 2, 1_500));
    assert!(row.outbox_bytes > 200, "{}", row.outbox_bytes);
    let counters = shard.hub.counters();
    assert_eq!(counters.behind_frames.buckets[1], 1, "4 frames, one second");
    assert_eq!(counters.behind_bytes.sum, u64::from(row.outbox_bytes));
    shard.end();
}

#[test]
fn unsubscribing_ends_what_is_told_of_a_topic() {
    let mut shard = Shard::with_limits(limits());
    let slow = blocked(&mut shard, &["oldest"]);
    publish(&mut shard, "oldest", &["b", "c", "d", "e"]);
    shard.say(slow, r#"{"type":"unsubscribe","topic":"oldest"}"#);
    shard.say(slow, r#"{"type":"subscribe","topic":"oldest"}"#);
    shard.turn();
    let heard = hears_at_last(&mut shard, slow);
    assert_eq!(heard[1], "missed 1 of oldest/2-2");
    assert_eq!(heard[5..], ["unsubscribed oldest", "subscribed oldest@0"]);
    shard.end();
}

#[test]
fn beyond_the_budget_of_all_the_most_burdened_are_closed() {
    let mut shard = Shard::with_limits(Limits {
        outbox_frames_max: 1_000,
        waiting_bytes_max: 8_000,
        ..Limits::default()
    });
    let (most, some, quick) = (
        shard.client(&["a", "b"]),
        shard.client(&["b"]),
        shard.client(&["a", "b"]),
    );
    shard.stall_after(most, 0);
    shard.stall_after(some, 0);
    let text = "x".repeat(1_000);
    publish(&mut shard, "b", &[&text]);
    publish(&mut shard, "a", &[text.as_str(); 7]);
    assert_eq!(hears_at_last(&mut shard, most), ["goodbye 3007", "close 3007"]);
    assert_eq!(hears_at_last(&mut shard, some).len(), 1);
    assert_eq!(shard.read(quick).len(), 8);
    shard.end();
}

#[test]
fn what_is_left_out_later_than_what_came_behind_it_is_told_in_its_place() {
    let mut shard = Shard::with_limits(Limits {
        outbox_age_max_ms: 1_000,
        ..limits()
    });
    let slow = blocked(&mut shard, &["newest"]);
    publish(&mut shard, "newest", &["b", "c", "d", "e"]);
    assert_eq!(
        left_out(&shard, SlowRule::DropNewest),
        1,
        "there was no room for the last"
    );
    shard.pass(2_500);
    assert_eq!(
        left_out(&shard, SlowRule::DropNewest),
        4,
        "the others have waited too long"
    );
    assert_eq!(
        hears_at_last(&mut shard, slow),
        [
            r#"newest/1 "first""#,
            "missed 3 of newest/2-4",
            "missed 1 of newest/5-5",
        ]
    );
    shard.end();
}

#[test]
fn a_gap_is_told_before_the_position_that_stands_behind_it() {
    let mut shard = Shard::with_limits(Limits {
        outbox_age_max_ms: 1_000,
        ..limits()
    });
    let slow = blocked(&mut shard, &["newest"]);
    publish(&mut shard, "newest", &["b"]);
    shard.say(slow, r#"{"type":"subscribe","topic":"newest","id":1}"#);
    shard.turn();
    publish(&mut shard, "newest", &["c", "d", "e"]);
    shard.pass(2_500);
    assert_eq!(left_out(&shard, SlowRule::DropNewest), 4);
    assert_eq!(
        hears_at_last(&mut shard, slow),
        [
            r#"newest/1 "first""#,
            "missed 1 of newest/2-2",
            "subscribed #1 newest@2",
            "missed 2 of newest/3-4",
            "missed 1 of newest/5-5",
        ]
    );
    shard.end();
}
