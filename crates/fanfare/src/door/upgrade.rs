//! The upgrade itself: answer `101`, wait for HTTP to let go of the socket, and hand it to a shard.

use std::net::{Ipv4Addr, SocketAddr};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use fanfare_hub::Opened;
use fanfare_protocol::websocket::{Agreement, accept_key};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio::net::TcpStream;

use super::request::{Query, Refused, check_handshake, choose_dialect};
use crate::Fanfare;

impl Fanfare {
    /// The WebSocket endpoint, to be mounted with [`axum::Router::route`].
    ///
    /// It answers the opening handshake of RFC 6455 and takes the socket out of HTTP: neither a task nor a buffer of
    /// the host's runtime is left behind for a connection. The remote address comes from axum's
    /// [`ConnectInfo`], when the host provides it.
    pub fn websocket<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        let fanfare = self.clone();
        any(move |request: Request| {
            let answer = fanfare.open(request).unwrap_or_else(IntoResponse::into_response);
            std::future::ready(answer)
        })
    }

    fn open(&self, mut request: Request) -> Result<Response, Refused> {
        let key = check_handshake(request.method(), request.version(), request.headers())?;
        self.check_origin(&request)?;
        self.check_room()?;
        let query = Query::parse(request.uri(), self.options())?;
        let (dialect, subprotocol) = choose_dialect(&query, request.headers())?;
        let remote = remote_of(&request);
        let mut opened = query.into_opened(dialect, request.headers(), remote)?;
        let agreement = self.negotiate(request.headers());
        opened.compression = agreement.map(Agreement::compression).unwrap_or_default();
        let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
            let reason =
                "this HTTP connection cannot be upgraded, connect without a proxy that ends HTTP/1.1";
            return Err(Refused::new(StatusCode::NOT_IMPLEMENTED, reason));
        };
        let fanfare = self.clone();
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => fanfare.take_out(upgraded, opened),
                Err(error) => tracing::debug!(%error, "the client left during the upgrade"),
            }
        });
        Ok(switching_protocols(&key, subprotocol, agreement))
    }

    /// What is agreed on about compression, if that is switched on and the client offers it.
    fn negotiate(&self, headers: &HeaderMap) -> Option<Agreement> {
        let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS);
        self.options()
            .compression
            .then(|| Agreement::negotiate(offers.iter().map(HeaderValue::as_bytes)))
            .flatten()
    }

    fn check_origin(&self, request: &Request) -> Result<(), Refused> {
        let text = |value: &HeaderValue| value.to_str().unwrap_or("unreadable").to_owned();
        let origins: Vec<String> = request
            .headers()
            .get_all(header::ORIGIN)
            .iter()
            .map(text)
            .collect();
        let host = request.headers().get(header::HOST).map(text);
        let is_admitted = match &origins[..] {
            [] => self.options().origins.admits(None, host.as_deref()),
            [origin] => self.options().origins.admits(Some(origin), host.as_deref()),
            _ => false,
        };
        if is_admitted {
            return Ok(());
        }
        let reason = format!(
            "origin {:?} is not allowed here, start the server with --allow-origin to add it",
            origins.join(", ")
        );
        Err(Refused::new(StatusCode::FORBIDDEN, reason))
    }

    fn check_room(&self) -> Result<(), Refused> {
        if self.is_draining() {
            return Err(Refused::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is shutting down, connect again soon",
            ));
        }
        let max = self.options().connections_max;
        if self.connection_count() >= max {
            let reason = format!("{max} connections are open, which is the limit, connect again later");
            return Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, reason));
        }
        Ok(())
    }

    /// Takes the socket out of HTTP, with what the client sent behind its request.
    fn take_out(&self, upgraded: Upgraded, opened: Opened) {
        let Some((socket, early)) = socket_of(upgraded) else {
            return tracing::error!("the socket is not TCP and cannot be taken out of HTTP, it is dropped");
        };
        let adopted = socket.into_std().map(|socket| {
            // A client that gets no place is closed without a word: the 101 is out, and its shard takes no mail.
            self.adopt(socket, early, opened)
        });
        match adopted {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a connection was dropped at the door"),
            Err(error) => tracing::warn!(%error, "a socket could not be taken out of the runtime"),
        }
    }
}

/// The socket under an upgraded connection and what was read from it already. axum serves with hyper-util's `auto`
/// builder, which wraps the socket once more than hyper's own.
fn socket_of(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    type Io = TokioIo<TcpStream>;
    let (io, early) = match downcast::<Io>(upgraded) {
        Ok(parts) => (parts.io, parts.read_buf),
        Err(upgraded) => {
            let parts = upgraded.downcast::<Io>().ok()?;
            (parts.io, parts.read_buf)
        }
    };
    Some((io.into_inner(), early.to_vec()))
}

/// Where the request comes from; the unspecified address where the host does not say.
fn remote_of(request: &Request) -> SocketAddr {
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(unknown, |info| info.0)
}

/// The answer of RFC 6455 section 4.2.2.
fn switching_protocols(
    key: &str,
    subprotocol: Option<&'static str>,
    agreement: Option<Agreement>,
) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accept_key(key)) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
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

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.reason)).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}
