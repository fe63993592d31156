//! The one place that reads clocks for the hubs and the broker.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fanfare_hub::Now;
use fanfare_protocol::{Millis, Timestamp};

/// Both clocks, counted from the start of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    pub(crate) fn now(self) -> Now {
        Now {
            monotonic: self.monotonic(),
            wall: wall(),
        }
    }

    /// The clock for deadlines and rates alone.
    pub(crate) fn monotonic(self) -> Millis {
        Millis(self.started.elapsed().as_millis() as u64)
    }
}

/// The wall clock; 1970 if it stands before that.
pub(crate) fn wall() -> Timestamp {
    Timestamp(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64),
    )
}
