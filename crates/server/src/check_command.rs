//! `fanfare check FILE`: is this configuration right? And `fanfare schema`, which tells an editor.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::failure::{Failure, print};
use crate::options::{ConfigFile, Inputs, resolve, schema};
use crate::serve::tls;

/// The subcommand `check`.
pub(crate) fn command() -> Command {
    Command::new("check")
        .about("Check a configuration file")
        .long_about(
            "Check a configuration file, and nothing but the file and those that it names: neither flags nor the environment. Exits with 0 when it \
             is right, else with 2 and every problem by line and column.",
        )
        .arg(
            Arg::new(FILE)
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .value_hint(clap::ValueHint::FilePath)
                .help("TOML file as for `fanfare serve --config`"),
        )
}

/// The subcommand `schema`.
pub(crate) fn schema_command() -> Command {
    Command::new("schema").about("Print the JSON Schema of the configuration file, for editors")
}

/// Checks the file.
///
/// # Errors
/// Every problem of the file.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(path) = matches.get_one::<PathBuf>(FILE) else {
        return Err(Failure::Usage(vec!["no file is named".to_owned()]));
    };
    let inputs = Inputs {
        file: Some(ConfigFile::read(path).map_err(Failure::Usage)?),
        ..Inputs::default()
    };
    let resolved = resolve(&inputs).map_err(Failure::Usage)?;
    tls::read(&resolved.options).map_err(Failure::Usage)?;
    print(&format!("{} is right\n", path.display()))
}

/// Prints the schema.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn run_schema() -> Result<(), Failure> {
    print(&schema())
}

const FILE: &str = "file";
