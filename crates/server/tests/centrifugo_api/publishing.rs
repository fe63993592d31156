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
