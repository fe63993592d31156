//! `publish` and `broadcast`.

use serde_json::{Value, json};

use crate::client::Client;
use crate::stand::Stand;

#[test]
fn what_is_published_reaches_the_members_of_the_channel() {
    let stand = Stand::start();
    let (mut member, _) = stand.member("topic=a");
    let data = json!({"text": "<hello> & 聊", "n": 1.50});
    assert_eq!(
        stand.done("publish", json!({"channel": "a", "data": data})),
        json!({})
    );
    let heard = member.expect("message");
    assert_eq!((&heard["topic"], &heard["data"]), (&json!("a"), &data));
    for data in [json!(null), json!(0), json!(""), json!([])] {
        stand.done("publish", json!({"channel": "a", "data": data}));
        assert_eq!(member.expect("message")["data"], data);
    }
}

#[test]
fn bytes_are_published_from_base64_and_go_before_data() {
    let stand = Stand::start();
    let (mut member, _) = stand.member("topic=a");
    let bytes = json!({"channel": "a", "data": {"not": "this"}, "b64data": "AAEC/w=="});
    stand.done("publish", bytes);
    assert_eq!(member.expect("message")["data_base64"], "AAEC/w==");
    stand.done("publish", json!({"channel": "a", "data": 1, "b64data": ""}));
    assert_eq!(member.expect("message")["data"], 1);
}

#[test]
fn a_place_is_told_where_the_channel_keeps_history() {
    let stand = Stand::start();
    let first = stand.done("publish", json!({"channel": "kept:a", "data": 1}));
    let second = stand.done("publish", json!({"channel": "kept:a", "data": 2}));
    assert_eq!((&first["offset"], &second["offset"]), (&json!(1), &json!(2)));
    assert_eq!(first["epoch"], second["epoch"]);
    assert!(!first["epoch"].as_str().unwrap().is_empty());
}

#[test]
fn a_repetition_with_the_same_key_is_published_once() {
    let stand = Stand::start();
    let (mut member, _) = stand.member("topic=kept:a");
    let once = json!({"channel": "kept:a", "data": 1, "idempotency_key": "order 7"});
    let first = stand.done("publish", once.clone());
    assert_eq!(stand.done("publish", once), first);
    stand.done(
        "publish",
        json!({"channel": "kept:a", "data": 2, "idempotency_key": ""}),
    );
    assert_eq!(member.expect("message")["data"], 1);
    assert_eq!(member.expect("message")["data"], 2);
}

#[test]
fn hints_change_nothing_and_unknown_parameters_are_passed_over() {
    let stand = Stand::start();
    let (mut member, _) = stand.member("topic=a");
    let body = json!({
        "channel": "a", "data": 1, "delta": true, "tags": {}, "version": 0, "version_epoch": "x", "skip_history": true,
        "something": "new",
    });
    assert_eq!(stand.done("publish", body), json!({}));
    assert_eq!(member.expect("message")["data"], 1);
}

#[test]
fn a_channel_is_a_topic_whatever_its_name_has() {
    let stand = Stand::start();
    // In a query the `%` of the topic is encoded as well.
    for (channel, topic) in [("$private", "%2524private"), ("dialog#1,2", "dialog%25231,2")] {
        let (mut member, _) = stand.member(&format!("topic={topic}"));
        stand.done("publish", json!({"channel": channel, "data": 1}));
        assert_eq!(member.expect("message")["data"], 1, "{channel}");
        let listed = stand.done("channels", json!({"pattern": channel}));
        assert_eq!(listed, json!({"channels": {channel: {"num_clients": 1}}}));
    }
}

#[test]
fn a_broadcast_is_answered_for_each_channel_in_its_order() {
    let stand = Stand::start();
    let members: [(Client, String); 2] = ["a", "kept:b"].map(|topic| stand.member(&format!("topic={topic}")));
    let result = stand.done(
        "broadcast",
        json!({"channels": ["a", "", "kept:b"], "data": {"n": 1}}),
    );
    let responses = result["responses"].as_array().unwrap();
    assert_eq!(responses[0], json!({"result": {}}));
    assert_eq!(responses[1]["error"]["code"], 107);
    assert_eq!(responses[2]["result"]["offset"], 1);
    assert_eq!(responses.len(), 3);
    for (mut member, _) in members {
        assert_eq!(member.expect("message")["data"], json!({"n": 1}));
    }
}

#[test]
fn a_broadcast_has_room_for_many_channels() {
    let stand = Stand::start();
    let channels: Vec<String> = (0..10_000).map(|number| format!("many:{number}")).collect();
    let result = stand.done("broadcast", json!({"channels": channels, "data": 1}));
    let responses = result["responses"].as_array().unwrap();
    assert_eq!(responses.len(), 10_000);
    assert!(
        responses
            .iter()
            .all(|response: &Value| *response == json!({"result": {}}))
    );
    let more = [&channels[..], &["one more".to_owned()]].concat();
    let body = json!({"channels": more, "data": 1});
    stand.assert_refused(
        "broadcast",
        body,
        106,
        "10001 channels are named, a broadcast has at most 10000",
    );
}

#[test]
fn what_is_out_of_date_is_not_published() {
    let stand = Stand::start();
    let (mut member, _) = stand.member("topic=kept:a");
    let publish = |data: u64, version: u64, epoch: &str| {
        let of = json!({"channel": "kept:a", "data": data, "version": version, "version_epoch": epoch});
        stand.done("publish", of)["offset"].as_u64().unwrap()
    };
    assert_eq!(publish(1, 7, ""), 1);
    assert_eq!(publish(2, 7, ""), 1);
    assert_eq!(publish(3, 6, ""), 1);
    assert_eq!(publish(4, 0, ""), 2, "0 is no version");
    assert_eq!(publish(5, 5, ""), 2, "where the channel stands");
    assert_eq!(publish(6, 8, "b"), 3);
    assert_eq!(publish(7, 1, "c"), 4, "another epoch counts anew");
    assert_eq!(publish(8, 1, "c"), 4);
    let all = json!({"channels": ["kept:a", "kept:b"], "data": 9, "version": 1});
    let responses = stand.done("broadcast", all)["responses"].clone();
    let offsets = [0, 1].map(|at: usize| responses[at]["result"]["offset"].clone());
    assert_eq!(offsets, [4, 1], "each channel has a version of its own");
    for data in [1, 4, 6, 7] {
        assert_eq!(member.expect("message")["data"], data);
    }
    let kept = stand.done("history", json!({"channel": "kept:a", "limit": 10}));
    assert_eq!(kept["publications"].as_array().unwrap().len(), 4);
    let (mut here, _) = stand.member("topic=b");
    for (data, version) in [(1, 2), (2, 1), (3, 3)] {
        let of = json!({"channel": "b", "data": data, "version": version});
        assert_eq!(stand.done("publish", of), json!({}), "no history is kept of it");
    }
    for data in [1, 3] {
        assert_eq!(here.expect("message")["data"], data);
    }
    let bad = json!({"channel": "b", "data": 1, "version": 9, "version_epoch": "x".repeat(65)});
    stand.assert_refused("publish", bad, 107, "`version_epoch`: key is 65 bytes");
}
