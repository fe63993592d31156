//! Where a hub can be mounted, and which way its connections go then.

use std::path::Path;

use axum::Router;
use fanfare::Fanfare;
use tokio::net::UnixListener;

use crate::client::{Client, eventually};
use crate::hosts::{over_opaque, play, speak, stopping};
use crate::server::{Server, options};

#[test]
fn axum_on_a_tcp_listener_needs_no_bridge() {
    let mounts: [fn(&Fanfare) -> Router; 2] = [
        |fanfare| Router::new().route("/ws", fanfare.websocket()),
        |fanfare| Router::new().route_service("/ws", fanfare.websocket_service()),
    ];
    for mount in mounts {
        let server = Server::hosted(options(), move |fanfare, listener| async move {
            axum::serve(listener, mount(&fanfare)).await.unwrap();
        });
        let mut client = Client::open(server.address, "/ws");
        play(&server, &mut client, 0);
    }
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
    let (server, stop, is_done) = stopping();
    let mut client = Client::open(server.address, "/ws");
    client.expect("welcome");
    stop.send(()).unwrap();
    assert_eq!(client.ending().code, 3000);
    drop(client);
    server.runtime.block_on(is_done).unwrap().unwrap();
    assert_eq!(server.fanfare.connection_count(), 0);
}
