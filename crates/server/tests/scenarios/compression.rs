//! permessage-deflate (RFC 7692) in the hands of those who mean harm: offers, bombs, streams that are none, and what it
//! costs to have agreed on it.

use std::io::{Read as _, Write as _};

use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compress, FlushCompress};
use serde_json::{Value, json};

use crate::client::{CLOSE, Client, Frame, PING, PONG, TEXT, masked, upgrade_request};
use crate::process::Server;
use crate::story::{Bystanders, disconnects, story};

/// First bytes of a compressed text message: whole, and its first fragment.
const COMPRESSED: u8 = 0xc1;
const COMPRESSED_BEGINS: u8 = 0x41;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;

const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Opens a connection with an offer; gives what was agreed on.
fn offering(server: &Server, target: &str, offer: &str) -> (Client, Option<String>) {
    let mut client = Client::connect(server.address);
    let line = format!("Sec-WebSocket-Extensions: {offer}");
    client.send(upgrade_request(target, &[&line]).as_bytes());
    let response = client.response().expect("an answer");
    assert_eq!(response.status, 101, "{offer}");
    let agreed = response.header("sec-websocket-extensions").map(str::to_owned);
    (client, agreed)
}

/// A connection that agreed on compression.
fn agreed(server: &Server, target: &str) -> Client {
    let (client, agreed) = offering(server, target, "permessage-deflate");
    assert_eq!(agreed.as_deref(), Some(AGREED));
    client
}

/// The same, of the json dialect, welcomed.
fn agreed_json(server: &Server) -> Client {
    let mut client = agreed(server, "/ws");
    client.expect("welcome");
    client
}

/// The payload of a compressed message (section 7.2.1).
fn deflated(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.flush().unwrap();
    let mut bytes = encoder.get_ref().clone();
    assert!(bytes.ends_with(&[0, 0, 0xff, 0xff]));
    bytes.truncate(bytes.len() - 4);
    bytes
}

/// What a frame of the server says, compressed or not.
fn inflated(frame: &Frame) -> Value {
    if frame.first == TEXT {
        return serde_json::from_slice(&frame.payload).unwrap();
    }
    assert_eq!(frame.first, COMPRESSED);
    let stream = [&frame.payload[..], &[0, 0, 0xff, 0xff]].concat();
    let mut text = String::new();
    // The stream has no last block, so it ends where its bytes do.
    let _ = DeflateDecoder::new(&stream[..]).read_to_string(&mut text);
    serde_json::from_str(&text).unwrap()
}

/// Spaces, a thousand to a byte: in pieces that do not refer to each other, so that they can be repeated.
fn bomb(megabytes: usize) -> Vec<u8> {
    let mut piece = Vec::with_capacity(64 << 10);
    let mut deflate = Compress::new(flate2::Compression::best(), false);
    deflate
        .compress_vec(&vec![b' '; 1 << 20], &mut piece, FlushCompress::Full)
        .unwrap();
    piece.repeat(megabytes)
}

// Row 32: inflating stops at the limit.
#[test]
fn a_bomb_is_refused_at_the_limit_and_never_inflated() {
    story(
        &["--compression", "--shards", "1", "--close-timeout", "300ms"],
        |server| {
            let mut bystanders = Bystanders::open(server);
            // 60 MB each, and it is all within the limit for a message as it comes.
            let bomb = bomb(60);
            assert!(bomb.len() < 64 << 10, "{} bytes", bomb.len());
            let mut pieces: Vec<_> = bomb.chunks(1_000).map(|piece| masked(CONTINUES, piece)).collect();
            pieces[0][0] = COMPRESSED_BEGINS;
            let in_fragments = [pieces.join(&masked(PING, b"")[..]), masked(ENDS, b"")].concat();
            let before = server.status_kib("VmHWM");
            let whole = masked(COMPRESSED, &bomb);
            for bytes in [&whole, &in_fragments].repeat(10) {
                let mut client = agreed_json(server);
                client.send(bytes);
                let mut frame = client.frame().unwrap();
                while frame.first == PONG {
                    frame = client.frame().unwrap();
                }
                assert_eq!(inflated(&frame)["code"], 1009);
                let close = client.frame().unwrap();
                assert_eq!(
                    (close.first, &close.payload[..2]),
                    (CLOSE, &1009_u16.to_be_bytes()[..])
                );
            }
            bystanders.assert_well();
            let grown = server.status_kib("VmHWM") - before;
            assert!(grown < 2 << 10, "{grown} KiB at the worst moment");
            server.await_metrics(&[(&disconnects(1009, "message too big"), 20)]);
        },
    );
}

