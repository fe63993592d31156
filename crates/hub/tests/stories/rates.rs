//! Clients that ask too much: who is made to wait, who is refused, and who is closed.

use fanfare_hub::broker::Refusal;
use fanfare_hub::{Control, Hold, Input, Limits, Output, Received, Selector};
use fanfare_protocol::ConnectionId;
use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::dialect::Dialect;

use crate::driver::{Door, Shard, unbound};

/// Ten commands per second, twenty at once; nothing else is bounded.
fn ten_commands() -> Limits {
    Limits {
        commands_per_second: 10,
        ..unbound()
    }
}

/// Sends pings of the dialect until the connection is not read from; gives how many.
fn exhaust(shard: &mut Shard, client: ConnectionId) -> usize {
    (1..=1_000)
        .find(|_| {
            shard.say(client, r#"{"type":"ping"}"#);
            !shard.hub.is_readable(client)
        })
        .unwrap()
}

fn held(shard: &Shard, hold: Hold) -> u64 {
    shard.hub.counters().held[hold as usize]
}

fn resumes(shard: &Shard, client: ConnectionId) -> usize {
    let is_resume = |output: &&Output| **output == Output::Resume(client);
    shard.performed.iter().filter(is_resume).count()
}

#[test]
fn who_sends_too_many_commands_is_held_and_served_again() {
    let mut shard = Shard::with_limits(ten_commands());
    let (ada, bob) = (shard.client(&[]), shard.client(&[]));
    assert_eq!(exhaust(&mut shard, ada), 20, "two seconds' worth at once");
    assert_eq!(shard.hub.reading_room(shard.now, ada), 0);
    assert!(shard.hub.is_readable(bob), "nobody else is held");
    assert_eq!((held(&shard, Hold::Commands), shard.hub.gauges().held), (1, 1));
    assert_eq!(resumes(&shard, ada), 0);

    shard.pass(100);
    assert!(shard.hub.is_readable(ada));
    assert_eq!((resumes(&shard, ada), shard.hub.gauges().held), (1, 0));
    assert_eq!(exhaust(&mut shard, ada), 1, "a tenth of a second's worth");
    shard.pass(20_000);
    assert_eq!(exhaust(&mut shard, ada), 20, "a bucket holds no more than that");
    shard.turn();
    assert_eq!(
        shard.read(ada).iter().filter(|word| *word == "pong").count(),
        41,
        "everything was answered"
    );
    shard.end();
}

#[test]
fn pings_and_unasked_pongs_count_and_the_answer_to_a_ping_does_not() {
    let mut shard = Shard::with_limits(ten_commands());
    let (ada, bob) = (shard.client(&[]), shard.client(&[]));
    for _ in 0..20 {
        assert!(shard.hub.is_readable(ada) && shard.hub.is_readable(bob));
        shard.handle(Input::Ping(ada, b"?"));
        shard.handle(Input::Pong(bob));
    }
    assert!(!shard.hub.is_readable(ada) && !shard.hub.is_readable(bob));
    for _ in 0..300 {
        shard.pass(100);
        shard.hear(ada);
        shard.hear(bob);
    }
    assert!(shard.read(bob).contains(&"ping".to_owned()));
    exhaust(&mut shard, bob);
    shard.pass(100);
    shard.handle(Input::Pong(bob));
    assert!(shard.hub.is_readable(bob), "the server asked for it");
    shard.handle(Input::Pong(bob));
    assert!(!shard.hub.is_readable(bob));
    shard.end();
}

#[test]
fn a_raw_message_counts_once_for_each_of_its_topics() {
    let mut shard = Shard::with_limits(ten_commands());
    let raw = shard.open(Door {
        dialect: Dialect::Raw,
        topics: &["a", "b", "c", "d"],
        ..Door::default()
    });
    shard.turn();
    for _ in 0..5 {
        assert!(shard.hub.is_readable(raw));
        shard.say(raw, "x");
    }
    assert!(!shard.hub.is_readable(raw));
    shard.turn();
    assert_eq!(shard.read(raw).len(), 20, "what was said is published");
    shard.end();
}

#[test]
fn no_more_bytes_are_read_than_may_be_sent() {
    let mut shard = Shard::with_limits(Limits {
        bytes_per_second: 1_000,
        ..unbound()
    });
    let ada = shard.client(&[]);
    let receive = |shard: &mut Shard, bytes| {
        let received = Received {
            bytes,
            ..Received::default()
        };
        shard.receive(ada, received);
    };
    assert_eq!(shard.hub.reading_room(shard.now, ada), 2_000);
    receive(&mut shard, 1_500);
    assert_eq!(shard.hub.reading_room(shard.now, ada), 500);
    receive(&mut shard, 500);
    assert_eq!(
        (shard.hub.reading_room(shard.now, ada), held(&shard, Hold::Bytes)),
        (0, 1)
    );
    shard.pass(100);
    assert_eq!(shard.hub.reading_room(shard.now, ada), 100);
    shard.end();
}

#[test]
fn connections_of_a_user_share_what_the_user_may_send() {
    let mut shard = Shard::with_limits(Limits {
        user_commands_per_second: 10,
        user_bytes_per_second: 1_000,
        ..unbound()
    });
    let door = |user| Door {
        user: Some(user),
        ..Door::default()
    };
    let (one, other, bob) = (
        shard.open(door("ada")),
        shard.open(door("ada")),
        shard.open(door("bob")),
    );
    shard.turn();
    for _ in 0..10 {
        shard.handle(Input::Pong(one));
        shard.handle(Input::Pong(other));
    }
    assert!(!shard.hub.is_readable(other) && shard.hub.is_readable(bob));
    shard.handle(Input::Pong(one));
    assert_eq!(
        (held(&shard, Hold::UserCommands), shard.hub.gauges().held),
        (2, 2)
    );

    shard.pass(2_000);
    let received = Received {
        bytes: 2_000,
        ..Received::default()
    };
    shard.receive(one, received);
    assert!(shard.hub.is_readable(other), "it has not asked yet");
    assert_eq!(shard.hub.reading_room(shard.now, other), 0);
    assert!(!shard.hub.is_readable(other));
    assert_eq!(held(&shard, Hold::UserBytes), 2);
    assert_eq!(shard.hub.reading_room(shard.now, bob), 2_000);

    shard.handle(Input::Lost(one));
    shard.handle(Input::Lost(other));
    let again = shard.open(door("ada"));
    assert_eq!(
        shard.hub.reading_room(shard.now, again),
        2_000,
        "nothing is kept of who is gone"
    );
    shard.end();
}

#[test]
fn who_is_held_for_long_is_not_called_silent() {
    let mut shard = Shard::with_limits(Limits {
        bytes_per_second: 1_000,
        ..unbound()
    });
    let ada = shard.client(&[]);
    let received = Received {
        bytes: 102_000,
        is_partial: true,
        ..Received::default()
    };
    shard.receive(ada, received);
    shard.pass(100_000);
    assert_eq!(resumes(&shard, ada), 0);
    assert_eq!(shard.read(ada), ["ping"]);
    shard.pass(100);
    assert!(shard.hub.is_readable(ada), "the debt is paid");
    shard.end();
}

#[test]
fn a_held_connection_that_is_closed_is_read_to_its_close_frame() {
    let mut shard = Shard::with_limits(ten_commands());
    let ada = shard.client(&[]);
    exhaust(&mut shard, ada);
    for _ in 0..100 {
        shard.handle(Input::Ping(ada, b"?"));
    }
    let who = Selector::Connection(ada);
    shard.control(Control::Disconnect(who, Disconnect::Reconnect));
    shard.pass(100);
    assert!(shard.hub.is_readable(ada), "what it asks means nothing any more");
    shard.handle(Input::PeerClose(ada, Some(3006)));
    shard.turn();
    assert!(shard.is_released(ada));
    shard.pass(100);
    assert_eq!(shard.hub.gauges().held, 0);
    shard.end();
}

#[test]
fn while_a_pong_waits_for_a_blocked_socket_nothing_is_read() {
    let mut shard = Shard::with_limits(unbound());
    let ada = shard.client(&[]);
    shard.stall_after(ada, 0);
    shard.handle(Input::Ping(ada, b"1"));
    assert!(shard.hub.is_readable(ada), "the socket may take it");
    shard.turn();
    shard.handle(Input::Ping(ada, b"2"));
    shard.handle(Input::Ping(ada, b"3"));
    assert!(!shard.hub.is_readable(ada));
    assert_eq!(shard.hub.gauges().queued, 1, "one pong stands for all");
    shard.unstall(ada, usize::MAX);
    shard.turn();
    assert!(shard.hub.is_readable(ada));
    assert_eq!(
        (shard.read(ada), resumes(&shard, ada)),
        (vec!["pong 3".to_owned()], 1)
    );
    shard.end();
}

#[test]
fn who_is_refused_is_told_when_to_come_back_and_closed_for_not_listening() {
    let mut shard = Shard::with_limits(Limits {
        refusals_max: 3,
        ..unbound()
    });
    let ada = shard.client(&[]);
    shard.refusal = Some(Refusal::RateLimited { retry_after_ms: 40 });
    let publish = |shard: &mut Shard, id| {
        shard.say(
            ada,
            &format!(r#"{{"type":"publish","topic":"a","data":1,"id":{id}}}"#),
        );
    };
    (1..=3).for_each(|id| publish(&mut shard, id));
    shard.turn();
    assert_eq!(
        shard.read(ada),
        [
            "error #1 rate_limited after 40",
            "error #2 rate_limited after 40",
            "error #3 rate_limited after 40"
        ]
    );
    shard.pass(3_400);
    publish(&mut shard, 4);
    shard.turn();
    assert_eq!(
        shard.read(ada),
        ["error #4 rate_limited after 40"],
        "a third of the window is over"
    );
    publish(&mut shard, 5);
    shard.turn();
    assert_eq!(
        shard.read(ada),
        ["error #5 rate_limited after 40", "goodbye 3501", "close 3501"]
    );
    let counters = shard.hub.counters();
    assert_eq!(counters.rejected[ErrorCode::RateLimited as usize], 5);
    assert_eq!(counters.disconnects[Disconnect::Flooding.cause()], 1);
    shard.end();
}

#[test]
fn a_dialect_without_errors_is_closed_by_its_first_refusal() {
    let mut shard = Shard::with_limits(unbound());
    let raw = shard.open(Door {
        dialect: Dialect::Raw,
        topics: &["a"],
        ..Door::default()
    });
    shard.turn();
    shard.refusal = Some(Refusal::RateLimited { retry_after_ms: 40 });
    shard.say(raw, "x");
    shard.turn();
    assert_eq!(shard.read(raw), ["close 3004"]);
    shard.end();
}

#[test]
fn where_a_topic_is_one_too_many_nothing_is_subscribed() {
    let mut shard = Shard::with_limits(unbound());
    let ada = shard.client(&["a"]);
    shard.holds_joins = true;
    shard.say(ada, r#"{"type":"subscribe","topics":["b","c","a"],"id":1}"#);
    shard.answer_join("b", Ok(()));
    shard.answer_join("c", Err(Refusal::TooManyTopics));
    shard.turn();
    assert_eq!(shard.read(ada), ["error #1 too_many_topics"]);
    assert!(
        !shard.logs.contains_key(&crate::driver::topic("b")),
        "it is left again"
    );
    shard.publish("a", "still");
    shard.turn();
    assert_eq!(shard.read(ada), [r#"a/1 "still""#]);
    shard.end();
}

#[test]
fn who_waits_for_the_broker_too_often_is_not_read_from() {
    let mut shard = Shard::with_limits(Limits {
        subscribes_pending_max: 2,
        ..unbound()
    });
    let (ada, bob) = (shard.client(&[]), shard.client(&[]));
    shard.holds_joins = true;
    for client in [ada, bob] {
        for topic in ["a", "b"] {
            assert!(shard.hub.is_readable(client));
            shard.say(client, &format!(r#"{{"type":"subscribe","topic":"{topic}"}}"#));
        }
        assert!(!shard.hub.is_readable(client));
    }
    assert_eq!(held(&shard, Hold::Broker), 2);
    shard.control(Control::Disconnect(
        Selector::Connection(bob),
        Disconnect::Reconnect,
    ));
    assert!(shard.hub.is_readable(bob), "its close frame is read");
    shard.pass(60_000);
    assert_eq!(
        shard.read(ada),
        ["ping"],
        "it cannot answer and is not called silent"
    );
    shard.answer_join("b", Ok(()));
    shard.turn();
    assert!(shard.hub.is_readable(ada));
    assert_eq!((resumes(&shard, ada), resumes(&shard, bob)), (1, 1));
    assert_eq!(shard.read(ada), ["subscribed b@0"]);
    shard.end();
}

/// Half of a message came.
const HALF: Received = Received {
    bytes: 10,
    is_partial: true,
    is_anew: false,
};

#[test]
fn a_message_that_is_not_finished_in_time_closes() {
    let mut shard = Shard::with_limits(unbound());
    let ada = shard.client(&[]);
    for _ in 0..29 {
        shard.receive(ada, HALF);
        shard.pass(1_000);
    }
    assert!(!shard.read(ada).iter().any(|word| word.starts_with("close")));
    shard.receive(ada, HALF);
    shard.pass(2_500);
    assert_eq!(shard.read(ada), ["goodbye 3008", "close 3008"]);
    shard.end();
}

#[test]
fn messages_that_are_each_finished_in_time_go_on_for_ever() {
    let mut shard = Shard::with_limits(Limits {
        ping_interval_ms: 3_600_000,
        ..unbound()
    });
    let (ada, bob) = (shard.client(&[]), shard.client(&[]));
    for _ in 0..20 {
        shard.receive(ada, HALF);
        shard.receive(bob, HALF);
        shard.pass(20_000);
        let next_half = Received {
            is_anew: true,
            ..HALF
        };
        shard.receive(ada, next_half);
        shard.receive(bob, Received::default());
    }
    assert!(shard.hub.is_open(ada) && shard.hub.is_open(bob));
    shard.pass(60_000);
    let causes = shard.hub.counters().disconnects;
    assert_eq!(
        causes[Disconnect::MessageTimeout.cause()],
        1,
        "only one of them had begun another"
    );
    shard.end();
}

#[test]
fn a_process_that_stood_still_gives_time_to_finish() {
    let mut shard = Shard::with_limits(unbound());
    let ada = shard.client(&[]);
    shard.receive(ada, HALF);
    shard.leap(40_000);
    assert!(shard.hub.is_open(ada));
    shard.receive(ada, Received::default());
    shard.pass(20_000);
    assert!(shard.hub.is_open(ada));
    shard.end();
}
