//! `subscribe`, `unsubscribe`, `disconnect` and `refresh`.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::client::{Client, eventually};
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

/// A client that only receives, and what it was told.
fn receiver(stand: &Stand) -> (Client, Value) {
    let mut client = Client::open(stand.server.address, "/connection/uni_websocket");
    client.send_text("{}");
    let told = client.json()["connect"].clone();
    (client, told)
}

#[test]
fn a_session_is_one_connection_for_whoever_knows_its_name() {
    let stand = Stand::start();
    let (mut one, told) = receiver(&stand);
    let (mut another, others) = receiver(&stand);
    let text = |told: &Value, name: &str| told[name].as_str().unwrap().to_owned();
    let (session, id) = (text(&told, "session"), text(&told, "client"));
    let (other_session, other_id) = (text(&others, "session"), text(&others, "client"));
    let mixed = format!("{}{}", &session[..16], &other_session[16..]);
    let unknown = format!("{}{}", &session[..16], "0".repeat(32));
    for nobody in [
        json!({"session": "x"}),
        json!({"session": mixed}),
        json!({"session": unknown}),
        json!({"session": session.to_uppercase()}),
        json!({"session": session, "client": other_id}),
        json!({"session": other_session, "client": id}),
        json!({"session": session, "user": "ana"}),
    ] {
        let mut named = nobody.clone();
        named["channel"] = json!("b");
        named["expired"] = json!(true);
        for method in ["subscribe", "unsubscribe", "refresh", "disconnect"] {
            assert_eq!(stand.done(method, named.clone()), json!({}), "{method} {nobody}");
        }
    }
    let named = json!({"session": session, "client": id, "user": "", "channel": "a"});
    stand.done("subscribe", named.clone());
    let mut heard = one.json();
    assert!(
        heard["subscribe"].is_object() && heard["channel"] == "a",
        "{heard}"
    );
    stand.done("unsubscribe", named);
    heard = one.json();
    assert!(
        heard["unsubscribe"].is_object() && heard["channel"] == "a",
        "{heard}"
    );
    stand.done("refresh", json!({"session": session}));
    assert_eq!(one.json(), json!({"refresh": {}}));
    stand.done("disconnect", json!({"session": session}));
    assert_eq!(one.json()["disconnect"]["code"], 3503);
    stand.done("refresh", json!({"session": other_session, "expired": true}));
    assert_eq!(another.json()["disconnect"]["code"], 3005, "that is all it hears");
}

