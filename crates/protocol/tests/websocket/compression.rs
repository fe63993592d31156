//! Compressed messages: the shapes of RFC 7692, wrong ones, bombs, and what another implementation of deflate makes of
//! ours and we of its.

use super::decoded::{Decoded, Outcome};
use super::stream::{MESSAGE_BYTES_MAX, masked_stream, pieces};
use fanfare_protocol::websocket::{
    Agreement, DEFLATE_WINDOW_BITS, Decoder, Deflater, Inflater, Opcode, Role, Violation, encode_frame,
};
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params,
};
use proptest::prelude::*;

/// First bytes of frames: a whole compressed text or binary message, the first part of one, and what may follow.
const TEXT: u8 = 0xc1;
const BINARY: u8 = 0xc2;
const TEXT_BEGINS: u8 = 0x41;
const BINARY_BEGINS: u8 = 0x42;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;

/// What a sender takes off the end of a message, and a final block behind it, for readers that want one.
const ENDING: &[u8] = b"\x00\x00\xff\xff\x01\x00\x00\xff\xff";

/// "Hello" as one block.
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";

fn decode(bytes: &[u8], cuts: &[usize], message_bytes_max: u32) -> (Outcome, Inflater) {
    let (mut decoder, mut inflater) = (Decoder::new(Role::Server), Inflater::default());
    let (mut items, mut violation) = (Vec::new(), None);
    'pieces: for piece in pieces(bytes, cuts) {
        let mut piece = piece.to_vec();
        let mut input = piece.as_mut_slice();
        loop {
            match decoder.next_inflating(&mut input, message_bytes_max, &mut inflater) {
                Ok(Some(item)) => items.push(Decoded::from(item)),
                Ok(None) => break,
                Err(wrong) => {
                    violation = Some(wrong);
                    break 'pieces;
                }
            }
        }
    }
    let is_idle = violation.is_none() && decoder.is_idle();
    let outcome = Outcome {
        items,
        violation,
        is_idle,
    };
    (outcome, inflater)
}

fn items(frames: &[(u8, &[u8])]) -> Result<Vec<Decoded>, Violation> {
    let (outcome, _) = decode(&masked_stream(frames), &[], MESSAGE_BYTES_MAX);
    outcome.violation.map_or(Ok(outcome.items), Err)
}

fn text(text: &str) -> Decoded {
    Decoded::Text(text.to_owned())
}

/// What miniz, a client without takeover, makes of a message.
fn compressed(message: &[u8], level: i32) -> Vec<u8> {
    let mut state = CompressorOxide::new(create_comp_flags_from_zip_params(level, -15, 0));
    let mut out = Vec::new();
    compress_to_output(&mut state, message, TDEFLFlush::Sync, |bytes| {
        out.extend_from_slice(bytes);
        true
    });
    assert!(out.ends_with(&ENDING[..4]));
    out.truncate(out.len() - 4);
    out
}

/// What miniz reads in a compressed message.
fn inflated(message: &[u8]) -> Vec<u8> {
    miniz_oxide::inflate::decompress_to_vec(&[message, ENDING].concat()).expect("miniz reads it")
}

