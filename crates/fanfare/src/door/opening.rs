//! The opening handshake in its two forms: the upgrade of HTTP/1.1, and the extended CONNECT of HTTP/2.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::Response;
use fanfare_protocol::websocket::{Agreement, accept_key, is_valid_key};

use super::refusal::Refused;

/// A handshake that keeps the rules of its form.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// An upgrade (RFC 6455 section 4.2), with the client's key.
    Upgrade {
        /// To be answered.
        key: String,
    },
    /// An extended CONNECT (RFC 8441), which has no key.
    Connect,
}

impl Opening {
    /// Checks that a request is an opening handshake.
    pub(super) fn of(parts: &Parts) -> Result<Self, Refused> {
        let opening = match protocol_of(parts) {
            Some("websocket") => Self::connect(parts)?,
            Some(other) => {
                let reason = format!("`:protocol` is {other:?}, only websocket is spoken here");
                return Err(Refused::new(StatusCode::NOT_IMPLEMENTED, reason));
            }
            None => Self::upgrade(parts)?,
        };
        Ok(opening)
    }

    /// RFC 6455 section 4.2.1.
    fn upgrade(parts: &Parts) -> Result<Self, Refused> {
        let Parts {
            method,
            version,
            headers,
            ..
        } = parts;
        if *method != Method::GET {
            return Err(Refused::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("method is {method}, a WebSocket opens with GET"),
            ));
        }
        if *version == Version::HTTP_2 {
            return Err(Refused::bad(
                "this is a WebSocket endpoint, over HTTP/2 it opens with CONNECT and `:protocol` websocket",
            ));
        }
        if *version != Version::HTTP_11 {
            return Err(Refused::bad(format!(
                "version is {version:?}, a WebSocket opens over HTTP/1.1"
            )));
        }
        let is_upgrade = has_token(headers, &header::CONNECTION, "upgrade")
            && has_token(headers, &header::UPGRADE, "websocket");
        if !is_upgrade {
            let reason = "this is a WebSocket endpoint, send `Connection: Upgrade` and `Upgrade: websocket`";
            return Err(Refused::new(StatusCode::UPGRADE_REQUIRED, reason));
        }
        if only(headers, &header::HOST).is_none() {
            return Err(Refused::bad(
                "`Host` is missing, repeated or no text, send it once",
            ));
        }
        refuse_body(headers)?;
        if !has_version(headers) {
            return Err(Refused::new(StatusCode::UPGRADE_REQUIRED, WRONG_VERSION));
        }
        match only(headers, &header::SEC_WEBSOCKET_KEY) {
            Some(key) if is_valid_key(key) => Ok(Self::Upgrade { key: key.to_owned() }),
            _ => Err(Refused::bad("`Sec-WebSocket-Key` is not the base64 of 16 bytes")),
        }
    }

    /// RFC 8441 section 5: no key, no `Connection`, no `Upgrade`; the rest as ever. HTTP/2 refuses the headers of a
    /// connection itself (RFC 9113 section 8.2.2), and hyper one that announces a body.
    fn connect(parts: &Parts) -> Result<Self, Refused> {
        let headers = &parts.headers;
        let Some(authority) = parts.uri.authority() else {
            return Err(Refused::bad("`:authority` is missing, send it"));
        };
        // RFC 9113 section 8.3.1: a proxy may have believed the other one.
        if headers.contains_key(header::HOST)
            && only(headers, &header::HOST).is_none_or(|host| !host.eq_ignore_ascii_case(authority.as_str()))
        {
            return Err(Refused::bad(
                "`Host` and `:authority` disagree, send `:authority` alone",
            ));
        }
        if !has_version(headers) {
            return Err(Refused::bad(WRONG_VERSION));
        }
        Ok(Self::Connect)
    }

    /// The answer that lets the client in (RFC 6455 section 4.2.2, RFC 8441 section 5).
    pub(super) fn answer(&self, subprotocol: Option<&'static str>, agreement: Option<Agreement>) -> Response {
        let mut response = Response::new(Body::empty());
        if let Self::Upgrade { key } = self {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            if let Ok(accept) = HeaderValue::from_str(&accept_key(key)) {
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
            }
        }
        let headers = response.headers_mut();
        if let Some(subprotocol) = subprotocol {
            headers.insert(
                header::SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static(subprotocol),
            );
        }
        let extensions = agreement.and_then(|agreement| HeaderValue::try_from(agreement.to_string()).ok());
        if let Some(extensions) = extensions {
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, extensions);
        }
        response
    }
}

const WRONG_VERSION: &str = "`Sec-WebSocket-Version` is not 13, only 13 is spoken here";

/// The protocol that an extended CONNECT asks for. Anything else asks for none.
#[cfg(feature = "http2")]
fn protocol_of(parts: &Parts) -> Option<&str> {
    let protocol = parts.extensions.get::<hyper::ext::Protocol>()?;
    (parts.method == Method::CONNECT).then(|| protocol.as_str())
}

#[cfg(not(feature = "http2"))]
fn protocol_of(_: &Parts) -> Option<&str> {
    None
}

/// Refuses a request behind whose head bytes follow that are no frames. Where they end is a matter of opinion between a
/// proxy and this server, so they are not skipped.
pub(super) fn refuse_body(headers: &HeaderMap) -> Result<(), Refused> {
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length != "0");
    if has_body {
        return Err(Refused::bad(
            "the request has a body, a connection opens without one",
        ));
    }
    Ok(())
}

fn has_version(headers: &HeaderMap) -> bool {
    only(headers, &header::SEC_WEBSOCKET_VERSION) == Some("13")
}

/// The value of a header that must not be repeated (RFC 9112 section 3.2, RFC 6455 section 11.3): of two, a proxy may
/// believe the other one.
fn only<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a comma-separated header has a token.
fn has_token(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}
