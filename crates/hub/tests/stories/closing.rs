//! The end of a connection, from either side.

use fanfare_hub::{Control, Input, Limits, Selector};
use fanfare_protocol::UserName;
use fanfare_protocol::codes::Disconnect;

use crate::driver::{Door, Shard};

#[test]
fn the_server_closes_and_waits_for_the_answer() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.publish("a", "last");
    shard.take_mail();
    let cause = Disconnect::Disconnected;
    assert_eq!(
        shard.control(Control::Disconnect(Selector::Connection(ada), cause.clone())),
        1
    );
    assert_eq!(
        shard.control(Control::Disconnect(Selector::Connection(ada), cause)),
        0,
        "it closes once"
    );
    shard.publish("a", "too late");
    shard.say(ada, r#"{"type":"ping"}"#);
    shard.handle(Input::Ping(ada, b""));
    shard.turn();
    assert_eq!(shard.read(ada), [r#"a/1 "last""#, "goodbye 3500", "close 3500"]);
    assert!(!shard.is_released(ada));
    shard.handle(Input::PeerClose(ada, Some(3500)));
    assert!(shard.is_released(ada));
    shard.handle(Input::Lost(ada));
    shard.end();
}

#[test]
fn the_client_closes_and_is_answered_with_its_code() {
    let mut shard = Shard::new();
    let (ada, bob) = (shard.client(&["a"]), shard.client(&["a"]));
    shard.handle(Input::PeerClose(ada, Some(1000)));
    shard.handle(Input::PeerClose(bob, None));
    shard.publish("a", "too late");
    assert!(!shard.is_released(ada), "first its close frame is written");
    shard.turn();
    assert_eq!(shard.read(ada), ["close 1000"]);
    assert_eq!(shard.read(bob), ["close"]);
    assert!(shard.is_released(ada) && shard.is_released(bob));
    assert_eq!(shard.hub.counters().closed_by_client, 2);
    shard.end();
}

#[test]
fn replies_go_out_before_the_answer_to_a_close() {
    let mut shard = Shard::new();
    let ada = shard.client(&[]);
    shard.say(ada, r#"{"type":"ping","id":1}"#);
    shard.handle(Input::PeerClose(ada, Some(1000)));
    shard.turn();
    assert_eq!(shard.read(ada), ["pong #1", "close 1000"]);
    shard.end();
}

#[test]
fn both_sides_close_at_once() {
    let mut shard = Shard::new();
    let ada = shard.client(&[]);
    shard.stall_after(ada, 0);
    shard.handle(Input::Disconnect(ada, Disconnect::Reconnect));
    shard.turn();
    shard.handle(Input::PeerClose(ada, Some(1000)));
    assert!(!shard.is_released(ada));
    shard.unstall(ada, usize::MAX);
    shard.turn();
    assert_eq!(shard.read(ada), ["goodbye 3006", "close 3006"]);
    assert!(shard.is_released(ada));
    shard.end();
}

#[test]
fn who_does_not_answer_a_close_is_dropped_at_the_deadline() {
    let mut shard = Shard::new();
    let (ada, bob) = (shard.client(&[]), shard.client(&[]));
    shard.stall_after(bob, 0);
    for client in [ada, bob] {
        shard.handle(Input::Disconnect(client, Disconnect::Reconnect));
    }
    shard.pass(4_900);
    assert!(!shard.is_released(ada) && !shard.is_released(bob));
    shard.pass(1_100);
    assert!(shard.is_released(ada) && shard.is_released(bob));
    shard.end();
}

#[test]
fn a_lost_connection_is_released_once_and_holds_nothing() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.stall_after(ada, 0);
    shard.publish("a", "x");
    shard.turn();
    assert!(shard.hub.gauges().queued > 0);
    shard.handle(Input::Lost(ada));
    shard.handle(Input::Lost(ada));
    assert!(shard.is_released(ada));
    assert_eq!((shard.hub.gauges().queued, shard.hub.counters().lost), (0, 1));
    shard.end();
}

#[test]
fn the_next_connection_in_a_slot_is_another_one() {
    let mut shard = Shard::new();
    let ada = shard.client(&["a"]);
    shard.publish("a", "x");
    shard.take_mail();
    shard.settle();
    shard.handle(Input::Lost(ada));
    let bob = shard.open(Door::default());
    assert_eq!(ada.slot(), bob.slot());
    shard.say(ada, r#"{"type":"ping"}"#);
    shard.handle(Input::Disconnect(ada, Disconnect::Reconnect));
    shard.turn();
    assert_eq!(shard.read(bob), ["welcome"]);
    assert!(!shard.is_released(bob));
    shard.end();
}

#[test]
fn all_connections_of_a_user_are_closed() {
    let mut shard = Shard::new();
    let door = |user| Door {
        user: Some(user),
        ..Door::default()
    };
    let (first, second) = (shard.open(door("ada")), shard.open(door("ada")));
    let bob = shard.open(door("bob"));
    shard.turn();
    let selector = Selector::User(UserName::parse("ada").unwrap());
    assert_eq!(
        shard.control(Control::Disconnect(selector, Disconnect::Reconnect)),
        2
    );
    shard.turn();
    for client in [first, second] {
        assert_eq!(shard.read(client), ["welcome", "goodbye 3006", "close 3006"]);
    }
    assert_eq!(shard.read(bob), ["welcome"]);
    shard.end();
}

#[test]
fn a_shutdown_is_spread_over_its_window() {
    let mut shard = Shard::new();
    let all: Vec<_> = (0..1_000).map(|_| shard.open(Door::default())).collect();
    shard.turn();
    shard.handle(Input::Shutdown { window_ms: 500 });
    let mut told = Vec::new();
    for _ in 0..6 {
        shard.pass(100);
        told.push(shard.hub.counters().disconnects.iter().sum::<u64>());
    }
    assert_eq!(told, [200, 400, 600, 800, 1_000, 1_000]);
    for client in all {
        let heard = shard.read(client);
        assert_eq!(heard[2], "close 3000");
        let after = heard[1].strip_prefix("goodbye 3000 after ").unwrap();
        let after: u64 = after.parse().unwrap();
        assert!(after < 1_000, "{after}");
    }
    shard.end();
}

#[test]
fn few_connections_need_no_long_shutdown_and_late_ones_are_told_too() {
    let mut shard = Shard::with_limits(Limits::default());
    let ada = shard.client(&[]);
    shard.handle(Input::Shutdown { window_ms: 60_000 });
    shard.pass(100);
    assert_eq!(shard.read(ada).last().unwrap(), "close 3000");
    let late = shard.open(Door {
        topics: &["a"],
        ..Door::default()
    });
    shard.turn();
    assert_eq!(
        shard.read(late),
        ["welcome", "goodbye 3000 after 0", "close 3000"]
    );
    shard.end();
}

#[test]
fn a_connection_is_released_with_the_code_of_whoever_closed_it() {
    let mut shard = Shard::new();
    let closed_by_us = shard.client(&[]);
    let closed_with = shard.client(&[]);
    let closed_without = shard.client(&[]);
    let lost = shard.client(&[]);
    shard.handle(Input::Disconnect(closed_by_us, Disconnect::Reconnect));
    shard.handle(Input::PeerClose(closed_by_us, Some(1000)));
    shard.handle(Input::PeerClose(closed_with, Some(4321)));
    shard.handle(Input::PeerClose(closed_without, None));
    shard.handle(Input::Lost(lost));
    shard.turn();
    let codes = [closed_by_us, closed_with, closed_without, lost].map(|client| shard.code(client));
    assert_eq!(codes, [Some(3006), Some(4321), Some(1005), Some(1006)]);
    shard.end();
}
