//! Server-sent events at the door: a request is checked as an opening handshake is, and answered with a stream.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::SystemTime;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use fanfare_hub::access::{Action, Subject, Verdict};
use fanfare_hub::{Opened, WantedTopic};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::dialect::sse::LastEventId;

use super::exit::Exit;
use super::handover::Handover;
use super::opening::refuse_body;
use super::refusal::{Cause, Refused};
use super::request::Query;
use crate::Fanfare;

impl Fanfare {
    /// Answers a request for a stream. Where the connection can leave HTTP this never ends: it leaves.
    pub(super) async fn open_stream(
        &self,
        mut parts: Parts,
        client: SocketAddr,
    ) -> Result<Response, Refused> {
        self.check_origin(&parts)?;
        let shared_with = parts.headers.get(header::ORIGIN).cloned();
        let answered = if parts.method == Method::OPTIONS {
            Ok(allow())
        } else {
            self.admit_stream(&mut parts, client).await
        };
        let mut response = answered?;
        share(response.headers_mut(), shared_with);
        Ok(response)
    }

    async fn admit_stream(&self, parts: &mut Parts, client: SocketAddr) -> Result<Response, Refused> {
        if parts.method != Method::GET {
            let reason = format!("method is {}, a stream is asked for with GET", parts.method);
            return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, reason));
        }
        refuse_body(&parts.headers)?;
        self.check_open()?;
        let id = last_event_id(parts)?;
        let query = Query::parse(&parts.uri, self.options())?.of_stream(id)?;
        let revocations = self.revocations();
        let (entry, entrant) = self.identify(parts, (&query, Dialect::Sse), client).await?;
        let opened = query.into_opened(Dialect::Sse, &parts.headers, client, entry)?;
        self.check_topics(&opened)?;
        let handover = self.find_place((opened, entrant), revocations)?;
        answer_with_stream(parts, handover, headers(), b"").await
    }

    /// Refuses a stream for a topic that the rules deny: a browser that is told by a status does not come back. What they
    /// leave to the application is asked by the hub.
    fn check_topics(&self, opened: &Opened) -> Result<(), Refused> {
        let is_known = opened.identity.is_some();
        if opened.topics.is_empty() && !is_known {
            return Err(Refused::bad("no topic is named, name one as `topic`"));
        }
        let (rules, identity) = (self.rules(), opened.identity.as_deref());
        let is_denied = |wanted: &&WantedTopic| {
            let subject = Subject::Client {
                identity,
                is_subscribed: false,
            };
            rules.decide(subject, Action::Subscribe, &wanted.topic) == Verdict::Denied
        };
        match opened.topics.iter().find(is_denied) {
            Some(WantedTopic { topic, .. }) => {
                let reason = format!("subscribe {topic:?} is not allowed to this client");
                Err(Refused::topic(reason))
            }
            None => Ok(()),
        }
    }
}

/// Answers with a stream that begins with `preamble`. Where the connection can leave HTTP this never ends: it leaves.
pub(super) async fn answer_with_stream(
    parts: &mut Parts,
    mut handover: Handover,
    mut headers: HeaderMap,
    preamble: &[u8],
) -> Result<Response, Refused> {
    let Some(exit) = parts.extensions.remove::<Exit>() else {
        handover.opened.greeting = preamble.into();
        let body = handover.into_body().map_err(|error| {
            let reason = format!("no descriptor is left for the stream, come back later: {error}");
            Refused::unavailable(Cause::Descriptors, reason, COME_BACK_S)
        })?;
        let mut response = Response::new(Body::new(body));
        *response.headers_mut() = headers;
        return Ok(response);
    };
    share(&mut headers, parts.headers.get(header::ORIGIN).cloned());
    handover.opened.greeting = [&head(&headers), preamble].concat().into();
    match exit.leave(handover).await {}
}

/// Where a stream goes on: what a browser says in a header, and what takes its place where no header can be set.
fn last_event_id(parts: &Parts) -> Result<Option<LastEventId>, Refused> {
    let by_header = match parts.headers.get(LAST_EVENT_ID) {
        Some(value) => Some(Cow::from(value.to_str().map_err(|_| {
            Refused::bad("`Last-Event-ID` is no text, give the last id or none")
        })?)),
        None => None,
    };
    let query = parts.uri.query().unwrap_or_default();
    let by_query = || {
        let mut parameters = form_urlencoded::parse(query.as_bytes());
        parameters.find_map(|(name, value)| LAST_EVENT_ID_PARAMETERS.contains(&&*name).then_some(value))
    };
    match by_header.or_else(by_query) {
        None => Ok(None),
        Some(text) if text.is_empty() => Ok(None),
        Some(text) => match text.parse() {
            Ok(id) => Ok(Some(id)),
            Err(error) => Err(Refused::bad(format!("`Last-Event-ID` is {text:?}, {error}"))),
        },
    }
}

/// The headers of a stream. Nothing between is to keep it, or to wait for its end before it passes it on.
fn headers() -> HeaderMap {
    let fixed = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let values = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    values.into_iter().collect()
}

/// Lets the page read the answer whose origin was admitted.
pub(super) fn share(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
}

/// What a page may ask for, for those that ask before: browsers do so for `fetch` with headers of its own, and not for
/// `EventSource`.
fn allow() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, last-event-id, cache-control",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The head of an answer whose end is that of the connection: that costs the events nothing (RFC 9112 section 6.3).
fn head(headers: &HeaderMap) -> Vec<u8> {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut head = format!("HTTP/1.1 200 OK\r\ndate: {date}\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The names of the parameter in its place, as polyfills of `EventSource` send it.
const LAST_EVENT_ID_PARAMETERS: [&str; 2] = ["lastEventId", "last_event_id"];

/// The time in seconds over which those are spread for whom there was no descriptor.
const COME_BACK_S: u64 = 5;
