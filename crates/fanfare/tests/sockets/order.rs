//! Everyone sees everything, in one order.

use std::thread;

use fanfare::{Limits, Options};
use serde_json::json;

use crate::client::Client;
use crate::server::{Server, options};

const PUBLISHERS: usize = 3;
const SUBSCRIBERS: usize = 200;
const EACH: usize = 500;

#[test]
fn every_subscriber_sees_all_publications_in_one_order() {
    // The outboxes hold the whole run: this is about order, and on a busy machine a reader may be late.
    let limits = Limits {
        outbox_frames_max: 10_000,
        outbox_bytes_max: 64 << 20,
        ..Limits::default()
    };
    let server = Server::with(Options { limits, ..options() });
    let subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| {
            let mut client = Client::open(server.address, "/ws?topic=a");
            client.expect("welcome");
            client.expect("subscribed");
            thread::spawn(move || read_all(client))
        })
        .collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let client = Client::open_json(server.address, "/ws").0;
            thread::spawn(move || publish_all(client, publisher))
        })
        .collect();
    for publisher in publishers {
        publisher.join().unwrap();
    }
    let orders: Vec<Vec<(usize, usize)>> = subscribers
        .into_iter()
        .map(|subscriber| subscriber.join().unwrap())
        .collect();
    for publisher in 0..PUBLISHERS {
        let own = orders[0].iter().filter(|(by, _)| *by == publisher);
        assert!(
            own.map(|(_, number)| *number).eq(0..EACH),
            "publisher {publisher} keeps its order"
        );
    }
    for order in &orders[1..] {
        assert!(order == &orders[0], "all see the same order");
    }
    let stats = server.fanfare.stats();
    assert_eq!(stats.deliveries, (PUBLISHERS * EACH * SUBSCRIBERS) as u64);
    assert_eq!(stats.disconnects, []);
}

/// Who published what, in the order of arrival; offsets are dense.
fn read_all(mut client: Client) -> Vec<(usize, usize)> {
    (1..=PUBLISHERS * EACH)
        .map(|offset| {
            let message = client.expect("message");
            assert_eq!(message["offset"], offset);
            let number = |at: usize| message["data"][at].as_u64().unwrap() as usize;
            (number(0), number(1))
        })
        .collect()
}

fn publish_all(mut client: Client, publisher: usize) {
    for number in 0..EACH {
        let mut command = json!({"type": "publish", "topic": "a", "data": [publisher, number]});
        if number + 1 == EACH {
            command["id"] = json!("last");
        }
        client.send_json(command);
    }
    client.expect("published");
}
