//! Handshakes that come to nothing, and why.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fanfare::{Options, Tls, TlsOptions, TlsVersion};
use rustls::version::{TLS12, TLS13};

use super::{EITHER, Secured, rest, shake_hands, with_tls};
use crate::client::{Client, eventually, upgrade_request};
use crate::server::options;

/// A ClientHello of TLS 1.0 or 1.1, which knows no extensions: one suite, no compression.
fn old_hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]); // random
    body.push(0); // no session
    body.extend([0, 2, 0, 0x2F]); // TLS_RSA_WITH_AES_128_CBC_SHA
    body.extend([1, 0]); // no compression
    let mut message = vec![1, 0, 0, body.len() as u8];
    message.extend(body);
    let mut record = vec![0x16, 3, 1, 0, message.len() as u8];
    record.extend(message);
    record
}

/// What a client gets that sends these bytes and reads to the end.
fn answer_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut client = Client::connect(address);
    client.send(bytes);
    rest(&mut client)
}

#[test]
fn old_versions_are_refused_with_an_alert() {
    let secured = Secured::start();
    for (count, minor) in [(1, 1), (2, 2)] {
        let answer = answer_to(secured.server.address, &old_hello(minor));
        // A fatal alert, `handshake_failure`: these have no words for what is missing.
        assert_eq!((answer[0], &answer[5..]), (0x15, &[2, 40][..]), "{answer:?}");
        eventually("it is counted", || secured.refusals("tls_version") == count);
    }
    let strict = TlsOptions {
        version_min: TlsVersion::V1_3,
        ..TlsOptions::new(vec![secured.authority.sign("localhost").read()])
    };
    secured.tls.replace(&strict).unwrap();
    let mut client = secured.connect_as(secured.authority.client(&[&TLS12]));
    shake_hands(&mut client).unwrap_err();
    eventually("it is counted", || secured.refusals("tls_version") == 3);
    shake_hands(&mut secured.connect_as(secured.authority.client(&[&TLS13]))).unwrap();
    secured.server.assert_empty();
}

#[test]
fn plain_http_is_answered_plainly_and_closed() {
    let secured = Secured::start();
    let mut client = Client::connect(secured.server.address);
    client.send(upgrade_request("/ws", &[]).as_bytes());
    let response = client.response().unwrap();
    assert_eq!(response.status, 400);
    assert!(response.body.contains("wss://"), "{response:?}");
    assert!(rest(&mut client).is_empty());
    eventually("it is counted", || secured.refusals("tls_plaintext") == 1);
}

#[test]
fn garbage_is_refused_and_costs_nobody_else() {
    let secured = Secured::start();
    let mut other = secured.open_json("/ws");
    let long_record = [&[0x16, 3, 1, 0xFF, 0xFF][..], &[0; 40]].concat();
    let long_message = [&[0x16, 3, 1, 0, 44, 1, 0xFF, 0xFF, 0xFF][..], &[0; 40]].concat();
    let application = [&[0x17, 3, 3, 0, 40][..], &[0; 40]].concat();
    let mut torn = old_hello(3);
    torn.truncate(30);
    torn[4] -= 16;
    torn.extend(&[0x17, 3, 3, 0, 1, 0]);
    for (at, bytes) in [
        long_record,
        long_message,
        [&[0x16, 3, 1, 0, 4][..], &[9, 0, 0, 0]].concat(),
        torn,
    ]
    .into_iter()
    .enumerate()
    {
        answer_to(secured.server.address, &bytes);
        eventually("it is counted", || {
            secured.refusals("tls_handshake") == at as u64 + 1
        });
    }
    // A hello of which 64 KiB are announced, in whole records, without end.
    let mut endless = Client::connect(secured.server.address);
    let first = [&[0x16, 3, 1, 0x3F, 0xFC, 1, 0, 0xFF, 0xFF][..], &[0; 0x3FF8]].concat();
    let next = [&[0x16, 3, 1, 0x3F, 0xFC][..], &[0; 0x3FFC]].concat();
    let all = [first, next.clone(), next].concat();
    let _ = endless.stream.write_all(&all);
    eventually("it is counted", || secured.refusals("tls_handshake") == 5);
    answer_to(secured.server.address, &application);
    assert_eq!(secured.refusals("tls_plaintext"), 1, "a handshake comes first");
    other.subscribe(&["a"]);
}

