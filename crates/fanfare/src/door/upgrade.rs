//! The upgrade itself: answer `101`, wait for HTTP to let go of the socket, and hand it to a shard.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use fanfare_hub::access::Identity;
use fanfare_hub::{Opened, Selector};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::websocket::{Agreement, accept_key};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::address::{ClientAddress, canonical};
use super::gate::{Candidate, Gate, Place};
use super::refusal::Refused;
use super::request::{Query, check_handshake, choose_dialect};
use crate::Fanfare;
use crate::handle::Seat;
use crate::hooks::Application;
use crate::tls::Session;

impl Fanfare {
    /// The WebSocket endpoint, to be mounted with [`axum::Router::route`].
    ///
    /// It answers the opening handshake of RFC 6455 and takes the socket out of HTTP: neither a task nor a buffer of
    /// the host's runtime is left behind for a connection.
    ///
    /// Who the client is: what the host put into the request's extensions as [`Arc<Identity>`](crate::Identity), or what
    /// the [application](crate::Options::application) makes of its token. A token comes as `Authorization: Bearer TOKEN`,
    /// as a subprotocol `fanfare.token.TOKEN`, as the parameter `token`, or with the command `auth` as the first thing
    /// that the client says.
    ///
    /// The client's address is what the host put into the request's extensions as [`ClientAddress`]; otherwise the one
    /// of axum's [`ConnectInfo`], or whom that one names if it is a [trusted proxy](crate::Options::trusted_proxies).
    /// Where the host provides neither, clients are not counted by address.
    pub fn websocket<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        let fanfare = self.clone();
        any(move |request: Request| {
            let fanfare = fanfare.clone();
            async move { fanfare.open(request).await }
        })
    }

    async fn open(&self, request: Request) -> Response {
        let (parts, _) = request.into_parts();
        let client = self.client_of(&parts);
        self.admit(parts, client).await.unwrap_or_else(|refused| {
            self.gate().turned_away(refused.cause, client);
            refused.into_response()
        })
    }

    async fn admit(&self, mut parts: Parts, client: SocketAddr) -> Result<Response, Refused> {
        let key = check_handshake(&parts.method, parts.version, &parts.headers)?;
        self.check_origin(&parts.headers)?;
        if self.is_draining() {
            return Err(self.gate().refuse_drained());
        }
        if self.is_memory_short() {
            return Err(Gate::refuse_short());
        }
        let query = Query::parse(&parts.uri, self.options())?;
        let (dialect, subprotocol) = choose_dialect(&query, &parts.headers)?;
        let revocations = self.revocations();
        let entry = self.identify(&parts, (&query, dialect), client).await?;
        let mut opened = query.into_opened(dialect, &parts.headers, client, entry)?;
        let agreement = self.negotiate(&parts.headers);
        opened.compression = agreement.map(Agreement::compression).unwrap_or_default();
        let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            let reason =
                "this HTTP connection cannot be upgraded, connect without a proxy that ends HTTP/1.1";
            return Err(Refused::new(StatusCode::NOT_IMPLEMENTED, reason));
        };
        let seat = self.take_seat();
        let candidate = Candidate {
            address: client.ip(),
            user: opened
                .identity
                .as_ref()
                .and_then(|identity| identity.user.as_ref()),
            is_awaited: opened.is_awaited,
        };
        let place = self.gate().admit(candidate, self.connection_count())?;
        let (fanfare, identity) = (self.clone(), opened.identity.clone());
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => {
                    take_out(upgraded, opened, seat, place);
                    fanfare.recall(identity, revocations).await;
                }
                Err(error) => tracing::debug!(%error, "the client left during the upgrade"),
            }
        });
        Ok(switching_protocols(&key, subprotocol, agreement))
    }

    fn revocations(&self) -> u64 {
        let application = self.options().application.as_ref();
        application.map_or(0, Application::revocations)
    }

    /// Has a client come again of which something was revoked while it was on its way from the door to its shard: revoking
    /// may have looked there before it came.
    async fn recall(&self, identity: Option<Arc<Identity>>, revocations: u64) {
        let application = self.options().application.as_ref();
        let is_recalled = |identity: &Arc<Identity>| {
            application.is_some_and(|application| application.is_recalled(identity, revocations))
        };
        let Some(identity) = identity.filter(is_recalled) else {
            return;
        };
        let who = match (&identity.token_id, &identity.user) {
            (Some(id), _) => Selector::Token(id.clone()),
            (None, Some(user)) => Selector::User(user.clone()),
            (None, None) => return,
        };
        // A shard that is gone, or too busy, has taken in nobody either.
        let _ = self.disconnect(who, Disconnect::Reconnect).await;
    }

    /// What is agreed on about compression, if that is switched on and the client offers it.
    fn negotiate(&self, headers: &HeaderMap) -> Option<Agreement> {
        let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS);
        self.options()
            .compression
            .then(|| Agreement::negotiate(offers.iter().map(HeaderValue::as_bytes)))
            .flatten()
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let text = |value: &HeaderValue| value.to_str().unwrap_or("unreadable").to_owned();
        let origins: Vec<String> = headers.get_all(header::ORIGIN).iter().map(text).collect();
        let host = headers.get(header::HOST).map(text);
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
        Err(Refused::origin(reason))
    }

    /// Where a request comes from; the unspecified address where the host does not say.
    fn client_of(&self, parts: &Parts) -> SocketAddr {
        if let Some(ClientAddress(client)) = parts.extensions.get() {
            return canonical(*client);
        }
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(unknown, |info| info.0);
        self.gate().client_behind(peer, &parts.headers)
    }
}

