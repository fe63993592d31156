//! What clients in whose dialect they speak first are told and given without asking.

use fanfare_hub::access::{TopicRule, TopicRules};
use fanfare_hub::{Control, Leave, Limits, Renewal, Retention, Selector, WantedTopic};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{Position, Since, Timestamp, UserName};
use serde_json::{Value, json};

use crate::driver::{Door, Shard, topic};
use crate::hailing::{client, hear, publish, say};

#[test]
fn a_client_is_told_when_it_ends_and_ends_then() {
    let mut shard = Shard::new();
    let user = Some("ada");
    let [hailed, other, awaited] = [false, false, true].map(|is_awaited| {
        let dialect = Dialect::CentrifugeJson;
        shard.open(Door {
            dialect,
            user: user.filter(|_| !is_awaited),
            is_awaited,
            ..Door::default()
        })
    });
    let plain = shard.open(Door {
        user,
        ..Door::default()
    });
    for client in [hailed, other] {
        say(&mut shard, client, &json!({"id": 1, "connect": {}}));
    }
    shard.turn();
    for client in [hailed, other, plain] {
        shard.read(client);
    }
    let ada = Selector::User(UserName::parse("ada").unwrap());
    let ends_at = |shard: &Shard, ms: u64| Renewal {
        expires_at: Some(Timestamp(shard.now.wall.0 + ms)),
        ..Renewal::default()
    };
    let soon = ends_at(&shard, 2_000);
    assert_eq!(shard.control(Control::Renew(ada, soon.clone())), 3);
    let nobody = Control::Renew(Selector::Connection(awaited), soon.clone());
    assert_eq!(shard.control(nobody), 0, "it has yet to say who it is");
    let never = Control::Renew(Selector::Connection(other), Renewal::default());
    assert_eq!(shard.control(never), 1);
    shard.turn();
    let refresh = |ttl: u64| json!({"push": {"refresh": {"expires": true, "ttl": ttl}}});
    assert_eq!(hear(&mut shard, hailed), [refresh(2)]);
    assert_eq!(
        hear(&mut shard, other),
        [refresh(2), json!({"push": {"refresh": {}}})]
    );
    assert_eq!(shard.read(plain), ["authenticated"]);
    shard.pass(2_500);
    let ending = shard.read(plain);
    assert_eq!(ending.last().unwrap(), "close 3009");
    assert_eq!(
        hear(&mut shard, hailed),
        [] as [Value; 0],
        "it may show another token"
    );
    shard.pass(26_000);
    let ending = hear(&mut shard, hailed);
    assert_eq!(ending.last(), Some(&json!(3005)));
    let stays = hear(&mut shard, other);
    assert!(stays.iter().all(|ping| *ping == json!({})), "{stays:?}");
    shard.end();
}

#[test]
fn whoever_the_server_subscribes_from_a_place_on_is_given_what_was_missed() {
    let rules = TopicRules::from([TopicRule::new("a").unwrap(), TopicRule::new("b").unwrap()]);
    let mut shard = Shard::with_rules(Limits::default(), rules);
    shard.retention = Retention {
        publications_max: 3,
        ..Retention::default()
    };
    let hailed = client(&mut shard);
    let plain = shard.client(&[]);
    for name in ["a", "b"] {
        publish(&mut shard, name, 5);
    }
    let since = |shard: &Shard, name: &str, offset| WantedTopic {
        topic: topic(name),
        since: Some(Since::Position(Position {
            offset,
            ..shard.logs[&topic(name)].position
        })),
    };
    for connection in [hailed, plain] {
        for (name, offset) in [("a", 3), ("b", 1)] {
            let wanted = since(&shard, name, offset);
            let selector = Selector::Connection(connection);
            let subscribe = Control::SubscribeSince(selector, wanted, Leave::default());
            assert_eq!(shard.control(subscribe), 1);
            shard.turn();
        }
    }
    publish(&mut shard, "a", 1);
    let heard = hear(&mut shard, hailed);
    let first = &heard[0]["push"];
    assert!(
        first["channel"] == "a" && first["subscribe"].is_object(),
        "{heard:?}"
    );
    let of = |name: &str| {
        let pushes = heard.iter().map(|heard| &heard["push"]);
        let of_channel = pushes.filter(|push| push["channel"] == name);
        of_channel
            .filter_map(|push| push["pub"]["offset"].as_u64())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("a"), [4, 5, 6], "though it may not read by itself");
    assert_eq!(of("b"), [] as [u64; 0], "too much was missed");
    let told = shard.read(plain);
    let of_a: Vec<_> = told.iter().filter(|one| one.starts_with("a/")).collect();
    assert_eq!(of_a, [r#"a/4 "x""#, r#"a/5 "x""#, r#"a/6 "x""#]);
    shard.end();
}
