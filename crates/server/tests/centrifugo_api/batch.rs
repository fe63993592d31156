//! `batch`.

use serde_json::json;

use crate::stand::Stand;

#[test]
fn commands_are_done_in_their_order_and_answered_by_their_names() {
    let stand = Stand::start();
    let (mut member, _) = stand.member("topic=kept:a");
    let body = json!({"parallel": true, "commands": [
        {"publish": {"channel": "kept:a", "data": 1}},
        {"publish": {"channel": "kept:a"}},
        {"broadcast": {"channels": ["kept:a", ""], "data": 2}},
        {"nonsense": {}},
        {"batch": {"commands": []}},
        {"rpc": {"method": "x"}},
        {"history": {"channel": "kept:a", "limit": 9, "reverse": true}},
        {"disconnect": {"user": "nobody"}},
    ]});
    let answer = stand.call("batch", &body);
    assert_eq!(answer.status, 200);
    let replies = answer.json["replies"].as_array().unwrap();
    assert_eq!(
        answer.json,
        json!({"replies": replies}),
        "there is nothing beside them"
    );
    assert_eq!(replies[0]["publish"]["offset"], 1);
    assert_eq!(replies[2]["broadcast"]["responses"][0]["result"]["offset"], 2);
    assert_eq!(replies[2]["broadcast"]["responses"][1]["error"]["code"], 107);
    assert_eq!(replies[6]["history"]["publications"][0]["data"], 2);
    assert_eq!(replies[7], json!({"disconnect": {}}));
    let codes = [1, 3, 4, 5].map(|at: usize| replies[at]["error"]["code"].as_u64().unwrap());
    assert_eq!(codes, [107, 104, 104, 108]);
    assert_eq!(replies.len(), 8);
    assert_eq!([(); 2].map(|()| member.expect("message")["data"].clone()), [1, 2]);
    assert_eq!(
        stand.call("batch", &json!({"commands": []})).json,
        json!({"replies": []})
    );
}

#[test]
fn a_batch_that_cannot_be_decoded_does_nothing() {
    let stand = Stand::start();
    let publish = json!({"publish": {"channel": "kept:a", "data": 1}});
    for wrong in [
        json!({"publish": {"channel": 1}}),
        json!({"publish": []}),
        json!({"publish": {}, "info": {}}),
        json!({}),
        json!([]),
        json!(1),
    ] {
        let answer = stand.call("batch", &json!({"commands": [publish, wrong]}));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.json);
    }
    for body in [json!({}), json!({"commands": 1}), json!([])] {
        assert_eq!(stand.call("batch", &body).status, 400, "{body}");
    }
    let read = stand.done("history", json!({"channel": "kept:a"}));
    assert_eq!(read["offset"], 0);
}

#[test]
fn a_batch_has_a_bound() {
    let stand = Stand::start();
    let commands = vec![json!({"publish": {"channel": "a", "data": 1}}); 1_000];
    let answer = stand.call("batch", &json!({"commands": commands}));
    assert_eq!(answer.json["replies"].as_array().unwrap().len(), 1_000);
    let more = [&commands[..], &commands[..1]].concat();
    let answer = stand.call("batch", &json!({"commands": more}));
    assert_eq!(answer.status, 413, "{}", answer.json);
}

#[test]
fn replies_of_a_batch_have_a_bound_behind_which_nothing_is_done() {
    let stand = Stand::start();
    let long = "x".repeat(60_000);
    for _ in 0..15 {
        stand.done("publish", json!({"channel": "kept:a", "data": long}));
    }
    let mut commands = vec![json!({"history": {"channel": "kept:a", "limit": -1}}); 9];
    commands.push(json!({"publish": {"channel": "kept:a", "data": 1}}));
    let answer = stand.call("batch", &json!({"commands": commands})).json;
    let replies = answer["replies"].as_array().unwrap();
    assert_eq!(replies.len(), 10);
    // The fifth of 900 KB passes 4 MiB.
    let (done, refused) = replies.split_at(5);
    assert!(done.iter().all(|reply| reply["history"].is_object()));
    assert!(
        refused.iter().all(|reply| reply["error"]["code"] == 106),
        "{refused:?}"
    );
    assert_eq!(stand.done("history", json!({"channel": "kept:a"}))["offset"], 15);
}
