//! What the local broker keeps: by rule, over all topics together, and of idempotency keys.

use fanfare_hub::access::TopicRule;
use fanfare_protocol::{IdempotencyKey, Payload, StateVersion};

use super::*;

const NOBODY: OutletId = OutletId(0);

/// Publishes so many bytes now.
fn publish(broker: &LocalBroker, name: &str, bytes: usize) {
    let draft = Draft::new(topic(name), Payload::binary(vec![0; bytes]), wall());
    assert!(matches!(
        broker.publish(draft, NOBODY, PublishId(0)),
        Poll::Ready(Ok(_))
    ));
}

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn kept(broker: &LocalBroker, name: &str) -> usize {
    let rows = broker.topics(0, 1_000).topics;
    let row = rows.into_iter().find(|row| row.topic.as_str() == name);
    row.map_or(0, |row| row.history)
}

fn retention(publications_max: usize) -> Retention {
    Retention {
        publications_max,
        ..Retention::default()
    }
}

fn rules<const N: usize>(rules: [(&str, Retention); N]) -> Arc<TopicRules> {
    let rule = |(pattern, retention)| TopicRule::new(pattern).unwrap().retention(retention);
    Arc::new(TopicRules::from(rules.map(rule)))
}

#[test]
fn a_topic_keeps_what_its_rule_says() {
    let broker = LocalBroker::new(retention(2), &Limits::default(), 1);
    broker.set_rules(rules([("long:*", retention(5)), ("short:*", retention(0))]));
    for name in ["long:a", "short:a", "a"] {
        (0..9).for_each(|_| publish(&broker, name, 10));
    }
    let rows = ["long:a", "short:a", "a"].map(|name| kept(&broker, name));
    assert_eq!(rows, [5, 0, 2]);
    let figures = broker.figures();
    assert_eq!(figures.history_publications, 7);
    let each = Draft::new(topic("a"), Payload::binary(vec![0; 10]), Timestamp(0)).bytes() as u64;
    assert_eq!(
        figures.history_bytes,
        7 * each + 5 * 5,
        "five topic names are longer by five"
    );
}

#[test]
fn rules_alone_may_keep_where_nothing_else_is_kept() {
    let broker = LocalBroker::new(Retention::default(), &Limits::default(), 1);
    broker.set_rules(rules([("chat:*", retention(5))]));
    publish(&broker, "chat:a", 10);
    publish(&broker, "a", 10);
    assert_eq!([kept(&broker, "chat:a"), kept(&broker, "a")], [1, 0]);
    let much_later = Timestamp(wall().0 + 3_600_000);
    broker.expire(much_later);
    assert_eq!(
        broker.topics(0, 10),
        TopicPage::default(),
        "and it is dropped in time"
    );
    assert_eq!(broker.figures(), Figures::default());
}

#[test]
fn other_rules_hold_for_what_is_kept_already() {
    let broker = LocalBroker::new(retention(10), &Limits::default(), 1);
    for name in ["a", "b", "c"] {
        (0..10).for_each(|_| publish(&broker, name, 10));
    }
    broker.set_rules(rules([("a", retention(3)), ("b", retention(0))]));
    assert_eq!(["a", "b", "c"].map(|name| kept(&broker, name)), [3, 0, 10]);
    assert_eq!(broker.figures().history_publications, 13);
    assert_eq!(broker.topics(0, 10).topics.len(), 2, "`b` has ended");
    publish(&broker, "a", 10);
    broker.set_rules(rules([]));
    (0..9).for_each(|_| publish(&broker, "a", 10));
    assert_eq!(kept(&broker, "a"), 10, "and more where more may be kept");
}

#[test]
fn all_history_together_is_bounded_and_no_topic_takes_from_another() {
    let each = Draft::new(topic("a"), Payload::binary(vec![0; 100]), Timestamp(0)).bytes();
    let limits = Limits {
        history_total_bytes_max: each * 10,
        ..Limits::default()
    };
    let broker = LocalBroker::new(retention(8), &limits, 1);
    (0..8).for_each(|_| publish(&broker, "a", 100));
    (0..8).for_each(|_| publish(&broker, "b", 100));
    assert_eq!(["a", "b"].map(|name| kept(&broker, name)), [8, 2]);
    assert_eq!(broker.figures().history_squeezed, 6);
    publish(&broker, "c", 100);
    assert_eq!(
        kept(&broker, "c"),
        0,
        "who comes late is not refused, but nothing is kept"
    );
    publish(&broker, "b", 150);
    assert_eq!(kept(&broker, "b"), 1, "a longer one takes the place of two");
    assert!(broker.figures().history_bytes <= limits.history_total_bytes_max as u64);
    broker.set_rules(rules([("a", retention(1))]));
    (0..8).for_each(|_| publish(&broker, "b", 100));
    assert_eq!(kept(&broker, "b"), 8, "what others let go may be taken");
    broker.expire(Timestamp(wall().0 + 3_600_000));
    assert_eq!(broker.figures().history_bytes, 0, "every byte is given back");
}

#[test]
fn the_ceiling_holds_while_many_publish() {
    let limits = Limits {
        history_total_bytes_max: 100_000,
        ..Limits::default()
    };
    let broker = LocalBroker::new(retention(100), &limits, 1);
    std::thread::scope(|scope| {
        for publisher in 0..4 {
            let broker = &broker;
            scope.spawn(move || {
                for number in 0..2_000 {
                    publish(broker, &format!("{publisher}-{}", number % 40), number % 300);
                    assert!(broker.figures().history_publications < 1_000);
                }
            });
        }
    });
    let figures = broker.figures();
    assert!((50_000..=100_000).contains(&figures.history_bytes), "{figures:?}");
    assert!(figures.history_squeezed > 0);
    let rows = broker.topics(0, 1_000).topics;
    let kept: usize = rows.iter().map(|row| row.history).sum();
    assert_eq!(figures.history_publications, kept as u64);
    broker.expire(Timestamp(wall().0 + 3_600_000));
    assert_eq!(broker.figures().history_bytes, 0, "every byte is given back");
}

