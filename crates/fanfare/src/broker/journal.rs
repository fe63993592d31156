//! The durable log as a broker uses it.

use fanfare_hub::broker::{OutletId, Read, ReadId};
use fanfare_log::{Busy, Draft, Policy, Reader};
use fanfare_protocol::TopicName;

/// Where publications are made durable, and what was is read: a log, and whoever drives it. The program's drives it
/// with threads, a simulation step by step.
///
/// Nothing here waits for a disk. What becomes of drafts is told to [`LocalBroker::settle`](super::LocalBroker::settle),
/// in the order in which they were submitted.
pub trait Journal: Send + Sync {
    /// Queues a draft.
    ///
    /// # Errors
    /// Too much waits already, or nothing is taken any more.
    fn submit(&self, draft: Draft, ticket: Ticket) -> Result<(), Busy>;

    /// Has [`LocalBroker::look_up`](super::LocalBroker::look_up) called with this, soon and elsewhere.
    fn look_up(&self, reading: Reading);

    /// Reads the log.
    fn reader(&self) -> &Reader;

    /// How much is kept, from now on.
    fn set_policy(&self, policy: Policy);
}

/// Which topic waits for what was submitted.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    pub(super) partition: usize,
    pub(super) log: usize,
}

/// A read of what only the disk has.
#[derive(Clone, Debug)]
pub struct Reading {
    pub(super) outlet: OutletId,
    pub(super) topic: TopicName,
    pub(super) read: Read,
    pub(super) id: ReadId,
}
