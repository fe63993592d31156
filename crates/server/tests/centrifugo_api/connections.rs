//! `subscribe`, `unsubscribe`, `disconnect` and `refresh`.

use serde_json::{Value, json};

use crate::stand::Stand;

/// An id that this server has not given.
const NOBODY: &str = "8a6c2f0e-33f1-4ac1-a8b0-c2d4e6f80912";

#[test]
fn all_connections_of_a_user_are_subscribed_and_unsubscribed() {
    let stand = Stand::start();
    let mut members = [(); 2].map(|()| stand.member("user=ana").0);
    let (mut other, _) = stand.member("topic=other&user=bob");
    let named = json!({"user": "ana", "channel": "a"});
    assert_eq!(stand.done("subscribe", named.clone()), json!({}));
    for member in &mut members {
        assert_eq!(member.expect("subscribed")["topics"][0]["topic"], "a");
    }
    stand.done("publish", json!({"channel": "a", "data": 1}));
    for member in &mut members {
        member.expect("message");
    }
    assert_eq!(stand.done("unsubscribe", named), json!({}));
    for member in &mut members {
        assert_eq!(member.expect("unsubscribed")["topics"], json!(["a"]));
    }
    stand.done("publish", json!({"channel": "other", "data": 2}));
    assert_eq!(other.expect("message")["data"], 2);
}

#[test]
fn a_client_is_named_alone_or_with_its_user() {
    let stand = Stand::start();
    let (mut one, id) = stand.member("user=ana");
    let (mut another, _) = stand.member("user=ana");
    for named in [
        json!({"client": id}),
        json!({"client": id, "user": "ana"}),
        json!({"client": id, "user": ""}),
    ] {
        let with_channel = |channel: &str| {
            let mut named = named.clone();
            named["channel"] = json!(channel);
            named
        };
        assert_eq!(stand.done("subscribe", with_channel("a")), json!({}), "{named}");
        assert_eq!(one.expect("subscribed")["topics"][0]["topic"], "a");
        assert_eq!(stand.done("unsubscribe", with_channel("a")), json!({}), "{named}");
        one.expect("unsubscribed");
    }
    // These are nobody, and the next is what they hear.
    for nobody in [
        json!({"client": id, "user": "bob"}),
        json!({"client": NOBODY}),
        json!({"user": "bob"}),
    ] {
        let mut named = nobody.clone();
        named["channel"] = json!("b");
        for method in ["subscribe", "unsubscribe", "disconnect"] {
            assert_eq!(stand.done(method, named.clone()), json!({}), "{method} {nobody}");
        }
    }
    for member in [&mut one, &mut another] {
        assert_eq!(member.ask(json!({"type": "ping", "id": 1}))["type"], "pong");
    }
}

#[test]
fn without_a_channel_a_user_is_unsubscribed_from_all() {
    let stand = Stand::start();
    for named in [
        |_: &str| json!({"user": "ana"}),
        |id: &str| json!({"client": id, "channel": ""}),
    ] {
        let (mut member, id) = stand.member("user=ana");
        let (mut idle, _) = stand.member("user=ana");
        member.subscribe(&["a", "b"]);
        assert_eq!(stand.done("unsubscribe", named(&id)), json!({}));
        let topics = &member.expect("unsubscribed")["topics"];
        let mut topics: Vec<&str> = topics
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        topics.sort_unstable();
        assert_eq!(topics, ["a", "b"]);
        assert_eq!(idle.ask(json!({"type": "ping", "id": 1}))["type"], "pong");
    }
}

#[test]
fn a_disconnect_says_its_code_and_reason() {
    let stand = Stand::start();
    for (ending, code, reason) in [
        (json!(null), 3500, "disconnected"),
        (json!({}), 3500, "disconnected"),
        (json!({"code": 0, "reason": ""}), 3500, "disconnected"),
        (json!({"code": 3000, "reason": "again"}), 3000, "again"),
        (json!({"code": 3501, "reason": "go away"}), 3501, "go away"),
        (json!({"code": 4000}), 4000, ""),
        (json!({"code": 4999, "reason": "banned"}), 4999, "banned"),
    ] {
        let (mut member, _) = stand.member("user=ana");
        let body = json!({"user": "ana", "disconnect": ending});
        assert_eq!(stand.done("disconnect", body), json!({}));
        let ended = member.ending();
        assert_eq!((ended.code, ended.reason.as_str()), (code, reason), "{ending}");
    }
}

#[test]
fn a_disconnect_of_a_user_is_answered_in_both_words() {
    let stand = Stand::start();
    let mut members = [(); 2].map(|()| stand.member("user=ana").0);
    let answer = stand.call("disconnect", &json!({"user": "ana"}));
    assert_eq!(
        (answer.status, answer.json),
        (200, json!({"connections": 2, "result": {}}))
    );
    for member in &mut members {
        assert_eq!(member.ending().code, 3500);
    }
    let answer = stand.call("disconnect", &json!({"user": "ana", "reconnect": true}));
    assert_eq!(answer.json, json!({"connections": 0}));
}

#[test]
fn whoever_is_on_the_whitelist_stays() {
    let stand = Stand::start();
    let (mut stays, id) = stand.member("user=ana");
    let (mut goes, _) = stand.member("user=ana");
    let (mut other, _) = stand.member("user=bob");
    let body = json!({"user": "ana", "whitelist": [NOBODY, id]});
    assert_eq!(stand.done("disconnect", body), json!({}));
    assert_eq!(goes.ending().code, 3500);
    for member in [&mut stays, &mut other] {
        assert_eq!(member.ask(json!({"type": "ping", "id": 1}))["type"], "pong");
    }
    stand.done("disconnect", json!({"user": "ana", "whitelist": []}));
    assert_eq!(stays.ending().code, 3500);
}

#[test]
fn an_expired_connection_is_closed_as_one() {
    let stand = Stand::start();
    let (mut member, id) = stand.member("user=ana");
    assert_eq!(
        stand.done("refresh", json!({"user": "ana", "client": id, "expired": true})),
        json!({})
    );
    assert_eq!(member.ending().code, 3009);
}

#[test]
fn a_client_that_has_gone_is_not_taken_for_the_one_in_its_place() {
    let stand = Stand::with(&["--shards=1"]);
    let (gone, id) = stand.member("user=ana");
    drop(gone);
    stand.server.await_metrics(&[("fanfare_connections", 0)]);
    let (mut next, next_id) = stand.member("user=ana");
    // The shard and the place in it are the same.
    assert_eq!((&id[..8], id == next_id), (&next_id[..8], false));
    assert_eq!(stand.done("disconnect", json!({"client": id})), json!({}));
    assert_eq!(next.ask(json!({"type": "ping", "id": 1}))["type"], "pong");
}
