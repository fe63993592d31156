//! The endpoints of a hub, each as a tower service and as a route of axum.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::{Request, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any_service};
use tower::Service;

use super::refusal::Refused;
use crate::Fanfare;

/// The WebSocket endpoint of a hub as a [`tower::Service`], for hosts that have no axum, or a router of their own. Made
/// by [`Fanfare::websocket_service`]. Always ready; a clone costs one reference count.
#[derive(Clone)]
pub struct WebSocketService {
    fanfare: Fanfare,
    endpoint: Endpoint,
}

/// Whose words a WebSocket endpoint speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// The hub's own.
    Own,
    /// Centrifuge's.
    Centrifuge,
    /// Centrifuge's for clients that only receive.
    CentrifugeUni,
}

/// The endpoint for server-sent events of a hub as a [`tower::Service`]. Made by [`Fanfare::sse_service`]. Always ready; a
/// clone costs one reference count.
#[derive(Clone)]
pub struct EventStreamService {
    fanfare: Fanfare,
}

impl Fanfare {
    /// The WebSocket endpoint, to be mounted with [`axum::Router::route`].
    ///
    /// It answers the opening handshake of RFC 6455 and takes the socket out of HTTP: neither a task nor a buffer of
    /// the host's runtime is left behind for a connection. That is so for [`Fanfare::serve`], and for `axum::serve` or
    /// hyper on a TCP or Unix listener. Any other stream, of the host's own TLS or of HTTP/2, goes over a bridge: a task,
    /// two more descriptors, and otherwise the same.
    ///
    /// Over HTTP/2 it answers the extended CONNECT of RFC 8441, with the feature `http2` and a server that has
    /// `enable_connect_protocol` switched on, as `axum::serve` has.
    ///
    /// Who the client is: what the host put into the request's extensions as [`Arc<Identity>`](crate::Identity), or as an
    /// [`Admission`](crate::Admission) where it is to be subscribed to topics as well, or what the [application](crate::Options::application) makes of its token. A token comes as `Authorization: Bearer TOKEN`,
    /// as a subprotocol `fanfare.token.TOKEN`, as the parameter `token`, or with the command `auth` as the first thing
    /// that the client says.
    ///
    /// The client's address is what the host put into the request's extensions as
    /// [`ClientAddress`](crate::ClientAddress); otherwise the one of axum's [`ConnectInfo`](axum::extract::ConnectInfo),
    /// or whom that one names if it is a [trusted proxy](crate::Options::trusted_proxies). Where the host provides
    /// neither, clients are not counted by address, and the log says so once.
    ///
    /// ```
    /// # fn example(fanfare: fanfare::Fanfare) {
    /// use axum::Router;
    ///
    /// let app: Router = Router::new().route("/ws", fanfare.websocket());
    /// # }
    /// ```
    pub fn websocket<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        any_service(self.websocket_service())
    }

    /// The same endpoint as a [`tower::Service`]: for [`axum::Router::route_service`], for hyper, for any router of
    /// services. It is given the requests that are meant for it, whatever their path, and reads nothing of their bodies.
    /// The server must allow upgrades (hyper's `with_upgrades`) and run on tokio with its time and I/O enabled.
    ///
    /// ```no_run
    /// # async fn example(fanfare: fanfare::Fanfare, stream: tokio::net::TcpStream) -> hyper::Result<()> {
    /// use hyper::server::conn::http1;
    /// use hyper_util::rt::TokioIo;
    /// use hyper_util::service::TowerToHyperService;
    ///
    /// let service = TowerToHyperService::new(fanfare.websocket_service());
    /// let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    /// connection.with_upgrades().await
    /// # }
    /// ```
    pub fn websocket_service(&self) -> WebSocketService {
        WebSocketService {
            fanfare: self.clone(),
            endpoint: Endpoint::Own,
        }
    }

    /// The WebSocket endpoint for clients of Centrifuge and Centrifugo, whose protocol (version 2) it speaks in JSON and in
    /// Protobuf, as the subprotocol `centrifuge-protobuf` or the parameter `format=protobuf` says. Client libraries expect it
    /// at `/connection/websocket`. Its clients are in the same topics as all others: a channel is a topic.
    ///
    /// They bring their token with their first command; otherwise who a client is, and what the host and its server must
    /// do, is as for [`Fanfare::websocket`].
    ///
    /// ```
    /// # fn example(fanfare: fanfare::Fanfare) {
    /// use axum::Router;
    ///
    /// let app: Router = Router::new().route("/connection/websocket", fanfare.centrifuge());
    /// # }
    /// ```
    pub fn centrifuge<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        any_service(self.centrifuge_service())
    }

    /// The same endpoint as a [`tower::Service`], see [`Fanfare::websocket_service`].
    pub fn centrifuge_service(&self) -> WebSocketService {
        WebSocketService {
            fanfare: self.clone(),
            endpoint: Endpoint::Centrifuge,
        }
    }

    /// The endpoint for server-sent events, to be mounted with [`axum::Router::route`]: `GET /sse?topic=a&topic=b` is
    /// answered with a stream of what is published, which a browser's `EventSource` and `curl -N` read. Who may have it,
    /// and what happens to those who read too slowly, is as for a [WebSocket](Self::websocket). A stream that broke off
    /// goes on where it was when the client gives the last id back as `Last-Event-ID`, as browsers do by themselves.
    ///
    /// With [`Fanfare::serve`] the socket is taken out of HTTP, and the shard writes the answer: layers around the route
    /// see the request, and no answer. With any other server the stream is the body of an answer, and costs a pair of
    /// sockets more, and whatever that server holds for an answer under way.
    ///
    /// ```
    /// # fn example(fanfare: fanfare::Fanfare) {
    /// use axum::Router;
    ///
    /// let app: Router = Router::new().route("/sse", fanfare.sse());
    /// # }
    /// ```
    pub fn sse<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        any_service(self.sse_service())
    }

    /// The same endpoint as a [`tower::Service`]. It is given the requests that are meant for it, whatever their path, and
    /// runs on tokio with its I/O enabled.
    pub fn sse_service(&self) -> EventStreamService {
        EventStreamService {
            fanfare: self.clone(),
        }
    }

    pub(super) async fn open_websocket(self, request: Request<()>, endpoint: Endpoint) -> Response {
        let (parts, ()) = request.into_parts();
        let (client, version) = (self.client_of(&parts), parts.version);
        let opened = self.admit(parts, client, endpoint).await;
        opened.unwrap_or_else(|refused| self.turn_away(refused, client, version))
    }

    async fn open_sse(self, request: Request<()>) -> Response {
        let (parts, ()) = request.into_parts();
        let (client, version) = (self.client_of(&parts), parts.version);
        let opened = self.open_stream(parts, client).await;
        opened.unwrap_or_else(|refused| self.turn_away(refused, client, version))
    }

    pub(super) fn turn_away(&self, refused: Refused, client: SocketAddr, version: Version) -> Response {
        self.gate().turned_away(refused.cause, client);
        let mut response = refused.into_response();
        if version == Version::HTTP_2 {
            // They are about a connection of HTTP/1.1 (RFC 9113 section 8.2.2).
            response.headers_mut().remove(header::CONNECTION);
            response.headers_mut().remove(header::UPGRADE);
        }
        response
    }
}

impl<B> Service<Request<B>> for WebSocketService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let opening = self
            .fanfare
            .clone()
            .open_websocket(request.map(drop), self.endpoint);
        Box::pin(async { Ok(opening.await) })
    }
}

impl std::fmt::Debug for WebSocketService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebSocketService")
    }
}

impl<B> Service<Request<B>> for EventStreamService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let opening = self.fanfare.clone().open_sse(request.map(drop));
        Box::pin(async { Ok(opening.await) })
    }
}

impl std::fmt::Debug for EventStreamService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventStreamService")
    }
}
