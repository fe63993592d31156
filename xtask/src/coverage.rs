//! Line coverage of the parsers: what reads bytes of strangers is run by tests, nearly all of it.
//!
//! The compiler counts (`-C instrument-coverage`), the tests of the two crates run, LLVM's tools add up. Lines of the
//! tests themselves do not count: a file is measured up to its `#[cfg(test)]`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::command::{host, run_command};

/// Files and folders of what reads bytes of strangers, each to be covered to [`PERCENT_MIN`].
const PARSERS: [&str; 21] = [
    "crates/protocol/src/dialect/",
    "crates/protocol/src/websocket/",
    "crates/protocol/src/command.rs",
    "crates/protocol/src/connection_id.rs",
    "crates/protocol/src/every.rs",
    "crates/protocol/src/idempotency_key.rs",
    "crates/protocol/src/key.rs",
    "crates/protocol/src/pattern.rs",
    "crates/protocol/src/position.rs",
    "crates/protocol/src/proxy_header.rs",
    "crates/protocol/src/session_key.rs",
    "crates/protocol/src/since.rs",
    "crates/protocol/src/state_version.rs",
    "crates/protocol/src/tag_filter.rs",
    "crates/protocol/src/tags.rs",
    "crates/protocol/src/template.rs",
    "crates/protocol/src/topic.rs",
    "crates/protocol/src/user.rs",
    "crates/fanfare/src/door/address.rs",
    "crates/fanfare/src/door/origin.rs",
    "crates/fanfare/src/door/request.rs",
];

/// What lies among them and reads nobody's bytes.
const OTHERS: [&str; 1] = ["crates/protocol/src/websocket/deflate.rs"];

/// The crates whose tests are run.
const PACKAGES: [&str; 2] = ["fanfare-protocol", "fanfare"];

/// The least part of a file's lines that tests must run, in percent.
const PERCENT_MIN: f64 = 95.0;

/// Measures; prints a table, and fails with the files that are covered too little.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tools = Tools::provide()?;
    let folder = root.join("target/coverage");
    let profiles = folder.join("profiles");
    // Counts of an earlier run must not be taken for this one's.
    let _ = fs::remove_dir_all(&profiles);
    fs::create_dir_all(&profiles).map_err(|error| format!("{}: {error}", profiles.display()))?;
    let programs = test_programs(root, &folder)?;
    for (program, home) in &programs {
        let mut command = Command::new(program);
        command
            .current_dir(home)
            .env("LLVM_PROFILE_FILE", profiles.join("%m-%p.profraw"))
            .stdout(Stdio::null());
        run_command(command)?;
    }
    let counts = tools.counts(root, &profiles, programs.iter().map(|(program, _)| program))?;
    judge(root, &counts)
}

