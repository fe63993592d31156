//! Who may do what: by the rules, by what was granted, by the application's word; and who is nobody until it has said who
//! it is.

use std::sync::Arc;

use fanfare_hub::access::{Grants, Identity, TopicRule, TopicRules, Who};
use fanfare_hub::{Admission, Amendment, Answer, Denial, Hold, Input, Leaves, Limits, Output, Question};
use fanfare_protocol::codes::ErrorCode;
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{ConnectionId, IdempotencyKey, Payload, StateVersion, Tags, Timestamp, UserName};

use crate::driver::{Door, Shard};

/// Rules by pattern: who may subscribe, who may publish.
fn rules(rules: &[(&str, Who, Who)]) -> TopicRules {
    let rule = |&(pattern, subscribe, publish): &(&str, Who, Who)| {
        TopicRule::new(pattern)
            .unwrap()
            .subscribe(subscribe)
            .publish(publish)
    };
    TopicRules {
        by_pattern: rules.iter().map(rule).collect(),
        ..TopicRules::default()
    }
}

fn shard(by_pattern: &[(&str, Who, Who)]) -> Shard {
    Shard::with_rules(Limits::default(), rules(by_pattern))
}

fn user(shard: &mut Shard, name: &'static str) -> ConnectionId {
    let client = shard.open(Door {
        user: Some(name),
        ..Door::default()
    });
    shard.turn();
    shard.read(client);
    client
}

/// Says something and gives what is heard.
fn ask(shard: &mut Shard, client: ConnectionId, text: &str) -> Vec<String> {
    shard.say(client, text);
    shard.turn();
    shard.read(client)
}

/// What the application is asked and has not been before.
fn questions(shard: &mut Shard) -> Vec<Question> {
    let outputs = std::mem::take(&mut shard.performed);
    let question = |output| match output {
        Output::Ask(_, _, question) => Some(question),
        _ => None,
    };
    outputs.into_iter().filter_map(question).collect()
}

fn answer(shard: &mut Shard, client: ConnectionId, answer: Answer) -> Vec<String> {
    shard.handle(Input::Answered(client, answer));
    shard.turn();
    shard.read(client)
}

const SUBSCRIBE_A: &str = r#"{"type":"subscribe","topic":"a","id":1}"#;
const PUBLISH_A: &str = r#"{"type":"publish","topic":"a","data":"x","id":2}"#;

#[test]
fn what_no_rule_allows_is_forbidden_and_nothing_is_done() {
    let mut shard = shard(&[("open", Who::Anyone, Who::Anyone)]);
    let ada = user(&mut shard, "ada");
    assert_eq!(ask(&mut shard, ada, SUBSCRIBE_A), ["error #1 forbidden"]);
    assert_eq!(ask(&mut shard, ada, PUBLISH_A), ["error #2 forbidden"]);
    let both = r#"{"type":"subscribe","topics":["open","a"],"id":3}"#;
    assert_eq!(ask(&mut shard, ada, both), ["error #3 forbidden"]);
    assert_eq!(shard.hub.counters().subscriptions, 0);
    assert!(
        !shard
            .performed
            .iter()
            .any(|output| matches!(output, Output::Publish(..)))
    );
    let open = r#"{"type":"subscribe","topic":"open","id":4}"#;
    assert_eq!(ask(&mut shard, ada, open), ["subscribed #4 open@0"]);
    shard.end();
}

#[test]
fn a_place_in_a_pattern_is_for_whom_it_names() {
    let mut shard = shard(&[
        ("inbox:{user}", Who::Users, Who::Nobody),
        ("*", Who::Anyone, Who::Anyone),
    ]);
    let (ada, nobody) = (user(&mut shard, "ada"), shard.client(&[]));
    let inbox = r#"{"type":"subscribe","topic":"inbox:ada","id":1}"#;
    assert_eq!(ask(&mut shard, ada, inbox), ["subscribed #1 inbox:ada@0"]);
    assert_eq!(ask(&mut shard, nobody, inbox), ["error #1 forbidden"]);
    let others = r#"{"type":"subscribe","topic":"inbox:bob","id":2}"#;
    assert_eq!(
        ask(&mut shard, ada, others),
        ["error #2 forbidden"],
        "the rule that is open to all does not come into it"
    );
    shard.end();
}

