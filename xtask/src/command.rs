//! Running other programs.

use std::process::Command;

/// Runs a command with its output shown; an exit code other than 0 is an error.
pub(crate) fn run_command(mut command: Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("{command:?} cannot be run: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} ended with {status}"))
    }
}
