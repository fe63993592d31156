//! Clients that send more than their share: what they may cost, and that the others do not pay for it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;
use serde_json::json;

use crate::client::{Client, PING, PONG, TEXT, eventually, masked};
use crate::process::{Server, get};
use crate::story::{Bystanders, post, rejections, story};

/// Bytes over and over on a connection of its own, as fast as they go, until the story is over. What comes back is read.
fn flood_while(server: &Server, target: &str, bytes: &[u8], tell: impl FnOnce()) {
    let client = Client::open(server.address, target);
    client.stream.set_nonblocking(true).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = &client.stream;
            let mut at = 0;
            while !is_over.load(Ordering::Relaxed) {
                // Whole frames: what did not fit comes next.
                match stream.write(&bytes[at..]) {
                    Ok(count) => at = (at + count) % bytes.len(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                    Err(_) => return,
                }
                let _ = stream.read(&mut [0; 16 << 10]);
            }
        });
        // Also when the story fails: the thread would go on for ever.
        let _end = End(&is_over);
        tell();
    });
}

/// Says that it is over when it goes.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

// Row 29: once the socket is blocked, one pong waits and stands for all that follow.
#[test]
fn pings_whose_pongs_are_not_read_leave_no_more_than_one_behind() {
    const COUNT: u32 = 20_000;
    story(&["--send-buffer-bytes", "8KiB"], |server| {
        let mut bystanders = Bystanders::open(server);
        let mut client = Client::connect_narrow(server.address).upgraded("/ws");
        client.expect("welcome");
        let mut flood = |numbers: Range<u32>| {
            for number in numbers {
                client.send(&masked(PING, format!("{number:0>125}").as_bytes()));
            }
        };
        flood(0..COUNT / 2);
        eventually("the socket takes no more", || {
            server.metric("fanfare_outbox_places") > 0
        });
        bystanders.assert_well();
        let waiting = server.metric("fanfare_waiting_bytes");
        assert!(waiting < 64 << 10, "{waiting} bytes wait");
        flood(COUNT / 2..COUNT);
        bystanders.assert_well();
        let waiting_now = server.metric("fanfare_waiting_bytes");
        assert!(
            waiting_now <= waiting + 127,
            "{waiting} bytes waited and now {waiting_now}"
        );
        // It may leave pongs out, never repeat or reorder them, and the last one stands for all.
        let mut last = None;
        while last != Some(COUNT - 1) {
            let pong = client.frame().unwrap();
            assert_eq!(pong.first, PONG);
            let number = std::str::from_utf8(&pong.payload).unwrap().parse().ok();
            assert!(number > last, "{number:?} after {last:?}");
            last = number;
        }
        assert_eq!(client.close(1000), 1000);
    });
}

