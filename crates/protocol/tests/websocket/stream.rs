//! Streams of bytes for a decoder: frames built without the codec's encoder, whole or cut into pieces.

/// The pieces of `bytes` between cuts, which may be in any order and beyond the end.
pub(crate) fn pieces<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|&cut| cut.min(bytes.len())).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

/// A frame that may be wrong in any way.
#[derive(Debug, Clone)]
pub(crate) struct RawFrame {
    /// The first byte: final bit, reserved bits, opcode.
    pub(crate) first: u8,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) length: LengthForm,
    pub(crate) payload: Vec<u8>,
}

/// How a length is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LengthForm {
    Shortest,
    TwoBytes,
    EightBytes,
}

impl RawFrame {
    /// A masked frame as it should be.
    pub(crate) fn masked(first: u8, payload: &[u8]) -> Self {
        Self {
            first,
            mask: Some(MASK),
            length: LengthForm::Shortest,
            payload: payload.to_vec(),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mask_bit = if self.mask.is_some() { 0x80 } else { 0 };
        let length = self.payload.len();
        out.push(self.first);
        match self.length {
            LengthForm::Shortest if length <= 125 => out.push(mask_bit | length as u8),
            LengthForm::Shortest | LengthForm::TwoBytes if length <= 0xffff => {
                out.push(mask_bit | 0x7e);
                out.extend((length as u16).to_be_bytes());
            }
            _ => {
                out.push(mask_bit | 0x7f);
                out.extend((length as u64).to_be_bytes());
            }
        }
        out.extend(self.mask.iter().flatten());
        let key = self.mask.unwrap_or_default().into_iter().cycle();
        out.extend(self.payload.iter().zip(key).map(|(byte, key)| byte ^ key));
    }
}

/// The bytes of these masked frames, each given by its first byte and its payload.
pub(crate) fn masked_stream(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (first, payload) in frames {
        RawFrame::masked(*first, payload).encode(&mut out);
    }
    out
}

/// The key of the RFC's examples.
pub(crate) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The limit for the streams written by hand.
pub(crate) const MESSAGE_BYTES_MAX: u32 = 70_000;
