//! What a peer can do wrong on the wire, and the close code each wrong is answered with.

use super::Opcode;

/// A breach of RFC 6455 or RFC 7692 by the peer. The connection is to be failed with [`close_code`](Self::close_code).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Reserved bits are set that mean nothing on this frame: no extension that uses them was agreed on (section 5.2),
    /// or it uses them on the first frame of a message only (RFC 7692, section 6).
    #[error("frame has reserved bits {bits:#05b} set that mean nothing here, clear them")]
    ReservedBits {
        /// RSV1, RSV2 and RSV3, from the highest of three bits to the lowest.
        bits: u8,
    },
    /// The opcode is one of those reserved for later versions (section 5.2).
    #[error("frame has reserved opcode {opcode:#x}, known are 0x0 to 0x2 and 0x8 to 0xa, use one of those")]
    ReservedOpcode {
        /// The four bits of the opcode.
        opcode: u8,
    },
    /// A close, ping or pong is not the final fragment (section 5.5).
    #[error("control frame of kind {opcode:?} is fragmented, send control frames whole")]
    FragmentedControl {
        /// The kind of control frame.
        opcode: Opcode,
    },
    /// A close, ping or pong announces a longer payload than allowed (section 5.5).
    #[error("control frame of kind {opcode:?} announces more than 125 bytes, shorten its payload")]
    LongControl {
        /// The kind of control frame.
        opcode: Opcode,
    },
    /// A client sent a frame without a mask (section 5.1).
    #[error("frame from the client is not masked, mask every frame sent to a server")]
    Unmasked,
    /// A server sent a frame with a mask (section 5.1).
    #[error("frame from the server is masked, send frames to a client without a mask")]
    Masked,
    /// A length is written in more bytes than it needs (section 5.2).
    #[error(
        "payload length {payload_bytes} is not in its shortest form, encode it in as few bytes as it needs"
    )]
    LengthNotMinimal {
        /// The length that was announced.
        payload_bytes: u64,
    },
    /// The highest bit of a length of 64 bits is set (section 5.2).
    #[error(
        "payload length {payload_bytes:#x} has its highest bit set, lengths have 63 bits, send smaller frames"
    )]
    LengthOutOfRange {
        /// The length that was announced.
        payload_bytes: u64,
    },
    /// A continuation frame came while no message was open (section 5.4).
    #[error("continuation frame without a message to continue, begin with a text or binary frame")]
    UnexpectedContinuation,
    /// A text or binary frame came while a message was still open (section 5.4).
    #[error("frame of kind {opcode:?} inside an unfinished message, continue or finish that message first")]
    InterruptedMessage {
        /// The kind of the new frame.
        opcode: Opcode,
    },
    /// A message, by what was received and what is announced of it or by what it was inflated to, exceeds the limit.
    #[error("message is at least {message_bytes} bytes, limit is {message_bytes_max}, send smaller messages")]
    LongMessage {
        /// What was received of the message before, plus what its latest frame announces; or the bytes that were
        /// inflated before the rest was given up.
        message_bytes: u64,
        /// The limit.
        message_bytes_max: u32,
    },
    /// A compressed message is no deflate stream, or ends in the middle of one (RFC 7692, section 7.2.2).
    #[error("compressed message cannot be inflated, compress each message whole and on its own")]
    NotInflatable,
    /// The text of a message is not UTF-8 (section 8.1).
    #[error("text message is not UTF-8 from byte {position} on, send such payloads as binary")]
    TextNotUtf8 {
        /// Where in the message the first wrong sequence begins.
        position: usize,
    },
    /// A close frame has a payload too short for a code (section 5.5.1).
    #[error("close frame has a payload of 1 byte, send none or a code of 2 bytes")]
    ShortClose,
    /// A close frame has a code that must not appear on the wire (section 7.4).
    #[error(
        "close code is {code}, allowed are 1000 to 1003, 1007 to 1014 and 3000 to 4999, use one of those"
    )]
    CloseCode {
        /// The code.
        code: u16,
    },
    /// The reason in a close frame is not UTF-8 (section 5.5.1).
    #[error("close reason is not UTF-8 from byte {position} on, send text or no reason")]
    CloseReasonNotUtf8 {
        /// Where in the reason the first wrong sequence begins.
        position: usize,
    },
}

impl Violation {
    /// The code to close the connection with (section 7.4.1): 1002, 1007 or 1009.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::LongMessage { .. } => 1009,
            Self::NotInflatable | Self::TextNotUtf8 { .. } | Self::CloseReasonNotUtf8 { .. } => 1007,
            _ => 1002,
        }
    }
}
