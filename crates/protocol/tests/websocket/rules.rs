//! What each stream written by hand becomes when it arrives in one piece, and what the encoders write.

use super::decoded::{Decoded, Outcome, decode};
use super::stream::{MESSAGE_BYTES_MAX, RawFrame, masked_stream};
use super::{conversations, faults};
use fanfare_protocol::websocket::{Decoder, Item, Opcode, Role, Violation};
use fanfare_protocol::websocket::{encode_close, encode_frame, encode_header, encode_masked_frame};

#[test]
fn conversations_become_their_items() {
    for stream in conversations::conversations()
        .into_iter()
        .chain([conversations::rfc_example_of_64_kib()])
    {
        let outcome = decode(stream.role, [stream.bytes.as_slice()], MESSAGE_BYTES_MAX);
        let expected = Outcome {
            items: stream.items,
            violation: None,
            is_idle: true,
        };
        assert_eq!(outcome, expected, "{}", stream.name);
    }
}

#[test]
fn faults_are_told_with_their_close_code() {
    for stream in faults::faults() {
        let outcome = decode(stream.role, [stream.bytes.as_slice()], MESSAGE_BYTES_MAX);
        let violation = outcome
            .violation
            .unwrap_or_else(|| panic!("{}: not noticed", stream.name));
        assert_eq!(
            (violation, violation.close_code()),
            (stream.violation, stream.close_code),
            "{}",
            stream.name
        );
    }
}

#[test]
fn faults_are_told_with_the_byte_that_shows_them_and_not_before() {
    for stream in faults::faults() {
        let before = &stream.bytes[..stream.bytes.len() - 1];
        let outcome = decode(stream.role, [before], MESSAGE_BYTES_MAX);
        assert_eq!(outcome.violation, None, "{}", stream.name);
    }
}

#[test]
fn items_before_a_fault_are_delivered() {
    for fault in faults::faults()
        .into_iter()
        .filter(|fault| fault.role == Role::Server)
    {
        let bytes = [masked_stream(&[(0x81, b"before"), (0x89, b"ping")]), fault.bytes].concat();
        let outcome = decode(Role::Server, [bytes.as_slice()], MESSAGE_BYTES_MAX);
        assert_eq!(outcome.violation, Some(fault.violation), "{}", fault.name);
        let before = [
            Decoded::Text("before".to_owned()),
            Decoded::Ping(b"ping".to_vec()),
        ];
        assert_eq!(outcome.items[..2], before, "{}", fault.name);
    }
}

#[test]
fn violations_name_value_rule_and_way_out() {
    let violation = Violation::LongMessage {
        message_bytes: 70_001,
        message_bytes_max: 70_000,
    };
    assert_eq!(
        violation.to_string(),
        "message is at least 70001 bytes, limit is 70000, send smaller messages"
    );
    let violation = Violation::ReservedBits { bits: 0b100 };
    assert_eq!(
        violation.to_string(),
        "frame has reserved bits 0b100 set that mean nothing here, clear them"
    );
}

#[test]
fn every_byte_of_a_whole_frame_is_handed_out_in_place() {
    let mut bytes = masked_stream(&[(0x81, b"in place")]);
    let payload = bytes.as_ptr_range().end.wrapping_sub(8);
    let mut decoder = Decoder::new(Role::Server);
    let mut input = bytes.as_mut_slice();
    let Ok(Some(Item::Text(text))) = decoder.next(&mut input, 100) else {
        panic!("no text")
    };
    assert_eq!((text, text.as_ptr()), ("in place", payload));
    assert_eq!(decoder.bytes_held(), 0);
}

#[test]
fn message_of_exactly_the_limit_is_accepted() {
    for frames in [
        vec![(0x82, [1; 100].as_slice())],
        vec![(0x02, &[1; 60]), (0x00, &[]), (0x80, &[1; 40])],
    ] {
        let bytes = masked_stream(&frames);
        let outcome = decode(Role::Server, [bytes.as_slice()], 100);
        assert_eq!(outcome.items, [Decoded::Binary(vec![1; 100])]);
    }
}

#[test]
fn control_frames_do_not_count_towards_the_limit() {
    let bytes = masked_stream(&[(0x02, b"12"), (0x89, &[0; 125]), (0x80, b"34")]);
    let outcome = decode(Role::Server, [bytes.as_slice()], 4);
    assert_eq!(
        outcome.items,
        [Decoded::Ping(vec![0; 125]), Decoded::Binary(b"1234".to_vec())]
    );
}

#[test]
fn encoders_write_the_examples_of_the_rfc() {
    let mut out = Vec::new();
    encode_frame(Opcode::Text, b"Hello", &mut out);
    assert_eq!(out, b"\x81\x05Hello");

    out.clear();
    encode_masked_frame(Opcode::Pong, b"Hello", [0x37, 0xfa, 0x21, 0x3d], &mut out);
    assert_eq!(out, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

    out.clear();
    encode_header(Opcode::Binary, 256, &mut out);
    assert_eq!(out, b"\x82\x7e\x01\x00");

    out.clear();
    encode_header(Opcode::Binary, 65_536, &mut out);
    assert_eq!(out, b"\x82\x7f\0\0\0\0\0\x01\0\0");

    out.clear();
    encode_close(1001, "bye", &mut out);
    assert_eq!(out, b"\x88\x05\x03\xe9bye");
}

#[test]
fn lengths_are_encoded_in_their_shortest_form() {
    for length in [0, 1, 125, 126, 127, 128, 65_534, 65_535, 65_536, 65_537] {
        let mut encoded = Vec::new();
        encode_masked_frame(
            Opcode::Binary,
            &vec![9; length],
            super::stream::MASK,
            &mut encoded,
        );
        let mut expected = Vec::new();
        RawFrame::masked(0x82, &vec![9; length]).encode(&mut expected);
        assert_eq!(encoded, expected, "length {length}");
    }
}
