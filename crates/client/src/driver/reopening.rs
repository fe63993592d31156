//! How a connection is made again.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Driver, deliver};
use crate::error::Error;
use crate::incoming::Push;
use crate::retry::{Told, reconnects_after};
use crate::socket::Socket;

impl Driver {
    /// Connects again, after `error` ended a connection, until it succeeds; none when that is pointless, and then the
    /// last error is left in `ended_by`.
    pub(super) async fn reopen(&mut self, mut error: Error, ended_by: &OnceLock<Error>) -> Option<Socket> {
        loop {
            let delay = self.delay_after(&error).await;
            self.announce(Push::Disconnected {
                reason: error.to_string(),
                reconnect_after: delay,
            });
            if delay.is_none() {
                // This is its only end.
                let _ = ended_by.set(error);
                self.wait(None).await;
                return None;
            }
            self.wait(delay).await;
            match self.open().await {
                Ok(socket) => return Some(socket),
                Err(next) => error = next,
            }
        }
    }

    /// Leaves word of the end for the program; of attempts that failed meanwhile, only the latest is kept.
    fn announce(&mut self, disconnected: Push) {
        if let Some(Push::Disconnected { .. }) = self.backlog.back() {
            self.backlog.pop_back();
        }
        self.backlog.push_back(disconnected);
    }

    /// How long to wait after a connection or an attempt ended with `error`; none when that was the last.
    async fn delay_after(&mut self, error: &Error) -> Option<Duration> {
        let goodbye = self.goodbye.take();
        let reconnects = match (&goodbye, error) {
            (Some(goodbye), _) => goodbye.reconnect,
            (None, Error::Closed { code, .. }) => reconnects_after(*code),
            (None, error) if error.asks_for_another_token() => self.has_another_token().await,
            (None, error) => error.is_temporary(),
        };
        let told_ms = goodbye.and_then(|goodbye| goodbye.reconnect_after_ms);
        let told = match (told_ms, error.retry_after()) {
            (Some(ms), _) => Told::After(Duration::from_millis(ms)),
            (None, Some(told)) => Told::NotBefore(told),
            (None, None) => Told::Nothing,
        };
        let delay = self.retry.next_delay(Instant::now(), told, fastrand::f64());
        delay.filter(|_| reconnects)
    }

    /// Waits for `delay`, or until the program has taken what is left for it when that is none.
    async fn wait(&mut self, delay: Option<Duration>) {
        let until = Instant::now() + delay.unwrap_or_default();
        loop {
            let is_waited_for = !self.backlog.is_empty();
            tokio::select! {
                () = deliver(&self.pushes, &mut self.backlog), if is_waited_for => {}
                Some(topic) = self.inputs.released.recv() => {
                    if self.routes.release(&topic) {
                        self.session.forget(std::slice::from_ref(&topic));
                        self.routes.remove(&topic);
                    }
                }
                // A program that takes no pushes is no reason not to reconnect.
                () = sleep_until(until), if delay.is_some() || !is_waited_for => return,
            }
        }
    }
}
