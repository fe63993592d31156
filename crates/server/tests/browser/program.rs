//! The program under test: `fanfare serve` as a process of its own, on a port the system chose.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tungstenite::WebSocket;

use crate::{DEADLINE, LOOK_AGAIN};

/// A running server, killed when dropped.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
    flags: Vec<String>,
    _stdout: BufReader<ChildStdout>,
}

impl Program {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        Self::start_on(any, &flags).expect("the server did not say where it listens")
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.flags.iter().any(|flag| flag == "--tls-cert") {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What curl does with `-d`: posts a body and gives the whole answer.
    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        self.request("POST", path, body)
    }

    /// What curl does: gives the whole answer.
    pub(crate) fn get(&self, path: &str) -> String {
        self.request("GET", path, "")
    }

    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let (host, length) = (self.address, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Ends it without a word to anyone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it in its tracks: connections stay, nothing is answered any more.
    pub(crate) fn freeze(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Asks it to stop, which says goodbye to every client, and waits until it has.
    pub(crate) fn terminate(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Starts it again where it was. The port may be taken for a moment by somebody's outgoing connection.
    pub(crate) fn start_again(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(program) = Self::start_on(self.address, &self.flags) {
                *self = program;
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the server did not start again on {}",
                self.address
            );
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// A client of the raw dialect, which publishes whatever it sends.
    pub(crate) fn raw_client(&self, topic: &str) -> WebSocket<TcpStream> {
        let stream = TcpStream::connect(self.address).unwrap();
        let url = format!("ws://{}/ws?dialect=raw&topic={topic}", self.address);
        tungstenite::client(url, stream).unwrap().0
    }

    fn start_on(address: SocketAddr, flags: &[String]) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fanfare"))
            .env_clear()
            .env("FANFARE_OPEN", "true")
            .args(["serve", "--log", "error", "--listen", &address.to_string()])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let schemes = ["listening on http://", "listening on https://"];
        let Some(address) = schemes
            .iter()
            .find_map(|scheme| line.trim_end().strip_prefix(scheme))
        else {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        };
        Some(Self {
            child,
            address: address.parse().unwrap(),
            flags: flags.to_vec(),
            _stdout: stdout,
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
