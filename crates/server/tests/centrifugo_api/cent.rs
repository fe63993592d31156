//! `cent`, the Python library for Centrifugo's API, as its makers publish it, against the program.
//!
//! It is installed from PyPI into an environment of its own below `target/`, once. Where that cannot be done the test fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::process::API_KEY;
use crate::stand::Stand;

/// The library and its version.
const LIBRARY: &str = "cent==5.2.0";

/// What is done with it.
const STORY: &str = include_str!("cent.py");

#[test]
fn the_library_of_centrifugos_makers_works_unchanged() {
    let python = provide();
    let stand = Stand::with(&["--api-key", API_KEY]);
    let (mut ana, id) = stand.member("topic=room&user=ana");
    let mut story = Command::new(python);
    story
        .args(["-c", STORY])
        .args([&format!("http://{}/api", stand.server.address), API_KEY, &id]);
    let output = story.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n", "{complaint}");
    // What she heard of it.
    let mut next = |kind: &str, field: &str| ana.expect(kind)[field].clone();
    assert_eq!(next("message", "data"), json!({"text": "hello"}));
    assert_eq!(next("message", "data_base64"), "AAH/");
    assert_eq!(next("message", "data"), json!("to all"));
    let joined = next("subscribed", "topics")[0].clone();
    assert_eq!(
        (&joined["topic"], &joined["data"]),
        (&json!("kept:joined"), &json!({"hello": "ana"}))
    );
    assert_eq!(next("message", "data"), json!("joined"));
    assert_eq!(next("unsubscribed", "topics"), json!(["kept:joined"]));
    assert_eq!(next("message", "data"), json!("of a batch"));
    assert_eq!(next("authenticated", "expires_at"), 4_000_000_000_000_u64);
    let ended = ana.ending();
    assert_eq!((ended.code, ended.reason.as_str()), (4500, "bye"));
}

/// A Python that has the library.
fn provide() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(LIBRARY.replace("==", "-"));
    let python = folder.join("bin/python");
    if has_library(&python) {
        return python;
    }
    // What an interrupted run left is made anew.
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&folder);
    run(venv, "on Debian: apt-get install -y python3 python3-venv");
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        LIBRARY,
    ]);
    run(pip, "it is installed from PyPI, which must be reached");
    assert!(
        has_library(&python),
        "{LIBRARY} was installed and cannot be imported"
    );
    python
}

fn has_library(python: &Path) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", "import cent"]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run(mut command: Command, way_out: &str) {
    let status = command.status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "{command:?}: {status:?}; {way_out}"
    );
}
