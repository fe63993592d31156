//! What the commands that talk to a server share: which server, who they are there, and a connection to it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, value_parser};
use fanfare_client::{Client, ConnectOptions, Error, Token, TokenError, TokenSource};
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

/// The flags that name the server, who stands for it, and who asks.
pub(crate) fn flags() -> [Arg; 4] {
    [url_flag(), authority_flag(), token_flag(), token_file_flag()]
}

fn token_flag() -> Arg {
    Arg::new(TOKEN)
        .long("token")
        .value_name("TOKEN")
        .env("FANFARE_TOKEN")
        .hide_env_values(true)
        .help("Token that says who you are; rather in the environment, or in a file: arguments are seen by everyone on the machine")
}

fn token_file_flag() -> Arg {
    Arg::new(TOKEN_FILE)
        .long("token-file")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .value_hint(clap::ValueHint::FilePath)
        .help("File with that token, read at each connect and again before the token ends")
}

fn authority_flag() -> Arg {
    Arg::new(AUTHORITY)
        .long("ca")
        .value_name("FILE")
        .env("FANFARE_CA")
        .value_parser(value_parser!(PathBuf))
        .value_hint(clap::ValueHint::FilePath)
        .help("PEM file with the authorities to trust for a wss:// URL, in place of the system's")
}

fn url_flag() -> Arg {
    Arg::new(URL)
        .long("url")
        .value_name("URL")
        .env("FANFARE_URL")
        .hide_env_values(true)
        .default_value(URL_DEFAULT)
        .value_hint(clap::ValueHint::Url)
        .help("WebSocket URL of the server")
}

/// A client of the server that is named.
///
/// # Errors
/// The URL is wrong, or the server cannot be reached.
pub(crate) async fn connect(matches: &ArgMatches) -> Result<Client, Failure> {
    let named = matches.get_one::<String>(URL).map_or("", String::as_str);
    let url = if named.is_empty() { URL_DEFAULT } else { named };
    let options = ConnectOptions {
        reconnect_delay_max: RECONNECT_DELAY_MAX,
        authorities: authorities(matches).map_err(|problem| Failure::Usage(vec![problem]))?,
        token: token(matches).map_err(|problem| Failure::Usage(vec![problem]))?,
        ..ConnectOptions::default()
    };
    Client::connect(url, options).await.map_err(|error| match error {
        Error::Endpoint(_) => Failure::Usage(vec![format!("--url: {error}")]),
        error => {
            // A token may be in the query.
            let url = url.split('?').next().unwrap_or_default();
            Failure::Failed(format!("cannot connect to {url}: {}", in_words(&error)))
        }
    })
}

/// Why a command did not succeed: what ended its client, where that is the reason.
pub(crate) fn failed(client: &Client, error: &Error) -> Failure {
    let ended_by = client.ended_by().filter(|_| matches!(error, Error::Ended));
    Failure::Failed(in_words(ended_by.unwrap_or(error)))
}

/// What went wrong, and the way out where there is one.
fn in_words(error: &Error) -> String {
    if error.is_unauthenticated() && !matches!(error, Error::Token(_)) {
        format!("{error}; show a token that holds with --token-file or FANFARE_TOKEN")
    } else if matches!(error, Error::Io(_) | Error::ConnectTimeout(_)) {
        format!("{error}; is `fanfare serve` running there?")
    } else {
        error.to_string()
    }
}

/// The token that is given, or the file that it is in. What stands on the command line beats the environment.
fn token(matches: &ArgMatches) -> Result<Option<TokenSource>, String> {
    let is_on_line = matches.value_source(TOKEN) == Some(ValueSource::CommandLine);
    let token = matches
        .get_one::<String>(TOKEN)
        .filter(|token| is_on_line || !token.is_empty());
    match (token, matches.get_one::<PathBuf>(TOKEN_FILE)) {
        (Some(_), Some(_)) if is_on_line => {
            Err("--token and --token-file are both given; give one of them".to_owned())
        }
        (_, Some(path)) => token_in(path).map(Some),
        (Some(token), None) => {
            Token::parse(token).map_err(|error| format!("--token or FANFARE_TOKEN: {error}"))?;
            Ok(Some(token.as_str().into()))
        }
        (None, None) => Ok(None),
    }
}

/// A file as a source of tokens, which must be one now.
fn token_in(path: &Path) -> Result<TokenSource, String> {
    let problem = |error: &dyn std::fmt::Display| format!("--token-file is `{}`: {error}", path.display());
    let text = read_token(path).map_err(|error| problem(&error))?;
    Token::parse(&text).map_err(|error| problem(&error))?;
    let path = path.to_owned();
    Ok(TokenSource::new(move || {
        let path = path.clone();
        async move {
            // It may lie on a disk that is slow.
            tokio::task::spawn_blocking(move || read_token(&path))
                .await
                .map_err(TokenError::unavailable)?
                .map_err(TokenError::unavailable)
        }
    }))
}

fn read_token(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(TOKEN_FILE_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// What the named file holds; nothing where none is named.
fn authorities(matches: &ArgMatches) -> Result<Vec<u8>, String> {
    let Some(path) = matches
        .get_one::<PathBuf>(AUTHORITY)
        .filter(|path| !path.as_os_str().is_empty())
    else {
        return Ok(Vec::new());
    };
    match std::fs::read(path) {
        Ok(pem) if pem.trim_ascii().is_empty() => Err(format!("--ca is `{}`: it is empty", path.display())),
        Ok(pem) => Ok(pem),
        Err(error) => Err(format!("--ca is `{}`: {error}", path.display())),
    }
}

/// What runs a client: one thread, so that the connection is served while the command waits for its terminal.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Failure::failed)
}

const URL: &str = "url";
const AUTHORITY: &str = "ca";
const TOKEN: &str = "token";
const TOKEN_FILE: &str = "token-file";
const URL_DEFAULT: &str = "ws://127.0.0.1:8080/ws";

/// Someone waits at the terminal, so attempts do not become rare.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(5);

/// More than any token has.
const TOKEN_FILE_BYTES_MAX: u64 = 64 << 10;

/// What the exit codes of these commands mean.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 when all went well or it was interrupted; 1 when the server cannot be \
                                     reached, refuses, or says not to come back; 2 when it was called wrongly.";
