//! The codes of the protocol, for the causes that the hub knows. The tables in `docs/centrifuge.md` are written from these by
//! [`error_table`] and [`disconnect_table`].

use std::fmt::Write as _;

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

/// The errors of our own protocol and those of Centrifuge's as a Markdown table.
pub fn error_table() -> String {
    let mut table = String::from("| in `json` | code | message | `temporary` |\n|---|---|---|---|\n");
    for &code in ErrorCode::ALL {
        let error = error_of(code);
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            code.name(),
            error.code,
            error.message,
            error.temporary
        );
    }
    table
}

/// Why connections are closed, by our own codes and those of Centrifuge's, as a Markdown table.
pub fn disconnect_table() -> String {
    let mut table = String::from("| in `json` | code | reason | connects again |\n|---|---|---|---|\n");
    for cause in Disconnect::ALL {
        let (code, reason) = disconnect_of(cause);
        let returns = if reconnects(code) { "yes" } else { "no" };
        let _ = writeln!(
            table,
            "| {} {} | {code} | {reason} | {returns} |",
            cause.code(),
            cause.reason()
        );
    }
    table
}

/// Whether client libraries connect again after a close with `code`.
fn reconnects(code: u16) -> bool {
    matches!(code, 3000..=3499 | 4000..=4499)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// The errors of Centrifugo's documentation, and those of them that are temporary there.
    const ERRORS: [(u32, &str, bool); 13] = [
        (100, "internal server error", true),
        (101, "unauthorized", false),
        (102, "unknown channel", false),
        (103, "permission denied", false),
        (104, "method not found", false),
        (105, "already subscribed", false),
        (106, "limit exceeded", false),
        (107, "bad request", false),
        (108, "not available", false),
        (109, "token expired", false),
        (110, "expired", false),
        (111, "too many requests", true),
        (112, "unrecoverable position", false),
    ];

    /// The codes with which Centrifugo's documentation lets a connection be closed, and that of RFC 6455 that its client
    /// libraries know.
    const DISCONNECTS: [(u16, &str); 21] = [
        (1009, "message too big"),
        (3000, "connection closed"),
        (3001, "shutdown"),
        (3004, "internal server error"),
        (3005, "connection expired"),
        (3006, "subscription expired"),
        (3008, "slow"),
        (3009, "write error"),
        (3010, "insufficient state"),
        (3011, "force reconnect"),
        (3012, "no pong"),
        (3013, "too many requests"),
        (3500, "invalid token"),
        (3501, "bad request"),
        (3502, "stale"),
        (3503, "force disconnect"),
        (3504, "connection limit"),
        (3505, "channel limit"),
        (3506, "inappropriate protocol"),
        (3507, "permission denied"),
        (3508, "not available"),
    ];

    #[test]
    fn every_code_is_one_of_the_protocols_with_its_own_words() {
        for &code in ErrorCode::ALL {
            let error = error_of(code);
            let row = (error.code, &*error.message, error.temporary);
            assert!(ERRORS.contains(&row), "{code:?} is {row:?}");
        }
        for cause in Disconnect::ALL {
            let row = disconnect_of(cause);
            assert!(DISCONNECTS.contains(&row), "{cause:?} is {row:?}");
        }
    }

    #[test]
    fn a_code_of_the_applications_is_passed_on() {
        let ended = Disconnect::Application {
            code: 4001,
            reason: Arc::from("paused"),
        };
        assert_eq!(disconnect_of(&ended), (4001, "paused"));
        let error = error_of_application(1_000, ErrorCode::Unavailable, "try later");
        assert_eq!(
            (error.code, &*error.message, error.temporary),
            (1_000, "try later", true)
        );
    }

    #[test]
    fn whoever_cannot_be_told_an_error_is_closed_for_it() {
        for (code, application_code, expected) in [
            (ErrorCode::TokenExpired, None, Disconnect::Expired),
            (ErrorCode::Forbidden, Some(110), Disconnect::Expired),
            (ErrorCode::Overloaded, None, Disconnect::Flooding),
            (ErrorCode::Forbidden, None, Disconnect::Forbidden),
            (ErrorCode::BadTopic, None, Disconnect::Internal),
        ] {
            assert_eq!(
                disconnect_for(code, application_code),
                expected,
                "{code:?} {application_code:?}"
            );
        }
    }

    #[test]
    fn the_page_has_these_tables() {
        let page = include_str!("../../../../../docs/centrifuge.md");
        for table in [error_table(), disconnect_table()] {
            assert!(
                page.contains(&table),
                "docs/centrifuge.md is stale, it should have:\n{table}"
            );
        }
    }
}
