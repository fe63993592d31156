//! Serving: the one seam between the program's options and the library.

use crate::failure::Failure;
use crate::options::ServeOptions;

/// Serves until the process is told to stop.
///
/// # Errors
/// Always, as long as there is nothing to serve with.
pub(crate) fn run(options: ServeOptions) -> Result<(), Failure> {
    tracing::debug!(listen = %options.listen, "asked to serve");
    Err(Failure::failed("serving is not built yet"))
}
