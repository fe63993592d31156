//! `fanfare log` from outside: data directories that are whole, damaged, in use, or to be made. FAULTS 64 and 65.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens, helpers included"
)]

mod damage;
mod harness;
mod import;
mod inspect;
mod round_trip;
mod server;
mod wrong_lines;
