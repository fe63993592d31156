//! A program as a process of its own, on a port that the system chose.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::{DEADLINE, LOOK_AGAIN};

/// A running program that says `listening on http://ADDRESS` in its first line. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    binary: String,
    child: Child,
    address: SocketAddr,
    _stdout: BufReader<ChildStdout>,
}

/// What a program answered to a request over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// All behind them.
    pub body: String,
}

impl Program {
    /// Starts a program that takes the address to listen on as its only argument.
    pub fn start(binary: &str) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_on(any, binary)
            .unwrap_or_else(|said| panic!("{binary} did not say where it listens but {said:?}"))
    }

    /// Starts it, or gives what it says instead of where it listens.
    fn start_on(address: SocketAddr, binary: &str) -> Result<Self, String> {
        let mut child = Command::new(binary)
            .env_clear()
            .arg(address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("listening on http://") else {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err(line);
        };
        Ok(Self {
            binary: binary.to_owned(),
            child,
            address: address.parse().unwrap(),
            _stdout: stdout,
        })
    }

    /// Waits until it has ended, as [`ended`](Self::ended) does, and starts it again where it was. The port may be taken
    /// for a moment by somebody's outgoing connection.
    pub fn start_again(self) -> Self {
        let (binary, address) = (self.binary.clone(), self.address);
        self.ended();
        let deadline = Instant::now() + DEADLINE;
        loop {
            match Self::start_on(address, &binary) {
                Ok(program) => return program,
                Err(said) => assert!(Instant::now() < deadline, "it did not start again but {said:?}"),
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a page.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The address of a WebSocket.
    pub fn websocket_url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// What curl does: asks with these headers (`Name: value`), and gives the answer.
    pub fn request(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let headers: String = headers.iter().flat_map(|&header| [header, "\r\n"]).collect();
        let (host, length) = (self.address, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits until it has ended, as it was told to, in good order.
    pub fn ended(mut self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "it ended with {status}");
                return;
            }
            assert!(Instant::now() < deadline, "it did not end");
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Answer {
    /// The value of a header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
