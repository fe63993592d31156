//! What a shard counts, published once per turn for whoever wants to read it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use fanfare_hub::{Counters, Gauges};

use super::Shard;
use super::panics::Panics;

/// Upper bounds of the turn-duration buckets, in microseconds.
pub(crate) const TURN_BUCKETS_US: [u64; 10] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000];

/// Counts and gauges of one shard at the end of a turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) hub: Counters,
    pub(crate) gauges: Gauges,
    pub(crate) writes: u64,
    pub(crate) written_bytes: u64,
    /// Bytes held for what clients began to send.
    pub(crate) receiving_bytes: usize,
    /// Bytes of TLS records that sockets did not take.
    pub(crate) sealed_bytes: usize,
    /// Connections that ended because what came broke TLS.
    pub(crate) tls_errors: u64,
    /// Publications that wait in the mailbox.
    pub(crate) mailbox: usize,
    /// Panics that were caught, by place.
    pub(crate) panics: Panics,
    /// How often the shard began anew with an empty hub.
    pub(crate) restarts: u64,
    pub(crate) turns: u64,
    pub(crate) turn_us: u64,
    /// Turns by duration; the last bucket has no upper bound.
    pub(crate) turn_buckets: [u64; TURN_BUCKETS_US.len() + 1],
}

/// Where a shard publishes its snapshot.
#[derive(Default)]
pub(crate) struct ShardStats {
    snapshot: Mutex<Snapshot>,
    /// Connections handed to the shard and not released.
    connections: AtomicUsize,
}

impl ShardStats {
    /// The last turn's snapshot.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// A connection left the shard.
    pub(crate) fn released(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// That a connection on its way into a shard counts as the shard's already; undone unless it arrives.
pub(crate) struct Counted(Option<Arc<ShardStats>>);

impl Counted {
    /// One more connection of a shard.
    pub(crate) fn new(stats: &Arc<ShardStats>) -> Self {
        stats.connections.fetch_add(1, Ordering::Relaxed);
        Self(Some(Arc::clone(stats)))
    }

    /// The connection has arrived: [`ShardStats::released`] gives its place back.
    pub(crate) fn arrived(mut self) {
        self.0 = None;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(stats) = &self.0 {
            stats.released();
        }
    }
}

impl Shard {
    /// Ends a turn's count. Never waits: a reader that holds the snapshot gets this turn's with the next one.
    pub(super) fn publish_stats(&mut self, began: Instant) {
        let turn_us = began.elapsed().as_micros() as u64;
        self.snapshot.turns += 1;
        self.snapshot.turn_us += turn_us;
        let bucket = TURN_BUCKETS_US.partition_point(|&bound| bound < turn_us);
        self.snapshot.turn_buckets[bucket] += 1;
        self.snapshot.gauges = self.hub.gauges();
        self.snapshot.receiving_bytes = self.receiving_bytes;
        self.snapshot.sealed_bytes = self.sealed_bytes;
        self.snapshot.mailbox = self.mailbox.publications();
        if let Ok(mut place) = self.stats.snapshot.try_lock() {
            place.clone_from(&self.snapshot);
            place.hub.clone_from(self.hub.counters());
        }
    }
}
