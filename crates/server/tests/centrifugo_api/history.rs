//! `history` and `history_remove`.

use serde_json::{Value, json};

use crate::harness::Folder;
use crate::stand::Stand;

/// The data of publications.
fn data(history: &Value) -> Vec<i64> {
    let publications = history["publications"].as_array().unwrap();
    publications
        .iter()
        .map(|publication| publication["data"].as_i64().unwrap())
        .collect()
}

fn publish(stand: &Stand, numbers: std::ops::RangeInclusive<i64>) -> Value {
    let mut last = Value::Null;
    for number in numbers {
        last = stand.done("publish", json!({"channel": "kept:a", "data": number}));
    }
    last
}

fn history(stand: &Stand, mut parameters: Value) -> Value {
    parameters["channel"] = json!("kept:a");
    stand.done("history", parameters)
}

#[test]
fn history_is_read_from_anywhere_in_either_direction() {
    let stand = Stand::start();
    let last = publish(&stand, 1..=5);
    let epoch = &last["epoch"];
    for (parameters, expected) in [
        (json!({}), &[][..]),
        (json!({"limit": 0}), &[]),
        (json!({"limit": 2}), &[1, 2]),
        (json!({"limit": -1}), &[1, 2, 3, 4, 5]),
        (json!({"limit": 2, "reverse": true}), &[5, 4]),
        (
            json!({"limit": 2, "since": {"offset": 2, "epoch": epoch}}),
            &[3, 4],
        ),
        (json!({"limit": 9, "since": {"offset": 3}}), &[4, 5]),
        (json!({"limit": 9, "since": {"offset": 3, "epoch": ""}}), &[4, 5]),
        (json!({"limit": 9, "since": {}}), &[1, 2, 3, 4, 5]),
        (json!({"limit": 9, "since": {"offset": 5, "epoch": epoch}}), &[]),
        (json!({"limit": 9, "since": {"offset": 9, "epoch": epoch}}), &[]),
        (
            json!({"limit": 9, "since": {"offset": 3, "epoch": epoch}, "reverse": true}),
            &[2, 1],
        ),
    ] {
        let read = history(&stand, parameters.clone());
        assert_eq!(data(&read), expected, "{parameters}");
        assert_eq!(
            (&read["offset"], &read["epoch"]),
            (&json!(5), epoch),
            "{parameters}"
        );
    }
    let read = history(&stand, json!({"limit": 1}));
    assert_eq!(read["publications"][0], json!({"data": 1, "offset": 1}));
}

#[test]
fn an_answer_has_at_most_300_publications_however_long_they_are() {
    let stand = Stand::start();
    publish(&stand, 1..=310);
    for limit in [-1, 300, 301, i64::MAX, i64::MIN] {
        let read = history(&stand, json!({"limit": limit}));
        assert_eq!(data(&read), (1..=300).collect::<Vec<i64>>(), "{limit}");
        assert_eq!(read["offset"], 310);
    }
    let long = "x".repeat(60_000);
    for _ in 0..9 {
        stand.done("publish", json!({"channel": "kept:a", "data": long}));
    }
    let read = history(&stand, json!({"limit": 9, "reverse": true}));
    assert_eq!(read["publications"].as_array().unwrap().len(), 9);
}

#[test]
fn a_position_of_another_epoch_cannot_be_gone_on_from() {
    let stand = Stand::start();
    publish(&stand, 1..=2);
    for (epoch, limit) in [("0", 5), ("another", 5), ("!", 5), ("0", 0)] {
        let since = json!({"offset": 1, "epoch": epoch});
        let body = json!({"channel": "kept:a", "limit": limit, "since": since});
        stand.assert_refused("history", body, 112, "is not the one that is asked for");
    }
    let body = json!({"channel": "kept:a", "limit": 5, "since": {"offset": 0}, "reverse": true});
    stand.assert_refused("history", body, 107, "`since.offset` is 0");
}

#[test]
fn a_channel_that_nobody_published_to_is_empty() {
    let stand = Stand::start();
    let read = history(&stand, json!({"limit": 10}));
    assert_eq!((&read["publications"], &read["offset"]), (&json!([]), &json!(0)));
}

#[test]
fn whoever_published_is_told_and_every_kind_of_payload_has_a_form() {
    let stand = Stand::start();
    let (mut ana, id) = stand.member("user=ana");
    let place = ana.ask(json!({"type": "publish", "topic": "kept:a", "data": {"n": 1}, "id": 1}));
    assert_eq!(place["type"], "published", "{place}");
    let tags = json!({"lang": "de", "region": "eu"});
    let bytes = json!({"channel": "kept:a", "b64data": "AP8=", "tags": tags});
    stand.done("publish", bytes);
    let target = "/api/publish?topic=kept:a";
    stand.request("POST", target, "plain \"text\"", "Content-Type: text/plain\r\n");
    let read = history(&stand, json!({"limit": 10}));
    let info = json!({"client": id, "user": "ana"});
    assert_eq!(
        read["publications"],
        json!([
            {"data": {"n": 1}, "info": info, "offset": 1},
            {"data": null, "b64data": "AP8=", "tags": tags, "offset": 2},
            {"data": "plain \"text\"", "offset": 3},
        ])
    );
}

#[test]
fn removed_history_is_gone_and_offsets_go_on() {
    let stand = Stand::start();
    let (mut member, _) = stand.member("topic=kept:a");
    let before = publish(&stand, 1..=3);
    assert_eq!(
        stand.done("history_remove", json!({"channel": "kept:a"})),
        json!({})
    );
    let read = history(&stand, json!({"limit": 10}));
    assert_eq!(
        (data(&read), &read["offset"], &read["epoch"]),
        (vec![], &json!(3), &before["epoch"])
    );
    assert_eq!(
        publish(&stand, 4..=4),
        json!({"offset": 4, "epoch": before["epoch"]})
    );
    assert_eq!(data(&history(&stand, json!({"limit": 10}))), [4]);
    for number in 1..=4 {
        assert_eq!(member.expect("message")["data"], number);
    }
    // Offsets go on where nobody is there as well.
    drop(member);
    stand.server.await_metrics(&[("fanfare_connections", 0)]);
    stand.done("history_remove", json!({"channel": "kept:a"}));
    assert_eq!(
        publish(&stand, 5..=5),
        json!({"offset": 5, "epoch": before["epoch"]})
    );
    assert_eq!(
        stand.done("history_remove", json!({"channel": "kept:never"})),
        json!({})
    );
}

#[test]
fn removed_history_of_a_durable_channel_does_not_come_back_with_a_restart() {
    let folder = Folder::new("centrifugo-api");
    let data_flag = format!("--data={}", folder.name());
    let before = {
        let stand = Stand::with(&[&data_flag]);
        publish(&stand, 1..=3);
        stand.done("history_remove", json!({"channel": "kept:a"}));
        assert_eq!(data(&history(&stand, json!({"limit": 10}))), Vec::<i64>::new());
        stand.done("history_remove", json!({"channel": "kept:never"}));
        publish(&stand, 4..=5)
    };
    let stand = Stand::with(&[&data_flag]);
    let read = history(&stand, json!({"limit": 10}));
    assert_eq!(data(&read), [4, 5]);
    assert_eq!(read["offset"], before["offset"]);
    // Nobody has it in memory now.
    stand.done("history_remove", json!({"channel": "kept:a"}));
    let read = history(&stand, json!({"limit": 10}));
    assert_eq!((data(&read), &read["offset"]), (vec![], &json!(5)));
}
