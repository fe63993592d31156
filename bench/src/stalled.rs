//! `stalled`: what those who read notice of those who do not.

use crate::client::{Connection, Target};
use crate::dialect::Dialect;
use crate::feed::{FeedPlan, FeedResult, PAYLOAD_BYTES_MIN};
use crate::generator::{Generator, Window};
use crate::goal::Goal;
use crate::reading::Reading;
use crate::report::{self, MIB, Spread, Table, figure, mib};
use crate::server::{self, Recipe, Server};
use crate::{Common, Outcome, UNLIMITED};
use serde::Serialize;
use std::io;
use std::time::Duration;

/// Options of `stalled`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Subscribers in all, those that do not read included
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// How many of them do not read, one figure for each run of a round; 0 is what the others are compared with
    #[arg(long, value_delimiter = ',', default_value = "0,100,500")]
    stalled: Vec<usize>,
    /// What those that do not read speak; in `raw` a server can tell nobody what it left out
    #[arg(long, value_enum, default_value_t = Dialect::Json)]
    dialect: Dialect,
    /// Receive buffer of those that do not read
    #[arg(long, default_value_t = 4096)]
    receive_buffer_bytes: usize,
    /// Publications per second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Bytes of a payload, at least 32
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Length of a run
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Rounds; a round has one run for each figure of `--stalled`
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

#[derive(Debug, Serialize)]
struct Run {
    round: usize,
    stalled: usize,
    /// Everyone is connected, and nothing has been published since the stalled ones came.
    before: Reading,
    peak_rss_bytes: u64,
    after: Reading,
    /// Stalled connections the server has closed: the descriptors it gave up.
    closed_stalled: usize,
    #[serde(flatten)]
    window: Window,
}

#[derive(Debug, Serialize)]
struct Report {
    server: String,
    subscribers: usize,
    dialect: Dialect,
    rate: u32,
    bytes: usize,
    seconds: u64,
    runs: Vec<Run>,
    summaries: Vec<Summary>,
    goals: Vec<Goal>,
}

#[derive(Debug, Serialize)]
struct Summary {
    stalled: usize,
    p50_ms: Option<Spread>,
    p99_ms: Option<Spread>,
    /// p99 over that of the same round's run without stalled ones.
    p99_ratio: Option<Spread>,
    peak_growth_mib: Option<Spread>,
    closed_stalled: Option<Spread>,
}

/// Runs the rounds and prints each run, the medians and the goals.
pub(crate) fn run(options: &Options) -> io::Result<Outcome> {
    options.check()?;
    server::require_descriptors(options.subscribers as u64 + DESCRIPTORS_SPARE)?;
    server::pin(options.common.generator_core)?;
    let recipe = options.common.recipe(UNLIMITED)?;
    let mut runs = Vec::new();
    for round in 1..=options.rounds {
        for &stalled in &options.stalled {
            let run = options.one_run(&recipe, round, stalled)?;
            let p99 = figure(run.feed().latency.p99_ms);
            println!("round {round}: {stalled} stalled, p99 of the others {p99} ms");
            runs.push(run);
        }
    }
    let report = options.report(recipe.name, runs);
    println!("\n{}\n{}", report.run_table(), report.summary_table());
    println!("{}", Goal::table(&report.goals));
    report::write_json(options.common.json.as_deref(), &report)?;
    let is_clean = report.runs.iter().all(|run| run.window.is_clean());
    Ok(Outcome::of(is_clean).and_goals(&report.goals))
}

impl Options {
    fn check(&self) -> io::Result<()> {
        let Some(stalled) = self.stalled.iter().find(|&&stalled| stalled >= self.subscribers) else {
            return Ok(());
        };
        Err(io::Error::other(format!(
            "{stalled} stalled of {} subscribers leave nobody who reads: name fewer",
            self.subscribers
        )))
    }

    fn one_run(&self, recipe: &Recipe, round: usize, stalled: usize) -> io::Result<Run> {
        let server = recipe.start(self.common.server_core)?;
        let mut generator = Generator::connect(&server, &[self.plan(stalled)])?;
        generator.warm_up(WARM_UP)?;
        let unread = self.connect_stalled(&server, stalled)?;
        std::thread::sleep(SETTLE);
        let before = Reading::take(&server)?;
        server.reset_peak()?;
        let window = generator.measure(&server, &[0], Duration::from_secs(self.seconds))?;
        let peak_rss_bytes = server.peak_rss_bytes()?;
        std::thread::sleep(SETTLE);
        let after = Reading::take(&server)?;
        drop((generator, unread));
        server.stop()?;
        let closed_readers = window.feeds[0].closed as usize;
        Ok(Run {
            round,
            stalled,
            before,
            peak_rss_bytes,
            after,
            closed_stalled: before
                .descriptors
                .saturating_sub(after.descriptors + closed_readers),
            window,
        })
    }

    /// Connections that are subscribed and are never read again.
    fn connect_stalled(&self, server: &Server, count: usize) -> io::Result<Vec<Connection>> {
        let target = Target {
            greetings: self.dialect.greetings(),
            receive_buffer_bytes: Some(self.receive_buffer_bytes),
            ..Target::plain(server.address)
        };
        target.connect_all((0..count).map(|_| self.dialect.entry(TOPIC)))
    }

    fn plan(&self, stalled: usize) -> FeedPlan {
        FeedPlan {
            topic: TOPIC,
            dialect: Dialect::Raw,
            subscribers: self.subscribers - stalled,
            rate: self.rate,
            burst: 1,
            payload_bytes: self.bytes.max(PAYLOAD_BYTES_MIN),
            is_prompt: false,
        }
    }