/// A name, the bytes of a client, and what they say.
type Shape = (&'static str, Vec<u8>, Vec<Decoded>);

fn shape(name: &'static str, frames: &[(u8, &[u8])], items: Vec<Decoded>) -> Shape {
    (name, masked_stream(frames), items)
}

/// The legal shapes of section 7.2.3.
fn shapes() -> Vec<Shape> {
    let hello = || vec![text("Hello")];
    vec![
        shape("one block", &[(TEXT, HELLO)], hello()),
        shape(
            "a block without compression",
            &[(TEXT, b"\x00\x05\x00\xfa\xffHello\x00")],
            hello(),
        ),
        shape(
            "a final block",
            &[(TEXT, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00")],
            hello(),
        ),
        shape(
            "a final block alone",
            &[(TEXT, b"\xf3\x48\xcd\xc9\xc9\x07\x00")],
            hello(),
        ),
        shape(
            "final blocks in a row",
            &[(
                TEXT,
                b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
            )],
            vec![text("HelloHello")],
        ),
        shape(
            "two blocks",
            &[(TEXT, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")],
            hello(),
        ),
        shape(
            "nothing",
            &[(TEXT, b"\x00"), (BINARY, b"\x00")],
            vec![text(""), Decoded::Binary(vec![])],
        ),
        shape(
            "messages that are not compressed",
            &[(0x81, b"a"), (TEXT, HELLO), (0x01, b"b"), (0x80, b"c")],
            vec![text("a"), text("Hello"), text("bc")],
        ),
    ]
}

/// The same in several frames.
fn shapes_in_fragments() -> Vec<Shape> {
    let hello = || vec![text("Hello")];
    vec![
        shape(
            "fragments",
            &[(TEXT_BEGINS, &HELLO[..3]), (ENDS, &HELLO[3..])],
            hello(),
        ),
        shape(
            "a ping between fragments",
            &[
                (TEXT_BEGINS, &HELLO[..1]),
                (0x89, b"p"),
                (CONTINUES, &HELLO[1..6]),
                (ENDS, &HELLO[6..]),
            ],
            vec![Decoded::Ping(b"p".to_vec()), text("Hello")],
        ),
        shape(
            "an empty last fragment",
            &[(TEXT_BEGINS, HELLO), (ENDS, b"")],
            hello(),
        ),
        shape(
            "an empty block as last fragment",
            &[
                (BINARY_BEGINS, b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff"),
                (ENDS, b"\x00"),
            ],
            vec![Decoded::Binary(b"Hello".to_vec())],
        ),
    ]
}

#[test]
fn every_legal_shape_is_inflated_wherever_it_is_cut() {
    for (name, bytes, items) in shapes().into_iter().chain(shapes_in_fragments()) {
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let (outcome, _) = decode(&bytes, &[first, second], MESSAGE_BYTES_MAX);
                let expected = Outcome {
                    items: items.clone(),
                    violation: None,
                    is_idle: true,
                };
                assert_eq!(outcome, expected, "{name} cut at {first} and {second}");
            }
        }
    }
}

#[test]
fn what_is_no_whole_deflate_stream_is_refused() {
    let too_far = b"\x02\x08\x3f\x00".as_slice();
    let wrong: [(&str, &[u8]); 9] = [
        ("no block at all", b""),
        ("a reserved kind of block", b"\x06"),
        (
            "a block without compression whose lengths disagree",
            b"\x00\x05\x00\x00\x00Hello",
        ),
        ("a block that is cut off", &HELLO[..4]),
        (
            "a block without compression that is cut off",
            b"\x00\x05\x00\xfa\xffHe",
        ),
        (
            "a long block without compression that is cut off",
            b"\x00\x64\x00\x9b\xffHe",
        ),
        ("a distance beyond the beginning", too_far),
        ("a table that is none", b"\xfc\xff\xff\xff\xff\xff"),
        ("noise behind a final block", b"\xf3\x48\xcd\xc9\xc9\x07\x00\x07"),
    ];
    for (name, payload) in wrong {
        assert_eq!(items(&[(TEXT, payload)]), Err(Violation::NotInflatable), "{name}");
        assert_eq!(
            items(&[(BINARY_BEGINS, payload), (ENDS, b"")]),
            Err(Violation::NotInflatable),
            "{name}"
        );
    }
    assert_eq!(Violation::NotInflatable.close_code(), 1007);
}

#[test]
fn text_is_checked_after_inflating() {
    let payload = compressed(b"abc\xff", 6);
    assert_eq!(
        items(&[(TEXT, &payload)]),
        Err(Violation::TextNotUtf8 { position: 3 })
    );
    assert_eq!(
        items(&[(BINARY, &payload)]),
        Ok(vec![Decoded::Binary(b"abc\xff".to_vec())])
    );
}

#[test]
fn no_message_sees_an_earlier_one() {
    // The second refers five bytes back, where the first one stood.
    let (outcome, _) = decode(
        &masked_stream(&[(TEXT, HELLO), (TEXT, b"\x02\x13\x00\x00")]),
        &[],
        MESSAGE_BYTES_MAX,
    );
    assert_eq!(outcome.items, [text("Hello")]);
    assert_eq!(outcome.violation, Some(Violation::NotInflatable));
}

#[test]
fn an_inflater_forgets_a_message_that_failed() {
    let mut inflater = Inflater::default();
    let long = compressed(&noise(1_000), 6);
    for failing in [&long, &HELLO[..4], b"\x06", b"\x00\x64\x00\x9b\xffHe"] {
        for (payload, is_good) in [(failing, false), (HELLO, true)] {
            let mut bytes = masked_stream(&[(TEXT, payload)]);
            let mut decoder = Decoder::new(Role::Server);
            let next = decoder.next_inflating(&mut bytes.as_mut_slice(), 100, &mut inflater);
            assert_eq!(next.is_ok(), is_good, "{failing:?}");
        }
    }
}

#[test]
fn the_compressed_bit_has_its_place() {
    let bits = |bits| Err(Violation::ReservedBits { bits });
    assert_eq!(
        items(&[(TEXT_BEGINS, HELLO), (0xc0, b"")]),
        bits(0b100),
        "continuation"
    );
    assert_eq!(items(&[(0x01, b"a"), (0xc0, HELLO)]), bits(0b100), "continuation");
    for control in [0xc8, 0xc9, 0xca] {
        assert_eq!(items(&[(control, b"")]), bits(0b100), "{control:x}");
    }
    assert_eq!(items(&[(0xe1, HELLO)]), bits(0b010), "second bit");
    assert_eq!(items(&[(0xd1, HELLO)]), bits(0b001), "third bit");
    let plain = super::decoded::decode(
        Role::Server,
        [masked_stream(&[(TEXT, HELLO)]).as_slice()],
        MESSAGE_BYTES_MAX,
    );
    assert_eq!(
        plain.violation,
        Some(Violation::ReservedBits { bits: 0b100 }),
        "nothing agreed on"
    );
}

#[test]
fn bombs_are_defused_at_the_limit() {
    const LIMIT: u32 = 1 << 20;
    let bomb = compressed(&vec![0; 64 << 20], 9);
    assert!(bomb.len() < (64 << 20) / 900);
    let halves = bomb.split_at(bomb.len() / 2);
    let fragments: Vec<(u8, &[u8])> = bomb.chunks(100).map(|piece| (CONTINUES, piece)).collect();
    let many = [
        &[(TEXT_BEGINS, b"".as_slice())],
        fragments.as_slice(),
        &[(ENDS, b"")],
    ]
    .concat();
    for frames in [
        vec![(BINARY, bomb.as_slice())],
        vec![(BINARY_BEGINS, halves.0), (ENDS, halves.1)],
        many,
    ] {
        let (outcome, inflater) = decode(&masked_stream(&frames), &[], LIMIT);
        assert!(
            matches!(outcome.violation, Some(wrong @ Violation::LongMessage { .. }) if wrong.close_code() == 1009),
            "{:?}",
            outcome.violation
        );
        assert!(
            inflater.bytes_held() <= LIMIT as usize + 4096,
            "{}",
            inflater.bytes_held()
        );
    }
}

#[test]
fn the_limit_is_for_what_is_inflated_and_for_what_came() {
    for limit in [1, 100, 4_095, 4_096, 5_000, 65_536, 100_000] {
        let message = |bytes: u32| vec![b'a'; bytes as usize];
        let fits = masked_stream(&[(TEXT, &compressed(&message(limit), 6))]);
        let (outcome, inflater) = decode(&fits, &[], limit.max(20));
        assert_eq!(outcome.violation, None, "{limit}");
        assert!(
            inflater.bytes_held() <= (limit as usize + 1).max(4_096),
            "{limit}"
        );
    }
    let long = masked_stream(&[(TEXT, &compressed(&[b'a'; 101], 6))]);
    assert_eq!(
        decode(&long, &[], 100).0.violation,
        Some(Violation::LongMessage {
            message_bytes: 101,
            message_bytes_max: 100
        })
    );
    let announced = masked_stream(&[(TEXT_BEGINS, &[0; 60]), (ENDS, &[0; 60])]);
    assert_eq!(
        decode(&announced[..72], &[3], 100).0.violation,
        Some(Violation::LongMessage {
            message_bytes: 120,
            message_bytes_max: 100
        })
    );
}

#[test]
fn a_message_that_stops_in_the_middle_holds_what_came_and_no_inflater() {
    let bytes = masked_stream(&[(BINARY_BEGINS, &compressed(&noise(10_000), 6)[..5_000])]);
    let (mut decoder, mut inflater) = (Decoder::new(Role::Server), Inflater::default());
    for mut piece in bytes.chunks(1_000).map(<[u8]>::to_vec) {
        let next = decoder.next_inflating(&mut piece.as_mut_slice(), 1 << 20, &mut inflater);
        assert_eq!(next, Ok(None));
    }
    assert!(
        decoder.bytes_held() <= 2 * bytes.len() + 512,
        "{}",
        decoder.bytes_held()
    );
    assert_eq!(inflater.bytes_held(), 0);
}

#[test]
fn a_long_message_is_not_kept() {
    let bytes = masked_stream(&[(TEXT, &compressed(&vec![b'a'; 1 << 20], 6))]);
    let (outcome, inflater) = decode(&bytes, &[], 1 << 20);
    assert_eq!(outcome.items.len(), 1);
    assert!(inflater.bytes_held() <= 64 << 10, "{}", inflater.bytes_held());
    assert_eq!(Inflater::default().bytes_held(), 0);
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(opcode, payload, &mut bytes);
    bytes
}

/// The only frame in `bytes`: its first byte and its payload, read without the codec.
fn only_frame(bytes: &[u8]) -> (u8, &[u8]) {
    let (length, start) = match bytes[1] {
        126 => (u16::from_be_bytes([bytes[2], bytes[3]]) as usize, 4),
        127 => (
            u32::from_be_bytes([bytes[6], bytes[7], bytes[8], bytes[9]]) as usize,
            10,
        ),
        length => (length as usize, 2),
    };
    assert_eq!(bytes.len(), start + length);
    (bytes[0], &bytes[start..])
}

#[test]
fn frames_are_compressed_behind_others_and_each_on_its_own() {
    let message = "so much ado about nothing, ".repeat(20);
    let mut deflater = Deflater::default();
    let mut alone = frame(Opcode::Text, message.as_bytes());
    assert!(deflater.compress_frame(&mut alone, 0));
    let (first, payload) = only_frame(&alone);
    assert_eq!((first, inflated(payload)), (TEXT, message.clone().into_bytes()));
    assert!(alone.len() < message.len() / 4);

    let mut behind = [b"before".as_slice(), &frame(Opcode::Text, message.as_bytes())].concat();
    assert!(deflater.compress_frame(&mut behind, 6));
    assert_eq!(behind, [b"before".as_slice(), &alone].concat());
}

/// Bytes that no compressor finds anything in.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn what_would_not_get_shorter_stays() {
    let mut deflater = Deflater::default();
    let noise = noise(100_000);
    for length in [0, 1, 2, 5, 300, 100_000] {
        let plain = frame(Opcode::Binary, &noise[..length]);
        let mut bytes = plain.clone();
        assert!(!deflater.compress_frame(&mut bytes, 0), "{length}");
        assert_eq!(bytes, plain);
    }
    for bytes in [frame(Opcode::Ping, &[0; 100]), vec![0x81], vec![]] {
        assert!(!deflater.compress_frame(&mut bytes.clone(), 0), "{bytes:?}");
    }
}

#[test]
fn the_window_is_no_larger_than_agreed_on() {
    let compressed_bytes = |piece: &[u8]| {
        let mut bytes = frame(Opcode::Text, &[piece, piece].concat());
        assert!(Deflater::default().compress_frame(&mut bytes, 0));
        bytes.len()
    };
    let window = 1 << DEFLATE_WINDOW_BITS;
    let piece: Vec<u8> = noise(2 * window).iter().map(|byte| byte % 64).collect();
    let (within, beyond) = (&piece[..window / 2], &piece[..window + 100]);
    assert!(
        compressed_bytes(within) < within.len() * 9 / 8 + 100,
        "repeats are found in the window"
    );
    assert!(
        compressed_bytes(beyond) > beyond.len() * 12 / 8,
        "and not beyond it"
    );
}

/// Bytes with something to find for a compressor.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (any::<u8>(), 0..20_000_usize).prop_map(|(byte, length)| vec![byte; length]),
        "[a-e ]{0,400}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_is_offered_the_answer_is_one_of_ours(
        words in prop::collection::vec(
            prop_oneof![
                4 => prop::sample::select(vec![
                    "permessage-deflate", "server_max_window_bits", "client_max_window_bits",
                    "server_no_context_takeover", ";", ";", ",", "=", "=", "\"", "\\", " ", "8", "12", "15", "16",
                ]).prop_map(str::to_owned),
                1 => any::<String>(),
            ],
            0..30,
        ),
    ) {
        let header = words.concat();
        if let Some(agreement) = Agreement::negotiate([header.as_bytes()]) {
            let answer = agreement.to_string();
            prop_assert!(header.contains("permessage-deflate"));
            let again = Agreement::negotiate([answer.as_bytes()]).map(|again| again.to_string());
            prop_assert_eq!(again, Some(answer));
        }
    }

    #[test]
    fn what_miniz_compresses_is_read(
        message in message(),
        level in 0..=9,
        cuts in prop::collection::vec(0..2_000_usize, 0..4),
        fragments in prop::collection::vec(0..2_000_usize, 0..4),
    ) {
        let payload = compressed(&message, level);
        let mut parts: Vec<(u8, &[u8])> = pieces(&payload, &fragments)
            .into_iter()
            .map(|part| (CONTINUES, part))
            .collect();
        parts.first_mut().unwrap().0 = BINARY_BEGINS;
        parts.last_mut().unwrap().0 |= ENDS;
        let (outcome, _) = decode(&masked_stream(&parts), &cuts, 100_000);
        prop_assert_eq!(outcome.violation, None);
        prop_assert_eq!(outcome.items, [Decoded::Binary(message)]);
    }

    #[test]
    fn what_is_compressed_miniz_reads(messages in prop::collection::vec(message(), 1..4)) {
        let mut deflater = Deflater::default();
        for message in messages {
            let plain = frame(Opcode::Binary, &message);
            let mut bytes = plain.clone();
            if deflater.compress_frame(&mut bytes, 0) {
                prop_assert!(bytes.len() < plain.len());
                let (first, payload) = only_frame(&bytes);
                prop_assert_eq!((first, inflated(payload)), (BINARY, message));
            } else {
                prop_assert_eq!(bytes, plain);
            }
        }
    }

    #[test]
    fn noise_is_judged_and_nothing_grows(
        payload in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            (message(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(message, at, bits)| {
                let mut payload = compressed(&message, 6);
                *at.get_mut(&mut payload) ^= bits;
                payload
            }),
        ],
    ) {
        let (outcome, inflater) = decode(&masked_stream(&[(BINARY, &payload)]), &[], 5_000);
        prop_assert!(inflater.bytes_held() <= 5_001);
        prop_assert_eq!(outcome.items.len(), usize::from(outcome.violation.is_none()));
    }
}
