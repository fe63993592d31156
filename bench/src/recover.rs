//! `recover`: many clients come back at once, and each is given what it missed.

use crate::client::Target;
use crate::crowd::{Crowd, is_of_type};
use crate::dialect::WELCOME;
use crate::goal::Goal;
use crate::report::{self, Table, figure};
use crate::server::{self, Recipe, Server};
use crate::{Common, Outcome, UNLIMITED};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Options of `recover`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Clients that come back
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    clients: u32,
    /// Publications that each has missed
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    missed: u32,
    /// Topics that they are spread over, one for each client
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    topics: u32,
    /// Bytes of a payload
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    /// Rounds; a round has one run from memory and one from the disk of a server that was started anew
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A directory for the disk's runs; what is written there is removed
    #[arg(long, default_value = "target")]
    directory: PathBuf,
}

#[derive(Debug, Serialize)]
struct Run {
    from: &'static str,
    /// From the first connection to the last publication that was missed.
    seconds: f64,
    /// Of those, until the last connection was open.
    connecting_seconds: f64,
    recovered: u64,
    lost: u64,
    duplicated: u64,
    server_cpu_seconds: f64,
    /// What a publication that is kept takes of the server's memory.
    memory_bytes_per_publication: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    server: String,
    clients: u32,
    missed: u32,
    runs: Vec<Run>,
    goals: Vec<Goal>,
}

/// Measures and prints the figures of every run.
pub(crate) fn run(options: &Options) -> io::Result<Outcome> {
    server::require_descriptors(u64::from(options.clients) + 16)?;
    server::pin(options.common.generator_core)?;
    let folder = options.directory.join("fanfare-bench-recover");
    let memory = options.common.recipe(&format!("{UNLIMITED} {KEEPING}"))?;
    let disk = Recipe::parse(&format!("{UNLIMITED} {KEEPING} --data {}", folder.display()))?;
    let mut runs = Vec::new();
    for _ in 0..options.rounds {
        let server = memory.start(options.common.server_core)?;
        let (epochs, bytes) = options.publish(&server)?;
        runs.push(options.come_back("memory", server, &epochs, bytes)?);
        if options.common.server.is_none() {
            // What a killed run has left.
            let _ = fs::remove_dir_all(&folder);
            let server = disk.start(options.common.server_core)?;
            let (epochs, bytes) = options.publish(&server)?;
            server.stop()?;
            let server = disk.start(options.common.server_core)?;
            runs.push(options.come_back("disk", server, &epochs, bytes)?);
            fs::remove_dir_all(&folder)?;
        }
    }
    let is_clean = runs.iter().all(|run| run.lost == 0 && run.duplicated == 0);
    let slowest = runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
    let goals = vec![Goal::new("seconds until everyone has everything", slowest, 10.0)];
    let report = Report {
        server: memory.name,
        clients: options.clients,
        missed: options.missed,
        runs,
        goals,
    };
    println!("{}", report.table());
    println!("{}", Goal::table(&report.goals));
    report::write_json(options.common.json.as_deref(), &report)?;
    Ok(Outcome::of(is_clean).and_goals(&report.goals))
}

/// What a client reads of a push.
#[derive(Deserialize)]
struct Push<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    epoch: Option<Cow<'a, str>>,
    offset: Option<u64>,
    id: Option<usize>,
}

