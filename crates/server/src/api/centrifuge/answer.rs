//! What a command is answered: a result, or an error of Centrifugo's with words about what was wrong here.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use fanfare::{CallError, Refusal};
use serde::{Serialize, Serializer};

use super::channels::{Channels, Info};
use super::history::History;
use super::presence::{Presence, PresenceStats};
use super::publish::{Broadcast, Place};
use crate::api::answer::{Code as OurCode, Problem};

/// Declares an enum whose variants are rows of a table.
macro_rules! codes {
    ($($variant:ident $number:literal $status:ident $doc:literal;)+) => {
        /// Why a command was not done, as Centrifugo's callers know it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Code { $(#[doc = $doc] $variant),+ }

        impl Code {
            fn number(self) -> u32 {
                match self { $(Self::$variant => $number),+ }
            }

            /// The status that it comes with, where callers ask for one.
            fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }
        }
    };
}

codes! {
    Internal 100 INTERNAL_SERVER_ERROR "The server cannot do it now.";
    PermissionDenied 103 FORBIDDEN "The key has no scope for it.";
    MethodNotFound 104 NOT_FOUND "A batch has a command that is none.";
    LimitExceeded 106 PAYLOAD_TOO_LARGE "More is asked for than a call may have.";
    BadRequest 107 BAD_REQUEST "A parameter is missing or has no such value.";
    NotAvailable 108 BAD_REQUEST "There is no such thing here, or the channel has it not.";
    Unrecoverable 112 RANGE_NOT_SATISFIABLE "The position is of another epoch.";
}

/// A command that was not done: the code for programs, the message for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    code: Code,
    message: String,
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.number())
    }
}

impl Failure {
    /// The message names the value, the rule and the way out.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A parameter is wrong.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, message)
    }

    /// It is not there.
    pub(super) fn not_available(message: impl Into<String>) -> Self {
        Self::new(Code::NotAvailable, message)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let code = match &error {
            CallError::Topic(_) => Code::BadRequest,
            CallError::Refused(Refusal::TooManyTopics) => Code::LimitExceeded,
            CallError::Refused(_) | CallError::Busy | CallError::Failed | CallError::Closed => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let code = match problem.code() {
            OurCode::Forbidden => Code::PermissionDenied,
            OurCode::TooLarge => Code::LimitExceeded,
            _ => Code::BadRequest,
        };
        Self::new(code, problem.message())
    }
}

/// What a command was done with.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Done {
    /// There is nothing to say about it.
    Nothing {},
    Published(Place),
    Broadcast(Broadcast),
    Presence(Presence),
    PresenceStats(PresenceStats),
    History(History),
    Channels(Channels),
    Info(Info),
}

/// A result or an error, as it stands in an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome<T> {
    Result(T),
    Error(Failure),
}

impl<T> From<Result<T, Failure>> for Outcome<T> {
    fn from(outcome: Result<T, Failure>) -> Self {
        outcome.map_or_else(Self::Error, Self::Result)
    }
}

const ERROR_MODE: &str = "x-centrifugo-error-mode";

/// How a caller wants to be told of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorMode {
    /// In the body alone; the status is 200.
    Reply,
    /// By the status as well.
    Transport,
}

impl ErrorMode {
    /// What the headers of a call say.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match headers.get(ERROR_MODE).map(HeaderValue::as_bytes) {
            Some(b"transport") => Self::Transport,
            _ => Self::Reply,
        }
    }

    /// The answer of a call.
    pub(super) fn respond(self, outcome: Result<Done, Failure>) -> Response {
        let status = match (&outcome, self) {
            (Err(failure), Self::Transport) => failure.code.status(),
            _ => StatusCode::OK,
        };
        (status, Json(Outcome::from(outcome))).into_response()
    }
}
