//! Streams without faults and their items: the RFC's examples, and what masked clients send.

use super::decoded::Decoded;
use super::stream::masked_stream;
use fanfare_protocol::websocket::Role;

/// A stream without faults and its items.
pub(crate) struct Conversation {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) bytes: Vec<u8>,
    pub(crate) items: Vec<Decoded>,
}

pub(crate) fn conversations() -> Vec<Conversation> {
    let from_server = |name, bytes: &[u8], items| conversation(name, Role::Client, bytes, items);
    let from_client = |name, bytes: &[u8], items| conversation(name, Role::Server, bytes, items);
    let hello = || Decoded::Text("Hello".to_owned());
    let bytes: Vec<u8> = (0..=255).collect();
    let mut streams = vec![
        from_server("rfc: text", b"\x81\x05Hello", vec![hello()]),
        from_client(
            "rfc: masked text",
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
            vec![hello()],
        ),
        from_server("rfc: fragmented text", b"\x01\x03Hel\x80\x02lo", vec![hello()]),
        from_server(
            "rfc: ping",
            b"\x89\x05Hello",
            vec![Decoded::Ping(b"Hello".to_vec())],
        ),
        from_client(
            "rfc: masked pong",
            b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
            vec![Decoded::Pong(b"Hello".to_vec())],
        ),
        from_server(
            "rfc: 256 bytes",
            &[b"\x82\x7e\x01\x00".as_slice(), &bytes].concat(),
            vec![Decoded::Binary(bytes.clone())],
        ),
        from_server("nothing", b"", vec![]),
    ];
    streams.extend(masked_conversations());
    streams.extend(fragmented_conversations());
    streams
}

/// A stream too long for trying every cut of it.
pub(crate) fn rfc_example_of_64_kib() -> Conversation {
    let payload: Vec<u8> = (0..0x1_0000).map(|at| at as u8).collect();
    let bytes = [b"\x82\x7f\0\0\0\0\0\x01\0\0".as_slice(), &payload].concat();
    conversation(
        "rfc: 64 KiB",
        Role::Client,
        &bytes,
        vec![Decoded::Binary(payload)],
    )
}

fn masked_conversations() -> Vec<Conversation> {
    let masked =
        |name, frames: &[(u8, &[u8])], items| conversation(name, Role::Server, &masked_stream(frames), items);
    let text = |text: &str| Decoded::Text(text.to_owned());
    vec![
        masked(
            "everything empty",
            &[(0x81, b""), (0x82, b""), (0x89, b""), (0x8a, b""), (0x88, b"")],
            vec![
                text(""),
                Decoded::Binary(vec![]),
                Decoded::Ping(vec![]),
                Decoded::Pong(vec![]),
                Decoded::Close(None),
            ],
        ),
        masked(
            "several in a row",
            &[
                (0x81, b"one"),
                (0x82, &[0xff; 130]),
                (0x01, b"t"),
                (0x80, b"wo"),
                (0x81, b"three"),
            ],
            vec![
                text("one"),
                Decoded::Binary(vec![0xff; 130]),
                text("two"),
                text("three"),
            ],
        ),
        masked(
            "longest control frames",
            &[
                (0x89, &[7; 125]),
                (0x88, &[b"\x0f\xa0".as_slice(), &[b'x'; 123]].concat()),
            ],
            vec![
                Decoded::Ping(vec![7; 125]),
                Decoded::Close(Some((4000, "x".repeat(123)))),
            ],
        ),
        masked(
            "frames after a close",
            &[(0x88, b"\x03\xe8bye"), (0x81, b"late")],
            vec![Decoded::Close(Some((1000, "bye".to_owned()))), text("late")],
        ),
    ]
}

fn fragmented_conversations() -> Vec<Conversation> {
    vec![
        masked(
            "controls between fragments",
            &[
                (0x01, "gr\u{fc}".as_bytes()),
                (0x89, b"a"),
                (0x00, b""),
                (0x8a, b"b"),
                (0x80, "\u{df}e".as_bytes()),
            ],
            vec![
                Decoded::Ping(b"a".to_vec()),
                Decoded::Pong(b"b".to_vec()),
                text("gr\u{fc}\u{df}e"),
            ],
        ),
        masked(
            "characters cut by fragments",
            &[
                (0x01, b"\xf0"),
                (0x00, b"\x9f\x8e"),
                (0x89, b""),
                (0x00, b""),
                (0x80, b"\x89\xe2\x82\xac"),
            ],
            vec![Decoded::Ping(vec![]), text("\u{1f389}\u{20ac}")],
        ),
        masked(
            "only empty fragments",
            &[(0x02, b""), (0x00, b""), (0x80, b"")],
            vec![Decoded::Binary(vec![])],
        ),
    ]
}

fn masked(name: &'static str, frames: &[(u8, &[u8])], items: Vec<Decoded>) -> Conversation {
    conversation(name, Role::Server, &masked_stream(frames), items)
}

fn text(text: &str) -> Decoded {
    Decoded::Text(text.to_owned())
}

fn conversation(name: &'static str, role: Role, bytes: &[u8], items: Vec<Decoded>) -> Conversation {
    Conversation {
        name,
        role,
        bytes: bytes.to_vec(),
        items,
    }
}
