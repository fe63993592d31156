//! Pings, deadlines, and a process that stood still.

use fanfare_hub::{Input, Limits};
use fanfare_protocol::Timestamp;

use crate::driver::{Door, Shard};

/// A ping every five seconds, two seconds for the pong, three to take a byte.
fn short() -> Limits {
    Limits {
        ping_interval_ms: 5_000,
        pong_timeout_ms: 2_000,
        write_timeout_ms: 3_000,
        ..Limits::default()
    }
}

/// A shard that has been there for a while: its first tick may look like a standstill.
fn settled() -> Shard {
    let mut shard = Shard::with_limits(short());
    shard.pass(3_000);
    shard
}

#[test]
fn who_answers_pings_stays() {
    let mut shard = settled();
    let ada = shard.client(&[]);
    let mut pings = 0;
    for _ in 0..60 {
        shard.pass(500);
        for words in shard.read(ada) {
            assert_eq!(words, "ping");
            shard.hear(ada);
            pings += 1;
        }
    }
    assert!((4..=6).contains(&pings), "{pings} in 30 seconds");
    shard.end();
}

#[test]
fn who_answers_no_ping_is_disconnected() {
    let mut shard = settled();
    let ada = shard.client(&[]);
    shard.pass(5_000);
    shard.pass(1_900);
    assert_eq!(shard.read(ada), ["ping"]);
    shard.pass(1_200);
    assert_eq!(shard.read(ada), ["goodbye 3002", "close 3002"]);
    shard.end();
}

#[test]
fn a_ping_interval_below_the_pong_timeout_finds_the_silent_too() {
    let mut shard = Shard::with_limits(Limits {
        ping_interval_ms: 1_000,
        ..short()
    });
    shard.pass(3_000);
    let ada = shard.client(&[]);
    shard.pass(4_200);
    assert_eq!(shard.read(ada), ["ping", "goodbye 3002", "close 3002"]);
    shard.end();
}

#[test]
fn newcomers_put_off_no_look_at_those_who_were_there() {
    for quiet_ms in (1_000..2_000).step_by(200) {
        let mut shard = settled();
        let ada = shard.client(&[]);
        for _ in 0..19 {
            shard.client(&[]);
        }
        while shard.read(ada) != ["ping"] {
            shard.pass(100);
        }
        shard.pass(quiet_ms);
        for _ in 0..(2_000 + 1_100 - quiet_ms) / 100 {
            for _ in 0..50 {
                shard.open(Door::default());
            }
            shard.pass(100);
        }
        assert!(!shard.hub.is_open(ada), "they began to come after {quiet_ms} ms");
        shard.end();
    }
}

#[test]
fn whose_socket_takes_nothing_is_disconnected() {
    let mut shard = settled();
    let ada = shard.client(&["a"]);
    shard.stall_after(ada, 0);
    shard.publish("a", "x");
    shard.turn();
    shard.pass(2_900);
    assert!(shard.hub.is_open(ada));
    shard.pass(1_200);
    assert!(!shard.hub.is_open(ada));
    shard.unstall(ada, usize::MAX);
    shard.turn();
    assert_eq!(shard.read(ada), ["goodbye 3003", "close 3003"]);
    shard.end();
}

#[test]
fn whose_socket_takes_a_byte_now_and_then_is_not_stalled() {
    let mut shard = settled();
    let ada = shard.client(&["a"]);
    shard.stall_after(ada, 0);
    shard.publish("a", "x");
    shard.turn();
    for _ in 0..5 {
        shard.pass(2_500);
        shard.hear(ada);
        shard.unstall(ada, 1);
        shard.turn();
    }
    assert!(shard.hub.is_open(ada));
    shard.end();
}

#[test]
fn after_a_standstill_of_the_process_clients_get_time_to_be_heard() {
    let mut shard = settled();
    let (ada, bob) = (shard.client(&[]), shard.client(&[]));
    shard.pass(5_500);
    shard.leap(60_000);
    assert_eq!(
        shard.read(ada),
        ["ping"],
        "the silence was ours, not the client's"
    );
    for _ in 0..7 {
        shard.hear(ada);
        shard.pass(500);
    }
    assert!(shard.hub.is_open(ada));
    assert_eq!(shard.read(bob), ["ping", "goodbye 3002", "close 3002"]);
    shard.end();
}

#[test]
fn the_silence_of_one_that_is_not_read_from_does_not_count() {
    let mut shard = Shard::with_limits(Limits {
        replies_bytes_max: 1_000,
        ..short()
    });
    shard.pass(3_000);
    let ada = shard.client(&[]);
    shard.stall_after(ada, 0);
    while shard.hub.is_readable(ada) {
        shard.say(ada, r#"{"type":"ping","id":1}"#);
        shard.turn();
    }
    for _ in 0..10 {
        shard.pass(2_000);
        shard.unstall(ada, 1);
        shard.turn();
        assert!(shard.hub.is_open(ada), "it takes a byte now and then");
    }
    shard.unstall(ada, usize::MAX);
    shard.turn();
    assert!(shard.hub.is_readable(ada));
    shard.pass(1_900);
    assert!(
        shard.hub.is_open(ada),
        "its silence counts from where it is read again"
    );
    shard.pass(5_000 + 2_000 + 1_200);
    assert!(!shard.hub.is_open(ada), "and then it counts");
    shard.end();
}

#[test]
fn a_standstill_is_no_stall_of_the_client() {
    let mut shard = settled();
    let ada = shard.client(&["a"]);
    shard.stall_after(ada, 0);
    shard.publish("a", "x");
    shard.turn();
    shard.leap(10_000);
    assert!(shard.hub.is_open(ada));
    shard.unstall(ada, usize::MAX);
    shard.turn();
    assert!(shard.read(ada).contains(&r#"a/1 "x""#.to_owned()));
    shard.handle(Input::Lost(ada));
    shard.end();
}

/// Leap seconds, steps of NTP, a battery that was empty: the wall clock stamps what is published and does nothing else.
#[test]
fn the_wall_clock_may_jump_and_moves_no_deadline() {
    let mut shard = settled();
    let (ada, bob) = (shard.client(&["a"]), shard.client(&["a"]));
    let walls = [0, u64::MAX / 2, 1, 1_800_000_000_000, 999];
    let mut pings = 0;
    for turn in 0..60 {
        shard.pass(400);
        shard.now.wall = Timestamp(walls[turn % walls.len()]);
        shard.handle(Input::Tick);
        shard.publish("a", "x");
        shard.turn();
        shard.pass(100);
        shard.hub.heard(shard.now, ada);
        let heard = shard.read(ada);
        assert!(heard.contains(&format!("a/{} \"x\"", turn + 1)), "{heard:?}");
        pings += heard.iter().filter(|words| *words == "ping").count();
    }
    assert!((4..=6).contains(&pings), "{pings} in 30 seconds");
    let last = shard.read(bob);
    let closed = last.iter().filter(|words| *words == "close 3002").count();
    assert_eq!(closed, 1, "who is silent is still found: {last:?}");
    shard.end();
}
