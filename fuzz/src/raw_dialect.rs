//! `raw_dialect`: a message through the dialect `raw`, from a client's frame to a subscriber's.
//!
//! The first byte chooses text or binary and how often the payload is repeated, the next four are the mask, the rest
//! is the payload. Checked: what comes out is what went in, byte for byte and of the same kind.

use fanfare_protocol::dialect::{Dialect, Direct};
use fanfare_protocol::websocket::{Decoder, Opcode, Role, encode_masked_frame};
use fanfare_protocol::{Draft, Payload, Position, Publication, Timestamp, TopicName, Verb};

use crate::bounds::bounded;
use crate::decoded::Decoded;
use crate::stream::only_item;

/// How often a payload is repeated: enough to need every form of a frame's length.
const TIMES: [usize; 4] = [1, 2, 30, 1_000];

const PAYLOAD_BYTES_MAX: usize = 200_000;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((&[choice, mask @ ..], payload)) = bytes.split_first_chunk::<5>() else {
        return;
    };
    let times = TIMES[usize::from(choice >> 1) % TIMES.len()];
    if payload.len() * times > PAYLOAD_BYTES_MAX {
        return;
    }
    let opcode = if choice & 1 == 0 {
        Opcode::Text
    } else {
        Opcode::Binary
    };
    bounded(24 * payload.len() * times + (16 << 10), || {
        check(opcode, &payload.repeat(times), mask);
    });
}

fn check(opcode: Opcode, payload: &[u8], mask: [u8; 4]) {
    let mut sent = Vec::new();
    encode_masked_frame(opcode, payload, mask, &mut sent);
    let mut decoder = Decoder::new(Role::Server);
    let item = match decoder.next(&mut sent.as_mut_slice(), u32::MAX) {
        Ok(Some(item)) => item,
        Ok(None) => panic!("a whole frame is no item"),
        Err(violation) => {
            let is_text = std::str::from_utf8(payload).is_ok();
            assert!(opcode == Opcode::Text && !is_text, "{violation}");
            return;
        }
    };
    let Ok(command) = Dialect::Raw.decode(&item) else {
        panic!("raw refuses {item:?}");
    };
    let Verb::Relay { payload } = command.verb else {
        panic!("raw makes {command:?} of {item:?}");
    };
    let expected = Decoded::from(item);
    for frame in [published(payload.clone()), handed_over(payload)] {
        assert_eq!(only_item(&frame), expected);
    }
}

fn published(payload: Payload) -> Vec<u8> {
    let publication = Publication {
        draft: Draft::new(TopicName::all(), payload, Timestamp(0)),
        position: Position::default(),
    };
    let mut frame = Vec::new();
    Dialect::Raw.encode_publication(&publication, &mut frame);
    frame
}

fn handed_over(payload: Payload) -> Vec<u8> {
    let direct = Direct {
        from: None,
        time: Timestamp(0),
        payload,
    };
    let mut frame = Vec::new();
    Dialect::Raw.encode_direct(&direct, &mut frame);
    frame
}
