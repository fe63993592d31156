//! Subscriptions that the server makes, and what the backend does with them over the HTTP API.

use serde_json::json;

use crate::client::{Client, together};
use crate::house::{House, token};
use crate::way::Way;

#[test]
fn the_channels_of_a_token_are_there_with_the_connection() {
    let house = House::open();
    let ada = token(json!({"sub": "ada", "channels": ["private:ada", "news"]}));
    let clients = house.clients_with(&json!({"token": ada}));
    together(&clients, |client| {
        client.connect();
        for channel in ["private:ada", "news"] {
            let subscribed = client.expect_in("server subscribed", channel);
            assert_eq!(subscribed["recoverable"], true, "{client}: {subscribed}");
        }
    });
    house.api(
        "publish",
        &json!({"topic": "private:ada", "data": {"for": "ada"}}),
    );
    together(&clients, |client| {
        let publication = client.expect_in("server publication", "private:ada");
        assert_eq!(publication["data"], json!({"for": "ada"}), "{client}");
        assert_eq!(publication["offset"], 1, "{client}");
    });
}

#[test]
fn a_channel_of_a_token_of_which_nothing_is_kept_is_there_as_well() {
    let house = House::open();
    let ada = token(json!({"sub": "ada", "channels": ["passing:by"]}));
    let clients = house.clients_with(&json!({"token": ada}));
    together(&clients, |client| {
        client.connect();
        let subscribed = client.expect_in("server subscribed", "passing:by");
        assert_eq!(subscribed["recoverable"], false, "{client}: {subscribed}");
    });
    house.api("publish", &json!({"topic": "passing:by", "data": 1}));
    together(&clients, |client| {
        let publication = client.expect_in("server publication", "passing:by");
        assert_eq!(publication["data"], 1, "{client}");
    });
}

#[test]
fn a_user_has_a_channel_that_tells_who_else_comes_as_that_user() {
    let house = House::with(&["--user-topic", "%23{user}"]);
    let address = house.program.address();
    std::thread::scope(|scope| {
        for (number, way) in Way::all().enumerate() {
            // Of each way a user of its own: nobody else comes to its channel.
            let user = format!("user-{number}");
            let options = json!({"token": token(json!({"sub": user}))});
            scope.spawn(move || {
                let [first, second] = [(), ()].map(|()| Client::new(way, address, &options));
                see_another_come(&format!("#{user}"), &first, &second);
            });
        }
    });
}

fn see_another_come(channel: &str, first: &Client, second: &Client) {
    for (comer, told) in [(first, vec![first]), (second, vec![first, second])] {
        let id = comer.connect();
        comer.expect_in("server subscribed", channel);
        for client in told {
            let join = client.expect_where("server join", |join| join["info"]["client"] == *id);
            assert_eq!(join["channel"], channel, "{client}: {join}");
        }
    }
    second.publish(channel, &json!("it is me"));
    let publication = first.expect_in("server publication", channel);
    assert_eq!(publication["data"], "it is me", "{first}");
}

#[test]
fn the_backend_subscribes_and_unsubscribes_a_user() {
    let house = House::open();
    let clients = house.clients_with(&json!({"token": token(json!({"sub": "ada"}))}));
    together(&clients, |client| {
        client.connect();
    });
    house.api("subscribe", &json!({"user": "ada", "topic": "news"}));
    together(&clients, |client| {
        client.expect_in("server subscribed", "news");
    });
    house.api("publish", &json!({"topic": "news", "data": 1}));
    together(&clients, |client| {
        assert_eq!(
            client.expect_in("server publication", "news")["data"],
            1,
            "{client}"
        );
    });
    house.api("unsubscribe", &json!({"user": "ada", "topic": "news"}));
    together(&clients, |client| {
        client.expect_in("server unsubscribed", "news");
        client.assert_not_told("disconnected");
    });
}

#[test]
fn a_subscription_that_the_backend_ends_does_not_begin_again() {
    let house = House::open();
    let clients = house.clients_with(&json!({"token": token(json!({"sub": "ada"}))}));
    together(&clients, |client| {
        client.connect();
        client.subscribe("room");
    });
    house.api("unsubscribe", &json!({"user": "ada", "topic": "room"}));
    together(&clients, |client| {
        let unsubscribed = client.expect_in("unsubscribed", "room");
        assert_eq!(unsubscribed["code"], 2000, "{client}: {unsubscribed}");
        client.publish("room", &json!("nobody is there"));
        client.assert_not_told("publication");
        client.assert_not_told("disconnected");
    });
}

#[test]
fn whether_a_client_comes_back_is_what_the_backend_says() {
    for (body, code, is_back) in [
        (json!({"user": "ada"}), 3503, false),
        (json!({"user": "ada", "reconnect": true}), 3011, true),
        (
            json!({"user": "ada", "code": 4_100, "reason": "later"}),
            4100,
            true,
        ),
        (
            json!({"user": "ada", "code": 4_600, "reason": "never"}),
            4600,
            false,
        ),
    ] {
        let house = House::open();
        let clients = house.clients_with(&json!({"token": token(json!({"sub": "ada"}))}));
        together(&clients, |client| {
            client.connect();
            client.expect("connecting");
        });
        house.api("disconnect", &body);
        together(&clients, |client| {
            let told = client.expect(if is_back { "connecting" } else { "disconnected" });
            assert_eq!(told["code"], code, "{client}: {told}");
            if let Some(reason) = body["reason"].as_str() {
                assert_eq!(told["reason"], reason, "{client}");
            }
            if is_back {
                client.connected();
            }
        });
    }
}
