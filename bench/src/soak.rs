//! `soak`: whether a server forgets clients that came, subscribed, published, stalled and vanished, for a long time.

use crate::dialect::Dialect;
use crate::goal::Goal;
use crate::population::{Manners, Population, Tally};
use crate::reading::{self, Reading};
use crate::report::{self, MIB, Table, figure, mib};
use crate::server::{self, Server, Stats};
use crate::{Common, DEFENDED, Outcome};
use serde::Serialize;
use std::io;
use std::time::{Duration, Instant};

/// Options of `soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// How long it goes on
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Time between two quiet points, at which everyone has gone
    #[arg(long, default_value_t = 60.0)]
    quiet_every_seconds: f64,
    /// Minutes at the beginning whose quiet points give the baseline of memory
    #[arg(long, default_value_t = 5.0)]
    warm_up_minutes: f64,
    /// How far memory at a later quiet point may be above the baseline
    #[arg(long, default_value_t = 8.0)]
    margin_mib: f64,
    /// How fast memory at the later quiet points may grow
    #[arg(long, default_value_t = 8.0)]
    slope_max_mib_per_hour: f64,
    /// Clients at the same time
    #[arg(long, default_value_t = 300)]
    clients: usize,
    /// What they speak
    #[arg(long, value_enum, default_value_t = Dialect::Json)]
    dialect: Dialect,
    /// Topics they meet in
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    topics: u32,
    /// Largest payload
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    bytes: u32,
    /// What the clients do in a second: connect, subscribe, publish, stall, vanish
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    actions_per_second: u32,
    /// Where the random numbers begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A quiet point: everyone has gone.
#[derive(Debug, Serialize)]
struct Point {
    minute: f64,
    /// What happened since the last one.
    tally: Tally,
    #[serde(flatten)]
    reading: Reading,
    stats: Option<Stats>,
    /// How long it took until nothing was left, or how long it was waited for in vain.
    return_seconds: f64,
    is_back: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    server: String,
    seed: u64,
    before: Reading,
    stats_before: Option<Stats>,
    points: Vec<Point>,
    /// The highest of the warm-up.
    baseline_rss_bytes: u64,
    /// Of the later quiet points, when there are enough of them.
    slope_mib_per_hour: Option<f64>,
    goals: Vec<Goal>,
}

/// Lives the given time, prints a line at every quiet point and the whole table at the end.
pub(crate) fn run(options: &Options) -> io::Result<Outcome> {
    server::require_descriptors(options.clients as u64 + DESCRIPTORS_SPARE)?;
    server::pin(options.common.generator_core)?;
    let recipe = options.common.recipe(DEFENDED)?;
    let server = recipe.start(options.common.server_core)?;
    let report = options.measure(recipe.name, &server)?;
    server.stop()?;
    println!("\n{}\n{}", report.table(), Goal::table(&report.goals));
    report::write_json(options.common.json.as_deref(), &report)?;
    Ok(Outcome::of(report.is_clean()).and_goals(&report.goals))
}

impl Options {
    fn measure(&self, name: String, server: &Server) -> io::Result<Report> {
        let mut population = Population::new(server.address, self.manners())?;
        std::thread::sleep(SETTLE);
        let stats_before = server.stats()?;
        std::thread::sleep(SETTLE);
        let before = Reading::take(server)?;
        let (begun, mut points) = (Instant::now(), Vec::new());
        while minutes(begun) < self.minutes {
            population.live(Duration::from_secs_f64(self.quiet_every_seconds))?;
            let tally = population.leave();
            let point = Point::take(server, before.descriptors, stats_before, minutes(begun), tally)?;
            println!("{}", point.line());
            points.push(point);
        }
        Ok(self.report(name, before, stats_before, points))
    }

    fn manners(&self) -> Manners {
        Manners {
            dialect: self.dialect,
            clients_max: self.clients,
            topics: self.topics as usize,
            payload_bytes_max: self.bytes as usize,
            actions_per_second: self.actions_per_second,
            seed: self.seed,
        }
    }

    fn report(
        &self,
        server: String,
        before: Reading,
        stats_before: Option<Stats>,
        points: Vec<Point>,
    ) -> Report {
        let warm = points.partition_point(|point| point.minute < self.warm_up_minutes);
        // A run too short for a warm-up is compared with its first point.
        let (warm, later) = points.split_at(warm.max(1).min(points.len()));
        let rss = |point: &Point| point.reading.memory.rss_bytes;
        let baseline = warm.iter().map(rss).max().unwrap_or(before.memory.rss_bytes);
        let highest = later.iter().map(rss).max().unwrap_or(baseline);
        let course: Vec<(f64, f64)> = later
            .iter()
            .map(|point| (point.minute / 60.0, rss(point) as f64 / MIB))
            .collect();
        let slope = (course.len() >= SLOPE_POINTS_MIN).then(|| slope(&course));
        let growth = (highest as f64 - baseline as f64) / MIB;
        let mut goals = vec![Goal::new(
            "memory above the baseline, MiB",
            growth,
            self.margin_mib,
        )];
        goals.extend(slope.map(|slope| Goal::new("slope, MiB/h", slope, self.slope_max_mib_per_hour)));
        Report {
            server,
            seed: self.seed,
            before,
            stats_before,
            baseline_rss_bytes: baseline,
            slope_mib_per_hour: slope,
            goals,
            points,
        }
    }
}