#[test]
fn who_speaks_over_a_websocket_has_no_session() {
    let stand = Stand::start();
    let mut client = Client::open(stand.server.address, "/connection/websocket");
    let told = client.ask(json!({"id": 1, "connect": {}}));
    assert_eq!(told["connect"]["session"], json!(null));
    let id = told["connect"]["client"].as_str().unwrap();
    let connection = fanfare::centrifuge::connection_of(id).unwrap();
    let session = fanfare::centrifuge::session_of(connection, 0);
    stand.done("disconnect", json!({"session": session}));
    let answer = client.ask(json!({"id": 2, "subscribe": {"channel": "a"}}));
    assert_eq!(answer["id"], 2, "it is still there");
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

#[test]
fn a_refresh_says_when_a_connection_ends_and_what_others_see_of_it() {
    let stand = Stand::start();
    let mut client = Client::open(stand.server.address, "/connection/websocket");
    let told = client.ask(json!({"id": 1, "connect": {}}));
    let id = told["connect"]["client"].as_str().unwrap();
    client.ask(json!({"id": 2, "subscribe": {"channel": "a"}}));
    let end = now() + 100;
    stand.done(
        "refresh",
        json!({"client": id, "expire_at": end, "info": {"n": 1}}),
    );
    let refresh = client.json()["push"]["refresh"].clone();
    assert_eq!(refresh["expires"], true);
    assert!(
        (60..=100).contains(&refresh["ttl"].as_u64().unwrap()),
        "{refresh}"
    );
    let seen = || stand.done("presence", json!({"channel": "a"}))["presence"][id]["conn_info"].clone();
    eventually("it is seen anew", || seen() == json!({"n": 1}));
    for never in [
        json!({"client": id}),
        json!({"client": id, "expire_at": 0, "info": null}),
    ] {
        stand.done("refresh", never);
        assert_eq!(client.json(), json!({"push": {"refresh": {}}}));
    }
    assert_eq!(
        seen(),
        json!({"n": 1}),
        "and as before where nothing is said of that"
    );
    for (over, words) in [
        (json!({"client": id, "expire_at": -1}), "`expire_at` is a time"),
        (
            json!({"client": id, "info": "x".repeat(1_025)}),
            "`info` has at most 1024 bytes",
        ),
    ] {
        stand.assert_refused("refresh", over, 107, words);
    }
    stand.done("refresh", json!({"client": id, "expire_at": now() - 1}));
    assert_eq!(client.ending().code, 3005);
}

#[test]
fn who_was_refreshed_ends_when_that_was_said() {
    let stand = Stand::start();
    let (mut member, _) = stand.member("user=ana");
    let end = now() + 1;
    stand.done("refresh", json!({"user": "ana", "expire_at": end}));
    assert_eq!(member.expect("authenticated")["expires_at"], end * 1_000);
    assert_eq!(member.ending().code, 3009);
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

/// A client of Centrifuge's, and its id.
fn client(stand: &Stand) -> (Client, String) {
    let mut client = Client::open(stand.server.address, "/connection/websocket");
    let told = client.ask(json!({"id": 1, "connect": {}}));
    let id = told["connect"]["client"].as_str().unwrap().to_owned();
    (client, id)
}

#[test]
fn a_subscription_comes_with_what_is_said_of_it() {
    let stand = Stand::start();
    let (mut client, id) = client(&stand);
    stand.done(
        "subscribe",
        json!({"client": id, "channel": "a", "data": {"n": 1.50}, "info": {"role": "guest"}}),
    );
    let push = client.json()["push"].clone();
    assert_eq!(
        (&push["channel"], &push["subscribe"]["data"]),
        (&json!("a"), &json!({"n": 1.50}))
    );
    let seen = || stand.done("presence", json!({"channel": "a"}))["presence"][&id]["chan_info"].clone();
    eventually("it is seen as was said", || seen() == json!({"role": "guest"}));
    let base64 =
        json!({"client": id, "channel": "b", "data": 1, "b64data": "WzJd", "info": 1, "b64info": "e30="});
    stand.done("subscribe", base64);
    assert_eq!(
        client.json()["push"]["subscribe"]["data"],
        json!([2]),
        "it goes before the other"
    );
    let (mut member, member_id) = stand.member("user=ana");
    let end = now() + 100;
    stand.done(
        "subscribe",
        json!({"client": member_id, "channel": "a", "expire_at": end}),
    );
    member.expect("subscribed");
}

#[test]
fn a_subscription_ends_when_it_was_said_to() {
    let stand = Stand::start();
    let (mut client, id) = client(&stand);
    stand.done(
        "subscribe",
        json!({"client": id, "channel": "a", "expire_at": now() + 1}),
    );
    assert!(client.json()["push"]["subscribe"].is_object());
    let ended = client.ending();
    assert_eq!(
        (ended.code, ended.reason.as_str()),
        (3006, "subscription expired")
    );
}

#[test]
fn a_subscription_begins_where_it_was_said_to() {
    let stand = Stand::start();
    let place = |data: u64| stand.done("publish", json!({"channel": "kept:a", "data": data}));
    let epoch = place(1)["epoch"].clone();
    place(2);
    place(3);
    let (mut client, id) = client(&stand);
    let since = json!({"client": id, "channel": "kept:a", "recover_since": {"offset": 1, "epoch": epoch}});
    stand.done("subscribe", since);
    let mut pushes = Vec::new();
    while pushes.len() < 3 {
        let lines = client.text();
        pushes.extend(
            lines
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["push"].clone()),
        );
    }
    let begun = &pushes[0]["subscribe"];
    assert_eq!(
        (&begun["offset"], &begun["epoch"], &begun["recoverable"]),
        (&json!(1), &epoch, &json!(true))
    );
    let missed: Vec<_> = pushes[1..].iter().map(|push| &push["pub"]["data"]).collect();
    assert_eq!(missed, [2, 3]);
    place(4);
    assert_eq!(client.json()["push"]["pub"]["data"], 4);
}

#[test]
fn what_a_channels_rule_says_may_be_said_again() {
    let stand = Stand::start();
    let says = |channel: &str, name: &str, value: bool| {
        let changes = json!({name: {"value": value}});
        let named = json!({"user": "ana", "channel": channel, "override": changes});
        stand.call("subscribe", &named).json["error"]["code"].clone()
    };
    for (channel, name, is_so) in [
        ("a", "presence", true),
        ("unseen", "presence", false),
        ("a", "join_leave", true),
        ("unseen", "join_leave", false),
        ("a", "force_push_join_leave", false),
        ("kept:a", "force_recovery", true),
        ("a", "force_positioning", false),
    ] {
        assert_eq!(says(channel, name, is_so), json!(null), "{channel} {name}");
        assert_eq!(says(channel, name, !is_so), json!(108), "{channel} {name}");
    }
}
