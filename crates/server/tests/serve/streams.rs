//! Streams of server-sent events, read with curl.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::client::Client;
use crate::process::Server;

/// A curl that reads a stream.
struct Curl {
    child: Child,
    lines: BufReader<ChildStdout>,
    last_id: String,
}

impl Curl {
    fn start(server: &Server, target: &str, last_id: &str) -> Self {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--no-buffer", "--fail"]);
        if !last_id.is_empty() {
            command.args(["--header", &format!("Last-Event-ID: {last_id}")]);
        }
        command.arg(format!("http://{}{target}", server.address));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("curl is installed");
        Self {
            lines: BufReader::new(child.stdout.take().unwrap()),
            child,
            last_id: last_id.to_owned(),
        }
    }

    /// The data of the next event of this type, which must come next; a message has none of its own.
    fn expect(&mut self, kind: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "curl has ended");
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut self.last_id),
                Some(("data", data)) => {
                    let data: Value = serde_json::from_str(data).unwrap();
                    assert_eq!(data["type"], kind, "{data}");
                    return data;
                }
                _ => {}
            }
        }
    }

    /// Waits for its end; whether that was one that the server made.
    fn has_ended_well(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn publish(server: &Server, topic: &str, data: &str) {
    let mut client = Client::connect(server.address);
    let request = format!(
        "POST /api/publish?topic={topic} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{data}",
        data.len()
    );
    client.send(request.as_bytes());
    assert_eq!(client.response().unwrap().status, 200);
}

#[test]
fn curl_goes_on_where_it_was() {
    const TARGET: &str = "/sse?topic=a&topic=b";
    let server = Server::start(&["--history-frames", "100"]);
    // A topic without history and without subscribers is forgotten.
    publish(&server, "b", "before");
    let mut curl = Curl::start(&server, TARGET, "");
    curl.expect("welcome");
    curl.expect("subscribed");
    for number in 1..=3 {
        publish(&server, "a", &number.to_string());
        assert_eq!(curl.expect("message")["data"], number.to_string());
    }
    let last_id = curl.last_id.clone();
    drop(curl);
    publish(&server, "b", "{\"x\":\n4}");
    publish(&server, "a", "5");
    let mut curl = Curl::start(&server, TARGET, &last_id);
    curl.expect("welcome");
    assert_eq!(curl.expect("subscribed")["topics"][1]["recovered"], true);
    let mut missed = [curl.expect("message"), curl.expect("message")];
    missed.sort_by_key(|message| message["topic"].as_str().unwrap().to_owned());
    assert_eq!(
        (&missed[0]["offset"], &missed[1]["offset"]),
        (&4.into(), &2.into())
    );
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(curl.expect("goodbye")["code"], 3000);
    assert!(curl.has_ended_well());
}

#[test]
fn streams_are_counted_and_refused_as_other_connections_are() {
    let server = Server::start(&["--connections-per-user-max", "1", "--dev"]);
    let mut curl = Curl::start(&server, "/sse?topic=a&user=ann", "");
    curl.expect("welcome");
    server.await_metrics(&[("fanfare_connections", 1)]);
    let mut refused = Curl::start(&server, "/sse?topic=a&user=ann", "");
    assert!(!refused.has_ended_well());
    server.await_metrics(&[("fanfare_refusals_total{cause=\"connections_per_user\"}", 1)]);
    drop(curl);
    server.await_metrics(&[("fanfare_connections", 0), ("fanfare_closed_by_client_total", 1)]);
}
