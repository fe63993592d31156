//! What a connection's bytes come over.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use socket2::SockRef;

use super::ShardOptions;
use crate::tls::Session;

/// A socket on its way into a shard.
pub(crate) enum Transport {
    /// TCP, perhaps with TLS on it.
    Tcp(TcpStream, Option<Box<Session>>),
    /// A stream within this machine: a client's, or one end of a bridge.
    Local(UnixStream),
}

impl Transport {
    /// Makes the socket ready: not blocking, without delay, with little hidden in the kernel. A shard reads, writes,
    /// polls and closes any stream socket by the same calls, so it knows them all by one type.
    pub(super) fn prepare(self, options: &ShardOptions) -> io::Result<(TcpStream, Option<Box<Session>>)> {
        match self {
            Self::Tcp(socket, tls) => {
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                let settings = SockRef::from(&socket);
                settings.set_tcp_notsent_lowat(options.notsent_bytes)?;
                settings.set_tcp_user_timeout(Some(options.user_timeout()))?;
                if let Some(bytes) = options.send_buffer_bytes {
                    settings.set_send_buffer_size(bytes)?;
                }
                Ok((socket, tls))
            }
            Self::Local(socket) => {
                socket.set_nonblocking(true)?;
                let bytes = options
                    .send_buffer_bytes
                    .unwrap_or(options.notsent_bytes as usize);
                SockRef::from(&socket).set_send_buffer_size(bytes)?;
                Ok((TcpStream::from(OwnedFd::from(socket)), None))
            }
        }
    }
}
