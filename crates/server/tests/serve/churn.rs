//! Connections come and go by the thousand and leave nothing behind.

use std::thread;

use serde_json::json;

use crate::client::Client;
use crate::process::Server;

const THREADS: usize = 4;
const EACH: usize = 2_500;

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    let server = Server::start(&["--shards", "2"]);
    // The first ones make what stays: the runtime's and the allocator's own.
    come_and_go(&server, 10);
    let before = (THREADS * 10) as u64;
    server.await_metrics(&[("fanfare_connections_released_total", before)]);
    let baseline = server.descriptors();
    come_and_go(&server, EACH);
    let opened = before + (THREADS * EACH) as u64;
    server.await_metrics(&[
        ("fanfare_connections", 0),
        ("fanfare_subscriptions", 0),
        ("fanfare_topics", 0),
        ("fanfare_waiting_bytes", 0),
        ("fanfare_outbox_places", 0),
        ("fanfare_mailbox_publications", 0),
        ("fanfare_connections_opened_total", opened),
        ("fanfare_connections_released_total", opened),
    ]);
    crate::client::eventually("all descriptors are given back", || {
        server.descriptors() <= baseline
    });
}

/// On each thread so many connections one after another, each ending in another way.
fn come_and_go(server: &Server, each: usize) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for number in 0..each {
                    live(server, thread * each + number);
                }
            });
        }
    });
}

fn live(server: &Server, number: usize) {
    let mut client = Client::open(server.address, &format!("/ws?topic=shared&topic=own-{number}"));
    client.expect("welcome");
    match number % 4 {
        0 => assert_eq!(client.close(1000), 1000),
        1 => client.reset(),
        2 => {
            client.send_json(json!({"type": "publish", "topic": "shared", "data": number}));
            client.send_json(json!({"type": "subscribe", "topic": "one-more"}));
        }
        _ => client.shut_write(),
    }
}
