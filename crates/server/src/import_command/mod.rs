//! `fanfare import`: the configuration of another server as one of this server.
//!
//! In come a file of Centrifugo (version 5 or 6; JSON, YAML or TOML) and its variables; out go the file of `fanfare serve` and
//! what is to be said about it. Everything is brought into one tree in the words of version 6 ([`source`], [`yaml`],
//! [`legacy`], [`environment`]), read setting by setting ([`settings`]), carried over part by part into a [mod@draft] ([`listening`],
//! [`clients`], [`tokens`], [`proxies`], [`channels`]), and looked through for what nobody carried over ([`survey`], by the table
//! in [`keys`]).
//!
//! What cannot be carried over is denied, never allowed, and said: in the output where it would stand, and on standard error.

mod channels;
mod clients;
mod draft;
mod duration;
mod environment;
mod keys;
mod legacy;
mod listening;
mod output;
mod proxies;
mod settings;
mod source;
mod survey;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;
mod yaml;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Map, Value};

use crate::failure::{Failure, note, print};
use crate::options::{ConfigFile, Inputs, resolve};
use crate::serve::tls;
use channels::World;
use draft::{Draft, Place, Weight};
use legacy::Renamed;
use settings::Settings;

/// The subcommand.
pub(crate) fn command() -> Command {
    Command::new("import")
        .about("Make a configuration of another server's")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("centrifugo")
                .about("Make a configuration of Centrifugo's, version 5 or 6")
                .long_about(
                    "Make a configuration of Centrifugo's, version 5 or 6: of its file, and of the variables CENTRIFUGO_*, which \
                     beat the file.\n\nWhat has no equivalent is denied, and told on standard error and in the output. Exits with 0 \
                     when what is different harms neither safety nor delivery, with 3 when something else was lost, and with 2 when \
                     it is no configuration.",
                )
                .arg(
                    Arg::new(CONFIG)
                        .value_name("CONFIG")
                        .value_parser(value_parser!(PathBuf))
                        .value_hint(clap::ValueHint::FilePath)
                        .help("File of JSON, YAML or TOML, or - for standard input; without, the variables alone"),
                )
                .arg(
                    Arg::new(OUTPUT)
                        .long("output")
                        .short('o')
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .value_hint(clap::ValueHint::FilePath)
                        .help("Write to this file, for its owner alone, and not to standard output; never over one that is there"),
                )
                .arg(
                    Arg::new(FORCE)
                        .long("force")
                        .requires(OUTPUT)
                        .action(ArgAction::SetTrue)
                        .help("Write over the file that is there"),
                ),
        )
}

/// Imports.
///
/// # Errors
/// It is no configuration, the output cannot be written, or something was lost that matters.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(("centrifugo", matches)) = matches.subcommand() else {
        return Err(Failure::Usage(vec![
            "no server is named; write `fanfare import centrifugo CONFIG`".to_owned(),
        ]));
    };
    let output = matches.get_one::<PathBuf>(OUTPUT).map(PathBuf::as_path);
    let is_forced = matches.get_flag(FORCE);
    if let Some(path) = output.filter(|path| !is_forced && path.symlink_metadata().is_ok()) {
        return Err(Failure::Usage(vec![output::is_there(path)]));
    }
    let environment: Vec<_> = std::env::vars_os().collect();
    let path = matches.get_one::<PathBuf>(CONFIG).map(PathBuf::as_path);
    let Imported { text, draft } = import(path, &environment)?;
    match output {
        None => print(&text)?,
        Some(path) => output::write(path, &text, is_forced)?,
    }
    let findings = draft.findings();
    for finding in &findings {
        note(&finding.to_string());
    }
    match findings
        .iter()
        .filter(|finding| finding.weight == Weight::Lost)
        .count()
    {
        0 => Ok(()),
        lost => Err(Failure::Incomplete(format!(
            "{lost} {} not carried over, and denied until you decide; the output says where",
            if lost == 1 {
                "thing that matters was"
            } else {
                "things that matter were"
            }
        ))),
    }
}

/// What comes of a configuration.
struct Imported {
    text: String,
    draft: Draft,
}

/// Makes the configuration of a file and variables.
fn import(path: Option<&Path>, environment: &[(OsString, OsString)]) -> Result<Imported, Failure> {
    let usage = |problem: String| Failure::Usage(vec![problem]);
    let root = match path {
        Some(path) => source::read(path).map_err(usage)?,
        None if environment::is_there(environment) => Value::Object(Map::new()),
        None => {
            let problem = "no file is named, and no variable CENTRIFUGO_* is set; write `fanfare import centrifugo CONFIG`";
            return Err(usage(problem.to_owned()));
        }
    };
    let Renamed { root, names } = legacy::rename(root).map_err(Failure::Usage)?;
    let mut settings = Settings::new(root, names);
    let unknown = environment::apply(&mut settings, environment).map_err(Failure::Usage)?;
    legacy::settle(&mut settings);
    let mut draft = draft(&settings);
    survey::survey_variables(&unknown, &mut draft);
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(Failure::Usage(problems));
    }
    let names: Vec<_> = (0..settings.elements("channel.namespaces"))
        .map(|index| settings.text_or(&format!("channel.namespaces[{index}].name"), ""))
        .collect();
    check(&draft.render(&names), &mut draft)?;
    Ok(Imported {
        text: draft.render(&names),
        draft,
    })
}

/// Carries the settings over, part by part.
fn draft(settings: &Settings) -> Draft {
    let mut draft = Draft::default();
    listening::map(settings, &mut draft);
    tokens::map(settings, &mut draft);
    let hooks = proxies::map(settings, &mut draft);
    let lets_anonymous_in = clients::map_access(settings, &mut draft, &hooks);
    listening::map_api(settings, &mut draft);
    clients::map_limits(settings, &mut draft);
    clients::map_around(settings, &mut draft);
    let world = World {
        settings,
        hooks: &hooks,
        lets_anonymous_in,
        is_insecure: settings.switch("client.insecure"),
        had_no_anonymous: settings.switch("client.disallow_anonymous_connection_tokens")
            && !settings.switch("client.allow_anonymous_connect_without_token")
            && !settings.switch("client.insecure")
            && !settings.switch("client.proxy.connect.enabled"),
        distrusts_grants: settings.switch("client.subscription_token.enabled"),
        message_bytes_max: clients::message_bytes_max(settings),
    };
    channels::map(&world, &mut draft);
    survey::survey(settings, &mut draft);
    draft
}

/// Holds what was made to the rules of `fanfare check`.
///
/// # Errors
/// It is no configuration, which is this program's fault.
fn check(text: &str, draft: &mut Draft) -> Result<(), Failure> {
    let fault = |problems: Vec<String>| {
        let problems = problems.join("; ");
        Failure::failed(format!(
            "what was made is no configuration, which is a fault of this program: {problems}"
        ))
    };
    let file = ConfigFile::parse(Path::new("the output"), text).map_err(fault)?;
    let inputs = Inputs {
        file: Some(file),
        ..Inputs::default()
    };
    let resolved = resolve(&inputs).map_err(fault)?;
    // Files may be on another machine.
    if let Err(problems) = tls::read(&resolved.options) {
        for problem in problems {
            draft.note(Place::Listening, "the server will not start without it", &problem);
        }
    }
    Ok(())
}

/// A length of time as the configuration has it.
fn written(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        format!("{}s", time.as_secs())
    } else {
        format!("{}ms", time.as_millis())
    }
}

const CONFIG: &str = "config";
const OUTPUT: &str = "output";
const FORCE: &str = "force";