impl Options {
    /// One publication that everyone has had, then those that all will have missed. Gives the topics' epochs, and the memory
    /// that it took for each publication.
    fn publish(&self, server: &Server) -> io::Result<(Vec<String>, f64)> {
        let target = Target {
            greetings: &[WELCOME],
            ..Target::plain(server.address)
        };
        let mut crowd = Crowd::new(vec![target.connect_one("dialect=json".to_owned())?])?;
        let before = server.memory()?.rss_bytes;
        let mut epochs = vec![String::new(); self.topics as usize];
        for _ in 0..=self.missed {
            let data = "x".repeat(self.bytes);
            let draft = |topic| {
                format!(r#"{{"type":"publish","id":{topic},"topic":"recover-{topic}","data":"{data}"}}"#)
            };
            crowd.say(0, (1..=self.topics).map(draft))?;
            let mut answers = 0;
            let deadline = Instant::now() + PATIENCE;
            while answers < self.topics {
                crowd.hear(Duration::from_secs(1), |_, payload| {
                    answers += u32::from(is_answer(payload, &mut epochs));
                })?;
                if Instant::now() > deadline {
                    return Err(io::Error::other("the server does not take what is published"));
                }
            }
        }
        let taken = server.memory()?.rss_bytes.saturating_sub(before) as f64;
        let count = f64::from(self.topics) * f64::from(self.missed + 1);
        Ok((epochs, taken / count))
    }

    fn come_back(
        &self,
        from: &'static str,
        server: Server,
        epochs: &[String],
        memory_bytes_per_publication: f64,
    ) -> io::Result<Run> {
        let target = Target {
            greetings: &[WELCOME],
            ..Target::plain(server.address)
        };
        let cpu = server.cpu_time()?;
        let begun = Instant::now();
        let queries = (0..self.clients).map(|_| "dialect=json".to_owned());
        let mut crowd = Crowd::new(target.connect_all(queries)?)?;
        let connecting_seconds = begun.elapsed().as_secs_f64();
        for client in 0..self.clients as usize {
            let topic = client % self.topics as usize;
            let epoch = &epochs[topic];
            let text = format!(
                r#"{{"type":"subscribe","topic":"recover-{}","since":{{"epoch":"{epoch}","offset":1}}}}"#,
                topic + 1
            );
            crowd.say(client, std::iter::once(text))?;
        }
        let mut places = vec![1_u64; self.clients as usize];
        let (mut recovered, mut lost, mut duplicated) = (0_u64, 0, 0);
        let due = u64::from(self.clients) * u64::from(self.missed);
        let deadline = Instant::now() + PATIENCE;
        while recovered < due && Instant::now() < deadline {
            crowd.hear(Duration::from_secs(1), |client, payload| {
                if !is_of_type(payload, "message") {
                    return;
                }
                let push: Option<Push<'_>> = serde_json::from_slice(payload).ok();
                let offset = push.and_then(|push| push.offset).unwrap_or(0);
                let place = &mut places[client];
                if offset <= *place {
                    duplicated += 1;
                } else {
                    lost += offset - *place - 1;
                    *place = offset;
                    recovered += 1;
                }
            })?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let cpu = server.cpu_time()?.since(cpu);
        server.stop()?;
        Ok(Run {
            from,
            seconds,
            connecting_seconds,
            recovered,
            lost: lost + due.saturating_sub(recovered + lost),
            duplicated,
            server_cpu_seconds: cpu.run_ns as f64 / 1e9,
            memory_bytes_per_publication,
        })
    }
}

/// Takes note of the epoch in the answer to a publish; false for anything else.
fn is_answer(payload: &[u8], epochs: &mut [String]) -> bool {
    let Ok(push) = serde_json::from_slice::<Push<'_>>(payload) else {
        return false;
    };
    let topic = push.id.and_then(|id| epochs.get_mut(id.checked_sub(1)?));
    match (topic, push.epoch) {
        (Some(topic), Some(epoch)) if push.r#type == "published" => {
            *topic = epoch.into_owned();
            true
        }
        _ => false,
    }
}

impl Report {
    fn table(&self) -> Table {
        let title = format!("{}, {} × {}", self.server, self.clients, self.missed);
        let mut table = Table::new(&[
            &title,
            "seconds",
            "of them connecting",
            "server CPU s",
            "recovered",
            "lost",
            "duplicated",
            "memory B/publication",
        ]);
        for run in &self.runs {
            table.push(vec![
                run.from.to_owned(),
                figure(run.seconds),
                figure(run.connecting_seconds),
                figure(run.server_cpu_seconds),
                run.recovered.to_string(),
                run.lost.to_string(),
                run.duplicated.to_string(),
                figure(run.memory_bytes_per_publication),
            ]);
        }
        table
    }
}

/// How a server keeps what is measured.
const KEEPING: &str = "--history-frames 100000 --history-age 1h --history-bytes-max 1GiB";

/// How long anything may take before a run is given up.
const PATIENCE: Duration = Duration::from_secs(60);
