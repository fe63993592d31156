//! What comes with subscriptions: until when they last, and what clients are told of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::backend::{Backend, Reply, SECRET};
use crate::client::together;
use crate::house::{House, in_seconds, token};

const ROOM: &str = "private:room";

/// A token for the room with these claims beside.
fn for_room(more: Value) -> String {
    let mut claims = json!({"sub": "ada", "channel": ROOM});
    let more = more.as_object().unwrap().clone();
    claims.as_object_mut().unwrap().extend(more);
    token(claims)
}

fn ada() -> Value {
    json!({"token": token(json!({"sub": "ada", "info": {"name": "Ada"}}))})
}

#[test]
fn a_subscription_is_renewed_by_the_library_itself() {
    let house = House::open();
    together(&house.clients_with(&ada()), |client| {
        client.connect();
        let tokens = [for_room(json!({}))];
        let short = for_room(json!({"exp": in_seconds(2)}));
        let fields = json!({"channel": ROOM, "token": short, "tokens": tokens});
        client.done("subscribe", fields);
        client.expect_in("subscribed", ROOM);
        client.expect_in("subscription token wanted", ROOM);
        // Past the end of the first token: once it was renewed there is nothing to renew it for.
        std::thread::sleep(Duration::from_secs(4));
        client.publish(ROOM, &json!(client.slug));
        client.expect_where("publication", |told| told["data"] == client.slug);
        for event in [
            "unsubscribed",
            "subscription error",
            "subscription token wanted",
            "disconnected",
        ] {
            client.assert_not_told(event);
        }
        let subscribing = client.left();
        let again = subscribing.iter().filter(|told| told["event"] == "subscribed");
        assert_eq!(again.count(), 0, "{client}: it has not begun anew");
    });
}

#[test]
fn a_renewal_that_is_refused_ends_the_subscription_or_the_connection() {
    let house = House::open();
    for (tokens, event, code) in [
        (
            [for_room(json!({"exp": in_seconds(-3_600)}))],
            "unsubscribed",
            109,
        ),
        (["no token".to_owned()], "unsubscribed", 103),
        (
            [token(json!({"sub": "bob", "channel": ROOM}))],
            "disconnected",
            3500,
        ),
    ] {
        together(&house.clients_with(&ada()), |client| {
            client.connect();
            let short = for_room(json!({"exp": in_seconds(1)}));
            client.done(
                "subscribe",
                json!({"channel": ROOM, "token": short, "tokens": tokens}),
            );
            client.expect_in("subscribed", ROOM);
            let told = client.expect(event);
            assert_eq!(told["code"], code, "{client}: {told}");
        });
    }
}

#[test]
fn a_subscription_that_a_backend_ends_begins_again() {
    let backend = Backend::start(|asked| {
        Reply::Json(match asked.target.as_str() {
            "/renew" => json!({"result": {"expired": true}}),
            _ => json!({"result": {"expire_at": in_seconds(2), "data": "welcome"}}),
        })
    });
    let url = |kind: &str, name: &str| format!("--hook-{kind}-url=http://{}/{name}", backend.address);
    let house = House::with(&[
        "--hook-format=centrifugo",
        "--hook-timeout=30s",
        &format!("--hook-secret={SECRET}"),
        &url("subscribe", "subscribe"),
        &url("sub-refresh", "renew"),
        r#"--topic-rule={ pattern = "asked:*", subscribe = "hook" }"#,
    ]);
    together(&house.clients(), |client| {
        client.connect();
        let subscribed = client.subscribe("asked:room");
        assert_eq!(subscribed["data"], "welcome", "{client}: {subscribed}");
        let ended = client.expect_where("subscribing", |told| told["code"] == 2501);
        assert_eq!(ended["reason"], "subscription expired", "{client}: {ended}");
        client.expect_in("subscribed", "asked:room");
        client.assert_not_told("disconnected");
    });
}

#[test]
fn data_of_a_subscription_is_told_with_it() {
    let house = House::open();
    let subs = json!({"private:ada": {"data": {"from": "subs"}, "info": {"seat": 1}}});
    let ada = json!({"token": token(json!({"sub": "ada", "subs": subs}))});
    together(&house.clients_with(&ada), |client| {
        client.connect();
        let subscribed = client.expect_in("server subscribed", "private:ada");
        assert_eq!(
            subscribed["data"],
            json!({"from": "subs"}),
            "{client}: {subscribed}"
        );
        let token = for_room(json!({"data": {"topic": "tea"}}));
        client.done("subscribe", json!({"channel": ROOM, "token": token}));
        let subscribed = client.expect_in("subscribed", ROOM);
        assert_eq!(
            subscribed["data"],
            json!({"topic": "tea"}),
            "{client}: {subscribed}"
        );
    });
}

#[test]
fn others_see_the_info_of_a_subscription() {
    let house = House::open();
    together(&house.clients_with(&ada()), |client| {
        let id = client.connect();
        let channel = format!("private:{}", client.slug);
        let claims = json!({"sub": "ada", "channel": channel, "info": {"seat": 7}});
        client.done(
            "subscribe",
            json!({"channel": channel, "token": token(claims), "join_leave": true}),
        );
        client.expect_in("subscribed", &channel);
        let seen =
            json!({"client": id, "user": "ada", "conn_info": {"name": "Ada"}, "chan_info": {"seat": 7}});
        client.publish(&channel, &json!(1));
        assert_eq!(
            client.expect_in("publication", &channel)["info"],
            seen,
            "{client}"
        );
        let members = client.done("presence", json!({"channel": channel}));
        assert_eq!(members[&id], seen, "{client}: {members}");
    });
}
