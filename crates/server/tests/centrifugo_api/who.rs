//! `presence`, `presence_stats`, `channels` and `info`.

use serde_json::{Value, json};

use crate::client::eventually;
use crate::stand::Stand;

/// Waits until so many are subscribed: shards tell of them within a turn.
fn await_subscriptions(stand: &Stand, count: u64) {
    stand.server.await_metrics(&[("fanfare_subscriptions", count)]);
}

#[test]
fn presence_names_each_client_and_counts_anonymous_ones_as_one_user() {
    let stand = Stand::start();
    let (_ana, ana) = stand.member("topic=a&user=ana");
    let (_again, again) = stand.member("topic=a&user=ana");
    let stats = || stand.done("presence_stats", json!({"channel": "a"}));
    eventually("both are there", || {
        stats() == json!({"num_clients": 2, "num_users": 1})
    });
    let (_nobody, nobody) = stand.member("topic=a");
    let (_other, other) = stand.member("topic=a");
    eventually("all are there", || {
        stats() == json!({"num_clients": 4, "num_users": 2})
    });
    let client = |id: &str, user: &str| json!({"client": id, "user": user});
    let expected = json!({"presence": {
        &ana: client(&ana, "ana"), &again: client(&again, "ana"),
        &nobody: client(&nobody, ""), &other: client(&other, ""),
    }});
    assert_eq!(stand.done("presence", json!({"channel": "a"})), expected);
    assert_eq!(
        stand.done("presence", json!({"channel": "empty"})),
        json!({"presence": {}})
    );
}

#[test]
fn channels_are_those_with_a_subscriber_that_fit_the_pattern() {
    let stand = Stand::start();
    let topics = ["news", "chat:1", "chat:1", "chat:2"];
    let members = topics.map(|topic| stand.member(&format!("topic={topic}&user=ana")));
    stand.done("publish", json!({"channel": "kept:nobody-is-here", "data": 1}));
    await_subscriptions(&stand, 4);
    let one = json!({"num_clients": 1});
    let chats = json!({"chat:1": {"num_clients": 2}, "chat:2": one});
    let all = json!({"chat:1": {"num_clients": 2}, "chat:2": one, "news": one});
    for (pattern, expected) in [
        (json!({}), &all),
        (json!({"pattern": ""}), &all),
        (json!({"pattern": "*"}), &all),
        (json!({"pattern": "chat:*"}), &chats),
        (json!({"pattern": "chat:[12]"}), &chats),
        (json!({"pattern": "{news}"}), &json!({"news": one})),
        (json!({"pattern": "?ews"}), &json!({"news": one})),
        (json!({"pattern": "chat"}), &json!({})),
    ] {
        assert_eq!(
            &stand.done("channels", pattern.clone())["channels"],
            expected,
            "{pattern}"
        );
    }
    for (pattern, words) in [
        ("{a", "`{` is not closed"),
        ("a}", "closes nothing"),
        ("[", "`[` is not"),
    ] {
        stand.assert_refused("channels", json!({"pattern": pattern}), 107, words);
    }
    drop(members);
}

#[test]
fn more_channels_than_an_answer_has_are_an_error() {
    let stand = Stand::with(&["--subscriptions-max=20000"]);
    let (mut member, _) = stand.member("user=ana");
    let numbers: Vec<u32> = (0..=10_000).collect();
    for chunk in numbers.chunks(100) {
        let topics: Vec<String> = chunk.iter().map(|number| format!("many:{number}")).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        member.subscribe(&topics);
    }
    await_subscriptions(&stand, 10_001);
    stand.assert_refused("channels", json!({}), 106, "give a narrower `pattern`");
    let few = stand.done("channels", json!({"pattern": "many:1???"}));
    assert_eq!(few["channels"].as_object().unwrap().len(), 1_000);
}

#[test]
fn info_tells_of_the_one_node() {
    let stand = Stand::start();
    let _members = ["a", "a", "b"].map(|topic| stand.member(&format!("topic={topic}&user=ana")));
    let _nobody = stand.member("topic=a");
    await_subscriptions(&stand, 4);
    let info = stand.done("info", json!({}));
    let [node] = &info["nodes"].as_array().unwrap()[..] else {
        panic!("there is one node: {info}");
    };
    let counts = |name: &str| node[name].as_u64().unwrap();
    assert_eq!(
        ["num_clients", "num_users", "num_channels", "num_subs"].map(counts),
        [4, 1, 2, 4]
    );
    assert_eq!(
        (&node["name"], &node["version"]),
        (&json!("fanfare"), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(node["uid"].as_str().unwrap().len(), 32);
    assert!(counts("uptime") < 3_600);
    assert!(node["process"]["rss"].as_u64().unwrap() > 1 << 20, "{node}");
    let again: Value = stand.done("info", json!({}));
    assert_eq!(again["nodes"][0]["uid"], node["uid"]);
}
