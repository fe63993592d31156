//! `attack`: what a room of well-behaved clients notices of an attacker, and what the attacker costs the server.

use crate::attack_kind::Kind;
use crate::attacker::Findings;
use crate::dialect::Dialect;
use crate::feed::{FeedPlan, FeedResult};
use crate::generator::{Generator, Window};
use crate::goal::Goal;
use crate::report::{self, MIB, Spread, Table, figure};
use crate::server::{self, Recipe, Server};
use crate::{Common, DEFENDED, Outcome};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Options of `attack`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// The attacks, separated by commas; without it all of them
    #[arg(long, value_enum, value_delimiter = ',')]
    attacks: Vec<Kind>,
    /// Connections that attack at once; without it as many as the attack says
    #[arg(long)]
    attackers: Option<usize>,
    /// Core the attacker runs on, at the lowest priority; without it the generator's
    #[arg(long)]
    attacker_core: Option<usize>,
    /// Largest message the server takes
    #[arg(long, default_value_t = 64 << 10)]
    message_bytes_max: usize,
    /// Well-behaved clients
    #[arg(long, default_value_t = 50)]
    room: usize,
    /// Publications per second among them
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Length of each of the three phases
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Rounds; a round has one run for each attack
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

#[derive(Debug, Serialize)]
struct Run {
    round: usize,
    attack: Kind,
    /// What was measured, or why nothing could be: the server has ended or takes no publications.
    #[serde(flatten)]
    end: End,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum End {
    Measured(Box<Measured>),
    Failed(String),
}

#[derive(Debug, Serialize)]
struct Measured {
    /// The room undisturbed, while another server is attacked, and while its own is.
    quiet: Window,
    elsewhere: Window,
    attacked: Window,
    /// How far the server's memory rose above what it was before the attack.
    growth_mib: f64,
    findings: Findings,
}

#[derive(Debug, Serialize)]
struct Report {
    server: String,
    room: usize,
    rate: u32,
    seconds: u64,
    message_bytes_max: usize,
    runs: Vec<Run>,
    goals: Vec<Goal>,
}

/// Runs the attacks and prints what each did, and the goals.
pub(crate) fn run(options: &Options) -> io::Result<Outcome> {
    server::raise_descriptor_limit()?;
    server::pin(options.common.generator_core)?;
    // Compression is what a bomb needs to go off.
    let recipe = options.common.recipe(&format!("{DEFENDED} --compression"))?;
    let attacks = options.attacks();
    let mut runs = Vec::new();
    for round in 1..=options.rounds {
        for &attack in &attacks {
            let end = match options.one_run(&recipe, attack) {
                Ok(measured) => End::Measured(Box::new(measured)),
                Err(error) => End::Failed(error.to_string()),
            };
            println!("round {round}: {attack}: {}", end.line());
            runs.push(Run { round, attack, end });
        }
    }
    let report = options.report(recipe.name, runs, &attacks);
    println!("\n{}\n{}", report.run_table(), report.summary_table(&attacks));
    println!("{}", Goal::table(&report.goals));
    report::write_json(options.common.json.as_deref(), &report)?;
    Ok(Outcome::of(report.runs.iter().all(Run::is_clean)).and_goals(&report.goals))
}

impl Options {
    fn attacks(&self) -> Vec<Kind> {
        match &self.attacks[..] {
            [] => Kind::value_variants().to_vec(),
            named => named.to_vec(),
        }
    }

