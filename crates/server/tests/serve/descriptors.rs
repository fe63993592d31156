//! A process without a descriptor left stands, and goes on when there are some.

use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::client::{Client, eventually};
use crate::process::{Server, get, serve};

/// A server that may open few files.
fn start_with_descriptors(count: u64, arguments: &[&str]) -> Server {
    let server = serve(arguments);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -n {count}; exec \"$0\" \"$@\""))
        .arg(server.get_program())
        .args(server.get_args())
        .envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Server::start_by(&mut command)
}

#[test]
fn a_server_without_descriptors_stands_and_recovers() {
    let server = start_with_descriptors(80, &["--shards", "2", "--handshake-timeout", "1h"]);
    let mut probe = Client::connect(server.address);
    assert_eq!(get(&mut probe, "/ready").status, 200);
    let (mut one, _) = Client::open_json(server.address, "/ws?topic=a");
    one.expect("subscribed");
    let (mut other, _) = Client::open_json(server.address, "/ws");

    let silent: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    let status = |probe: &mut Client| {
        let response = get(probe, "/ready");
        (response.status, response.body)
    };
    let red = (503, "descriptors are exhausted\n".to_owned());
    while status(&mut probe) != red {
        thread::sleep(Duration::from_millis(10));
    }

    let before = server.cpu_time();
    thread::sleep(Duration::from_secs(1));
    let used = server.cpu_time().saturating_sub(before);
    assert!(used < Duration::from_millis(200), "{used:?} of CPU in a second");

    // Who comes is told so at once and not left to hang.
    for _ in 0..20 {
        let refused = Client::connect(server.address).response().expect("an answer");
        assert_eq!(refused.status, 503);
        assert!(refused.body.contains("no descriptor"), "{}", refused.body);
        assert!((1..=5).contains(&refused.retry_after()), "{refused:?}");
    }

    // Who is here is served as ever.
    for offset in 1..=20 {
        other.ask(json!({"type": "publish", "topic": "a", "data": "x", "id": offset}));
        assert_eq!(one.expect("message")["offset"], offset);
    }

    drop(silent);
    while status(&mut probe).0 != 200 {
        thread::sleep(Duration::from_millis(10));
    }
    let (mut late, _) = Client::open_json(server.address, "/ws");
    assert_eq!(late.close(1000), 1000);
    assert!(server.metric("fanfare_refusals_total{cause=\"descriptors\"}") >= 20);
}

#[test]
fn it_is_ready_again_without_anyone_connecting() {
    let server = start_with_descriptors(60, &["--shards", "1", "--handshake-timeout", "1h"]);
    let mut probe = Client::connect(server.address);
    get(&mut probe, "/ready");
    // As many as it takes and no more: nobody waits in the backlog, whom it could accept later.
    let mut silent = Vec::new();
    while get(&mut probe, "/ready").status == 200 {
        let before = server.descriptors();
        silent.push(TcpStream::connect(server.address).unwrap());
        eventually("it is accepted", || server.descriptors() > before);
    }
    drop(silent);
    let mut polls = 0;
    while get(&mut probe, "/ready").status != 200 {
        thread::sleep(Duration::from_millis(20));
        polls += 1;
        assert!(polls < 500, "it stays red");
    }
}
