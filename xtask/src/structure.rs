//! Who may import whom, and what keeps a room pure. ARCHITECTURE.md says why; this says whether.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A crate, and those of the workspace that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("fanfare-protocol", &[]),
    ("fanfare-hub", &["fanfare-protocol"]),
    ("fanfare-log", &[]),
    ("fanfare", &["fanfare-protocol", "fanfare-hub", "fanfare-log"]),
    ("fanfare-client", &["fanfare-protocol"]),
    ("fanfare-server", &["fanfare", "fanfare-client", "fanfare-log"]),
    ("fanfare-bench", &[]),
    (
        "fanfare-fuzz",
        &["fanfare", "fanfare-hub", "fanfare-log", "fanfare-protocol"],
    ),
    (
        "fanfare-sim",
        &["fanfare", "fanfare-protocol", "fanfare-hub", "fanfare-log"],
    ),
    ("fanfare-testing", &[]),
    ("example-chat-room", &["fanfare"]),
    ("example-custom-hooks", &["fanfare"]),
    ("example-middleware-auth", &["fanfare"]),
    ("example-minimal-hub", &["fanfare"]),
    ("example-raw-broadcast", &["fanfare"]),
    ("example-topics", &["fanfare"]),
    ("xtask", &["fanfare-protocol"]),
];

/// Crates that know time, threads or sockets, and have no place below a pure room.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "axum",
    "rustix",
    "libc",
    "rand",
    "fastrand",
    "parking_lot",
];

/// The rooms that must stay pure.
const PURE: &[&str] = &["fanfare-protocol", "fanfare-hub"];

/// Words that have no business in a pure room's code; `clippy.toml` bans the types, this the ways around them.
const IMPURE_WORDS: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "thread::spawn",
    "TcpStream",
    "Mutex",
    "unsafe {",
];

/// The most lines of a source file.
const LINES_MAX: usize = 800;

/// Checks all of it; the error lists everything that is wrong.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (name, may_use) in MAY_USE {
        for used in workspace_crates(root, name)? {
            if !may_use.contains(&used.as_str()) {
                wrong.push(format!("{name} imports {used}, it may import {may_use:?}"));
            }
        }
    }
    for name in PURE {
        let impure = |used: &String| IMPURE.contains(&used.as_str());
        wrong.extend(
            all_crates(root, name)?
                .into_iter()
                .filter(impure)
                .map(|used| format!("{name} pulls in {used}")),
        );
    }
    wrong.extend(default_faults(root)?);
    let bans = ["crates/protocol/clippy.toml", "crates/hub/clippy.toml"]
        .map(|file| fs::read_to_string(root.join(file)).ok());
    if bans[0].is_none() || bans[0] != bans[1] {
        wrong.push("the clippy.toml of protocol and hub differ, both rooms have the same bans".to_owned());
    }
    for file in sources(root) {
        check_file(root, &file, &mut wrong)?;
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n       "))
    }
}

/// The crates whose default build could be made to panic on demand.
fn default_faults(root: &Path) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    for name in ["fanfare", "fanfare-server"] {
        let built = tree(root, name, &["--depth", "1", "--format", "{f}"])?;
        if built.iter().any(|line| line.contains(FAULTS)) {
            wrong.push(format!("{name} has the feature {FAULTS} in its default build"));
        }
    }
    Ok(wrong)
}

/// The feature with which clients can make the server panic.
const FAULTS: &str = "fault-injection";

fn check_file(root: &Path, file: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        wrong.push(format!(
            "{name} has {lines} lines, limit is {LINES_MAX}, split it"
        ));
    }
    let is_pure = ["crates/protocol/src/", "crates/hub/src/"]
        .iter()
        .any(|room| name.starts_with(room));
    // The conformance suite plays several shards at once and is compiled into tests only by its callers.
    let is_suite = name.contains("conformance");
    if is_pure && !is_suite {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            if let Some(word) = IMPURE_WORDS.iter().find(|word| line.contains(**word)) {
                wrong.push(format!("{name} has `{word}`, which a pure room must not"));
            }
        }
    }
    Ok(())
}

/// The crates of this workspace that a crate depends on directly, tests left out.
fn workspace_crates(root: &Path, name: &str) -> Result<Vec<String>, String> {
    let members: Vec<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let used = tree(root, name, &["--depth", "1"])?;
    Ok(used
        .into_iter()
        .filter(|used| used != name && members.contains(&used.as_str()))
        .collect())
}

fn all_crates(root: &Path, name: &str) -> Result<Vec<String>, String> {
    tree(root, name, &[])
}

fn tree(root: &Path, name: &str, more: &[&str]) -> Result<Vec<String>, String> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(root)
        .args(["tree", "--package", name, "--edges", "normal", "--prefix", "none"])
        .args(more);
    let output = command.output().map_err(|error| format!("cargo tree: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo tree {name}: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect())
}

/// Every Rust and JavaScript file of the repository.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "target" && name != ".git" && name != "node_modules" {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "rs" || extension == "js")
            {
                files.push(path);
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_structure_holds() {
        super::check(&crate::root()).unwrap();
    }
}
