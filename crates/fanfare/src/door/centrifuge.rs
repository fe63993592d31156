//! The transports of Centrifuge beside its WebSocket: streams over HTTP whose clients speak in requests of their own, for where
//! no WebSocket gets through, and those for clients that only receive.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodRouter, any_service};
use fanfare_protocol::SessionKey;
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::{Opcode, encode_masked_frame};
use tower::Service;

use super::event_stream::{answer_with_stream, share};
use super::opening::refuse_body;
use super::refusal::Refused;
use super::request::Query;
use super::service::Endpoint;
use crate::Fanfare;

/// A way for clients of Centrifuge beside the [WebSocket](Fanfare::centrifuge). See `docs/centrifuge.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CentrifugeTransport {
    /// A stream of lines of JSON, or of Protobuf where the request's `Content-Type` is `application/octet-stream`, as the
    /// answer to a POST whose body are the first commands. Its client speaks through [`Emulation`](Self::Emulation).
    HttpStream,
    /// A stream of server-sent events, as the answer to a GET whose parameter `cf_connect` are the first commands, or to a
    /// POST with them as its body. Its client speaks through [`Emulation`](Self::Emulation).
    Sse,
    /// Where clients of the streams above speak: a POST is answered 204 when its commands are taken in, to be carried out in
    /// turn.
    Emulation,
    /// A WebSocket whose client says who it is, and only receives.
    UniWebSocket,
    /// Server-sent events for clients that only receive, as the answer to a GET, with a parameter `cf_connect` or without, or
    /// to a POST.
    UniSse,
    /// A stream for clients that only receive, as the answer to a POST; in JSON or in Protobuf like
    /// [`HttpStream`](Self::HttpStream).
    UniHttpStream,
}

/// An endpoint for clients of Centrifuge as a [`tower::Service`]. Made by [`Fanfare::centrifuge_service_over`]. Always ready;
/// a clone costs one reference count.
#[derive(Clone)]
pub struct CentrifugeService {
    fanfare: Fanfare,
    transport: CentrifugeTransport,
}

impl CentrifugeTransport {
    /// Every transport.
    pub const ALL: [Self; 6] = [
        Self::HttpStream,
        Self::Sse,
        Self::Emulation,
        Self::UniWebSocket,
        Self::UniSse,
        Self::UniHttpStream,
    ];

    /// Where client libraries expect it.
    pub fn path(self) -> &'static str {
        match self {
            Self::HttpStream => "/connection/http_stream",
            Self::Sse => "/connection/sse",
            Self::Emulation => "/emulation",
            Self::UniWebSocket => "/connection/uni_websocket",
            Self::UniSse => "/connection/uni_sse",
            Self::UniHttpStream => "/connection/uni_http_stream",
        }
    }

    /// The methods that it answers, for browsers that ask before, and for those who used another.
    fn methods(self) -> &'static str {
        match self {
            Self::HttpStream | Self::Emulation | Self::UniHttpStream => "POST, OPTIONS",
            Self::Sse | Self::UniSse => "GET, POST, OPTIONS",
            Self::UniWebSocket => "GET",
        }
    }

    /// What is spoken in its streams.
    fn dialect(self, is_protobuf: bool) -> Dialect {
        match (self, is_protobuf) {
            (Self::HttpStream, false) => Dialect::CentrifugeJsonLines,
            (Self::HttpStream, true) => Dialect::CentrifugeProtobufStream,
            (Self::UniHttpStream, false) => Dialect::CentrifugeUniJsonLines,
            (Self::UniHttpStream, true) => Dialect::CentrifugeUniProtobufStream,
            (Self::UniSse, _) => Dialect::CentrifugeUniJsonEvents,
            _ => Dialect::CentrifugeJsonEvents,
        }
    }
}

