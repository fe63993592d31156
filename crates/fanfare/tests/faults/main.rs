//! What dies with what: each place is made to panic, and what must live on is looked at. Needs the feature
//! `fault-injection`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

#[allow(dead_code, reason = "the other tests use the rest of it")]
#[path = "../sockets/client.rs"]
mod client;
mod connections;
#[allow(dead_code, reason = "the other tests use the rest of it")]
#[path = "../sockets/hosts.rs"]
mod hosts;
#[allow(dead_code, reason = "the other tests use the rest of it")]
#[path = "../sockets/server.rs"]
mod server;
mod shards;
