//! What the API answers when it cannot do what was asked: a code from one table, with words, as JSON.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fanfare::{CallError, Position, Refusal};
use serde::Serialize;

/// Declares an enum whose variants are rows of a table.
macro_rules! codes {
    ($($variant:ident $name:literal $status:ident $doc:literal;)+) => {
        /// Why a call was not done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Code { $(#[doc = $doc] $variant),+ }

        impl Code {
            /// Every code, in the order of the table.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as callers see it.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The status that it comes with.
            pub(super) fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            #[cfg(test)]
            fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc),+ }
            }
        }
    };
}

codes! {
    BadQuery "bad_query" BAD_REQUEST "A query parameter is unknown, missing, repeated or has no such value.";
    KeyInQuery "key_in_query" BAD_REQUEST "A key in the address; it belongs into a header.";
    BadJson "bad_json" BAD_REQUEST "The body is not JSON.";
    BadBody "bad_body" BAD_REQUEST "A field is unknown, missing or of the wrong kind, or text is not UTF-8.";
    BadTopic "bad_topic" BAD_REQUEST "A topic name breaks the grammar.";
    BadUser "bad_user" BAD_REQUEST "A user name breaks the grammar.";
    BadConnection "bad_connection" BAD_REQUEST "A connection id is not one.";
    BadCursor "bad_cursor" BAD_REQUEST "The cursor is not one that this listing gave.";
    BadHeader "bad_header" BAD_REQUEST "A header has no such value.";
    Unauthorized "unauthorized" UNAUTHORIZED "The key is missing or wrong, or none is set and the call is not from this machine.";
    Forbidden "forbidden" FORBIDDEN "The key has no scope for this; the message names the one that is missing.";
    NotFound "not_found" NOT_FOUND "No such path, or no such connection is open.";
    NotAvailable "not_available" NOT_FOUND "The topic does not keep what was asked for.";
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "The path takes another method, which `Allow` names.";
    SlowBody "slow_body" REQUEST_TIMEOUT "The body did not arrive within 10 seconds.";
    Conflict "conflict" CONFLICT "The topic does not stand where it was expected to; nothing was published. `epoch` and `offset` say where it stands.";
    NoTokens "no_tokens" CONFLICT "No tokens are accepted here, so there is none to revoke.";
    TooLarge "too_large" PAYLOAD_TOO_LARGE "The body or the payload passes its limit.";
    WrongType "wrong_type" UNSUPPORTED_MEDIA_TYPE "The content type is not one that is read here.";
    BadConfiguration "bad_configuration" UNPROCESSABLE_ENTITY "The configuration is wrong; the one that runs is kept.";
    Overloaded "overloaded" SERVICE_UNAVAILABLE "The server cannot take the publication now; nothing was published.";
    TooManyTopics "too_many_topics" SERVICE_UNAVAILABLE "The server holds as many topics as it may; nothing was published.";
    StorageFull "storage_full" INSUFFICIENT_STORAGE "The server's disk is full and the topic is durable; nothing was published.";
    OutcomeUnknown "outcome_unknown" INTERNAL_SERVER_ERROR "The server's disk failed, and whether the publication is stored is not known; publish it again with the same idempotency key.";
    Unavailable "unavailable" SERVICE_UNAVAILABLE "The broker does not answer now; nothing was published.";
    RevocationsFull "revocations_full" SERVICE_UNAVAILABLE "As many tokens are revoked as may be; nothing was revoked.";
    RevocationNotStored "revocation_not_stored" INTERNAL_SERVER_ERROR "The tokens are revoked, but the server's disk failed and a restart would forget it; revoke them again.";
    Busy "busy" SERVICE_UNAVAILABLE "Too many calls are under way.";
    Failed "failed" SERVICE_UNAVAILABLE "A shard failed at the call and began anew without its connections.";
    ShuttingDown "shutting_down" SERVICE_UNAVAILABLE "The server stops.";
}

/// A call that was not done: the code for programs, the message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    code: Code,
    message: String,
    /// Where the topic stands, where it was expected elsewhere.
    position: Option<Position>,
}

