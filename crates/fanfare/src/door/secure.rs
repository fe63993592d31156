//! The handshake of TLS, before HTTP is spoken.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::certificate::ClientCertificate;
use super::gate::Gate;
use super::listener::{Porch, tell};
use super::refusal::{Cause, Refused};
use crate::Tls;
use crate::tls::{Failure, Stream, Watched};

/// What every connection with TLS begins with: the type of a record of the handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;

impl Porch {
    /// Does the handshake, until the deadline; gives the stream, and the certificate that the client has shown.
    pub(super) async fn secure(
        &self,
        socket: TcpStream,
        remote: SocketAddr,
        tls: &Tls,
        deadline: Instant,
    ) -> Option<(Stream, Option<Arc<ClientCertificate>>)> {
        let mut first = [0];
        let is_plain = socket.peek(&mut first).await.is_ok() && first[0] != HANDSHAKE;
        if is_plain {
            let refused = Refused::plaintext();
            self.gate.turned_away(refused.cause, remote);
            tell(socket, remote, &refused);
            return None;
        }
        let accepted = timeout_at(deadline, Stream::accept(socket, tls.config())).await;
        let cause = match accepted {
            Ok(Ok(stream)) => {
                let certificate = stream.client_certificate().map(Arc::new);
                if let Some(ClientCertificate { subject, .. }) = certificate.as_deref() {
                    tracing::debug!(remote = %remote, subject, "a client has shown its certificate");
                }
                return Some((stream, certificate));
            }
            Ok(Err(failure)) => {
                tracing::debug!(remote = %remote, %failure, "a handshake of TLS came to nothing");
                cause_of(&failure)
            }
            Err(_) => Cause::HandshakeTimeout,
        };
        self.gate.turned_away(cause, remote);
        None
    }
}

impl Gate {
    /// Remembers the TLS of a listener as long as it is used.
    pub(super) fn watch(&self, tls: &Tls) {
        let mut watched = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|earlier| earlier.get().is_some());
        watched.push(tls.downgrade());
    }

    /// When the first certificate of a listener stops being valid; `None` where none speaks TLS.
    pub(crate) fn certificates_expire_at(&self) -> Option<SystemTime> {
        let watched = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        watched
            .iter()
            .filter_map(Watched::get)
            .map(|tls| tls.expires_at())
            .min()
    }
}

fn cause_of(failure: &Failure) -> Cause {
    match failure {
        Failure::BrokenOff => Cause::TlsBrokenOff,
        Failure::Version => Cause::TlsVersion,
        Failure::ClientCertificate => Cause::TlsClientCertificate,
        Failure::Other(_) => Cause::TlsHandshake,
    }
}
