//! The client against the real hub, in this process, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

mod commands;
mod connections;
mod presence;
mod recovery;
mod refusals;
mod server;
mod streams;
mod tokens;
