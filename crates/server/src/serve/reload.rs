//! The configuration, read again while the server runs: at SIGHUP, and when the API asks for it.
//!
//! Either all of it is right, and then what can take effect does so at once, or it is wrong and what runs is kept. What
//! needs a restart is named. Connections are not touched.

use std::sync::{Arc, Mutex, PoisonError};

use fanfare::{Fanfare, Tls};
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;

use super::{tls, tokens, topic_rules};
use crate::api::Access;
use crate::options::{OPTIONS, OptionSpec, ServeOptions};

/// Reads the configuration from where it came from; every problem found is one line.
pub(crate) type ReadAgain = dyn Fn() -> Result<ServeOptions, Vec<String>> + Send + Sync;

/// A running server and where its configuration comes from.
pub(crate) struct Reload {
    fanfare: Fanfare,
    access: Access,
    tls: Option<Tls>,
    read_again: Box<ReadAgain>,
    running: Mutex<ServeOptions>,
}

/// What became of a configuration that was read again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reloaded {
    /// Keys whose new values are in effect.
    pub(crate) applied: Vec<&'static str>,
    /// Keys whose new values need a restart.
    pub(crate) at_restart: Vec<&'static str>,
}

/// Keys that take effect while the server runs.
const LIVE: [&str; 2] = ["topic_rule", "api_key"];

impl Reload {
    pub(crate) fn new(
        fanfare: Fanfare,
        (access, tls): (Access, Option<Tls>),
        running: ServeOptions,
        read_again: Box<ReadAgain>,
    ) -> Self {
        Self {
            fanfare,
            access,
            tls,
            read_again,
            running: Mutex::new(running),
        }
    }

    /// Reads the configuration and puts into effect what can be. Reading a file may take a while: not for a thread that
    /// serves others.
    ///
    /// # Errors
    /// Every problem of the configuration; nothing has changed then.
    pub(crate) fn reload(&self) -> Result<Reloaded, Vec<String>> {
        let fresh = (self.read_again)()?;
        let issuer = tokens::issuer(&fresh);
        let certificates = tls::read(&fresh)?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let changed: Vec<&OptionSpec> = OPTIONS
            .iter()
            .filter(|spec| !spec.kind.is_same(&running, &fresh))
            .collect();
        let (applied, at_restart): (Vec<_>, Vec<_>) = changed
            .into_iter()
            .partition(|spec| self.is_live(spec, &fresh, issuer.is_some()));
        if let (Some(tls), Some(certificates)) = (&self.tls, &certificates) {
            // Their files may say something else under the same names.
            tls.replace(certificates)
                .map_err(|error| vec![error.to_string()])?;
            tracing::info!(days = tls::days_left(tls), "the certificates were read again");
        }
        for spec in &applied {
            spec.kind.copy(&fresh, &mut running);
        }
        if !applied.is_empty() {
            self.fanfare.set_rules(Arc::new(topic_rules(&running)));
            self.access.set_keys(&running.api_key);
        }
        let is_about_tokens = applied.iter().any(|spec| tokens::LIVE.contains(&spec.key));
        if let (true, Some(issuer), Some(tokens)) = (is_about_tokens, issuer, self.fanfare.tokens()) {
            tokens
                .set_issuers(vec![issuer])
                .map_err(|error| vec![error.to_string()])?;
        }
        let keys = |specs: Vec<&OptionSpec>| specs.into_iter().map(|spec| spec.key).collect();
        Ok(Reloaded {
            applied: keys(applied),
            at_restart: keys(at_restart),
        })
    }

    /// Whether a key takes effect while the server runs. A server that speaks TLS goes on to, and one that does not does
    /// not begin; tokens are accepted from the start or never.
    fn is_live(&self, spec: &OptionSpec, fresh: &ServeOptions, has_issuer: bool) -> bool {
        let goes_on = self.tls.is_some() && !fresh.tls_cert.is_empty();
        let is_of_tokens = tokens::LIVE.contains(&spec.key);
        LIVE.contains(&spec.key)
            || (goes_on && spec.key.starts_with("tls_"))
            || (is_of_tokens && has_issuer && self.fanfare.tokens().is_some())
    }
}

/// Reloads at every SIGHUP, and tells the log.
pub(super) async fn at_each(mut hangups: Signal, reload: Arc<Reload>) {
    while hangups.recv().await.is_some() {
        let reload = Arc::clone(&reload);
        match spawn_blocking(move || reload.reload()).await {
            Ok(outcome) => tell("SIGHUP", &outcome),
            Err(error) => tracing::error!(%error, "SIGHUP: the configuration could not be read"),
        }
    }
}

/// Tells the log what came of it.
pub(crate) fn tell(asked_by: &str, outcome: &Result<Reloaded, Vec<String>>) {
    match outcome {
        Ok(Reloaded { applied, at_restart }) => {
            let (applied, at_restart) = (applied.join(", "), at_restart.join(", "));
            tracing::info!(asked_by, applied, at_restart, "the configuration was read again");
        }
        Err(problems) => {
            for problem in problems {
                tracing::error!(
                    asked_by,
                    problem,
                    "the configuration is wrong, the one that runs is kept"
                );
            }
        }
    }
}
