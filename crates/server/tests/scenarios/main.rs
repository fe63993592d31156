//! What the server must survive, told to the real program: one test or more for each fault, with exact counts and
//! codes. Every story ends with a look that nothing is left (see [`story`]).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

mod access;
mod churn;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../../../fanfare/tests/sockets/client.rs"]
mod client;
mod commands;
mod floods;
mod frames;
mod log;
mod names;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../serve/process.rs"]
mod process;
mod proxy;
mod proxy_tests;
mod signals;
mod slow;
mod story;
mod transport;
mod web;
