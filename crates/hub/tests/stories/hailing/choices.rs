//! What such clients choose of publications: what has changed, some by their tags, the newest.

use fanfare_hub::access::{TopicRule, TopicRules, Who};
use fanfare_hub::{Limits, Retention};
use fanfare_protocol::{Draft, Payload, Tags, Timestamp};
use serde_json::{Value, json};

use super::{client, epoch, hear, keeping, offsets, publish, pushed, say};
use crate::driver::{Shard, topic};

/// What is published to `a`: long, and little of it changes.
fn score(shard: &mut Shard, number: u32) {
    let text = format!("{{\"teams\":[\"reds of the north\",\"blues of the south\"],\"score\":{number}}}");
    let value = serde_json::value::RawValue::from_string(text).unwrap();
    shard.append(Draft::new(topic("a"), Payload::json(&value), Timestamp(0)));
    shard.turn();
}

/// Whether publications that were pushed are deltas; the whole ones are the JSON of what was published.
fn are_deltas(messages: &[Value]) -> Vec<bool> {
    let is_delta = |publication: &Value| {
        let data = publication["data"].as_str().unwrap();
        let is_delta = publication["delta"] == true;
        assert_eq!(is_delta, serde_json::from_str::<Value>(data).is_err(), "{data}");
        is_delta
    };
    messages
        .iter()
        .map(|message| is_delta(&message["push"]["pub"]))
        .collect()
}

#[test]
fn who_asks_for_it_is_given_what_has_changed() {
    let mut shard = keeping(100);
    let subscribe = |recover: Option<Value>| {
        let mut command = json!({"id": 2, "subscribe": {"channel": "a", "delta": "fossil"}});
        if let Some(Value::Object(place)) = recover {
            command["subscribe"].as_object_mut().unwrap().extend(place);
        }
        command
    };
    let (first, plain) = (client(&mut shard), shard.client(&["a"]));
    say(&mut shard, first, &subscribe(None));
    assert_eq!(hear(&mut shard, first)[0]["subscribe"]["delta"], true);
    for number in 0..3 {
        score(&mut shard, number);
    }
    assert_eq!(are_deltas(&hear(&mut shard, first)), [false, true, true]);
    let second = client(&mut shard);
    say(&mut shard, second, &subscribe(None));
    hear(&mut shard, second);
    score(&mut shard, 3);
    score(&mut shard, 4);
    assert_eq!(are_deltas(&hear(&mut shard, first)), [true, true]);
    assert_eq!(
        are_deltas(&hear(&mut shard, second)),
        [false, true],
        "it has to have one first"
    );
    assert_eq!(shard.read(plain).len(), 5, "others get them as they are");

    // Who comes back goes on from what it was given in the reply, be it alone or not.
    for alone in [false, true] {
        shard.lose(second);
        if alone {
            shard.lose(first);
        }
        let back = client(&mut shard);
        let place = json!({"recover": true, "epoch": epoch(&shard, "a"), "offset": 2});
        say(&mut shard, back, &subscribe(Some(place)));
        let begun = hear(&mut shard, back)[0]["subscribe"].clone();
        let missed = begun["publications"].as_array().unwrap().iter();
        let missed: Vec<Value> = missed
            .map(|publication| json!({"push": {"pub": publication}}))
            .collect();
        assert_eq!(are_deltas(&missed)[..3], [false, true, true]);
        score(&mut shard, 5);
        assert_eq!(are_deltas(&hear(&mut shard, back)), [true]);
        say(
            &mut shard,
            back,
            &json!({"id": 3, "unsubscribe": {"channel": "a"}}),
        );
        hear(&mut shard, back);
        say(&mut shard, back, &subscribe(None));
        hear(&mut shard, back);
        score(&mut shard, 6);
        assert_eq!(are_deltas(&hear(&mut shard, back)), [false]);
        shard.lose(back);
    }
    shard.end();
}

