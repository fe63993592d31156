//! The WebSocket conformance cases of the Autobahn test suite, against the real server.
//!
//! The cases come with `kosoku` from PyPI, which drives Autobahn's own case files. The dialect `raw` gives a client that is
//! alone in its topic everything back, which is what the suite expects of a server. Two runners share the work, each in
//! a topic of its own. The runner speaks no TLS, so some of the groups run once more through a tunnel that does.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Map, Value};

use crate::check::HTTP2;
use crate::command::run_command;
use crate::packages;

/// The runner and the version whose cases are known.
const RUNNER: &str = "kosoku==0.1.0";

/// How many cases there are.
const CASES: usize = 517;

/// Groups that are run over TLS as well, and how many cases they are.
const OVER_TLS: [&str; 6] = ["1.*", "2.*", "5.*", "6.*", "7.*", "9.1.*"];
const CASES_OVER_TLS: usize = 235;

/// A tunnel from plain connections to TLS.
const TUNNEL: &str = include_str!("conformance/tunnel.py");

/// Groups of cases, about half of the work: nearly all of it is in groups 12 and 13.
const HALF: [&str; 3] = ["13.*", "12.1.*", "12.4.*"];

/// The runners by their topic, and what each does with that half.
const SHARES: [(&str, &str); 2] = [("half", "--include"), ("rest", "--exclude")];

/// Cases about limits need room for messages of 16 MiB, groups 12 and 13 are about compression, and
/// many say much in little time.
const FLAGS: [&str; 12] = [
    "serve",
    "--open",
    "--listen=127.0.0.1:0",
    "--message-bytes-max=16MiB",
    "--outbox-bytes-max=64MiB",
    "--shards=1",
    "--commands-per-second=0",
    "--bytes-per-second=0",
    "--compression",
    "--log=warn",
    "--ping-interval=1h",
    "--pong-timeout=1h",
];

/// Runs all cases; fails with those that did not pass strictly.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let folder = root.join("target/conformance");
    let runner = provide(&folder)?;
    // The program that the tests run: one built on its own has dependencies with other features, built anew.
    let mut build = Command::new(env!("CARGO"));
    build
        .current_dir(root)
        .args(["test", "--workspace", "--features", HTTP2])
        .args(["--no-run", "--test", "scenarios"]);
    run_command(build)?;
    let server = Listening::start(serve(root), "listening on http://")?;
    let reports = folder.join("reports");
    // What an earlier run left must not be taken for this one's.
    let _ = fs::remove_dir_all(&reports);
    std::thread::scope(|scope| {
        let runs = SHARES.map(|(topic, share)| {
            let mut cases = Command::new(&runner);
            cases.args(HALF.iter().flat_map(|groups| [share, groups]));
            cases.arg("--outdir").arg(reports.join(topic));
            let address = &server.address;
            scope.spawn(move || run_cases(cases, address, topic))
        });
        runs.into_iter()
            .try_for_each(|run| run.join().map_err(|_| "a runner's thread panicked".to_owned())?)
    })?;
    judge(
        &SHARES.map(|(topic, _)| reports.join(topic).join("index.json")),
        CASES,
    )?;
    run_over_tls(root, &folder, Command::new(&runner))
}

/// The program with the flags for the cases.
fn serve(root: &Path) -> Command {
    let mut command = Command::new(root.join("target/debug/fanfare"));
    command.args(FLAGS);
    command
}

/// Runs the groups that cut frames in every way through a tunnel that speaks TLS with the server.
fn run_over_tls(root: &Path, folder: &Path, mut cases: Command) -> Result<(), String> {
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
    make_certificate(&certificate, &key)?;
    let mut program = serve(root);
    program
        .arg("--tls-cert")
        .arg(certificate)
        .arg("--tls-key")
        .arg(key);
    let server = Listening::start(program, "listening on https://")?;
    let mut tunnel = Command::new(folder.join("venv/bin/python"));
    tunnel.args(["-c", TUNNEL, &server.address]);
    let tunnel = Listening::start(tunnel, "listening on ")?;
    let reports = folder.join("reports/tls");
    cases.args(OVER_TLS.iter().flat_map(|groups| ["--include", groups]));
    cases.arg("--outdir").arg(&reports);
    run_cases(cases, &tunnel.address, "tls")?;
    judge(&[reports.join("index.json")], CASES_OVER_TLS)
}

