//! Who passes the door: whose a connection is, how many there may be of whom, and how fast they may come.

use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use fanfare::{ClientAddress, DoorLimits, Listed, ListenerOptions, Options};
use serde_json::json;

use crate::client::{CLOSE, Client, Response, eventually, masked, upgrade_request};
use crate::server::{Server, options};

/// A server that believes proxies on this machine.
fn behind_a_proxy(door: DoorLimits) -> Server {
    Server::with(Options {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        door,
        ..options()
    })
}

/// The same, where the proxy speaks the PROXY protocol.
fn behind_a_tcp_proxy(door: DoorLimits, handshake_timeout: Duration) -> Server {
    let listening = ListenerOptions {
        proxy_protocol: true,
        handshake_timeout,
        ..ListenerOptions::default()
    };
    let options = Options {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        door,
        ..options()
    };
    Server::listening(options, listening)
}

const PATIENT: Duration = Duration::from_secs(3600);

/// The answer to an upgrade that a proxy forwards from an address, and its connection.
fn forwarded(server: &Server, target: &str, from: &str) -> (Response, Client) {
    let mut client = Client::connect(server.address);
    let line = format!("X-Forwarded-For: {from}");
    client.send(upgrade_request(target, &[&line]).as_bytes());
    let response = client.response().expect("an answer");
    (response, client)
}

/// An upgrade behind a header of the PROXY protocol.
fn announced(server: &Server, header: &[u8]) -> Client {
    let mut client = Client::connect(server.address);
    client.send(&[header, upgrade_request("/ws", &[]).as_bytes()].concat());
    client
}

fn v1(source: &str) -> Vec<u8> {
    format!("PROXY TCP4 {source} 192.0.2.250 50000 80\r\n").into_bytes()
}

/// A header of version 2 for 192.0.2.7 with an extension.
fn v2(command: u8) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, 0x11, 0, 17]);
    bytes.extend([192, 0, 2, 7, 192, 0, 2, 250, 0xC3, 0x50, 0, 80]);
    bytes.extend([0x04, 0, 2, 1, 2]);
    bytes
}

/// The remote addresses of all connections, without ports.
fn remotes(server: &Server) -> Vec<String> {
    let page = server
        .runtime
        .block_on(server.fanfare.connections(Listed::All, 0, 100));
    let rows = page.unwrap().connections;
    rows.iter().map(|row| row.remote.ip().to_string()).collect()
}

