//! Identities that come to their end, where the application says who a client is from now on instead of the client. Meanwhile
//! the client stays who it was, for 25 s at most.

use std::sync::Arc;

use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::{Millis, Timestamp};

use super::Hub;
use crate::access::Identity;
use crate::ask::{Denial, Question, Suspended};
use crate::limits::RENEWAL_RETRY_MS;

impl Hub {
    /// When a client has to have shown a new token: never where the application is asked in its place.
    pub(super) fn told_expiry(&self, identity: Option<&Identity>) -> Option<Timestamp> {
        let identity = identity.filter(|_| !self.concerns.endings);
        identity.and_then(|identity| identity.expires_at)
    }

    /// Asks who a client is from now on, if its identity has come to its end and nothing else is asked.
    pub(super) fn renew_if_due(&mut self, slot: usize) {
        if self.concerns.endings && self.is_renewal_due(slot) {
            self.ask(slot, Suspended::Ending, Question::Renew);
        }
    }

    fn is_renewal_due(&self, slot: usize) -> bool {
        let session = self.sessions[slot].as_ref();
        let Some(session) = session.filter(|session| !session.is_awaited() && !session.is_asking()) else {
            return false;
        };
        let expires_at = session.identity.as_ref().and_then(|identity| identity.expires_at);
        let again_at = session.waiting.as_ref().and_then(|waiting| waiting.renewal_due);
        expires_at.is_some_and(|expires_at| self.now.wall >= expires_at)
            && again_at.is_none_or(|again_at| self.now.monotonic >= again_at)
            && !self.outboxes[slot].is_closing
    }

    /// The application has said who a client is from now on.
    pub(super) fn identity_renewed(&mut self, slot: usize, outcome: Result<Option<Arc<Identity>>, Denial>) {
        match outcome {
            Ok(Some(identity)) => self.renew_identity(slot, identity),
            Err(Denial::Closed(cause)) => self.disconnect(slot, &cause, None),
            Err(Denial::Refused { code, .. }) if code.is_temporary() => self.renew_later(slot),
            Ok(None) | Err(Denial::Refused { .. }) => self.disconnect(slot, &Disconnect::Expired, None),
        }
    }

    fn renew_identity(&mut self, slot: usize, identity: Arc<Identity>) {
        let now = self.now.wall;
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        let is_over = identity.expires_at.is_some_and(|expires_at| expires_at <= now);
        if is_over || session.user() != identity.user.as_ref() {
            return self.disconnect(slot, &Disconnect::Expired, None);
        }
        let before = session.identity.replace(identity);
        let before = before.and_then(|before| before.info.clone());
        let is_changed = before
            != session
                .identity
                .as_ref()
                .and_then(|identity| identity.info.clone());
        if let Some(waiting) = &mut session.waiting {
            waiting.renewal_due = None;
        }
        if is_changed {
            self.note_change(slot);
        }
    }

    /// Nobody has answered: the client stays who it is for a while. Those that were asked about together are not asked about
    /// again together.
    fn renew_later(&mut self, slot: usize) {
        let now = self.now.monotonic;
        if let Some(session) = &mut self.sessions[slot] {
            let early_ms = u64::from(session.connection.nonce()) % (RENEWAL_RETRY_MS / 2);
            let again_at = Millis(now.0 + RENEWAL_RETRY_MS - early_ms);
            session.waiting.get_or_insert_default().renewal_due = Some(again_at);
        }
    }
}
