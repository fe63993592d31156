//! `fanfare keygen`: new keys, for tokens and for the HTTP API.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use clap::{Arg, ArgMatches, Command, value_parser};
use fanfare::tokens::{Algorithm, NewKey};

use crate::failure::{Failure, print};
use crate::options::{hash, hash_text, scopes};

/// The subcommand.
pub(crate) fn command() -> Command {
    Command::new("keygen")
        .about("Make a key")
        .long_about(
            "Make a key: a secret for HS algorithms, a pair for the others, or a key of the HTTP API with the line of the \
             configuration that lets its holder in.",
        )
        .arg(
            Arg::new(KIND)
                .value_name("ALGORITHM|api-key")
                .required(true)
                .help("What it is for: HS256, RS256, ES256, EdDSA and so on, or api-key"),
        )
        .arg(
            Arg::new(OUT)
                .long("out")
                .value_name("NAME")
                .value_parser(value_parser!(String))
                .help("Write NAME.pem, and NAME.pub.pem for a pair, in place of printing; never over a file"),
        )
        .arg(
            Arg::new(NAME)
                .long("name")
                .default_value("backend")
                .help("What the server calls the holder of an api-key"),
        )
        .arg(
            Arg::new(SCOPE)
                .long("scope")
                .action(clap::ArgAction::Append)
                .help("What an api-key opens: publish:PATTERN, stats or admin; repeatable"),
        )
}

/// Makes the key.
///
/// # Errors
/// There is no such kind of key, or it cannot be written.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let kind = matches.get_one::<String>(KIND).map_or("", String::as_str);
    if kind == "api-key" {
        return api_key(matches);
    }
    let algorithm: Algorithm = kind
        .parse()
        .map_err(|error| Failure::Usage(vec![format!("{kind:?} is no kind of key: {error}, or api-key")]))?;
    let key = NewKey::generate(algorithm).map_err(Failure::failed)?;
    match (matches.get_one::<String>(OUT), &key) {
        (None, NewKey::Secret(secret)) => print(&format!("{secret}\n")),
        (None, NewKey::Pair { private, public }) => print(&format!("{private}{public}")),
        (Some(name), NewKey::Secret(secret)) => write_new(&format!("{name}.pem"), secret, PRIVATE_MODE),
        (Some(name), NewKey::Pair { private, public }) => {
            write_new(&format!("{name}.pem"), private, PRIVATE_MODE)?;
            write_new(&format!("{name}.pub.pem"), public, PUBLIC_MODE)
        }
    }
}

fn api_key(matches: &ArgMatches) -> Result<(), Failure> {
    let usage = |problem: String| Failure::Usage(vec![problem]);
    let name = matches.get_one::<String>(NAME).map_or("", String::as_str);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(usage(format!(
            "--name is {name:?}: it is visible ASCII characters without blanks"
        )));
    }
    let given: Vec<&str> = matches
        .get_many::<String>(SCOPE)
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    scopes(given.iter().copied()).map_err(|problem| usage(format!("--scope: {problem}")))?;
    let key = NewKey::generate(Algorithm::Hs256).map_err(Failure::failed)?;
    let hashed = hash_text(&hash(key.private().as_bytes()));
    print(&format!(
        "{}\n\n# For the configuration of the server, which does not need the key itself:\napi_key = [\"{name} {} {hashed}\"]\n",
        key.private(),
        given.join(" ")
    ))
}

fn write_new(path: &str, text: &str, mode: u32) -> Result<(), Failure> {
    let cannot = |error| Failure::failed(format!("{path} cannot be written: {error}"));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(cannot)
}

const KIND: &str = "kind";
const OUT: &str = "out";
const NAME: &str = "name";
const SCOPE: &str = "scope";

/// What only the owner may read.
const PRIVATE_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;
