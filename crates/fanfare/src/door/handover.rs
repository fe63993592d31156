//! From HTTP to a shard: the socket itself where it can be taken out of HTTP, else one end of a bridge to it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use fanfare_hub::Opened;
use fanfare_hub::access::Identity;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::bridge::Bridge;
use super::exit::Watched;
use super::gate::Place;
use super::stream_body::StreamBody;
use crate::Fanfare;
use crate::entrant::Entrant;
use crate::handle::Seat;
use crate::shard::Transport;

/// A connection on its way from HTTP to its shard.
pub(super) struct Handover {
    pub(super) opened: Opened,
    pub(super) seat: Seat,
    pub(super) place: Option<Box<Place>>,
    /// The request that it came with, where the application is to see it.
    pub(super) entrant: Option<Arc<Entrant>>,
    /// How much the application had revoked before it was asked.
    pub(super) revocations: u64,
    /// What the client says in its request, as a frame of its own: the first message of a stream whose client speaks.
    pub(super) said: Vec<u8>,
}

impl Handover {
    /// Takes the connection out of HTTP, with what the client sent behind its request, and gives it to its shard. A
    /// client whose shard takes no mail is closed without a word: its handshake is answered.
    pub(super) async fn complete(self, upgraded: Upgraded) {
        let (fanfare, identity) = self.subject();
        let revocations = self.revocations;
        self.hand_over(upgraded);
        fanfare.recall(identity, revocations).await;
    }

    /// Gives a connection to its shard that has left HTTP without an answer. It becomes a stream, in which clients say
    /// nothing: what this one sent behind its request is dropped.
    pub(super) async fn take_out(self, carrier: impl Carrier) {
        let (remote, revocations) = (self.opened.remote, self.revocations);
        let (fanfare, identity) = self.subject();
        match carrier.taken(Vec::new()) {
            Ok(Taken { transport, .. }) => {
                self.seat
                    .adopt(transport, self.said, self.opened, (self.place, self.entrant));
            }
            Err(error) => return lost(remote, &error),
        }
        fanfare.recall(identity, revocations).await;
    }

    /// Gives the shard one end of a pair of sockets, and the other one as the body of an answer.
    pub(super) fn into_body(self) -> io::Result<StreamBody> {
        let (fanfare, identity) = self.subject();
        let revocations = self.revocations;
        let (body, end) = StreamBody::build(fanfare.gate())?;
        self.seat.adopt(
            Transport::Local(end),
            self.said,
            self.opened,
            (self.place, self.entrant),
        );
        tokio::spawn(async move { fanfare.recall(identity, revocations).await });
        Ok(body)
    }

    /// Whose connection it is, and of which hub.
    fn subject(&self) -> (Fanfare, Option<Arc<Identity>>) {
        (self.seat.fanfare().clone(), self.opened.identity.clone())
    }

    fn hand_over(self, upgraded: Upgraded) {
        let remote = self.opened.remote;
        match Taken::of(upgraded) {
            Ok(Ok(Taken { transport, early })) => {
                self.seat
                    .adopt(transport, early, self.opened, (self.place, self.entrant));
            }
            Err(upgraded) => match self.build_bridge(upgraded) {
                Ok(bridge) => drop(tokio::spawn(bridge)),
                Err(error) => lost(remote, &error),
            },
            Ok(Err(error)) => lost(remote, &error),
        }
    }

    fn build_bridge(self, upgraded: Upgraded) -> io::Result<Bridge<TokioIo<Upgraded>>> {
        let (bridge, end) = Bridge::build(TokioIo::new(upgraded), self.seat.fanfare())?;
        self.seat.adopt(
            Transport::Local(end),
            Vec::new(),
            self.opened,
            (self.place, self.entrant),
        );
        Ok(bridge)
    }
}

fn lost(remote: SocketAddr, error: &io::Error) {
    tracing::warn!(%remote, %error, "a connection could not be taken from HTTP to its shard");
}

/// What was under a connection.
pub(super) struct Taken {
    transport: Transport,
    /// What was read already, without its TLS.
    early: Vec<u8>,
}

/// A stream that a shard can have.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket of it, with what was read of it and not taken.
    fn taken(self, early: Vec<u8>) -> io::Result<Taken>;
}

impl Carrier for TcpStream {
    fn taken(self, early: Vec<u8>) -> io::Result<Taken> {
        let transport = Transport::Tcp(self.into_std()?, None);
        Ok(Taken { transport, early })
    }
}

impl Carrier for UnixStream {
    fn taken(self, early: Vec<u8>) -> io::Result<Taken> {
        let transport = Transport::Local(self.into_std()?);
        Ok(Taken { transport, early })
    }
}

#[cfg(feature = "tls")]
impl Carrier for crate::tls::Stream {
    fn taken(self, mut early: Vec<u8>) -> io::Result<Taken> {
        let (socket, session, opened) = self.into_parts();
        early.extend(opened);
        let transport = Transport::Tcp(socket.into_std()?, Some(session));
        Ok(Taken { transport, early })
    }
}

impl<C: Carrier> Carrier for Watched<C> {
    fn taken(self, early: Vec<u8>) -> io::Result<Taken> {
        self.stream.taken(early)
    }
}

impl Taken {
    /// The socket under a connection; the connection itself where there is none that a shard could have. Those of our own
    /// listener are watched.
    fn of(upgraded: Upgraded) -> Result<io::Result<Self>, Upgraded> {
        let upgraded = match parts_of::<Watched<TcpStream>>(upgraded) {
            Ok((watched, early)) => return Ok(watched.taken(early)),
            Err(upgraded) => upgraded,
        };
        let upgraded = match parts_of::<TcpStream>(upgraded) {
            Ok((socket, early)) => return Ok(socket.taken(early)),
            Err(upgraded) => upgraded,
        };
        match parts_of::<UnixStream>(upgraded) {
            Ok((socket, early)) => Ok(socket.taken(early)),
            Err(upgraded) => Self::with_tls(upgraded),
        }
    }

    #[cfg(feature = "tls")]
    fn with_tls(upgraded: Upgraded) -> Result<io::Result<Self>, Upgraded> {
        let (watched, early) = parts_of::<Watched<crate::tls::Stream>>(upgraded)?;
        Ok(watched.taken(early))
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
