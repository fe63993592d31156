//! The way out of HTTP for a connection that is no upgrade: a stream of events is an ordinary answer to an ordinary
//! request, so HTTP would keep it. Where the listener is ours, the connection is taken apart before anything was
//! answered, and the shard answers itself.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::handover::Handover;

/// The exit of one connection of [`Fanfare::serve`](crate::Fanfare::serve), in the extensions of its requests.
#[derive(Clone, Default)]
pub(super) struct Exit(Arc<Hall>);

#[derive(Default)]
struct Hall {
    leaving: Mutex<Option<Box<Handover>>>,
    bell: Notify,
}

impl Exit {
    /// Has the connection leave. Its request is never answered by HTTP.
    pub(super) async fn leave(self, handover: Handover) -> Infallible {
        *self.0.leaving.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(handover));
        self.0.bell.notify_one();
        std::future::pending().await
    }

    /// Waits for the connection to leave; for whoever drives it.
    pub(super) async fn left(&self) -> Box<Handover> {
        loop {
            self.0.bell.notified().await;
            let mut leaving = self.0.leaving.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(handover) = leaving.take() {
                return handover;
            }
        }
    }
}

/// A stream of which is known whether it has refused the last bytes it was given. HTTP holds those then: they belong to
/// an earlier answer, and a connection that left would lose them.
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) is_refusing: bool,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            is_refusing: false,
        }
    }

    fn note(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_refusing = outcome.is_pending();
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
