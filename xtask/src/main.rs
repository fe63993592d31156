//! Chores: the definition of done, the structure check, generated documents.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to the person who runs it"
)]

mod check;
mod command;
mod conformance;
mod coverage;
mod docs;
mod fuzz;
mod limits;
mod packages;
mod structure;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  check       the definition of done: format, lints, structure, documents, every test
  conformance the WebSocket cases of the Autobahn test suite against the real server
  fuzz [TARGET...] [--seconds N] [--keep]
              the fuzz targets, 10 seconds each unless told otherwise; --keep folds what they found into fuzz/corpus
  coverage    the lines of the parsers that tests run
  structure   who may import whom, and what keeps a room pure
  docs        write the generated parts of the documents anew
";

fn main() -> ExitCode {
    let root = root();
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("check") => check::run(&root),
        Some("conformance") => conformance::run(&root),
        Some("fuzz") => fuzz::Plan::parse(&arguments).and_then(|plan| fuzz::run(&root, &plan)),
        Some("coverage") => coverage::run(&root),
        Some("structure") => structure::check(&root),
        Some("docs") => {
            docs::write(&root).map(|changed| changed.iter().for_each(|page| println!("wrote {page}")))
        }
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}
