//! Measurements of Fanfare, side by side with a bare write loop.
//!
//! This file reads the options and starts the command; each command has a file of its own. `README.md` says what is
//! measured and how to read it.

#![allow(
    clippy::print_stdout,
    reason = "the tables on stdout are what this program is for"
)]

mod bare;
mod client;
mod fanout;
mod feed;
mod generator;
mod idle;
mod order;
mod report;
mod room;
mod server;
mod wire;

use clap::{Parser, Subcommand};
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
    /// Run a command on one core
    Pinned {
        /// Number of the core
        core: usize,
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
}

/// The server to measure, and where everything runs.
#[derive(Debug, clap::Args)]
struct Common {
    /// Command line of the server, words split at white space; `bare` is the bare loop
    #[arg(
        long,
        default_value = "target/release/fanfare serve --listen 127.0.0.1:0 --shards 1 --commands-per-second 0 \
                         --bytes-per-second 0 --publications-per-second 0"
    )]
    server: String,
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

/// The server to compare with.
#[derive(Debug, clap::Args)]
struct Baseline {
    /// Command line of the server to compare with, as for `--server`; `none` for no comparison
    #[arg(long, default_value = "bare")]
    baseline: String,
}

impl Baseline {
    /// The server and, unless there is none, the baseline; their names differ.
    fn recipes(&self, common: &Common) -> io::Result<Vec<Recipe>> {
        let server = Recipe::parse(&common.server)?;
        if self.baseline == "none" {
            return Ok(vec![server]);
        }
        let mut baseline = Recipe::parse(&self.baseline)?;
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
}

impl Outcome {
    fn of(is_clean: bool) -> Self {
        if is_clean { Self::Clean } else { Self::Faulty }
    }
}

impl Termination for Outcome {
    fn report(self) -> ExitCode {
        match self {
            Self::Clean => ExitCode::SUCCESS,
            Self::Faulty => ExitCode::from(2),
        }
    }
}

fn main() -> io::Result<Outcome> {
    match Options::parse().command {
        Command::Bare { listen } => bare::run(listen)?,
        Command::Pinned { core, command } => server::exec_pinned(core, &command)?,
        Command::Fanout(options) => return fanout::run(&options),
        Command::Idle(options) => return idle::run(&options),
        Command::Room(options) => return room::run(&options),
    }
    Ok(Outcome::Clean)
}
