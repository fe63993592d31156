//! What a decoder holds: nothing when idle, and never much more than it has received.

use super::stream::{MASK, RawFrame, masked_stream};
use fanfare_protocol::websocket::{Decoder, Item, Role};

const LIMIT: u32 = 64 * 1024 * 1024;

/// Feeds bytes that complete no item.
fn feed(decoder: &mut Decoder, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    assert_eq!(decoder.next(&mut bytes.as_mut_slice(), LIMIT), Ok(None));
}

fn header_announcing(first: u8, payload_bytes: u32) -> Vec<u8> {
    let length = u64::from(payload_bytes).to_be_bytes();
    [&[first, 0xff], length.as_slice(), &MASK].concat()
}

#[test]
fn idle_decoder_is_sixteen_bytes() {
    assert!(size_of::<Decoder>() <= 16);
}

#[test]
fn announced_length_allocates_nothing() {
    for first in [0x81, 0x82, 0x01, 0x02] {
        let mut decoder = Decoder::new(Role::Server);
        feed(&mut decoder, &header_announcing(first, LIMIT));
        feed(&mut decoder, b"\x37");
        assert!(!decoder.is_idle());
        assert!(
            decoder.bytes_held() < 1024,
            "holds {} bytes",
            decoder.bytes_held()
        );
    }
}

#[test]
fn empty_fragments_hold_nothing_more() {
    let mut decoder = Decoder::new(Role::Server);
    feed(&mut decoder, &masked_stream(&[(0x01, b"")]));
    let empty_fragments = masked_stream(&[(0x00, b"")]).repeat(10_000);
    feed(&mut decoder, &empty_fragments);
    assert!(
        decoder.bytes_held() < 1024,
        "holds {} bytes",
        decoder.bytes_held()
    );
}

#[test]
fn many_fragments_of_one_byte_hold_their_bytes_and_no_more() {
    const FRAGMENTS: usize = 65_536;
    let mut decoder = Decoder::new(Role::Server);
    feed(&mut decoder, &masked_stream(&[(0x02, b"a")]));
    for received in (1..FRAGMENTS).step_by(256) {
        assert!(decoder.is_message_open());
        assert!(
            decoder.bytes_held() <= 2 * received + 1024,
            "holds {} bytes of {received}",
            decoder.bytes_held()
        );
        feed(&mut decoder, &masked_stream(&[(0x00, b"a")]).repeat(256));
    }
    let mut last = masked_stream(&[(0x80, b"")]);
    let mut input = last.as_mut_slice();
    assert!(
        matches!(decoder.next(&mut input, LIMIT), Ok(Some(Item::Binary(bytes))) if bytes.len() > FRAGMENTS - 256)
    );
    assert!(!decoder.is_message_open());
}

#[test]
fn a_message_stays_open_across_control_frames() {
    let mut decoder = Decoder::new(Role::Server);
    feed(&mut decoder, &masked_stream(&[(0x01, b"a")])[..3]);
    assert!(!decoder.is_message_open(), "half a header is no message yet");
    feed(&mut decoder, &masked_stream(&[(0x01, b"a")])[3..]);
    let mut ping = masked_stream(&[(0x89, b"?")]);
    assert!(decoder.next(&mut ping.as_mut_slice(), LIMIT).unwrap().is_some());
    assert!(decoder.is_message_open());
}

#[test]
fn buffer_does_not_grow_beyond_the_limit() {
    const SMALL_LIMIT: u32 = 100_000;
    for first in [0x81, 0x82] {
        let mut bytes = Vec::new();
        RawFrame::masked(first, &vec![b'a'; SMALL_LIMIT as usize]).encode(&mut bytes);
        let (last, before) = bytes.split_last().unwrap();
        let mut decoder = Decoder::new(Role::Server);
        for piece in before.chunks(1_000) {
            assert_eq!(
                decoder.next(&mut piece.to_vec().as_mut_slice(), SMALL_LIMIT),
                Ok(None)
            );
            assert!(
                decoder.bytes_held() <= SMALL_LIMIT as usize + 512,
                "holds {} bytes",
                decoder.bytes_held()
            );
        }
        assert!(
            decoder
                .next(&mut [*last].as_mut_slice(), SMALL_LIMIT)
                .unwrap()
                .is_some()
        );
    }
}

#[test]
fn nothing_is_held_once_a_message_in_pieces_was_taken() {
    let bytes = masked_stream(&[(0x01, &[b'a'; 5_000]), (0x80, &[b'b'; 5_000])]);
    let (first, second) = bytes.split_at(6_000);
    let mut decoder = Decoder::new(Role::Server);
    feed(&mut decoder, first);
    let mut second = second.to_vec();
    let mut input = second.as_mut_slice();
    assert!(matches!(decoder.next(&mut input, LIMIT), Ok(Some(Item::Text(text))) if text.len() == 10_000));
    assert!(decoder.is_idle());
    assert_eq!(decoder.next(&mut input, LIMIT), Ok(None));
    assert_eq!(decoder.bytes_held(), 0);
}

#[test]
fn header_in_pieces_is_not_held_beyond_its_frame() {
    let bytes = masked_stream(&[(0x81, b"Hello")]);
    let mut decoder = Decoder::new(Role::Server);
    feed(&mut decoder, &bytes[..3]);
    let mut rest = bytes[3..].to_vec();
    assert_eq!(
        decoder.next(&mut rest.as_mut_slice(), LIMIT),
        Ok(Some(Item::Text("Hello")))
    );
    assert_eq!((decoder.is_idle(), decoder.bytes_held()), (true, 0));
}

#[test]
fn input_without_bytes_holds_nothing() {
    let mut decoder = Decoder::new(Role::Client);
    feed(&mut decoder, b"");
    assert_eq!((decoder.is_idle(), decoder.bytes_held()), (true, 0));
}