    fn one_run(&self, recipe: &Recipe, attack: Kind) -> io::Result<Measured> {
        let server = recipe.start(self.common.server_core)?;
        let mut generator = Generator::connect(&server, &[self.plan()])?;
        generator.warm_up(WARM_UP)?;
        let length = Duration::from_secs(self.seconds);
        let quiet = generator.measure(&server, &[0], length)?;
        let other = recipe.start_aside(self.common.server_core)?;
        let (elsewhere, _) = self.measure_beside(attack, &other, &server, &mut generator)?;
        other.stop()?;
        let before = server.memory()?.rss_bytes;
        server.reset_peak()?;
        let (attacked, findings) = self.measure_beside(attack, &server, &server, &mut generator)?;
        let growth_bytes = server.peak_rss_bytes()?.saturating_sub(before);
        drop(generator);
        server.stop()?;
        Ok(Measured {
            quiet,
            elsewhere,
            attacked,
            growth_mib: growth_bytes as f64 / MIB,
            findings,
        })
    }

    /// Measures the room of `server` while `victim` is attacked.
    fn measure_beside(
        &self,
        attack: Kind,
        victim: &Server,
        server: &Server,
        generator: &mut Generator,
    ) -> io::Result<(Window, Findings)> {
        let attacker = self.start_attacker(victim, attack)?;
        std::thread::sleep(ATTACK_BEGINS);
        let window = generator.measure(server, &[0], Duration::from_secs(self.seconds))?;
        Ok((window, attacker.stop()?))
    }

    fn plan(&self) -> FeedPlan {
        FeedPlan {
            topic: "room",
            dialect: Dialect::Raw,
            subscribers: self.room,
            rate: self.rate,
            burst: 1,
            payload_bytes: 100,
            is_prompt: true,
        }
    }

    fn start_attacker(&self, server: &Server, attack: Kind) -> io::Result<Attacker> {
        let connections = self.attackers.unwrap_or(attack.connections());
        let core = self.attacker_core.unwrap_or(self.common.generator_core);
        let child = Command::new(std::env::current_exe()?)
            .args(["attacker", &attack.to_string()])
            .args(["--address", &server.address.to_string()])
            .args(["--connections", &connections.to_string()])
            .args(["--message-bytes-max", &self.message_bytes_max.to_string()])
            .args(["--core", &core.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Attacker { child })
    }

    fn report(&self, server: String, runs: Vec<Run>, attacks: &[Kind]) -> Report {
        let growth_max_mib = self.message_bytes_max as f64 / MIB + GROWTH_MAX_MIB;
        let goals = attacks.iter().flat_map(|&attack| {
            let growth = spread(&runs, attack, Measured::growth);
            let ratio = spread(&runs, attack, Measured::p99_ratio);
            let growth = growth.map(|growth| {
                Goal::new(
                    format!("{attack}: memory growth, MiB"),
                    growth.max,
                    growth_max_mib,
                )
            });
            let ratio = ratio.map(|ratio| {
                Goal::new(
                    format!("{attack}: p99 of the others, ratio"),
                    ratio.median,
                    P99_RATIO_MAX,
                )
            });
            growth.into_iter().chain(ratio)
        });
        Report {
            server,
            room: self.room,
            rate: self.rate,
            seconds: self.seconds,
            message_bytes_max: self.message_bytes_max,
            goals: goals.collect(),
            runs,
        }
    }
}

/// The attacker's process; it ends with its standard input, so at the latest with this one.
struct Attacker {
    child: Child,
}

impl Attacker {
    fn stop(mut self) -> io::Result<Findings> {
        drop(self.child.stdin.take());
        let mut findings = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut findings)?;
        }
        let status = self.child.wait()?;
        serde_json::from_str(&findings)
            .map_err(|error| io::Error::other(format!("attacker ended without findings ({status}): {error}")))
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl End {
    fn line(&self) -> String {
        match self {
            Self::Measured(measured) => format!(
                "room p99 {} ms quiet, {} ms beside an attack on another server, {} ms attacked, memory +{} MiB, {}",
                figure(measured.quiet.feeds[0].latency.p99_ms),
                figure(measured.elsewhere.feeds[0].latency.p99_ms),
                figure(measured.attacked.feeds[0].latency.p99_ms),
                figure(measured.growth_mib),
                measured.findings.answers_cell()
            ),
            Self::Failed(reason) => format!("FAILED: {reason}"),
        }
    }
}

impl Measured {
    fn growth(&self) -> f64 {
        self.growth_mib
    }

