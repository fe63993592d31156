//! TLS as clients see it: real rustls clients, and what is no client at all.

mod authority;
mod broken;
mod certificates;
mod closing;
mod handshake;
mod hosts;
mod stories;

use std::io::Read as _;

use fanfare::{ListenerOptions, Options, Tls, TlsOptions};
use rustls::ClientConfig;

pub(crate) use authority::{Authority, EITHER, Made, with_tls};

use crate::client::Client;
use crate::server::{Server, options};

/// A server with a certificate for `localhost`, and who signed it.
pub(crate) struct Secured {
    pub(crate) server: Server,
    pub(crate) authority: Authority,
    pub(crate) tls: Tls,
}

impl Secured {
    pub(crate) fn start() -> Self {
        Self::with(options(), |_| ())
    }

    pub(crate) fn with(options: Options, change: impl FnOnce(&mut ListenerOptions)) -> Self {
        let authority = Authority::new();
        let tls = Tls::new(&TlsOptions::new(vec![authority.sign("localhost").read()])).unwrap();
        let mut listening = ListenerOptions {
            tls: Some(tls.clone()),
            ..ListenerOptions::default()
        };
        change(&mut listening);
        Self {
            server: Server::listening(options, listening),
            authority,
            tls,
        }
    }

    /// A client on whose connection nothing was said.
    pub(crate) fn connect(&self) -> Client {
        self.connect_as(self.authority.client(EITHER))
    }

    pub(crate) fn connect_as(&self, config: ClientConfig) -> Client {
        with_tls(Client::connect(self.server.address), config, "localhost")
    }

    pub(crate) fn open(&self, target: &str) -> Client {
        self.connect().upgraded(target)
    }

    pub(crate) fn open_json(&self, target: &str) -> Client {
        let mut client = self.open(target);
        client.expect("welcome");
        client
    }

    /// How often the door turned somebody away for a cause.
    pub(crate) fn refusals(&self, cause: &str) -> u64 {
        self.metric(&format!("fanfare_refusals_total{{cause=\"{cause}\"}} "))
    }

    /// What stands behind a name on the page of metrics.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.server.fanfare.metrics();
        let value = page.lines().find_map(|line| line.strip_prefix(name));
        value
            .unwrap_or_else(|| panic!("{name} in {page}"))
            .parse()
            .unwrap()
    }
}

/// What comes on the wire until the server ends the connection.
pub(crate) fn rest(client: &mut Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    client
        .stream
        .set_read_timeout(Some(crate::client::DEADLINE))
        .unwrap();
    match client.stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no end came in time"),
        _ => bytes,
    }
}

/// Does the handshake alone.
pub(crate) fn shake_hands(client: &mut Client) -> std::io::Result<()> {
    let tls = client.tls.as_mut().unwrap();
    client
        .stream
        .set_read_timeout(Some(crate::client::DEADLINE))
        .unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut client.stream)?;
    }
    Ok(())
}
