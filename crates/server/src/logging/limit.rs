//! How much one place in the code may log: a flood of the same line tells nothing new.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Instant;

use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines per second from one place in the code. Beyond: left out and counted; once per second the log says how many.
const LINES_PER_SECOND: u32 = 10;

/// What every place in the code has logged lately. There is one entry per place, so it does not grow.
#[derive(Default)]
pub(super) struct Sites {
    sites: Mutex<HashMap<Identifier, Site>>,
    left_out: AtomicU64,
}

/// One place in the code.
struct Site {
    metadata: &'static Metadata<'static>,
    /// The second that `lines` were logged in.
    second: u64,
    lines: u32,
    left_out: u64,
}

/// What was left out since it was last asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Lines.
    pub(super) lines: u64,
    /// Where most of them came from, `file:line`.
    pub(super) most: String,
}

impl Sites {
    /// Takes note of a line; whether it may pass. Never waits.
    fn admits(&self, metadata: &'static Metadata<'static>, second: u64) -> bool {
        let mut sites = match self.sites.try_lock() {
            Ok(sites) => sites,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody else logs right now; one line more is cheaper than to wait.
            Err(TryLockError::WouldBlock) => return true,
        };
        let site = sites.entry(metadata.callsite()).or_insert(Site {
            metadata,
            second,
            lines: 0,
            left_out: 0,
        });
        if site.second != second {
            (site.second, site.lines) = (second, 0);
        }
        site.lines = site.lines.saturating_add(1);
        let is_admitted = site.lines <= LINES_PER_SECOND;
        site.left_out += u64::from(!is_admitted);
        is_admitted
    }

    /// What was left out since the last call, if anything.
    pub(super) fn take_left_out(&self) -> Option<LeftOut> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let worst = sites.values().max_by_key(|site| site.left_out)?.metadata;
        let lines = sites
            .values_mut()
            .map(|site| std::mem::take(&mut site.left_out))
            .sum();
        drop(sites);
        if lines == 0 {
            return None;
        }
        self.left_out.fetch_add(lines, Ordering::Relaxed);
        let (file, line) = (worst.file().unwrap_or("unknown"), worst.line().unwrap_or(0));
        Some(LeftOut {
            lines,
            most: format!("{file}:{line}"),
        })
    }

    /// Lines left out so far, as last told.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}

/// The part of the subscriber that leaves lines out.
pub(super) struct LineLimit {
    sites: Arc<Sites>,
    started: Instant,
}

impl LineLimit {
    pub(super) fn new(sites: Arc<Sites>) -> Self {
        Self {
            sites,
            started: Instant::now(),
        }
    }
}

impl<S: Subscriber> Layer<S> for LineLimit {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        self.sites
            .admits(event.metadata(), self.started.elapsed().as_secs())
    }
}
