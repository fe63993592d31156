//! The fuzz targets: built with libFuzzer's instrumentation, run two at a time, what they find kept.
//!
//! Everything works with a stable compiler: the instrumentation is a pass of LLVM's, libFuzzer comes with the crate
//! `libfuzzer-sys`. No sanitizer is used, for the code has no `unsafe`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use crate::command::{host, run_command};
use crate::packages;

/// The crate of the targets, in its folder.
const PACKAGE: &str = "fanfare-fuzz";

/// How long each target runs unless told otherwise, in seconds.
const SECONDS: u32 = 10;

/// Targets at a time.
const WORKERS: usize = 2;

/// When the engine itself ends an input: far beyond what `fuzz/src/bounds.rs` allows it, one second of work and the
/// memory of the target, for those that never come back. These seconds are those on the wall.
const BOUNDS: [&str; 3] = ["-timeout=30", "-rss_limit_mb=1024", "-print_final_stats=1"];

/// The instrumentation that libFuzzer needs, as cargo-fuzz asks for it. Debug assertions and checked arithmetic are in
/// the profile `fuzz`.
const RUSTFLAGS: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The targets; none stands for all.
    targets: Vec<String>,
    seconds: u32,
    /// Whether to fold what was found into the corpora of the repository, instead of running.
    keeps: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            seconds: SECONDS,
            keeps: false,
        }
    }
}

impl Plan {
    /// Reads `[TARGET...] [--seconds N] [--keep]`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut plan = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => {
                    let seconds = arguments.next().map(String::as_str).unwrap_or_default();
                    let seconds = seconds.parse().ok().filter(|&seconds| seconds > 0);
                    plan.seconds = seconds.ok_or("--seconds needs a number from 1 on")?;
                }
                "--keep" => plan.keeps = true,
                target => plan.targets.push(target.to_owned()),
            }
        }
        Ok(plan)
    }
}

/// Builds the targets and runs them; fails with what was found.
pub(crate) fn run(root: &Path, plan: &Plan) -> Result<(), String> {
    let targets = chosen(root, &plan.targets)?;
    packages::provide("fuzzing needs a C++ compiler", || packages::runs("c++"), &["g++"])?;
    let programs = build(root)?;
    let queue = Mutex::new(targets.iter());
    let faults = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(target) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                    let target = Target {
                        root,
                        programs: &programs,
                        name: target,
                    };
                    let outcome = if plan.keeps {
                        target.keep()
                    } else {
                        target.run(plan.seconds)
                    };
                    match (outcome, faults.lock()) {
                        (Ok(line), _) => println!("{line}"),
                        (Err(fault), Ok(mut faults)) => faults.push(fault),
                        (Err(fault), Err(_)) => println!("{fault}"),
                    }
                }
            });
        }
    });
    match faults.into_inner() {
        Ok(faults) if faults.is_empty() => Ok(()),
        Ok(faults) => Err(faults.join("\n       ")),
        Err(error) => Err(error.to_string()),
    }
}

/// The targets that were named, or all: each is a file in `fuzz/targets`.
fn chosen(root: &Path, named: &[String]) -> Result<Vec<String>, String> {
    let folder = root.join("fuzz/targets");
    let files = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut all: Vec<String> = files.flatten().filter_map(|file| name(file.path())).collect();
    all.sort_unstable();
    match named.iter().find(|name| !all.contains(name)) {
        Some(stranger) => Err(format!(
            "there is no target `{stranger}`, there are {}",
            all.join(", ")
        )),
        None if named.is_empty() => Ok(all),
        None => Ok(named.to_vec()),
    }
}

/// Builds every target; gives the folder of the programs. Its own folder under `target`, because the flags are others.
fn build(root: &Path) -> Result<PathBuf, String> {
    let host = host()?;
    let folder = root.join("target/fuzz");
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(root)
        // With `--target`, build scripts and macros are not instrumented.
        .args([
            "build",
            "--package",
            PACKAGE,
            "--bins",
            "--features",
            "engine",
            "--profile",
            "fuzz",
        ])
        .args(["--target", &host, "--target-dir"])
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\u{1f}"));
    run_command(command)?;
    Ok(folder.join(host).join("fuzz"))
}

/// One target to run.
struct Target<'a> {
    root: &'a Path,
    programs: &'a Path,
    name: &'a str,
}

