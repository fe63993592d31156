//! TLS over a network with faults.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::authority::{EITHER, with_tls};
use crate::client::{Client, eventually, upgrade_request};
use crate::process::{Server, metric};
use crate::proxy::{Fault, Proxy, Then, Way};
use crate::tls_files::Files;

/// Tells a story to a server with TLS behind a proxy. At the end its log says nothing, and nothing is left.
fn story(name: &str, arguments: &[&str], tell: impl FnOnce(&Files, &Server, &Proxy)) {
    let files = Files::new(name);
    let log = files.path("log");
    let mut command = files.serve(arguments);
    command
        .args(["--log", "info"])
        .stderr(fs::File::create(&log).unwrap());
    let server = Server::start_by(&mut command);
    let proxy = Proxy::to(server.address);
    tell(&files, &server, &proxy);
    eventually("nothing is left", || {
        let page = files.get(&server, "/metrics").body;
        let is_empty = |name| metric(&page, name) == 0;
        // The one that asks is a handshake itself.
        metric(&page, "fanfare_handshakes") == 1
            && [
                "fanfare_connections",
                "fanfare_receiving_bytes",
                "fanfare_tls_waiting_bytes",
                "fanfare_waiting_bytes",
                "fanfare_outbox_places",
            ]
            .into_iter()
            .all(is_empty)
            && metric(&page, "fanfare_connections_opened_total")
                == metric(&page, "fanfare_connections_released_total")
    });
    assert_eq!(
        fs::read_to_string(&log).unwrap(),
        "",
        "what clients do is no news for an operator"
    );
}

fn connect(files: &Files, proxy: &Proxy) -> Client {
    let client = Client::connect(proxy.address);
    with_tls(client, files.authority.client(EITHER), "localhost")
}

// Row 17.
#[test]
fn a_conversation_in_segments_of_a_byte_is_a_conversation() {
    story("segments", &[], |files, _, proxy| {
        for way in [Way::Up, Way::Down] {
            let fault = Fault {
                segment_bytes: Some(1),
                ..Fault::default()
            };
            proxy.set(way, fault);
        }
        let mut client = connect(files, proxy).upgraded("/ws?topic=a");
        client.expect("welcome");
        client.expect("subscribed");
        for length in [1, 100, 500] {
            let text = "x".repeat(length);
            client.send_json(json!({"type": "publish", "topic": "a", "data": text}));
            assert_eq!(client.expect("message")["data"], text);
        }
        assert_eq!(client.close(1000), 1000);
    });
}

// Row 17.
#[test]
fn a_handshake_on_a_line_that_is_too_slow_is_over_at_the_deadline() {
    story(
        "deadline",
        &["--handshake-timeout", "500ms"],
        |files, server, proxy| {
            let fault = Fault {
                segment_bytes: Some(1),
                bytes_per_second: Some(100),
                ..Fault::default()
            };
            proxy.set(Way::Up, fault);
            let mut client = connect(files, proxy);
            let tls = client.tls.as_mut().unwrap();
            tls.write_tls(&mut client.stream).unwrap();
            client.time_to_end();
            let page = files.get(server, "/metrics").body;
            assert_eq!(
                metric(&page, "fanfare_refusals_total{cause=\"handshake_timeout\"}"),
                1
            );
        },
    );
}

#[test]
fn a_line_that_is_cut_anywhere_in_a_handshake_or_a_record_is_a_clean_release() {
    story("cuts", &["--handshake-timeout", "2s"], |files, _, proxy| {
        for then in [Then::Cut, Then::Reset] {
            // A hello is about 1,500 bytes with keys that outlast quantum computers, the request behind it 250.
            for bytes in (0..2_400).step_by(150) {
                proxy.set(Way::Up, Fault::then(bytes, then));
                let mut client = connect(files, proxy);
                let mut requests = upgrade_request("/ws?dialect=raw&topic=a", &[]).into_bytes();
                requests.extend(crate::client::masked(crate::client::TEXT, &[b'x'; 600]));
                client
                    .stream
                    .set_read_timeout(Some(Duration::from_secs(20)))
                    .unwrap();
                let _ = std::io::Write::write_all(
                    &mut rustls::Stream::new(client.tls.as_mut().unwrap(), &mut client.stream),
                    &requests,
                );
                client.time_to_end();
            }
        }
        proxy.heal();
    });
}

/// Many subscribers on a line that takes little: nothing is lost, nothing comes twice.
#[test]
fn a_fan_out_over_slow_lines_is_whole_and_in_order() {
    story(
        "slow",
        &["--outbox-frames-max", "10000"],
        |files, server, proxy| {
            let fault = Fault {
                bytes_per_second: Some(200_000),
                segment_bytes: Some(1_000),
                ..Fault::default()
            };
            proxy.set(Way::Down, fault);
            let mut readers: Vec<Client> = (0..10)
                .map(|_| {
                    let mut reader = connect(files, proxy).upgraded("/ws?topic=a");
                    reader.expect("welcome");
                    reader.expect("subscribed");
                    reader
                })
                .collect();
            let publisher = Client::connect(server.address);
            let publisher = with_tls(publisher, files.authority.client(EITHER), "localhost");
            let mut publisher = publisher.upgraded("/ws");
            publisher.expect("welcome");
            for n in 0..80 {
                let command =
                    json!({"type": "publish", "topic": "a", "data": [n, "z".repeat(n * 67 % 3_000)]});
                publisher.send_json(command);
            }
            for reader in &mut readers {
                for n in 0..80 {
                    assert_eq!(reader.expect("message")["data"][0], n);
                }
            }
        },
    );
}
