//! Plays the stories of many seeds: `cargo run --release -p fanfare-sim -- --seeds 10000 [--from SEED] [--steps N]`,
//! or tells the whole story of one: `--tell SEED`. With `--durable`, stories of durable topics on disks that fail.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program for the terminal"
)]

use std::process::ExitCode;
use std::time::Instant;

use fanfare_sim::{Durable, Failure, STEPS, Summary, run, run_durable, transcript};

struct Options {
    seeds: u64,
    from: u64,
    steps: usize,
    tell: Option<u64>,
    is_durable: bool,
}

fn main() -> ExitCode {
    let mut options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(text) => {
            eprintln!(
                "{text}; usage: fanfare-sim --seeds COUNT [--from SEED] [--steps COUNT] [--tell SEED | --durable]"
            );
            return ExitCode::from(2);
        }
    };
    std::panic::set_hook(Box::new(|_| {}));
    if options.is_durable {
        return play_durable(&options);
    }
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
            Err(failure) => return tell_failure(&failure, &options),
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

fn play_durable(options: &Options) -> ExitCode {
    let began = Instant::now();
    let mut all = Durable::default();
    for seed in options.from..options.from + options.seeds {
        match run_durable(seed, options.steps) {
            Ok(story) => {
                all.answered += story.answered;
                all.refused += story.refused;
                all.unanswered += story.unanswered;
                all.lives += story.lives;
                all.power_losses += story.power_losses;
                all.received += story.received;
                all.told += story.told;
                all.reads += story.reads;
            }
            Err(failure) => return tell_failure(&failure, options),
        }
    }
    println!(
        "{} seeds in {:.1} s: {} lives, {} of them ended with the power, {} publications answered, {} refused, {} without \
         an answer, {} received, {} times told that something is lost, {} reads of the disk",
        options.seeds,
        began.elapsed().as_secs_f64(),
        all.lives,
        all.power_losses,
        all.answered,
        all.refused,
        all.unanswered,
        all.received,
        all.told,
        all.reads,
    );
    ExitCode::SUCCESS
}

fn tell_failure(failure: &Failure, options: &Options) -> ExitCode {
    eprintln!("{failure}");
    let kind = if options.is_durable { " --durable" } else { "" };
    eprintln!(
        "again: fanfare-sim --seeds 1 --from {} --steps {}{kind}",
        failure.seed, options.steps
    );
    ExitCode::FAILURE
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        seeds: 1_000,
        from: 0,
        steps: STEPS,
        tell: None,
        is_durable: false,
    };
    while let Some(name) = args.next() {
        if name == "--durable" {
            options.is_durable = true;
            continue;
        }
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
