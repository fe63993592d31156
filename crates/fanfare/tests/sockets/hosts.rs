//! Hosts that serve HTTP themselves: axum, hyper, and streams of their own that no shard can have.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use fanfare::Fanfare;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower::Service;

use crate::client::{Client, DEADLINE, eventually};
use crate::server::{Server, options};

/// A stream that hides its socket, as an embedder's own type does.
pub(crate) struct Opaque(TcpStream);

impl AsyncRead for Opaque {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Opaque {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Speaks HTTP on one stream, with hyper and nothing else.
pub(crate) async fn speak<S>(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: S)
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send,
    S::Future: Send,
{
    let connection =
        http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    // Clients of these tests break off as they like.
    let _ = connection.with_upgrades().await;
}

/// Serves over streams that hide their sockets, with little in the kernel.
pub(crate) async fn over_opaque(fanfare: Fanfare, listener: TcpListener) {
    serve_opaque(listener, fanfare.websocket_service()).await;
}

/// The same for any service.
pub(crate) async fn serve_opaque<S>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    while let Ok((socket, _)) = listener.accept().await {
        SockRef::from(&socket).set_send_buffer_size(8 << 10).unwrap();
        tokio::spawn(speak(Opaque(socket), service.clone()));
    }
}

/// A host on axum's own listener that takes the hub with it when it is told to stop; it says when it has.
pub(crate) fn stopping() -> (Server, oneshot::Sender<()>, oneshot::Receiver<io::Result<()>>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let (done, is_done) = oneshot::channel();
    let server = Server::hosted(options(), |fanfare, listener| async move {
        let router = Router::new().route("/ws", fanfare.websocket());
        let served = axum::serve(listener, router).with_graceful_shutdown(async move {
            let _ = stopped.await;
            fanfare.shutdown(Duration::ZERO, DEADLINE).await;
        });
        done.send(served.await).unwrap();
    });
    (server, stop, is_done)
}

/// How many bridges there are now.
pub(crate) fn bridges(server: &Server) -> u64 {
    let page = server.fanfare.metrics();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("fanfare_bridges "));
    line.unwrap().parse().unwrap()
}

/// Plays a little, and looks whether that goes over a bridge.
pub(crate) fn play(server: &Server, client: &mut Client, bridged: u64) {
    client.expect("welcome");
    client.subscribe(&["a"]);
    eventually("it is seen by which way it came", || bridges(server) == bridged);
    client.send_json(json!({"type": "publish", "topic": "a", "data": 1}));
    assert_eq!(client.expect("message")["data"], 1);
    assert_eq!(client.close(1000), 1000);
    server.assert_empty();
    eventually("no bridge is left", || bridges(server) == 0);
}
