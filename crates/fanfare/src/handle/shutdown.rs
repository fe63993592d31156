//! Stopping: in order, within a time, and whatever is left then.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Fanfare, Inner};
use crate::shard::Mail;

impl Fanfare {
    /// Stops: takes no new connection, tells every client to come back later, spread over at most `window`, writes
    /// what waits, ends the shards, the [consumers](Fanfare::subscribe) and the durable log, and tells the application what has
    /// happened until then. What is left at `timeout` is
    /// cut off. Gives how many connections that were.
    ///
    /// A host that serves HTTP itself does this first, and ends HTTP then: a connection over HTTP/2 is one of its own, too.
    ///
    /// ```no_run
    /// # async fn example(fanfare: fanfare::Fanfare, listener: tokio::net::TcpListener, app: axum::Router) -> std::io::Result<()> {
    /// use std::time::Duration;
    ///
    /// let stop = async move {
    ///     let _ = tokio::signal::ctrl_c().await;
    ///     fanfare.shutdown(Duration::from_secs(5), Duration::from_secs(15)).await;
    /// };
    /// axum::serve(listener, app).with_graceful_shutdown(stop).await
    /// # }
    /// ```
    pub async fn shutdown(&self, window: Duration, timeout: Duration) -> usize {
        self.inner.gate.drain(window);
        self.inner.is_draining.store(true, Ordering::Relaxed);
        for mailbox in self.inner.mailboxes.iter() {
            mailbox.post_unbounded(Mail::Shutdown {
                window_ms: window.as_millis() as u64,
            });
        }
        let threads = std::mem::take(&mut *self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let deadline = tokio::time::Instant::now() + timeout;
        while threads.iter().any(|thread| !thread.is_finished()) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let left = self.connection_count();
        self.inner
            .mailboxes
            .iter()
            .for_each(|mailbox| mailbox.post_unbounded(Mail::Stop));
        let ended =
            tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
        // Joining fails only if the runtime itself ends, and then nobody waits.
        let _ = ended.await;
        self.inner.consumers.close();
        self.inner.reads.close();
        if let Some(disk) = self.inner.disk.clone() {
            // What is queued is written, however long that takes: it is little, and somebody may wait for it.
            let _ = tokio::task::spawn_blocking(move || disk.close()).await;
        }
        if let Some(notices) = &self.inner.notices {
            // Past the deadline, nobody waits for an application.
            let _ = tokio::time::timeout_at(deadline, notices.flush()).await;
        }
        left
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.consumers.close();
        self.mailboxes
            .iter()
            .for_each(|mailbox| mailbox.post_unbounded(Mail::Stop));
    }
}

#[cfg(test)]
mod tests {
    use fanfare_hub::{Listed, Selector};
    use fanfare_protocol::codes::Disconnect;
    use fanfare_protocol::{Reading, UserName};

    use super::*;
    use crate::{CallError, Options};

    #[tokio::test]
    async fn calls_after_the_end_are_answered() {
        let options = Options {
            shards: 2,
            ..Options::default()
        };
        let fanfare = Fanfare::start(options).unwrap();
        fanfare.shutdown(Duration::ZERO, Duration::from_secs(10)).await;
        let ana = Selector::User(UserName::parse("ana").unwrap());
        let disconnected = fanfare.disconnect(ana, Disconnect::Disconnected).await;
        assert_eq!(disconnected, Err(CallError::Closed));
        assert_eq!(
            fanfare.connections(Listed::All, 0, 1).await,
            Err(CallError::Closed)
        );
        assert_eq!(
            fanfare.history("a", Reading::Oldest, 1).await,
            Err(CallError::Closed)
        );
    }
}
