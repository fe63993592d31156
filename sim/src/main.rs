//! Plays the stories of many seeds: `cargo run --release -p fanfare-sim -- --seeds 10000 [--from SEED] [--steps N]`,
//! or tells the whole story of one: `--tell SEED`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program for the terminal"
)]

use std::process::ExitCode;
use std::time::Instant;

use fanfare_sim::{STEPS, Summary, run, transcript};

struct Options {
    seeds: u64,
    from: u64,
    steps: usize,
    tell: Option<u64>,
}

fn main() -> ExitCode {
    let mut options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(text) => {
            eprintln!("{text}; usage: fanfare-sim --seeds COUNT [--from SEED] [--steps COUNT] [--tell SEED]");
            return ExitCode::from(2);
        }
    };
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(seed) = options.tell {
        for line in transcript(seed, options.steps) {
            println!("{line}");
        }
        options.from = seed;
        options.seeds = 1;
    }
    let began = Instant::now();
    let mut all = Summary::default();
    for seed in options.from..options.from + options.seeds {
        match run(seed, options.steps) {
            Ok(summary) => {
                all.connections += summary.connections;
                all.deliveries += summary.deliveries;
                all.overflows += summary.overflows;
                all.left_out += summary.left_out;
                all.recovered += summary.recovered;
                all.forgotten += summary.forgotten;
                all.holds += summary.holds;
                all.refusals += summary.refusals;
                all.floods += summary.floods;
                all.elapsed_ms += summary.elapsed_ms;
            }
            Err(failure) => {
                eprintln!("{failure}");
                eprintln!(
                    "again: fanfare-sim --seeds 1 --from {seed} --steps {}",
                    options.steps
                );
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} seeds in {seconds:.1} s, {:.0} per second: {} connections, {} deliveries, {} overflows, {} left out, \
         {} recovered, {} forgotten, {} holds, {} refusals for rate, {} floods, {} virtual hours",
        options.seeds,
        options.seeds as f64 / seconds,
        all.connections,
        all.deliveries,
        all.overflows,
        all.left_out,
        all.recovered,
        all.forgotten,
        all.holds,
        all.refusals,
        all.floods,
        all.elapsed_ms / 3_600_000
    );
    ExitCode::SUCCESS
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        seeds: 1_000,
        from: 0,
        steps: STEPS,
        tell: None,
    };
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} has no value"))?;
        let number = |error| format!("{name} is {value:?}: {error}");
        match name.as_str() {
            "--seeds" => options.seeds = value.parse().map_err(number)?,
            "--from" => options.from = value.parse().map_err(number)?,
            "--tell" => options.tell = Some(value.parse().map_err(number)?),
            "--steps" => options.steps = value.parse().map_err(number)?,
            _ => return Err(format!("{name} is not an option")),
        }
    }
    Ok(options)
}
