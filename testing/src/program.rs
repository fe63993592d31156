//! A program as a process of its own, on a port that the system chose.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::{DEADLINE, LOOK_AGAIN};

/// A running program that says `listening on http://ADDRESS` in its first line, or `https`. Killed when dropped.
pub struct Program {
    command: Box<dyn Fn(SocketAddr) -> Command + Send + Sync>,
    child: Child,
    scheme: String,
    address: SocketAddr,
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
    pub fn start(binary: &'static str) -> Self {
        Self::start_by(move |address| {
            let mut command = Command::new(binary);
            command.env_clear().arg(address.to_string());
            command
        })
    }

    /// Starts a program by the command that has it listen on an address.
    pub fn start_by(command: impl Fn(SocketAddr) -> Command + Send + Sync + 'static) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (child, line) = spawn(command(any));
        let (scheme, address) =
            listening(&line).unwrap_or_else(|| panic!("it did not say where it listens but {line:?}"));
        Self {
            command: Box::new(command),
            child,
            scheme,
            address,
        }
    }

    /// Starts it again where it was, after it has ended. The port may be taken for a moment by somebody's outgoing
    /// connection.
    pub fn start_again(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let (child, line) = spawn((self.command)(self.address));
            self.child = child;
            if listening(&line).is_some() {
                return;
            }
            self.kill();
            assert!(Instant::now() < deadline, "it did not start again but {line:?}");
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a page.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
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

    /// Asks it to stop, and waits until it has.
    pub fn terminate(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.ended();
    }

    /// Stops it in its tracks: connections stay, nothing is answered any more.
    pub fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Lets it go on after it was stopped in its tracks.
    pub fn thaw(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Ends it without a word to anyone.
    pub fn kill(&mut self) {
        // Both fail when it has ended already, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has ended, as it was told to, in good order.
    pub fn ended(&mut self) {
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
        self.kill();
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({})", self.url("/"))
    }
}

/// Starts a process and reads its first line.
fn spawn(mut command: Command) -> (Child, String) {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    // It stays open: what else the program says must not end it.
    child.stdout = Some(stdout.into_inner());
    (child, line)
}

/// The scheme and the address in the line by which a program says where it listens.
fn listening(line: &str) -> Option<(String, SocketAddr)> {
    let (scheme, address) = line.trim_end().strip_prefix("listening on ")?.split_once("://")?;
    Some((scheme.to_owned(), address.parse().ok()?))
}
