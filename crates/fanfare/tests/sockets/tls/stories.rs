//! What clients do over plain sockets, over TLS.

use fanfare::{Limits, Options, Payload, SlowRule, SlowRules};
use rustls::version::{TLS12, TLS13};

use super::{EITHER, Secured, with_tls};
use crate::client::{BINARY, CLOSE, Client, PING, PONG, TEXT, eventually, masked, upgrade_request};
use crate::server::options;

#[test]
fn both_versions_carry_both_dialects() {
    let secured = Secured::start();
    for version in [&TLS13, &TLS12] {
        let config = secured.authority.client(&[version]);
        let mut json = secured.connect_as(config.clone()).upgraded("/ws");
        json.expect("welcome");
        json.subscribe(&["news"]);
        let mut raw = secured.connect_as(config).upgraded("/ws?dialect=raw&topic=news");
        eventually("both are subscribed", || {
            secured.server.fanfare.subscribers("news") == 2
        });
        raw.send_text("hello");
        assert_eq!(json.expect("message")["data"], "hello");
        assert_eq!(raw.text(), "hello");
        assert_eq!(
            json.tls.as_ref().unwrap().protocol_version(),
            Some(version.version)
        );
        assert_eq!(json.tls.as_ref().unwrap().alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(json.close(1000), 1000);
        assert_eq!(raw.close(1001), 1001);
        secured.server.assert_empty();
    }
}

#[test]
fn what_comes_right_behind_the_upgrade_is_not_lost() {
    let secured = Secured::start();
    let mut client = secured.connect();
    // One write, so one record: the request and two commands, of which the second is cut in the middle.
    let mut bytes = upgrade_request("/ws", &[]).into_bytes();
    bytes.extend(masked(TEXT, br#"{"type":"subscribe","topics":["a"],"id":1}"#));
    let second = masked(TEXT, br#"{"type":"publish","topic":"a","data":"early","id":2}"#);
    bytes.extend(&second[..9]);
    client.send(&bytes);
    assert_eq!(client.response().unwrap().status, 101);
    client.send(&second[9..]);
    client.expect("welcome");
    client.expect("subscribed");
    let (one, other) = (client.json(), client.json());
    let types = [one["type"].as_str().unwrap(), other["type"].as_str().unwrap()];
    assert!(
        types.contains(&"message") && types.contains(&"published"),
        "{types:?}"
    );
}

#[test]
fn records_that_come_byte_by_byte_are_put_together() {
    let secured = Secured::start();
    let mut client = secured.open_json("/ws");
    client.subscribe(&["a"]);
    let command = masked(TEXT, br#"{"type":"publish","topic":"a","data":"slowly"}"#);
    let tls = client.tls.as_mut().unwrap();
    std::io::Write::write_all(&mut tls.writer(), &command).unwrap();
    let mut record = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut record).unwrap();
    }
    for byte in record {
        std::io::Write::write_all(&mut client.stream, &[byte]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(client.expect("message")["data"], "slowly");
}

#[test]
fn messages_longer_than_a_record_and_many_in_one_come_through() {
    let secured = Secured::start();
    let mut raw = secured.open("/ws?dialect=raw&topic=a");
    eventually("it is subscribed", || {
        secured.server.fanfare.subscribers("a") == 1
    });
    // Around what one record holds, and several of them.
    for length in [1, 16_379, 16_380, 16_381, 16_384, 16_385, 40_000, 65_536] {
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        raw.send(&masked(BINARY, &payload));
        let frame = raw.message().unwrap();
        assert_eq!((frame.first, frame.payload.len()), (BINARY, length));
        assert_eq!(frame.payload, payload);
    }
    let many: Vec<u8> = (0..50)
        .flat_map(|n| masked(TEXT, format!("{n}").as_bytes()))
        .collect();
    raw.send(&many);
    for n in 0..50 {
        assert_eq!(raw.text(), n.to_string());
    }
    raw.send(&masked(PING, b"still here"));
    assert_eq!(raw.frame().unwrap().first, PONG);
}

/// Clients that read nothing for a while, so that sockets take parts of records. Publications of many lengths, so that
/// records are cut anywhere.
#[test]
fn slow_readers_get_everything_in_order_and_nothing_is_left() {
    let secured = Secured::with(
        Options {
            send_buffer_bytes: Some(4 << 10),
            limits: Limits {
                outbox_frames_max: 10_000,
                outbox_bytes_max: 64 << 20,
                ..Limits::default()
            },
            ..options()
        },
        |_| (),
    );
    let mut readers: Vec<Client> = (0..8)
        .map(|_| {
            let narrow = Client::connect_narrow(secured.server.address);
            let mut reader = with_tls(narrow, secured.authority.client(EITHER), "localhost")
                .upgraded("/ws?dialect=raw&topic=a");
            reader.send(&masked(PING, b""));
            assert_eq!(reader.frame().unwrap().first, PONG);
            reader
        })
        .collect();
    eventually("all are subscribed", || {
        secured.server.fanfare.subscribers("a") == 8
    });
    let payload = |n: usize| format!("{n}:{}", "x".repeat(n * 131 % 9_000));
    secured.server.runtime.block_on(async {
        for n in 0..300 {
            let text = Payload::text(payload(n));
            secured.server.fanfare.publish("a", text).await.unwrap();
        }
    });
    eventually("records wait for their sockets", || {
        secured.metric("fanfare_tls_waiting_bytes ") > 0
    });
    let waiting = secured.metric("fanfare_tls_waiting_bytes ");
    assert!(
        waiting <= 8 * (17 << 10),
        "{waiting} is more than a record for each"
    );
    for reader in &mut readers {
        for n in 0..300 {
            assert_eq!(reader.text(), payload(n));
        }
        assert_eq!(reader.close(1000), 1000);
    }
    secured.server.assert_empty();
    eventually("no record is left", || {
        secured.metric("fanfare_tls_waiting_bytes ") == 0
    });
}

/// What has its place among the records cannot be left out any more; what is behind it can, whole.
#[test]
fn what_is_left_out_for_a_slow_reader_leaves_the_records_whole() {
    let secured = Secured::with(
        Options {
            send_buffer_bytes: Some(4 << 10),
            limits: Limits {
                outbox_frames_max: 8,
                slow_rules: SlowRules {
                    otherwise: SlowRule::DropOldest,
                    ..SlowRules::default()
                },
                ..Limits::default()
            },
            ..options()
        },
        |_| (),
    );
    let narrow = Client::connect_narrow(secured.server.address);
    let mut reader = with_tls(narrow, secured.authority.client(EITHER), "localhost").upgraded("/ws");
    reader.expect("welcome");
    reader.subscribe(&["a"]);
    secured.server.runtime.block_on(async {
        for n in 1..=2_000 {
            let text = format!("{n}:{}", "y".repeat(n * 37 % 4_000));
            secured
                .server
                .fanfare
                .publish("a", Payload::text(text))
                .await
                .unwrap();
        }
    });
    // A `missed` tells how many of a range do not come; others of the range may come behind it.
    let (mut last, mut received, mut missed) = (0, 0, 0);
    while received + missed < 2_000 {
        let said = reader.json();
        if said["type"] == "missed" {
            missed += said["count"].as_u64().unwrap();
            continue;
        }
        let offset = said["offset"].as_u64().unwrap();
        assert!(offset > last, "{offset} behind {last}");
        let text = said["data"].as_str().unwrap();
        assert!(text.starts_with(&format!("{offset}:")));
        (last, received) = (offset, received + 1);
    }
    assert_eq!(
        received + missed,
        2_000,
        "what is told to be missing does not come"
    );
    assert!(missed > 0, "the rule was never applied");
    assert_eq!(reader.close(1000), 1000);
    secured.server.assert_empty();
}

/// Nothing is published behind it that would take the rest of it along.
#[test]
fn the_last_record_goes_out_as_soon_as_its_socket_takes_it() {
    let secured = Secured::with(
        Options {
            send_buffer_bytes: Some(4 << 10),
            ..options()
        },
        |_| (),
    );
    let narrow = Client::connect_narrow(secured.server.address);
    let mut reader =
        with_tls(narrow, secured.authority.client(EITHER), "localhost").upgraded("/ws?dialect=raw&topic=a");
    eventually("it is subscribed", || {
        secured.server.fanfare.subscribers("a") == 1
    });
    for n in 0..5 {
        let text = n.to_string().repeat(60_000);
        let publish = secured.server.fanfare.publish("a", Payload::text(text.clone()));
        secured.server.runtime.block_on(publish).unwrap();
        eventually("its socket is full", || {
            secured.metric("fanfare_connections_behind ") == 1
        });
        assert_eq!(reader.text(), text);
        eventually("nothing waits", || {
            secured.metric("fanfare_tls_waiting_bytes ") == 0
        });
    }
    // The close frame comes behind what waits, and the connection ends behind that.
    let publish = secured
        .server
        .fanfare
        .publish("a", Payload::text("x".repeat(60_000)));
    secured.server.runtime.block_on(publish).unwrap();
    eventually("its socket is full", || {
        secured.metric("fanfare_connections_behind ") == 1
    });
    reader.send(&masked(CLOSE, &1000_u16.to_be_bytes()));
    assert_eq!(reader.text().len(), 60_000);
    assert_eq!(reader.frame().unwrap().first, CLOSE);
    secured.server.assert_empty();
}
