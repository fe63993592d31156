//! Measurements of Fanfare, side by side with a bare write loop.
//!
//! This file reads the options and starts the command; each command has a file of its own. `README.md` says what is
//! measured and how to read it.

#![allow(
    clippy::print_stdout,
    reason = "the tables on stdout are what this program is for"
)]

mod attack;
mod attack_kind;
mod attacker;
mod bare;
mod client;
mod crowd;
mod dialect;
mod durable;
mod fanout;
mod feed;
mod generator;
mod goal;
mod idle;
mod order;
mod population;
mod reading;
mod recover;
mod report;
mod room;
mod server;
mod silent;
mod soak;
mod stalled;
mod wire;

use clap::{Parser, Subcommand};
use goal::Goal;
use server::Recipe;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitCode, Termination};

/// Measures what a server costs, beside what the kernel costs.
#[derive(Debug, Parser)]
#[command(name = "fanfare-bench", version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve with one write per delivery and nothing else: the yardstick
    Bare {
        /// Address to listen on
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Run a command on one core, or some
    Pinned {
        /// At the lowest priority
        #[arg(long)]
        aside: bool,
        /// Numbers of the cores, with commas between them
        #[arg(value_delimiter = ',')]
        cores: Vec<usize>,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Measure CPU and writes per delivery, latency and order of one topic
    Fanout(fanout::Options),
    /// Measure memory per silent connection, and whether it is given back
    Idle(idle::Options),
    /// Measure the latency of a small room beside a big topic
    Room(room::Options),
    /// Measure how many publications per second are made durable, beside the bare disk
    Durable(durable::Options),
    /// Measure how long it takes until many who come back have what they missed
    Recover(recover::Options),
    /// Measure those who read beside those who do not
    Stalled(stalled::Options),
    /// Measure a room while the server is attacked
    Attack(attack::Options),
    /// Attack a server until standard input ends: what `attack` runs beside itself
    Attacker(attacker::Options),
    /// Measure connections that never send their request, and when they are gone
    Silent(silent::Options),
    /// Come, subscribe, publish, stall and vanish at random, and see whether the server forgets it all
    Soak(soak::Options),
}

/// The server to measure, and where everything runs.
#[derive(Debug, clap::Args)]
struct Common {
    /// Command line of the server, words split at white space; `bare` is the bare loop; without it Fanfare's release
    /// build, in `silent` and `soak` as it is, in `attack` with compression, in the others without limits on rates
    #[arg(long)]
    server: Option<String>,
    /// Core the servers run on
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// Core the load is made on
    #[arg(long, default_value_t = 1)]
    generator_core: usize,
    /// File to write all figures to
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Common {
    /// The server, or `default` when none is named.
    fn recipe(&self, default: &str) -> io::Result<Recipe> {
        Recipe::parse(self.server.as_deref().unwrap_or(default))
    }
}

/// Fanfare as it serves when nobody configures it, on one shard.
const DEFENDED: &str = "target/release/fanfare serve --open --listen 127.0.0.1:0 --shards 1";

/// The same for measurements whose load is more than one client is allowed.
const UNLIMITED: &str = "target/release/fanfare serve --open --listen 127.0.0.1:0 --shards 1 --commands-per-second 0 \
                         --bytes-per-second 0 --publications-per-second 0";

/// The server to compare with.
#[derive(Debug, clap::Args)]
struct Baseline {
    /// Command line of the server to compare with, as for `--server`; `same` for that server, `none` for no comparison
    #[arg(long, default_value = "bare")]
    baseline: String,
}

impl Baseline {
    /// The server and, unless there is none, the baseline; their names differ.
    fn recipes(&self, common: &Common) -> io::Result<Vec<Recipe>> {
        let server = common.recipe(UNLIMITED)?;
        if self.baseline == "none" {
            return Ok(vec![server]);
        }
        let mut baseline = match &*self.baseline {
            "same" => server.clone(),
            line => Recipe::parse(line)?,
        };
        if baseline.name == server.name {
            baseline.name.push_str(" (baseline)");
        }
        Ok(vec![server, baseline])
    }
}

/// How a command ended when it could measure at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Clean,
    /// Something was lost, came twice or out of order, was closed or left open.
    Faulty,
    /// Nothing of that, but a figure passed the bound it should keep.
    Missed,
}

impl Outcome {
    fn of(is_clean: bool) -> Self {
        if is_clean { Self::Clean } else { Self::Faulty }
    }

    fn and_goals(self, goals: &[Goal]) -> Self {
        match self {
            Self::Clean if !goals.iter().all(Goal::is_met) => Self::Missed,
            other => other,
        }
    }
}

impl Termination for Outcome {
    fn report(self) -> ExitCode {
        match self {
            Self::Clean => ExitCode::SUCCESS,
            Self::Faulty => ExitCode::from(2),
            Self::Missed => ExitCode::from(3),
        }
    }
}

fn main() -> io::Result<Outcome> {
    match Options::parse().command {
        Command::Bare { listen } => bare::run(listen)?,
        Command::Pinned {
            aside,
            cores,
            command,
        } => server::exec_pinned(&cores, aside, &command)?,
        Command::Fanout(options) => return fanout::run(&options),
        Command::Idle(options) => return idle::run(&options),
        Command::Room(options) => return room::run(&options),
        Command::Durable(options) => return durable::run(&options),
        Command::Recover(options) => return recover::run(&options),
        Command::Stalled(options) => return stalled::run(&options),
        Command::Attack(options) => return attack::run(&options),
        Command::Attacker(options) => attacker::run(&options)?,
        Command::Silent(options) => return silent::run(&options),
        Command::Soak(options) => return soak::run(&options),
    }
    Ok(Outcome::Clean)
}