/// Builds the tests with counters; gives each program and the folder it runs in.
fn test_programs(root: &Path, folder: &Path) -> Result<Vec<(PathBuf, PathBuf)>, String> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(root)
        .args([
            "test",
            "--no-run",
            "--message-format=json-render-diagnostics",
            "--target",
            &host()?,
        ])
        .args(PACKAGES.iter().flat_map(|package| ["--package", package]))
        .arg("--target-dir")
        .arg(folder)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Cinstrument-coverage")
        .stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cargo test: {error}"))?;
    if !output.status.success() {
        return Err("the tests cannot be built".to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let built = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(built.filter_map(|built| test_program(&built)).collect())
}

/// The program in one line of what cargo built, if it is one, and the folder of its crate.
fn test_program(built: &Value) -> Option<(PathBuf, PathBuf)> {
    let program = built["executable"].as_str()?;
    let manifest = Path::new(built["manifest_path"].as_str()?);
    Some((PathBuf::from(program), manifest.parent()?.to_path_buf()))
}

/// LLVM's tools of the compiler in use.
struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// The tools, installed with rustup when they are missing.
    fn provide() -> Result<Self, String> {
        let rustc = Command::new("rustc").args(["--print", "sysroot"]).output();
        let sysroot = rustc.map_err(|error| format!("rustc: {error}"))?.stdout;
        let sysroot = String::from_utf8_lossy(&sysroot).trim().to_owned();
        let folder = Path::new(&sysroot).join("lib/rustlib").join(host()?).join("bin");
        if !folder.join("llvm-cov").exists() {
            let mut rustup = Command::new("rustup");
            rustup.args(["component", "add", "llvm-tools"]);
            run_command(rustup)?;
        }
        Ok(Self { folder })
    }

    /// Per file, per line of code, how often it ran.
    fn counts<'p>(
        &self,
        root: &Path,
        profiles: &Path,
        programs: impl Iterator<Item = &'p PathBuf>,
    ) -> Result<Counts, String> {
        let merged = profiles.with_extension("profdata");
        let mut merge = Command::new(self.folder.join("llvm-profdata"));
        merge.args(["merge", "--sparse", "-o"]).arg(&merged).arg(profiles);
        run_command(merge)?;
        let mut export = Command::new(self.folder.join("llvm-cov"));
        export
            .args(["export", "--format=lcov", "--instr-profile"])
            .arg(merged);
        for program in programs {
            export.arg("--object").arg(program);
        }
        export
            .arg("--sources")
            .args(PARSERS.map(|parser| root.join(parser)));
        let output = export.output().map_err(|error| format!("llvm-cov: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(read_lcov(&String::from_utf8_lossy(&output.stdout)))
    }
}

type Counts = BTreeMap<PathBuf, BTreeMap<usize, u64>>;

/// Reads `SF:file` and `DA:line,count`, the two records that matter here.
fn read_lcov(text: &str) -> Counts {
    let mut counts = Counts::new();
    let mut file = PathBuf::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("SF:") {
            file = PathBuf::from(name);
        } else if let Some((line, count)) = line.strip_prefix("DA:").and_then(|rest| rest.split_once(','))
            && let (Ok(line), Ok(count)) = (line.parse(), count.parse::<u64>())
        {
            *counts.entry(file.clone()).or_default().entry(line).or_default() += count;
        }
    }
    counts
}

fn judge(root: &Path, counts: &Counts) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (file, lines) in counts {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
        let row = Row::of(lines, &text);
        if row.lines == 0 || is_test(&name) || OTHERS.contains(&&*name) {
            continue;
        }
        println!("{:>6.1} %  {name}{}", row.percent(), row.missing());
        if row.percent() < PERCENT_MIN {
            wrong.push(format!(
                "{name}: {:.1} % of its lines are tested, {PERCENT_MIN} % must be",
                row.percent()
            ));
        }
    }
    for parser in PARSERS {
        if !counts.keys().any(|file| file.starts_with(root.join(parser))) {
            wrong.push(format!("{parser} is not in the measurement"));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n       "))
    }
}

/// Whether a file has nothing but tests.
fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs") || name.contains("/tests/")
}

/// The lines of one file that are code and no tests.
struct Row {
    lines: usize,
    unrun: Vec<usize>,
}

impl Row {
    fn of(lines: &BTreeMap<usize, u64>, text: &str) -> Self {
        let tests = text.lines().position(|line| line.starts_with("#[cfg(test)]"));
        let end = tests.map_or(usize::MAX, |before| before + 1);
        let code: Vec<_> = lines.range(..end).collect();
        let unrun = code
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|(line, _)| **line);
        Self {
            lines: code.len(),
            unrun: unrun.collect(),
        }
    }

    fn percent(&self) -> f64 {
        100.0 * (self.lines - self.unrun.len()) as f64 / self.lines as f64
    }

    fn missing(&self) -> String {
        if self.unrun.is_empty() {
            return String::new();
        }
        let lines: Vec<String> = self.unrun.iter().map(usize::to_string).collect();
        format!("  without {}", lines.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tests_do_not_count() {
        let text = "fn a() {}\nfn b() {}\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n";
        let counts = read_lcov("SF:/x.rs\nDA:1,3\nDA:2,0\nDA:5,1\nend_of_record\n");
        let row = Row::of(&counts[Path::new("/x.rs")], text);
        assert_eq!((row.lines, row.unrun.as_slice()), (2, [2].as_slice()));
        assert!((row.percent() - 50.0).abs() < 1e-9);
        assert_eq!(row.missing(), "  without 2");
    }
}
