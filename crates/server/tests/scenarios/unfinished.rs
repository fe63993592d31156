//! Messages that are begun and not finished: bounded in time each, and in memory all together.

use std::io::Write as _;

use serde_json::json;

use crate::client::{Client, PING, PONG, TEXT, eventually, masked};
use crate::story::{Bystanders, disconnects, story};

/// First bytes of frames that are not the last of their message, and of one that is.
const TEXT_BEGINS: u8 = 0x01;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;

// Row 27, in every shape that something unfinished can have.
#[test]
fn whatever_is_begun_and_not_finished_is_closed_at_the_message_timeout() {
    let arguments = ["--message-timeout", "500ms", "--close-timeout", "1h"];
    story(&arguments, |server| {
        let mut bystanders = Bystanders::open(server);
        let open = |bytes: &[u8]| {
            let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
            client.expect("subscribed");
            client.send(bytes);
            client
        };
        let whole = masked(TEXT, br#"{"type":"ping"}"#);
        let long = masked(TEXT, &[b' '; 1_000]);
        let shapes = [
            ("half a header", whole[..1].to_vec()),
            ("half a length", long[..3].to_vec()),
            ("half a mask", whole[..4].to_vec()),
            ("a header alone", whole[..6].to_vec()),
            ("all but a byte", whole[..whole.len() - 1].to_vec()),
            ("half a ping", masked(PING, b"half")[..8].to_vec()),
            ("a fragment", masked(TEXT_BEGINS, b"{")),
            ("a fragment of nothing", masked(TEXT_BEGINS, b"")),
            (
                "a ping inside",
                [masked(TEXT_BEGINS, b"{"), masked(PING, b"")].concat(),
            ),
            ("half of the second one", [&whole[..], &whole[..9]].concat()),
        ];
        let mut clients: Vec<_> = shapes.iter().map(|(_, bytes)| open(bytes)).collect();
        // One goes on and on, and one begins nothing.
        let mut endless = open(&masked(TEXT_BEGINS, b"{"));
        let mut idle = open(&whole);
        idle.expect("pong");
        let more = [masked(CONTINUES, b""), masked(CONTINUES, b" "), masked(PONG, b"")].concat();
        let timed_out = disconnects(3008, "message timeout");
        let count = shapes.len() as u64 + 1;
        eventually("all of them are closed", || {
            // It may be closed already.
            let _ = (&endless.stream).write_all(&more);
            server.metric(&timed_out) == count
        });
        let names = shapes.iter().map(|(what, _)| *what).chain(["endless"]);
        for (what, client) in names.zip(clients.iter_mut().chain([&mut endless])) {
            let ending = client.ending();
            let goodbye =
                json!({"type": "goodbye", "code": 3008, "reason": "message timeout", "reconnect": true});
            assert_eq!((ending.code, ending.goodbye), (3008, Some(goodbye)), "{what}");
        }
        bystanders.assert_well();
        assert_eq!(idle.ask(json!({"type": "ping", "id": 1}))["type"], "pong");
        drop((clients, endless));
        server.await_metrics(&[
            (&timed_out, count),
            ("fanfare_receiving_bytes", 0),
            ("fanfare_connections", 3),
        ]);
    });
}

// Row 25: what is begun may be less than a message each and too much in sum.
#[test]
fn what_all_have_begun_together_has_a_bound() {
    const CLIENTS: u64 = 40;
    const ROOM: u64 = 1 << 20;
    let arguments = ["--shards", "1", "--receiving-bytes-max", "1MiB"];
    story(&arguments, |server| {
        let mut bystanders = Bystanders::open(server);
        let held = || server.metric("fanfare_receiving_bytes");
        let shed = disconnects(3007, "shed");
        let half = masked(TEXT_BEGINS, &vec![b' '; 50_000]);
        let mut begun = Vec::new();
        let mut cost = 0;
        for number in 0..CLIENTS {
            let (mut client, _) = Client::open_json(server.address, "/ws");
            client.send(&half);
            // It is read as a whole before it is asked again.
            client.send(&masked(PING, b"read"));
            let before = begun.len() as u64 * cost;
            eventually("it is read", || {
                held() >= before + 50_000 || server.metric(&shed) > number - begun.len() as u64
            });
            if server.metric(&shed) > number - begun.len() as u64 {
                let ending = client.ending();
                assert_eq!((ending.code, ending.reason.as_str()), (3007, "shed"));
            } else {
                assert_eq!(client.frame().unwrap().first, PONG);
                begun.push(client);
                cost = held() / begun.len() as u64;
            }
            assert!(held() <= ROOM);
        }
        assert_eq!(begun.len() as u64, ROOM / cost, "with {cost} bytes each");
        bystanders.assert_well();
        // Those who were there finish, and then there is room for others.
        for client in &mut begun {
            client.send(&masked(ENDS, br#"{"type":"ping"}"#));
            client.expect("pong");
        }
        server.await_metrics(&[
            ("fanfare_receiving_bytes", 0),
            (&shed, CLIENTS - begun.len() as u64),
        ]);
        let (mut next, _) = Client::open_json(server.address, "/ws");
        next.send(&[half, masked(ENDS, br#"{"type":"ping"}"#)].concat());
        next.expect("pong");
    });
}
