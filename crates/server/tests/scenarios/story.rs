//! A story: a server of its own, what happens to it, and the look afterwards that nothing is left.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::client::{Client, eventually};
use crate::process::{API_KEY, Server, metric, serve};

/// Tells a story to a server with these options. Whatever happens in it, the process lives on, answers, has written no
/// line to its log at `info` or above, and ends with no connection, no topic, nothing that waits, and the descriptors
/// and threads it had before.
pub(crate) fn story(arguments: &[&str], tell: impl FnOnce(&Server)) {
    story_with_log(
        arguments,
        "info",
        |server, _| tell(server),
        |log| {
            assert_eq!(log, "", "what clients do is no news for an operator");
        },
    );
}

/// A story of a server that logs at a level, and what its log must be at the end.
pub(crate) fn story_with_log(
    arguments: &[&str],
    level: &str,
    tell: impl FnOnce(&Server, &Log),
    check: impl FnOnce(&str),
) {
    let log = Log::new();
    let mut command = serve(arguments);
    command.envs(UNRATED).args(["--log", level]).stderr(log.writer());
    let server = Server::start_by(&mut command);
    let baseline = Baseline::of(&server);
    tell(&server, &log);
    baseline.assert_restored(&server);
    check(&log.text());
}

/// Without the rates: a story says much in little time. Those about rates set them again, for a flag beats the
/// environment.
pub(crate) const UNRATED: [(&str, &str); 4] = [
    ("FANFARE_COMMANDS_PER_SECOND", "0"),
    ("FANFARE_BYTES_PER_SECOND", "0"),
    ("FANFARE_PUBLICATIONS_PER_SECOND", "0"),
    ("FANFARE_REFUSALS_MAX", "0"),
];

/// What a server has before anything happens.
struct Baseline {
    descriptors: usize,
    threads: usize,
}

impl Baseline {
    /// Taken after the first connection, which makes what stays.
    fn of(server: &Server) -> Self {
        let (mut first, _) = Client::open_json(server.address, "/ws?topic=first");
        first.expect("subscribed");
        drop(first);
        // Metrics are as of each shard's last turn: without this they might be those of the time before it came.
        server.await_metrics(&[("fanfare_connections_released_total", 1)]);
        Self {
            descriptors: server.descriptors(),
            threads: server.threads(),
        }
    }

    fn assert_restored(&self, server: &Server) {
        eventually("all that was opened is released", || {
            let page = server.get("/metrics").body;
            let count = |name| metric(&page, name);
            count("fanfare_connections_opened_total") == count("fanfare_connections_released_total")
                && api(server, "/api/connections")["connections"] == json!([])
        });
        server.await_metrics(&EMPTY);
        let stats = api(server, "/api/stats");
        for name in ["connections", "subscriptions", "topics", "waiting_bytes"] {
            assert_eq!(stats[name], 0, "{name} in {stats}");
        }
        let no_topics = json!({"topics": [], "next": null});
        eventually("what was kept is forgotten", || {
            api(server, "/api/topics?reserved=true") == no_topics
        });
        eventually("all descriptors are given back", || {
            server.descriptors() <= self.descriptors
        });
        assert_eq!(server.threads(), self.threads);
        assert_eq!(server.get("/health").body, "ok\n");
        assert_eq!(server.get("/ready").status, 200);
    }
}

/// What the metrics say of a server with nothing in it.
const EMPTY: [(&str, u64); 6] = [
    ("fanfare_connections", 0),
    ("fanfare_subscriptions", 0),
    ("fanfare_topics", 0),
    ("fanfare_waiting_bytes", 0),
    ("fanfare_outbox_places", 0),
    ("fanfare_mailbox_publications", 0),
];

/// What the API answers to a GET.
pub(crate) fn api(server: &Server, target: &str) -> Value {
    let response = server.get(target);
    assert_eq!(response.status, 200, "{target}: {}", response.body);
    serde_json::from_str(&response.body).unwrap()
}

/// What the API answers to a POST, which must succeed.
pub(crate) fn post(client: &mut Client, target: &str, body: &str) -> Value {
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {API_KEY}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(request.as_bytes());
    let response = client.response().expect("an answer");
    assert_eq!(response.status, 200, "{target}: {}", response.body);
    serde_json::from_str(&response.body).unwrap()
}

/// A text as the value of a query parameter.
pub(crate) fn percent_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A counter of connections that the server closed with a code.
pub(crate) fn disconnects(code: u16, reason: &str) -> String {
    format!("fanfare_disconnects_total{{code=\"{code}\",reason=\"{reason}\"}}")
}

/// A counter of commands that the server refused.
pub(crate) fn rejections(code: &str) -> String {
    format!("fanfare_rejections_total{{code=\"{code}\"}}")
}

/// The standard error of a process: a file without a name.
pub(crate) struct Log(File);

impl Log {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "log-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let file = File::options()
            .read(true)
            .append(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        fs::remove_file(path).unwrap();
        Self(file)
    }

    /// Another end to write to.
    pub(crate) fn writer(&self) -> File {
        self.0.try_clone().unwrap()
    }

    /// Everything written so far.
    pub(crate) fn text(&self) -> String {
        let mut bytes = vec![0; self.0.metadata().unwrap().len() as usize];
        self.0.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8(bytes).unwrap()
    }
}

/// Two ordinary clients who must not notice what others do: one publishes, one listens.
pub(crate) struct Bystanders {
    publisher: Client,
    subscriber: Client,
    offset: u64,
}

impl Bystanders {
    pub(crate) fn open(server: &Server) -> Self {
        let (mut subscriber, _) = Client::open_json(server.address, "/ws?topic=bystanders");
        subscriber.expect("subscribed");
        let (mut publisher, _) = Client::open_json(server.address, "/ws");
        // Metrics are as of each shard's last turn: when this is answered, the turns that opened them are counted.
        for client in [&mut subscriber, &mut publisher] {
            assert_eq!(client.ask(json!({"type": "ping", "id": 0}))["type"], "pong");
        }
        Self {
            publisher,
            subscriber,
            offset: 0,
        }
    }

    /// They publish and hear, in order and with nothing between.
    pub(crate) fn assert_well(&mut self) {
        for _ in 0..3 {
            self.offset += 1;
            let command =
                json!({"type": "publish", "topic": "bystanders", "data": "well", "id": self.offset});
            let reply = self.publisher.ask(command);
            assert_eq!(
                (&reply["type"], &reply["offset"]),
                (&json!("published"), &json!(self.offset))
            );
            let message = self.subscriber.expect("message");
            assert_eq!(
                (&message["offset"], &message["data"]),
                (&json!(self.offset), &json!("well"))
            );
        }
    }
}
