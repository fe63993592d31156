//! What holds for any story.

use fanfare_hub::{Control, Input, Limits, Output, Role, Selector};
use fanfare_protocol::ConnectionId;
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::Compression;
use proptest::prelude::*;

use crate::driver::{Door, Shard, topic};

const TOPICS: [&str; 3] = ["a", "b", "c"];

/// One step of a story; numbers choose among the connections that were opened.
#[derive(Clone, Debug)]
enum Step {
    Open(bool, bool, Option<&'static str>),
    Say(usize, String),
    Publish(&'static str),
    ForceUnsubscribe(usize, &'static str),
    Close(usize),
    PeerClose(usize),
    Lost(usize),
    Stall(usize, usize),
    Unstall(usize, usize),
    TakeMail,
    Settle,
    Turn,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..12_usize;
    let name = || prop::sample::select(&TOPICS[..]);
    let verb = prop::sample::select(&["subscribe", "unsubscribe"][..]);
    prop_oneof![
        3 => (any::<bool>(), prop::bool::weighted(0.2), prop::option::of(Just("ada")))
            .prop_map(|(is_raw, is_publisher, user)| Step::Open(is_raw, is_publisher, user)),
        6 => (who(), verb, name(), any::<bool>()).prop_map(|(who, verb, name, watches)| Step::Say(
            who,
            format!(r#"{{"type":"{verb}","topic":"{name}","id":1,"occupancy":{watches}}}"#)
        )),
        8 => (who(), name(), any::<bool>()).prop_map(|(who, name, echo)| Step::Say(
            who,
            format!(r#"{{"type":"publish","topic":"{name}","data":0,"echo":{echo}}}"#)
        )),
        6 => name().prop_map(Step::Publish),
        2 => (who(), name()).prop_map(|(who, name)| Step::ForceUnsubscribe(who, name)),
        1 => who().prop_map(Step::Close),
        1 => who().prop_map(Step::PeerClose),
        1 => who().prop_map(Step::Lost),
        3 => (who(), 0..200_usize).prop_map(|(who, bytes)| Step::Stall(who, bytes)),
        3 => (who(), 0..400_usize).prop_map(|(who, bytes)| Step::Unstall(who, bytes)),
        4 => Just(Step::TakeMail),
        3 => Just(Step::Settle),
        4 => Just(Step::Turn),
        2 => (1..40_u64).prop_map(|tenths| Step::Pass(tenths * 100)),
    ]
}

/// Plays the steps; gives what came out and what everyone heard.
fn play(steps: &[Step]) -> (Vec<Output>, Vec<Vec<String>>) {
    let mut shard = Shard::with_limits(Limits {
        outbox_frames_max: 4,
        replies_bytes_max: 300,
        ..Limits::default()
    });
    let mut all = Vec::new();
    for step in steps {
        take(&mut shard, &mut all, step);
    }
    for &client in &all {
        shard.unstall(client, usize::MAX);
    }
    shard.turn();
    let heard: Vec<_> = all.iter().map(|&client| shard.read(client)).collect();
    let performed = std::mem::take(&mut shard.performed);
    shard.end();
    (performed, heard)
}

fn take(shard: &mut Shard, all: &mut Vec<ConnectionId>, step: &Step) {
    let pick = |who: &usize| all.get(who % all.len().max(1)).copied();
    match step {
        Step::Open(is_raw, is_publisher, user) => all.push(shard.open(Door {
            dialect: if *is_raw { Dialect::Raw } else { Dialect::Json },
            compression: if all.len().is_multiple_of(2) {
                Compression::Both
            } else {
                Compression::None
            },
            role: if *is_publisher {
                Role::Publisher
            } else {
                Role::Subscriber
            },
            user: *user,
            topics: &["a"],
            occupancy: true,
            ..Door::default()
        })),
        Step::Publish(name) => shard.publish(name, &"x".repeat(300)),
        Step::TakeMail => shard.take_mail(),
        Step::Settle => shard.settle(),
        Step::Turn => shard.turn(),
        Step::Pass(ms) => shard.pass(*ms),
        Step::Say(who, text) => {
            if let Some(client) = pick(who) {
                shard.say(client, text);
            }
        }
        Step::ForceUnsubscribe(who, name) => {
            if let Some(client) = pick(who) {
                let selector = Selector::Connection(client);
                shard.control(Control::Unsubscribe(selector, vec![topic(name)]));
            }
        }
        Step::Close(who) => {
            if let Some(client) = pick(who) {
                shard.handle(Input::Disconnect(client, Disconnect::Reconnect));
            }
        }
        Step::PeerClose(who) => {
            if let Some(client) = pick(who) {
                shard.handle(Input::PeerClose(client, Some(1000)));
            }
        }
        Step::Lost(who) => {
            if let Some(client) = pick(who) {
                shard.handle(Input::Lost(client));
            }
        }
        Step::Stall(who, bytes) => {
            if let Some(client) = pick(who) {
                shard.stall_after(client, *bytes);
            }
        }
        Step::Unstall(who, bytes) => {
            if let Some(client) = pick(who) {
                shard.unstall(client, *bytes);
            }
        }
    }
}

/// Whether what one client heard is a possible conversation.
fn check_heard(heard: &[String]) {
    if let Some(first) = heard.first()
        && !first.starts_with("text")
        && !first.starts_with("close")
    {
        assert_eq!(first, "welcome", "{heard:?}");
    }
    if let Some(at) = heard.iter().position(|words| words.starts_with("close")) {
        assert_eq!(at, heard.len() - 1, "nothing follows a close frame: {heard:?}");
    }
    for name in TOPICS {
        check_topic(name, heard);
    }
}

fn check_topic(name: &str, heard: &[String]) {
    let mut place: Option<u64> = None;
    for words in heard {
        let message = words.strip_prefix(&format!("{name}/"));
        let subscribed = words
            .starts_with("subscribed")
            .then(|| words.split(' ').find_map(|w| w.strip_prefix(&format!("{name}@"))))
            .flatten();
        let is_left = words.starts_with("unsubscribed") && words.split(' ').skip(1).any(|word| word == name);
        if let Some(offset) = message.and_then(|rest| rest.split(' ').next()?.parse().ok()) {
            let Some(last) = place else {
                panic!("{words} without a subscription: {heard:?}")
            };
            assert!(offset > last, "{words} after offset {last}: {heard:?}");
            place = Some(offset);
        } else if let Some(offset) = subscribed.and_then(|offset| offset.parse().ok()) {
            assert!(
                place.is_none_or(|last| last <= offset),
                "{words} after offset {place:?}: {heard:?}"
            );
            place = Some(offset);
        } else if is_left {
            place = None;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn every_conversation_is_possible_and_nothing_is_left(steps in prop::collection::vec(step(), 1..80)) {
        let (_, heard) = play(&steps);
        for heard in &heard {
            check_heard(heard);
        }
    }

    #[test]
    fn equal_inputs_give_equal_outputs(steps in prop::collection::vec(step(), 1..80)) {
        prop_assert_eq!(play(&steps), play(&steps));
    }
}
