//! Centrifugo's HTTP API, against the real program: every method and every error as a caller sees it, and `cent`, the library of
//! Centrifugo's own makers, unchanged.
//!
//! Members are clients of the json dialect. `docs/protocol/centrifugo-api.md` has the table of what is supported, which
//! [`table`] holds against the program.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

mod batch;
mod cent;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../../../fanfare/tests/sockets/client.rs"]
mod client;
mod connections;
mod door;
mod errors;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../data_directory/harness.rs"]
mod harness;
mod history;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../serve/process.rs"]
mod process;
mod publishing;
mod stand;
mod table;
mod who;
