//! Where a stream is cut must not matter: every cut of a stream gives what the whole gives.

use super::decoded::{Outcome, decode};
use super::stream::{MESSAGE_BYTES_MAX, pieces};
use super::{conversations, faults};
use fanfare_protocol::websocket::Role;

struct Stream {
    name: &'static str,
    role: Role,
    bytes: Vec<u8>,
}

/// The streams written by hand; those with faults have bytes behind them, which must not be looked at.
fn streams() -> Vec<Stream> {
    let conversations = conversations::conversations().into_iter();
    let conversations = conversations.map(|stream| Stream {
        name: stream.name,
        role: stream.role,
        bytes: stream.bytes,
    });
    let faults = faults::faults().into_iter().map(|fault| {
        let bytes = [&fault.bytes, b"\x81\x80after".as_slice()].concat();
        Stream {
            name: fault.name,
            role: fault.role,
            bytes,
        }
    });
    conversations.chain(faults).collect()
}

fn short_streams(bytes_max: usize) -> Vec<Stream> {
    let mut streams = streams();
    streams.retain(|stream| stream.bytes.len() <= bytes_max);
    assert!(streams.len() > 30);
    streams
}

fn whole(stream: &Stream) -> Outcome {
    decode(stream.role, [stream.bytes.as_slice()], MESSAGE_BYTES_MAX)
}

#[test]
fn one_cut_anywhere_changes_nothing() {
    for stream in short_streams(1_000) {
        for cut in 0..=stream.bytes.len() {
            let outcome = decode(stream.role, pieces(&stream.bytes, &[cut]), MESSAGE_BYTES_MAX);
            assert_eq!(outcome, whole(&stream), "{} cut at {cut}", stream.name);
        }
    }
}

#[test]
fn two_cuts_anywhere_change_nothing() {
    for stream in short_streams(60) {
        for first in 0..=stream.bytes.len() {
            for second in first..=stream.bytes.len() {
                let outcome = decode(
                    stream.role,
                    pieces(&stream.bytes, &[first, second]),
                    MESSAGE_BYTES_MAX,
                );
                assert_eq!(
                    outcome,
                    whole(&stream),
                    "{} cut at {first} and {second}",
                    stream.name
                );
            }
        }
    }
}

#[test]
fn single_bytes_change_nothing() {
    for stream in streams() {
        let outcome = decode(stream.role, stream.bytes.chunks(1), MESSAGE_BYTES_MAX);
        assert_eq!(outcome, whole(&stream), "{} byte by byte", stream.name);
    }
}

#[test]
fn long_message_in_pieces_of_any_size_is_whole() {
    let stream = conversations::rfc_example_of_64_kib();
    for piece_bytes in [1, 2, 3, 7, 8, 13, 1_448, 16_384, 65_545] {
        let outcome = decode(stream.role, stream.bytes.chunks(piece_bytes), MESSAGE_BYTES_MAX);
        assert_eq!(outcome.items, stream.items, "pieces of {piece_bytes} bytes");
    }
}
