//! The WebSocket conformance cases of the Autobahn test suite, against the real server.
//!
//! The cases come with `kosoku` from PyPI, which drives Autobahn's own case files. The dialect `raw` gives a client that is
//! alone in its topic everything back, which is what the suite expects of a server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Map, Value};

use crate::command::run_command;
use crate::packages;

/// The runner and the version whose cases are known.
const RUNNER: &str = "kosoku==0.1.0";

/// The cases of the groups that are run. Groups 12 and 13 are about compression, which the server does not offer.
const CASES: usize = 301;

/// Cases about limits need room for messages of 16 MiB, and many say much in little time.
const FLAGS: [&str; 10] = [
    "serve",
    "--listen=127.0.0.1:0",
    "--message-bytes-max=16MiB",
    "--outbox-bytes-max=64MiB",
    "--shards=1",
    "--commands-per-second=0",
    "--bytes-per-second=0",
    "--log=warn",
    "--ping-interval=1h",
    "--pong-timeout=1h",
];

/// Runs all cases; fails with those that did not pass strictly.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let folder = root.join("target/conformance");
    let runner = provide(&folder)?;
    let mut build = Command::new(env!("CARGO"));
    build
        .current_dir(root)
        .args(["build", "--package", "fanfare-server"]);
    run_command(build)?;
    let server = Server::start(root)?;
    let reports = folder.join("reports");
    // What an earlier run left must not be taken for this one's.
    let _ = fs::remove_dir_all(&reports);
    let mut cases = Command::new(runner);
    cases
        .args([
            "--mode",
            "fuzzingclient",
            "--exclude",
            "12.*",
            "--exclude",
            "13.*",
            "--outdir",
        ])
        .arg(&reports);
    cases
        .arg(format!("ws://{}/ws?dialect=raw", server.address))
        .stdout(Stdio::null());
    run_command(cases)?;
    judge(&reports.join("index.json"))
}

/// Installs the runner into a folder of its own; gives its path.
fn provide(folder: &Path) -> Result<std::path::PathBuf, String> {
    let runner = folder.join("venv/bin/kosoku");
    if runner.exists() {
        return Ok(runner);
    }
    packages::provide(
        "the conformance cases need Python with `venv`",
        has_venv,
        &["python3", "python3-venv"],
    )?;
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder.join("venv"));
    run_command(venv)?;
    let mut pip = Command::new(folder.join("venv/bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", RUNNER]);
    run_command(pip)?;
    Ok(runner)
}

fn has_venv() -> bool {
    let mut command = Command::new("python3");
    command
        .args(["-c", "import venv, ensurepip"])
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The server under test, killed when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(root: &Path) -> Result<Self, String> {
        let program = root.join("target/debug/fanfare");
        let mut command = Command::new(&program);
        let mut child = command
            .args(FLAGS)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // Without its first line the address stays empty, and that is an error below.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let address = line
            .trim_end()
            .strip_prefix("listening on http://")
            .unwrap_or_default()
            .to_owned();
        let server = Self { child, address };
        if server.address.is_empty() {
            Err("the server did not say where it listens".to_owned())
        } else {
            Ok(server)
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every case must have passed, in what was exchanged and in how it was closed, without leniency.
fn judge(index: &Path) -> Result<(), String> {
    let text = fs::read_to_string(index).map_err(|error| format!("{}: {error}", index.display()))?;
    let agents: Map<String, Value> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let cases: Vec<(&String, &Value)> = agents
        .values()
        .filter_map(Value::as_object)
        .flat_map(|cases| cases.iter())
        .collect();
    let passed = |verdict: &Value| matches!(verdict.as_str(), Some("OK" | "INFORMATIONAL"));
    let failed: Vec<String> = cases
        .iter()
        .filter(|(_, case)| !passed(&case["behavior"]) || !passed(&case["behaviorClose"]))
        .map(|(name, case)| format!("{name}: {}, close {}", case["behavior"], case["behaviorClose"]))
        .collect();
    if !failed.is_empty() {
        return Err(format!(
            "{} cases failed:\n       {}",
            failed.len(),
            failed.join("\n       ")
        ));
    }
    if cases.len() < CASES {
        return Err(format!("only {} cases ran, there are {CASES}", cases.len()));
    }
    println!("{} passed, 0 failed", cases.len());
    Ok(())
}
