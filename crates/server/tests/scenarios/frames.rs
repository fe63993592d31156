//! Frames that break RFC 6455: the exact close code, nothing echoed, nothing allocated in advance, everyone else well.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{BINARY, CLOSE, Client, PING, PONG, TEXT, masked, unmasked};
use crate::story::{Bystanders, disconnects, story};

/// First bytes of frames that are not the last of their message.
const TEXT_BEGINS: u8 = 0x01;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;

/// What a fault is closed with.
type Closed = (u16, &'static str);

const PROTOCOL_ERROR: Closed = (1002, "protocol error");
const UNSUPPORTED: Closed = (1003, "binary messages are not accepted in this dialect");
const INVALID: Closed = (1007, "invalid data");
const TOO_BIG: Closed = (1009, "message too big");

/// A header that announces a payload of a length that is written in 8 bytes, and the mask.
fn announcing(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0xff][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat()
}

/// A story of faults, each on a connection of its own: it must be closed with its code, a goodbye, the close frame and
/// no byte more, and be counted.
fn story_of_faults(arguments: &[&str], faults: &[(&str, Vec<u8>, Closed)]) {
    let arguments = [&["--close-timeout", "200ms"], arguments].concat();
    story(&arguments, |server| {
        let mut bystanders = Bystanders::open(server);
        let mut clients = Vec::new();
        for (_, bytes, _) in faults {
            let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
            client.expect("subscribed");
            client.send(bytes);
            clients.push(client);
        }
        for (client, (what, _, closed)) in clients.iter_mut().zip(faults) {
            assert_closed(client, what, *closed);
        }
        bystanders.assert_well();
        for (code, reason) in [PROTOCOL_ERROR, UNSUPPORTED, INVALID, TOO_BIG] {
            let count = faults.iter().filter(|(_, _, closed)| closed.0 == code).count();
            server.await_metrics(&[(&disconnects(code, reason), count as u64)]);
        }
        server.await_metrics(&[("fanfare_connections", 2)]);
    });
}

fn assert_closed(client: &mut Client, what: &str, (code, reason): Closed) {
    let ending = client.ending();
    assert_eq!((ending.code, ending.reason.as_str()), (code, reason), "{what}");
    let goodbye = json!({"type": "goodbye", "code": code, "reason": reason, "reconnect": false});
    assert_eq!(ending.goodbye, Some(goodbye), "{what}");
}

// Rows 20, 21 and 22.
#[test]
fn a_header_that_breaks_the_rules_is_a_protocol_error() {
    let mut faults = vec![
        ("unmasked text", unmasked(TEXT, b"{}"), PROTOCOL_ERROR),
        ("unmasked ping", unmasked(PING, b""), PROTOCOL_ERROR),
        ("unmasked close", unmasked(CLOSE, &[3, 232]), PROTOCOL_ERROR),
        ("RSV2 on a ping", masked(PING | 0x20, b""), PROTOCOL_ERROR),
        ("RSV1 on a close", masked(CLOSE | 0x40, &[3, 232]), PROTOCOL_ERROR),
        (
            "RSV1 on a continuation",
            [masked(TEXT_BEGINS, b"{"), masked(ENDS | 0x40, b"}")].concat(),
            PROTOCOL_ERROR,
        ),
        ("a continuation of nothing", masked(ENDS, b"x"), PROTOCOL_ERROR),
        (
            "a message inside a message",
            [masked(TEXT_BEGINS, b"{"), masked(TEXT, b"{}")].concat(),
            PROTOCOL_ERROR,
        ),
    ];
    let reserved_bits = [0x40, 0x20, 0x10, 0x70];
    faults.extend(reserved_bits.map(|bits| ("reserved bits", masked(TEXT | bits, b"{}"), PROTOCOL_ERROR)));
    let opcodes = (0x3..=0x7).chain(0xb..=0xf);
    faults.extend(opcodes.map(|opcode| ("a reserved opcode", masked(0x80 | opcode, b""), PROTOCOL_ERROR)));
    faults.push(("binary in a dialect of text", masked(BINARY, b"{}"), UNSUPPORTED));
    story_of_faults(&[], &faults);
}

// Row 23. What is wrong is never echoed: `assert_closed` compares the whole close frame.
#[test]
fn a_control_frame_that_breaks_the_rules_is_not_echoed() {
    let mut faults = vec![
        ("a long ping", masked(PING, &[0; 126]), PROTOCOL_ERROR),
        ("a long close", masked(CLOSE, &[3; 126]), PROTOCOL_ERROR),
        ("a ping in fragments", masked(PING & 0x0f, b"x"), PROTOCOL_ERROR),
        (
            "a close in fragments",
            masked(CLOSE & 0x0f, &[3, 232]),
            PROTOCOL_ERROR,
        ),
        ("half a close code", masked(CLOSE, &[3]), PROTOCOL_ERROR),
        (
            "a reason that is no UTF-8",
            masked(CLOSE, b"\x03\xe8no \xff"),
            INVALID,
        ),
        (
            "a reason that ends inside a character",
            masked(CLOSE, b"\x03\xe8no \xe2\x82"),
            INVALID,
        ),
    ];
    let codes = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX];
    faults.extend(codes.map(|code| {
        (
            "a reserved code",
            masked(CLOSE, &code.to_be_bytes()),
            PROTOCOL_ERROR,
        )
    }));
    story_of_faults(&[], &faults);
}

