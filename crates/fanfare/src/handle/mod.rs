//! The handle: start the shards, publish, ask, shut down. Everything an embedder does goes through it.

mod calls;
mod desk;
mod history;
mod pages;
mod publishing;
mod reads;
mod seat;
mod shutdown;
mod start;
mod stats;
mod way_back;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use fanfare_hub::Limits;
use fanfare_hub::access::TopicRules;
use fanfare_hub::broker::OutletId;

use crate::Options;
use crate::broker::{Disk, DiskFigures, Figures, LocalBroker};
use crate::clock::wall;
use crate::consumers::Consumers;
use crate::door::Gate;
use crate::notices::NoticeBoard;
use crate::pressure::Pressure;
use crate::shard::{Failures, Mail, Mailbox, ShardStats, Snapshot};
#[cfg(feature = "tokens")]
use crate::tokens::Ledger;
pub use calls::CallError;
use desk::Desk;
pub use pages::ConnectionPage;
use reads::Reads;
pub(crate) use seat::Seat;
pub use stats::Stats;
pub(crate) use way_back::WayBack;

/// A running hub. Cloning gives another handle to the same one. It runs until [`Fanfare::shutdown`]; when the last
/// handle is dropped without that, its connections are cut off.
#[derive(Clone)]
pub struct Fanfare {
    inner: Arc<Inner>,
}

impl fmt::Debug for Fanfare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shards = self.inner.stats.len();
        f.debug_struct("Fanfare")
            .field("shards", &shards)
            .finish_non_exhaustive()
    }
}

struct Inner {
    options: Options,
    rules: RwLock<Arc<TopicRules>>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    stats: Vec<Arc<ShardStats>>,
    broker: Arc<LocalBroker>,
    /// What is behind it, if anything is.
    disk: Option<Arc<Disk>>,
    /// What remembers revoked tokens over a restart, if there are tokens and a disk.
    #[cfg(feature = "tokens")]
    ledger: Option<Ledger>,
    desk: Arc<Desk>,
    consumers: Arc<Consumers>,
    gate: Arc<Gate>,
    outlet: OutletId,
    reads: Reads,
    threads: Mutex<Vec<JoinHandle<()>>>,
    is_draining: AtomicBool,
    pressure: Pressure,
    /// Where the application hears what happens, if it wants to.
    notices: Option<Arc<NoticeBoard>>,
    /// The last shard that ended without being told to.
    failures: Failures,
    /// What clients that speak beside their streams call this process by: nothing that they could guess.
    node: Arc<str>,
}

impl Fanfare {
    /// From now on these are the rules of topics, in every shard within a turn. They decide about what is asked from now
    /// on: nobody is unsubscribed.
    ///
    /// ```
    /// # fn example(fanfare: fanfare::Fanfare) {
    /// use fanfare::{Access, TopicRules, Who};
    ///
    /// // Read-only from now on, for everyone to whom nothing else is granted.
    /// let otherwise = Access { subscribe: Who::Users, ..Access::default() };
    /// fanfare.set_rules(TopicRules { otherwise, ..TopicRules::default() }.into());
    /// # }
    /// ```
    pub fn set_rules(&self, rules: Arc<TopicRules>) {
        for mailbox in self.inner.mailboxes.iter() {
            mailbox.post_unbounded(Mail::Rules(Arc::clone(&rules)));
        }
        self.inner.broker.set_rules(Arc::clone(&rules));
        *self.inner.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// The rules of topics as they are now.
    pub fn rules(&self) -> Arc<TopicRules> {
        Arc::clone(&self.inner.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The bounds that it runs with. Publishing through the handle is not checked against `message_bytes_max`: a host
    /// that takes payloads from others checks it at its own door.
    pub fn limits(&self) -> &Limits {
        &self.inner.options.limits
    }

    /// Connections now, those on their way from the door to their shard included.
    pub fn connection_count(&self) -> usize {
        self.inner.stats.iter().map(|stats| stats.connections()).sum()
    }

    /// Whether a shutdown has begun.
    pub fn is_draining(&self) -> bool {
        self.inner.is_draining.load(Ordering::Relaxed)
    }

    /// Says whether memory is short; gives whether that is new. While it is, new connections are answered 503,
    /// publications are refused with `overloaded`, and every tenth of a second each shard closes the clients for whom the
    /// most waits until half of it is gone. For a host that knows a ceiling; nothing here looks at the process's memory.
    pub fn set_memory_short(&self, is_short: bool) -> bool {
        self.inner.pressure.set(is_short)
    }

    /// Whether memory is short, as was last said.
    pub fn is_memory_short(&self) -> bool {
        self.inner.pressure.is_on()
    }

    /// Waits until a shard has ended that nobody told to, and gives its number: it panicked five times within ten
    /// seconds, or its poll failed. Its connections are gone and it takes no new ones; the other shards go on. The
    /// server ends itself then; another host may prefer to shut down, or to go on with what is left.
    ///
    /// ```no_run
    /// # fn example(fanfare: fanfare::Fanfare) {
    /// tokio::spawn(async move {
    ///     let shard = fanfare.failed().await;
    ///     eprintln!("shard {shard} has ended");
    ///     std::process::exit(1);
    /// });
    /// # }
    /// ```
    pub async fn failed(&self) -> usize {
        let mut failures = self.inner.failures.subscribe();
        // The sender lives as long as this handle.
        match failures.wait_for(Option::is_some).await.map(|shard| *shard) {
            Ok(Some(shard)) => shard,
            _ => std::future::pending().await,
        }
    }

    /// Whether there was a descriptor for the last connection that came to [`Fanfare::serve`]. While there is none,
    /// clients are answered 503 and nobody new should be sent here.
    pub fn has_descriptors(&self) -> bool {
        self.inner.gate.has_descriptors()
    }

    /// Drops history that is past its age, and forgets idempotency keys whose window is over. Call it about once a second;
    /// until then they count against their bounds.
    ///
    /// ```no_run
    /// # fn example(fanfare: fanfare::Fanfare) {
    /// use std::time::Duration;
    ///
    /// tokio::spawn(async move {
    ///     while !fanfare.is_draining() {
    ///         tokio::time::sleep(Duration::from_secs(1)).await;
    ///         fanfare.expire_history();
    ///     }
    /// });
    /// # }
    /// ```
    pub fn expire_history(&self) {
        self.inner.broker.expire(wall());
    }

    pub(crate) fn consumers(&self) -> &Arc<Consumers> {
        &self.inner.consumers
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn snapshots(&self) -> impl Iterator<Item = Snapshot> {
        self.inner.stats.iter().map(|stats| stats.snapshot())
    }

    /// Notices that were lost because the application did not keep up.
    pub(crate) fn notices_lost(&self) -> u64 {
        self.inner.notices.as_ref().map_or(0, |notices| notices.lost())
    }

    /// What the broker holds beside its topics, and has let go.
    pub(crate) fn kept(&self) -> Figures {
        self.inner.broker.figures()
    }

    /// What the disk was asked and did; zeros without one.
    pub(crate) fn on_disk(&self) -> DiskFigures {
        let disk = self.inner.disk.as_ref();
        disk.map_or_else(DiskFigures::default, |disk| disk.figures())
    }

    /// Whether the disk of the [data directory](crate::Options::storage) failed, so that durable topics take nothing before
    /// a restart.
    pub fn is_storage_failed(&self) -> bool {
        self.on_disk().is_failed
    }

    #[cfg(feature = "tokens")]
    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.inner.ledger.as_ref()
    }

    pub(crate) fn node(&self) -> &Arc<str> {
        &self.inner.node
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.inner.gate
    }
}
