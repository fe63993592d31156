//! Who the client is: which token it shows, when it shows another, and what becomes of one that is refused.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Driver, Pending};
use crate::error::Error;
use crate::incoming::{Push, Reply};
use crate::limits::{LimitExceeded, TOKENS_REFUSED_MAX};
use crate::renewal::renewal_delay;
use crate::server_message::Refusal;
use crate::token::{Token, TokenError};
use crate::token_desk::Purpose;

impl Driver {
    /// The token to connect with.
    pub(super) async fn token(&mut self) -> Result<Option<Token>, Error> {
        match (self.next_token.take(), &self.options.token) {
            (Some(token), _) => Ok(Some(token)),
            (None, Some(source)) => Ok(Some(source.ask(self.options.connect_timeout).await?)),
            (None, None) => Ok(None),
        }
    }

    /// Whether there is a token that may be accepted where the one that was shown was not.
    pub(super) async fn has_another_token(&mut self) -> bool {
        self.tokens_refused += 1;
        if self.tokens_refused >= TOKENS_REFUSED_MAX {
            return false;
        }
        let Some(source) = &self.options.token else {
            return false;
        };
        match source.ask(self.options.connect_timeout).await {
            Ok(token) if self.shown.as_ref() == Some(&token) => false,
            Ok(token) => {
                self.next_token = Some(token);
                true
            }
            Err(error) => error.is_temporary(),
        }
    }

    /// Asks for another token in time before the one in use ends, if it does and there is whom to ask.
    pub(super) fn schedule_renewal(&mut self) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let ends_at = self.expires_at.filter(|_| self.options.token.is_some());
        self.renewal_at = ends_at.map(|ends_at| {
            let left = Duration::from_millis(ends_at).saturating_sub(now);
            Instant::now() + renewal_delay(left, fastrand::f64())
        });
    }

    /// Asks for the token to be shown next.
    pub(super) fn renew(&mut self) {
        self.renewal_at = None;
        if let Some(source) = self.options.token.clone() {
            self.desk.ask(Purpose::Connection, source);
        }
    }

    /// Takes in what a source of tokens answered.
    pub(super) fn handle_token(&mut self, purpose: Purpose, outcome: Result<Token, TokenError>) {
        match (purpose, outcome) {
            (Purpose::Topics(topics), Ok(token)) => {
                self.session.subscribe_again(&topics, Some(&token));
            }
            (Purpose::Topics(topics), Err(error)) => {
                self.session.forget(&topics);
                let refusal = Refusal::without_token(&error);
                self.handle_push(Push::NotSubscribedAgain { topics, refusal });
            }
            (Purpose::Connection, Ok(token)) if self.shown.as_ref() == Some(&token) => {
                // Its source has no newer one yet.
                self.schedule_renewal();
            }
            (Purpose::Connection, Ok(token)) => {
                if self.show(&token).is_ok() {
                    self.shown = Some(token);
                }
            }
            (Purpose::Connection, Err(error)) => self.handle_push(Push::NotAuthenticated {
                reason: error.to_string(),
            }),
        }
    }

    /// Shows a token over the connection.
    pub(super) fn show(&mut self, token: &Token) -> Result<(), LimitExceeded> {
        let id = self.session.authenticate(token)?;
        self.pending.insert(id, Pending::Authentication);
        Ok(())
    }

    /// Takes in what the server says to a token that was shown over the connection.
    pub(super) fn handle_authentication(&mut self, outcome: Result<Reply, Refusal>) {
        match outcome {
            Ok(Reply::Authenticated(authenticated)) => {
                self.expires_at = authenticated.expires_at;
                self.schedule_renewal();
                self.handle_push(Push::Authenticated(authenticated));
            }
            Ok(_) => {}
            Err(refusal) if self.session.is_awaited() => self.refusal = Some(refusal),
            Err(refusal) => {
                if refusal.temporary {
                    // The token was not looked at, so it may be shown again.
                    self.shown = None;
                    self.schedule_renewal();
                }
                self.handle_push(Push::NotAuthenticated {
                    reason: refusal.to_string(),
                });
            }
        }
    }
}
