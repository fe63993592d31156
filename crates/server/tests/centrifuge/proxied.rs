//! Clients whose application has a connect proxy, and perhaps a refresh proxy.

use std::collections::HashSet;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::backend::{Asked, Backend, Reply, SECRET};
use crate::client::{Client, together};
use crate::house::{House, in_seconds};
use crate::way::{Encoding, Way};

/// A house in front of a backend, which is asked who comes in and who goes on.
fn house_before(backend: &Backend) -> House {
    let url = |kind: &str| format!("--hook-{kind}-url=http://{}/{kind}", backend.address);
    let (connect, refresh) = (url("connect"), url("refresh"));
    let secret = format!("--hook-secret={SECRET}");
    // Long enough for any machine.
    House::with(&[
        "--hook-format=centrifugo",
        "--hook-timeout=30s",
        &secret,
        &connect,
        &refresh,
    ])
}

#[test]
fn what_a_client_says_and_what_it_is_told_goes_through_the_proxy() {
    let backend = Backend::start(|asked| {
        let name = asked.body["data"]["name"].clone();
        Reply::Json(json!({"result": {"user": "ada", "data": {"hello": name}}}))
    });
    let house = house_before(&backend);
    let clients = house.clients_with(&json!({"data": {"name": "it"}}));
    together(&clients, |client| {
        client.done("connect", json!({}));
        let connected = client.expect("connected");
        assert_eq!(connected["data"], json!({"hello": "it"}), "{client}");
        let asked = backend.asked();
        let is_its = |asked: &&Asked| connected["id"] == asked.body["client"];
        let asked = asked.iter().find(is_its).unwrap_or_else(|| panic!("{client}"));
        let protocol = match client.way.encoding {
            Encoding::Json => "json",
            Encoding::Protobuf => "protobuf",
        };
        assert_eq!(
            ["transport", "protocol", "encoding"].map(|name| asked.body[name].as_str().unwrap()),
            [client.way.transport, protocol, "json"],
            "{client}"
        );
        assert_eq!(asked.body["data"], json!({"name": "it"}), "{client}");
        assert!(asked.body["name"].is_string(), "{client}: {}", asked.body);
    });
}

/// Those who connect with this get this answer for good: a number.
fn ended_with(answer: Value, code: u64) {
    let backend = Backend::start(move |_| Reply::Json(answer.clone()));
    let house = house_before(&backend);
    together(&house.clients(), |client| {
        client.done("connect", json!({}));
        let disconnected = client.expect("disconnected");
        assert_eq!(disconnected["code"], code, "{client}: {disconnected}");
    });
}

#[test]
fn a_proxys_error_ends_an_attempt_for_good() {
    ended_with(json!({"error": {"code": 412, "message": "not paid"}}), 412);
}

#[test]
fn a_proxys_disconnect_ends_an_attempt_for_good() {
    ended_with(json!({"disconnect": {"code": 4500, "reason": "no bots"}}), 4500);
}

#[test]
fn a_client_comes_again_after_an_error_that_is_temporary() {
    let known = Mutex::new(HashSet::new());
    let backend = Backend::start(move |asked| {
        let is_first = known.lock().unwrap().insert(asked.body["data"].to_string());
        Reply::Json(if is_first {
            json!({"error": {"code": 503, "message": "later", "temporary": true}})
        } else {
            json!({"result": {"user": "ada"}})
        })
    });
    let house = house_before(&backend);
    let address = house.program.address();
    let clients = Way::all().map(|way| Client::new(way, address, &json!({"data": way.to_string()})));
    let clients: Vec<Client> = clients.collect();
    together(&clients, |client| {
        client.connect();
    });
    assert!(backend.count() >= 2 * clients.len());
}

fn publish_and_hear(client: &Client) -> Value {
    client.publish(&client.slug, &json!(1));
    client.expect_in("publication", &client.slug)["info"]["conn_info"].take()
}

#[test]
fn who_goes_on_by_the_refresh_proxy_knows_nothing_of_it() {
    let backend = Backend::start(|asked| {
        Reply::Json(match asked.target.as_str() {
            "/connect" => json!({"result": {"user": "ada", "info": 1, "expire_at": in_seconds(3)}}),
            _ => json!({"result": {"info": 2, "expire_at": in_seconds(3_600)}}),
        })
    });
    let house = house_before(&backend);
    together(&house.clients(), |client| {
        client.connect();
        client.expect("connecting");
        client.subscribe(&client.slug);
        while publish_and_hear(client) != json!(2) {
            thread::sleep(Duration::from_millis(50));
        }
        client.assert_not_told("connecting");
        client.assert_not_told("error");
    });
}

#[test]
fn who_does_not_go_on_comes_anew() {
    let backend = Backend::start(|asked| {
        Reply::Json(match asked.target.as_str() {
            "/connect" => json!({"result": {"user": "ada", "expire_at": in_seconds(2)}}),
            _ => json!({"result": {"expired": true}}),
        })
    });
    let house = house_before(&backend);
    together(&house.clients(), |client| {
        client.connect();
        client.expect("connecting");
        let connecting = client.expect("connecting");
        assert_eq!(connecting["code"], 3005, "{client}: {connecting}");
        client.connected();
    });
}