#[test]
fn what_was_granted_comes_on_top_except_where_nobody_may() {
    let by_pattern = [
        ("never", Who::Nobody, Who::Nobody),
        ("a", Who::Granted, Who::Granted),
    ];
    let mut shard = shard(&by_pattern);
    let all = || vec!["*".parse().unwrap()];
    let ada = shard.open(Door {
        user: Some("ada"),
        grants: Grants {
            subscribe: all(),
            ..Grants::default()
        },
        ..Door::default()
    });
    shard.turn();
    shard.read(ada);
    assert_eq!(ask(&mut shard, ada, SUBSCRIBE_A), ["subscribed #1 a@0"]);
    assert_eq!(ask(&mut shard, ada, PUBLISH_A), ["error #2 forbidden"]);
    let never = r#"{"type":"subscribe","topic":"never","id":3}"#;
    assert_eq!(ask(&mut shard, ada, never), ["error #3 forbidden"]);
    shard.end();
}

#[test]
fn who_is_subscribed_may_publish_where_subscribers_may() {
    let mut shard = shard(&[("a", Who::Anyone, Who::Subscribers)]);
    let ada = shard.client(&[]);
    assert_eq!(ask(&mut shard, ada, PUBLISH_A), ["error #2 forbidden"]);
    assert_eq!(ask(&mut shard, ada, SUBSCRIBE_A), ["subscribed #1 a@0"]);
    assert_eq!(ask(&mut shard, ada, PUBLISH_A), ["published #2 a/1", "a/1 \"x\""]);
    shard.end();
}

#[test]
fn the_application_is_asked_and_the_connection_waits() {
    let mut shard = shard(&[("a", Who::Hook, Who::Hook)]);
    let (ada, bob) = (user(&mut shard, "ada"), shard.client(&[]));
    assert_eq!(ask(&mut shard, ada, SUBSCRIBE_A), [""; 0]);
    let [Question::Subscribe { topics, token: None }] = &questions(&mut shard)[..] else {
        panic!("one question")
    };
    assert_eq!(topics[0].as_str(), "a");
    assert!(
        !shard.hub.is_readable(ada),
        "its next command waits in the socket"
    );
    assert_eq!(shard.hub.reading_room(shard.now, ada), 0);
    assert!(shard.hub.is_readable(bob), "nobody else waits");
    assert_eq!(shard.hub.counters().held[Hold::Application as usize], 1);

    assert_eq!(
        answer(&mut shard, ada, Answer::Subscribe(Ok(Leaves::default()))),
        ["subscribed #1 a@0"]
    );
    assert!(shard.hub.is_readable(ada));
    assert!(shard.performed.contains(&Output::Resume(ada)));

    ask(&mut shard, bob, SUBSCRIBE_A);
    let denial = Denial::forbidden("not you");
    assert_eq!(
        answer(&mut shard, bob, Answer::Subscribe(Err(denial))),
        ["error #1 forbidden"]
    );
    shard.end();
}

