//! Hosts that serve HTTP themselves: axum, hyper, and streams of their own that no shard can have.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use fanfare::{Fanfare, WebSocketService};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::oneshot;

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
pub(crate) async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: WebSocketService,
) {
    let connection =
        http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    // Clients of these tests break off as they like.
    let _ = connection.with_upgrades().await;
}

/// Serves over streams that hide their sockets, with little in the kernel.
pub(crate) async fn over_opaque(fanfare: Fanfare, listener: TcpListener) {
    while let Ok((socket, _)) = listener.accept().await {
        SockRef::from(&socket).set_send_buffer_size(8 << 10).unwrap();
        tokio::spawn(speak(Opaque(socket), fanfare.websocket_service()));
    }
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

#[test]
fn axum_on_a_tcp_listener_needs_no_bridge() {
    let server = Server::hosted(options(), |fanfare, listener| async move {
        let router = Router::new().route("/ws", fanfare.websocket());
        axum::serve(listener, router).await.unwrap();
    });
    let mut client = Client::open(server.address, "/ws");
    play(&server, &mut client, 0);
}

#[test]
fn hyper_without_axum_needs_no_bridge() {
    let server = Server::hosted(options(), |fanfare, listener| async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(speak(socket, fanfare.websocket_service()));
        }
    });
    let mut client = Client::open(server.address, "/any/path");
    play(&server, &mut client, 0);
    let mut stranger = Client::connect(server.address);
    stranger.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(stranger.response().unwrap().status, 426);
}

#[test]
fn a_unix_listener_needs_no_bridge() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hub-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listened = path.clone();
    let server = Server::hosted(options(), move |fanfare, _| async move {
        let listener = UnixListener::bind(listened).unwrap();
        let router = Router::new().route("/ws", fanfare.websocket());
        axum::serve(listener, router).await.unwrap();
    });
    eventually("it listens", || path.exists());
    let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let socket = std::net::TcpStream::from(std::os::fd::OwnedFd::from(stream));
    let mut client = Client::over(socket).upgraded("/ws");
    play(&server, &mut client, 0);
}

#[test]
fn a_stream_that_hides_its_socket_goes_over_a_bridge() {
    let server = Server::hosted(options(), over_opaque);
    let mut client = Client::open(server.address, "/ws");
    play(&server, &mut client, 1);
}

#[test]
fn a_hosts_graceful_shutdown_can_take_the_hub_with_it() {
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
    let mut client = Client::open(server.address, "/ws");
    client.expect("welcome");
    stop.send(()).unwrap();
    assert_eq!(client.ending().code, 3000);
    drop(client);
    server.runtime.block_on(is_done).unwrap().unwrap();
    assert_eq!(server.fanfare.connection_count(), 0);
}
