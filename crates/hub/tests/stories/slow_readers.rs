//! Clients that do not read, read slowly, or read no replies.

use fanfare_hub::{Control, Input, Leave, Limits, Output, Selector};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::{ConnectionId, UserName};

use crate::driver::{Door, Shard, topic};

fn small_outboxes() -> Limits {
    Limits {
        outbox_frames_max: 4,
        ..Limits::default()
    }
}

#[test]
fn slow_reader_is_disconnected_and_others_are_not_affected() {
    let mut shard = Shard::with_limits(small_outboxes());
    let (slow, quick) = (shard.client(&["a"]), shard.client(&["a"]));
    shard.stall_after(slow, 0);
    for _ in 0..5 {
        shard.publish("a", "x");
        shard.turn();
    }
    assert_eq!(shard.hub.counters().overflow_disconnects, 1);
    shard.unstall(slow, usize::MAX);
    shard.turn();
    assert_eq!(shard.read(slow), ["goodbye 3001", "close 3001"]);
    assert_eq!(shard.read(quick).len(), 5);
    shard.handle(Input::PeerClose(slow, Some(3001)));
    assert!(shard.is_released(slow));
    shard.end();
}

#[test]
fn slow_reader_is_disconnected_for_its_bytes_too() {
    let mut shard = Shard::with_limits(Limits {
        outbox_bytes_max: 1_000,
        ..Limits::default()
    });
    let slow = shard.client(&["a"]);
    shard.stall_after(slow, 0);
    let text = "x".repeat(400);
    for disconnects in [0, 0, 1] {
        shard.publish("a", &text);
        shard.turn();
        assert_eq!(shard.hub.counters().overflow_disconnects, disconnects);
    }
    shard.end();
}

#[test]
fn only_a_blocked_socket_is_slow() {
    let mut shard = Shard::with_limits(small_outboxes());
    let ada = shard.client(&["a"]);
    for _ in 0..100 {
        shard.publish("a", "x");
    }
    shard.turn();
    assert_eq!(shard.read(ada).len(), 100);
    shard.end();
}

