//! The door of the whole program: what strangers cost, and what is said about them.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::thread;

use crate::client::{Client, Response, upgrade_request};
use crate::process::{Server, get, metric};

/// Fewer than a process may open files by default, the test's own among them.
const SILENT: usize = 800;

/// What one that says nothing may cost, in bytes.
const COST_MAX: u64 = 32 << 10;

fn resident_bytes(page: &str) -> u64 {
    metric(page, "process_resident_memory_bytes")
}

fn upgrade(server: &Server, lines: &[&str]) -> Response {
    let mut client = Client::connect(server.address);
    client.send(upgrade_request("/ws", lines).as_bytes());
    client.response().expect("an answer")
}

#[test]
fn connections_that_say_nothing_cost_little_and_are_gone_at_the_deadline() {
    let server = Server::start(&["--shards", "1", "--handshake-timeout", "8s"]);
    let mut probe = Client::connect(server.address);
    let before = resident_bytes(&get(&mut probe, "/metrics").body);
    // Every other one says a little, for which HTTP is set up.
    let silent: Vec<_> = (0..SILENT)
        .map(|number| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.write_all(&b"GET /"[..number % 2 * 5]).unwrap();
            stream
        })
        .collect();
    let page = loop {
        let page = get(&mut probe, "/metrics").body;
        if metric(&page, "fanfare_handshakes") > SILENT as u64 {
            break page;
        }
    };
    let each = resident_bytes(&page).saturating_sub(before) / SILENT as u64;
    assert!(each <= COST_MAX, "{each} bytes each");
    server.await_metrics(&[
        (
            "fanfare_refusals_total{cause=\"handshake_timeout\"}",
            SILENT as u64,
        ),
        // The one that asks.
        ("fanfare_handshakes", 1),
    ]);
    drop(silent);
}

#[test]
fn a_proxy_that_is_named_says_who_is_behind_it() {
    let server = Server::start(&[
        "--trusted-proxy",
        "127.0.0.0/8",
        "--connections-per-address-max",
        "1",
    ]);
    let mut first = Client::connect(server.address);
    first.send(upgrade_request("/ws", &["X-Forwarded-For: 2001:db8::1"]).as_bytes());
    assert_eq!(first.response().unwrap().status, 101);
    let refused = upgrade(&server, &["X-Forwarded-For: 2001:db8::2"]);
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(upgrade(&server, &["X-Forwarded-For: 192.0.2.1"]).status, 101);
    server.await_metrics(&[("fanfare_refusals_total{cause=\"connections_per_address\"}", 1)]);
}

#[test]
fn a_proxy_header_names_the_client_and_opens_nothing_that_is_for_this_machine() {
    let server = Server::start(&["--trusted-proxy", "127.0.0.1", "--proxy-protocol"]);
    let ask = |header: &str| {
        let mut client = Client::connect(server.address);
        client.send(header.as_bytes());
        get(&mut client, "/api/stats").status
    };
    assert_eq!(
        ask("PROXY UNKNOWN\r\n"),
        200,
        "the proxy itself is on this machine"
    );
    assert_eq!(ask("PROXY TCP4 192.0.2.1 192.0.2.2 5 80\r\n"), 401);
}

#[test]
fn a_flood_of_refusals_is_a_line_a_second() {
    let log = std::env::temp_dir().join(format!("fanfare-door-{}.log", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command
        .args([
            "serve",
            "--open",
            "--listen",
            "127.0.0.1:0",
            "--log",
            "warn",
            "--connections-max",
            "1",
        ])
        .stderr(File::create(&log).unwrap());
    let began = std::time::Instant::now();
    let server = Server::start_by(&mut command);
    let (_only, _) = Client::open_json(server.address, "/ws");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| assert_eq!(upgrade(&server, &[]).status, 503)));
        }
    });
    server.await_metrics(&[("fanfare_refusals_total{cause=\"connections\"}", 400)]);
    let seconds = began.elapsed().as_secs() as usize + 1;
    drop(server);
    let text = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    let lines = text.lines().filter(|line| line.contains("turned away")).count();
    assert!(
        (1..=seconds).contains(&lines),
        "{lines} lines in {seconds} s\n{text}"
    );
    assert!(text.contains("cause=\"connections\""), "{text}");
}
