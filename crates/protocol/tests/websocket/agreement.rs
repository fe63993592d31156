//! Any bytes of a client, judged by our decoder and by tungstenite's server side.

use super::judge::assert_agreement;
use super::round_trip::{Fragmented, close, control, control_frame, fragmented};
use super::stream::{LengthForm, MASK, RawFrame, pieces};
use fanfare_protocol::websocket::Role;
use proptest::prelude::*;
use proptest::sample::Index;

/// A way to spoil a sequence of frames.
#[derive(Debug, Clone)]
enum Fault {
    FlipFirstByte(u8),
    DropMask,
    WriteLengthIn(LengthForm),
    SetPayloadByte(Index, u8),
    DropFrame,
    RepeatFrame,
    SwapFrames(Index),
    InsertClose(u16, Vec<u8>),
}

impl Fault {
    fn apply(&self, frames: &mut Vec<RawFrame>, at: Index) {
        if frames.is_empty() {
            return;
        }
        let at = at.index(frames.len());
        match self {
            Self::FlipFirstByte(bits) => frames[at].first ^= bits,
            Self::DropMask => frames[at].mask = None,
            Self::WriteLengthIn(form) => frames[at].length = *form,
            Self::SetPayloadByte(..) if frames[at].payload.is_empty() => {}
            Self::SetPayloadByte(index, byte) => *index.get_mut(&mut frames[at].payload) = *byte,
            Self::DropFrame => drop(frames.remove(at)),
            Self::RepeatFrame => frames.insert(at, frames[at].clone()),
            Self::SwapFrames(other) => {
                let other = other.index(frames.len());
                frames.swap(at, other);
            }
            Self::InsertClose(code, reason) => {
                let payload = [code.to_be_bytes().as_slice(), reason].concat();
                frames.insert(at, RawFrame::masked(0x88, &payload));
            }
        }
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    let form = prop_oneof![Just(LengthForm::TwoBytes), Just(LengthForm::EightBytes)];
    let code = prop_oneof![any::<u16>(), 990_u16..1020];
    let reason = prop_oneof![Just(vec![]), prop::collection::vec(any::<u8>(), 1..4)];
    prop_oneof![
        3 => any::<u8>().prop_map(Fault::FlipFirstByte),
        3 => (0..8_u32).prop_map(|bit| Fault::FlipFirstByte(1 << bit)),
        1 => Just(Fault::DropMask),
        1 => form.prop_map(Fault::WriteLengthIn),
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Fault::SetPayloadByte(at, byte)),
        2 => Just(Fault::DropFrame),
        2 => Just(Fault::RepeatFrame),
        2 => any::<Index>().prop_map(Fault::SwapFrames),
        2 => (code, reason).prop_map(|(code, reason)| Fault::InsertClose(code, reason)),
    ]
}

fn frames() -> impl Strategy<Value = Vec<RawFrame>> {
    let controls = prop::collection::vec(control(), 0..2);
    (
        prop::collection::vec(fragmented(), 1..4),
        controls,
        prop::option::weighted(0.3, close()),
    )
        .prop_map(|(messages, controls, close)| {
            let messages = messages
                .iter()
                .flat_map(|message: &Fragmented| message.frames(MASK).0);
            messages
                .chain(controls.iter().chain(&close).map(control_frame))
                .collect()
        })
}

/// Bytes of a client: mostly as they should be, otherwise with faults in frames, in single bytes, and cut off.
fn client_stream() -> impl Strategy<Value = Vec<u8>> {
    let faults = prop::collection::vec((fault(), any::<Index>()), 0..3);
    let flips =
        prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec((any::<Index>(), any::<u8>()), 1..3)];
    (
        frames(),
        faults,
        flips,
        prop::option::weighted(0.2, any::<Index>()),
    )
        .prop_map(|(mut frames, faults, flips, end)| {
            for (fault, at) in faults {
                fault.apply(&mut frames, at);
            }
            let mut bytes = Vec::new();
            for frame in &frames {
                frame.encode(&mut bytes);
            }
            for (at, bits) in flips.iter().filter(|_| !frames.is_empty()) {
                *at.get_mut(&mut bytes) ^= bits;
            }
            bytes.truncate(end.map_or(bytes.len(), |end| end.index(bytes.len() + 1)));
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn streams_are_judged_alike(
        bytes in client_stream(),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        assert_agreement(&pieces(&bytes, &cuts));
    }

    #[test]
    fn noise_behind_a_first_byte_is_judged_alike(
        first in prop::sample::select(vec![0x01_u8, 0x81, 0x02, 0x82, 0x88, 0x89, 0x8a]),
        rest in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        assert_agreement(&[&[&[first, 0x80 | (rest.len() as u8)], rest.as_slice()].concat()]);
    }
}

#[test]
fn faults_are_judged_alike() {
    for stream in super::faults::faults()
        .into_iter()
        .filter(|stream| stream.role == Role::Server)
    {
        assert!(assert_agreement(&[&stream.bytes]).is_some(), "{}", stream.name);
    }
}
