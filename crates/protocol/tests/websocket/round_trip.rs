//! What is encoded is decoded: any messages, fragmented and interleaved with control frames, cut anywhere.

use super::decoded::{Decoded, Outcome, decode};
use super::stream::{RawFrame, pieces};
use fanfare_protocol::websocket::{Opcode, Role, encode_close, encode_frame, encode_masked_frame};
use proptest::prelude::*;
use proptest::sample::Index;

const MESSAGE_BYTES_MAX: u32 = 100_000;

/// A message, the fractions at which it is cut into fragments, and the controls sent after each fragment but the last.
#[derive(Debug, Clone)]
pub(crate) struct Fragmented {
    pub(crate) message: Decoded,
    pub(crate) cuts: Vec<Index>,
    pub(crate) controls: Vec<Decoded>,
}

pub(crate) fn message() -> impl Strategy<Value = Decoded> {
    let bytes = prop_oneof![4 => prop::collection::vec(any::<u8>(), 0..200), 1 => prop::collection::vec(any::<u8>(), 200..2_000)];
    prop_oneof![
        bytes.prop_map(Decoded::Binary),
        any::<String>().prop_map(Decoded::Text)
    ]
}

pub(crate) fn control() -> impl Strategy<Value = Decoded> {
    let payload = prop::collection::vec(any::<u8>(), 0..=125);
    prop_oneof![
        payload.clone().prop_map(Decoded::Ping),
        payload.prop_map(Decoded::Pong)
    ]
}

pub(crate) fn close() -> impl Strategy<Value = Decoded> {
    let code = prop_oneof![1000_u16..=1003, 1007_u16..=1013, 3000_u16..=4999];
    prop::option::of((code, "\\PC{0,30}")).prop_map(Decoded::Close)
}

pub(crate) fn fragmented() -> impl Strategy<Value = Fragmented> {
    let cuts = prop::collection::vec(any::<Index>(), 0..5);
    (message(), cuts, prop::collection::vec(control(), 0..3)).prop_map(|(message, cuts, controls)| {
        Fragmented {
            message,
            cuts,
            controls,
        }
    })
}

/// The frame of an item, with the opcode and the payload it has on the wire.
pub(crate) fn wire_form(item: &Decoded) -> (Opcode, Vec<u8>) {
    match item {
        Decoded::Text(text) => (Opcode::Text, text.clone().into_bytes()),
        Decoded::Binary(bytes) => (Opcode::Binary, bytes.clone()),
        Decoded::Ping(payload) => (Opcode::Ping, payload.clone()),
        Decoded::Pong(payload) => (Opcode::Pong, payload.clone()),
        Decoded::Close(None) => (Opcode::Close, vec![]),
        Decoded::Close(Some((code, reason))) => {
            (Opcode::Close, [&code.to_be_bytes(), reason.as_bytes()].concat())
        }
    }
}

impl Fragmented {
    /// The frames of the message and its controls, and the items in the order in which they become whole.
    pub(crate) fn frames(&self, mask: [u8; 4]) -> (Vec<RawFrame>, Vec<Decoded>) {
        let (opcode, payload) = wire_form(&self.message);
        let cuts: Vec<usize> = self.cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        let fragments = pieces(&payload, &cuts);
        let mut frames = Vec::new();
        for (at, fragment) in fragments.iter().enumerate() {
            let opcode = if at == 0 { first_byte(opcode) } else { 0 };
            let final_bit = if at + 1 == fragments.len() { 0x80 } else { 0 };
            frames.push(RawFrame {
                mask: Some(mask),
                ..RawFrame::masked(final_bit | opcode, fragment)
            });
            if at + 1 < fragments.len() {
                frames.extend(self.controls.iter().map(control_frame));
            }
        }
        let mut items = vec![self.controls.clone(); fragments.len() - 1].concat();
        items.push(self.message.clone());
        (frames, items)
    }
}

pub(crate) fn control_frame(control: &Decoded) -> RawFrame {
    let (opcode, payload) = wire_form(control);
    RawFrame::masked(0x80 | first_byte(opcode), &payload)
}

fn first_byte(opcode: Opcode) -> u8 {
    match opcode {
        Opcode::Continuation => 0,
        Opcode::Text => 1,
        Opcode::Binary => 2,
        Opcode::Close => 8,
        Opcode::Ping => 9,
        Opcode::Pong => 10,
    }
}

fn cut(bytes: &[u8], cuts: &[Index]) -> Vec<usize> {
    cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect()
}

proptest! {
    #[test]
    fn masked_frames_reach_the_server(
        items in prop::collection::vec(prop_oneof![message(), control(), close()], 0..8),
        mask: [u8; 4],
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let mut bytes = Vec::new();
        for item in &items {
            let (opcode, payload) = wire_form(item);
            encode_masked_frame(opcode, &payload, mask, &mut bytes);
        }
        let outcome = decode(Role::Server, pieces(&bytes, &cut(&bytes, &cuts)), MESSAGE_BYTES_MAX);
        prop_assert_eq!(outcome, Outcome { items, violation: None, is_idle: true });
    }

    #[test]
    fn unmasked_frames_reach_the_client(
        items in prop::collection::vec(prop_oneof![message(), control(), close()], 0..8),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let mut bytes = Vec::new();
        for item in &items {
            match item {
                Decoded::Close(Some((code, reason))) => encode_close(*code, reason, &mut bytes),
                item => {
                    let (opcode, payload) = wire_form(item);
                    encode_frame(opcode, &payload, &mut bytes);
                }
            }
        }
        let outcome = decode(Role::Client, pieces(&bytes, &cut(&bytes, &cuts)), MESSAGE_BYTES_MAX);
        prop_assert_eq!(outcome, Outcome { items, violation: None, is_idle: true });
    }

    #[test]
    fn fragments_and_controls_between_them_reach_the_server(
        messages in prop::collection::vec(fragmented(), 1..4),
        mask: [u8; 4],
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for message in &messages {
            let (frames, items) = message.frames(mask);
            for frame in &frames {
                frame.encode(&mut bytes);
            }
            expected.extend(items);
        }
        let outcome = decode(Role::Server, pieces(&bytes, &cut(&bytes, &cuts)), MESSAGE_BYTES_MAX);
        prop_assert_eq!(outcome, Outcome { items: expected, violation: None, is_idle: true });
    }

    #[test]
    fn noise_never_panics_and_cuts_never_matter(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        for role in [Role::Server, Role::Client] {
            let whole = decode(role, [bytes.as_slice()], MESSAGE_BYTES_MAX);
            let cut = decode(role, pieces(&bytes, &cut(&bytes, &cuts)), MESSAGE_BYTES_MAX);
            prop_assert_eq!(cut, whole);
        }
    }
}
