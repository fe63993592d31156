//! Applications that were written for Centrifugo: its client libraries as they are published, against the program.
//!
//! `sdk` installs the libraries, `puppet` has programs that use them do what a story says, `way` lists how they speak.
//! `house` is a server with what a story needs around it. Everything else is stories; each is told to a client of every
//! way at the same time. Nothing here waits for a fixed time, except to see that something stays as it is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../scenarios/backend.rs"]
mod backend;
mod client;
mod house;
mod puppet;
mod sdk;
mod way;

mod board;
mod browser;
mod choices;
mod endings;
mod histories;
mod interruptions;
mod leaves;
mod mixed_room;
mod proxied;
mod refusals;
mod server_side;
mod talks;
mod tokens;
