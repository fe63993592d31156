//! Streams with one fault each, for every violation there is.

use super::stream::{MASK, MESSAGE_BYTES_MAX, masked_stream};
use fanfare_protocol::websocket::{Opcode, Role, Violation};

/// A stream whose last byte is the one that shows the fault.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) bytes: Vec<u8>,
    pub(crate) violation: Violation,
    pub(crate) close_code: u16,
}

pub(crate) fn faults() -> Vec<Fault> {
    [
        header_faults(),
        length_faults(),
        order_faults(),
        close_faults(),
        text_faults(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn header_faults() -> Vec<Fault> {
    let reserved_opcode = |opcode| Violation::ReservedOpcode { opcode };
    vec![
        fault("RSV1", b"\xc1", Violation::ReservedBits { bits: 0b100 }),
        fault("RSV2", b"\xa1", Violation::ReservedBits { bits: 0b010 }),
        fault("RSV3", b"\x91", Violation::ReservedBits { bits: 0b001 }),
        fault(
            "all reserved bits",
            b"\xf1",
            Violation::ReservedBits { bits: 0b111 },
        ),
        fault("reserved data opcode 3", b"\x83", reserved_opcode(3)),
        fault("reserved data opcode 7", b"\x87", reserved_opcode(7)),
        fault("reserved control opcode 11", b"\x8b", reserved_opcode(11)),
        fault("reserved control opcode 15", b"\x8f", reserved_opcode(15)),
        fault(
            "fragmented close",
            b"\x08",
            Violation::FragmentedControl {
                opcode: Opcode::Close,
            },
        ),
        fault(
            "fragmented ping",
            b"\x09",
            Violation::FragmentedControl { opcode: Opcode::Ping },
        ),
        fault(
            "fragmented pong",
            b"\x0a",
            Violation::FragmentedControl { opcode: Opcode::Pong },
        ),
        fault(
            "long ping",
            b"\x89\xfe",
            Violation::LongControl { opcode: Opcode::Ping },
        ),
        fault(
            "longer pong",
            b"\x8a\xff",
            Violation::LongControl { opcode: Opcode::Pong },
        ),
        fault(
            "long close",
            b"\x88\xfe",
            Violation::LongControl {
                opcode: Opcode::Close,
            },
        ),
        fault("unmasked text", b"\x81\x05", Violation::Unmasked),
        fault("unmasked ping without payload", b"\x89\x00", Violation::Unmasked),
        Fault {
            role: Role::Client,
            ..fault("masked text", b"\x81\x85", Violation::Masked)
        },
        Fault {
            role: Role::Client,
            ..fault("masked pong", b"\x8a\x80", Violation::Masked)
        },
    ]
}

fn length_faults() -> Vec<Fault> {
    let not_minimal = |payload_bytes| Violation::LengthNotMinimal { payload_bytes };
    let long = |message_bytes| Violation::LongMessage {
        message_bytes,
        message_bytes_max: MESSAGE_BYTES_MAX,
    };
    let second_fragment_too_long = {
        let first = masked_stream(&[(0x02, &vec![1; 65_000]), (0x89, b"?")]);
        [&first, b"\x80\xfe\x13\x89".as_slice(), &MASK].concat()
    };
    vec![
        fault("125 in two bytes", b"\x82\xfe\x00\x7d", not_minimal(125)),
        fault("0 in two bytes", b"\x81\xfe\x00\x00", not_minimal(0)),
        fault(
            "65535 in eight bytes",
            b"\x82\xff\0\0\0\0\0\0\xff\xff",
            not_minimal(65_535),
        ),
        fault("1 in eight bytes", b"\x82\xff\0\0\0\0\0\0\0\x01", not_minimal(1)),
        fault(
            "highest bit of the length",
            b"\x82\xff\x80\0\0\0\0\0\0\0",
            Violation::LengthOutOfRange {
                payload_bytes: 1 << 63,
            },
        ),
        fault(
            "one byte too long",
            b"\x82\xff\0\0\0\0\0\x01\x11\x71\x37\xfa\x21\x3d",
            long(70_001),
        ),
        fault(
            "longest length there is",
            b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x37\xfa\x21\x3d",
            long(u64::MAX >> 1),
        ),
        fault(
            "fragments too long together",
            &second_fragment_too_long,
            long(70_001),
        ),
    ]
}

fn order_faults() -> Vec<Fault> {
    let interrupted = |opcode| Violation::InterruptedMessage { opcode };
    let empty = b"\x80\x37\xfa\x21\x3d".as_slice();
    let after =
        |frames: &[(u8, &[u8])], first: u8| [&masked_stream(frames), [first].as_slice(), empty].concat();
    vec![
        fault(
            "continuation first",
            &after(&[], 0x80),
            Violation::UnexpectedContinuation,
        ),
        fault(
            "continuation, not final, first",
            &after(&[], 0x00),
            Violation::UnexpectedContinuation,
        ),
        fault(
            "continuation after a message",
            &after(&[(0x81, b"a")], 0x80),
            Violation::UnexpectedContinuation,
        ),
        fault(
            "continuation after the last fragment",
            &after(&[(0x01, b"a"), (0x80, b"b")], 0x80),
            Violation::UnexpectedContinuation,
        ),
        fault(
            "text inside a text",
            &after(&[(0x01, b"a")], 0x81),
            interrupted(Opcode::Text),
        ),
        fault(
            "binary inside a text",
            &after(&[(0x01, b"a"), (0x89, b"")], 0x02),
            interrupted(Opcode::Binary),
        ),
        fault(
            "text inside an empty binary",
            &after(&[(0x02, b"")], 0x01),
            interrupted(Opcode::Text),
        ),
    ]
}

fn close_faults() -> Vec<Fault> {
    let close = |name, payload: &[u8], violation| fault(name, &masked_stream(&[(0x88, payload)]), violation);
    vec![
        close("close of one byte", b"\x03", Violation::ShortClose),
        close("close with 999", b"\x03\xe7", Violation::CloseCode { code: 999 }),
        close(
            "close with 1005",
            b"\x03\xed",
            Violation::CloseCode { code: 1005 },
        ),
        close(
            "close with 1006 and a reason",
            b"\x03\xeebye",
            Violation::CloseCode { code: 1006 },
        ),
        close(
            "close with a wrong reason",
            b"\x03\xe8ok\xff",
            Violation::CloseReasonNotUtf8 { position: 2 },
        ),
        close(
            "close with a cut reason",
            b"\x03\xe8\xe2\x82",
            Violation::CloseReasonNotUtf8 { position: 0 },
        ),
    ]
}

fn text_faults() -> Vec<Fault> {
    let wrong = |position| Violation::TextNotUtf8 { position };
    let frames =
        |name, frames: &[(u8, &[u8])], position| fault(name, &masked_stream(frames), wrong(position));
    let cut_off = |name, payload: &[u8], position| {
        let mut bytes = masked_stream(&[(0x81, payload)]);
        bytes[1] = 0x80 + 100;
        fault(name, &bytes, wrong(position))
    };
    vec![
        frames("wrong last byte", &[(0x81, b"ab\xff")], 2),
        frames("character cut by the end", &[(0x81, b"abc\xe2\x82")], 3),
        frames(
            "character cut by the end of the last fragment",
            &[(0x01, b"a\xe2"), (0x80, b"\x82")],
            1,
        ),
        frames(
            "wrong in the last fragment",
            &[(0x01, b"a\xe2"), (0x89, b""), (0x80, b"\x82\xff")],
            1,
        ),
        cut_off("wrong byte in a frame cut off", b"\xff", 0),
        cut_off("overlong sequence in a frame cut off", b"abcdefgh\xe0\x80", 8),
        cut_off("surrogate in a frame cut off", b"\xce\xba\xed\xa0", 2),
        cut_off("beyond the last character in a frame cut off", b"\xf4\x90", 0),
        cut_off("continuation byte alone in a frame cut off", b"\xce\xba\x80", 2),
    ]
}

fn fault(name: &'static str, bytes: &[u8], violation: Violation) -> Fault {
    let close_code = match violation {
        Violation::LongMessage { .. } => 1009,
        Violation::TextNotUtf8 { .. } | Violation::CloseReasonNotUtf8 { .. } => 1007,
        _ => 1002,
    };
    Fault {
        name,
        role: Role::Server,
        bytes: bytes.to_vec(),
        violation,
        close_code,
    }
}
