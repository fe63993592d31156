//! How much of a topic is kept.

use std::fmt;
use std::sync::Arc;

/// How much of a topic is kept: what goes beyond any of the three is gone, oldest first. It is not served any more from
/// then on, and leaves the disk with its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Publications; exact after every append. [`u64::MAX`] for any number, 0 for none.
    pub count: u64,
    /// Time since a publication's own time, in milliseconds; exact to within a step of maintenance. A publication is
    /// not older than the ones behind it: it goes when all before it went. [`u64::MAX`] for ever.
    pub age_ms: u64,
    /// Bytes of records, their heads of 38 bytes and the topic's name included; exact to within a step of maintenance.
    /// [`u64::MAX`] for any number.
    pub bytes: u64,
}

impl Retention {
    /// Everything is kept.
    pub const ALL: Self = Self {
        count: u64::MAX,
        age_ms: u64::MAX,
        bytes: u64::MAX,
    };

    /// Nothing is kept but the position.
    pub const NONE: Self = Self {
        count: 0,
        ..Self::ALL
    };
}

/// Says how much is kept of a topic, by its name. Asked once for every topic, and again for all after
/// [`Log::set_policy`](crate::Log::set_policy).
#[derive(Clone)]
pub struct Policy(Arc<dyn Fn(&str) -> Retention + Send + Sync>);

impl Policy {
    /// A policy. It is called by the writer, so it is quick and does not call the log.
    pub fn new(policy: impl Fn(&str) -> Retention + Send + Sync + 'static) -> Self {
        Self(Arc::new(policy))
    }

    pub(crate) fn of(&self, topic: &str) -> Retention {
        (self.0)(topic)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new(|_| Retention::ALL)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policy")
    }
}