fn refusals(server: &Server, cause: &str) -> u64 {
    let page = server.fanfare.metrics();
    let name = format!("fanfare_refusals_total{{cause=\"{cause}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_listed_proxy_says_who_is_behind_it_and_nobody_else_does() {
    let listed = behind_a_proxy(DoorLimits::default());
    let (answer, mut client) = forwarded(&listed, "/ws", "10.9.9.9, 203.0.113.5, 127.0.0.9");
    assert_eq!(answer.status, 101);
    client.expect("welcome");
    assert_eq!(remotes(&listed), ["203.0.113.5"]);

    let unlisted = Server::start();
    let (answer, mut client) = forwarded(&unlisted, "/ws", "203.0.113.5");
    assert_eq!(answer.status, 101);
    client.expect("welcome");
    assert_eq!(remotes(&unlisted), ["127.0.0.1"]);
}

#[test]
fn a_proxy_header_says_who_is_behind_it() {
    let server = behind_a_tcp_proxy(DoorLimits::default(), PATIENT);
    let unknown = b"PROXY UNKNOWN\r\n".to_vec();
    for (header, remote) in [
        (v1("192.0.2.7"), "192.0.2.7"),
        (v2(0x21), "192.0.2.7"),
        (v2(0x20), "127.0.0.1"),
        (unknown, "127.0.0.1"),
    ] {
        let mut client = announced(&server, &header);
        assert_eq!(client.response().unwrap().status, 101);
        client.expect("welcome");
        assert_eq!(remotes(&server), [remote], "{}", header.escape_ascii());
        assert_eq!(client.close(1000), 1000);
        server.assert_empty();
    }
}

#[test]
fn a_client_behind_a_tcp_proxy_cannot_name_another_one() {
    let server = behind_a_tcp_proxy(DoorLimits::default(), PATIENT);
    let request = upgrade_request("/ws", &["X-Forwarded-For: 198.51.100.1"]);
    let mut client = Client::connect(server.address);
    client.send(&[&v1("192.0.2.7"), request.as_bytes()].concat());
    assert_eq!(client.response().unwrap().status, 101);
    client.expect("welcome");
    assert_eq!(remotes(&server), ["192.0.2.7"]);
}

#[test]
fn a_proxy_header_may_be_split_anywhere() {
    let server = behind_a_tcp_proxy(DoorLimits::default(), PATIENT);
    for header in [v1("192.0.2.7"), v2(0x21)] {
        let bytes = [&header, upgrade_request("/ws", &[]).as_bytes()].concat();
        for at in 1..=header.len() + 1 {
            let mut client = Client::connect(server.address);
            client.send(&bytes[..at]);
            std::thread::sleep(Duration::from_millis(2));
            client.send(&bytes[at..]);
            assert_eq!(client.response().unwrap().status, 101, "split at {at}");
            client.expect("welcome");
        }
        let mut client = Client::connect(server.address);
        for &byte in &bytes {
            client.send(&[byte]);
        }
        assert_eq!(client.response().unwrap().status, 101, "byte by byte");
    }
}

#[test]
fn a_listed_proxy_that_sends_no_good_header_is_dropped() {
    let server = behind_a_tcp_proxy(DoorLimits::default(), PATIENT);
    let mut too_long = v2(0x21);
    too_long[14..16].copy_from_slice(&[0xFF, 0xFF]);
    let bad = [
        Vec::new(),
        b"PROXY TCP4 192.0.2.7\r\n".to_vec(),
        [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat(),
        too_long,
        v2(0x11),
        v2(0x22),
    ];
    for (dropped, header) in bad.iter().enumerate() {
        let mut client = announced(&server, header);
        assert!(client.response().is_none(), "{}", header.escape_ascii());
        assert_eq!(refusals(&server, "proxy_header"), dropped as u64 + 1);
    }
    for whole in [v1("192.0.2.7"), v2(0x21)] {
        let before = refusals(&server, "proxy_header");
        let mut client = Client::connect(server.address);
        client.send(&whole[..whole.len() - 1]);
        client.shut_write();
        assert!(client.response().is_none(), "it broke off");
        assert_eq!(refusals(&server, "proxy_header"), before + 1);
    }
    assert_eq!(server.fanfare.connection_count(), 0);
}

#[test]
fn a_proxy_header_of_anybody_else_is_a_bad_request() {
    let listening = ListenerOptions {
        proxy_protocol: true,
        ..ListenerOptions::default()
    };
    let trusted_proxies = vec!["192.0.2.250".parse().unwrap()];
    let server = Server::listening(
        Options {
            trusted_proxies,
            ..options()
        },
        listening,
    );
    for header in [v1("192.0.2.7"), v2(0x21)] {
        let mut client = announced(&server, &header);
        assert_eq!(client.response().map(|response| response.status), Some(400));
        client.time_to_end();
    }
    let mut client = announced(&server, b"");
    assert_eq!(client.response().unwrap().status, 101, "it is served as itself");
}

#[test]
fn an_unfinished_proxy_header_ends_at_the_deadline() {
    let server = behind_a_tcp_proxy(DoorLimits::default(), Duration::from_millis(500));
    let mut silent = Client::connect(server.address);
    let mut half = Client::connect(server.address);
    half.send(b"PROXY TCP4 192.");
    for client in [&mut silent, &mut half] {
        assert!(client.time_to_end() < Duration::from_secs(5));
    }
    eventually("both are counted", || refusals(&server, "handshake_timeout") == 2);
}

#[test]
fn the_deadline_runs_from_the_first_moment_on() {
    let listening = ListenerOptions {
        handshake_timeout: Duration::from_secs(3),
        ..ListenerOptions::default()
    };
    let server = Server::listening(options(), listening);
    let mut client = Client::connect(server.address);
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    client.send(b"GET /ws HTTP/1.1\r\n");
    client.time_to_end();
    let elapsed = began.elapsed();
    assert!(
        elapsed >= Duration::from_millis(2_900) && elapsed < Duration::from_millis(4_700),
        "{elapsed:?}"
    );
    assert_eq!(refusals(&server, "handshake_timeout"), 1);
}

#[test]
fn who_asks_and_does_not_read_the_answers_is_dropped() {
    let listening = ListenerOptions {
        handshake_timeout: Duration::from_millis(500),
        ..ListenerOptions::default()
    };
    let server = Server::listening(options(), listening);
    let mut client = Client::connect_narrow(server.address);
    let timeout = Some(Duration::from_millis(200));
    client.stream.set_write_timeout(timeout).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    // Until nothing is taken any more: its answers wait, and so does the server.
    while client.stream.write_all(&request).is_ok() {}
    eventually("it is gone", || {
        server.fanfare.metrics().contains("\nfanfare_handshakes 0\n")
    });
}

#[test]
fn an_address_has_so_many_connections_whatever_port_and_family_it_uses() {
    let server = behind_a_proxy(DoorLimits {
        connections_per_address_max: NonZeroU32::new(2),
        ..DoorLimits::default()
    });
    for (one, other, refused, else_where) in [
        ("192.0.2.1", "192.0.2.1:77", "::ffff:192.0.2.1", "192.0.2.2"),
        (
            "2001:db8::1",
            "[2001:db8::2]:77",
            "2001:db8::ff:3",
            "2001:db8:0:1::1",
        ),
    ] {
        let (first, second) = (forwarded(&server, "/ws", one), forwarded(&server, "/ws", other));
        assert_eq!((first.0.status, second.0.status), (101, 101));
        let (answer, _client) = forwarded(&server, "/ws", refused);
        assert_eq!(answer.status, 429, "{refused}");
        assert!(
            answer.body.contains("2 connections are open from your address"),
            "{}",
            answer.body
        );
        assert!((1..=5).contains(&answer.retry_after()), "{answer:?}");
        assert_eq!(
            forwarded(&server, "/ws", else_where).0.status,
            101,
            "{else_where}"
        );
    }
    assert_eq!(refusals(&server, "connections_per_address"), 2);
}

#[test]
fn a_user_has_so_many_connections() {
    let server = behind_a_proxy(DoorLimits {
        connections_per_user_max: NonZeroU32::new(1),
        ..DoorLimits::default()
    });
    let (answer, mut anna) = forwarded(&server, "/ws?user=anna", "192.0.2.1");
    assert_eq!(answer.status, 101);
    anna.expect("welcome");
    let (answer, _) = forwarded(&server, "/ws?user=anna", "192.0.2.2");
    assert_eq!(answer.status, 429);
    assert!(
        answer.body.contains("1 connections of this user"),
        "{}",
        answer.body
    );
    assert_eq!(forwarded(&server, "/ws?user=bob", "192.0.2.1").0.status, 101);
    assert_eq!(forwarded(&server, "/ws", "192.0.2.1").0.status, 101);
    assert_eq!(anna.close(1000), 1000);
    eventually("her place is free", || {
        forwarded(&server, "/ws?user=anna", "192.0.2.2").0.status == 101
    });
}

#[test]
fn a_place_is_free_again_however_its_connection_ends() {
    let server = behind_a_proxy(DoorLimits {
        connections_per_address_max: NonZeroU32::new(1),
        ..DoorLimits::default()
    });
    /// Ends a connection in some way.
    type End = fn(Client);
    let endings: [(&str, End); 6] = [
        ("a close frame", |mut client| assert_eq!(client.close(1000), 1000)),
        ("a reset", Client::reset),
        ("an end", |client| client.shut_write()),
        ("a broken frame", |mut client| {
            client.send(&[0xFF; 4]);
            assert_eq!(client.ending().code, 1002);
        }),
        ("a reset in the middle of a frame", |mut client| {
            client.send(&masked(0x81, b"half a message")[..9]);
            client.reset();
        }),
        ("a reset right behind its close frame", |mut client| {
            client.send(&masked(CLOSE, &1000_u16.to_be_bytes()));
            client.reset();
        }),
    ];
    for (what, end) in endings {
        let (answer, mut client) = forwarded(&server, "/ws", "192.0.2.1");
        assert_eq!(answer.status, 101);
        client.expect("welcome");
        assert_eq!(forwarded(&server, "/ws", "192.0.2.1").0.status, 429);
        end(client);
        eventually(&format!("the place is free after {what}"), || {
            // Each try that gets in has to be gone before the next ending.
            let (answer, mut client) = forwarded(&server, "/ws", "192.0.2.1");
            answer.status == 101 && client.close(1000) == 1000
        });
        server.assert_empty();
    }
}

#[test]
fn a_reset_in_the_handshake_leaves_nothing_behind() {
    let server = behind_a_tcp_proxy(
        DoorLimits {
            connections_per_address_max: NonZeroU32::new(1),
            handshakes_per_address_max: NonZeroU32::new(1),
            ..DoorLimits::default()
        },
        PATIENT,
    );
    let bytes = [&v1("192.0.2.7"), upgrade_request("/ws", &[]).as_bytes()].concat();
    for at in (0..=bytes.len()).step_by(7).chain([bytes.len()]) {
        let mut client = Client::connect(server.address);
        client.send(&bytes[..at]);
        client.reset();
        eventually("nobody is at the door", || {
            server.fanfare.metrics().contains("\nfanfare_handshakes 0\n")
        });
        eventually("no connection is left", || server.fanfare.connection_count() == 0);
    }
    eventually("its address has its place again", || {
        announced(&server, &v1("192.0.2.7"))
            .response()
            .map(|answer| answer.status)
            == Some(101)
    });
}

#[test]
fn connections_that_say_nothing_have_few_places() {
    let server = Server::with(Options {
        door: DoorLimits {
            handshakes_max: NonZeroU32::new(3),
            ..DoorLimits::default()
        },
        ..options()
    });
    let (mut established, _) = Client::open_json(server.address, "/ws");
    let silent: Vec<_> = (0..3).map(|_| Client::connect(server.address)).collect();
    let answer = Client::connect(server.address)
        .response()
        .expect("an answer unasked");
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.contains("3 connections that are no WebSocket"),
        "{}",
        answer.body
    );
    assert!((1..=5).contains(&answer.retry_after()), "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(refusals(&server, "handshakes"), 1);
    established.ask(json!({"type": "ping"}));
    drop(silent);
    eventually("their places are free", || {
        let mut client = Client::connect(server.address);
        client.send(upgrade_request("/ws", &[]).as_bytes());
        client.response().is_some_and(|answer| answer.status == 101)
    });
}

#[test]
fn one_address_does_not_fill_the_door() {
    let server = behind_a_tcp_proxy(
        DoorLimits {
            handshakes_per_address_max: NonZeroU32::new(2),
            ..DoorLimits::default()
        },
        PATIENT,
    );
    let hold = |source: &str| {
        let mut client = Client::connect(server.address);
        client.send(&v1(source));
        client
    };
    let _silent: Vec<_> = (0..3).map(|_| hold("192.0.2.1")).collect();
    eventually("one of three is refused", || {
        refusals(&server, "handshakes_per_address") == 1
    });
    let answer = hold("192.0.2.1").response().expect("an answer");
    assert_eq!(answer.status, 429, "{answer:?}");
    let mut other = announced(&server, &v1("192.0.2.2"));
    assert_eq!(other.response().unwrap().status, 101);
}

#[test]
fn a_storm_is_admitted_at_its_rate_and_told_to_spread() {
    const RATE: u64 = 20;
    let server = Server::with(Options {
        door: DoorLimits {
            admissions_per_second: NonZeroU32::new(RATE as u32),
            ..DoorLimits::default()
        },
        ..options()
    });
    let began = Instant::now();
    let (mut established, _) = Client::open_json(server.address, "/ws");
    let (mut admitted, mut waits) = (Vec::new(), Vec::new());
    for id in 0..200 {
        let mut client = Client::connect(server.address);
        client.send(upgrade_request("/ws", &[]).as_bytes());
        let answer = client.response().unwrap();
        match answer.status {
            101 => admitted.push(client),
            503 => waits.push(answer.retry_after()),
            other => panic!("{other}"),
        }
        let pong = established.ask(json!({"type": "ping", "id": id}));
        assert_eq!(pong["type"], "pong", "who is there is served as ever");
    }
    let most = RATE + 1 + RATE * (began.elapsed().as_millis() as u64).div_ceil(1_000);
    assert!((admitted.len() as u64) < most, "{} of {most}", admitted.len());
    assert_eq!(refusals(&server, "admissions"), waits.len() as u64);
    assert!(waits.len() > 40, "the machine took too long for a storm");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 1, "they are not all told the same: {waits:?}");
    eventually("who comes back gets in", || {
        let mut client = Client::connect(server.address);
        client.send(upgrade_request("/ws", &[]).as_bytes());
        client.response().unwrap().status == 101
    });
}

#[test]
fn one_address_has_a_rate_of_its_own() {
    let server = behind_a_proxy(DoorLimits {
        admissions_per_address: NonZeroU32::new(1),
        ..DoorLimits::default()
    });
    eventually("the second within a second is refused", || {
        forwarded(&server, "/ws", "192.0.2.1").0.status == 429
    });
    assert_eq!(forwarded(&server, "/ws", "192.0.2.2").0.status, 101);
    assert_eq!(refusals(&server, "admissions_per_address"), 1);
}

#[test]
fn a_host_may_say_who_the_client_is() {
    let server = Server::with(Options {
        door: DoorLimits {
            connections_per_address_max: NonZeroU32::new(1),
            ..DoorLimits::default()
        },
        ..options()
    });
    let client: SocketAddr = "[::ffff:192.0.2.9]:4711".parse().unwrap();
    let router = axum::Router::new()
        .route("/chat", server.fanfare.websocket())
        .layer(axum::Extension(ClientAddress(client)));
    let listener = server
        .runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    server
        .runtime
        .spawn(async { axum::serve(listener, router).await });
    let (_first, _) = Client::open_json(address, "/chat");
    assert_eq!(remotes(&server), ["192.0.2.9"]);
    let mut second = Client::connect(address);
    second.send(upgrade_request("/chat", &["X-Forwarded-For: 192.0.2.10"]).as_bytes());
    assert_eq!(second.response().unwrap().status, 429);
}

#[test]
fn nothing_is_read_as_a_request_behind_a_body_of_two_lengths() {
    let server = Server::start();
    let next = upgrade_request("/ws", &[]);
    for (target, status) in [("/ws", 400), ("/elsewhere", 404)] {
        for lengths in [
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
        ] {
            let mut client = Client::connect(server.address);
            let head = upgrade_request(target, &[lengths]);
            client.send(format!("{head}0\r\n\r\n{next}").as_bytes());
            let answer = client.response().unwrap();
            assert_eq!(answer.status, status, "{target} {lengths}");
            assert_eq!(answer.header("connection"), Some("close"));
            assert!(client.response().is_none(), "{target} {lengths}");
        }
        let mut client = Client::connect(server.address);
        let head = upgrade_request(target, &["Content-Length: 4", "Content-Length: 5"]);
        client.send(format!("{head}hello{next}").as_bytes());
        assert_eq!(client.response().unwrap().status, 400, "{target}");
        assert!(client.response().is_none(), "{target}");
    }
    assert_eq!(server.fanfare.connection_count(), 0);
}