    fn p99_ratio(&self) -> f64 {
        self.attacked.feeds[0].latency.p99_ms / self.elsewhere.feeds[0].latency.p99_ms
    }

    fn cells(&self) -> Vec<String> {
        let room: &FeedResult = &self.attacked.feeds[0];
        let counts = [
            room.deliveries,
            room.lost,
            room.duplicated,
            room.reordered,
            room.closed,
        ];
        let mut cells: Vec<String> = counts.map(|count| count.to_string()).to_vec();
        cells.push(figure(self.quiet.feeds[0].latency.p99_ms));
        cells.push(figure(self.elsewhere.feeds[0].latency.p99_ms));
        cells.extend(room.latency.cells());
        cells.push(figure(self.growth_mib));
        cells.extend(self.attacked.share_cells());
        cells.push(self.findings.connections.to_string());
        cells.push(figure(self.findings.sent_bytes as f64 / MIB));
        cells
    }
}

impl Run {
    fn is_clean(&self) -> bool {
        match &self.end {
            End::Measured(measured) => {
                let windows = [&measured.quiet, &measured.elsewhere, &measured.attacked];
                windows.into_iter().all(Window::is_clean)
            }
            End::Failed(_) => false,
        }
    }
}

fn spread(runs: &[Run], attack: Kind, value: fn(&Measured) -> f64) -> Option<Spread> {
    let values = runs.iter().filter(|run| run.attack == attack);
    Spread::of(values.filter_map(|run| match &run.end {
        End::Measured(measured) => Some(value(measured)),
        End::Failed(_) => None,
    }))
}

impl Report {
    fn run_table(&self) -> Table {
        let heads = [
            "round",
            "deliveries",
            "lost",
            "twice",
            "reordered",
            "closed",
            "quiet p99 ms",
            "elsewhere p99 ms",
            "p50 ms",
            "p99 ms",
            "max ms",
            "growth MiB",
            "server %",
            "generator %",
            "waited %",
            "connections",
            "sent MiB",
        ];
        let mut table = Table::new(&heads);
        for Run { round, attack, end } in &self.runs {
            if let End::Measured(measured) = end {
                let mut cells = vec![format!("{round} {attack}")];
                cells.extend(measured.cells());
                table.push(cells);
            }
        }
        table
    }

    fn summary_table(&self, attacks: &[Kind]) -> Table {
        let mut table = Table::new(&[
            "median (min – max)",
            "quiet p99 ms",
            "elsewhere p99 ms",
            "p99 ms",
            "ratio",
            "growth MiB",
            "failed",
        ]);
        let quiet = |measured: &Measured| measured.quiet.feeds[0].latency.p99_ms;
        let elsewhere = |measured: &Measured| measured.elsewhere.feeds[0].latency.p99_ms;
        let attacked = |measured: &Measured| measured.attacked.feeds[0].latency.p99_ms;
        for &attack in attacks {
            let mut cells = vec![attack.to_string()];
            let values = [quiet, elsewhere, attacked, Measured::p99_ratio, Measured::growth];
            cells.extend(values.map(|value| {
                spread(&self.runs, attack, value).map_or("-".to_owned(), |spread| spread.to_string())
            }));
            let failed = |run: &&Run| run.attack == attack && matches!(run.end, End::Failed(_));
            cells.push(self.runs.iter().filter(failed).count().to_string());
            table.push(cells);
        }
        table
    }
}

const WARM_UP: Duration = Duration::from_secs(1);
/// Until the attacker has started and connected.
const ATTACK_BEGINS: Duration = Duration::from_millis(300);
/// Beside one message of the largest size; of the worst round.
const GROWTH_MAX_MIB: f64 = 16.0;
/// Of the median of all rounds.
const P99_RATIO_MAX: f64 = 2.0;
