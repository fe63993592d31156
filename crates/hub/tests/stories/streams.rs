//! Streams of server-sent events: what a client has of them is always enough to go on without a gap or a duplicate.

use fanfare_hub::access::TopicRules;
use fanfare_hub::{Control, Limits, Retention, Selector, SlowRule, SlowRules};
use fanfare_protocol::ConnectionId;
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::dialect::sse::LastEventId;
use proptest::prelude::*;

use crate::driver::{Door, Shard, topic};

fn keeping(limits: Limits) -> Shard {
    let mut shard = Shard::with_limits(limits);
    shard.retention = Retention {
        publications_max: 1_000,
        ..Retention::default()
    };
    shard
}

fn door(topics: &'static [&'static str]) -> Door {
    Door {
        dialect: Dialect::Sse,
        topics,
        ..Door::default()
    }
}

/// A stream that was welcomed and has its topics; with what it heard.
fn stream(shard: &mut Shard, door: Door) -> (ConnectionId, Vec<String>) {
    let client = shard.open(door);
    shard.turn();
    let heard = shard.read(client);
    (client, heard)
}

/// Goes on behind an id.
fn back(shard: &mut Shard, topics: &'static [&'static str], id: &str) -> (ConnectionId, Vec<String>) {
    let LastEventId(places) = id.parse().unwrap();
    let door = Door {
        places,
        ..door(topics)
    };
    stream(shard, door)
}

/// The last id among what was heard.
fn last_id(heard: &[String]) -> &str {
    let mut ids = heard.iter().filter_map(|event| event.split_once(" <"));
    ids.next_back().unwrap().1.strip_suffix('>').unwrap()
}

fn epoch(shard: &Shard, name: &str) -> String {
    shard.logs[&topic(name)].position.epoch.to_string()
}

#[test]
fn a_stream_of_one_topic_shares_the_frames_of_all() {
    let mut shard = keeping(Limits::default());
    let (one, heard) = stream(&mut shard, door(&["a"]));
    let (other, _) = stream(&mut shard, door(&["a"]));
    let epoch = epoch(&shard, "a");
    assert_eq!(
        heard,
        ["welcome".to_owned(), format!("subscribed a@0 <{epoch}:0>")]
    );
    let encoded = shard.hub.counters().encoded;
    shard.publish("a", "x");
    shard.turn();
    let wanted = [format!("a/1 \"x\" <{epoch}:1>")];
    assert_eq!(
        (shard.read(one), shard.read(other)),
        (wanted.to_vec(), wanted.to_vec())
    );
    assert_eq!(shard.hub.counters().encoded, encoded + 1);
    shard.end();
}

#[test]
fn an_id_of_several_topics_speaks_of_all_of_them() {
    let mut shard = keeping(Limits::default());
    let (client, heard) = stream(&mut shard, door(&["b", "a"]));
    let (a, b) = (epoch(&shard, "a"), epoch(&shard, "b"));
    assert_eq!(heard[1], format!("subscribed b@0 a@0 <{b}:0,{a}:0>"));
    // In one turn: none speaks of what comes behind it.
    for name in ["a", "b", "a"] {
        shard.publish(name, "x");
    }
    shard.turn();
    assert_eq!(
        shard.read(client),
        [
            format!("a/1 \"x\" <{b}:0,{a}:1>"),
            format!("a/2 \"x\" <{b}:0,{a}:2>"),
            format!("b/1 \"x\" <{b}:1,{a}:2>"),
        ]
    );
    shard.lose(client);
    shard.publish("a", "y");
    let (client, heard) = back(&mut shard, &["b", "a"], &format!("{b}:0,{a}:2"));
    shard.turn();
    let mut heard = heard;
    heard.extend(shard.read(client));
    assert_eq!(
        heard,
        [
            "welcome".to_owned(),
            format!("subscribed b@0 back a@2 back <{b}:0,{a}:2>"),
            format!("b/1 \"x\" <{b}:1,{a}:2>"),
            format!("a/3 \"y\" <{b}:1,{a}:3>"),
        ]
    );
    shard.end();
}

