//! What a connection asks of the hub just now. It is kept apart from the session, and only while there is something to
//! keep: most connections say nothing most of the time.

use fanfare_protocol::Millis;

use crate::bucket::{Bucket, Rate};

/// What a connection has under way and has used up. A new one is that of a connection that said nothing.
#[derive(Clone, Copy, Default)]
pub(crate) struct Demand {
    /// What it may still send.
    pub(crate) allowance: Allowance,
    /// How many more of its commands may be refused for coming too fast.
    pub(crate) refusals: Bucket,
    /// When the message or frame began that is not finished.
    pub(crate) begun_at: Option<Millis>,
    /// Its subscribe commands that wait for the broker.
    pub(crate) pending: u32,
    /// Whether it is not read from until it may send again.
    pub(crate) is_held: bool,
}

/// What a connection, or a user with all connections in one hub, may still send.
#[derive(Clone, Copy, Default)]
pub(crate) struct Allowance {
    pub(crate) commands: Bucket,
    pub(crate) bytes: Bucket,
}

/// The rates of an [`Allowance`].
#[derive(Clone, Copy)]
pub(crate) struct AllowanceRates {
    pub(crate) commands: Rate,
    pub(crate) bytes: Rate,
}

impl Demand {
    /// Whether nothing is under way and everything used up has come back.
    pub(crate) fn is_over(&self, now: Millis, rates: AllowanceRates, refusals: Rate) -> bool {
        self.begun_at.is_none()
            && self.pending == 0
            && !self.is_held
            && self.allowance.is_full(now, rates)
            && self.refusals.is_full(now, refusals)
    }
}

impl Allowance {
    /// Takes commands and bytes out.
    pub(crate) fn take(&mut self, now: Millis, rates: AllowanceRates, commands: u32, bytes: u32) {
        self.commands.take(now, rates.commands, commands);
        self.bytes.take(now, rates.bytes, bytes);
    }

    fn is_full(&self, now: Millis, rates: AllowanceRates) -> bool {
        self.commands.is_full(now, rates.commands) && self.bytes.is_full(now, rates.bytes)
    }
}
