//! curl, as somebody who reads a stream of server-sent events.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A curl that reads a stream.
pub(crate) struct Curl {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// The id of the last event.
    pub(crate) last_id: String,
}

impl Curl {
    /// One that goes on behind an event, or begins.
    pub(crate) fn start(address: SocketAddr, target: &str, last_id: &str) -> Self {
        let mut command = Command::new("curl");
        command.args(["--silent", "--no-buffer", "--fail"]);
        if !last_id.is_empty() {
            command.args(["--header", &format!("Last-Event-ID: {last_id}")]);
        }
        command.arg(format!("http://{address}{target}"));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("curl is installed");
        Self {
            lines: BufReader::new(child.stdout.take().unwrap()),
            child,
            last_id: last_id.to_owned(),
        }
    }

    /// The data of the next event of this type, which must come next; a message has none of its own.
    pub(crate) fn expect(&mut self, kind: &str) -> Value {
        let data = self.next().expect("curl goes on");
        assert_eq!(data["type"], kind, "{data}");
        data
    }

    /// The data of the next whole event; none when curl has ended.
    pub(crate) fn next(&mut self) -> Option<Value> {
        let (mut id, mut data) = (None, Vec::new());
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            let line = line.strip_suffix('\n')?;
            match line.split_once(": ") {
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => data.push(value.to_owned()),
                None if line.is_empty() && !data.is_empty() => break,
                _ => {}
            }
        }
        // Only with the whole event: what is broken off comes again.
        self.last_id = id.unwrap_or(std::mem::take(&mut self.last_id));
        Some(serde_json::from_str(&data.join("\n")).unwrap())
    }

    /// Waits for its end; whether that was one that the server made.
    pub(crate) fn has_ended_well(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
