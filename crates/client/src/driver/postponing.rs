//! Topics that the server refused for now, after a reconnect: when each is asked for again.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::Driver;
use crate::connect_options::ConnectOptions;
use crate::incoming::Push;
use crate::retry::Backoff;
use crate::server_message::Refusal;

/// Those of the current connection, by the time when they are asked for: no more than there are topics.
#[derive(Debug)]
pub(super) struct Postponed {
    waiting: BTreeMap<Instant, Vec<String>>,
    backoff: Backoff,
}

impl Postponed {
    /// Nothing, with delays between those that `options` have for reconnects.
    pub(super) fn new(options: &ConnectOptions) -> Self {
        Self {
            waiting: BTreeMap::new(),
            backoff: Backoff::new(options.reconnect_delay_min, options.reconnect_delay_max),
        }
    }

    /// When something is to be asked for next.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.waiting.keys().next().copied()
    }

    /// Forgets everything: the connection is lost, and the next one asks for all.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

impl Driver {
    /// Has topics asked for later, that were refused so often in a row.
    pub(super) fn postpone(&mut self, topics: Vec<String>, refusal: Refusal, refusals: u32) {
        let backoff = &self.postponed.backoff;
        let retry_after = backoff.delay_after(refusals, refusal.retry_after(), fastrand::f64());
        let asked_at = Instant::now() + retry_after;
        let waiting = self.postponed.waiting.entry(asked_at).or_default();
        waiting.extend(topics.iter().cloned());
        self.handle_push(Push::Postponed {
            topics,
            refusal,
            retry_after,
        });
    }

    /// Asks for those whose time has come first.
    pub(super) fn ask_postponed(&mut self) {
        if let Some((_, topics)) = self.postponed.waiting.pop_first() {
            self.session.subscribe_again(&topics, None);
            self.take_incoming();
        }
    }
}