impl Problem {
    /// The message names the value, the rule and the way out.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            position: None,
        }
    }

    /// Why the call was not done.
    pub(super) fn code(&self) -> Code {
        self.code
    }

    /// The words for people.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The problem as it is written into an answer.
    pub(super) fn to_detail(&self) -> Detail {
        Detail {
            code: self.code.name(),
            message: self.message.clone(),
            standing_at: self.position.map(|position| StandingAt {
                epoch: position.epoch.to_string(),
                offset: position.offset,
            }),
        }
    }
}

/// The JSON object of a problem.
#[derive(Debug, Serialize)]
pub(super) struct Detail {
    code: &'static str,
    message: String,
    #[serde(flatten)]
    standing_at: Option<StandingAt>,
}

#[derive(Debug, Serialize)]
struct StandingAt {
    epoch: String,
    offset: u64,
}

#[derive(Serialize)]
struct ErrorAnswer {
    error: Detail,
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let code = match &error {
            CallError::Topic(_) => Code::BadTopic,
            // No rate binds the application at the broker in memory; another broker may have one of its own.
            CallError::Refused(Refusal::Overloaded | Refusal::RateLimited { .. }) => Code::Overloaded,
            CallError::Refused(Refusal::TooManyTopics) => Code::TooManyTopics,
            CallError::Refused(Refusal::Unavailable) => Code::Unavailable,
            CallError::Refused(Refusal::StorageFull) => Code::StorageFull,
            CallError::Refused(Refusal::OutcomeUnknown) => Code::OutcomeUnknown,
            CallError::Refused(Refusal::Conflict { .. }) => Code::Conflict,
            CallError::Busy => Code::Busy,
            CallError::Failed => Code::Failed,
            CallError::Closed => Code::ShuttingDown,
        };
        let position = match error {
            CallError::Refused(Refusal::Conflict { position }) => Some(position),
            _ => None,
        };
        Self {
            position,
            ..Self::new(code, error.to_string())
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let answer = ErrorAnswer {
            error: self.to_detail(),
        };
        let mut response = (self.code.status(), Json(answer)).into_response();
        let headers = response.headers_mut();
        match self.code.status() {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        response
    }
}

/// What a refused caller is asked to wait.
const RETRY_AFTER_SECONDS: &str = "1";

/// The rows of [`Code`] as a Markdown table.
#[cfg(test)]
pub(super) fn code_table() -> String {
    use std::fmt::Write as _;
    let mut table = String::from("| status | `code` | meaning |\n|---|---|---|\n");
    for code in Code::ALL {
        let _ = writeln!(
            table,
            "| {} | `{}` | {} |",
            code.status().as_u16(),
            code.name(),
            code.meaning()
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use fanfare::ErrorCode;

    use super::*;

    #[test]
    fn codes_are_unique_and_the_shared_ones_are_those_of_the_sockets() {
        for code in Code::ALL {
            let same = Code::ALL.iter().filter(|other| other.name() == code.name());
            assert_eq!(same.count(), 1, "{}", code.name());
        }
        for (code, shared) in [
            (Code::BadJson, ErrorCode::BadJson),
            (Code::BadTopic, ErrorCode::BadTopic),
            (Code::Conflict, ErrorCode::Conflict),
            (Code::Forbidden, ErrorCode::Forbidden),
            (Code::NotFound, ErrorCode::NotFound),
            (Code::Overloaded, ErrorCode::Overloaded),
            (Code::TooManyTopics, ErrorCode::TooManyTopics),
            (Code::StorageFull, ErrorCode::StorageFull),
            (Code::OutcomeUnknown, ErrorCode::OutcomeUnknown),
            (Code::Unavailable, ErrorCode::Unavailable),
        ] {
            assert_eq!(code.name(), shared.name());
        }
    }

    #[test]
    fn what_a_call_ends_with_has_its_code() {
        for (error, code) in [
            (CallError::Refused(Refusal::Overloaded), Code::Overloaded),
            (CallError::Refused(Refusal::TooManyTopics), Code::TooManyTopics),
            (CallError::Refused(Refusal::Unavailable), Code::Unavailable),
            (CallError::Busy, Code::Busy),
            (CallError::Closed, Code::ShuttingDown),
        ] {
            let problem = Problem::from(error);
            assert_eq!(problem.code, code);
            let response = problem.into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        }
    }
}