#[test]
fn a_handshake_that_goes_on_for_ever_ends_at_the_deadline() {
    let secured = Secured::with(options(), |listening| {
        listening.handshake_timeout = Duration::from_millis(700);
    });
    let began = Instant::now();
    let mut client = secured.connect();
    let mut hello = Vec::new();
    client.tls.as_mut().unwrap().write_tls(&mut hello).unwrap();
    // A byte now and then is no reason to wait any longer.
    for byte in hello {
        if client.stream.write_all(&[byte]).is_err() || secured.refusals("handshake_timeout") == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    eventually("it is counted", || secured.refusals("handshake_timeout") == 1);
    assert!(began.elapsed() >= Duration::from_millis(700));
    assert_eq!(secured.server.fanfare.connection_count(), 0);
    // The time that the handshake took is not given again to the request.
    let mut slow = secured.connect();
    shake_hands(&mut slow).unwrap();
    slow.send(b"GET /ws HTTP/1.1\r\n");
    slow.time_to_end();
    eventually("it is counted", || secured.refusals("handshake_timeout") == 2);
}

#[test]
fn a_client_that_does_not_trust_the_certificate_is_counted() {
    let secured = Secured::start();
    let stranger = super::Authority::new();
    for count in 1..=2 {
        let mut client = secured.connect_as(stranger.client(EITHER));
        shake_hands(&mut client).unwrap_err();
        eventually("it is counted", || secured.refusals("tls_broken_off") == count);
    }
    let left = Client::connect(secured.server.address);
    let mut left = with_tls(left, secured.authority.client(EITHER), "localhost");
    left.tls.as_mut().unwrap().write_tls(&mut left.stream).unwrap();
    drop(left);
    eventually("who just leaves, too", || secured.refusals("tls_broken_off") == 3);
}

#[test]
fn what_is_spoken_above_must_be_http_1() {
    let secured = Secured::start();
    let mut config = secured.authority.client(EITHER);
    config.alpn_protocols = vec![b"h2".to_vec()];
    shake_hands(&mut secured.connect_as(config)).unwrap_err();
    eventually("it is counted", || secured.refusals("tls_handshake") == 1);
    let mut silent = secured.authority.client(EITHER);
    silent.alpn_protocols.clear();
    secured.connect_as(silent).upgraded("/ws").expect("welcome");
}

#[test]
fn sessions_are_resumed_and_nothing_is_sent_early() {
    let secured = Secured::start();
    for version in [&TLS13, &TLS12] {
        let mut config = secured.authority.client(&[version]);
        config.enable_early_data = true;
        let mut first = secured.connect_as(config.clone()).upgraded("/ws");
        first.expect("welcome");
        first.close(1000);
        let mut second = secured.connect_as(config);
        assert!(second.tls.as_mut().unwrap().early_data().is_none());
        second = second.upgraded("/ws");
        second.expect("welcome");
        let kind = second.tls.as_ref().unwrap().handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Resumed));
    }
}

#[test]
fn over_tls_nobody_is_told_that_the_door_is_full() {
    let secured = Secured::with(
        Options {
            door: fanfare::DoorLimits {
                handshakes_max: std::num::NonZeroU32::new(1),
                ..fanfare::DoorLimits::DEFAULT
            },
            ..options()
        },
        |_| (),
    );
    let _first = Client::connect(secured.server.address);
    eventually("the first is there", || {
        secured.metric("fanfare_handshakes ") == 1
    });
    let mut second = secured.connect();
    shake_hands(&mut second).unwrap_err();
    eventually("it is counted", || secured.refusals("handshakes") == 1);
}

#[test]
fn a_listener_without_certificates_cannot_be_made() {
    let error = Tls::new(&TlsOptions::new(Vec::new())).unwrap_err();
    assert_eq!(error.to_string(), "no certificate is given, TLS needs one");
}