#[test]
fn what_the_application_makes_of_a_publication_is_published() {
    let mut shard = shard(&[("a", Who::Anyone, Who::Hook)]);
    let ada = shard.client(&["a"]);
    ask(&mut shard, ada, PUBLISH_A);
    let changed = Answer::Publish(Ok(Payload::text("y").into()));
    assert_eq!(
        answer(&mut shard, ada, changed),
        ["published #2 a/1", "a/1 \"y\""]
    );
    ask(&mut shard, ada, PUBLISH_A);
    assert_eq!(
        answer(&mut shard, ada, Answer::Publish(Ok(Amendment::default()))),
        ["published #2 a/2", "a/2 \"x\""]
    );
    ask(&mut shard, ada, PUBLISH_A);
    let amendment = Amendment {
        payload: None,
        idempotency_key: IdempotencyKey::parse("once").ok(),
        version: Some(StateVersion {
            number: 7,
            epoch: None,
        }),
        tags: Tags::parse([("kind", "late")]).unwrap(),
    };
    answer(&mut shard, ada, Answer::Publish(Ok(amendment.clone())));
    let published = shard.performed.iter().rev().find_map(|output| match output {
        Output::Publish(draft, _) => Some(draft.clone()),
        _ => None,
    });
    let draft = published.unwrap();
    assert_eq!(draft.payload.as_bytes(), b"\"x\"");
    assert_eq!(
        (draft.idempotency_key, draft.version.as_deref(), draft.tags),
        (
            amendment.idempotency_key,
            amendment.version.as_ref(),
            amendment.tags
        )
    );
    ask(&mut shard, ada, PUBLISH_A);
    let unavailable = Answer::Publish(Err(Denial::unavailable()));
    assert_eq!(
        answer(&mut shard, ada, unavailable),
        ["error #2 unavailable after 1000"]
    );
    ask(&mut shard, ada, PUBLISH_A);
    let wrong = Answer::Subscribe(Ok(Leaves::default()));
    assert_eq!(
        answer(&mut shard, ada, wrong),
        ["error #2 unavailable after 1000"],
        "an answer to another question is none"
    );
    shard.end();
}

#[test]
fn a_raw_message_is_looked_at_topic_by_topic() {
    let by_pattern = [
        ("moderated:*", Who::Anyone, Who::Hook),
        ("*", Who::Anyone, Who::Anyone),
    ];
    let mut shard = shard(&by_pattern);
    let raw = shard.open(Door {
        dialect: Dialect::Raw,
        topics: &["moderated:1", "free", "moderated:2"],
        ..Door::default()
    });
    shard.turn();
    assert_eq!(ask(&mut shard, raw, "x"), [""; 0]);
    assert_eq!(questions(&mut shard).len(), 1);
    let heard = answer(&mut shard, raw, Answer::Publish(Ok(Payload::text("1").into())));
    assert_eq!(heard, ["text 1", "text x"]);
    assert_eq!(questions(&mut shard).len(), 1, "then the next one");
    assert!(!shard.hub.is_readable(raw));
    let heard = answer(&mut shard, raw, Answer::Publish(Ok(Amendment::default())));
    assert_eq!(heard, ["text x"]);
    shard.end();
}

#[test]
fn a_dialect_without_errors_is_closed_by_what_is_forbidden() {
    let mut shard = shard(&[("a", Who::Anyone, Who::Nobody)]);
    let raw = |shard: &mut Shard, topics| {
        let raw = shard.open(Door {
            dialect: Dialect::Raw,
            topics,
            ..Door::default()
        });
        shard.turn();
        raw
    };
    let speaker = raw(&mut shard, &["a"]);
    assert_eq!(ask(&mut shard, speaker, "x"), ["close 3503"]);
    let stranger = raw(&mut shard, &["b"]);
    assert_eq!(shard.read(stranger), ["close 3503"]);
    shard.end();
}