#[test]
fn a_started_frame_is_finished_before_the_goodbye() {
    let mut shard = Shard::with_limits(small_outboxes());
    let slow = shard.client(&["a"]);
    shard.stall_after(slow, 10);
    for _ in 0..6 {
        shard.publish("a", "x");
        shard.turn();
    }
    assert!(!shard.is_whole(slow) || shard.read(slow).is_empty());
    shard.unstall(slow, usize::MAX);
    shard.turn();
    assert_eq!(shard.read(slow), [r#"a/1 "x""#, "goodbye 3001", "close 3001"]);
    assert!(shard.is_whole(slow));
    shard.end();
}

#[test]
fn replies_overtake_publications_but_not_a_started_one() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.stall_after(ada, 3);
    shard.publish("a", "one");
    shard.turn();
    shard.publish("a", "two");
    shard.turn();
    shard.say(ada, r#"{"type":"ping","id":1}"#);
    shard.unstall(ada, usize::MAX);
    shard.turn();
    assert_eq!(shard.read(ada), [r#"a/1 "one""#, "pong #1", r#"a/2 "two""#]);
    shard.end();
}

#[test]
fn a_client_that_reads_in_pieces_hears_all() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.stall_after(ada, 0);
    for _ in 0..20 {
        shard.publish("a", "x");
        shard.turn();
    }
    let mut heard = Vec::new();
    for _ in 0..2_000 {
        shard.unstall(ada, 1);
        shard.turn();
        heard.extend(shard.read(ada));
    }
    let expected: Vec<_> = (1..=20).map(|offset| format!(r#"a/{offset} "x""#)).collect();
    assert_eq!(heard, expected);
    shard.end();
}

#[test]
fn who_reads_no_replies_is_not_read_from_until_they_are_drained() {
    for verb in ["ping", "subscribe", "unsubscribe"] {
        let mut shard = Shard::with_limits(Limits {
            replies_bytes_max: 1_000,
            ..Limits::default()
        });
        let ada = shard.client(&["a"]);
        shard.stall_after(ada, 0);
        let mut asked = 0;
        while shard.hub.is_readable(ada) && asked < 100 {
            shard.say(ada, &format!(r#"{{"type":"{verb}","topic":"a","id":1}}"#));
            shard.turn();
            asked += 1;
        }
        assert!((10..40).contains(&asked), "{asked} of {verb}");
        let resumed = |shard: &Shard| shard.performed.contains(&Output::Resume(ada));
        shard.unstall(ada, 300);
        shard.turn();
        assert!(!shard.hub.is_readable(ada) && !resumed(&shard));
        shard.unstall(ada, 600);
        shard.turn();
        assert!(shard.hub.is_readable(ada) && resumed(&shard));
        shard.unstall(ada, usize::MAX);
        shard.turn();
        assert_eq!(shard.read(ada).len(), asked);
        shard.end();
    }
}

#[test]
fn who_is_closed_is_read_from_again_so_that_its_answer_is_seen() {
    let mut shard = Shard::with_limits(Limits {
        replies_bytes_max: 100,
        ..Limits::default()
    });
    let ada = shard.client(&[]);
    shard.stall_after(ada, 0);
    while shard.hub.is_readable(ada) {
        shard.say(ada, r#"{"type":"ping","id":1}"#);
        shard.turn();
    }
    shard.performed.clear();
    shard.handle(Input::Disconnect(ada, Disconnect::Reconnect));
    assert!(shard.hub.is_readable(ada));
    assert!(shard.performed.contains(&Output::Resume(ada)));
    shard.end();
}

#[test]
fn pings_of_a_client_are_answered_and_one_pong_waits_for_a_blocked_one() {
    let mut shard = Shard::new();
    let ada = shard.client(&[]);
    shard.handle(Input::Ping(ada, b"1"));
    shard.handle(Input::Ping(ada, b"2"));
    shard.turn();
    assert_eq!(shard.read(ada), ["pong 1", "pong 2"]);
    shard.stall_after(ada, 0);
    for payload in [b"3", b"4", b"5"] {
        shard.handle(Input::Ping(ada, payload));
        shard.turn();
    }
    shard.unstall(ada, usize::MAX);
    shard.turn();
    assert_eq!(shard.read(ada), ["pong 5"]);
    shard.end();
}

/// A client of `a` whose outbox is full, and one publication more taken in that is not fanned out yet.
fn about_to_overflow(shard: &mut Shard, door: Door) -> ConnectionId {
    let slow = shard.open(Door {
        topics: &["a"],
        ..door
    });
    shard.turn();
    shard.read(slow);
    shard.stall_after(slow, 0);
    for _ in 0..4 {
        shard.publish("a", "x");
        shard.turn();
    }
    shard.publish("a", "too much");
    shard.take_mail();
    slow
}

/// What a client hears once its socket takes everything.
fn hears_at_last(shard: &mut Shard, slow: ConnectionId) -> Vec<String> {
    shard.unstall(slow, usize::MAX);
    shard.turn();
    shard.read(slow)
}

#[test]
fn whoever_leaves_while_another_overflows_leaves() {
    let mut shard = Shard::with_limits(small_outboxes());
    let slow = shard.client(&["a"]);
    let (ada, bob) = (shard.client(&["a"]), shard.client(&["a"]));
    shard.stall_after(slow, 0);
    for _ in 0..4 {
        shard.publish("a", "x");
        shard.turn();
    }
    shard.publish("a", "too much");
    shard.take_mail();
    shard.say(bob, r#"{"type":"unsubscribe","topic":"a"}"#);
    shard.publish("a", "not for bob");
    shard.turn();
    assert_eq!(shard.read(ada).last().unwrap(), r#"a/6 "not for bob""#);
    assert_eq!(shard.read(bob).last().unwrap(), "unsubscribed a");
    assert_eq!(hears_at_last(&mut shard, slow), ["goodbye 3001", "close 3001"]);
    shard.end();
}

#[test]
fn who_overflows_while_being_closed_is_closed_once() {
    let mut shard = Shard::with_limits(small_outboxes());
    let slow = about_to_overflow(&mut shard, Door::default());
    shard.control(Control::Disconnect(
        Selector::Connection(slow),
        Disconnect::Disconnected,
    ));
    assert_eq!(hears_at_last(&mut shard, slow), ["goodbye 3001", "close 3001"]);
    assert_eq!(shard.hub.counters().overflow_disconnects, 1);
    assert_eq!(shard.hub.counters().disconnects.iter().sum::<u64>(), 1);
    shard.end();
}

#[test]
fn who_overflows_while_unsubscribing_hears_nothing_behind_the_close() {
    let mut shard = Shard::with_limits(small_outboxes());
    let slow = about_to_overflow(&mut shard, Door::default());
    shard.say(slow, r#"{"type":"unsubscribe","topic":"a"}"#);
    assert_eq!(hears_at_last(&mut shard, slow), ["goodbye 3001", "close 3001"]);
    shard.end();
}

#[test]
fn who_overflows_at_a_gap_is_closed_once() {
    let mut shard = Shard::with_limits(small_outboxes());
    let slow = about_to_overflow(&mut shard, Door::default());
    shard.publish("a", "lost");
    shard.mail.clear();
    shard.publish("a", "behind the gap");
    shard.turn();
    assert_eq!(hears_at_last(&mut shard, slow), ["goodbye 3001", "close 3001"]);
    shard.end();
}

#[test]
fn who_overflows_while_a_user_is_subscribed_is_subscribed_to_nothing() {
    let mut shard = Shard::with_limits(small_outboxes());
    let door = || Door {
        user: Some("ada"),
        ..Door::default()
    };
    let quick = shard.open(door());
    let slow = about_to_overflow(&mut shard, door());
    let user = Selector::User(UserName::parse("ada").unwrap());
    assert_eq!(
        shard.control(Control::Subscribe(user, vec![topic("a")], Leave::default())),
        1
    );
    shard.turn();
    assert_eq!(shard.read(quick), ["welcome", "subscribed a@5"]);
    assert_eq!(hears_at_last(&mut shard, slow), ["goodbye 3001", "close 3001"]);
    shard.end();
}
