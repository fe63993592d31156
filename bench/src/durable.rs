//! `durable`: publications per second that are made durable before they are answered, beside what the disk can do.

use crate::client::Target;
use crate::crowd::{Crowd, is_of_type};
use crate::dialect::WELCOME;
use crate::goal::Goal;
use crate::report::{self, Spread, Table, figure};
use crate::server::{self, Recipe};
use crate::{Common, Outcome, UNLIMITED};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Options of `durable`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Connections that publish
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    publishers: u32,
    /// Publications of one connection that wait for their answer
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    outstanding: u32,
    /// Topics that they are spread over
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    topics: u32,
    /// Bytes of a payload
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    /// Length of a run, and of what the bare disk is given
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds; a round has one run of the server and one of the bare disk
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A directory on the disk to measure; what is written there is removed
    #[arg(long, default_value = "target")]
    directory: PathBuf,
}

#[derive(Debug, Serialize)]
struct Run {
    publications_per_second: f64,
    /// Answered with an error, and published again.
    refused: u64,
    /// Publications that were written and synced together, on average.
    group: f64,
    syncs_per_second: f64,
    server_cpu_us: f64,
    /// The same groups, written and synced by nothing but a loop.
    bare_publications_per_second: f64,
    bare_over_server: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    server: String,
    runs: Vec<Run>,
    goals: Vec<Goal>,
}

/// Measures and prints the figures of every run.
pub(crate) fn run(options: &Options) -> io::Result<Outcome> {
    server::require_descriptors(u64::from(options.publishers) + 16)?;
    server::pin(options.common.generator_core)?;
    let folder = options.directory.join("fanfare-bench-durable");
    let default = format!("{UNLIMITED} --history-frames 1000 --data {}", folder.display());
    let recipe = options.common.recipe(&default)?;
    let mut runs = Vec::new();
    for _ in 0..options.rounds {
        remove(&folder)?;
        let run = options.measure(&recipe)?;
        remove(&folder)?;
        runs.push(options.beside(run, &folder)?);
        remove(&folder)?;
    }
    let goals = goals(&runs);
    let report = Report {
        server: recipe.name,
        runs,
        goals,
    };
    println!("{}", report.table());
    println!("{}", Goal::table(&report.goals));
    report::write_json(options.common.json.as_deref(), &report)?;
    Ok(Outcome::Clean.and_goals(&report.goals))
}

impl Options {
    fn measure(&self, recipe: &Recipe) -> io::Result<Run> {
        // As it has them in use: its shard and the thread of the disk work side by side, and the load leaves most of its core.
        let cores = [self.common.server_core, self.common.generator_core];
        let server = recipe.start_on(&cores)?;
        let target = Target {
            greetings: &[WELCOME],
            ..Target::plain(server.address)
        };
        let queries = (0..self.publishers).map(|_| "dialect=json".to_owned());
        let mut crowd = Crowd::new(target.connect_all(queries)?)?;
        let mut published = 0;
        for publisher in 0..self.publishers as usize {
            crowd.say(publisher, self.drafts(&mut published, self.outstanding as usize))?;
        }
        let warm = Instant::now() + Duration::from_secs(1);
        self.publish_until(&mut crowd, warm, &mut published)?;
        let (begun, cpu) = (Instant::now(), server.cpu_time()?);
        let end = begun + Duration::from_secs(self.seconds);
        let (answered, refused) = self.publish_until(&mut crowd, end, &mut published)?;
        let seconds = begun.elapsed().as_secs_f64();
        let cpu = server.cpu_time()?.since(cpu);
        let group = server.metric("fanfare_log_publications_total")? as f64
            / server.metric("fanfare_log_groups_total")? as f64;
        server.stop()?;
        let per_second = answered as f64 / seconds;
        Ok(Run {
            publications_per_second: per_second,
            refused,
            group,
            syncs_per_second: per_second / group,
            server_cpu_us: cpu.run_ns as f64 / 1e3 / answered as f64,
            bare_publications_per_second: f64::NAN,
            bare_over_server: f64::NAN,
        })
    }

    /// The next publications, each to another topic.
    fn drafts(&self, published: &mut u64, count: usize) -> impl Iterator<Item = String> {
        let first = *published;
        *published += count as u64;
        let (topics, data) = (u64::from(self.topics), "x".repeat(self.bytes));
        (first..first + count as u64).map(move |number| {
            let topic = number % topics;
            format!(r#"{{"type":"publish","id":{number},"topic":"durable-{topic}","data":"{data}"}}"#)
        })
    }

    /// Publishes one more for each answer; gives how many were answered, and how many were refused.
    fn publish_until(&self, crowd: &mut Crowd, end: Instant, published: &mut u64) -> io::Result<(u64, u64)> {
        let (mut answered, mut refused) = (0, 0);
        let mut due = vec![0; self.publishers as usize];
        while let Some(wait) = end.checked_duration_since(Instant::now()) {
            crowd.hear(wait, |publisher, payload| {
                due[publisher] += 1;
                if is_of_type(payload, "published") {
                    answered += 1;
                } else {
                    refused += 1;
                }
            })?;
            for (publisher, due) in due.iter_mut().enumerate().filter(|(_, due)| **due > 0) {
                crowd.say(publisher, self.drafts(published, std::mem::take(due)))?;
            }
        }
        Ok((answered, refused))
    }

    /// What the bare disk does with groups of that size.
    fn beside(&self, run: Run, folder: &Path) -> io::Result<Run> {
        fs::create_dir_all(folder)?;
        let topic = format!("durable-{}", self.topics - 1);
        let record = RECORD_HEAD_BYTES + topic.len() + self.bytes;
        let content = vec![b'x'; (run.group * record as f64) as usize];
        let mut file = File::create(folder.join("bare"))?;
        let (begun, mut groups) = (Instant::now(), 0_u64);
        while begun.elapsed() < Duration::from_secs(self.seconds) {
            file.write_all(&content)?;
            file.sync_data()?;
            groups += 1;
        }
        let bare = groups as f64 * run.group / begun.elapsed().as_secs_f64();
        Ok(Run {
            bare_publications_per_second: bare,
            bare_over_server: bare / run.publications_per_second,
            ..run
        })
    }
}

/// 100,000 a second, or half of what the disk can do.
fn goals(runs: &[Run]) -> Vec<Goal> {
    let shortfall = |run: &Run| {
        let wanted = GOAL_PER_SECOND / run.publications_per_second;
        wanted.min(run.bare_over_server / 2.0)
    };
    let spread = Spread::of(runs.iter().map(shortfall));
    let goal = "the lesser of 100,000/s and half of the bare disk, over what the server does";
    spread
        .map(|spread| Goal::new(goal, spread.median, 1.0))
        .into_iter()
        .collect()
}

impl Report {
    fn table(&self) -> Table {
        let mut table = Table::new(&[
            &self.server,
            "publications/s",
            "per sync",
            "syncs/s",
            "server CPU µs",
            "refused",
            "bare disk/s",
            "bare over server",
        ]);
        for (number, run) in (1..).zip(&self.runs) {
            table.push(vec![
                format!("run {number}"),
                figure(run.publications_per_second),
                figure(run.group),
                figure(run.syncs_per_second),
                figure(run.server_cpu_us),
                run.refused.to_string(),
                figure(run.bare_publications_per_second),
                figure(run.bare_over_server),
            ]);
        }
        table
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

const GOAL_PER_SECOND: f64 = 100_000.0;

/// Of a record of the log, with what stands before the payload in its body.
const RECORD_HEAD_BYTES: usize = 38 + 13;
