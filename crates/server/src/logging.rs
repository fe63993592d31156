//! The program's log: lines on standard error, as text or JSON.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::options::{LogFormat, ServeOptions};

/// Starts logging as the options say; called once, before anything is served.
///
/// # Errors
/// The filter is none, or logging was started before.
pub(crate) fn start(options: &ServeOptions) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&options.log).map_err(Failure::failed)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match options.log_format {
        LogFormat::Text => lines
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(Failure::failed)
}