// Row 32: the limit itself is allowed, and one byte more is not.
#[test]
fn the_limit_is_that_of_the_inflated_message() {
    let arguments = ["--compression", "--message-bytes-max", "1000B"];
    story(&arguments, |server| {
        let command = json!({"type": "ping", "id": 1}).to_string();
        let mut client = agreed_json(server);
        client.send(&masked(
            COMPRESSED,
            &deflated(format!("{command:<1000}").as_bytes()),
        ));
        assert_eq!(client.expect("pong")["id"], 1);
        client.send(&masked(
            COMPRESSED,
            &deflated(format!("{command:<1001}").as_bytes()),
        ));
        assert_eq!(client.ending().code, 1009);
    });
}

// Row 33: no offer is an obstacle, and a bad one agrees on nothing.
#[test]
fn bad_offers_are_declined_and_the_connection_goes_without() {
    let name = "permessage-deflate";
    let of = |parameters: &str| format!("{name}; {parameters}");
    let mut declined: Vec<String> = [
        "0",
        "7",
        "16",
        "08",
        "-9",
        "1e1",
        "",
        "\"\"",
        "99999999999999999999",
    ]
    .iter()
    .flat_map(|bits| ["server", "client"].map(|side| of(&format!("{side}_max_window_bits={bits}"))))
    .collect();
    declined.extend([
        of("server_max_window_bits"),
        of("server_max_window_bits=9; server_max_window_bits=9"),
        of("client_max_window_bits; client_max_window_bits"),
        of("server_no_context_takeover; server_no_context_takeover"),
        of("server_no_context_takeover=1"),
        of("unknown"),
        of("unknown=\"x"),
        of(";"),
        "x-webkit-deflate-frame, bzip2; level=9".to_owned(),
        ",;=\"\\".to_owned(),
        "\u{e9}".to_owned(),
        of(&"unknown; ".repeat(1_500)),
        (of("no") + ", ").repeat(500),
    ]);
    story(&["--compression"], |server| {
        for offer in &declined {
            let (mut client, agreed) = offering(server, "/ws", offer);
            assert_eq!(agreed, None, "{offer}");
            client.expect("welcome");
            assert_eq!(client.ask(json!({"type": "ping"}))["type"], "pong");
        }
        // What was not agreed on may not be used.
        let (mut client, _) = offering(server, "/ws", &declined[0]);
        client.expect("welcome");
        client.send(&masked(COMPRESSED, &deflated(b"{}")));
        assert_eq!(client.ending().code, 1002);
        // Whatever stands before it, an offer that can be met is met.
        let offer = format!("{}, {name}", declined[0]);
        assert_eq!(offering(server, "/ws", &offer).1.as_deref(), Some(AGREED));
    });
}

/// A block without compression (RFC 1951, section 3.2.4).
fn stored(text: &[u8]) -> Vec<u8> {
    let length = (text.len() as u16).to_le_bytes();
    [&[0][..], &length, &length.map(|byte| !byte), text].concat()
}