/// Makes a certificate that nobody has signed.
fn make_certificate(certificate: &Path, key: &Path) -> Result<(), String> {
    packages::provide("the cases over TLS need `openssl`", has_openssl, &["openssl"])?;
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .stderr(Stdio::null());
    run_command(openssl)
}

fn has_openssl() -> bool {
    let mut command = Command::new("openssl");
    command.arg("version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run_cases(mut cases: Command, address: &str, topic: &str) -> Result<(), String> {
    cases
        .args(["--mode", "fuzzingclient"])
        .arg(format!("ws://{address}/ws?dialect=raw&topic={topic}"))
        .stdout(Stdio::null());
    run_command(cases)
}

/// Installs the runner into a folder of its own; gives its path.
fn provide(folder: &Path) -> Result<PathBuf, String> {
    let runner = folder.join("venv/bin/kosoku");
    if runner.exists() {
        mend(folder)?;
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
    mend(folder)?;
    Ok(runner)
}

/// Mends the runner's groups 12 and 13, if that is not done yet.
///
/// The runner gives a case what came compressed as bytes, and what did not as text of one character per byte. These
/// cases know only the former, but a server may send any message uncompressed (RFC 7692, section 6).
fn mend(folder: &Path) -> Result<(), String> {
    let script = format!(
        "import kosoku, pathlib\n\
         path = pathlib.Path(kosoku.__file__).parent / 'cases/case12_x_x.py'\n\
         text = path.read_text()\n\
         begin = 'def onMessage(self, msg, binary):\\n'\n\
         mended = begin + {MENDED_LINE:?}\n\
         assert begin in text\n\
         path.write_text(text.replace(mended, begin).replace(begin, mended))\n"
    );
    let mut python = Command::new(folder.join("venv/bin/python"));
    python.args(["-c", &script]);
    run_command(python)
}

/// What the cases of groups 12 and 13 lack.
const MENDED_LINE: &str = "   msg = msg.encode('latin-1') if isinstance(msg, str) else msg\n";

/// Whether there is a Python that makes environments of its own.
pub(crate) fn has_venv() -> bool {
    let mut command = Command::new("python3");
    command
        .args(["-c", "import venv, ensurepip"])
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The server under test, or a tunnel to it; killed when dropped.
struct Listening {
    child: Child,
    address: String,
}

impl Listening {
    /// Starts a program whose first line tells its address behind `prefix`.
    fn start(mut command: Command, prefix: &str) -> Result<Self, String> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // Without its first line the address stays empty, and that is an error below.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let address = line
            .trim_end()
            .strip_prefix(prefix)
            .unwrap_or_default()
            .to_owned();
        let listening = Self { child, address };
        if listening.address.is_empty() {
            Err(format!(
                "{} did not say where it listens",
                command.get_program().display()
            ))
        } else {
            Ok(listening)
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every case must have passed, in what was exchanged and in how it was closed, without leniency.
fn judge(indexes: &[PathBuf], count: usize) -> Result<(), String> {
    let mut cases: Vec<(String, Value)> = Vec::new();
    for index in indexes {
        let text = fs::read_to_string(index).map_err(|error| format!("{}: {error}", index.display()))?;
        let agents: HashMap<String, Map<String, Value>> =
            serde_json::from_str(&text).map_err(|error| error.to_string())?;
        cases.extend(agents.into_values().flatten());
    }
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
    if cases.len() < count {
        return Err(format!("only {} cases ran, there are {count}", cases.len()));
    }
    println!("{} passed, 0 failed", cases.len());
    Ok(())
}