#[test]
fn to_send_to_somebody_is_to_publish_to_that_ones_own_topic() {
    let mut shard = shard(&[("$user:*", Who::Nobody, Who::Users)]);
    let (ada, bob, nobody) = (
        user(&mut shard, "ada"),
        user(&mut shard, "bob"),
        shard.client(&[]),
    );
    let to_bob = r#"{"type":"send","user":"bob","data":1,"id":1}"#;
    assert_eq!(ask(&mut shard, nobody, to_bob), ["error #1 forbidden"]);
    assert_eq!(ask(&mut shard, ada, to_bob), ["sent #1"]);
    assert_eq!(shard.read(bob), ["$user:bob/1 1"]);
    let to_connection = format!(r#"{{"type":"send","connection":"{bob}","data":2,"id":2}}"#);
    assert_eq!(ask(&mut shard, ada, &to_connection), ["error #2 forbidden"]);
    let open = rules(&[("$connection:*", Who::Nobody, Who::Users)]);
    shard.handle(Input::Rules(Arc::new(open)));
    assert_eq!(ask(&mut shard, ada, &to_connection), ["sent #2"]);
    assert_eq!(
        ask(&mut shard, ada, to_bob),
        ["error #1 forbidden"],
        "the rules are others now"
    );
    shard.end();
}

#[test]
fn a_call_gives_what_the_application_gives() {
    let mut shard = shard(&[]);
    let ada = shard.client(&[]);
    let call = r#"{"type":"call","method":"add","data":[1,2],"id":7}"#;
    assert_eq!(ask(&mut shard, ada, call), [""; 0]);
    let [Question::Call { method, payload }] = &questions(&mut shard)[..] else {
        panic!("one question")
    };
    assert_eq!((&**method, payload.as_bytes()), ("add", &b"[1,2]"[..]));
    let result = Answer::Call(Ok(Payload::text("three")));
    assert_eq!(answer(&mut shard, ada, result), ["result #7 \"three\""]);
    ask(&mut shard, ada, call);
    let denial = Denial::refused(ErrorCode::NotFound, "no such method");
    assert_eq!(
        answer(&mut shard, ada, Answer::Call(Err(denial))),
        ["error #7 not_found"]
    );
    shard.end();
}

#[test]
fn whoever_leaves_while_the_application_thinks_leaves_nothing_behind() {
    let mut shard = shard(&[("a", Who::Hook, Who::Hook)]);
    let (gone, closed) = (shard.client(&[]), shard.client(&[]));
    for client in [gone, closed] {
        ask(&mut shard, client, SUBSCRIBE_A);
    }
    shard.handle(Input::Lost(gone));
    shard.handle(Input::PeerClose(closed, Some(1000)));
    for client in [gone, closed] {
        shard.handle(Input::Answered(client, Answer::Subscribe(Ok(Leaves::default()))));
    }
    shard.turn();
    assert_eq!(shard.hub.counters().subscriptions, 0);
    shard.end();
}

fn awaited(shard: &mut Shard) -> ConnectionId {
    shard.open(Door {
        is_awaited: true,
        topics: &["a"],
        ..Door::default()
    })
}

fn identity(user: &str, expires_at: Option<u64>) -> Arc<Identity> {
    Arc::new(Identity {
        expires_at: expires_at.map(Timestamp),
        ..Identity::of_user(UserName::parse(user).unwrap())
    })
}

fn admitted(identity: Arc<Identity>) -> Answer {
    Answer::Authenticate(Ok(Admission {
        identity,
        ..Admission::default()
    }))
}

const AUTH: &str = r#"{"type":"auth","token":"t","id":9}"#;

#[test]
fn who_has_not_said_who_it_is_can_do_nothing_and_is_sent_nothing() {
    let mut shard = shard(&[("*", Who::Anyone, Who::Anyone)]);
    let ada = awaited(&mut shard);
    shard.turn();
    assert_eq!(shard.read(ada), ["welcome"]);
    for text in [SUBSCRIBE_A, PUBLISH_A] {
        let heard = ask(&mut shard, ada, text).join("");
        assert!(heard.ends_with("unauthenticated"), "{heard}");
    }
    assert_eq!(ask(&mut shard, ada, r#"{"type":"ping","id":1}"#), ["pong #1"]);
    shard.publish("$all", "hello");
    shard.turn();
    assert_eq!(shard.read(ada), [""; 0]);
    assert_eq!(shard.hub.gauges().awaited, 1);
    assert_eq!(shard.hub.message_bytes_max(ada), 16 << 10);

    assert_eq!(ask(&mut shard, ada, AUTH), [""; 0]);
    assert_eq!(
        answer(&mut shard, ada, admitted(identity("ada", None))),
        ["authenticated #9", "subscribed a@0"]
    );
    assert_eq!(shard.hub.gauges().awaited, 0);
    assert_eq!(shard.hub.message_bytes_max(ada), 64 << 10);
    shard.publish("$user:ada", "you");
    shard.turn();
    assert_eq!(shard.read(ada), ["$user:ada/1 \"you\""]);
    shard.end();
}

#[test]
fn who_does_not_say_who_it_is_in_time_is_closed() {
    let mut shard = shard(&[]);
    let ada = awaited(&mut shard);
    shard.pass(9_000);
    assert_eq!(shard.read(ada), ["welcome"]);
    shard.pass(2_000);
    assert_eq!(shard.read(ada), ["goodbye 3502", "close 3502"]);
    assert_eq!(shard.hub.gauges().awaited, 0);
    shard.end();
}

#[test]
fn three_tokens_that_are_not_accepted_are_the_end() {
    let mut shard = shard(&[]);
    let ada = awaited(&mut shard);
    shard.turn();
    shard.read(ada);
    let refused = || Answer::Authenticate(Err(Denial::unauthenticated("no")));
    for _ in 0..2 {
        ask(&mut shard, ada, AUTH);
        assert_eq!(answer(&mut shard, ada, refused()), ["error #9 unauthenticated"]);
    }
    ask(&mut shard, ada, AUTH);
    let unavailable = Answer::Authenticate(Err(Denial::unavailable()));
    assert_eq!(
        answer(&mut shard, ada, unavailable),
        ["error #9 unavailable after 1000"],
        "which is not the client's fault"
    );
    ask(&mut shard, ada, AUTH);
    assert_eq!(
        answer(&mut shard, ada, refused()),
        ["error #9 unauthenticated", "goodbye 3502", "close 3502"]
    );
    let blamed = |output: &&Output| **output == Output::TokenRefused(ada);
    assert_eq!(shard.performed.iter().filter(blamed).count(), 3);
    shard.end();
}

#[test]
fn a_token_expires_unless_it_is_refreshed() {
    let mut shard = shard(&[]);
    let (ada, bob) = (awaited(&mut shard), awaited(&mut shard));
    for (client, name) in [(ada, "ada"), (bob, "bob")] {
        ask(&mut shard, client, AUTH);
        answer(&mut shard, client, admitted(identity(name, Some(20_000))));
    }
    shard.pass(10_000);
    shard.hear(ada);
    shard.hear(bob);
    ask(&mut shard, ada, AUTH);
    let other = admitted(identity("eve", Some(60_000)));
    assert_eq!(
        answer(&mut shard, ada, other),
        ["error #9 forbidden"],
        "nobody becomes somebody else"
    );
    ask(&mut shard, ada, AUTH);
    let longer = admitted(identity("ada", Some(60_000)));
    assert_eq!(answer(&mut shard, ada, longer), ["authenticated #9"]);
    shard.pass(10_500);
    assert_eq!(shard.read(bob), ["goodbye 3009", "close 3009"]);
    assert_eq!(shard.read(ada), [""; 0]);
    shard.end();
}

#[test]
fn a_token_with_a_subscription_is_asked_about() {
    let mut shard = shard(&[]);
    let ada = user(&mut shard, "ada");
    let with_token = r#"{"type":"subscribe","topic":"a","token":"t","id":1}"#;
    ask(&mut shard, ada, with_token);
    let [
        Question::Subscribe {
            token: Some(token), ..
        },
    ] = &questions(&mut shard)[..]
    else {
        panic!("one question")
    };
    assert_eq!(&**token, "t");
    assert_eq!(
        answer(&mut shard, ada, Answer::Subscribe(Ok(Leaves::default()))),
        ["subscribed #1 a@0"]
    );
    shard.end();
}

#[test]
fn what_was_granted_at_the_door_needs_no_rule() {
    let mut shard = shard(&[]);
    let ada = shard.open(Door {
        user: Some("ada"),
        granted_topics: &["news"],
        ..Door::default()
    });
    shard.turn();
    assert_eq!(shard.read(ada), ["welcome", "subscribed news@0"]);
    shard.end();
}

#[test]
fn no_token_opens_what_is_closed_to_everyone() {
    let mut shard = shard(&[("a", Who::Nobody, Who::Nobody)]);
    let ada = user(&mut shard, "ada");
    let with_token = r#"{"type":"subscribe","topic":"a","token":"t","id":1}"#;
    assert_eq!(ask(&mut shard, ada, with_token), ["error #1 forbidden"]);
    assert!(questions(&mut shard).is_empty());
}
