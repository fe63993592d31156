//! The `json` dialect: text messages that are one JSON object with a `type`. `docs/protocol/json.md` describes it.
//!
//! Payloads pass through as raw JSON text: they are scanned for well-formedness once when they come in and never
//! parsed into values.

mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::{encode_direct, encode_publication, encode_push, encode_reply};

#[cfg(test)]
mod tests;
