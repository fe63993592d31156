//! The library from outside: a hub mounted in an axum application, and clients on real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

mod access;
mod bridge;
mod centrifuge;
#[cfg(feature = "tokens")]
mod centrifugo_tokens;
mod client;
mod closing;
mod compression;
mod consumers;
mod door;
mod embedder;
mod entrants;
mod floods;
mod handshake;
mod history;
mod hosts;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "tokens")]
mod issuer;
mod json;
#[cfg(feature = "tokens")]
mod jwks;
mod mounting;
mod notices;
mod order;
mod raw;
mod resuming;
mod server;
mod since;
mod slow;
mod slow_rules;
mod streams;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tokens")]
mod tokens;