#[test]
fn what_was_granted_or_is_for_everyone_does_not_move_the_place() {
    let mut shard = keeping(Limits::default());
    let (client, heard) = stream(
        &mut shard,
        Door {
            granted_topics: &["news"],
            user: Some("ann"),
            ..door(&["a"])
        },
    );
    let a = epoch(&shard, "a");
    assert_eq!(
        heard[1..],
        ["subscribed news@0".to_owned(), format!("subscribed a@0 <{a}:0>")]
    );
    for name in ["a", "news", "$user:ann", "$all"] {
        shard.publish(name, "x");
    }
    shard.turn();
    let heard = shard.read(client);
    assert_eq!(
        (heard.len(), last_id(&heard)),
        (4, format!("{a}:1").as_str()),
        "{heard:?}"
    );
    assert!(heard.contains(&format!("news/1 \"x\" <{a}:1>")), "{heard:?}");
    shard.end();
}

#[test]
fn a_topic_that_was_taken_away_has_no_place() {
    let mut shard = keeping(Limits::default());
    let (client, _) = stream(&mut shard, door(&["a", "b"]));
    let all = Selector::Connection(client);
    shard.control(Control::Unsubscribe(all, vec![topic("a")]));
    shard.publish("b", "x");
    shard.turn();
    let b = epoch(&shard, "b");
    assert_eq!(shard.read(client).last(), Some(&format!("b/1 \"x\" <-,{b}:1>")));
    shard.end();
}

#[test]
fn one_at_its_own_pace_goes_on_behind_what_it_was_served() {
    let mut shard = keeping(Limits::default());
    let every = Some("1000ms".parse().unwrap());
    let (client, _) = stream(
        &mut shard,
        Door {
            every,
            ..door(&["a", "b"])
        },
    );
    let (a, b) = (epoch(&shard, "a"), epoch(&shard, "b"));
    for name in ["a", "b"] {
        shard.publish(name, "x");
        shard.turn();
    }
    assert_eq!(last_id(&shard.read(client)), format!("{a}:1,{b}:1"));
    // Both wait for their second.
    (0..3).for_each(|_| shard.publish("a", "y"));
    shard.turn();
    assert_eq!(shard.read(client), [""; 0]);
    shard.pass(2_000);
    assert_eq!(shard.read(client), [format!("a/4 \"y\" <{a}:4,{b}:1>")]);
    shard.end();
}

#[test]
fn comments_keep_a_stream_alive_and_nobody_answers_them() {
    let mut shard = keeping(Limits::default());
    let (client, _) = stream(&mut shard, door(&["a"]));
    shard.pass(120_000);
    let heard = shard.read(client);
    assert_eq!(heard, vec!["comment"; heard.len()]);
    assert!((7..=8).contains(&heard.len()), "one in 14 s: {}", heard.len());
    shard.end();
}

#[test]
fn a_stream_ends_with_its_goodbye_and_then_the_client_ends() {
    let mut shard = keeping(Limits::default());
    let (client, _) = stream(&mut shard, door(&["a"]));
    let all = Selector::Connection(client);
    shard.control(Control::Disconnect(all, Disconnect::Reconnect));
    shard.turn();
    assert_eq!(shard.read(client), ["goodbye 3006"]);
    assert!(shard.hub.has_said_all(client) && !shard.is_released(client));
    shard.lose(client);
    assert_eq!(
        (shard.code(client), shard.hub.counters().closed_by_client),
        (Some(3006), 0)
    );
    let (gone, _) = stream(&mut shard, door(&["a"]));
    shard.lose(gone);
    assert_eq!(
        (shard.hub.counters().closed_by_client, shard.hub.counters().lost),
        (1, 0)
    );
    let (lingering, _) = stream(&mut shard, door(&["a"]));
    shard.control(Control::Disconnect(
        Selector::Connection(lingering),
        Disconnect::Reconnect,
    ));
    shard.turn();
    shard.pass(7_000);
    assert!(
        shard.is_released(lingering),
        "a client that does not end is not waited for for ever"
    );
    shard.end();
}

#[test]
fn a_stream_without_its_topics_is_closed() {
    let mut shard = Shard::with_rules(Limits::default(), TopicRules::default());
    let (client, heard) = stream(&mut shard, door(&["closed"]));
    assert_eq!(heard, ["welcome", "goodbye 3503"]);
    shard.lose(client);
    shard.end();
}

