//! WebSockets over HTTP/2 (RFC 8441), with a client of the h2 crate.

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use axum::http::{Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use fanfare::{Fanfare, Limits, Options, Payload};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::client::{CLOSE, DEADLINE, TEXT, eventually, masked, parse};
use crate::hosts::{bridges, stopping};
use crate::server::{Server, options};

async fn serve(fanfare: Fanfare, listener: TcpListener) {
    let router = Router::new().route("/ws", fanfare.websocket());
    axum::serve(listener, router).await.unwrap();
}

fn server(limits: Limits) -> Server {
    Server::hosted(Options { limits, ..options() }, serve)
}

/// One connection, on which WebSockets may be opened.
async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    while !client.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
        client = client.ready().await.unwrap();
    }
    client
}

fn opening(target: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://localhost{target}"))
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .extension(Protocol::from_static("websocket"))
}

/// Sends a request whose stream stays open.
async fn ask(
    client: &mut SendRequest<Bytes>,
    request: axum::http::request::Builder,
) -> (Response<RecvStream>, SendStream<Bytes>) {
    let (response, sending) = client.send_request(request.body(()).unwrap(), false).unwrap();
    (response.await.unwrap(), sending)
}

/// A WebSocket over one stream.
struct Socket {
    sending: SendStream<Bytes>,
    receiving: RecvStream,
    received: Vec<u8>,
}

impl Socket {
    async fn open(client: &mut SendRequest<Bytes>, target: &str) -> Self {
        let (response, sending) = ask(client, opening(target)).await;
        assert_eq!(response.status(), StatusCode::OK);
        for name in ["connection", "upgrade", "sec-websocket-accept"] {
            assert!(!response.headers().contains_key(name), "{name}");
        }
        Self {
            sending,
            receiving: response.into_body(),
            received: Vec::new(),
        }
    }

    fn send(&mut self, frame: Vec<u8>) {
        self.sending.send_data(frame.into(), false).unwrap();
    }

    fn send_json(&mut self, value: &Value) {
        self.send(masked(TEXT, value.to_string().as_bytes()));
    }

    /// The first byte and the payload of the next frame; none at the end of the stream.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((frame, length)) = parse(&self.received) {
                self.received.drain(..length);
                return Some((frame.first, frame.payload));
            }
            let bytes = self.receiving.data().await?.unwrap();
            self.receiving
                .flow_control()
                .release_capacity(bytes.len())
                .unwrap();
            self.received.extend_from_slice(&bytes);
        }
    }

    async fn expect(&mut self, kind: &str) -> Value {
        let (first, payload) = self.frame().await.expect("a message and not the end");
        assert_eq!(first, TEXT);
        let value: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(value["type"], kind, "{value}");
        value
    }
}

fn play<T>(server: &Server, story: impl Future<Output = T>) -> T {
    let story = async { timeout(DEADLINE, story).await.expect("an end in time") };
    server.runtime.block_on(story)
}

fn assert_nothing_left(server: &Server) {
    server.assert_empty();
    eventually("no bridge is left", || bridges(server) == 0);
}

#[test]
fn a_connection_carries_several_websockets() {
    let server = server(Limits::default());
    play(&server, async {
        let mut client = connect(server.address).await;
        let mut ada = Socket::open(&mut client, "/ws?topic=a&user=ada").await;
        let mut bob = Socket::open(&mut client, "/ws?topic=a&user=bob").await;
        for socket in [&mut ada, &mut bob] {
            socket.expect("welcome").await;
            socket.expect("subscribed").await;
        }
        assert_eq!(bridges(&server), 2);
        ada.send_json(&json!({"type": "publish", "topic": "a", "data": "x".repeat(40_000)}));
        for socket in [&mut ada, &mut bob] {
            let message = socket.expect("message").await;
            assert_eq!(message["from"]["user"], "ada");
            assert_eq!(message["data"].as_str().unwrap().len(), 40_000);
        }
        ada.send(masked(CLOSE, &1000_u16.to_be_bytes()));
        assert_eq!(ada.frame().await, Some((CLOSE, 1000_u16.to_be_bytes().to_vec())));
        assert_eq!(ada.frame().await, None, "the end of the stream follows");
        bob.send_json(&json!({"type": "ping", "id": 1}));
        bob.expect("pong").await;
        drop(ada);
        bob.sending.send_reset(Reason::CANCEL);
    });
    assert_nothing_left(&server);
}

