//! A data directory of a test's own, and the program that has it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::{Client, DEADLINE, eventually_or};
use crate::process::{PROMPT, Server, end_within, serve_on};

/// A data directory and how a program is started on it, always on the same port. It goes with the value.
pub(crate) struct House {
    folder: PathBuf,
    listen: String,
    arguments: Vec<String>,
}

impl House {
    /// A new one of this name. The program has these arguments beside those that every one has here.
    pub(crate) fn new(name: &str, arguments: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("fanfare-durable-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            listen: "127.0.0.1:0".to_owned(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        }
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The only segment, or the last of them.
    pub(crate) fn last_segment(&self) -> PathBuf {
        let names = fs::read_dir(self.data()).unwrap();
        let paths = names.map(|entry| entry.unwrap().path());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "seg");
        paths.filter(is_segment).max().expect("there is a segment")
    }

    /// A path beside the data directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The command that starts the program in this directory.
    pub(crate) fn command(&self) -> Command {
        self.command_in(&self.data())
    }

    /// The same in another directory.
    pub(crate) fn command_in(&self, data: &Path) -> Command {
        let mut command = serve_on(&self.listen);
        command.envs(SETTINGS).args(&self.arguments);
        command.arg("--data").arg(data).stderr(self.log_file());
        command
    }

    /// A command that is run by another program, such as one that follows its system calls.
    pub(crate) fn run_by(&self, runner: &[&str], command: &Command) -> Command {
        let mut run = Command::new(runner[0]);
        run.args(&runner[1..])
            .arg(command.get_program())
            .args(command.get_args());
        run.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        run.stderr(self.log_file());
        run
    }

    /// From now on the program has one more argument.
    pub(crate) fn add_argument(&mut self, argument: &str) {
        self.arguments.push(argument.to_owned());
    }

    fn log_file(&self) -> File {
        File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap()
    }

    /// What all programs together have logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until the program has logged this: it does so beside what it does.
    pub(crate) fn await_log(&self, text: &str) {
        let what = || format!("it logs {text}, but: {}", self.log());
        eventually_or(|| self.log().contains(text), what);
    }

    /// Starts the program.
    pub(crate) fn start(&mut self) -> Server {
        self.start_by(Self::command)
    }

    /// Starts it by a command. Its port may be taken for a moment by somebody's outgoing connection.
    pub(crate) fn start_by(&mut self, command: impl Fn(&Self) -> Command) -> Server {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(server) = Server::try_start_by(&mut command(self)) {
                self.listen = server.address.to_string();
                return server;
            }
            assert!(Instant::now() < deadline, "it does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it where that must fail; what it says.
    pub(crate) fn refused(&self) -> String {
        self.refused_by(&mut self.command())
    }

    /// The same by a command.
    pub(crate) fn refused_by(&self, command: &mut Command) -> String {
        let before = self.log().len();
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let status = end_within(&mut child, PROMPT);
        let error = self.log().split_off(before);
        assert_eq!(status.code(), Some(1), "{error}");
        error
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Ends a program and waits for that.
pub(crate) fn end(mut server: Server, signal: Signal) {
    server.signal(signal);
    server.end_within(PROMPT);
}

/// What a program here is like: it keeps all of everything, takes as much as it can, and stops soon.
const SETTINGS: [(&str, &str); 10] = [
    ("FANFARE_LOG", "warn"),
    ("FANFARE_HISTORY_FRAMES", "10000000"),
    ("FANFARE_HISTORY_BYTES_MAX", "8GiB"),
    ("FANFARE_HISTORY_AGE", "1day"),
    ("FANFARE_COMMANDS_PER_SECOND", "0"),
    ("FANFARE_BYTES_PER_SECOND", "0"),
    ("FANFARE_PUBLICATIONS_PER_SECOND", "0"),
    ("FANFARE_REFUSALS_MAX", "0"),
    ("FANFARE_ADMISSIONS_PER_SECOND", "0"),
    ("FANFARE_SHUTDOWN_WINDOW", "50ms"),
];

/// A rule for a topic that is not durable, whatever holds for the others.
pub(crate) const LIVE: [&str; 2] = [
    "--topic-rule",
    r#"{ pattern = "live", durable = false, subscribe = "anyone", publish = "anyone", history = "anyone" }"#,
];

/// A connection, if anybody listens.
pub(crate) fn connect(address: SocketAddr) -> Option<Client> {
    let stream = std::net::TcpStream::connect(address).ok()?;
    // A port on which nobody listens may be connected to itself.
    (stream.local_addr().ok()? != address).then(|| Client::over(stream))
}

/// Publishes over the HTTP API; the status and the answer, if there is one.
pub(crate) fn try_post(caller: &mut Client, body: &Value) -> Option<(u16, Value)> {
    let body = body.to_string();
    let request = format!(
        "POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    caller.try_send(request.as_bytes()).ok()?;
    let response = caller.response()?;
    Some((response.status, serde_json::from_str(&response.body).unwrap()))
}

/// The same on a connection of its own, to a server that is there.
pub(crate) fn post(server: &Server, body: &Value) -> (u16, Value) {
    try_post(&mut Client::connect(server.address), body).expect("an answer")
}

/// Publishes a text, which must succeed; its offset.
pub(crate) fn publish(server: &Server, topic: &str, text: &str) -> u64 {
    let (status, answer) = post(server, &json!({"topic": topic, "data": text}));
    assert_eq!(status, 200, "{answer}");
    answer["offset"].as_u64().unwrap()
}

/// Where a topic stands.
pub(crate) fn stands(server: &Server, topic: &str) -> (String, u64) {
    let page = api(server, &format!("/api/history?topic={topic}&limit=1"));
    let epoch = page["epoch"].as_str().unwrap().to_owned();
    (epoch, page["offset"].as_u64().unwrap())
}

/// What is kept of a topic, with its offsets.
pub(crate) fn kept(server: &Server, topic: &str) -> Vec<(u64, Value)> {
    let mut all = Vec::new();
    let mut target = format!("/api/history?topic={topic}&limit=1000");
    loop {
        let page = api(server, &target);
        for message in page["messages"].as_array().unwrap() {
            all.push((message["offset"].as_u64().unwrap(), message["data"].clone()));
        }
        let since = &page["next"]["since"];
        let Some(epoch) = since["epoch"].as_str() else {
            return all;
        };
        let offset = &since["offset"];
        target = format!("/api/history?topic={topic}&limit=1000&since={epoch}:{offset}");
    }
}

/// The texts that are kept of a topic.
pub(crate) fn texts(server: &Server, topic: &str) -> Vec<String> {
    let text = |(_, data): (u64, Value)| data.as_str().unwrap().to_owned();
    kept(server, topic).into_iter().map(text).collect()
}

/// Comes back to a topic from a place; how that was answered, and the connection.
pub(crate) fn resume(server: &Server, topic: &str, place: &(String, u64)) -> (Value, Client) {
    let (mut client, _) = Client::open_json(server.address, "/ws");
    let since = json!({"epoch": place.0, "offset": place.1});
    let reply = client.ask(json!({"type": "subscribe", "topic": topic, "since": since, "id": 1}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    (reply["topics"][0].clone(), client)
}

/// What the API answers to a GET.
pub(crate) fn api(server: &Server, target: &str) -> Value {
    let response = server.get(target);
    assert_eq!(response.status, 200, "{target}: {}", response.body);
    serde_json::from_str(&response.body).unwrap()
}

/// What a client is told over a WebSocket when it publishes a text.
pub(crate) fn publish_by_socket(server: &Server, topic: &str, text: &str) -> Value {
    let (mut client, _) = Client::open_json(server.address, "/ws");
    client.ask(json!({"type": "publish", "topic": topic, "data": text, "id": 1}))
}
