//! Notices of what happens, delivered over HTTP at least once: who came and went, and which topics have somebody.
//!
//! In come the notices of [`fanfare::Hooks::notice`], in their order; they wait in a [queue] that is bounded in
//! number and in bytes, and leave it in batches, each of which is sent until it was taken. What finds the queue full is
//! dropped, counted, and seen to be by its number.

mod delivery;
mod queue;
mod text;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::Uri;
use fanfare::{HostCounter, HostFamily, HostValues, Notice};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::hooks::{Courier, HookUrl, Signer};
use crate::options::Secret;
use queue::Queue;

/// What there is to be set about notices.
pub(crate) struct NoticeSettings {
    /// Where they go.
    pub(crate) url: HookUrl,
    /// What requests are signed with, each.
    pub(crate) secrets: Vec<Secret>,
    /// How long one request may take. Beyond, the batch is sent again.
    pub(crate) timeout: Duration,
    /// Notices that may wait. Beyond, they are dropped.
    pub(crate) queue_max: usize,
    /// Bytes that may wait. Beyond, notices are dropped.
    pub(crate) queue_bytes_max: usize,
}

/// Notices on their way. Cloning gives another handle to the same ones; delivering ends with its runtime.
#[derive(Clone)]
pub(crate) struct Notices(Arc<Inner>);

struct Inner {
    /// The name of this process's notices: numbers begin anew with another one.
    run: String,
    uri: Uri,
    timeout: Duration,
    courier: Courier,
    queue: Mutex<Queue>,
    /// Something was put into the queue.
    is_filled: Notify,
    /// Whether nobody has time to wait for a backend to recover.
    is_ending: watch::Sender<bool>,
    /// Nothing is in the queue any more.
    is_emptied: Notify,
    delivered: AtomicU64,
    failures: AtomicU64,
}

impl Notices {
    /// Begins to deliver on the runtime that this is called on.
    ///
    /// # Errors
    /// The URL is `https` and the system has no certificates to trust.
    pub(crate) fn start(settings: NoticeSettings) -> io::Result<Self> {
        let courier = Courier::new(
            Signer::new(&settings.secrets),
            settings.url.is_https(),
            settings.timeout,
        )?;
        let notices = Self(Arc::new(Inner {
            run: format!("{:016x}", fastrand::u64(..)),
            uri: settings.url.into_uri(),
            timeout: settings.timeout,
            courier,
            queue: Mutex::new(Queue::new(settings.queue_max, settings.queue_bytes_max)),
            is_filled: Notify::new(),
            is_ending: watch::Sender::new(false),
            is_emptied: Notify::new(),
            delivered: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }));
        tokio::spawn(delivery::deliver(Arc::clone(&notices.0)));
        Ok(notices)
    }

    /// Has a notice delivered, or drops it.
    pub(crate) fn add(&self, notice: &Notice) {
        let text = text::of(&self.0.run, notice);
        self.0.queue().push(text);
        self.0.is_filled.notify_one();
    }

    /// Waits until everything is delivered, or until the deadline, past which nothing more is. Gives how many were not.
    pub(crate) async fn flush(&self, deadline: Instant) -> usize {
        self.0.is_ending.send_replace(true);
        let emptied = async {
            loop {
                let emptied = self.0.is_emptied.notified();
                if self.waiting() == 0 {
                    return;
                }
                emptied.await;
            }
        };
        // Whatever is left then is what is counted.
        let _ = timeout_at(deadline, emptied).await;
        self.waiting()
    }

    fn waiting(&self) -> usize {
        self.0.queue().len()
    }

    /// What has been counted.
    pub(crate) fn counters(&self) -> [HostCounter; 3] {
        let counter = |name, help, value| HostCounter { name, help, value };
        [
            counter(
                "fanfare_notices_delivered",
                "Notices that the backend has taken",
                self.0.delivered.load(Ordering::Relaxed),
            ),
            counter(
                "fanfare_notices_dropped",
                "Notices dropped because too many or too large ones wait to be delivered",
                self.0.queue().dropped(),
            ),
            counter(
                "fanfare_notices_failures",
                "Requests with notices that the backend has not taken, each sent again",
                self.0.failures.load(Ordering::Relaxed),
            ),
        ]
    }

    /// How many wait.
    pub(crate) fn metrics(&self) -> HostFamily {
        HostFamily {
            name: "fanfare_notices_waiting",
            help: "Notices that wait to be delivered",
            values: HostValues::Gauges(vec![(Vec::new(), self.waiting() as u64)]),
        }
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Its parts change together before anything else can go wrong.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
