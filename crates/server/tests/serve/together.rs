//! `fanfare pub`, `fanfare sub`, the API and the server, each a process or a request of its own, in one room.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::client::{Client, eventually};
use crate::process::Server;

/// A running `fanfare sub`, killed with the value.
struct Listener {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Listener {
    fn start(server: &Server, arguments: &[&str]) -> Self {
        let mut command = fanfare(server, &["sub"]);
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fanfare(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command
        .args(arguments)
        .env("FANFARE_URL", format!("ws://{}/ws", server.address))
        .stdin(Stdio::null());
    command
}

fn publish(server: &Server, topic: &str, data: &str) {
    let status = fanfare(server, &["pub", topic, data]).status().unwrap();
    assert!(status.success(), "{status}");
}

/// What curl does with `-d`.
fn post(server: &Server, target: &str, body: &str) -> Value {
    let mut client = Client::connect(server.address);
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(request.as_bytes());
    let response = client.response().unwrap();
    assert_eq!(response.status, 200, "{}", response.body);
    serde_json::from_str(&response.body).unwrap()
}

fn await_subscriptions(server: &Server, count: u64) {
    server.await_metrics(&[("fanfare_subscriptions", count)]);
}

#[test]
fn whatever_is_published_is_printed_in_order() {
    let server = Server::start(&["--shards", "2"]);
    let mut listener = Listener::start(&server, &["news", "chat:42"]);
    await_subscriptions(&server, 2);
    publish(&server, "news", r#"{"headline": "It works"}"#);
    publish(&server, "elsewhere", "nobody hears this");
    assert_eq!(post(&server, "/api/publish?topic=news", "hello")["offset"], 2);
    post(&server, "/api/broadcast", "to everyone");
    let mut writer = fanfare(&server, &["pub", "chat:42", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(b"one\n2\n").unwrap();
    assert!(writer.wait().unwrap().success());
    let printed: Vec<_> = (0..5).map(|_| listener.line()).collect();
    assert_eq!(
        printed,
        [
            r#"{"headline":"It works"}"#,
            r#""hello""#,
            r#""to everyone""#,
            r#""one""#,
            "2"
        ]
    );
    kill_process(Pid::from_child(&listener.child), Signal::INT).unwrap();
    assert_eq!(listener.child.wait().unwrap().code(), Some(0));
    server.await_metrics(&[("fanfare_connections", 0), ("fanfare_topics", 0)]);
}

#[test]
fn a_listener_comes_back_to_a_server_that_was_killed() {
    let mut server = Server::start(&[]);
    let mut listener = Listener::start(&server, &["news", "--json"]);
    await_subscriptions(&server, 1);
    publish(&server, "news", "1");
    assert!(listener.line().contains(r#""offset":1"#));
    server.kill_and_start_again();
    await_subscriptions(&server, 1);
    publish(&server, "news", "2");
    let line = listener.line();
    assert!(
        line.contains(r#""offset":1"#) && line.contains(r#""data":2"#),
        "{line}"
    );
}

#[test]
fn a_listener_that_is_sent_away_for_good_stays_away() {
    let server = Server::start(&["--dev"]);
    let url = format!("ws://{}/ws?user=ada", server.address);
    let mut listener = Listener::start(&server, &["news", "--url", &url]);
    await_subscriptions(&server, 1);
    let answer = post(
        &server,
        "/api/disconnect",
        r#"{"user":"ada","code":4503,"reason":"banned"}"#,
    );
    assert_eq!(answer["connections"], 1);
    eventually("the listener to end", || {
        let page = server.get("/metrics").body;
        crate::process::metric(&page, "fanfare_connections") == 0
    });
    assert_eq!(listener.child.wait().unwrap().code(), Some(1));
}