/// Takes the socket out of HTTP, with what the client sent behind its request, and gives it to its shard.
fn take_out(upgraded: Upgraded, opened: Opened, seat: Seat, place: Option<Box<Place>>) {
    let Some(Taken { socket, tls, early }) = Taken::of(upgraded) else {
        return tracing::error!("the socket is not TCP and cannot be taken out of HTTP, it is dropped");
    };
    match socket.into_std() {
        // A client whose shard takes no mail is closed without a word: the 101 is out.
        Ok(socket) => seat.adopt((socket, tls), early, opened, place),
        Err(error) => tracing::warn!(%error, "a socket could not be taken out of the runtime"),
    }
}

/// What was under an upgraded connection.
struct Taken {
    socket: TcpStream,
    tls: Option<Box<Session>>,
    /// What was read already, without its TLS.
    early: Vec<u8>,
}

impl Taken {
    fn of(upgraded: Upgraded) -> Option<Self> {
        match parts_of::<TcpStream>(upgraded) {
            Ok((socket, early)) => Some(Self {
                socket,
                tls: None,
                early,
            }),
            Err(upgraded) => Self::with_tls(upgraded),
        }
    }

    #[cfg(feature = "tls")]
    fn with_tls(upgraded: Upgraded) -> Option<Self> {
        let (stream, mut early) = parts_of::<crate::tls::Stream>(upgraded).ok()?;
        let (socket, session, opened) = stream.into_parts();
        early.extend(opened);
        Some(Self {
            socket,
            tls: Some(session),
            early,
        })
    }

    #[cfg(not(feature = "tls"))]
    fn with_tls(_: Upgraded) -> Option<Self> {
        None
    }
}

/// The stream under an upgraded connection, if it is of this type, and what was read from it already. axum serves with
/// hyper-util's `auto` builder, which wraps the stream once more than hyper's own.
fn parts_of<T>(upgraded: Upgraded) -> Result<(T, Vec<u8>), Upgraded>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, early) = match downcast::<TokioIo<T>>(upgraded) {
        Ok(parts) => (parts.io, parts.read_buf),
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<T>>()?;
            (parts.io, parts.read_buf)
        }
    };
    Ok((io.into_inner(), early.to_vec()))
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