    fn report(&self, server: String, runs: Vec<Run>) -> Report {
        let summaries: Vec<Summary> = self
            .stalled
            .iter()
            .map(|&stalled| Summary::of(&runs, stalled))
            .collect();
        Report {
            server,
            subscribers: self.subscribers,
            dialect: self.dialect,
            rate: self.rate,
            bytes: self.bytes.max(PAYLOAD_BYTES_MIN),
            seconds: self.seconds,
            goals: summaries
                .iter()
                .flat_map(|summary| summary.goals(self.subscribers))
                .collect(),
            runs,
            summaries,
        }
    }
}

impl Run {
    fn feed(&self) -> &FeedResult {
        &self.window.feeds[0]
    }

    fn peak_growth_bytes(&self) -> f64 {
        self.peak_rss_bytes as f64 - self.before.memory.rss_bytes as f64
    }

    fn cells(&self) -> Vec<String> {
        let feed = self.feed();
        let mut cells = vec![format!("{} {} stalled", self.round, self.stalled)];
        let counts = [
            feed.deliveries,
            feed.lost,
            feed.duplicated,
            feed.reordered,
            feed.closed,
            self.closed_stalled as u64,
        ];
        cells.extend(counts.map(|count| count.to_string()));
        cells.extend(feed.latency.cells());
        let rss = [
            self.before.memory.rss_bytes,
            self.peak_rss_bytes,
            self.after.memory.rss_bytes,
        ];
        cells.extend(rss.map(|bytes| mib(bytes as f64)));
        cells.extend(self.window.share_cells());
        cells
    }
}

impl Summary {
    fn of(runs: &[Run], stalled: usize) -> Self {
        let alike = || runs.iter().filter(|run| run.stalled == stalled);
        let p99_ratio = |run: &Run| {
            let without = runs
                .iter()
                .find(|other| other.round == run.round && other.stalled == 0)?;
            Some(run.feed().latency.p99_ms / without.feed().latency.p99_ms)
        };
        Self {
            stalled,
            p50_ms: Spread::of(alike().map(|run| run.feed().latency.p50_ms)),
            p99_ms: Spread::of(alike().map(|run| run.feed().latency.p99_ms)),
            p99_ratio: Spread::of(alike().filter_map(p99_ratio)),
            peak_growth_mib: Spread::of(alike().map(|run| run.peak_growth_bytes() / MIB)),
            closed_stalled: Spread::of(alike().map(|run| run.closed_stalled as f64)),
        }
    }

    /// Goals are set for a tenth and for a half of all.
    fn goals(&self, subscribers: usize) -> Vec<Goal> {
        let mut goals = Vec::new();
        let name = |what: &str| format!("{what}, {} of {subscribers} stalled", self.stalled);
        let ratio_max = match subscribers.checked_div(self.stalled) {
            Some(10..) => P99_RATIO_MAX_TENTH,
            Some(2..) => P99_RATIO_MAX_HALF,
            _ => return goals,
        };
        if let Some(ratio) = self.p99_ratio {
            goals.push(Goal::new(
                name("p99 of the others, ratio"),
                ratio.median,
                ratio_max,
            ));
        }
        if let Some(growth) = self.peak_growth_mib.filter(|_| self.stalled * 10 <= subscribers) {
            goals.push(Goal::new(
                name("memory above the start, MiB"),
                growth.max,
                GROWTH_MAX_MIB,
            ));
        }
        goals
    }
}

impl Report {
    fn run_table(&self) -> Table {
        let mut table = Table::new(&[
            "round",
            "deliveries",
            "lost",
            "twice",
            "reordered",
            "closed",
            "closed stalled",
            "p50 ms",
            "p99 ms",
            "max ms",
            "RSS start MiB",
            "highest",
            "end",
            "server %",
            "generator %",
            "waited %",
        ]);
        for run in &self.runs {
            table.push(run.cells());
        }
        table
    }

    fn summary_table(&self) -> Table {
        let mut table = Table::new(&[
            "median (min – max)",
            "p50 ms",
            "p99 ms",
            "p99 ratio",
            "RSS growth MiB",
            "closed stalled",
        ]);
        for summary in &self.summaries {
            let spreads = [
                summary.p50_ms,
                summary.p99_ms,
                summary.p99_ratio,
                summary.peak_growth_mib,
                summary.closed_stalled,
            ];
            let mut cells = vec![format!("{} of {} stalled", summary.stalled, self.subscribers)];
            cells.extend(spreads.map(|spread| spread.map_or("-".to_owned(), |spread| spread.to_string())));
            table.push(cells);
        }
        table
    }
}

const TOPIC: &str = "bench";
const WARM_UP: Duration = Duration::from_secs(1);
/// For subscriptions without a greeting to take effect, and for what is freed to be given back.
const SETTLE: Duration = Duration::from_millis(500);
const DESCRIPTORS_SPARE: u64 = 32;
/// Of the median of all rounds.
const P99_RATIO_MAX_TENTH: f64 = 1.25;
const P99_RATIO_MAX_HALF: f64 = 2.0;
/// Of the worst round, while at most a tenth is stalled.
const GROWTH_MAX_MIB: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_depend_on_the_share_that_is_stalled() {
        let spread = Spread::of([1.5]);
        let goals = |stalled| {
            Summary {
                stalled,
                p50_ms: spread,
                p99_ms: spread,
                p99_ratio: spread,
                peak_growth_mib: spread,
                closed_stalled: spread,
            }
            .goals(1000)
        };
        let met = |stalled| goals(stalled).iter().map(Goal::is_met).collect::<Vec<_>>();
        assert!(met(0).is_empty());
        assert_eq!(met(100), [false, true]);
        assert_eq!(met(500), [true]);
        assert!(met(501).is_empty());
    }
}
