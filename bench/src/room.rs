//! `room`: how long a small room waits beside a big topic.

use crate::dialect::Dialect;
use crate::feed::{FeedPlan, FeedResult};
use crate::generator::{Generator, Window};
use crate::report::{self, Latency, Spread, Table, figure};
use crate::server::Recipe;
use crate::{Baseline, Common, Outcome};
use serde::Serialize;
use std::io;
use std::time::Duration;

/// Options of `room`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    baseline: Baseline,
    /// Subscribers of the big topic
    #[arg(long, default_value_t = 9000)]
    big: usize,
    /// Publications per second on the big topic
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Members of the small room
    #[arg(long, default_value_t = 4)]
    room: usize,
    /// Publications per second in the small room
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    room_rate: u32,
    /// Length of each of the two phases
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Runs of each server, in turn
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

#[derive(Debug, Serialize)]
struct Run {
    server: String,
    number: usize,
    /// While the big topic's subscribers are connected and nothing is published to them.
    quiet: Window,
    /// While the big topic is published to.
    busy: Window,
}

#[derive(Debug, Serialize)]
struct Report {
    big: usize,
    rate: u32,
    room: usize,
    room_rate: u32,
    seconds: u64,
    runs: Vec<Run>,
}

/// Runs the servers in turn and prints the latencies of both phases.
pub(crate) fn run(options: &Options) -> io::Result<Outcome> {
    let recipes = options.baseline.recipes(&options.common)?;
    crate::server::pin(options.common.generator_core)?;
    let mut runs = Vec::new();
    for number in 1..=options.runs {
        for recipe in &recipes {
            let run = options.one_run(recipe, number)?;
            let p99_ms = [&run.quiet, &run.busy].map(|window| figure(window.feeds[ROOM].latency.p99_ms));
            println!(
                "run {number}: {} room p99 {} ms quiet, {} ms busy",
                recipe.name, p99_ms[0], p99_ms[1]
            );
            runs.push(run);
        }
    }
    let &Options {
        big,
        rate,
        room,
        room_rate,
        seconds,
        ..
    } = options;
    let report = Report {
        big,
        rate,
        room,
        room_rate,
        seconds,
        runs,
    };
    println!("\n{}\n{}", report.run_table(), report.summary_table(&recipes));
    report::write_json(options.common.json.as_deref(), &report)?;
    Ok(Outcome::of(
        report
            .runs
            .iter()
            .all(|run| run.quiet.is_clean() && run.busy.is_clean()),
    ))
}

impl Options {
    fn one_run(&self, recipe: &Recipe, number: usize) -> io::Result<Run> {
        let server = recipe.start(self.common.server_core)?;
        let mut generator = Generator::connect(&server, &self.plans())?;
        generator.warm_up(WARM_UP)?;
        let quiet = generator.measure(&server, &[ROOM], Duration::from_secs(self.seconds))?;
        let busy = generator.measure(&server, &[ROOM, BIG], Duration::from_secs(self.seconds))?;
        drop(generator);
        server.stop()?;
        Ok(Run {
            server: recipe.name.clone(),
            number,
            quiet,
            busy,
        })
    }

    fn plans(&self) -> [FeedPlan; 2] {
        let room = FeedPlan {
            topic: "room",
            dialect: Dialect::Raw,
            subscribers: self.room,
            rate: self.room_rate,
            burst: 1,
            payload_bytes: 100,
            is_prompt: true,
        };
        let big = FeedPlan {
            topic: "big",
            dialect: Dialect::Raw,
            subscribers: self.big,
            rate: self.rate,
            is_prompt: false,
            ..room.clone()
        };
        [room, big]
    }
}

impl Report {
    fn run_table(&self) -> Table {
        let mut table = Table::new(&[
            "run",
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
        ]);
        for Run {
            server,
            number,
            quiet,
            busy,
        } in &self.runs
        {
            let parts = [
                (quiet, ROOM, "room, big topic quiet"),
                (busy, ROOM, "room, big topic busy"),
                (busy, BIG, "big"),
            ];
            for (window, feed, part) in parts {
                table.push(line(
                    format!("{number} {server}: {part}"),
                    window,
                    &window.feeds[feed],
                ));
            }
        }
        table
    }

    fn summary_table(&self, recipes: &[Recipe]) -> Table {
        let mut table = Table::new(&["median (min – max)", "room p50 ms", "room p99 ms", "room max ms"]);
        for Recipe { name, .. } in recipes {
            let runs = || self.runs.iter().filter(|run| run.server == *name);
            let quiet: Vec<Latency> = runs().map(|run| run.quiet.feeds[ROOM].latency).collect();
            let busy: Vec<Latency> = runs().map(|run| run.busy.feeds[ROOM].latency).collect();
            table.push(summary_line(format!("{name}: big topic quiet"), &quiet));
            table.push(summary_line(format!("{name}: big topic busy"), &busy));
        }
        table
    }
}

fn summary_line(head: String, rooms: &[Latency]) -> Vec<String> {
    let spreads = [
        Spread::of(rooms.iter().map(|latency| latency.p50_ms)),
        Spread::of(rooms.iter().map(|latency| latency.p99_ms)),
        Spread::of(rooms.iter().map(|latency| latency.max_ms)),
    ];
    let mut cells = vec![head];
    cells.extend(spreads.iter().flatten().map(Spread::to_string));
    cells
}

fn line(head: String, window: &Window, feed: &FeedResult) -> Vec<String> {
    let mut cells = vec![head];
    cells.extend(
        [
            feed.deliveries,
            feed.lost,
            feed.duplicated,
            feed.reordered,
            feed.closed,
        ]
        .map(|count| count.to_string()),
    );
    cells.extend(feed.latency.cells());
    cells.extend(window.share_cells());
    cells
}

/// Indices of the feeds.
const ROOM: usize = 0;
const BIG: usize = 1;
const WARM_UP: Duration = Duration::from_secs(1);
