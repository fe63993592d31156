//! Connections that stay, and how they end.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::client::together;
use crate::house::House;

#[test]
fn a_connection_on_which_nobody_speaks_stays() {
    let house = House::with(&["--ping-interval", "1s", "--pong-timeout", "1s"]);
    let clients = house.clients();
    together(&clients, |client| {
        client.connect();
        client.expect("connecting");
        client.subscribe("room");
    });
    thread::sleep(Duration::from_millis(4_500));
    house.publish_numbers("room", 1..=1);
    together(&clients, |client| {
        client.expect_in("publication", "room");
        client.assert_not_told("connecting");
        client.assert_not_told("disconnected");
    });
}

#[test]
fn a_server_that_stops_sends_its_clients_to_the_next() {
    let mut house = House::open();
    let clients = house.clients();
    together(&clients, |client| {
        client.connect();
        client.expect("connecting");
        client.subscribe("room");
    });
    house.program.terminate();
    together(&clients, |client| {
        let told = client.expect("connecting");
        assert_eq!(
            (&told["code"], &told["reason"]),
            (&json!(3001), &json!("shutdown")),
            "{client}"
        );
    });
    house.program.start_again();
    together(&clients, |client| {
        client.connected();
        client.expect_in("subscribed", "room");
    });
}
