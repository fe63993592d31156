//! Who comes and goes, as such clients are told.

use fanfare_hub::Limits;
use fanfare_hub::access::{TopicRule, TopicRules, Who};
use fanfare_protocol::dialect::centrifuge::client_of;
use serde_json::{Value, json};

use super::{client, hear, say};
use crate::driver::Shard;

#[test]
fn who_is_there_is_counted_and_told_as_far_as_that_is_allowed() {
    let rule = TopicRule::new("a")
        .unwrap()
        .subscribe(Who::Anyone)
        .presence(Who::Anyone);
    let rule = TopicRule {
        keeps_presence: Some(true),
        ..rule
    };
    let hidden = TopicRule::new("b").unwrap().subscribe(Who::Anyone);
    let mut shard = Shard::with_rules(Limits::default(), TopicRules::from([rule, hidden]));
    let (first, second) = (client(&mut shard), client(&mut shard));
    for name in ["a", "b"] {
        say(
            &mut shard,
            first,
            &json!({"id": 2, "subscribe": {"channel": name, "join_leave": true}}),
        );
        let heard = hear(&mut shard, first);
        assert!(heard[0]["error"].is_null(), "{name}");
        let joined = heard
            .get(1)
            .map(|push| push["push"]["join"]["info"]["client"].clone());
        assert_eq!(
            joined,
            (name == "a").then(|| json!(client_of(first))),
            "{heard:?}"
        );
    }
    let asked = json!({"id": 2, "subscribe": {"channel": "a"}});
    say(&mut shard, second, &asked);
    shard.pass(2_000);
    let joins = hear(&mut shard, first);
    let joined: Vec<_> = joins
        .iter()
        .map(|push| &push["push"]["join"]["info"]["client"])
        .collect();
    assert_eq!(
        joined,
        [&json!(client_of(second))],
        "of itself it was told at once"
    );
    hear(&mut shard, second);
    let asked = json!({"id": 3, "presence_stats": {"channel": "a"}});
    say(&mut shard, second, &asked);
    assert_eq!(
        hear(&mut shard, second)[0]["presence_stats"],
        json!({"num_clients": 2, "num_users": 1})
    );
    let asked = json!({"id": 4, "presence": {"channel": "a"}});
    say(&mut shard, second, &asked);
    let presence = hear(&mut shard, second)[0]["presence"]["presence"].clone();
    assert_eq!(presence.as_object().unwrap().len(), 2);
    let asked = json!({"id": 5, "presence": {"channel": "b"}});
    say(&mut shard, second, &asked);
    assert_eq!(hear(&mut shard, second)[0]["error"]["code"], 103);
    shard.lose(second);
    shard.pass(2_000);
    assert_eq!(
        hear(&mut shard, first)[0]["push"]["leave"]["info"]["client"],
        client_of(second)
    );
    shard.end();
}

#[test]
fn who_has_just_gone_is_not_counted() {
    let mut shard = Shard::with_rules(Limits::default(), TopicRules::open());
    let only = client(&mut shard);
    say(&mut shard, only, &json!({"id": 2, "subscribe": {"channel": "a"}}));
    hear(&mut shard, only);
    for command in [
        json!({"id": 3, "unsubscribe": {"channel": "a"}}),
        json!({"id": 4, "presence_stats": {"channel": "a"}}),
    ] {
        shard.say(only, &command.to_string());
    }
    shard.turn();
    let stats = hear(&mut shard, only)
        .into_iter()
        .find(|reply| reply["id"] == 4)
        .unwrap();
    assert_eq!(stats["presence_stats"]["num_clients"], 0);
    shard.end();
}

#[test]
fn who_comes_and_goes_is_told_to_all_where_the_rule_says_so() {
    let rule = TopicRule {
        keeps_presence: Some(true),
        tells_presence: true,
        ..TopicRule::new("a").unwrap().subscribe(Who::Anyone)
    };
    let mut shard = Shard::with_rules(Limits::default(), TopicRules::from([rule]));
    let (first, second) = (client(&mut shard), client(&mut shard));
    let other = shard.client(&["a"]);
    let comes = |shard: &mut Shard, client| {
        say(shard, client, &json!({"id": 2, "subscribe": {"channel": "a"}}));
        shard.pass(2_000);
    };
    comes(&mut shard, first);
    comes(&mut shard, second);
    let told = |messages: Vec<Value>, what: &str| -> Vec<Value> {
        let infos = messages
            .iter()
            .map(|message| message["push"][what]["info"]["client"].clone());
        infos.filter(|client| !client.is_null()).collect()
    };
    let heard = hear(&mut shard, first);
    assert_eq!(heard[0]["id"], 2, "the reply comes first: {heard:?}");
    assert_eq!(
        told(heard, "join"),
        [json!(client_of(first)), json!(client_of(second))]
    );
    assert_eq!(told(hear(&mut shard, second), "join"), [json!(client_of(second))]);
    shard.lose(second);
    shard.pass(2_000);
    assert_eq!(told(hear(&mut shard, first), "leave"), [json!(client_of(second))]);
    assert_eq!(shard.read(other), [""; 0], "in other dialects who asks is told");
    shard.end();
}
