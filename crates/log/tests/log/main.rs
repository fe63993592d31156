//! The log from outside: what it promises, on disks that fail in every way there is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends where something unexpected happens, helpers included, and prints its seed"
)]

mod crashes;
mod damage;
mod disk;
mod harness;
mod keeping;
mod model;
mod threads;
mod writing;
