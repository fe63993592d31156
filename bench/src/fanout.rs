//! `fanout`: what a delivery costs a server, beside what it costs the bare loop.

use crate::dialect::Dialect;
use crate::feed::{FeedPlan, PAYLOAD_BYTES_MIN};
use crate::generator::{Generator, Window};
use crate::report::{self, Spread, Table, figure, optional};
use crate::server::Recipe;
use crate::{Baseline, Common, Outcome};
use serde::Serialize;
use std::io;
use std::time::Duration;

/// Options of `fanout`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    baseline: Baseline,
    /// What subscribers of the server speak
    #[arg(long, value_enum, default_value_t = Dialect::Raw)]
    dialect: Dialect,
    /// What subscribers of the baseline speak
    #[arg(long, value_enum, default_value_t = Dialect::Raw)]
    baseline_dialect: Dialect,
    /// Connections that receive
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Publications per second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Bytes of a payload, at least 33
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Publications the publisher sends in one write
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    burst: u32,
    /// Length of a run
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Runs of each server, in turn
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

#[derive(Debug, Serialize)]
struct Run {
    server: String,
    number: usize,
    /// CPU per delivery over that of the baseline's run right behind it.
    cpu_ratio: Option<f64>,
    #[serde(flatten)]
    window: Window,
}

#[derive(Debug, Serialize)]
struct Report {
    dialect: Dialect,
    baseline_dialect: Dialect,
    subscribers: usize,
    rate: u32,
    bytes: usize,
    burst: u32,
    seconds: u64,
    runs: Vec<Run>,
    summaries: Vec<Summary>,
}

#[derive(Debug, Serialize)]
struct Summary {
    server: String,
    cpu_us_per_delivery: Option<Spread>,
    cpu_ratio: Option<Spread>,
    writes_per_delivery: Option<Spread>,
    p50_ms: Option<Spread>,
    p99_ms: Option<Spread>,
    max_ms: Option<Spread>,
}

/// Runs the servers in turn and prints each run and the medians.
pub(crate) fn run(options: &Options) -> io::Result<Outcome> {
    let recipes = options.baseline.recipes(&options.common)?;
    let generator_core = options.common.generator_core;
    crate::server::pin(generator_core)?;
    let mut runs = Vec::new();
    for number in 1..=options.runs {
        let first = runs.len();
        for (recipe, dialect) in recipes.iter().zip([options.dialect, options.baseline_dialect]) {
            let window = one_run(options, recipe, dialect)?;
            println!(
                "run {number}: {} {} µs per delivery",
                recipe.name,
                figure(window.cpu_us_per_delivery)
            );
            runs.push(Run {
                server: recipe.name.clone(),
                number,
                cpu_ratio: None,
                window,
            });
        }
        if let [server, baseline] = &mut runs[first..] {
            server.cpu_ratio = Some(server.window.cpu_us_per_delivery / baseline.window.cpu_us_per_delivery);
        }
    }
    let report = options.report(runs, &recipes);
    println!("\n{}\n{}", report.run_table(), report.summary_table());
    report::write_json(options.common.json.as_deref(), &report)?;
    Ok(Outcome::of(report.runs.iter().all(|run| run.window.is_clean())))
}

fn one_run(options: &Options, recipe: &Recipe, dialect: Dialect) -> io::Result<Window> {
    let server = recipe.start(options.common.server_core)?;
    let mut generator = Generator::connect(&server, &[options.plan(dialect)])?;
    generator.warm_up(WARM_UP)?;
    let window = generator.measure(&server, &[0], Duration::from_secs(options.seconds))?;
    drop(generator);
    server.stop()?;
    Ok(window)
}

impl Options {
    fn plan(&self, dialect: Dialect) -> FeedPlan {
        FeedPlan {
            topic: "bench",
            dialect,
            subscribers: self.subscribers,
            rate: self.rate,
            burst: self.burst,
            payload_bytes: self.bytes.max(PAYLOAD_BYTES_MIN),
            is_prompt: false,
        }
    }

    fn report(&self, runs: Vec<Run>, recipes: &[Recipe]) -> Report {
        let summaries = recipes
            .iter()
            .map(|recipe| Summary::of(&recipe.name, &runs))
            .collect();
        Report {
            dialect: self.dialect,
            baseline_dialect: self.baseline_dialect,
            subscribers: self.subscribers,
            rate: self.rate,
            bytes: self.bytes.max(PAYLOAD_BYTES_MIN),
            burst: self.burst,
            seconds: self.seconds,
            runs,
            summaries,
        }
    }
}

impl Summary {
    fn of(server: &str, runs: &[Run]) -> Self {
        let spread = |value: fn(&Run) -> Option<f64>| {
            Spread::of(runs.iter().filter(|run| run.server == server).filter_map(value))
        };
        Self {
            server: server.to_owned(),
            cpu_us_per_delivery: spread(|run| Some(run.window.cpu_us_per_delivery)),
            cpu_ratio: spread(|run| run.cpu_ratio),
            writes_per_delivery: spread(|run| run.window.writes_per_delivery),
            p50_ms: spread(|run| Some(run.window.feeds[0].latency.p50_ms)),
            p99_ms: spread(|run| Some(run.window.feeds[0].latency.p99_ms)),
            max_ms: spread(|run| Some(run.window.feeds[0].latency.max_ms)),
        }
    }
}

impl Report {
    fn run_table(&self) -> Table {
        let mut table = Table::new(&[
            "run",
            "µs/delivery",
            "ratio",
            "writes/delivery",
            "deliveries",
            "lost",
            "twice",
            "reordered",
            "closed",
            "p50 ms",
            "p99 ms",
            "max ms",
            "server %",
            "generator %",
            "waited %",
            "late ms",
        ]);
        for Run {
            server,
            number,
            cpu_ratio,
            window,
        } in &self.runs
        {
            let feed = &window.feeds[0];
            let mut cells = vec![format!("{number} {server}"), figure(window.cpu_us_per_delivery)];
            cells.extend([optional(*cpu_ratio), optional(window.writes_per_delivery)]);
            let counts = [
                feed.deliveries,
                feed.lost,
                feed.duplicated,
                feed.reordered,
                feed.closed,
            ];
            cells.extend(counts.iter().map(u64::to_string));
            cells.extend(feed.latency.cells());
            cells.extend(window.share_cells());
            cells.push(figure(window.publish_late_max_ms));
            table.push(cells);
        }
        table
    }

    fn summary_table(&self) -> Table {
        let mut table = Table::new(&[
            "median (min – max)",
            "µs/delivery",
            "ratio",
            "writes/delivery",
            "p50 ms",
            "p99 ms",
            "max ms",
        ]);
        for summary in &self.summaries {
            let spreads = [
                summary.cpu_us_per_delivery,
                summary.cpu_ratio,
                summary.writes_per_delivery,
                summary.p50_ms,
                summary.p99_ms,
                summary.max_ms,
            ];
            let mut cells = vec![summary.server.clone()];
            cells.extend(spreads.map(|spread| spread.map_or("-".to_owned(), |spread| spread.to_string())));
            table.push(cells);
        }
        table
    }
}

const WARM_UP: Duration = Duration::from_secs(1);
