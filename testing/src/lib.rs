//! What tests share that take a program as a black box: the program itself as a process, a plain WebSocket to it, and
//! people at real browsers. Nothing here knows what the program is about, and nothing waits for a fixed time: a test
//! looks again until it sees what is expected, and fails with what it sees instead.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

#[cfg(feature = "browser")]
mod browser;
mod program;
mod socket;
#[cfg(feature = "browser")]
mod tab;

use std::time::Duration;

#[cfg(feature = "browser")]
pub use browser::{Browsers, PHONE, Phone, Screen};
pub use program::{Answer, Program};
pub use socket::Socket;
#[cfg(feature = "browser")]
pub use tab::Tab;

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// How long to wait before looking again.
pub const LOOK_AGAIN: Duration = Duration::from_millis(25);
