//! `fanfare log`: looks at the data directory of a server that does not run, and carries it elsewhere.

mod directory;
mod export;
mod findings;
mod import;
mod inspect;
mod intake;
mod line;
mod lines;
mod survey;
mod verify;
mod wire;

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::failure::Failure;
use crate::serve::Descriptors;

/// The subcommand.
pub(crate) fn command() -> Command {
    Command::new("log")
        .about("Look at a data directory, verify it, export it, import into one")
        .long_about(
            "Look at the data directory of a server, verify it, export it, or import into one. None of this is done while a \
             server has the directory open.",
        )
        .subcommand_required(true)
        .subcommand(inspect::command())
        .subcommand(verify::command())
        .subcommand(export::command())
        .subcommand(import::command())
}

/// Does what is asked for.
///
/// # Errors
/// The directory cannot be used, is damaged, or what is asked for failed.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    // A log has each of its segments open.
    Descriptors::raise();
    match matches.subcommand() {
        Some(("inspect", matches)) => inspect::run(matches),
        Some(("verify", matches)) => verify::run(matches),
        Some(("export", matches)) => export::run(matches),
        Some(("import", matches)) => import::run(matches),
        _ => Err(Failure::Usage(vec!["no subcommand is named".to_owned()])),
    }
}

fn directory_argument(help: &'static str) -> Arg {
    Arg::new(DIRECTORY)
        .value_name("DIR")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .value_hint(clap::ValueHint::DirPath)
        .help(help)
}

fn directory_of(matches: &ArgMatches) -> Result<&Path, Failure> {
    let path = matches.get_one::<PathBuf>(DIRECTORY).map(PathBuf::as_path);
    path.ok_or_else(|| Failure::Usage(vec!["no directory is named".to_owned()]))
}

/// A number with what it counts.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

const DIRECTORY: &str = "directory";
