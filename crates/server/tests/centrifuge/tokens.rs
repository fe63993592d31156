//! Clients that show tokens of Centrifugo's.

use serde_json::{Value, json};

use crate::client::together;
use crate::house::{House, in_seconds, token};

#[test]
fn a_token_says_who_it_is() {
    let house = House::open();
    let ada = token(json!({"sub": "ada", "info": {"name": "Ada"}, "meta": {"role": "admin"}}));
    together(&house.clients_with(&json!({"token": ada})), |client| {
        let id = client.connect();
        client.subscribe(&client.slug);
        client.publish(&client.slug, &json!(1));
        let publication = client.expect("publication");
        let info = json!({"client": id, "user": "ada", "conn_info": {"name": "Ada"}});
        assert_eq!(publication["info"], info, "{client}");
    });
}

#[test]
fn for_a_token_that_is_over_another_one_is_fetched() {
    let house = House::open();
    let over = token(json!({"sub": "ada", "exp": in_seconds(-3_600)}));
    let tokens = [token(json!({"sub": "ada"}))];
    together(
        &house.clients_with(&json!({"token": over, "tokens": tokens})),
        |client| {
            client.connect();
            client.expect("token wanted");
            client.assert_not_told("disconnected");
        },
    );
}

#[test]
fn a_token_that_is_none_ends_the_connection_for_good() {
    let house = House::open();
    let good = token(json!({"sub": "ada"}));
    let forged = format!("{}x", &good[..good.len() - 1]);
    for bad in [
        "no token",
        &forged,
        &token(json!({"sub": "ada", "channel": "news"})),
    ] {
        together(&house.clients_with(&json!({"token": bad})), |client| {
            client.done("connect", json!({}));
            let disconnected = client.expect("disconnected");
            assert_eq!(disconnected["code"], 3500, "{client}: {disconnected}");
            assert_eq!(disconnected["reason"], "invalid token", "{client}");
        });
    }
}

#[test]
fn without_a_token_nobody_comes_in_where_nobody_may() {
    let house = House::with(&["--anonymous=false"]);
    together(&house.clients(), |client| {
        client.done("connect", json!({}));
        let disconnected = client.expect("disconnected");
        assert_eq!(disconnected["code"], 3501, "{client}: {disconnected}");
    });
}

/// The token of the first seconds, and of the hour after.
fn short_and_long() -> Value {
    let short = token(json!({"sub": "ada", "exp": in_seconds(3)}));
    json!({"token": short, "tokens": [token(json!({"sub": "ada"}))]})
}

#[test]
fn a_token_is_renewed_over_the_connection() {
    let house = House::open();
    together(&house.clients_with(&short_and_long()), |client| {
        client.connect();
        client.expect("connecting");
        client.subscribe(&client.slug);
        client.expect("token wanted");
        // The end of the first token and all the time that clocks may differ.
        std::thread::sleep(std::time::Duration::from_secs(5));
        client.publish(&client.slug, &json!("still here"));
        client.expect("publication");
        client.assert_not_told("connecting");
        client.assert_not_told("disconnected");
    });
}

#[test]
fn a_connection_whose_token_is_not_renewed_ends_with_it() {
    let house = House::open();
    let short = token(json!({"sub": "ada", "exp": in_seconds(2)}));
    let of_another = [token(json!({"sub": "bob"}))];
    together(
        &house.clients_with(&json!({"token": short, "tokens": of_another})),
        |client| {
            client.connect();
            client.expect("token wanted");
            let disconnected = client.expect("disconnected");
            assert_eq!(disconnected["code"], 3500, "{client}: {disconnected}");
        },
    );
}

#[test]
fn a_subscription_that_is_not_allowed_is_refused_for_good() {
    let house = House::open();
    together(&house.clients(), |client| {
        client.connect();
        for channel in ["closed:door", "private:room"] {
            client.done("subscribe", json!({"channel": channel}));
            let unsubscribed = client.expect_in("unsubscribed", channel);
            assert_eq!(unsubscribed["code"], 103, "{client}: {unsubscribed}");
        }
        let closed = json!({"channel": "closed:door", "data": 1, "limit": 1});
        for what in ["publish", "presence", "presence_stats", "history"] {
            assert_eq!(client.refused(what, closed.clone()), 103, "{client}: {what}");
        }
    });
}

#[test]
fn a_subscription_token_lets_in_and_is_fetched_where_needed() {
    let house = House::open();
    let ada = token(json!({"sub": "ada"}));
    together(&house.clients_with(&json!({"token": ada})), |client| {
        let id = client.connect();
        let claims = json!({"sub": "ada", "channel": "private:room", "client": id});
        let good = token(claims.clone());
        client.done("subscribe", json!({"channel": "private:room", "token": good}));
        client.expect_in("subscribed", "private:room");
        // One that is over is dropped for a new one.
        client.done("unsubscribe", json!({"channel": "private:room"}));
        client.expect_in("unsubscribed", "private:room");
        let mut over = claims;
        over["exp"] = json!(in_seconds(-3_600));
        let fields = json!({"channel": "private:room", "token": token(over), "tokens": [good]});
        client.done("subscribe", fields);
        client.expect_in("subscription token wanted", "private:room");
        client.expect_in("subscribed", "private:room");
    });
}

#[test]
fn a_subscription_token_of_somebody_else_ends_the_connection() {
    let house = House::open();
    for claims in [
        json!({"sub": "bob", "channel": "private:room"}),
        json!({"sub": "ada", "channel": "private:other"}),
        json!({"sub": "ada", "channel": "private:room", "client": "somebody"}),
    ] {
        let ada = token(json!({"sub": "ada"}));
        together(&house.clients_with(&json!({"token": ada})), |client| {
            client.connect();
            let fields = json!({"channel": "private:room", "token": token(claims.clone())});
            client.done("subscribe", fields);
            let disconnected = client.expect("disconnected");
            assert_eq!(disconnected["code"], 3500, "{client}: {disconnected}");
        });
    }
}
