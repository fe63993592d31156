//! The server as a process, from outside: what it prints, serves, survives and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

#[allow(dead_code, reason = "the library's tests use the rest of it")]
#[path = "../../../fanfare/tests/sockets/tls/authority.rs"]
mod authority;
mod churn;
#[allow(dead_code, reason = "the library's tests use the rest of it")]
#[path = "../../../fanfare/tests/sockets/client.rs"]
mod client;
#[allow(dead_code, reason = "the tests of durable topics use the rest of it")]
mod curl;
mod descriptors;
mod door;
mod log;
mod metrics;
mod pages;
#[allow(dead_code, reason = "the faults and the scenarios use the rest of it")]
mod process;
mod revoked;
mod shutdown;
mod start;
mod streams;
mod tls;
mod tls_files;
mod together;
mod tokens;
