//! Frame headers (RFC 6455, section 5.2): what announces a frame, read and written.

use super::mask::Mask;
use super::{Role, Violation};

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// The next fragment of the message that is open.
    Continuation,
    /// A text message, or its first fragment.
    Text,
    /// A binary message, or its first fragment.
    Binary,
    /// The sender is done (section 5.5.1).
    Close,
    /// A question for a pong (section 5.5.2).
    Ping,
    /// The answer to a ping, or a sign of life unasked (section 5.5.3).
    Pong,
}

impl Opcode {
    /// Whether it is one of close, ping and pong, which are short and never fragmented.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    fn from_bits(bits: u8) -> Result<Self, Violation> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            opcode => return Err(Violation::ReservedOpcode { opcode }),
        })
    }
}

/// What was agreed on about the reserved bits of the connection's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserved {
    /// Nothing: they are clear.
    None,
    /// The first says that a message is compressed; it is set on the message's first frame only (RFC 7692, section 6).
    Compression,
}

/// What a frame announces about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) is_final: bool,
    pub(super) is_compressed: bool,
    pub(super) mask: Option<Mask>,
    pub(super) payload_bytes: u64,
}

impl Header {
    /// The header at the beginning of `bytes` and its own length, or none when it is cut off.
    ///
    /// Whatever is wrong is told as soon as the byte that says so is there. A header is cut off only when there are
    /// fewer than [`HEADER_BYTES_MAX`] bytes.
    pub(super) fn parse(
        bytes: &[u8],
        role: Role,
        reserved: Reserved,
    ) -> Result<Option<(Self, usize)>, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let (opcode, is_final) = parse_kind(first, reserved)?;
        let is_compressed = first & COMPRESSED_BIT != 0;
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        check_mask_bit(second, role)?;
        let Some((payload_bytes, length_end)) = parse_length(opcode, second, bytes)? else {
            return Ok(None);
        };
        if role == Role::Client {
            return Ok(Some((
                Self {
                    opcode,
                    is_final,
                    is_compressed,
                    mask: None,
                    payload_bytes,
                },
                length_end,
            )));
        }
        let Some(&key) = bytes[length_end..].first_chunk() else {
            return Ok(None);
        };
        let header = Self {
            opcode,
            is_final,
            is_compressed,
            mask: Some(Mask::new(key)),
            payload_bytes,
        };
        Ok(Some((header, length_end + key.len())))
    }
}

/// Appends a final, unmasked frame: what a server sends.
///
/// A control frame's payload is at most 125 bytes; more is the caller's mistake.
pub fn encode_frame(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    encode_header(opcode, payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// Appends the header alone of a final, unmasked frame: 2 to 10 bytes. The caller writes the payload behind it.
pub fn encode_header(opcode: Opcode, payload_bytes: u64, out: &mut Vec<u8>) {
    encode_start(opcode, payload_bytes, 0, out);
}

/// Appends a final, masked frame: what a client sends. The mask should be unpredictable (section 5.3).
pub fn encode_masked_frame(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    encode_start(opcode, payload.len() as u64, MASK_BIT, out);
    out.extend_from_slice(&mask);
    let payload_start = out.len();
    out.extend_from_slice(payload);
    Mask::new(mask).apply(&mut out[payload_start..]);
}

fn encode_start(opcode: Opcode, payload_bytes: u64, mask_bit: u8, out: &mut Vec<u8>) {
    debug_assert!(
        !opcode.is_control() || payload_bytes <= CONTROL_BYTES_MAX as u64,
        "control frame of {payload_bytes} bytes, limit is {CONTROL_BYTES_MAX}"
    );
    out.push(FINAL_BIT | opcode.bits());
    if payload_bytes <= CONTROL_BYTES_MAX as u64 {
        out.push(mask_bit | payload_bytes as u8);
    } else if let Ok(short) = u16::try_from(payload_bytes) {
        out.push(mask_bit | LENGTH_OF_2_BYTES);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(mask_bit | LENGTH_OF_8_BYTES);
        out.extend_from_slice(&payload_bytes.to_be_bytes());
    }
}

fn parse_kind(first: u8, reserved: Reserved) -> Result<(Opcode, bool), Violation> {
    let begins_message = matches!(first & OPCODE_BITS, 0x1 | 0x2);
    let allowed = if begins_message && reserved == Reserved::Compression {
        COMPRESSED_BIT
    } else {
        0
    };
    let bits = first & RESERVED_BITS & !allowed;
    if bits != 0 {
        return Err(Violation::ReservedBits { bits: bits >> 4 });
    }
    let opcode = Opcode::from_bits(first & OPCODE_BITS)?;
    let is_final = first & FINAL_BIT != 0;
    if opcode.is_control() && !is_final {
        return Err(Violation::FragmentedControl { opcode });
    }
    Ok((opcode, is_final))
}

fn check_mask_bit(second: u8, role: Role) -> Result<(), Violation> {
    match (role, second & MASK_BIT != 0) {
        (Role::Server, false) => Err(Violation::Unmasked),
        (Role::Client, true) => Err(Violation::Masked),
        _ => Ok(()),
    }
}

/// The announced length, and where in the header it ends.
fn parse_length(opcode: Opcode, second: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let short = second & LENGTH_BITS;
    if short < LENGTH_OF_2_BYTES {
        return Ok(Some((u64::from(short), 2)));
    }
    if opcode.is_control() {
        return Err(Violation::LongControl { opcode });
    }
    let (payload_bytes, longest_shorter, end) = if short == LENGTH_OF_2_BYTES {
        let Some(&length) = bytes[2..].first_chunk() else {
            return Ok(None);
        };
        (u64::from(u16::from_be_bytes(length)), CONTROL_BYTES_MAX as u64, 4)
    } else {
        let Some(&length) = bytes[2..].first_chunk() else {
            return Ok(None);
        };
        (u64::from_be_bytes(length), u64::from(u16::MAX), 10)
    };
    if payload_bytes <= longest_shorter {
        return Err(Violation::LengthNotMinimal { payload_bytes });
    }
    if payload_bytes >> 63 != 0 {
        return Err(Violation::LengthOutOfRange { payload_bytes });
    }
    Ok(Some((payload_bytes, end)))
}

/// The longest header: two bytes, a length of 64 bits and a mask.
pub(super) const HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a control frame (section 5.5), which is also the longest length that fits the second byte.
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// The first of the reserved bits.
pub(super) const COMPRESSED_BIT: u8 = 0x40;

const FINAL_BIT: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const OPCODE_BITS: u8 = 0x0f;
const MASK_BIT: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;
const LENGTH_OF_2_BYTES: u8 = 126;
const LENGTH_OF_8_BYTES: u8 = 127;
