//! Who is there: asked for without end, and told of those who vanish.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, PING, PONG, masked};
use crate::proxy::Proxy;
use crate::story::{Bystanders, api, story};

#[test]
fn presence_that_is_asked_for_in_a_loop_is_paged_and_costs_nobody_else() {
    const CROWD: usize = 200;
    const ASKED: usize = 300;
    story(&[], |server| {
        let mut bystanders = Bystanders::open(server);
        let crowd: Vec<_> = (0..CROWD)
            .map(|_| Client::open(server.address, "/ws?topic=crowd"))
            .collect();
        server.await_metrics(&[("fanfare_subscriptions", CROWD as u64 + 1)]);
        let (mut asker, _) = Client::open_json(server.address, "/ws");
        for id in 0..ASKED {
            let limit = [1, 7, 1_000, u64::MAX][id % 4];
            asker.send_json(json!({"type": "presence", "id": id, "topic": "crowd", "limit": limit}));
        }
        bystanders.assert_well();
        for id in 0..ASKED {
            let page = asker.expect("presence");
            let members = page["members"].as_array().unwrap().len();
            assert_eq!((&page["id"], &page["connections"]), (&json!(id), &json!(CROWD)));
            assert_eq!(members, [1, 7, CROWD, CROWD][id % 4]);
            assert_eq!(page.get("next").is_some(), members < CROWD);
        }
        bystanders.assert_well();
        let page = api(server, "/api/presence?topic=crowd&limit=7");
        assert_eq!(page["members"].as_array().unwrap().len(), 7);
        drop(crowd);
        server.await_metrics(&[("fanfare_subscriptions", 1)]);
        assert_eq!(api(server, "/api/presence?topic=crowd")["members"], json!([]));
    });
}

#[test]
fn whoever_vanishes_goes_from_the_topic_when_its_silence_is_found() {
    let times = [
        "--ping-interval",
        "1s",
        "--pong-timeout",
        "1s",
        "--close-timeout",
        "100ms",
    ];
    story(&times, |server| {
        let proxy = Proxy::to(server.address);
        let (mut lost, lost_id) = Client::open_json(proxy.address, "/ws?topic=a");
        lost.expect("subscribed");
        let (mut watcher, _) = Client::open_json(server.address, "/ws?topic=a&presence=true");
        watcher.expect("subscribed");
        let everyone = watcher.expect("attendance");
        assert_eq!(
            (&everyone["connections"], &everyone["complete"]),
            (&json!(2), &json!(true))
        );
        proxy.stall();
        let began = Instant::now();
        let told = loop {
            let frame = watcher.frame().unwrap();
            if frame.first == PING {
                watcher.send(&masked(PONG, b""));
            } else {
                break serde_json::from_slice::<Value>(&frame.payload).unwrap();
            }
            assert!(began.elapsed() < Duration::from_secs(15), "it is still there");
        };
        assert_eq!(
            (&told["type"], &told["connections"]),
            (&json!("attendance"), &json!(1))
        );
        assert_eq!(told["went"][0]["connection"], json!(lost_id));
    });
}
