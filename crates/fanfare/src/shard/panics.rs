//! What a panic takes with it. `docs/decisions/0010-what-dies-with-what.md` says why.
//!
//! Code that works for one connection is run by [`attempt`]: a panic in it is that connection's end and nobody
//! else's. Everything else, the hub above all, may be left half changed: then the shard begins anew in its thread,
//! with a new hub and no connection. A shard that does so over and over ends and tells its host.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_hub::Hub;
use tokio::sync::watch;

use super::{Mailbox, Shard};

/// Where in a shard a panic was caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PanicPlace {
    /// Taking a connection in.
    Adopting,
    /// Reading its socket.
    Reading,
    /// Taking its frames apart.
    Decoding,
    /// Reading its messages.
    Dialect,
    /// Writing its socket.
    Writing,
    /// The hub, or the shard itself.
    Hub,
}

impl PanicPlace {
    /// Every place, in the order of [`Panics`].
    pub(crate) const ALL: [Self; 6] = [
        Self::Adopting,
        Self::Reading,
        Self::Decoding,
        Self::Dialect,
        Self::Writing,
        Self::Hub,
    ];

    /// Its name in metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Adopting => "adopting",
            Self::Reading => "reading",
            Self::Decoding => "decoding",
            Self::Dialect => "dialect",
            Self::Writing => "writing",
            Self::Hub => "hub",
        }
    }
}

/// Panics that were caught, by [`PanicPlace`].
pub(crate) type Panics = [u64; PanicPlace::ALL.len()];

/// How a shard tells its host that it has ended without being told to.
pub(crate) type Failures = Arc<watch::Sender<Option<usize>>>;

/// Panics of a shard, in [`RESTARTS_WITHIN`], of which the last one ends it.
pub(crate) const RESTARTS_MAX: usize = 5;

/// The time in which so many are too many.
const RESTARTS_WITHIN: Duration = Duration::from_secs(10);

/// Does something for one connection; gives nothing when that panicked.
pub(super) fn attempt<T>(panics: &mut Panics, place: PanicPlace, work: impl FnOnce() -> T) -> Option<T> {
    // What `work` has half changed belongs to the connection, which is closed for it and not looked into again.
    let outcome = catch_unwind(AssertUnwindSafe(work)).ok();
    if outcome.is_none() {
        panics[place as usize] += 1;
        tracing::error!(
            place = place.name(),
            "a panic was caught, the connection it was for is closed"
        );
    }
    outcome
}

impl Shard {
    /// Runs until it is told to stop and the last connection is gone, or until it fails for good.
    pub(crate) fn run(self, failures: Failures) {
        let mut ending = Ending {
            shard: self.options.index,
            mailbox: Arc::clone(&self.mailbox),
            failures,
            is_orderly: false,
        };
        match self.run_through_panics() {
            Ok(()) => ending.is_orderly = true,
            Err(error) => tracing::error!(shard = ending.shard, %error, "a shard has ended"),
        }
    }

    fn run_through_panics(mut self) -> io::Result<()> {
        let mut panicked_at = VecDeque::new();
        loop {
            if let Ok(served) = catch_unwind(AssertUnwindSafe(|| self.serve())) {
                return served;
            }
            let now = Instant::now();
            panicked_at.push_back(now);
            panicked_at.retain(|&at| now.duration_since(at) < RESTARTS_WITHIN);
            self = self.restarted();
            if panicked_at.len() >= RESTARTS_MAX {
                return Err(io::Error::other("it panicked too often"));
            }
        }
    }

    /// The shard that takes the place of one whose hub cannot be trusted any more: without connections, in no topic,
    /// and counting on. Fresh connections and calls that wait in the mailbox stay there.
    fn restarted(self) -> Self {
        let Self {
            options,
            poll,
            hub,
            connections,
            mut snapshot,
            mailbox,
            peers,
            broker,
            outlet,
            stats,
            is_stopping,
            ..
        } = self;
        broker.detach(outlet);
        mailbox.drop_broker_mail();
        let dropped = connections.iter().flatten().count();
        (0..dropped).for_each(|_| stats.released());
        snapshot.panics[PanicPlace::Hub as usize] += 1;
        snapshot.restarts += 1;
        tracing::error!(
            shard = options.index,
            dropped,
            "a panic was caught in the hub, the shard begins anew without its connections"
        );
        let hub = Hub::in_place_of(&hub, options.limits.clone(), options.seed);
        let mut shard = Self {
            hub,
            snapshot,
            is_stopping,
            ..Self::new(options, poll, peers, broker, stats)
        };
        shard.publish_stats(Instant::now());
        shard
    }
}

/// The end of a shard's thread, however it comes: nobody waits for the shard any more, and its host knows.
struct Ending {
    shard: usize,
    mailbox: Arc<Mailbox>,
    failures: Failures,
    is_orderly: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.mailbox.close();
        if !self.is_orderly {
            self.failures.send_replace(Some(self.shard));
        }
    }
}
