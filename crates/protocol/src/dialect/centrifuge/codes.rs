//! The codes of the protocol, for the causes that the hub knows. `docs/centrifuge.md` has the tables.

use super::reply::Error;
use crate::codes::{Disconnect, ErrorCode};

/// A command is refused. Whether it may succeed later is a matter of the code here: client libraries try again where it
/// says so.
pub(crate) fn error_of(code: ErrorCode) -> Error {
    let (code, message) = match code {
        ErrorCode::Unauthenticated => (101, "unauthorized"),
        ErrorCode::Forbidden | ErrorCode::TokenMismatch => (103, "permission denied"),
        ErrorCode::NotFound => (104, "method not found"),
        ErrorCode::Unrecoverable => (112, "unrecoverable position"),
        ErrorCode::AlreadySubscribed => (105, "already subscribed"),
        ErrorCode::TooManySubscriptions | ErrorCode::TooManyTopics => (106, "limit exceeded"),
        ErrorCode::BadJson | ErrorCode::BadCommand | ErrorCode::BadTopic => (107, "bad request"),
        ErrorCode::NotAvailable => (108, "not available"),
        ErrorCode::TokenExpired => (109, "token expired"),
        ErrorCode::RateLimited | ErrorCode::Overloaded => (111, "too many requests"),
        ErrorCode::Conflict | ErrorCode::StorageFull | ErrorCode::OutcomeUnknown | ErrorCode::Unavailable => {
            (100, "internal server error")
        }
    };
    Error {
        code,
        message: message.to_owned(),
        temporary: matches!(code, 100 | 111),
    }
}

/// A command is refused by the application with a code of its own, which clients get as it is.
pub(crate) fn error_of_application(number: u16, code: ErrorCode, message: &str) -> Error {
    Error {
        code: number.into(),
        message: message.to_owned(),
        temporary: code.is_temporary(),
    }
}

/// Why a client that only receives is closed where another is told an error, perhaps with the application's own code, as far
/// as that is more than an internal one.
pub(crate) fn disconnect_for(code: ErrorCode, application_code: Option<u16>) -> Disconnect {
    match application_code.map_or_else(|| error_of(code).code, u32::from) {
        109 | 110 => Disconnect::Expired,
        111 => Disconnect::Flooding,
        103 => Disconnect::Forbidden,
        _ => Disconnect::Internal,
    }
}

/// Code and reason of a connection that the server ends: 3000 to 3499 and 4000 to 4499 say that the client connects again,
/// 3500 to 3999 and 4500 to 4999 that it does not.
pub(crate) fn disconnect_of(cause: &Disconnect) -> (u16, &str) {
    match cause {
        Disconnect::Shutdown => (3001, "shutdown"),
        Disconnect::Internal | Disconnect::Overloaded => (3004, "internal server error"),
        Disconnect::Expired => (3005, "connection expired"),
        Disconnect::SubscriptionExpired => (3006, "subscription expired"),
        Disconnect::Slow | Disconnect::Shed | Disconnect::Stalled => (3008, "slow"),
        Disconnect::PositionLost => (3010, "insufficient state"),
        Disconnect::Reconnect => (3011, "force reconnect"),
        Disconnect::NoPong => (3012, "no pong"),
        Disconnect::Flooding => (3013, "too many requests"),
        Disconnect::Revoked | Disconnect::BadToken => (3500, "invalid token"),
        Disconnect::ProtocolError | Disconnect::InvalidData => (3501, "bad request"),
        Disconnect::Unauthenticated | Disconnect::MessageTimeout => (3502, "stale"),
        Disconnect::Disconnected => (3503, "force disconnect"),
        Disconnect::TooManyConnections => (3504, "connection limit"),
        Disconnect::TooManySubscriptions => (3505, "channel limit"),
        Disconnect::UnsupportedData => (3506, "inappropriate protocol"),
        Disconnect::Forbidden => (3507, "permission denied"),
        Disconnect::NotAvailable => (3508, "not available"),
        Disconnect::MessageTooBig => (1009, "message too big"),
        Disconnect::Application { code, reason } => (*code, reason),
    }
}
