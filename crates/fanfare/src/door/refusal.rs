//! Why the door turns someone away: the causes, their answers, their counts and their lines in the log.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fanfare_hub::Denial;
use fanfare_protocol::codes::ErrorCode;

/// Declares the causes; each has a name for the metrics and says whether an operator should read of it.
macro_rules! causes {
    ($($variant:ident $name:literal $level:ident $doc:literal;)+) => {
        /// Why a connection or a request is turned away at the door.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Cause { $(#[doc = $doc] $variant),+ }

        impl Cause {
            /// Every cause, in the order of the table.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The cause as the metrics name it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc),+ }
            }

            fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level),+ }
            }
        }
    };
}

causes! {
    BadRequest "bad_request" Debug "the request is not one that opens a connection here";
    Origin "origin" Debug "a page of an origin that is not allowed";
    HandshakeTimeout "handshake_timeout" Debug "the request was not there in time";
    TlsPlaintext "tls_plaintext" Debug "what came first is not TLS";
    TlsVersion "tls_version" Debug "a client that speaks no version of TLS that is accepted";
    TlsClientCertificate "tls_client_certificate" Debug "the client's certificate is missing or not accepted";
    TlsBrokenOff "tls_broken_off" Debug "the client broke the handshake of TLS off, perhaps because it does not trust the certificate";
    TlsHandshake "tls_handshake" Debug "the handshake of TLS failed";
    ProxyHeader "proxy_header" Warn "a PROXY header is missing, malformed or from a peer that is no trusted proxy";
    Descriptors "descriptors" Warn "no descriptor is left";
    Handshakes "handshakes" Warn "as many connections as may be are neither WebSockets nor streams yet";
    HandshakesPerAddress "handshakes_per_address" Warn "as many connections of one address as may be are neither WebSockets nor streams yet";
    Draining "draining" Debug "the server is shutting down";
    Memory "memory" Warn "memory is short";
    Connections "connections" Warn "as many connections as may be are open";
    ConnectionsPerAddress "connections_per_address" Warn "as many connections of one address as may be are open";
    ConnectionsPerUser "connections_per_user" Warn "as many connections of one user as may be are open";
    Admissions "admissions" Warn "more connections come than are admitted in a second";
    AdmissionsPerAddress "admissions_per_address" Warn "more connections of one address come than are admitted in a second";
    Unauthenticated "unauthenticated" Warn "as many connections as may be have yet to say who they are";
    RefusedTokens "refused_tokens" Warn "too many tokens of one address were not accepted";
    Token "token" Debug "nobody knows who it is, or its token was not accepted";
    Hook "hook" Debug "the application did not let it in";
    Topic "topic" Debug "a stream of events is asked for with a topic that the rules do not allow";
    Aside "aside" Debug "what a client says beside its stream has no room, or no stream that it belongs to";
    Adoption "adoption" Warn "a connection was let in and no shard took it";
}

/// Whom a line in the log is for.
enum Level {
    /// Who looks into one client's trouble.
    Debug,
    /// The operator: a bound may have to be moved, or someone is attacking.
    Warn,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.meaning())
    }
}

/// Someone who is turned away, and what they are told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(super) cause: Cause,
    status: StatusCode,
    /// Names the value, the rule and the way out.
    reason: String,
    /// When to come back, in seconds from now; none where coming back does not help.
    retry_after_s: Option<u64>,
}

