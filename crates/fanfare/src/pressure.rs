//! Whether memory is short, as whoever watches over the process says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Known to the handle, the door and every shard.
#[derive(Clone, Default)]
pub(crate) struct Pressure(Arc<AtomicBool>);

impl Pressure {
    /// Whether memory is short.
    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it; gives whether it changed.
    pub(crate) fn set(&self, is_on: bool) -> bool {
        self.0.swap(is_on, Ordering::Relaxed) != is_on
    }
}
