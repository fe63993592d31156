//! Ends of connections with TLS.

use std::io::{ErrorKind, Read as _};

use fanfare::Limits;
use serde_json::json;

use super::{Secured, rest};
use crate::client::{CLOSE, eventually, masked};
use crate::server::options;

/// What the socket says behind the last frame: `Ok(0)` is an announced end, an error one that is not.
fn end_of(client: &mut crate::client::Client) -> std::io::Result<usize> {
    let tls = client.tls.as_mut().unwrap();
    rustls::Stream::new(tls, &mut client.stream).read(&mut [0; 100])
}

#[test]
fn the_end_is_announced_behind_the_close_frame() {
    let secured = Secured::start();
    let mut client = secured.open_json("/ws");
    client.send(&masked(CLOSE, &1000_u16.to_be_bytes()));
    assert_eq!(client.frame().unwrap().first, CLOSE);
    assert_eq!(end_of(&mut client).unwrap(), 0);

    let mut violator = secured.open_json("/ws");
    violator.send(&[0x83, 0x80, 0, 0, 0, 0]);
    let close = loop {
        let frame = violator.frame().unwrap();
        if frame.first == CLOSE {
            break frame;
        }
    };
    assert_eq!(close.payload[..2], 1002_u16.to_be_bytes());
    assert_eq!(end_of(&mut violator).unwrap(), 0, "before the client has closed");
    drop(violator);
    secured.server.assert_empty();
}

#[test]
fn a_client_may_end_with_a_notice_without_one_or_with_a_reset() {
    let secured = Secured::start();
    let mut watcher = secured.open_json("/ws");
    watcher.subscribe(&["a"]);
    let lost = |count| eventually("it is gone", || secured.metric("fanfare_lost_total ") == count);

    let mut announced = secured.open_json("/ws");
    // Behind the last command, in the same write.
    let mut last = masked(
        0x81,
        json!({"type": "publish", "topic": "a", "data": 1})
            .to_string()
            .as_bytes(),
    );
    let tls = announced.tls.as_mut().unwrap();
    std::io::Write::write_all(&mut tls.writer(), &last).unwrap();
    tls.send_close_notify();
    last.clear();
    while tls.wants_write() {
        tls.write_tls(&mut last).unwrap();
    }
    std::io::Write::write_all(&mut announced.stream, &last).unwrap();
    assert_eq!(watcher.expect("message")["data"], 1);
    lost(1);
    rest(&mut announced);

    let unannounced = secured.open_json("/ws");
    unannounced.shut_write();
    lost(2);
    secured.open_json("/ws").reset();
    lost(3);
    assert_eq!(
        secured.metric("fanfare_tls_errors_total "),
        0,
        "none of that breaks TLS"
    );
    assert_eq!(watcher.close(1000), 1000);
    secured.server.assert_empty();
}

#[test]
fn a_notice_before_the_shard_has_the_socket_is_seen() {
    let secured = Secured::start();
    for _ in 0..20 {
        let mut client = secured.connect();
        let request = crate::client::upgrade_request("/ws?dialect=raw", &[]);
        let tls = client.tls.as_mut().unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut client.stream).unwrap();
        }
        std::io::Write::write_all(&mut tls.writer(), request.as_bytes()).unwrap();
        tls.send_close_notify();
        tls.complete_io(&mut client.stream).unwrap();
        rest(&mut client);
    }
    secured.server.assert_empty();
}

#[test]
fn a_record_that_is_begun_and_not_finished_ends_at_the_deadline() {
    let secured = Secured::with(
        fanfare::Options {
            limits: Limits {
                message_timeout_ms: 500,
                ..Limits::default()
            },
            ..options()
        },
        |_| (),
    );
    let mut client = secured.open_json("/ws");
    // The head of a record of 16 KiB, and none of it.
    std::io::Write::write_all(&mut client.stream, &[0x17, 3, 3, 0x40, 0]).unwrap();
    eventually("its bytes are counted", || {
        secured.metric("fanfare_receiving_bytes ") == 5
    });
    let ending = client.ending();
    assert_eq!(ending.code, 3008, "{ending:?}");
    secured.server.assert_empty();
    eventually("nothing is held", || {
        secured.metric("fanfare_receiving_bytes ") == 0
    });
}

#[test]
fn records_that_were_tampered_with_end_the_connection_with_an_alert() {
    let secured = Secured::start();
    let mut client = secured.open_json("/ws");
    let forged = [&[0x17, 3, 3, 0, 40][..], &[9; 40]].concat();
    std::io::Write::write_all(&mut client.stream, &forged).unwrap();
    let error = end_of(&mut client).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    eventually("it is counted", || {
        secured.metric("fanfare_tls_errors_total ") == 1
    });
    secured.server.assert_empty();
}
