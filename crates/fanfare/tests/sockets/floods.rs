//! Clients that send too much, too often or never to an end: they wait, are refused or are closed, and nobody else
//! notices.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use fanfare::{Limits, Options};
use serde_json::{Value, json};

use crate::client::{BINARY, Client, PING, PONG, TEXT, eventually, masked};
use crate::server::{Server, options};

/// First bytes of frames that do not end their message.
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;

/// One shard, so that shares are whole.
fn one_shard(limits: Limits) -> Server {
    Server::with(Options {
        shards: 1,
        limits,
        ..options()
    })
}

fn without_rates() -> Limits {
    Limits {
        commands_per_second: 0,
        bytes_per_second: 0,
        ..Limits::default()
    }
}

/// A number of the metrics page.
fn metric(server: &Server, name: &str) -> u64 {
    let page = server.fanfare.metrics();
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("{name} is not among the metrics"));
    value.trim().parse().unwrap()
}

/// Topics that clients made.
fn topics(server: &Server) -> usize {
    let rows = server.fanfare.topics(0, 1_000).topics;
    rows.iter().filter(|row| !row.topic.is_reserved()).count()
}

fn held_for_commands(server: &Server) -> u64 {
    metric(server, r#"fanfare_holds_total{limit="commands"}"#)
}

/// Row 26.
#[test]
fn fragments_that_pass_the_limit_together_are_too_big_before_they_are_here() {
    let server = Server::with_limits(Limits {
        message_bytes_max: 1_000,
        ..Limits::default()
    });
    let (mut client, _) = Client::open_json(server.address, "/ws");
    client.send(&masked(TEXT_BEGINS, &[b'a'; 600]));
    // The second fragment is announced and never sent.
    client.send(&masked(CONTINUES, &[b'a'; 600])[..8]);
    assert_eq!(client.ending().code, 1009);
    server.assert_empty();
}

/// Row 27.
#[test]
fn a_message_that_never_ends_is_ended() {
    let server = Server::with_limits(Limits {
        message_timeout_ms: 300,
        ..Limits::default()
    });
    let begin = |bytes: &[u8]| {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        client.send(bytes);
        client
    };
    let half_header = begin(&[TEXT]);
    let half_frame = begin(&masked(TEXT, b"{}")[..7]);
    let open_message = begin(&masked(TEXT_BEGINS, b"{"));
    let mut busy = begin(&masked(TEXT_BEGINS, b"{"));
    eventually("the one that goes on sending is closed as well", || {
        let more = [masked(CONTINUES, b""), masked(PING, b"")].concat();
        // The server may have gone already.
        let _ = (&busy.stream).write_all(&more);
        server.disconnects(3008) == 4
    });
    for mut client in [half_header, half_frame, open_message] {
        let ending = client.ending();
        let goodbye = ending.goodbye.unwrap();
        assert_eq!((ending.code, &goodbye["reconnect"]), (3008, &json!(true)));
    }
    assert_eq!(busy.ending().code, 3008);
    server.assert_empty();
    assert_eq!(metric(&server, "fanfare_receiving_bytes"), 0);
}

/// Row 28.
#[test]
fn many_fragments_of_one_byte_cost_their_bytes() {
    const FRAGMENTS: usize = 65_536;
    let server = one_shard(without_rates());
    let mut client = Client::open(server.address, "/ws?dialect=raw&topic=a");
    eventually("it is subscribed", || server.fanfare.subscribers("a") == 1);
    client.send(&masked(BINARY_BEGINS, b""));
    client.send(&masked(CONTINUES, b"a").repeat(FRAGMENTS));
    eventually("all is received", || {
        metric(&server, "fanfare_receiving_bytes") >= FRAGMENTS as u64
    });
    let held = metric(&server, "fanfare_receiving_bytes");
    assert!(held < 2 * FRAGMENTS as u64, "{held} bytes are held");
    client.send(&masked(ENDS, b""));
    let message = client.message().unwrap();
    assert_eq!((message.first, message.payload.len()), (BINARY, FRAGMENTS));
    eventually("its memory is given back", || {
        metric(&server, "fanfare_receiving_bytes") == 0
    });
}

/// Row 25, and the sum over all of them.
#[test]
fn what_is_held_for_unfinished_messages_is_bounded() {
    let server = one_shard(Limits {
        receiving_bytes_max: 150_000,
        ..without_rates()
    });
    let half = masked(TEXT_BEGINS, &vec![b' '; 50_000]);
    let rest = masked(ENDS, br#"{"type":"ping"}"#);
    let mut clients: Vec<Client> = (1..=2)
        .map(|number| {
            let (mut client, _) = Client::open_json(server.address, "/ws");
            client.send(&half);
            eventually("half a message is received", || {
                metric(&server, "fanfare_receiving_bytes") >= number * 50_000
            });
            client
        })
        .collect();
    let (mut one_too_many, _) = Client::open_json(server.address, "/ws");
    one_too_many.send(&half);
    assert_eq!(one_too_many.ending().code, 3007);
    for client in &mut clients {
        client.send(&rest);
        client.expect("pong");
    }
    let (mut next, _) = Client::open_json(server.address, "/ws");
    next.send(&half);
    next.send(&rest);
    next.expect("pong");
    assert_eq!(server.disconnects(3007), 1);
}

/// Row 29: without any rate, pongs that nobody reads stop the reading.
#[test]
fn a_ping_flood_whose_pongs_are_not_read_is_not_read_either() {
    const FLOOD_BYTES_MAX: usize = 256 << 20;
    let server = Server::with(Options {
        limits: without_rates(),
        send_buffer_bytes: Some(8 << 10),
        ..options()
    });
    let client = Client::connect_narrow(server.address).upgraded("/ws");
    client
        .stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let pings = masked(PING, &[b'?'; 125]).repeat(100);
    let mut sent = 0;
    let error = loop {
        match (&client.stream).write(&pings[sent % pings.len()..]) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
        assert!(sent < FLOOD_BYTES_MAX, "the flood is taken in without end");
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    let waiting = server.fanfare.stats().waiting_bytes;
    assert!(waiting < 66_000, "{waiting} bytes of pongs wait");
    let (mut other, _) = Client::open_json(server.address, "/ws");
    assert_eq!(other.ask(json!({"type": "ping"}))["type"], "pong");
    client.reset();
}

/// Rows 29 and 30.
#[test]
fn pings_and_unasked_pongs_beyond_the_rate_wait_and_keep_their_order() {
    let server = Server::start();
    let (mut client, _) = Client::open_json(server.address, "/ws");
    let mut flood = Vec::new();
    for number in 0..130_u8 {
        flood.extend(masked(PONG, b"nobody asked"));
        flood.extend(masked(PING, &[number]));
    }
    flood.extend(masked(TEXT_BEGINS, br#"{"type":"#));
    flood.extend(masked(PING, b"between"));
    flood.extend(masked(ENDS, br#""ping","id":7}"#));
    client.send(&flood);
    for number in 0..130_u8 {
        let frame = client.message().unwrap();
        assert_eq!((frame.first, frame.payload), (PONG, vec![number]));
    }
    let between = client.message().unwrap();
    assert_eq!((between.first, &*between.payload), (PONG, b"between".as_slice()));
    assert_eq!(client.expect("pong")["id"], 7);
    assert!(
        held_for_commands(&server) > 0,
        "262 are more than may come at once"
    );
}

/// Row 41: in its connection a flood waits.
#[test]
fn a_publish_flood_is_served_at_its_rate_and_others_keep_theirs() {
    const COUNT: usize = 260;
    let server = Server::start();
    let (mut flooder, _) = Client::open_json(server.address, "/ws");
    let (mut other, _) = Client::open_json(server.address, "/ws?topic=a");
    other.expect("subscribed");
    let flood: Vec<u8> = (0..COUNT)
        .map(|id| json!({"type": "publish", "topic": "a", "data": id, "id": id}).to_string())
        .flat_map(|text| masked(TEXT, text.as_bytes()))
        .collect();
    flooder.send(&flood);
    other.send_json(json!({"type": "ping"}));
    let mut received = 0;
    while received < COUNT {
        let heard = other.json();
        if heard["type"] == "message" {
            assert_eq!(heard["data"], received);
            received += 1;
        }
    }
    for id in 0..COUNT {
        assert_eq!(flooder.expect("published")["id"], id);
    }
    assert!(held_for_commands(&server) > 0);
    assert_eq!(server.fanfare.stats().disconnects, []);
}

/// Row 41: at its topic a flood is refused, and closed when it goes on.
#[test]
fn a_publish_flood_into_one_topic_is_refused_and_then_closed() {
    let server = Server::with_limits(Limits {
        publications_per_second: 5,
        refusals_max: 20,
        ..without_rates()
    });
    let (mut flooder, _) = Client::open_json(server.address, "/ws");
    let (mut other, _) = Client::open_json(server.address, "/ws?topic=a&topic=b");
    other.expect("subscribed");
    let flood = masked(TEXT, br#"{"type":"publish","topic":"a","data":1,"id":1}"#);
    // It goes on until it is cut off.
    let mut stream = flooder.stream.try_clone().unwrap();
    let flooding = std::thread::spawn(move || while stream.write_all(&flood.repeat(100)).is_ok() {});
    let (mut published, mut refused) = (0, 0);
    let goodbye = loop {
        let reply: Value = flooder.json();
        match reply["type"].as_str().unwrap() {
            "published" => published += 1,
            "error" => {
                assert_eq!(reply["code"], "rate_limited", "{reply}");
                assert!(reply["retry_after_ms"].as_u64() >= Some(100), "{reply}");
                refused += 1;
            }
            _ => break reply,
        }
    };
    assert_eq!(
        (&goodbye["code"], &goodbye["reconnect"]),
        (&json!(3501), &json!(false))
    );
    assert!(
        published >= 10 && refused > 20,
        "{published} published, {refused} refused"
    );

    let reply = other.ask_past_messages(json!({"type": "publish", "topic": "b", "data": 1, "id": 1}));
    assert_eq!(reply["type"], "published", "another topic is another matter");
    drop(flooder);
    flooding.join().unwrap();
    eventually("what was refused is not there", || {
        server.fanfare.topics(0, 10).topics[..]
            .iter()
            .any(|row| row.topic.as_str() == "a" && row.position.offset == published)
    });
}

/// Row 43.
#[test]
fn a_subscription_flood_ends_at_the_limit() {
    let server = Server::with_limits(Limits {
        subscriptions_max: 10,
        ..without_rates()
    });
    let (mut client, _) = Client::open_json(server.address, "/ws");
    let flood: Vec<u8> = (0..2_000)
        .map(|number| json!({"type": "subscribe", "topic": format!("t{number}")}).to_string())
        .flat_map(|text| masked(TEXT, text.as_bytes()))
        .collect();
    let mut stream = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || stream.write_all(&flood).unwrap());
    let mut subscribed = 0;
    for _ in 0..2_000 {
        let reply = client.json();
        if reply["type"] == "subscribed" {
            subscribed += 1;
        } else {
            assert_eq!(reply["code"], "too_many_subscriptions", "{reply}");
        }
    }
    sending.join().unwrap();
    assert_eq!((subscribed, topics(&server)), (10, 10));
    assert_eq!(client.close(1000), 1000);
    server.assert_empty();
}

/// Row 45.
#[test]
fn topics_are_bounded_over_all_connections_and_released_when_they_are_empty() {
    let server = Server::with_limits(Limits {
        topics_max: 100,
        subscriptions_max: 1_000,
        ..without_rates()
    });
    let names = |from: usize, to: usize| (from..to).map(|number| format!("t{number}")).collect::<Vec<_>>();
    let subscribe = |client: &mut Client, topics: &[String]| {
        client.ask(json!({"type": "subscribe", "topics": topics, "id": 1}))
    };
    let (mut ada, _) = Client::open_json(server.address, "/ws");
    let (mut bob, _) = Client::open_json(server.address, "/ws");
    assert_eq!(subscribe(&mut ada, &names(0, 90))["type"], "subscribed");
    let refusal = subscribe(&mut bob, &names(85, 105));
    assert_eq!(
        (&refusal["code"], &refusal["temporary"]),
        (&json!("too_many_topics"), &json!(true))
    );
    eventually("nothing was subscribed", || topics(&server) == 90);
    assert_eq!(subscribe(&mut bob, &names(85, 100))["type"], "subscribed");
    for round in 1..20 {
        let (old, new) = (
            names((round - 1) * 100, (round - 1) * 100 + 85),
            names(round * 100, round * 100 + 85),
        );
        ada.ask(json!({"type": "unsubscribe", "topics": old, "id": 1}));
        assert_eq!(subscribe(&mut ada, &new)["type"], "subscribed");
    }
    assert_eq!((ada.close(1000), bob.close(1000)), (1000, 1000));
    server.assert_empty();
}