impl Fanfare {
    /// An endpoint for clients of Centrifuge that use no WebSocket, or only receive, to be mounted with
    /// [`axum::Router::route`]. Libraries expect it at [`CentrifugeTransport::path`]; those that fall back to a stream need
    /// [`CentrifugeTransport::Emulation`] as well, in the same process: behind several, a load balancer has to send all
    /// requests of a client to one.
    ///
    /// Streams leave HTTP as those of [`Fanfare::sse`] do. Pages of other origins need [leave](crate::Options::origins).
    ///
    /// ```
    /// # fn example(fanfare: fanfare::Fanfare) {
    /// use axum::Router;
    /// use fanfare::CentrifugeTransport;
    ///
    /// let app = Router::<()>::new().route("/connection/websocket", fanfare.centrifuge());
    /// let app = CentrifugeTransport::ALL
    ///     .iter()
    ///     .fold(app, |app, &transport| app.route(transport.path(), fanfare.centrifuge_over(transport)));
    /// # }
    /// ```
    pub fn centrifuge_over<S: Clone + Send + Sync + 'static>(
        &self,
        transport: CentrifugeTransport,
    ) -> MethodRouter<S> {
        any_service(self.centrifuge_service_over(transport))
    }

    /// The same endpoint as a [`tower::Service`]. It is given the requests that are meant for it, whatever their path, reads
    /// their bodies, in bounds, and runs on tokio with its time and I/O enabled.
    pub fn centrifuge_service_over(&self, transport: CentrifugeTransport) -> CentrifugeService {
        CentrifugeService {
            fanfare: self.clone(),
            transport,
        }
    }

    /// What makes the name of a session unguessable.
    pub(super) fn session_key(&self, dialect: Dialect) -> Result<Box<SessionKey>, Refused> {
        let secret = secret().map_err(|error| {
            let reason = format!("there is no randomness for a session: {error}");
            Refused::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
        })?;
        let node = dialect.is_spoken_beside().then(|| self.node().clone());
        Ok(Box::new(SessionKey { secret, node }))
    }

    async fn answer_centrifuge(self, request: Request<Body>, transport: CentrifugeTransport) -> Response {
        if transport == CentrifugeTransport::UniWebSocket {
            let request = request.map(drop);
            return self.open_websocket(request, Endpoint::CentrifugeUni).await;
        }
        let (parts, body) = request.into_parts();
        let (client, version) = (self.client_of(&parts), parts.version);
        if let Err(refused) = self.check_origin(&parts) {
            return self.turn_away(refused, client, version);
        }
        let shared_with = parts.headers.get(header::ORIGIN).cloned();
        let answered = if parts.method == Method::OPTIONS {
            Ok(allow(transport, &parts.headers))
        } else if transport == CentrifugeTransport::Emulation {
            self.take_aside(&parts, body).await
        } else {
            self.admit_centrifuge(parts, body, transport).await
        };
        let mut response = answered.unwrap_or_else(|refused| self.turn_away(refused, client, version));
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            let methods = HeaderValue::from_static(transport.methods());
            response.headers_mut().insert(header::ALLOW, methods);
        }
        share(response.headers_mut(), shared_with);
        response
    }

    /// Lets a client in that says who it is in its request, and answers with a stream.
    async fn admit_centrifuge(
        &self,
        mut parts: Parts,
        body: Body,
        transport: CentrifugeTransport,
    ) -> Result<Response, Refused> {
        self.check_open()?;
        let client = self.client_of(&parts);
        let said = self.first_words(&parts, body, transport).await?;
        let dialect = transport.dialect(is_protobuf(&parts.headers));
        let query = Query::default();
        let revocations = self.revocations();
        let (entry, entrant) = self.identify(&parts, (&query, dialect), client).await?;
        let mut opened = query.into_opened(dialect, &parts.headers, client, entry)?;
        opened.key = Some(self.session_key(dialect)?);
        let mut handover = self.find_place((opened, entrant), revocations)?;
        encode_masked_frame(Opcode::Binary, &said, [0; 4], &mut handover.said);
        let (content_type, preamble) = beginning(dialect);
        answer_with_stream(&mut parts, handover, headers(content_type), preamble).await
    }

    /// What a client says in its request.
    async fn first_words(
        &self,
        parts: &Parts,
        body: Body,
        transport: CentrifugeTransport,
    ) -> Result<Vec<u8>, Refused> {
        let is_events = matches!(transport, CentrifugeTransport::Sse | CentrifugeTransport::UniSse);
        let said = match parts.method {
            Method::POST => {
                let bytes_max = self.limits().hello_bytes_max() as usize;
                let mut received = self.receive(body, bytes_max).await?;
                received.take_bytes()
            }
            Method::GET if is_events => {
                refuse_body(&parts.headers)?;
                words_in_address(parts)
            }
            ref method => {
                let reason = format!("method is {method}, it is one of {}", transport.methods());
                return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, reason));
            }
        };
        let is_uni = transport.dialect(false).is_unidirectional();
        if said.is_empty() && !is_uni {
            return Err(Refused::bad(
                "there is no command, send `connect` in the body or as `cf_connect`",
            ));
        }
        Ok(said)
    }
}

/// The parameter `cf_connect`: what a browser's `EventSource` can say.
fn words_in_address(parts: &Parts) -> Vec<u8> {
    let query = parts.uri.query().unwrap_or_default();
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let said = parameters.find(|(name, _)| name == "cf_connect");
    said.map(|(_, said)| said.into_owned().into_bytes())
        .unwrap_or_default()
}

/// Whether a body is Protobuf; JSON has no content type of its own here.
pub(super) fn is_protobuf(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/octet-stream"))
}

/// The content type of a stream, and what is written before its first message: an event stream begins with a line break, at
/// which some proxies and browsers see that it has begun. One byte: behind two of them `eventsource` of npm, before version 3,
/// overlooks the end of the first event, if they come together.
fn beginning(dialect: Dialect) -> (&'static str, &'static [u8]) {
    match dialect {
        Dialect::CentrifugeJsonEvents | Dialect::CentrifugeUniJsonEvents => {
            ("text/event-stream; charset=utf-8", b"\n")
        }
        Dialect::CentrifugeJsonLines | Dialect::CentrifugeUniJsonLines => {
            ("application/json; charset=utf-8", b"")
        }
        _ => ("application/octet-stream", b""),
    }
}

/// The headers of a stream, as clients of Centrifuge and the proxies before them know them.
fn headers(content_type: &'static str) -> HeaderMap {
    let fixed = [
        (header::CONTENT_TYPE, content_type),
        (
            header::CACHE_CONTROL,
            "private, no-cache, no-store, must-revalidate, max-age=0",
        ),
        (header::PRAGMA, "no-cache"),
        (HeaderName::from_static("expire"), "0"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let values = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    values.into_iter().collect()
}

/// What a page may ask for, for browsers that ask before: with whatever headers it wants.
fn allow(transport: CentrifugeTransport, asked: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, transport.methods()),
        (header::ACCESS_CONTROL_MAX_AGE, "300"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

/// 128 bits that nobody can guess.
pub(crate) fn secret() -> io::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u128::from_ne_bytes(bytes))
}

impl<B> Service<Request<B>> for CentrifugeService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let request = request.map(Body::new);
        let answering = self.fanfare.clone().answer_centrifuge(request, self.transport);
        Box::pin(async { Ok(answering.await) })
    }
}

impl std::fmt::Debug for CentrifugeService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CentrifugeService").field(&self.transport).finish()
    }
}
