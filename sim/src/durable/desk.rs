//! The journal of a simulated server: what is queued for the log and for reading, until the story does it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fanfare::broker::{Journal, Reading, Ticket};
use fanfare_log::{Busy, Draft, Policy, Reader};

/// Drafts that may be queued: few, so that the bound is met.
const QUEUE_MAX: usize = 20;

pub(super) struct Desk {
    reader: Reader,
    lines: Mutex<Lines>,
}

#[derive(Default)]
pub(super) struct Lines {
    pub(super) drafts: VecDeque<(Draft, Ticket)>,
    pub(super) readings: VecDeque<Reading>,
    pub(super) policy: Option<Policy>,
}

impl Desk {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            lines: Mutex::default(),
        }
    }

    pub(super) fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for Desk {
    fn submit(&self, draft: Draft, ticket: Ticket) -> Result<(), Busy> {
        let mut lines = self.lines();
        if lines.drafts.len() >= QUEUE_MAX {
            return Err(Busy::Full);
        }
        lines.drafts.push_back((draft, ticket));
        Ok(())
    }

    fn look_up(&self, reading: Reading) {
        self.lines().readings.push_back(reading);
    }

    fn reader(&self) -> &Reader {
        &self.reader
    }

    fn set_policy(&self, policy: Policy) {
        self.lines().policy = Some(policy);
    }
}