// Rows 24 and 26.
#[test]
fn a_length_beyond_the_limit_is_refused_by_its_header() {
    let sum = |sizes: &[usize]| {
        let fragment = |(at, size): (usize, &usize)| {
            masked(if at == 0 { TEXT_BEGINS } else { CONTINUES }, &vec![b'x'; *size])
        };
        sizes.iter().enumerate().flat_map(fragment).collect::<Vec<u8>>()
    };
    let long = |length: u16, head: u8| [&[head, 0xfe][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat();
    story_of_faults(
        &["--message-bytes-max", "1000B"],
        &[
            ("2^62", announcing(TEXT, 1 << 62), TOO_BIG),
            ("2^32", announcing(TEXT, 1 << 32), TOO_BIG),
            ("the top bit", announcing(TEXT, 1 << 63), PROTOCOL_ERROR),
            ("every bit", announcing(TEXT, u64::MAX), PROTOCOL_ERROR),
            ("16 bits for 100", long(100, TEXT), PROTOCOL_ERROR),
            ("64 bits for 100", announcing(TEXT, 100), PROTOCOL_ERROR),
            ("64 bits for 65,535", announcing(TEXT, 65_535), PROTOCOL_ERROR),
            ("16 bits for a ping of 100", long(100, PING), PROTOCOL_ERROR),
            ("one byte too many", long(1_001, TEXT), TOO_BIG),
            ("a whole one", masked(TEXT, &[b' '; 1_001]), TOO_BIG),
            ("the sum of two", sum(&[600, 401]), TOO_BIG),
            ("the sum of many", sum(&[100; 11]), TOO_BIG),
            (
                "the sum as announced",
                [sum(&[600]), long(401, CONTINUES)].concat(),
                TOO_BIG,
            ),
        ],
    );
}

// Row 26: the limit itself is allowed.
#[test]
fn a_message_of_exactly_the_limit_is_taken_in_any_number_of_fragments() {
    story(&["--message-bytes-max", "1000B"], |server| {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let command = format!("{:<1000}", json!({"type": "ping", "id": 1}).to_string());
        for size in [1_000, 500, 1] {
            let pieces: Vec<_> = command.as_bytes().chunks(size).collect();
            for (at, piece) in pieces.iter().enumerate() {
                let opcode = if at == 0 { TEXT_BEGINS } else { CONTINUES };
                let ends = if at + 1 == pieces.len() { 0x80 } else { 0 };
                client.send(&masked(opcode | ends, piece));
            }
            client.expect("pong");
        }
    });
}

// Row 25.
#[test]
fn what_is_announced_and_not_sent_costs_nothing() {
    const COUNT: usize = 1_000;
    story(&["--shards", "1"], |server| {
        let mut clients: Vec<_> = (0..COUNT)
            .map(|_| Client::open_json(server.address, "/ws").0)
            .collect();
        let (mut last, _) = Client::open_json(server.address, "/ws");
        server.await_metrics(&[("fanfare_connections", COUNT as u64 + 1)]);
        let sizes = || (server.resident_bytes(), server.status_kib("VmData") << 10);
        let before = sizes();
        // A length that needs 17 bits, so that the header has 8 bytes for it: the longest that is allowed.
        for client in &mut clients {
            client.send(&announcing(TEXT, 65_536));
            client.send(b"x");
        }
        // Sockets are read in the order in which they became readable, so after the second answer all were.
        for id in 1..=2 {
            last.ask(json!({"type": "ping", "id": id}));
        }
        let after = sizes();
        // 64 MiB were announced.
        assert!(
            after.0.saturating_sub(before.0) < 4 << 20,
            "resident: {before:?} {after:?}"
        );
        assert!(
            after.1.saturating_sub(before.1) < 8 << 20,
            "reserved: {before:?} {after:?}"
        );
        server.await_metrics(&[("fanfare_connections", COUNT as u64 + 1)]);
    });
}

// Row 27: bounded by the sum; the bound in time has a story of its own.
#[test]
fn fragments_without_end_are_closed_at_the_sum() {
    story(&["--close-timeout", "200ms"], |server| {
        let mut bystanders = Bystanders::open(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        client.send(&masked(TEXT_BEGINS, b"{"));
        // One fragment more than the limit has kilobytes, the last of which is one byte too many.
        for _ in 0..63 {
            client.send(&masked(CONTINUES, &[b' '; 1_024]));
        }
        client.send(&masked(CONTINUES, &[b' '; 1_023]));
        client.send(&masked(PING, b"still open"));
        assert_eq!(client.frame().unwrap().first, PONG);
        client.send(&masked(CONTINUES, b" "));
        let ending = client.ending();
        assert_eq!((ending.code, ending.reason.as_str()), TOO_BIG);
        server.await_metrics(&[(&disconnects(TOO_BIG.0, TOO_BIG.1), 1)]);
        bystanders.assert_well();
    });
}

// Row 31.
#[test]
fn text_that_is_no_utf8_is_refused_as_soon_as_it_is_certain() {
    let unfinished = |payload: &[u8]| {
        let mut bytes = masked(TEXT, &[payload, &[b' '; 100][..]].concat());
        bytes.truncate(bytes.len() - 100);
        bytes
    };
    let in_two =
        |first: &[u8], second: &[u8]| [masked(TEXT_BEGINS, first), masked(CONTINUES, second)].concat();
    story_of_faults(
        &[],
        &[
            ("a lone byte", masked(TEXT, b"{\"\xff\"}"), INVALID),
            ("a surrogate", masked(TEXT, b"\xed\xa0\x80"), INVALID),
            ("overlong", masked(TEXT, b"\xc0\xaf"), INVALID),
            ("overlong in four", masked(TEXT, b"\xf0\x80\x80\xaf"), INVALID),
            ("beyond U+10FFFF", masked(TEXT, b"\xf4\x90\x80\x80"), INVALID),
            ("cut off at the end", masked(TEXT, b"\xe2\x82"), INVALID),
            // None of these is finished: the rest never comes.
            ("in the middle of a frame", unfinished(b"{\"\xff"), INVALID),
            ("in the first fragment", masked(TEXT_BEGINS, b"\xff"), INVALID),
            ("in the second fragment", in_two(b"{", b"\xff"), INVALID),
            ("across two fragments", in_two(b"\xe2", b"\x28"), INVALID),
            ("a surrogate across two", in_two(b"\xed", b"\xa0"), INVALID),
        ],
    );
}

// Row 36.
#[test]
fn what_comes_behind_a_close_frame_is_ignored() {
    story(&["--close-timeout", "1s"], |server| {
        let mut bystanders = Bystanders::open(server);
        let (mut listener, _) = Client::open_json(server.address, "/ws?topic=a");
        listener.expect("subscribed");
        let publish = json!({"type": "publish", "topic": "a", "data": "too late"}).to_string();
        let behind = [
            masked(TEXT, publish.as_bytes()),
            masked(CLOSE, &1001_u16.to_be_bytes()),
            masked(PING, b"x"),
            unmasked(0xff, b"not even a frame"),
        ]
        .concat();
        // The client closes.
        let (mut client, _) = Client::open_json(server.address, "/ws");
        client.send(&[masked(CLOSE, &1000_u16.to_be_bytes()), behind.clone()].concat());
        assert_eq!(client.ending().code, 1000);
        // The server closes.
        let (mut client, _) = Client::open_json(server.address, "/ws");
        client.send(&[masked(BINARY, b"x"), behind].concat());
        assert_eq!(client.ending().code, UNSUPPORTED.0);

        listener.send_json(json!({"type": "publish", "topic": "a", "data": "next"}));
        assert_eq!(listener.expect("message")["data"], "next");
        server.await_metrics(&[
            ("fanfare_closed_by_client_total", 1),
            (&disconnects(UNSUPPORTED.0, UNSUPPORTED.1), 1),
            (&disconnects(PROTOCOL_ERROR.0, PROTOCOL_ERROR.1), 0),
        ]);
        bystanders.assert_well();
    });
}

// Row 36.
#[test]
fn a_close_frame_without_an_answer_is_the_end_after_the_close_timeout() {
    story(&["--close-timeout", "500ms"], |server| {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        client.send(&masked(BINARY, b"x"));
        client.expect("goodbye");
        assert_eq!(client.frame().unwrap().first, CLOSE);
        let began = Instant::now();
        // It goes on talking, which is no answer.
        let talk = masked(TEXT, json!({"type": "ping"}).to_string().as_bytes());
        while std::io::Write::write_all(&mut client.stream, &talk).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(15), "it is still open");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(
            began.elapsed() >= Duration::from_millis(400),
            "{:?}",
            began.elapsed()
        );
        server.await_metrics(&[("fanfare_connections", 0)]);
    });
}

// Row 36: whoever broke the protocol is not read from any more, so its answer to the close frame is not waited for.
#[test]
fn whoever_broke_the_protocol_sees_the_close_frame_and_then_the_end() {
    // Nothing here ends by this timeout.
    story(
        &["--close-timeout", "1h", "--message-bytes-max", "1000B"],
        |server| {
            let mut bystanders = Bystanders::open(server);
            let much = masked(TEXT, &[b' '; 900]).repeat(1_000);
            let faults = [
                (unmasked(TEXT, b"{}"), PROTOCOL_ERROR),
                (masked(TEXT, b"\xff"), INVALID),
                (masked(TEXT, &[b' '; 1_001]), TOO_BIG),
                // What it goes on sending is read, for unread bytes would make of the end a reset that overtakes the frame.
                ([masked(PING, &[0; 126]), much].concat(), PROTOCOL_ERROR),
            ];
            for (bytes, (code, reason)) in faults {
                let (mut client, _) = Client::open_json(server.address, "/ws");
                client.send(&bytes);
                assert_eq!(client.expect("goodbye")["code"], code);
                let close = client.frame().unwrap();
                let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
                assert_eq!((close.first, close.payload), (CLOSE, payload));
                assert_eq!(client.frame(), None, "{code}");
                // It has a place here until it goes.
                bystanders.assert_well();
                server.await_metrics(&[("fanfare_connections", 3)]);
                drop(client);
                server.await_metrics(&[("fanfare_connections", 2)]);
            }
            // It may break the protocol when its close frame is written already.
            let (mut client, _) = Client::open_json(server.address, "/ws");
            client.send(&masked(BINARY, b"x"));
            assert_eq!(client.expect("goodbye")["code"], UNSUPPORTED.0);
            assert_eq!(client.frame().unwrap().first, CLOSE);
            client.send(&unmasked(TEXT, b"{}"));
            assert_eq!(client.frame(), None);
        },
    );
}
