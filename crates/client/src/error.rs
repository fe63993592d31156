//! Why something failed, and what a program can do about it.

use std::io;
use std::time::Duration;

use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::websocket::Violation;

use crate::endpoint::EndpointError;
use crate::handshake::HandshakeError;
use crate::limits::LimitExceeded;
use crate::retry::reconnects_after;
use crate::server_message::{Malformed, Refusal};
use crate::token::TokenError;

/// Why a connection or a command failed.
///
/// The predicates sort them by what can be done: [`is_unauthenticated`](Self::is_unauthenticated) asks for another token,
/// [`is_forbidden`](Self::is_forbidden) for another permission, [`is_temporary`](Self::is_temporary) for patience, of which
/// [`retry_after`](Self::retry_after) says how much.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none this client can connect to.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// There is no token to show.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server did not agree to a WebSocket.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The network failed.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
    /// TLS cannot be spoken like that.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server did not welcome the client in time.
    #[error("server did not complete the connection within {0:?}; check host and port, or try again later")]
    ConnectTimeout(Duration),
    /// The server closed the connection.
    #[error("server closed the connection with code {code}: {reason}")]
    Closed {
        /// The close code; 1005 when it gave none.
        code: u16,
        /// The reason it gave.
        reason: String,
    },
    /// The server sent frames that RFC 6455 does not allow.
    #[error("server broke the WebSocket protocol: {0}")]
    Violation(#[from] Violation),
    /// The server sent a message that the dialect does not allow.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The server sent a binary message, which the dialect does not have.
    #[error("server sent a binary message, and the json dialect has none")]
    Binary,
    /// The server was silent for longer than it pings.
    #[error("server was silent for longer than its ping interval")]
    Silent,
    /// The server does not read what is sent.
    #[error("server does not take what is sent to it")]
    Stalled,
    /// The connection ended before the reply came: the command may have been carried out or not.
    #[error("connection ended before the reply; the command may have been carried out or not")]
    Lost,
    /// No reply came in time: the command may have been carried out or not.
    #[error("no reply within {0:?}; is the server reachable, and are pushes taken with `next`?")]
    CommandTimeout(Duration),
    /// The client is closed for good; [`Client::ended_by`](crate::Client::ended_by) says why.
    #[error("client is closed; connect a new one")]
    Ended,
    /// The server refused the command, or the application behind it did.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The client's own bounds refused the command.
    #[error(transparent)]
    Full(#[from] LimitExceeded),
    /// What was to be sent does not serialize.
    #[error("what was to be sent is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// What came is not of the type that was asked for.
    #[error("what came is not of the type that was asked for: {0}")]
    UnexpectedJson(#[source] serde_json::Error),
}

impl Error {
    /// Whether the server does not know who the client is: it wants a token, does not accept the one it was shown, or
    /// has revoked it. Another token may help.
    pub fn is_unauthenticated(&self) -> bool {
        let codes = [
            &Disconnect::Unauthenticated,
            &Disconnect::Revoked,
            &Disconnect::Expired,
        ];
        self.is_token_refused()
            || self.status() == Some(401)
            || codes.into_iter().any(|cause| self.is_close(cause))
            || matches!(self, Self::Token(_))
    }

    /// Whether the server knows who the client is and does not allow this. The same client asks in vain.
    pub fn is_forbidden(&self) -> bool {
        self.is_code(ErrorCode::Forbidden)
            || self.status() == Some(403)
            || self.is_close(&Disconnect::Forbidden)
    }

    /// Whether the client asks too much too fast; [`retry_after`](Self::retry_after) may say when to ask again.
    pub fn is_rate_limited(&self) -> bool {
        self.is_code(ErrorCode::RateLimited)
            || self.status() == Some(429)
            || self.is_close(&Disconnect::Flooding)
    }

    /// Whether the same may succeed later. After [`Error::Lost`] and [`Error::CommandTimeout`] it may also have been done
    /// already.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.temporary,
            Self::Handshake(refused) => refused.is_temporary(),
            Self::Token(error) => error.is_temporary(),
            Self::Closed { code, .. } => reconnects_after(*code),
            Self::Full(LimitExceeded::Commands) => true,
            Self::Endpoint(_) | Self::Tls(_) | Self::Ended | Self::Full(_) => false,
            Self::NotJson(_) | Self::UnexpectedJson(_) => false,
            _ => true,
        }
    }

    /// How long the server asks to wait before the same is tried again, when it says.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after(),
            Self::Handshake(refused) => refused.retry_after(),
            _ => None,
        }
    }

    /// Whether the server refused a token at the door, or perhaps did: another one may be accepted.
    pub(crate) fn asks_for_another_token(&self) -> bool {
        matches!(self.status(), Some(401 | 403)) || self.is_token_refused()
    }

    fn is_token_refused(&self) -> bool {
        self.is_code(ErrorCode::Unauthenticated) || self.is_code(ErrorCode::TokenExpired)
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Handshake(HandshakeError::Status { status, .. }) => Some(*status),
            _ => None,
        }
    }

    fn is_code(&self, code: ErrorCode) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == code.name())
    }

    fn is_close(&self, cause: &Disconnect) -> bool {
        matches!(self, Self::Closed { code, .. } if *code == cause.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: ErrorCode) -> Error {
        Error::Refused(Refusal {
            code: code.name().to_owned(),
            message: String::new(),
            temporary: code.is_temporary(),
            retry_after_ms: (code == ErrorCode::RateLimited).then_some(40),
            epoch: None,
            offset: None,
        })
    }

    fn closed(cause: &Disconnect) -> Error {
        Error::Closed {
            code: cause.code(),
            reason: cause.reason().to_owned(),
        }
    }

    fn answered(status: u16) -> Error {
        Error::Handshake(HandshakeError::Status {
            status,
            reason: String::new(),
            retry_after: None,
        })
    }

    #[test]
    fn every_way_to_say_no_is_told_apart() {
        for error in [
            refused(ErrorCode::Unauthenticated),
            refused(ErrorCode::TokenExpired),
            closed(&Disconnect::Revoked),
            closed(&Disconnect::Expired),
            answered(401),
        ] {
            assert!(error.is_unauthenticated() && !error.is_forbidden(), "{error}");
        }
        for error in [
            refused(ErrorCode::Forbidden),
            closed(&Disconnect::Forbidden),
            answered(403),
        ] {
            let is_otherwise = error.is_unauthenticated() || error.is_temporary() || error.is_rate_limited();
            assert!(error.is_forbidden() && !is_otherwise, "{error}");
        }
        for error in [
            refused(ErrorCode::RateLimited),
            closed(&Disconnect::Flooding),
            answered(429),
        ] {
            assert!(error.is_rate_limited() && !error.is_forbidden(), "{error}");
        }
        assert_eq!(
            refused(ErrorCode::RateLimited).retry_after(),
            Some(Duration::from_millis(40))
        );
    }

    #[test]
    fn patience_is_asked_for_where_it_helps() {
        for error in [
            refused(ErrorCode::Unavailable),
            closed(&Disconnect::Shutdown),
            answered(503),
        ] {
            assert!(error.is_temporary(), "{error}");
        }
        for error in [
            refused(ErrorCode::BadTopic),
            closed(&Disconnect::Revoked),
            answered(404),
            Error::Ended,
        ] {
            assert!(!error.is_temporary(), "{error}");
        }
    }
}