/// Publishes with a key at a time; whether that was a repetition.
fn repeats(broker: &LocalBroker, name: &str, key: &str, time: u64) -> bool {
    let draft = Draft {
        idempotency_key: IdempotencyKey::parse(key).ok(),
        ..Draft::new(topic(name), Payload::text("x"), Timestamp(time))
    };
    match broker.publish(draft, NOBODY, PublishId(0)) {
        Poll::Ready(Ok(published)) => published.is_repetition,
        other => panic!("{other:?}"),
    }
}

fn remembering(keys_max: usize, of_topic_max: u32) -> LocalBroker {
    let limits = Limits {
        idempotency_window_ms: 100,
        idempotency_keys_max: keys_max,
        idempotency_keys_per_topic_max: of_topic_max,
        ..Limits::default()
    };
    LocalBroker::new(Retention::default(), &limits, 1)
}

#[test]
fn a_key_is_known_within_its_window() {
    let broker = remembering(10, 10);
    let repeated = [0, 100, 101, 201].map(|time| repeats(&broker, "a", "k", time));
    assert_eq!(repeated, [false, true, false, true]);
    assert_eq!(broker.figures().repetitions, 2);
    broker.expire(Timestamp(201));
    assert_eq!(broker.figures().idempotency_keys, 1);
    broker.expire(Timestamp(202));
    assert_eq!(broker.figures().idempotency_keys, 0);
    assert_eq!(broker.figures().idempotency_keys_forgotten, 0);
}

#[test]
fn a_topic_forgets_its_own_oldest_keys_when_there_are_too_many() {
    let broker = remembering(5, 3);
    for key in ["1", "2", "3", "4"] {
        assert!(!repeats(&broker, "a", key, 0));
    }
    assert!(!repeats(&broker, "a", "1", 0), "it had three");
    assert_eq!(broker.figures().idempotency_keys_forgotten, 2);
    for key in ["1", "2"] {
        assert!(!repeats(&broker, "b", key, 0));
    }
    assert!(!repeats(&broker, "b", "3", 0), "there are five of all topics");
    assert!(!repeats(&broker, "b", "1", 0), "so it had to go");
    assert!(!repeats(&broker, "c", "1", 0));
    assert!(
        !repeats(&broker, "c", "1", 0),
        "and there is no place for another topic's"
    );
    assert!(repeats(&broker, "a", "1", 0), "no topic takes from another");
    let figures = broker.figures();
    assert_eq!(
        (figures.idempotency_keys, figures.idempotency_keys_forgotten),
        (5, 6)
    );
    broker.expire(Timestamp(101));
    assert_eq!(broker.figures().idempotency_keys, 0, "every place is given back");
}

/// Publishes a version of a state; gives its offset.
fn publish_version(broker: &LocalBroker, name: &str, number: u64, time: Timestamp) -> u64 {
    let version = StateVersion { number, epoch: None };
    let draft = Draft {
        version: Some(Box::new(version)),
        ..Draft::new(topic(name), Payload::text("x"), time)
    };
    match broker.publish(draft, NOBODY, PublishId(0)) {
        Poll::Ready(Ok(published)) => published.position.offset,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_version_is_known_while_its_topic_is_in_use_and_for_a_window_after() {
    let limits = Limits {
        idempotency_window_ms: 10_000,
        ..Limits::default()
    };
    let broker = LocalBroker::new(retention(8), &limits, 1);
    let now = wall();
    assert_eq!(publish_version(&broker, "a", 2, now), 1);
    assert_eq!(publish_version(&broker, "a", 1, now), 1);
    assert_eq!(broker.figures().outdated, 1);
    assert_eq!(broker.figures().idempotency_keys, 1, "it counts as one of those");
    let later = Timestamp(now.0 + 9_000);
    broker.set_rules(rules([("a", retention(0))]));
    broker.set_rules(rules([]));
    broker.expire(later);
    assert_eq!(broker.topics(0, 10), TopicPage::default(), "the topic has ended");
    assert_eq!(publish_version(&broker, "a", 1, later), 0, "it is known still");
    broker.expire(Timestamp(now.0 + 11_000));
    assert_eq!(broker.figures().idempotency_keys, 0);
    assert_eq!(publish_version(&broker, "a", 1, later), 1, "and no more");
    broker.expire(Timestamp(later.0 + 11_000));
    assert_eq!(
        publish_version(&broker, "a", 1, later),
        1,
        "but while the topic is there"
    );
}

#[test]
fn versions_have_the_room_of_keys_and_no_more() {
    let limits = Limits {
        idempotency_keys_max: 2,
        ..Limits::default()
    };
    let broker = LocalBroker::new(retention(8), &limits, 1);
    let now = wall();
    for name in ["a", "b", "c"] {
        assert_eq!(publish_version(&broker, name, 2, now), 1);
    }
    let again = ["a", "b", "c"].map(|name| publish_version(&broker, name, 1, now));
    assert_eq!(again, [1, 1, 2], "of the third no version is known");
    let figures = broker.figures();
    assert_eq!(
        (figures.idempotency_keys, figures.idempotency_keys_forgotten),
        (2, 2)
    );
}

#[test]
fn a_state_that_nobody_has_makes_none_out_of_date() {
    let broker = LocalBroker::new(Retention::default(), &Limits::default(), 1);
    for number in [2, 1] {
        assert_eq!(publish_version(&broker, "a", number, wall()), 1);
    }
    assert_eq!(broker.figures(), Figures::default());
}
