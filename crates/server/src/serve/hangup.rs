//! SIGHUP: the configuration is read and checked again, and the log says what came of it.
//!
//! Nothing that runs is changed. A wrong configuration is reported while there is time to correct it, which is before
//! the next start.

use std::sync::Arc;

use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;

use crate::options::ServeOptions;

/// Reads the configuration from where it came from; every problem found is one line.
pub(crate) type ReadAgain = dyn Fn() -> Result<ServeOptions, Vec<String>> + Send + Sync;

/// Checks the configuration at every SIGHUP.
pub(super) async fn check_at_each(mut hangups: Signal, running: ServeOptions, read_again: Box<ReadAgain>) {
    let read_again: Arc<ReadAgain> = read_again.into();
    while hangups.recv().await.is_some() {
        let read_again = Arc::clone(&read_again);
        // A file may be slow to read; those who are served do not wait for it.
        match spawn_blocking(move || read_again()).await {
            Ok(read) => report(&running, read),
            Err(error) => tracing::error!(%error, "SIGHUP: the configuration could not be read"),
        }
    }
}

fn report(running: &ServeOptions, read: Result<ServeOptions, Vec<String>>) {
    match read {
        Ok(options) if options == *running => {
            tracing::info!("SIGHUP: the configuration is right and the one that runs");
        }
        Ok(_) => tracing::info!(
            "SIGHUP: the configuration is right, what is new in it takes effect at the next start"
        ),
        Err(problems) => {
            for problem in problems {
                tracing::error!(
                    problem,
                    "SIGHUP: the configuration is wrong, the one that runs is kept"
                );
            }
        }
    }
}
