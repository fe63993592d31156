//! How publications become writes.

use fanfare_hub::Dirty;
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::Compression;

use crate::driver::{Door, Shard};

#[test]
fn what_a_turn_brings_is_one_frame_and_one_write() {
    let mut shard = Shard::new();
    let (ada, bob) = (shard.client(&["a"]), shard.client(&["a"]));
    for text in ["x", "y", "z"] {
        shard.publish("a", text);
    }
    shard.take_mail();
    shard.settle();
    assert_eq!(
        shard.hub.gauges().queued,
        2,
        "one node per member, over one shared frame"
    );
    shard.writes.clear();
    shard.write_all();
    assert_eq!(shard.writes, [ada, bob]);
    for client in [ada, bob] {
        assert_eq!(shard.read(client), [r#"a/1 "x""#, r#"a/2 "y""#, r#"a/3 "z""#]);
    }
    assert_eq!(shard.hub.counters().encoded, 3);
    assert_eq!(shard.hub.counters().deliveries, 6);
    shard.end();
}

#[test]
fn each_dialect_is_encoded_once() {
    let mut shard = Shard::new();
    for dialect in [Dialect::Json, Dialect::Raw, Dialect::Json, Dialect::Raw] {
        shard.open(Door {
            dialect,
            topics: &["a"],
            ..Door::default()
        });
    }
    shard.turn();
    shard.publish("a", "x");
    shard.turn();
    assert_eq!(shard.hub.counters().encoded, 2);
    assert_eq!(shard.hub.counters().deliveries, 4);
    shard.end();
}

#[test]
fn a_publication_is_compressed_once_and_everyone_reads_the_same() {
    let mut shard = Shard::new();
    let everyone: Vec<_> = [Compression::None, Compression::Both, Compression::FromClient]
        .into_iter()
        .cycle()
        .take(9)
        .map(|compression| {
            shard.open(Door {
                compression,
                topics: &["a"],
                ..Door::default()
            })
        })
        .collect();
    shard.turn();
    for &client in &everyone {
        shard.read(client);
    }
    let long = "so much ado about nothing ".repeat(20);
    shard.publish("a", &long);
    shard.publish("a", "short");
    shard.publish("a", &long);
    shard.turn();
    let counters = shard.hub.counters();
    assert_eq!(
        (counters.encoded, counters.compressed, counters.deliveries),
        (6, 2, 27)
    );
    assert!(counters.uncompressed_bytes > 2 * long.len() as u64);
    assert!(counters.compressed_bytes < counters.uncompressed_bytes / 4);
    let expected = vec![
        format!(r#"a/1 "{long}""#),
        r#"a/2 "short""#.to_owned(),
        format!(r#"a/3 "{long}""#),
    ];
    for client in everyone {
        assert_eq!(shard.read(client), expected);
    }
    shard.end();
}

#[test]
fn who_does_without_its_own_publication_gets_the_others_compressed() {
    let mut shard = Shard::new();
    let ada = shard.open(Door {
        compression: Compression::Both,
        topics: &["a"],
        ..Door::default()
    });
    shard.turn();
    let long = "so much ado about nothing ".repeat(20);
    shard.say(
        ada,
        &format!(r#"{{"type":"publish","topic":"a","data":"{long}","echo":false}}"#),
    );
    shard.publish("a", &long);
    shard.turn();
    let counters = shard.hub.counters();
    assert_eq!(counters.deliveries, 1);
    assert!(counters.delivered_bytes < long.len() as u64 / 2);
    assert_eq!(shard.read(ada).last(), Some(&format!(r#"a/2 "{long}""#)));
    shard.end();
}

#[test]
fn a_long_batch_is_several_frames() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    for _ in 0..130 {
        shard.publish("a", "x");
    }
    shard.take_mail();
    shard.settle();
    assert_eq!(shard.hub.gauges().queued, 3, "64 and 64 and 2");
    shard.write_all();
    let heard = shard.read(ada);
    let expected: Vec<_> = (1..=130).map(|offset| format!(r#"a/{offset} "x""#)).collect();
    assert_eq!(heard, expected);
    shard.end();
}

#[test]
fn small_fan_outs_are_written_before_big_ones() {
    let mut shard = Shard::new();
    let crowd: Vec<_> = (0..64).map(|_| shard.client(&["big"])).collect();
    let few: Vec<_> = (0..63).map(|_| shard.client(&["small"])).collect();
    shard.publish("big", "x");
    shard.publish("small", "y");
    shard.take_mail();
    shard.settle();
    assert!(shard.hub.has_big());
    for client in &few {
        assert_eq!(shard.hub.next_dirty(Dirty::Small), Some(*client));
    }
    assert_eq!(shard.hub.next_dirty(Dirty::Small), None);
    for client in &crowd {
        assert_eq!(shard.hub.next_dirty(Dirty::Big), Some(*client));
    }
    assert_eq!(shard.hub.next_dirty(Dirty::Big), None);
    assert!(!shard.hub.has_big());
    shard.end();
}

#[test]
fn a_reply_takes_a_member_of_a_big_fan_out_to_the_front_and_it_is_written_once() {
    let mut shard = Shard::new();
    let crowd: Vec<_> = (0..64).map(|_| shard.client(&["big"])).collect();
    shard.publish("big", "x");
    shard.take_mail();
    shard.settle();
    shard.say(crowd[40], r#"{"type":"ping"}"#);
    shard.writes.clear();
    shard.write_all();
    assert_eq!(shard.writes[0], crowd[40]);
    assert_eq!(shard.writes.len(), 64);
    assert_eq!(shard.read(crowd[40]), ["pong", r#"big/1 "x""#]);
    shard.end();
}

#[test]
fn pressure_ends_when_everything_is_written() {
    let mut shard = Shard::new();
    let crowd: Vec<_> = (0..64).map(|_| shard.client(&["big"])).collect();
    for _ in 0..64 {
        shard.publish("big", "x");
    }
    shard.take_mail();
    assert!(!shard.hub.is_pressed());
    shard.settle();
    assert!(
        shard.hub.is_pressed(),
        "a quarter of an outbox waits to be written"
    );
    shard.write_all();
    assert!(!shard.hub.is_pressed());
    assert_eq!(shard.read(crowd[0]).len(), 64);
    shard.end();
}
