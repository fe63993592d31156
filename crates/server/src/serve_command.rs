//! `fanfare serve` up to the point where it serves: its flags, its configuration, its log.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::failure::{Failure, print, tell};
use crate::logging;
use crate::options::{
    ConfigFile, Inputs, OPTIONS, OptionSpec, print_config, resolve, unknown_key, unknown_variables,
};
use crate::panics;
use crate::serve;

/// The subcommand with one flag per option of the table.
pub(crate) fn command() -> Command {
    Command::new("serve")
        .about("Serve clients")
        .long_about(
            "Serve clients.\n\nEvery option can also be set in the environment and in a TOML file; a flag beats the \
             environment, the environment beats the file.",
        )
        .arg(config_flag())
        .arg(
            Arg::new(PRINT_CONFIG)
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print the effective configuration as TOML, with the source of each value, and exit"),
        )
        .arg(
            Arg::new(SET)
                .long("set")
                .value_name("KEY=VALUE")
                .action(ArgAction::Append)
                .help("Set an option by its key in the file; repeatable, and as strong as the option's own flag"),
        )
        .args(OPTIONS.iter().map(flag))
}

/// Decides the configuration and serves with it, or prints it.
///
/// # Errors
/// The configuration is wrong, or serving failed.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let sources = Sources::of(matches).map_err(Failure::Usage)?;
    let inputs = sources.read().map_err(Failure::Usage)?;
    for warning in unknown_variables(&inputs.environment) {
        tell("warning", &warning);
    }
    let resolved = resolve(&inputs).map_err(Failure::Usage)?;
    if matches.get_flag(PRINT_CONFIG) {
        return print(&print_config(&resolved));
    }
    let log = logging::start(&resolved.options)?;
    panics::watch();
    let read_again = move || Ok(resolve(&sources.read()?)?.options);
    let outcome = serve::run(resolved.options, Box::new(read_again), &log);
    log.flush();
    outcome
}

/// The places where the operator says what the options are.
struct Sources {
    flags: Vec<(&'static str, Vec<String>)>,
    file: Option<PathBuf>,
}

impl Sources {
    /// # Errors
    /// Every `--set` that sets nothing.
    fn of(matches: &ArgMatches) -> Result<Self, Vec<String>> {
        let file = matches.get_one::<PathBuf>(CONFIG).cloned();
        let mut flags: Vec<(&'static str, Vec<String>)> = OPTIONS
            .iter()
            .filter_map(|spec| Some((spec.key, flag_values(matches, spec)?)))
            .collect();
        let mut problems = Vec::new();
        for text in matches.get_many::<String>(SET).into_iter().flatten() {
            match assignment(text) {
                Ok((key, value)) => match flags.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, values)) => values.push(value),
                    None => flags.push((key, vec![value])),
                },
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            flags,
            file: file.filter(|path| !path.as_os_str().is_empty()),
        })
    }

    /// Everything that is said in all of them now.
    ///
    /// # Errors
    /// Every problem of the file.
    fn read(&self) -> Result<Inputs, Vec<String>> {
        Ok(Inputs {
            flags: self.flags.clone(),
            environment: std::env::vars_os().collect(),
            file: self.file.as_deref().map(ConfigFile::read).transpose()?,
        })
    }
}

/// What a `--set` says.
fn assignment(text: &str) -> Result<(&'static str, String), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(format!(
            "--set is `{}`: it must set a key; write `KEY=VALUE`",
            text.escape_debug()
        ));
    };
    match OPTIONS.iter().find(|spec| spec.key == key.trim()) {
        Some(spec) => Ok((spec.key, value.trim().to_owned())),
        None => Err(format!("--set: {}", unknown_key(key.trim()))),
    }
}

/// The values a flag was given.
fn flag_values(matches: &ArgMatches, spec: &OptionSpec) -> Option<Vec<String>> {
    matches
        .get_many::<String>(spec.key)
        .map(|values| values.cloned().collect())
}

/// The flag that names the configuration file.
fn config_flag() -> Arg {
    Arg::new(CONFIG)
        .long("config")
        .value_name("FILE")
        .env("FANFARE_CONFIG")
        .value_parser(value_parser!(PathBuf))
        .value_hint(clap::ValueHint::FilePath)
        .help("TOML file with any of the options below")
}

/// The flag of one option; its value stays text here, the table's rule reads it.
fn flag(spec: &'static OptionSpec) -> Arg {
    let doc: Vec<_> = spec.doc.lines().map(str::trim).collect();
    let named = format!("[default: {}] [env: {}]", spec.default_text(), spec.variable());
    let arg = Arg::new(spec.key)
        .long(spec.flag())
        .value_name(spec.kind.placeholder())
        .help_heading(spec.section)
        .help(format!("{} [default: {}]", doc[0], spec.default_text()))
        .long_help(format!("{}\n\n{named}", doc.join(" ")))
        .allow_negative_numbers(true)
        .action(if spec.kind.is_list() {
            ArgAction::Append
        } else {
            ArgAction::Set
        });
    if spec.kind.is_switch() {
        return arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true");
    }
    arg
}

const CONFIG: &str = "config";
const PRINT_CONFIG: &str = "print_config";
const SET: &str = "set";