#[test]
fn slow_streams_are_told_what_they_miss_and_never_get_half_an_event() {
    for (rule, topics) in [
        (SlowRule::DropOldest, &["a"][..]),
        (SlowRule::DropOldest, &["a", "b"]),
        (SlowRule::DropNewest, &["a", "b"]),
        (SlowRule::Conflate, &["a"]),
        (SlowRule::Conflate, &["a", "b"]),
    ] {
        let limits = Limits {
            outbox_frames_max: 8,
            slow_rules: SlowRules {
                otherwise: rule,
                ..SlowRules::default()
            },
            ..Limits::default()
        };
        let mut shard = keeping(limits);
        let (client, _) = stream(&mut shard, door(topics));
        shard.stall_after(client, 10);
        for _ in 0..50 {
            shard.publish("a", "x");
            shard.turn();
        }
        shard.unstall(client, usize::MAX);
        shard.turn();
        let heard = shard.read(client);
        let missed: u64 = heard
            .iter()
            .filter_map(|event| event.strip_prefix("missed "))
            .map(count)
            .sum();
        let messages = heard.iter().filter(|event| event.starts_with("a/")).count() as u64;
        assert_eq!(
            (missed + messages, missed > 0),
            (50, true),
            "{rule:?} {topics:?}: {heard:?}"
        );
        shard.end();
    }
}

/// The number that a `missed` begins with.
fn count(missed: &str) -> u64 {
    missed.split_once(' ').unwrap().0.parse().unwrap()
}

#[test]
fn a_slow_stream_is_closed_where_nothing_may_be_left_out() {
    let limits = Limits {
        outbox_frames_max: 8,
        ..Limits::default()
    };
    let mut shard = keeping(limits);
    let (client, _) = stream(&mut shard, door(&["a", "b"]));
    shard.stall_after(client, 10);
    for _ in 0..50 {
        shard.publish("a", "x");
        shard.turn();
    }
    shard.unstall(client, usize::MAX);
    shard.turn();
    assert_eq!(shard.read(client).last().unwrap(), "goodbye 3001");
    shard.lose(client);
    shard.end();
}

proptest! {
    /// Cut anywhere, as often as may be: whoever goes on from the last whole event has everything, once and in order.
    #[test]
    fn nothing_is_lost_or_doubled_wherever_a_stream_is_cut(
        lives in prop::collection::vec((prop::collection::vec((0..3usize, 0..4u8), 0..12), 0..1_500usize), 1..6),
        is_single in any::<bool>(),
    ) {
        const NAMES: [&str; 3] = ["a", "b", "c"];
        let topics: &'static [&'static str] = if is_single { &["a"] } else { &["b", "a", "c"] };
        let mut shard = keeping(Limits::default());
        let (mut received, mut last): (Vec<String>, Option<String>) = (Vec::new(), None);
        for (published, room) in lives {
            let places = last.as_deref().map_or(Vec::new(), |id| id.parse::<LastEventId>().unwrap().0);
            let client = shard.open(Door { places, ..door(topics) });
            // The first life is to know where it began.
            shard.stall_after(client, if last.is_none() { usize::MAX } else { room });
            for (name, turns) in published {
                shard.publish(NAMES[name], "x");
                (0..turns).for_each(|_| shard.turn());
            }
            (0..3).for_each(|_| shard.turn());
            let heard = shard.read_whole(client);
            received.extend(heard.iter().filter(|event| event.contains('/')).map(|event| place_of(event)));
            last = heard.iter().rev().find(|event| event.contains(" <"))
                .map(|_| last_id(&heard).to_owned()).or(last);
            shard.lose(client);
        }
        let places = last.unwrap().parse::<LastEventId>().unwrap().0;
        let client = shard.open(Door { places, ..door(topics) });
        (0..20).for_each(|_| shard.turn());
        let heard = shard.read(client);
        received.extend(heard.iter().filter(|event| event.contains('/')).map(|event| place_of(event)));
        for name in topics {
            let of_topic: Vec<_> = received.iter().filter(|place| place.starts_with(*name)).cloned().collect();
            let end = shard.logs[&topic(name)].position.offset;
            let wanted: Vec<_> = (1..=end).map(|offset| format!("{name}/{offset}")).collect();
            prop_assert_eq!(of_topic, wanted);
        }
        shard.end();
    }
}

/// The topic and offset of a message.
fn place_of(event: &str) -> String {
    event.split_once(' ').unwrap().0.to_owned()
}
