//! One way of a bridge.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes on their way from one stream to another. Holds no buffer while nothing waits.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// What was read and not taken yet: at most [`CHUNK_BYTES`].
    held: Vec<u8>,
    /// How much of `held` was taken.
    taken: usize,
    /// Whether what was written may wait in the stream it was written to.
    is_unflushed: bool,
    stage: Stage,
    /// Whether the receiving side has taken something, or the sending side has ended. For whoever looks to take back.
    pub(super) has_progressed: bool,
}

/// How far a flow has come.
#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Flowing,
    /// The sending side has ended; the receiving side is to be told.
    Ending,
    /// It was told.
    Over,
}

/// Which side failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Reading,
    Writing,
}

/// Bytes that are carried at once, and so what may be held: the longest record of TLS.
const CHUNK_BYTES: usize = 16 << 10;

impl Flow {
    /// Whether the sending side has ended.
    pub(super) fn is_ending(&self) -> bool {
        self.stage != Stage::Flowing
    }

    /// Whether everything was taken, and the end with it.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether something waits for the receiving side.
    pub(super) fn is_waiting(&self) -> bool {
        !self.held.is_empty() || self.is_unflushed
    }

    /// Ends it as if the sending side had.
    pub(super) fn end(&mut self) {
        (self.stage, self.has_progressed) = (Stage::Ending, true);
    }

    /// Carries what can be carried; ready when it is over.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Broken>> {
        loop {
            match self.stage {
                Stage::Flowing if !self.held.is_empty() => ready!(self.poll_held(cx, to))?,
                Stage::Flowing => ready!(self.poll_chunk(cx, from, to))?,
                Stage::Ending => {
                    // The other side may be gone, and then needs not be told.
                    let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                    (self.stage, self.is_unflushed) = (Stage::Over, false);
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Reads once, and writes as much of it as is taken. What was written before is flushed where nothing comes.
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Broken>> {
        let mut space = [MaybeUninit::uninit(); CHUNK_BYTES];
        let mut chunk = ReadBuf::uninit(&mut space);
        match Pin::new(from).poll_read(cx, &mut chunk) {
            Poll::Pending => {
                if self.is_unflushed {
                    let flushed = Pin::new(to).poll_flush(cx).map_err(|_| Broken::Writing)?;
                    self.is_unflushed = flushed.is_pending();
                }
                Poll::Pending
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(Broken::Reading)),
            Poll::Ready(Ok(())) if chunk.filled().is_empty() => {
                self.end();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) => {
                let taken = match self.poll_write(cx, to, chunk.filled())? {
                    Poll::Ready(taken) => taken,
                    Poll::Pending => 0,
                };
                self.held.extend_from_slice(&chunk.filled()[taken..]);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Writes what is held, until all of it is taken.
    fn poll_held(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Broken>> {
        let held = std::mem::take(&mut self.held);
        let written = self.poll_write(cx, to, &held[self.taken..]);
        self.held = held;
        self.taken += ready!(written)?;
        if self.taken == self.held.len() {
            (self.held, self.taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
    ) -> Poll<Result<usize, Broken>> {
        match ready!(Pin::new(to).poll_write(cx, bytes)) {
            // A stream that takes nothing for ever is one that is gone.
            Ok(0) | Err(_) => Poll::Ready(Err(Broken::Writing)),
            Ok(taken) => {
                (self.is_unflushed, self.has_progressed) = (true, true);
                Poll::Ready(Ok(taken))
            }
        }
    }
}
