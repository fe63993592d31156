//! The Fanfare server: one binary for real-time messaging.
//!
//! This file only turns the outcome of [`cli::run`] into an exit code: 0 when all went well, 2 when the program was
//! called wrongly, 1 when it was called rightly and failed, 3 when `fanfare import` could not carry over what matters.

mod api;
mod check_command;
mod cli;
mod endpoint_flags;
mod failure;
mod hooks;
mod import_command;
mod keygen_command;
mod log_command;
mod logging;
mod notices;
mod options;
mod panics;
mod publish_command;
mod serve;
mod serve_command;
mod subscribe_command;
mod token_command;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// What is allocated on a shard is often freed on the thread of the durable log, and the other way round: `docs/decisions/0022`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
