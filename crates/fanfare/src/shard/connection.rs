//! One socket and what is needed to read from it.

use std::io;
use std::net::TcpStream as StdStream;
use std::time::Duration;

use fanfare_hub::Limits;
use fanfare_protocol::ConnectionId;
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::{Decoder, Role};
use mio::net::TcpStream;
use socket2::SockRef;

use super::ShardOptions;

/// A connection as its shard sees it. What waits to be written is the hub's.
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    pub(super) id: ConnectionId,
    pub(super) decoder: Decoder,
    pub(super) dialect: Dialect,
    /// Bytes that were read when there was no room for what they ask; decoded before more is read.
    pub(super) stash: Option<Box<[u8]>>,
    /// Whether it stands in the line of those to read.
    pub(super) is_readable: bool,
    /// Whether the poll reported the other end closed: read until that is seen.
    pub(super) is_hung_up: bool,
    /// Whether what comes is thrown away, because a frame broke the protocol.
    pub(super) is_discarding: bool,
}

impl Connection {
    /// Makes the socket ready: not blocking, without delay, with little hidden in the kernel.
    pub(super) fn new(
        socket: StdStream,
        id: ConnectionId,
        dialect: Dialect,
        options: &ShardOptions,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let settings = SockRef::from(&socket);
        settings.set_tcp_notsent_lowat(options.notsent_bytes)?;
        settings.set_tcp_user_timeout(Some(user_timeout(&options.limits)))?;
        if let Some(bytes) = options.send_buffer_bytes {
            settings.set_send_buffer_size(bytes)?;
        }
        Ok(Self {
            socket: TcpStream::from_std(socket),
            id,
            decoder: Decoder::new(Role::Server),
            dialect,
            stash: None,
            is_readable: false,
            is_hung_up: false,
            is_discarding: false,
        })
    }
}

/// Time after which the kernel gives a peer up that acknowledges nothing or keeps its window shut (`TCP_USER_TIMEOUT`,
/// RFC 5482): longer than the hub's own deadlines take together, so that a client is told why whenever it can be told.
/// It is for what the hub cannot see any more: a socket that was closed while bytes for a lost peer were unsent.
fn user_timeout(limits: &Limits) -> Duration {
    let silence_ms = limits.ping_interval_ms + limits.pong_timeout_ms;
    Duration::from_millis(silence_ms.max(limits.write_timeout_ms) + limits.close_timeout_ms)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_kernel_gives_a_lost_peer_up_after_the_hub_has() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let options = ShardOptions {
            index: 0,
            limits: Limits::default(),
            seed: 0,
            clock: Clock::start(),
            notsent_bytes: 16 << 10,
            send_buffer_bytes: None,
        };
        let id = ConnectionId::new(0, 0, 0);
        let connection = Connection::new(socket, id, Dialect::Json, &options).unwrap();
        let given_up = SockRef::from(&connection.socket).tcp_user_timeout().unwrap();
        assert_eq!(given_up, Some(Duration::from_secs(25 + 10 + 5)));
    }
}
