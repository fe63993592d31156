//! Revoking tokens in a running hub: they are refused from now on, and whoever was let in by them has to go.

use fanfare_hub::Selector;
use fanfare_log::StateError;
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::{Timestamp, UserName};

use super::{RevokedFull, Tokens};
use crate::{CallError, Fanfare};

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// One token.
    Token {
        /// Its id (`jti`).
        id: Box<str>,
        /// When it ends by itself, if that is known: it need not be remembered longer.
        expires_at: Option<Timestamp>,
    },
    /// All tokens of a user that were made until now, in whole seconds.
    User(UserName),
}

/// Why tokens were not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The hub verifies no tokens.
    #[error("no tokens are accepted here, so there is none to revoke")]
    NoTokens,
    /// Too many are revoked already.
    #[error(transparent)]
    Full(#[from] RevokedFull),
    /// They are refused from now on and whoever was let in by them is closed, but the data directory does not say so.
    #[error("they are revoked, but a restart would forget that, revoke them again: {0}")]
    NotStored(#[from] StateError),
    /// They are refused from now on, but not all of those who had shown them could be closed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Fanfare {
    /// Refuses tokens from now on, and closes all connections that were let in by them, or all of the user's, with close
    /// code 3504. Gives how many there were. Who is on the way in meanwhile is asked to come again. With a
    /// [data directory](crate::Options::storage) it is stored there when this returns, which costs two syncs that calls at
    /// the same time share.
    ///
    /// # Errors
    /// No tokens are verified here, too many are revoked, it could not be stored, or a shard is busy or gone: then call
    /// again.
    pub async fn revoke(&self, what: Revocation) -> Result<usize, RevokeError> {
        let tokens = self.tokens().ok_or(RevokeError::NoTokens)?;
        let who = match what {
            Revocation::Token { id, expires_at } => {
                tokens.revoke_token(&id, expires_at)?;
                Selector::Token(id)
            }
            Revocation::User(user) => {
                tokens.revoke_user(&user)?;
                Selector::User(user)
            }
        };
        // They go at once, however slow the disk is.
        let (closed, stored) = tokio::join!(self.disconnect(who, Disconnect::Revoked), self.store_revoked());
        stored?;
        Ok(closed?)
    }

    async fn store_revoked(&self) -> Result<(), StateError> {
        let Some(ledger) = self.ledger() else {
            return Ok(());
        };
        let stored = ledger.write().await;
        if let Err(error) = &stored {
            tracing::error!(%error, "tokens are revoked that a restart would forget");
        }
        stored
    }

    /// What verifies tokens here, if anything does.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.options().application.as_ref()?.tokens()
    }
}
