//! `idle`: the memory a server holds for connections that are silent, and whether it gives it back.

use crate::client::{Connection, Entry, Target};
use crate::dialect::Dialect;
use crate::reading::{self, Reading};
use crate::report::{self, Table, figure};
use crate::server::{self, Recipe, Server};
use crate::{Common, Outcome, UNLIMITED};
use mio::{Events, Interest, Poll, Token};
use serde::Serialize;
use std::io;
use std::time::{Duration, Instant};

/// Options of `idle`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Connections that stay silent
    #[arg(long, default_value_t = 19_000, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    connections: u32,
    /// Distinct topics they are spread over
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    topics: u32,
    /// How often they all connect and disconnect
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long memory is left to settle before it is read, in milliseconds
    #[arg(long, default_value_t = 2000)]
    settle_ms: u64,
    /// What the connections speak; `raw` ones have no greeting to wait for
    #[arg(long, value_enum, default_value_t = Dialect::Json)]
    dialect: Dialect,
    /// The connections are streams of server-sent events, which have a topic and no dialect
    #[arg(long)]
    streams: bool,
    /// The browser the connections pretend to be
    #[arg(long, default_value = USER_AGENT)]
    user_agent: String,
}

#[derive(Debug, Serialize)]
struct Round {
    connected: Reading,
    disconnected: Reading,
    /// Growth since the server started, over the connections.
    rss_bytes_per_connection: f64,
    anonymous_bytes_per_connection: f64,
    closed_by_server: usize,
    connect_seconds: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    server: String,
    connections: u32,
    topics: u32,
    dialect: Dialect,
    before: Reading,
    rounds: Vec<Round>,
}

/// Measures the server and prints what it holds at every step.
pub(crate) fn run(options: &Options) -> io::Result<Outcome> {
    server::require_descriptors(u64::from(options.connections) + DESCRIPTORS_SPARE)?;
    server::pin(options.common.generator_core)?;
    let report = options.measure(&options.common.recipe(UNLIMITED)?)?;
    println!("{}", report.table());
    report::write_json(options.common.json.as_deref(), &report)?;
    Ok(Outcome::of(report.is_clean()))
}

impl Options {
    fn measure(&self, recipe: &Recipe) -> io::Result<Report> {
        let server = recipe.start(self.common.server_core)?;
        std::thread::sleep(self.settle());
        let before = Reading::take(&server)?;
        let mut rounds = Vec::new();
        for _ in 0..self.rounds {
            rounds.push(self.round(&server, before)?);
        }
        server.stop()?;
        let &Self {
            connections,
            topics,
            dialect,
            ..
        } = self;
        Ok(Report {
            server: recipe.name.clone(),
            connections,
            topics,
            dialect,
            before,
            rounds,
        })
    }

    fn round(&self, server: &Server, before: Reading) -> io::Result<Round> {
        let target = Target {
            user_agent: Some(self.user_agent.clone()),
            greetings: self.dialect.greetings(),
            is_stream: self.streams,
            ..Target::plain(server.address)
        };
        let begun = Instant::now();
        let entries =
            (0..self.connections).map(|number| self.entry(&format!("idle-{}", number % self.topics)));
        let mut connections = target.connect_all(entries)?;
        let connect_seconds = begun.elapsed().as_secs_f64();
        let closed_by_server = hold(&mut connections, self.settle())?;
        let connected = Reading::take(server)?;
        disconnect(connections);
        reading::await_descriptors(server, before.descriptors, CLOSE_MAX)?;
        std::thread::sleep(self.settle());
        let disconnected = Reading::take(server)?;
        let per_connection = |connected: u64, before: u64| {
            connected.saturating_sub(before) as f64 / f64::from(self.connections)
        };
        Ok(Round {
            connected,
            disconnected,
            rss_bytes_per_connection: per_connection(connected.memory.rss_bytes, before.memory.rss_bytes),
            anonymous_bytes_per_connection: per_connection(
                connected.memory.anonymous_bytes,
                before.memory.anonymous_bytes,
            ),
            closed_by_server,
            connect_seconds,
        })
    }

    fn entry(&self, topic: &str) -> Entry {
        if self.streams {
            Entry {
                path: format!("/sse?topic={topic}"),
                hello: None,
            }
        } else {
            self.dialect.entry(topic)
        }
    }

    fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }
}

/// Keeps the connections for a while and answers their pings; returns how many the server closed.
fn hold(connections: &mut [Connection], length: Duration) -> io::Result<usize> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 << 10];
    for (index, connection) in connections.iter_mut().enumerate() {
        poll.registry()
            .register(&mut connection.stream, Token(index), Interest::READABLE)?;
    }
    let mut closed = 0;
    let deadline = Instant::now() + length;
    while let Some(wait) = deadline.checked_duration_since(Instant::now()) {
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            let connection = &mut connections[event.token().0];
            if connection.read(&mut buffer, |_| {}).is_err() {
                poll.registry().deregister(&mut connection.stream)?;
                closed += 1;
            }
        }
    }
    Ok(closed)
}

/// Ends all connections: every second one says goodbye, the others just go, as clients do.
fn disconnect(connections: Vec<Connection>) {
    for (index, connection) in connections.into_iter().enumerate() {
        if index % 2 == 0 {
            connection.close();
        }
    }
}

impl Report {
    /// Whether the server kept all connections while they lasted, and none of them afterwards.
    fn is_clean(&self) -> bool {
        self.rounds.iter().all(|round| {
            round.closed_by_server == 0
                && round.disconnected.descriptors <= self.before.descriptors + DESCRIPTORS_SPARE as usize
        })
    }

    fn table(&self) -> Table {
        let title = format!("{}, {} × {:?}", self.server, self.connections, self.dialect);
        let heads = [
            title.as_str(),
            "RSS MiB",
            "anonymous MiB",
            "descriptors",
            "RSS B/connection",
            "anonymous B/connection",
            "closed",
            "connecting s",
        ];
        let mut table = Table::new(&heads);
        table.push(line(
            "before".to_owned(),
            self.before,
            [const { String::new() }; 4],
        ));
        for (number, round) in (1..).zip(&self.rounds) {
            let figures = [
                format!("{:.0}", round.rss_bytes_per_connection),
                format!("{:.0}", round.anonymous_bytes_per_connection),
                round.closed_by_server.to_string(),
                figure(round.connect_seconds),
            ];
            table.push(line(format!("{number} connected"), round.connected, figures));
            table.push(line(
                format!("{number} disconnected"),
                round.disconnected,
                [const { String::new() }; 4],
            ));
        }
        table
    }
}

fn line(head: String, reading: Reading, figures: [String; 4]) -> Vec<String> {
    let mut cells = vec![head];
    cells.extend(reading.cells());
    cells.extend(figures);
    cells
}

/// Descriptors a process needs beside those of the connections, or may keep when they are gone.
const DESCRIPTORS_SPARE: u64 = 16;
const CLOSE_MAX: Duration = Duration::from_secs(15);
const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
