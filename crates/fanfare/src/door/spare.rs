//! A descriptor in reserve. Without one a client that comes while all are used up could neither be answered nor sent
//! away: it would hang in the kernel's backlog.

use std::io;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

/// The descriptor, while it is there.
#[derive(Debug, Default)]
pub(super) struct Spare {
    held: Option<Socket>,
}

/// What became of a look at who waits.
#[derive(Debug)]
pub(super) enum Lent {
    /// Someone waited, and has the descriptor now.
    To(tokio::net::TcpStream, std::net::SocketAddr),
    /// Nobody waited.
    Nobody,
    /// There is nothing to lend: something else in the process took the descriptor.
    Nothing,
}

impl Spare {
    /// Makes sure that it is there; false when there is no descriptor for it.
    pub(super) fn refill(&mut self) -> bool {
        if self.held.is_none() {
            self.held = open().ok();
        }
        self.held.is_some()
    }

    /// Whether a descriptor is left beside it.
    pub(super) fn is_one_left(&mut self) -> bool {
        self.refill() && open().is_ok()
    }

    /// Accepts the next client with it. Fill it up again once that client is gone.
    pub(super) async fn lend(&mut self, listener: &TcpListener) -> Lent {
        if self.held.take().is_none() {
            return Lent::Nothing;
        }
        // With a descriptor to be had this does not fail at once as without one, but finds out whether anyone waits.
        let accepted = std::future::poll_fn(|context| match listener.poll_accept(context) {
            std::task::Poll::Ready(accepted) => std::task::Poll::Ready(Some(accepted)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        });
        match accepted.await {
            Some(Ok((socket, peer))) => Lent::To(socket, peer),
            Some(Err(_)) => Lent::Nothing,
            None => Lent::Nobody,
        }
    }
}

/// Any descriptor: a socket of no use.
fn open() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::DGRAM, None)
}
