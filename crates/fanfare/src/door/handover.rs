//! From HTTP to a shard: the socket itself where it can be taken out of HTTP, else one end of a bridge to it.

use std::io;
use std::net::SocketAddr;

use fanfare_hub::Opened;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::bridge::Bridge;
use super::gate::Place;
use crate::handle::Seat;
use crate::shard::Transport;

/// A connection on its way from HTTP to its shard.
pub(super) struct Handover {
    pub(super) opened: Opened,
    pub(super) seat: Seat,
    pub(super) place: Option<Box<Place>>,
}

impl Handover {
    /// Takes the connection out of HTTP, with what the client sent behind its request, and gives it to its shard. A
    /// client whose shard takes no mail is closed without a word: its handshake is answered.
    pub(super) fn complete(self, upgraded: Upgraded) {
        let remote = self.opened.remote;
        match Taken::of(upgraded) {
            Ok(Ok(Taken { transport, early })) => self.seat.adopt(transport, early, self.opened, self.place),
            Err(upgraded) => match self.build_bridge(upgraded) {
                Ok(bridge) => drop(tokio::spawn(bridge)),
                Err(error) => lost(remote, &error),
            },
            Ok(Err(error)) => lost(remote, &error),
        }
    }

    fn build_bridge(self, upgraded: Upgraded) -> io::Result<Bridge<TokioIo<Upgraded>>> {
        let (bridge, end) = Bridge::build(TokioIo::new(upgraded), self.seat.fanfare())?;
        self.seat
            .adopt(Transport::Local(end), Vec::new(), self.opened, self.place);
        Ok(bridge)
    }
}

fn lost(remote: SocketAddr, error: &io::Error) {
    tracing::warn!(%remote, %error, "a connection could not be taken from HTTP to its shard");
}

/// What was under an upgraded connection.
struct Taken {
    transport: Transport,
    /// What was read already, without its TLS.
    early: Vec<u8>,
}

impl Taken {
    /// The socket under a connection; the connection itself where there is none that a shard could have.
    fn of(upgraded: Upgraded) -> Result<io::Result<Self>, Upgraded> {
        let upgraded = match parts_of::<TcpStream>(upgraded) {
            Ok((socket, early)) => {
                let transport = socket.into_std().map(|socket| Transport::Tcp(socket, None));
                return Ok(transport.map(|transport| Self { transport, early }));
            }
            Err(upgraded) => upgraded,
        };
        match parts_of::<UnixStream>(upgraded) {
            Ok((socket, early)) => {
                let transport = socket.into_std().map(Transport::Local);
                Ok(transport.map(|transport| Self { transport, early }))
            }
            Err(upgraded) => Self::with_tls(upgraded),
        }
    }

    #[cfg(feature = "tls")]
    fn with_tls(upgraded: Upgraded) -> Result<io::Result<Self>, Upgraded> {
        let (stream, mut early) = parts_of::<crate::tls::Stream>(upgraded)?;
        let (socket, session, opened) = stream.into_parts();
        early.extend(opened);
        let transport = socket
            .into_std()
            .map(|socket| Transport::Tcp(socket, Some(session)));
        Ok(transport.map(|transport| Self { transport, early }))
    }

    #[cfg(not(feature = "tls"))]
    fn with_tls(upgraded: Upgraded) -> Result<io::Result<Self>, Upgraded> {
        Err(upgraded)
    }
}

/// The stream under an upgraded connection, if it is of this type, and what was read from it already. axum serves with
/// hyper-util's `auto` builder, which wraps the stream once more than hyper's own.
fn parts_of<T>(upgraded: Upgraded) -> Result<(T, Vec<u8>), Upgraded>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, early) = match downcast::<TokioIo<T>>(upgraded) {
        Ok(parts) => (parts.io, parts.read_buf),
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<T>>()?;
            (parts.io, parts.read_buf)
        }
    };
    Ok((io.into_inner(), early.to_vec()))
}
