//! `fanfare import centrifugo` from outside: what a file of Centrifugo becomes, and what the operator is told.
//!
//! `tests/import/NAME.golden` has the output, what is told and the exit code of each file there; `UPDATE_GOLDEN=1` writes them anew.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens, helpers included"
)]

#[path = "import/goldens.rs"]
mod goldens;
#[path = "import/hostile.rs"]
mod hostile;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory of a test's own, which is removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fanfare-import-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with a text.
    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program in an environment of these variables alone.
fn fanfare(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.env_clear().envs(variables.iter().copied());
    command
}

fn import(config: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = fanfare(variables);
    command
        .args(["import", "centrifugo"])
        .arg(config)
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A file of which everything is carried over.
const WHOLE: &str = r#"{"client": {"allowed_origins": ["https://a.example"]}, "http_api": {"key": "d7627bb6-2292-4911-82e1-615c0ed3eebb"}}"#;

/// A file of which something is lost.
const PART: &str = r#"{"http_api": {"insecure": true}}"#;

#[test]
fn the_exit_code_says_whether_something_was_lost() {
    let folder = Folder::new("code");
    let whole = import(&folder.file("whole.json", WHOLE), &[]);
    assert_eq!(code(&whole), 0, "{}", stderr(&whole));
    assert!(!stderr(&whole).contains("lost:"));
    let part = import(&folder.file("part.json", PART), &[]);
    assert_eq!(code(&part), 3, "{}", stderr(&part));
    assert!(
        stderr(&part).contains("lost: http_api.insecure: nobody may call without a key"),
        "{}",
        stderr(&part)
    );
    assert!(stderr(&part).ends_with("warning: 1 thing that matters was not carried over, and denied until you decide; the output says where\n"));
    assert!(
        stdout(&part).contains("# lost: http_api.insecure: nobody may call without a key"),
        "{}",
        stdout(&part)
    );
}

#[test]
fn a_file_is_read_from_standard_input() {
    let mut command = fanfare(&[]);
    command.args(["import", "centrifugo", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(WHOLE.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("allow_origin = [\"https://a.example\"]"));
}

#[test]
fn a_file_that_is_there_is_written_over_by_force_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("output");
    let (config, target) = (folder.file("config.json", PART), folder.path("fanfare.toml"));
    let write = |more: &[&str]| {
        let mut command = fanfare(&[]);
        command
            .args(["import", "centrifugo"])
            .arg(&config)
            .arg("--output")
            .arg(&target)
            .args(more);
        command.output().unwrap()
    };
    let first = write(&[]);
    assert_eq!(
        (code(&first), stdout(&first)),
        (3, String::new()),
        "{}",
        stderr(&first)
    );
    let written = std::fs::read_to_string(&target).unwrap();
    assert!(written.contains("listen = \"0.0.0.0:8000\""));
    assert_eq!(
        std::fs::metadata(&target).unwrap().permissions().mode() & 0o777,
        0o600
    );

    std::fs::write(&target, "mine").unwrap();
    let second = write(&[]);
    assert_eq!(code(&second), 2);
    assert!(
        stderr(&second)
            .contains("fanfare.toml is there, and is not written over; name another file, or add --force")
    );
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine");

    let forced = write(&["--force"]);
    assert_eq!(code(&forced), 3, "{}", stderr(&forced));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), written);
    let left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn nothing_is_written_of_what_is_no_configuration() {
    let folder = Folder::new("nothing");
    let target = folder.path("fanfare.toml");
    let mut command = fanfare(&[]);
    command
        .args(["import", "centrifugo"])
        .arg(folder.file("config.json", "{"))
        .arg("--output")
        .arg(&target);
    assert_eq!(code(&command.output().unwrap()), 2);
    assert!(!target.exists());
}

#[test]
fn help_and_completions_know_the_command() {
    let help = stdout(
        &fanfare(&[])
            .args(["import", "centrifugo", "--help"])
            .output()
            .unwrap(),
    );
    for part in ["CENTRIFUGO_*", "--output <FILE>", "--force", "with 3 when"] {
        assert!(help.contains(part), "{part} in {help}");
    }
    let all = stdout(&fanfare(&[]).arg("--help").output().unwrap());
    assert!(all.contains("import"), "{all}");
    for shell in ["bash", "fish", "zsh"] {
        let script = stdout(&fanfare(&[]).args(["completions", shell]).output().unwrap());
        assert!(script.contains("centrifugo"), "{shell}");
    }
}
