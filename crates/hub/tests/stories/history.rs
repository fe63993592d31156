//! Reading what was published, page by page.

use fanfare_hub::access::{Access, TopicRules, Who};
use fanfare_hub::broker::Refusal;
use fanfare_hub::{Answer, Denial, Input, Leaves, Limits, Output, Question, Retention};
use fanfare_protocol::ConnectionId;

use crate::driver::{Shard, topic};

/// A shard whose broker keeps five publications of `a`, under rules.
fn with_five(rules: TopicRules) -> Shard {
    let mut shard = Shard::with_rules(Limits::default(), rules);
    shard.retention = Retention {
        publications_max: 5,
        ..Retention::default()
    };
    (0..7).for_each(|_| shard.publish("a", "x"));
    shard.turn();
    shard
}

fn history(history: Who) -> TopicRules {
    TopicRules {
        otherwise: Access {
            subscribe: Who::Anyone,
            history,
            ..Access::default()
        },
        ..TopicRules::default()
    }
}

fn ask(shard: &mut Shard, client: ConnectionId, fields: &str) -> Vec<String> {
    shard.say(client, &format!(r#"{{"type":"history","topic":"a"{fields}}}"#));
    shard.turn();
    shard.read(client)
}

#[test]
fn history_is_read_page_by_page_in_both_directions() {
    let mut shard = with_five(TopicRules::open());
    let client = shard.client(&[]);
    let epoch = shard.logs[&topic("a")].position.epoch;
    for (fields, expected) in [
        (String::new(), "history a@7: 3 4 5 6 7"),
        (r#","limit":2"#.to_owned(), "history a@7: 3 4, since 4"),
        (
            format!(r#","limit":2,"since":"{epoch}:4""#),
            "history a@7 back: 5 6, since 6",
        ),
        (
            format!(r#","limit":2,"since":"{epoch}:6""#),
            "history a@7 back: 7",
        ),
        (format!(r#","since":"{epoch}:7""#), "history a@7 back: "),
        (
            format!(r#","since":"{epoch}:1""#),
            "history a@7 too_old: 3 4 5 6 7",
        ),
        (format!(r#","since":"{epoch}:8""#), "history a@7 ahead: "),
        (
            r#","since":"zz:8""#.to_owned(),
            "history a@7 epoch_changed: 3 4 5 6 7",
        ),
        (r#","last":2,"id":1"#.to_owned(), "history #1 a@7: 6 7"),
        (
            format!(r#","limit":2,"before":"{epoch}:8""#),
            "history a@7 back: 7 6, before 6",
        ),
        (
            format!(r#","limit":9,"before":"{epoch}:6""#),
            "history a@7 back: 5 4 3",
        ),
        (format!(r#","before":"{epoch}:3""#), "history a@7 back: "),
    ] {
        assert_eq!(ask(&mut shard, client, &fields), [expected], "{fields}");
    }
    shard.end();
}

#[test]
fn a_topic_that_keeps_nothing_has_an_empty_history() {
    let mut shard = Shard::new();
    let client = shard.client(&["a"]);
    shard.publish("a", "x");
    shard.turn();
    shard.read(client);
    assert_eq!(ask(&mut shard, client, ""), ["history a@1: "]);
    shard.end();
}

#[test]
fn who_may_not_read_is_refused_and_may_subscribe_all_the_same() {
    let mut shard = with_five(history(Who::Granted));
    let client = shard.client(&[]);
    assert_eq!(ask(&mut shard, client, r#","id":1"#), ["error #1 forbidden"]);
    shard.say(client, r#"{"type":"subscribe","topic":"a","last":3}"#);
    shard.turn();
    assert_eq!(shard.read(client), ["subscribed a@7 forbidden"]);
    shard.end();
}

/// Somebody who is about to be a subscriber is one, where subscribers may read.
#[test]
fn subscribers_may_begin_in_the_past_where_subscribers_may_read() {
    let mut shard = with_five(history(Who::Subscribers));
    let client = shard.client(&[]);
    assert_eq!(ask(&mut shard, client, r#","id":1"#), ["error #1 forbidden"]);
    shard.say(client, r#"{"type":"subscribe","topic":"a","last":1}"#);
    shard.turn();
    assert_eq!(shard.read(client), ["subscribed a@6", r#"a/7 "x""#]);
    assert_eq!(ask(&mut shard, client, r#","last":1"#), ["history a@7: 7"]);
    shard.end();
}

#[test]
fn the_application_is_asked_where_the_rules_ask() {
    for (answer, expected) in [
        (Ok(()), "history #1 a@7: 3 4 5 6 7"),
        (Err(Denial::forbidden("no")), "error #1 forbidden"),
    ] {
        let mut shard = with_five(history(Who::Hook));
        let client = shard.client(&[]);
        shard.performed.clear();
        assert!(ask(&mut shard, client, r#","id":1"#).is_empty());
        let asked = shard.performed.iter().find_map(|output| match output {
            Output::Ask(_, _, Question::Inspect { topic, .. }) => Some(topic.clone()),
            _ => None,
        });
        assert_eq!(asked, Some(topic("a")));
        assert!(!shard.hub.is_readable(client), "its later commands wait");
        shard.handle(Input::Answered(client, Answer::Inspect(answer)));
        shard.turn();
        assert_eq!(shard.read(client), [expected]);
        assert!(shard.hub.is_readable(client));
        shard.end();
    }
}

/// Where the application is asked about both, its leave to subscribe is leave to begin in the past.
#[test]
fn leave_to_subscribe_is_leave_to_look_back() {
    for (subscribe, expected) in [
        (Who::Hook, "subscribed a@6"),
        (Who::Anyone, "subscribed a@7 forbidden"),
    ] {
        let rules = TopicRules {
            otherwise: Access {
                subscribe,
                history: Who::Hook,
                ..Access::default()
            },
            ..TopicRules::default()
        };
        let mut shard = with_five(rules);
        let client = shard.client(&[]);
        shard.say(client, r#"{"type":"subscribe","topic":"a","last":1}"#);
        if subscribe == Who::Hook {
            shard.handle(Input::Answered(client, Answer::Subscribe(Ok(Leaves::default()))));
        }
        shard.turn();
        assert_eq!(shard.read(client)[0], expected);
        shard.end();
    }
}

/// One reading at a time: whoever asks for more waits, and what it asked for does not pile up here.
#[test]
fn a_client_that_reads_is_not_read_from() {
    let mut shard = with_five(TopicRules::open());
    let client = shard.client(&[]);
    shard.holds_reads = true;
    assert!(ask(&mut shard, client, "").is_empty());
    assert!(!shard.hub.is_readable(client));
    shard.answer_reads();
    shard.turn();
    assert!(shard.hub.is_readable(client));
    assert_eq!(shard.read(client), ["history a@7: 3 4 5 6 7"]);
    shard.end();
}

#[test]
fn a_reading_that_fails_is_refused() {
    let mut shard = with_five(TopicRules::open());
    let client = shard.client(&[]);
    shard.refusal = Some(Refusal::Unavailable);
    assert_eq!(ask(&mut shard, client, r#","id":1"#), ["error #1 unavailable"]);
    assert!(shard.hub.is_readable(client));
    shard.refusal = None;
    shard.end();
}
