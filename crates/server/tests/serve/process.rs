//! A server process of a test's own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Client, DEADLINE, Response, eventually};

/// A running server; it is killed with the value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// A server on a port of the system's choice.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_by(&mut serve(arguments))
    }

    /// The server that a command starts.
    pub(crate) fn start_by(command: &mut Command) -> Self {
        Self::try_start_by(command).expect("it says where the server is")
    }

    /// Kills it and starts it again on its port, which somebody's outgoing connection may have for a moment.
    pub(crate) fn kill_and_start_again(&mut self) {
        self.signal(Signal::KILL);
        self.end_within(PROMPT);
        let listen = self.address.to_string();
        let deadline = Instant::now() + DEADLINE;
        *self = loop {
            if let Some(server) = Self::try_start_by(&mut serve_on(&listen)) {
                break server;
            }
            assert!(
                Instant::now() < deadline,
                "the server does not start again on {listen}"
            );
        };
    }

    /// The server that a command starts; none when that ends without one.
    pub(crate) fn try_start_by(command: &mut Command) -> Option<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let schemes = ["listening on http://", "listening on https://"];
        let Some(address) = schemes.iter().find_map(|scheme| line.strip_prefix(scheme)) else {
            let _ = child.wait();
            return None;
        };
        let address = address.trim_end().parse().unwrap();
        Some(Self {
            address,
            child,
            stdout,
        })
    }

    /// The answer to a GET.
    pub(crate) fn get(&self, target: &str) -> Response {
        let mut client = Client::connect(self.address);
        get(&mut client, target)
    }

    /// The value of a metric, by its name with its labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        metric(&self.get("/metrics").body, name)
    }

    /// Waits until metrics have these values: they are as of each shard's last turn.
    pub(crate) fn await_metrics(&self, expected: &[(&str, u64)]) {
        eventually(&format!("{expected:?}"), || {
            let page = self.get("/metrics").body;
            expected.iter().all(|(name, value)| metric(&page, name) == *value)
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops all of its threads where they are, until it is sent `CONT`.
    pub(crate) fn stand_still(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.child.id());
        let is_stopped = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap();
            stat[stat.rfind(')').unwrap()..].starts_with(") T")
        };
        eventually("it stands still", || {
            fs::read_dir(&tasks)
                .unwrap()
                .all(|task| is_stopped(task.unwrap()))
        });
    }

    /// Waits for the end of the process, at most so long.
    pub(crate) fn end_within(&mut self, limit: Duration) -> ExitStatus {
        end_within(&mut self.child, limit)
    }

    /// Its log, where that is piped.
    pub(crate) fn stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().expect("standard error is piped")
    }

    /// The next line of output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// The resident memory of the process in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.status_kib("VmRSS") << 10
    }

    /// A size of the process that `/proc` tells, in KiB (proc(5)).
    pub(crate) fn status_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Threads of the process.
    pub(crate) fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .unwrap()
            .count()
    }

    /// Open descriptors of the process.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }

    /// Time on a core that the process has had.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The fields after the name, which may have any characters and ends with the last parenthesis.
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        let ticks: u64 = [11, 12]
            .iter()
            .map(|&at| fields[at].parse::<u64>().unwrap())
            .sum();
        Duration::from_millis(ticks * TICK_MS)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the end of a process, at most so long.
pub(crate) fn end_within(child: &mut Child, limit: Duration) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(began.elapsed() < limit, "the server still runs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The command that serves on a port of the system's choice.
pub(crate) fn serve(arguments: &[&str]) -> Command {
    let mut command = serve_on("127.0.0.1:0");
    command.args(arguments);
    command
}

/// The command that serves on an address.
pub(crate) fn serve_on(listen: &str) -> Command {
    let mut command = serve_with_log("error", listen);
    command.stdin(Stdio::null());
    command
}

/// The command that serves on an address and logs what is asked for.
pub(crate) fn serve_with_log(log: &str, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command
        .args(["serve", "--listen", listen])
        .envs([("FANFARE_LOG", log), ("FANFARE_OPEN", "true")]);
    command
}

/// The answer to a GET on a connection that stays open.
pub(crate) fn get(client: &mut Client, target: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {API_KEY}\r\n\r\n");
    client.send(request.as_bytes());
    client.response().expect("an answer")
}

/// The value of a metric on a page.
pub(crate) fn metric(page: &str, name: &str) -> u64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')));
    line.unwrap_or_else(|| panic!("{name} is not in {page}"))
        .parse()
        .unwrap()
}

/// The key that every request of these tests carries. A server without keys does not look at it.
pub(crate) const API_KEY: &str = "the-key-of-the-tests";

/// The unit of times in `/proc`, the same on every Linux (`USER_HZ`).
const TICK_MS: u64 = 10;

/// The longest a stop may take that has nothing to wait for.
pub(crate) const PROMPT: Duration = DEADLINE;