impl Refused {
    /// A request that opens no connection, and would not later.
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            cause: Cause::BadRequest,
            status,
            reason: reason.into(),
            retry_after_s: None,
        }
    }

    /// A request that breaks a rule.
    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// A client that speaks no TLS where nothing else is spoken.
    #[cfg(feature = "tls")]
    pub(super) fn plaintext() -> Self {
        Self {
            cause: Cause::TlsPlaintext,
            ..Self::bad("TLS is spoken here, use `https://` or `wss://`")
        }
    }

    /// A page that may not connect.
    pub(super) fn origin(reason: impl Into<String>) -> Self {
        Self {
            cause: Cause::Origin,
            ..Self::new(StatusCode::FORBIDDEN, reason)
        }
    }

    /// Somebody who may not receive a topic that it asks for.
    pub(super) fn topic(reason: impl Into<String>) -> Self {
        Self {
            cause: Cause::Topic,
            ..Self::new(StatusCode::FORBIDDEN, reason)
        }
    }

    /// Somebody who speaks for a stream that is not here.
    pub(super) fn aside(reason: impl Into<String>) -> Self {
        Self {
            cause: Cause::Aside,
            ..Self::new(StatusCode::NOT_FOUND, reason)
        }
    }

    /// Somebody of whom nobody knows who it is.
    pub(super) fn unauthenticated(reason: impl Into<String>) -> Self {
        Self {
            cause: Cause::Token,
            ..Self::new(StatusCode::UNAUTHORIZED, reason)
        }
    }

    /// Somebody whom the application did not let in.
    pub(super) fn denied(denial: &Denial) -> Self {
        let (code, message, retry_after_ms) = match denial {
            Denial::Refused {
                code,
                message,
                retry_after_ms,
                ..
            } => (*code, message.as_str(), *retry_after_ms),
            Denial::Closed(cause) => (ErrorCode::Forbidden, cause.reason(), None),
        };
        let status = match code {
            ErrorCode::Unauthenticated | ErrorCode::TokenExpired => return Self::unauthenticated(message),
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Unavailable | ErrorCode::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::FORBIDDEN,
        };
        Self {
            cause: Cause::Hook,
            retry_after_s: retry_after_ms.map(|ms| ms.div_ceil(1_000).clamp(1, SPREAD_S_MAX)),
            ..Self::new(status, message)
        }
    }

    /// Whether its token was not accepted.
    pub(super) fn is_unauthenticated(&self) -> bool {
        self.cause == Cause::Token
    }

    /// Someone who would be welcome at another time, and is asked to come back within `spread_s` seconds: each at
    /// another time, so that those who are turned away together do not return together.
    pub(super) fn unavailable(cause: Cause, reason: impl Into<String>, spread_s: u64) -> Self {
        let spread_s = spread_s.clamp(1, SPREAD_S_MAX);
        Self {
            cause,
            retry_after_s: Some(fastrand::u64(1..=spread_s)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, reason)
        }
    }

    /// The same, where the reason lies with the client.
    pub(super) fn too_many(cause: Cause, reason: impl Into<String>, spread_s: u64) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            ..Self::unavailable(cause, reason, spread_s)
        }
    }

    /// The whole answer as bytes, for those whose request is not read.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let Self { status, reason, .. } = self;
        let retry_after = self
            .retry_after_s
            .map_or(String::new(), |after| format!("Retry-After: {after}\r\n"));
        let length = reason.len() + 1;
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
             {retry_after}Connection: close\r\n\r\n{reason}\n"
        )
        .into_bytes()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.reason)).into_response();
        let headers = response.headers_mut();
        // The reason may repeat, escaped, what the request asked for: it is text and nothing else.
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        match self.status {
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            }
            // Where its request ended is not sure any more.
            StatusCode::BAD_REQUEST => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
            }
            _ => {}
        }
        if let Some(after) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after));
        }
        response
    }
}

/// The longest that anyone is asked to stay away, in seconds.
const SPREAD_S_MAX: u64 = 30;

/// How often each cause was met. Counting takes no lock.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counts: [AtomicU64; Cause::ALL.len()],
    /// The second in which each cause last got its line, counted from 1.
    logged_in: [AtomicU64; Cause::ALL.len()],
}

impl Refusals {
    /// Counts one, and writes a line unless this cause had its line in this second, counted from `began`.
    pub(crate) fn count(&self, cause: Cause, remote: SocketAddr, began: Instant) {
        let at = cause as usize;
        let count = self.counts[at].fetch_add(1, Ordering::Relaxed) + 1;
        let second = began.elapsed().as_secs() + 1;
        if self.logged_in[at].swap(second, Ordering::Relaxed) == second {
            return;
        }
        let name = cause.name();
        match cause.level() {
            Level::Debug => tracing::debug!(cause = name, %remote, count, "turned away: {cause}"),
            Level::Warn => tracing::warn!(cause = name, %remote, count, "turned away: {cause}"),
        }
    }

    /// How many there were of one cause.
    pub(crate) fn of(&self, cause: Cause) -> u64 {
        self.counts[cause as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_explained_to_operators() {
        let page = include_str!("../../../../docs/operating/close-codes.md");
        for cause in Cause::ALL {
            assert!(page.contains(&format!("`{}`", cause.name())), "{}", cause.name());
        }
    }

    #[test]
    fn every_cause_has_its_own_name_and_count() {
        let refusals = Refusals::default();
        let remote = SocketAddr::from(([192, 0, 2, 1], 1));
        for (at, &cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(cause as usize, at);
            let same = Cause::ALL.iter().filter(|other| other.name() == cause.name());
            assert_eq!(same.count(), 1, "{}", cause.name());
            (0..=at).for_each(|_| refusals.count(cause, remote, Instant::now()));
        }
        for (at, &cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(refusals.of(cause), at as u64 + 1, "{}", cause.name());
        }
    }
}