// Row 30.
#[test]
fn pongs_nobody_asked_for_are_not_answered_and_leave_fragments_in_order() {
    story(&[], |server| {
        let mut bystanders = Bystanders::open(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let command = json!({"type": "ping", "id": 7}).to_string();
        let (pong, mut bytes) = (masked(PONG, b"nobody asked"), Vec::new());
        for (at, byte) in command.bytes().enumerate() {
            let ends = if at + 1 == command.len() { 0x80 } else { 0 };
            bytes.extend(masked(u8::from(at == 0) | ends, &[byte]));
            bytes.extend(pong.repeat(if at < 3 { 2_000 } else { 1 }));
        }
        client.send(&bytes);
        assert_eq!(client.expect("pong")["id"], 7, "nothing came before it");
        client.send(&[masked(0x01, b"{"), masked(PING, b"between")].concat());
        let frame = client.frame().unwrap();
        assert_eq!((frame.first, frame.payload.as_slice()), (PONG, &b"between"[..]));
        bystanders.assert_well();
    });
}

// Row 28.
#[test]
fn fragments_of_nothing_and_of_a_byte_cost_nothing() {
    story(&["--shards", "1"], |server| {
        let mut bystanders = Bystanders::open(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let before = server.resident_bytes();
        let empty = masked(0x00, b"").repeat(1_000);
        let byte = masked(0x00, b" ").repeat(1_000);
        client.send(&masked(0x01, b"{"));
        for _ in 0..100 {
            client.send(&empty);
        }
        for _ in 0..60 {
            client.send(&byte);
        }
        bystanders.assert_well();
        client.send(&masked(0x80, br#""type":"ping","id":1}"#));
        assert_eq!(client.expect("pong")["id"], 1);
        let grown = server.resident_bytes().saturating_sub(before);
        assert!(grown < 2 << 20, "{grown} bytes for a message of 60 KB");
        server.await_metrics(&[("fanfare_connections", 3)]);
    });
}

// Row 42: a hot topic is encoded once for everyone in a shard, and a topic beside it goes on.
#[test]
fn a_hot_topic_is_encoded_once_per_shard_and_leaves_the_others_their_turn() {
    const SUBSCRIBERS: usize = 400;
    const PUBLICATIONS: u64 = 100;
    story(&["--shards", "2"], |server| {
        let mut bystanders = Bystanders::open(server);
        let mut subscribers: Vec<_> = (0..SUBSCRIBERS)
            .map(|_| {
                let (mut client, _) = Client::open_json(server.address, "/ws?topic=hot");
                client.expect("subscribed");
                client
            })
            .collect();
        let encoded = || server.metric("fanfare_encoded_total");
        let delivered = || server.metric("fanfare_deliveries_total");
        let (encoded_before, delivered_before) = (encoded(), delivered());
        let (mut publisher, _) = Client::open_json(server.address, "/ws");
        for number in 0..PUBLICATIONS {
            publisher.send_json(json!({"type": "publish", "topic": "hot", "data": number}));
        }
        publisher.ask(json!({"type": "publish", "topic": "hot", "data": "last", "id": 1}));
        for subscriber in &mut subscribers {
            for offset in 1..=PUBLICATIONS + 1 {
                assert_eq!(subscriber.expect("message")["offset"], offset);
            }
        }
        eventually("all are counted", || {
            delivered() - delivered_before == SUBSCRIBERS as u64 * (PUBLICATIONS + 1)
        });
        let encodings = encoded() - encoded_before;
        assert!(encodings <= 2 * (PUBLICATIONS + 1), "{encodings} encodings");
        bystanders.assert_well();
    });
}

// Row 43.
#[test]
fn subscriptions_beyond_the_limit_are_refused_and_leave_nothing() {
    story(&["--subscriptions-max", "100"], |server| {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let names: Vec<String> = (0..100).map(|number| format!("topic-{number}")).collect();
        assert_eq!(
            client.ask(json!({"type": "subscribe", "topics": names}))["type"],
            "subscribed"
        );
        let refused = json!({
            "type": "error", "id": 1, "code": "too_many_subscriptions", "temporary": false,
            "message": "100 subscriptions and 1 more pass the limit of 100, unsubscribe from some first",
        });
        for number in 0..1_000 {
            let reply = client.ask(json!({"type": "subscribe", "topic": format!("more-{number}"), "id": 1}));
            assert_eq!(reply, refused);
        }
        // All or none: two of these it has, one would be too many.
        let topics = ["topic-1", "topic-2", "one-more"];
        assert_eq!(
            client.ask(json!({"type": "subscribe", "topics": topics, "id": 1})),
            refused
        );
        server.await_metrics(&[
            ("fanfare_subscriptions", 100),
            ("fanfare_topics", 100),
            (&rejections("too_many_subscriptions"), 1_001),
        ]);
        // Again is not more, and one less makes room for one.
        let again = client.ask(json!({"type": "subscribe", "topic": "topic-1", "id": 2}));
        assert_eq!(again["type"], "subscribed");
        client.ask(json!({"type": "unsubscribe", "topic": "topic-1"}));
        let reply = client.ask(json!({"type": "subscribe", "topic": "one-more"}));
        assert_eq!(reply["type"], "subscribed");
    });
}

// Row 59: whoever has sent a lot is read a share at a time. The server stands still while it comes, so that all of it is
// there before any of it is read.
#[test]
fn what_one_client_has_sent_does_not_go_before_everything_of_the_others() {
    let arguments = [
        "--shards",
        "1",
        "--outbox-frames-max",
        "65536",
        "--outbox-bytes-max",
        "256MiB",
    ];
    story(&arguments, |server| {
        let (mut listener, _) = Client::open_json(server.address, "/ws?topic=a");
        listener.expect("subscribed");
        let (mut flooder, _) = Client::open_json(server.address, "/ws");
        // A connection that has sent much gets a large buffer in the kernel.
        let nowhere = json!({"type": "publish", "topic": "nowhere", "data": "x".repeat(60_000)}).to_string();
        flooder.send(&masked(TEXT, nowhere.as_bytes()).repeat(1_000));
        flooder.ask(json!({"type": "ping"}));
        let (mut modest, _) = Client::open_json(server.address, "/ws");
        let publication = |who: &str, data: &str| {
            let command = json!({"type": "publish", "topic": "a", "data": [who, data]}).to_string();
            masked(TEXT, command.as_bytes())
        };
        let flood = publication("flooder", &"x".repeat(4_000));
        // Which of the two is read first is the kernel's choice.
        for _ in 0..5 {
            server.stand_still();
            flooder.stream.set_nonblocking(true).unwrap();
            let mut sent = 0;
            while let Ok(count) = flooder.stream.write(&flood[sent % flood.len()..]) {
                sent += count;
            }
            modest.send(&publication("modest", "my turn"));
            server.signal(Signal::CONT);
            flooder.stream.set_nonblocking(false).unwrap();
            flooder.send(&flood[sent % flood.len()..]);
            let mut before = 0;
            while listener.expect("message")["data"][0] == "flooder" {
                before += flood.len();
            }
            assert!(sent > 4 * SHARE_BYTES, "only {sent} bytes fit into the sockets");
            assert!(before <= 2 * SHARE_BYTES, "{before} of {sent} bytes went before");
            for _ in before / flood.len()..sent.div_ceil(flood.len()) {
                assert_eq!(listener.expect("message")["data"][0], "flooder");
            }
        }
    });
}

/// What a connection is read in a turn: four buffers of 64 KiB.
const SHARE_BYTES: usize = 256 << 10;

// Row 59: one shard, and clients that never let their sockets run dry.
#[test]
fn pings_and_health_are_answered_while_clients_flood() {
    story(&["--shards", "1", "--ping-interval", "1h"], |server| {
        let mut bystanders = Bystanders::open(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let mut probe = Client::connect(server.address);
        let command = json!({"type": "publish", "topic": "flood", "data": "x".repeat(20)}).to_string();
        let publications = masked(TEXT, command.as_bytes()).repeat(500);
        let pongs = masked(PONG, b"").repeat(100_000);
        flood_while(server, "/ws?topic=flood", &publications, || {
            flood_while(server, "/ws", &pongs, || {
                let published = || server.metric("fanfare_publish_commands_total");
                eventually("the flood runs", || published() > 1_000);
                for number in 0..2_u8 {
                    client.send(&masked(PING, &[number]));
                    let pong = client.frame().unwrap();
                    assert_eq!((pong.first, pong.payload.as_slice()), (PONG, &[number][..]));
                    assert_eq!(get(&mut probe, "/health").status, 200);
                    assert_eq!(post(&mut probe, "/api/publish?topic=calm", "x")["topic"], "calm");
                    bystanders.assert_well();
                }
            });
        });
    });
}
