//! How the server starts, and how it fails to.

use std::net::TcpListener;
use std::process::Command;

use crate::client::Client;
use crate::process::Server;

#[test]
fn the_first_line_says_where_the_server_is() {
    let mut server = Server::start(&["--shards", "2"]);
    assert_ne!(server.address.port(), 0);
    let address = server.address;
    assert_eq!(server.line(), format!("chat page     http://{address}/\n"));
    assert_eq!(server.line(), format!("WebSocket     ws://{address}/ws\n"));
    let descriptors = server.line();
    assert!(
        descriptors.starts_with("descriptors   ") && descriptors.contains(", room for "),
        "{descriptors}"
    );
    assert_eq!(server.get("/health").body, "ok\n");
    assert_eq!(
        (server.get("/ready").status, server.get("/ready").body.as_str()),
        (200, "ready\n")
    );
    Client::open_json(server.address, "/ws");
}

#[test]
fn a_port_in_use_is_named_and_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_fanfare"))
        .args(["serve", "--listen", &address])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains(&format!("error: cannot listen on {address}: ")) && error.contains("in use"),
        "{error}"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
}

#[test]
fn connections_beyond_the_limit_are_refused() {
    let server = Server::start(&["--connections-max", "2"]);
    let held = [(); 2].map(|()| Client::open_json(server.address, "/ws"));
    let mut third = Client::connect(server.address);
    third.send(crate::client::upgrade_request("/ws", &[]).as_bytes());
    assert_eq!(third.response().unwrap().status, 503);
    drop(held);
    server.await_metrics(&[("fanfare_connections", 0)]);
    Client::open_json(server.address, "/ws");
}

#[test]
fn users_are_named_in_development_mode_only() {
    for (arguments, status) in [(&[][..], 403), (&["--dev"], 101)] {
        let server = Server::start(arguments);
        let mut client = Client::connect(server.address);
        client.send(crate::client::upgrade_request("/ws?user=anna", &[]).as_bytes());
        assert_eq!(client.response().unwrap().status, status);
    }
}

#[test]
fn origins_are_allowed_by_option() {
    let server = Server::start(&["--allow-origin", "https://good.example"]);
    for (origin, status) in [("https://good.example", 101), ("https://good.example.evil", 403)] {
        let mut client = Client::connect(server.address);
        let line = format!("Origin: {origin}");
        client.send(crate::client::upgrade_request("/ws", &[&line]).as_bytes());
        assert_eq!(client.response().unwrap().status, status, "{origin}");
    }
}

#[test]
fn the_handshake_timeout_is_an_option() {
    let server = Server::start(&["--handshake-timeout", "300ms"]);
    let mut silent = Client::connect(server.address);
    assert!(silent.time_to_end() >= std::time::Duration::from_millis(250));
}