impl Point {
    /// Waits until the server holds no more than at the beginning, then lets it settle and reads.
    fn take(
        server: &Server,
        descriptors: usize,
        stats_before: Option<Stats>,
        minute: f64,
        tally: Tally,
    ) -> io::Result<Self> {
        let gone = Instant::now();
        let mut stats = server.stats()?;
        while !has_returned(stats, stats_before) && gone.elapsed() < RETURN_MAX {
            std::thread::sleep(Duration::from_millis(200));
            stats = server.stats()?;
        }
        reading::await_descriptors(server, descriptors, RETURN_MAX.saturating_sub(gone.elapsed()))?;
        let return_seconds = gone.elapsed().as_secs_f64();
        std::thread::sleep(SETTLE);
        let reading = Reading::take(server)?;
        Ok(Self {
            minute,
            tally,
            reading,
            stats,
            return_seconds,
            is_back: reading.descriptors <= descriptors && has_returned(stats, stats_before),
        })
    }

    fn line(&self) -> String {
        format!(
            "minute {:.1}: RSS {} MiB, {} descriptors, {}",
            self.minute,
            mib(self.reading.memory.rss_bytes as f64),
            self.reading.descriptors,
            if self.is_back { "all back" } else { "NOT BACK" }
        )
    }

    fn cells(&self) -> Vec<String> {
        let count = |value: fn(Stats) -> u64| {
            self.stats
                .map_or("-".to_owned(), |stats| value(stats).to_string())
        };
        let mut cells = vec![format!("{:.1}", self.minute)];
        cells.extend(self.reading.cells());
        cells.extend([count(|stats| stats.connections), count(|stats| stats.topics)]);
        cells.push(figure(self.return_seconds));
        let tally = self.tally;
        let counts = [
            tally.connected,
            tally.refused,
            tally.left,
            tally.closed_by_server,
            tally.stalled,
            tally.published,
            tally.received,
        ];
        cells.extend(counts.map(|count| count.to_string()));
        cells
    }
}

impl Report {
    /// Whether everything but memory returned at every quiet point, and there was something to return from.
    fn is_clean(&self) -> bool {
        let received: u64 = self.points.iter().map(|point| point.tally.received).sum();
        received > 0 && self.points.iter().all(|point| point.is_back)
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&[
            "minute",
            "RSS MiB",
            "anonymous MiB",
            "descriptors",
            "connections",
            "topics",
            "back after s",
            "connected",
            "refused",
            "left",
            "closed",
            "stalled",
            "published",
            "received",
        ]);
        let before = [("before", self.before)].map(|(name, reading)| {
            let mut cells = vec![name.to_owned()];
            cells.extend(reading.cells());
            cells.resize(14, String::new());
            cells
        });
        for cells in before.into_iter().chain(self.points.iter().map(Point::cells)) {
            table.push(cells);
        }
        table
    }
}

/// Whether the server says it holds no more than before; one that says nothing is believed.
fn has_returned(stats: Option<Stats>, before: Option<Stats>) -> bool {
    stats.zip(before).is_none_or(|(stats, before)| {
        stats.connections <= before.connections && stats.topics <= before.topics
    })
}

/// Of the line with the least squares through these points.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let x_mean = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let y_mean = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let covariance: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    covariance / variance
}

fn minutes(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() / 60.0
}

const SETTLE: Duration = Duration::from_millis(500);
/// Longer than any of the server's timeouts in a row.
const RETURN_MAX: Duration = Duration::from_secs(60);
const DESCRIPTORS_SPARE: u64 = 32;
/// With fewer points a slope says nothing.
const SLOPE_POINTS_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_noise_around_a_level_has_none() {
        assert!((slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 2.0).abs() < 1e-9);
        assert!(slope(&[(0.0, 1.0), (1.0, 2.0), (2.0, 2.0), (3.0, 1.0)]).abs() < 1e-9);
    }

    #[test]
    fn what_is_left_over_is_noticed() {
        let stats = |connections, topics| Some(Stats { connections, topics });
        assert!(has_returned(stats(0, 1), stats(0, 1)));
        assert!(!has_returned(stats(1, 1), stats(0, 1)));
        assert!(!has_returned(stats(0, 2), stats(0, 1)));
        assert!(has_returned(None, stats(0, 1)) && has_returned(stats(5, 5), None));
    }
}
