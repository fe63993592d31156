//! A socket with TLS at the door, while HTTP is spoken over it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{Error, PeerIncompatible, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use super::session::Session;
use crate::door::ClientCertificate;

/// A connection whose handshake is done.
pub(crate) struct Stream {
    socket: TcpStream,
    session: Box<Session>,
    /// What came and is not read yet, from `taken` on.
    opened: Vec<u8>,
    taken: usize,
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The client left, or said that it does not like what it saw: perhaps it does not trust the certificate.
    #[error("the client broke it off")]
    BrokenOff,
    /// It speaks no version of TLS that is accepted.
    #[error("no version of TLS is accepted by both")]
    Version,
    /// Its certificate is missing or not accepted.
    #[error("the client's certificate is missing or not accepted")]
    ClientCertificate,
    /// Anything else.
    #[error(transparent)]
    Other(Error),
}

/// Bytes that are read at once at the door.
const READ_BYTES: usize = 4 << 10;

/// The most bytes of a handshake that wait to be whole. A hello is a tenth of that; a longer chain of certificates of a
/// client is refused.
const HANDSHAKE_BYTES_MAX: usize = 32 << 10;

impl Stream {
    /// Does the handshake. It takes as long as the client makes it take: the caller has the deadline.
    ///
    /// # Errors
    /// Why there is none. The client has been sent an alert, as far as its socket takes it.
    pub(crate) async fn accept(mut socket: TcpStream, config: Arc<ServerConfig>) -> Result<Self, Failure> {
        let mut session = Box::new(Session::new(config).map_err(Failure::Other)?);
        let mut opened = Vec::new();
        while session.is_handshaking() {
            let incoming = session.incoming_mut();
            incoming.reserve(READ_BYTES);
            let count = socket.read_buf(incoming).await;
            if !matches!(count, Ok(1..)) {
                return Err(Failure::BrokenOff);
            }
            if incoming.len() > HANDSHAKE_BYTES_MAX {
                let reason =
                    format!("a message is longer than {HANDSHAKE_BYTES_MAX} bytes, which is the limit");
                return Err(Failure::Other(Error::General(reason)));
            }
            let outcome = session.open_incoming(&mut opened);
            let answer = std::mem::take(session.outgoing_mut());
            let told = socket.write_all(&answer).await;
            outcome.map_err(Failure::of)?;
            told.map_err(|_| Failure::BrokenOff)?;
        }
        Ok(Self {
            socket,
            session,
            opened,
            taken: 0,
        })
    }

    /// What the client's certificate says, if it showed one.
    pub(crate) fn client_certificate(&self) -> Option<ClientCertificate> {
        let certificate = self.session.peer_certificate()?;
        Some(ClientCertificate::of(certificate))
    }

    /// The socket, its session, and what came and was not read.
    pub(crate) fn into_parts(self) -> (TcpStream, Box<Session>, Vec<u8>) {
        let mut opened = self.opened;
        opened.drain(..self.taken);
        (self.socket, self.session, opened)
    }

    /// Writes what waits.
    fn poll_write_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.session.outgoing_mut().is_empty() {
            let outgoing = self.session.outgoing_mut();
            let taken = ready!(Pin::new(&mut self.socket).poll_write(context, outgoing))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            outgoing.drain(..taken);
        }
        *self.session.outgoing_mut() = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Waits until something was read; 0 bytes at the end.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.taken == self.opened.len() && !self.session.is_peer_closed() {
            (self.opened, self.taken) = (Vec::new(), 0);
            let incoming = self.session.incoming_mut();
            let begin = incoming.len();
            incoming.resize(begin + READ_BYTES, 0);
            let mut buffer = ReadBuf::new(&mut incoming[begin..]);
            let read = Pin::new(&mut self.socket).poll_read(context, &mut buffer);
            let count = buffer.filled().len();
            incoming.truncate(begin + count);
            if read.is_pending() && begin == 0 {
                *incoming = Vec::new();
            }
            ready!(read)?;
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
            let outcome = self.session.open_incoming(&mut self.opened);
            // Answers to what TLS itself says go out with the next write at the latest, an alert now or never.
            let _ = self.poll_write_out(context)?;
            outcome.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_open(context))?;
        let unread = &this.opened[this.taken..];
        let count = unread.len().min(buffer.remaining());
        buffer.put_slice(&unread[..count]);
        this.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_write_out(context))?;
        let count = self.session.queue(bytes)?;
        // What the socket does not take now is written before what comes next.
        let _ = self.poll_write_out(context)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_out(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.queue_end();
        ready!(self.poll_write_out(context))?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

impl Failure {
    fn of(error: Error) -> Self {
        match error {
            Error::AlertReceived(_) => Self::BrokenOff,
            Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SupportedVersionsExtensionRequired
                // Missing in every hello of TLS 1.1 and before, which is noticed first.
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Self::Version,
            Error::NoCertificatesPresented | Error::InvalidCertificate(_) => Self::ClientCertificate,
            other => Self::Other(other),
        }
    }
}
