//! What the commands that talk to a server share: which server, and a connection to it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches, value_parser};
use fanfare_client::{Client, ConnectOptions, Error};
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

/// The flags that name the server, and who stands for it.
pub(crate) fn flags() -> [Arg; 2] {
    [url_flag(), authority_flag()]
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
        ..ConnectOptions::default()
    };
    Client::connect(url, options).await.map_err(|error| match error {
        Error::Endpoint(_) => Failure::Usage(vec![format!("--url: {error}")]),
        error => Failure::Failed(format!(
            "cannot connect to {url}: {error}; is `fanfare serve` running there?"
        )),
    })
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
const URL_DEFAULT: &str = "ws://127.0.0.1:8080/ws";

/// Someone waits at the terminal, so attempts do not become rare.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(5);
