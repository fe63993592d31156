//! Clients of whom the application says anew who they are, without having been asked.

use std::sync::Arc;

use fanfare_protocol::Reply;

use super::Hub;
use crate::Renewal;
use crate::outbox::Lane;

impl Hub {
    /// Has a client end at another time, and perhaps be seen otherwise, and tells it so. None where it has yet to say who it is.
    pub(super) fn refresh_identity(&mut self, slot: usize, renewal: &Renewal) -> Option<()> {
        let session = self.sessions[slot]
            .as_mut()
            .filter(|session| !session.is_awaited())?;
        let identity = Arc::make_mut(session.identity.get_or_insert_default());
        identity.expires_at = renewal.expires_at;
        let is_seen_anew = renewal.info.is_some() && identity.info != renewal.info;
        if is_seen_anew {
            identity.info.clone_from(&renewal.info);
        }
        let reply = Reply::Authenticated {
            connection: session.connection,
            time: self.now.wall,
            user: identity.user.clone(),
            expires_at: identity.expires_at,
        };
        if is_seen_anew {
            self.note_change(slot);
        }
        self.reply_to(slot, Lane::Data, None, &reply);
        Some(())
    }
}