#[test]
fn subprotocols_and_compression_are_agreed_on() {
    let options = Options {
        compression: true,
        ..options()
    };
    let server = Server::hosted(options, serve);
    play(&server, async {
        let mut client = connect(server.address).await;
        let request = opening("/ws")
            .header(header::SEC_WEBSOCKET_PROTOCOL, "fanfare.json.v1")
            .header(header::SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate");
        let (response, _sending) = ask(&mut client, request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let answer = |name| response.headers()[name].to_str().unwrap();
        assert!(answer("sec-websocket-protocol") == "fanfare.json.v1");
        assert!(answer("sec-websocket-extensions").starts_with("permessage-deflate"));
    });
}

#[test]
fn what_is_no_handshake_is_refused() {
    let server = server(Limits::default());
    play(&server, async {
        let mut client = connect(server.address).await;
        let get = || Request::builder().uri("http://localhost/ws");
        let unversioned = Request::builder()
            .method(Method::CONNECT)
            .uri("http://localhost/ws")
            .extension(Protocol::from_static("websocket"));
        for (what, request, status) in [
            ("GET", get(), 400),
            (
                "GET with a key",
                get().header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                400,
            ),
            ("POST", get().method(Method::POST), 405),
            ("no version", unversioned, 400),
            (
                "two versions",
                opening("/ws").header(header::SEC_WEBSOCKET_VERSION, "8"),
                400,
            ),
            (
                "another protocol",
                opening("/ws").extension(Protocol::from_static("connect-udp")),
                501,
            ),
            ("two hosts", opening("/ws").header(header::HOST, "elsewhere"), 400),
            (
                "another origin",
                opening("/ws").header(header::ORIGIN, "https://evil.example"),
                403,
            ),
            ("a bad topic", opening("/ws?topic=%00"), 400),
        ] {
            let (response, _sending) = ask(&mut client, request).await;
            assert_eq!(response.status(), status, "{what}");
            for name in ["connection", "upgrade"] {
                assert!(!response.headers().contains_key(name), "{what}: {name}");
            }
        }
        let own = opening("/ws").header(header::ORIGIN, "http://localhost");
        assert_eq!(ask(&mut client, own).await.0.status(), StatusCode::OK);
    });
    assert_nothing_left(&server);
}

#[test]
fn streams_and_connections_that_break_off_leave_nothing() {
    let server = server(Limits::default());
    play(&server, async {
        let mut client = connect(server.address).await;
        let mut sockets = Vec::new();
        for _ in 0..4 {
            let mut socket = Socket::open(&mut client, "/ws?topic=a").await;
            socket.expect("welcome").await;
            sockets.push(socket);
        }
        assert_eq!(bridges(&server), 4);
        sockets[0].sending.send_reset(Reason::CANCEL);
        sockets[1].sending.send_reset(Reason::INTERNAL_ERROR);
        sockets[2].sending.send_data(Bytes::new(), true).unwrap();
        eventually("one is left", || server.fanfare.connection_count() == 1);
        // The connection goes with the last of its handles.
        drop((sockets, client));
    });
    assert_nothing_left(&server);
}

#[test]
fn a_hosts_graceful_shutdown_ends_streams_with_the_hub() {
    let (server, stop, is_done) = stopping();
    play(&server, async {
        let mut client = connect(server.address).await;
        let mut socket = Socket::open(&mut client, "/ws").await;
        socket.expect("welcome").await;
        stop.send(()).unwrap();
        assert_eq!(socket.expect("goodbye").await["code"], 3000);
        let (first, payload) = socket.frame().await.unwrap();
        assert_eq!(first, CLOSE);
        socket.send(masked(CLOSE, &payload));
        assert_eq!(socket.frame().await, None);
        drop((socket, client));
        is_done.await.unwrap().unwrap();
    });
    assert_eq!(bridges(&server), 0);
}

#[test]
fn a_stream_that_is_not_read_is_closed_and_holds_nothing() {
    let server = server(Limits {
        write_timeout_ms: 1_000,
        close_timeout_ms: 500,
        ..Limits::default()
    });
    play(&server, async {
        let mut client = connect(server.address).await;
        let (_response, _sending) = ask(&mut client, opening("/ws?topic=a")).await;
        eventually("it is subscribed", || server.fanfare.subscribers("a") == 1);
        for _ in 0..200 {
            let payload = Payload::text("x".repeat(1_000));
            server.fanfare.publish("a", payload).await.unwrap();
        }
        eventually("it is closed", || server.disconnects(3003) == 1);
        eventually("no bridge is left", || bridges(&server) == 0);
    });
    assert_nothing_left(&server);
}