impl Target<'_> {
    /// Looks for faults for a while, from what is kept and what was found before; gives what to say about it.
    fn run(&self, seconds: u32) -> Result<String, String> {
        let (found, corpus, regressions) = (self.found(), self.kept("corpus"), self.kept("regressions"));
        for folder in [&found, &corpus, &regressions] {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let mut command = Command::new(self.programs.join(self.name));
        command
            .current_dir(self.root)
            .args(BOUNDS)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", regressions.display()));
        let dictionary = self.root.join(format!("fuzz/dictionaries/{}.dict", self.name));
        if dictionary.exists() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        // What is new goes into the first folder.
        command.args([found, corpus, regressions]);
        let log = self.log_of(command)?;
        let runs = value_after(&log, "stat::number_of_executed_units:").unwrap_or("no");
        Ok(format!("{}: {runs} runs", self.name))
    }

    /// Makes the corpus of the repository anew: the fewest inputs that reach every branch that the known inputs reach,
    /// however often each takes it.
    fn keep(&self) -> Result<String, String> {
        let (kept, found) = (self.kept("corpus"), self.found());
        let fresh = self.root.join("target/fuzz/fresh").join(self.name);
        let _ = fs::remove_dir_all(&fresh);
        for folder in [&fresh, &kept, &found] {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let mut command = Command::new(self.programs.join(self.name));
        command
            .args(["-set_cover_merge=1", "-use_counters=0"])
            .args([&fresh, &kept, &found]);
        self.log_of(command)?;
        fs::remove_dir_all(&kept)
            .and_then(|()| fs::rename(&fresh, &kept))
            .map_err(|error| format!("{}: {error}", kept.display()))?;
        let count = fs::read_dir(&kept).map_or(0, Iterator::count);
        Ok(format!("{}: {count} inputs are kept", self.name))
    }

    /// Runs the program; gives what it said, or why it failed and how to run that again.
    fn log_of(&self, mut command: Command) -> Result<String, String> {
        let output = command
            .output()
            .map_err(|error| format!("{command:?} cannot be run: {error}"))?;
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return Ok(log);
        }
        let input = value_after(&log, "Test unit written to ").unwrap_or("no input was written");
        let program = self.programs.join(self.name);
        Err(format!(
            "{}: {}\n       again: {} {input}",
            self.name,
            reason(&log),
            program.display()
        ))
    }

    /// Inputs that reached something new, kept on this machine only.
    fn found(&self) -> PathBuf {
        self.root.join("target/fuzz/found").join(self.name)
    }

    /// Inputs in the repository, of a kind: those that reach much, or those that failed once.
    fn kept(&self, kind: &str) -> PathBuf {
        self.root.join("fuzz").join(kind).join(self.name)
    }
}

/// What a failed run says about itself: the panic and its text, or libFuzzer's own word.
fn reason(log: &str) -> String {
    let lines = log.lines().skip_while(|line| !line.contains("panicked at"));
    let panic: Vec<&str> = lines
        .take_while(|line| !line.contains("stack backtrace"))
        .take(5)
        .collect();
    let word = log.lines().find(|line| line.contains("ERROR: libFuzzer"));
    match word {
        _ if !panic.is_empty() => panic.join(" "),
        Some(word) => word.to_owned(),
        None => log.lines().last().unwrap_or("it said nothing").to_owned(),
    }
}

fn value_after<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(name)?;
    rest.lines().next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Plan, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Plan::parse(&arguments)
    }

    #[test]
    fn a_plan_is_all_targets_for_ten_seconds_unless_told_otherwise() {
        assert_eq!(parse(""), Ok(Plan::default()));
        let plan = Plan {
            targets: vec!["frames".to_owned()],
            seconds: 60,
            keeps: false,
        };
        assert_eq!(parse("frames --seconds 60"), Ok(plan));
        assert!(parse("--keep").unwrap().keeps);
        for wrong in ["--seconds", "--seconds 0", "--seconds x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_target_that_is_not_there_is_named() {
        let root = crate::root();
        assert!(chosen(&root, &[]).unwrap().contains(&"frames".to_owned()));
        let error = chosen(&root, &["flames".to_owned()]).unwrap_err();
        assert!(error.contains("`flames`") && error.contains("frames"), "{error}");
    }

    #[test]
    fn the_reason_of_a_failed_run_is_its_panic_or_libfuzzers_word() {
        let panic =
            "INFO: x\nthread '<unnamed>' (1) panicked at a.rs:1:2:\nno good\nstack backtrace:\n 0: y\n";
        assert_eq!(
            reason(panic),
            "thread '<unnamed>' (1) panicked at a.rs:1:2: no good"
        );
        let timeout = "INFO: x\n==1== ERROR: libFuzzer: timeout after 1 seconds\n #0\n";
        assert_eq!(reason(timeout), "==1== ERROR: libFuzzer: timeout after 1 seconds");
        let written = "x; Test unit written to /a/crash-1\nBase64: \n";
        assert_eq!(value_after(written, "Test unit written to "), Some("/a/crash-1"));
    }
}
