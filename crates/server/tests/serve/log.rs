//! The log of a server under traffic: it is said where it goes, and it holds nobody up.

use std::io::{Write as _, pipe};

use rustix::process::Signal;
use serde_json::json;

use crate::client::Client;
use crate::process::{PROMPT, Server, serve_with_log};

#[test]
fn a_standard_error_that_nobody_reads_holds_nobody_up() {
    let (reader, writer) = pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    // Full from the beginning, and for ever: this thread waits in a write until the reader goes.
    let filler = std::thread::spawn(move || while filler.write_all(&[b'\n'; 4096]).is_ok() {});
    let mut server = Server::start_by(serve_with_log("trace", "127.0.0.1:0").stderr(writer));
    let (mut reading, _) = Client::open_json(server.address, "/ws?topic=a");
    reading.expect("subscribed");
    let (mut publishing, _) = Client::open_json(server.address, "/ws");
    for round in 1..=20 {
        for number in 0..50 {
            publishing.send_json(json!({"type": "publish", "topic": "a", "data": number}));
        }
        let command = json!({"type": "publish", "topic": "a", "data": "last", "id": round});
        assert_eq!(publishing.ask(command)["type"], "published");
        for number in 1..=51 {
            assert_eq!(reading.expect("message")["offset"], (round - 1) * 51 + number);
        }
        // Whoever comes and goes is logged too.
        Client::open_json(server.address, "/ws").0.reset();
        assert_eq!(server.get("/health").status, 200);
    }
    drop((reading, publishing));
    server.signal(Signal::TERM);
    assert_eq!(server.end_within(PROMPT).code(), Some(0));
    drop(reader);
    filler.join().unwrap();
}

#[test]
fn a_failure_is_told_to_nobody_without_waiting() {
    let (reader, writer) = pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    let filler = std::thread::spawn(move || while filler.write_all(&[b'\n'; 4096]).is_ok() {});
    // Whether it is full already or not, it is before long.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let mut command = serve_with_log("info", &listen);
    std::thread::sleep(std::time::Duration::from_millis(200));
    let mut child = command
        .stdout(std::process::Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    assert_eq!(crate::process::end_within(&mut child, PROMPT).code(), Some(1));
    drop(reader);
    filler.join().unwrap();
}
