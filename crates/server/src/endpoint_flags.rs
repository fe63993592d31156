//! What the commands that talk to a server share: which server, and a connection to it.

use std::time::Duration;

use clap::{Arg, ArgMatches};
use fanfare_client::{Client, ConnectOptions, Error};
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

/// The flag that names the server.
pub(crate) fn url_flag() -> Arg {
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
        ..ConnectOptions::default()
    };
    Client::connect(url, options).await.map_err(|error| match error {
        Error::Endpoint(_) => Failure::Usage(vec![format!("--url: {error}")]),
        error => Failure::Failed(format!(
            "cannot connect to {url}: {error}; is `fanfare serve` running there?"
        )),
    })
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
const URL_DEFAULT: &str = "ws://127.0.0.1:8080/ws";

/// Someone waits at the terminal, so attempts do not become rare.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(5);