// Row 34: the shapes that RFC 7692 shows in section 7.2.3, and some that it allows.
#[test]
fn legal_streams_of_any_shape_are_read() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let shapes: [(&str, Vec<u8>); 6] = [
        ("one block", hello.to_vec()),
        ("stored", [&stored(b"Hello")[..], &[0x00]].concat()),
        (
            "a final block inside",
            vec![0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        ),
        (
            "two blocks",
            vec![
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        ),
        (
            "an empty block behind",
            [&hello[..], &[0, 0, 0xff, 0xff, 0]].concat(),
        ),
        (
            "empty blocks before",
            [&[0, 0, 0, 0xff, 0xff].repeat(50)[..], &hello].concat(),
        ),
    ];
    story(&["--compression"], |server| {
        for (number, (what, payload)) in shapes.iter().enumerate() {
            let mut client = agreed(server, &format!("/ws?dialect=raw&topic=own-{number}"));
            client.send(&masked(COMPRESSED, payload));
            let echo = client.message().unwrap_or_else(|| panic!("{what}"));
            assert_eq!((echo.first, &*echo.payload), (TEXT, &b"Hello"[..]), "{what}");
            // Byte by byte as well, and nothing of a message is left for the next.
            let (last, first) = payload.split_last().unwrap();
            client.send(&masked(COMPRESSED_BEGINS, b""));
            for byte in first {
                client.send(&masked(CONTINUES, &[*byte]));
            }
            client.send(&masked(ENDS, &[*last]));
            assert_eq!(client.message().unwrap().payload, b"Hello", "{what}");
            assert_eq!(client.close(1000), 1000);
        }
    });
}

// Row 34.
#[test]
fn what_is_no_stream_of_deflate_is_invalid_data() {
    const INVALID: (u16, &str) = (1007, "invalid data");
    const PROTOCOL_ERROR: (u16, &str) = (1002, "protocol error");
    let long = deflated(
        json!({"type": "ping", "padding": "ab".repeat(400)})
            .to_string()
            .as_bytes(),
    );
    let begins = |bytes: &[u8]| masked(COMPRESSED_BEGINS, bytes);
    let whole = |bytes: &[u8]| masked(COMPRESSED, bytes);
    let mut flipped = long.clone();
    flipped[0] |= 0x06;
    let faults = [
        ("a reserved block type", whole(&flipped), INVALID),
        ("noise", whole(&[0xff; 50]), INVALID),
        // Block type 1, length 3, distance 1, with nothing before it.
        (
            "a distance beyond the window",
            whole(&[0x02, 0x02, 0x00]),
            INVALID,
        ),
        ("lengths that contradict", whole(&[0, 5, 0, 5, 0, b'x']), INVALID),
        ("cut off", whole(&long[..long.len() / 2]), INVALID),
        ("nothing", whole(b""), INVALID),
        (
            "no UTF-8 within",
            whole(&[&stored(b"\xff")[..], &[0]].concat()),
            INVALID,
        ),
        ("a ping", masked(PING | 0x40, b""), PROTOCOL_ERROR),
        (
            "each fragment says so",
            [begins(&long[..9]), masked(ENDS | 0x40, &long[9..])].concat(),
            PROTOCOL_ERROR,
        ),
        ("another bit", masked(COMPRESSED | 0x20, &long), PROTOCOL_ERROR),
    ];
    story(&["--compression", "--close-timeout", "1h"], |server| {
        let mut bystanders = Bystanders::open(server);
        for (what, bytes, (code, reason)) in &faults {
            let mut client = agreed_json(server);
            client.send(bytes);
            let ending = client.ending();
            assert_eq!((ending.code, ending.reason.as_str()), (*code, *reason), "{what}");
            // The decompressor is everyone's.
            let mut next = agreed_json(server);
            next.send(&whole(&long));
            next.expect("pong");
        }
        bystanders.assert_well();
        for (code, reason) in [INVALID, PROTOCOL_ERROR] {
            let count = faults.iter().filter(|(_, _, closed)| closed.0 == code).count();
            server.await_metrics(&[(&disconnects(code, reason), count as u64)]);
        }
    });
}

// Row 35: contexts are the server's and not the connections'.
#[test]
fn connections_that_agreed_on_compression_cost_no_more_than_others() {
    const COUNT: usize = 400;
    story(&["--compression", "--shards", "1"], |server| {
        let command = deflated(
            json!({"type": "ping", "padding": "ab".repeat(400)})
                .to_string()
                .as_bytes(),
        );
        let ping = masked(COMPRESSED, &command);
        let open = || {
            let mut client = agreed(server, "/ws?topic=a");
            client.expect("welcome");
            client.expect("subscribed");
            client.send(&ping);
            client.expect("pong");
            client
        };
        // Compressor and decompressor are made when they are first needed.
        let mut first = open();
        let publish = json!({"type": "publish", "topic": "a", "data": "ab".repeat(400)});
        first.send_json(publish.clone());
        assert_eq!(inflated(&first.message().unwrap())["type"], "message");
        let before = server.resident_bytes();
        let mut clients: Vec<_> = (0..COUNT).map(|_| open()).collect();
        let compressed = server.metric("fanfare_compressed_total");
        first.send_json(publish.clone());
        for client in &mut clients {
            let frame = client.message().unwrap();
            assert_eq!(frame.first, COMPRESSED);
            assert_eq!(inflated(&frame)["data"], publish["data"]);
        }
        server.await_metrics(&[("fanfare_compressed_total", compressed + 1)]);
        let each = server.resident_bytes().saturating_sub(before) / COUNT as u64;
        assert!(each < 4 << 10, "{each} bytes each");
    });
}
