//! The WebSocket codec (RFC 6455): bytes to frames and messages, and back.
//!
//! In come the bytes a socket gave, wherever they happen to be cut; out go whole messages and control frames, or one
//! [`Violation`] that ends the connection. The codec does no I/O, knows no clock and draws no random numbers: a
//! client's masks are arguments.
//!
//! What is not done here: the HTTP side of the upgrade beyond the two rules about `Sec-WebSocket-Key`
//! ([`accept_key`], [`is_valid_key`]) and what is agreed on about compression ([`Agreement`]), answering pings and closes
//! (the caller's turn decides when), extensions beside compression (RFC 7692), and splitting what is sent into
//! fragments (nothing here needs to).
//!
//! # What it costs
//!
//! A frame that lies whole in the input is unmasked and validated in place and handed out as a borrow of the input.
//! Only what is cut off at the end of an input, and messages of several frames, are copied, into a buffer that exists
//! while something is partial and grows with the bytes received, never with the bytes announced.

#![allow(
    clippy::mut_mut,
    reason = "an input is a cursor: the slice is unmasked in place, and moved past what was taken"
)]

mod close;
mod decoder;
mod deflate;
mod extension;
mod handshake;
mod header;
mod in_flight;
mod inflate;
mod mask;
mod message;
mod utf8;
mod violation;

pub use close::{CloseFrame, encode_close};
pub use decoder::{Decoder, Item, Role};
pub use deflate::{DEFLATE_WINDOW_BITS, Deflater};
pub use extension::{Agreement, Compression};
pub use handshake::{accept_key, is_valid_key};
pub use header::{Opcode, encode_frame, encode_header, encode_masked_frame};
pub use inflate::Inflater;
pub use violation::Violation;
