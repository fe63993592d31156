//! A ceiling on memory that is lower than the bounds on what waits: the server stays below it and comes back.

use serde_json::json;

use crate::client::{Client, eventually};
use crate::process::{Server, get};
use crate::story::{Log, story_with_log};

const CEILING: u64 = 48 << 20;

/// Bounds that would let two gibibytes wait.
const BOUNDS: [&str; 10] = [
    "--memory-max=48MiB",
    "--waiting-bytes-max=2GiB",
    "--outbox-bytes-max=16MiB",
    "--outbox-frames-max=65536",
    "--message-bytes-max=64KiB",
    "--write-timeout=1h",
    "--outbox-age-max=1h",
    "--send-buffer-bytes=8KiB",
    "--close-timeout=300ms",
    "--shards=2",
];

fn is_ready(server: &Server) -> bool {
    let mut probe = Client::connect(server.address);
    get(&mut probe, "/ready").status == 200
}

// Row 58: thirty stalled clients of thirty topics, and eight mebibytes for each.
#[test]
fn near_the_ceiling_nothing_more_is_taken_on_and_the_slowest_are_closed() {
    let tell = |server: &Server, _: &Log| {
        let stalled: Vec<Client> = (0..30)
            .map(|number| {
                let target = format!("/ws?topic=t{number}");
                let mut client = Client::connect_narrow(server.address).upgraded(&target);
                client.expect("welcome");
                client.expect("subscribed");
                client
            })
            .collect();
        let (mut publisher, _) = Client::open_json(server.address, "/ws?topic=quick");
        publisher.expect("subscribed");
        let mut refused = 0;
        for round in 0..80 {
            for number in 0..30 {
                let command = json!({"type": "publish", "topic": format!("t{number}"), "id": round, "data": "x".repeat(60_000)});
                let reply = publisher.ask(command);
                refused += u64::from(reply["code"] == "overloaded");
            }
            assert!(
                server.resident_bytes() < CEILING,
                "{} bytes in round {round}",
                server.resident_bytes()
            );
            if refused > 0 && round > 40 {
                break;
            }
        }
        assert!(refused > 0, "publications are refused near the ceiling");
        eventually("the slowest are closed", || {
            server.metric("fanfare_disconnects_total{code=\"3007\",reason=\"shed\"}") > 0
        });
        drop(stalled);
        eventually("it takes on again", || is_ready(server));
        let reply = publisher.ask(json!({"type": "publish", "topic": "quick", "id": "x", "data": 1}));
        let is_published =
            |said: &serde_json::Value| said["type"] == "published" || said["type"] == "message";
        assert!(is_published(&reply), "{reply}");
        drop(publisher);
    };
    story_with_log(&BOUNDS, "info", tell, |log| {
        assert!(
            log.contains("memory is short") && log.contains("memory is not short any more"),
            "{log}"
        );
    });
}