#[test]
fn deltas_are_a_matter_of_the_topics_rule() {
    let rule = TopicRule::new("*").unwrap().subscribe(Who::Anyone);
    let mut shard = Shard::with_rules(Limits::default(), TopicRules::from([rule]));
    let client = client(&mut shard);
    say(
        &mut shard,
        client,
        &json!({"id": 2, "subscribe": {"channel": "a", "delta": "fossil"}}),
    );
    assert_eq!(hear(&mut shard, client)[0]["subscribe"]["delta"], Value::Null);
    score(&mut shard, 1);
    assert_eq!(hear(&mut shard, client)[0]["push"]["pub"]["data"]["score"], 1);
    say(
        &mut shard,
        client,
        &json!({"id": 3, "subscribe": {"channel": "b", "delta": "zip"}}),
    );
    assert_eq!(hear(&mut shard, client), [json!(3501)]);
    shard.end();
}

/// Publishes to `a` with a tag.
fn tagged(shard: &mut Shard, kind: &str) {
    let tags = Tags::parse([("kind", kind)]).unwrap();
    shard.append(Draft {
        tags,
        ..Draft::new(topic("a"), Payload::text("x"), Timestamp(0))
    });
    shard.turn();
}

#[test]
fn who_asks_for_it_is_given_what_has_the_right_tags() {
    let mut shard = keeping(100);
    let (client, plain) = (client(&mut shard), shard.client(&["a"]));
    let goals = json!({"key": "kind", "cmp": "eq", "val": "goal"});
    say(
        &mut shard,
        client,
        &json!({"id": 2, "subscribe": {"channel": "a", "tf": goals}}),
    );
    hear(&mut shard, client);
    for kind in ["goal", "card", "goal", "foul"] {
        tagged(&mut shard, kind);
    }
    shard.publish("a", "no tags");
    shard.turn();
    let heard = hear(&mut shard, client);
    assert_eq!(pushed(&heard), [1, 3]);
    assert_eq!(heard[0]["push"]["pub"]["tags"], json!({"kind": "goal"}));
    assert_eq!(shard.read(plain).len(), 5);

    // Going on from there, it misses what it wants; and without a filter everything.
    for (filter, expected) in [(goals, vec![3]), (Value::Null, vec![2, 3, 4, 5])] {
        say(
            &mut shard,
            client,
            &json!({"id": 3, "unsubscribe": {"channel": "a"}}),
        );
        let place =
            json!({"channel": "a", "tf": filter, "recover": true, "epoch": epoch(&shard, "a"), "offset": 1});
        say(&mut shard, client, &json!({"id": 4, "subscribe": place}));
        let begun = hear(&mut shard, client).pop().unwrap()["subscribe"].clone();
        assert_eq!(
            (&begun["recovered"], offsets(&begun["publications"])),
            (&json!(true), expected)
        );
    }
    tagged(&mut shard, "card");
    assert_eq!(pushed(&hear(&mut shard, client)), [6]);
    say(
        &mut shard,
        client,
        &json!({"id": 5, "subscribe": {"channel": "b", "tf": {"op": "xor"}}}),
    );
    assert_eq!(hear(&mut shard, client)[0]["error"]["code"], 107);
    shard.end();
}

#[test]
fn of_a_topic_that_has_a_state_the_newest_is_given() {
    let rule = TopicRule::new("a")
        .unwrap()
        .subscribe(Who::Anyone)
        .history(Who::Anyone);
    let rule = TopicRule {
        gives_newest: true,
        ..rule
    };
    let mut shard = Shard::with_rules(Limits::default(), TopicRules::from([rule]));
    shard.retention = Retention {
        publications_max: 10,
        ..Retention::default()
    };
    let client = client(&mut shard);
    let begin = |shard: &mut Shard, place: Option<u64>| {
        let mut subscribe = json!({"channel": "a"});
        if let Some(offset) = place {
            subscribe =
                json!({"channel": "a", "recover": true, "epoch": epoch(shard, "a"), "offset": offset});
        }
        say(shard, client, &json!({"id": 2, "subscribe": subscribe}));
        let begun = hear(shard, client).pop().unwrap()["subscribe"].clone();
        say(shard, client, &json!({"id": 3, "unsubscribe": {"channel": "a"}}));
        hear(shard, client);
        (begun["recovered"] == true, offsets(&begun["publications"]))
    };
    assert_eq!(begin(&mut shard, None), (false, vec![]), "there was nothing yet");
    publish(&mut shard, "a", 5);
    assert_eq!(begin(&mut shard, None), (true, vec![5]));
    assert_eq!(begin(&mut shard, Some(2)), (true, vec![5]));
    assert_eq!(begin(&mut shard, Some(5)), (true, vec![]), "it has that");
    shard.end();
}
