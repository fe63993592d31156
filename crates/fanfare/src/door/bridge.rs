//! A bridge: what carries a connection's bytes between its shard and a stream that cannot be taken out of HTTP, such as
//! the host's own TLS or a stream of HTTP/2. The shard has one end of a pair of sockets and knows no difference: order,
//! pings, limits, the rules for slow clients and the close handshake are its own. The other end is a task's, this one.
//!
//! Bytes are copied each way as they come. Only what the receiving side does not take is held, at most a chunk each way;
//! nothing is read meanwhile, so what waits, waits in the shard's outbox, or at the client. A bridge ends with either side:
//!
//! - the client ends: the shard reads that, closes, and the bridge is over;
//! - the client is reset, or the runtime ends: both are dropped at once, and the shard sees it;
//! - the shard closes: the client gets what was written before, then the end;
//! - the client takes nothing, or does not end: it is dropped at a deadline.

use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep};

use super::flow::{Broken, Flow};
use super::gate::Gate;
use crate::Fanfare;

/// The task of one bridge.
pub(super) struct Bridge<S> {
    client: S,
    shard: UnixStream,
    inward: Flow,
    outward: Flow,
    /// Whether nothing more goes to the shard: the client has ended, or the shard is gone.
    is_inward_over: bool,
    /// How long the client may take nothing of what is held for it. A little longer than the hub allows, which tells the
    /// reason.
    write_timeout: Duration,
    /// How long the client may take to end behind the shard's end.
    close_timeout: Duration,
    /// Runs while the client is waited for.
    deadline: Option<Pin<Box<Sleep>>>,
    _bridged: Bridged,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Bridge<S> {
    /// A bridge to a client, and the shard's end of it.
    ///
    /// # Errors
    /// When no descriptor is left for the pair of sockets.
    pub(super) fn build(client: S, fanfare: &Fanfare) -> io::Result<(Self, StdStream)> {
        let limits = fanfare.limits();
        let (near, far) = StdStream::pair()?;
        near.set_nonblocking(true)?;
        SockRef::from(&near).set_send_buffer_size(INWARD_BYTES)?;
        let bridge = Self {
            client,
            shard: UnixStream::from_std(near)?,
            inward: Flow::default(),
            outward: Flow::default(),
            is_inward_over: false,
            write_timeout: Duration::from_millis(
                limits.write_timeout_ms.saturating_add(limits.close_timeout_ms),
            ),
            close_timeout: Duration::from_millis(limits.close_timeout_ms),
            deadline: None,
            _bridged: Bridged::new(fanfare.gate()),
        };
        Ok((bridge, far))
    }

    /// Carries what can be carried; ready when the bridge is over.
    fn poll_carry(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(Err(Broken::Writing)) = self.poll_outward(cx) {
            return Poll::Ready(());
        }
        if !self.is_inward_over {
            match self.inward.poll(cx, &mut self.client, &mut self.shard) {
                Poll::Ready(Err(Broken::Reading)) => return Poll::Ready(()),
                Poll::Ready(Err(Broken::Writing) | Ok(())) => self.is_inward_over = true,
                Poll::Pending => {}
            }
        }
        if self.outward.is_over() && (self.is_inward_over || self.is_shard_gone()) {
            return Poll::Ready(());
        }
        self.poll_deadline(cx)
    }

    fn poll_outward(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let outward = self.outward.poll(cx, &mut self.shard, &mut self.client);
        if let Poll::Ready(Err(Broken::Reading)) = outward {
            // The shard closed with bytes unread; what it wrote before was read. The client is told the end as ever.
            self.outward.end();
            return self.outward.poll(cx, &mut self.shard, &mut self.client);
        }
        outward
    }

    /// Whether the shard has closed its end, and not only said that it writes no more. A socket of the kind that pairs
    /// are made of fails to write as soon as its other end is closed; nothing needs to be written for that.
    fn is_shard_gone(&self) -> bool {
        let probe = SockRef::from(&self.shard).send(&[]);
        probe.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Looks whether the client is waited for, and not for too long. Its time begins anew with every byte that it takes.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let has_progressed = std::mem::take(&mut self.outward.has_progressed);
        let patience = if self.outward.is_ending() {
            self.close_timeout
        } else if self.outward.is_waiting() {
            self.write_timeout
        } else {
            self.deadline = None;
            return Poll::Pending;
        };
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        if has_progressed {
            deadline.as_mut().reset(Instant::now() + patience);
        }
        ready!(deadline.as_mut().poll(cx));
        tracing::debug!("a bridge is dropped, its client did not take what it was sent or did not end");
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Bridge<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().poll_carry(cx)
    }
}

/// A connection that goes over a bridge, as long as it does.
#[derive(Debug)]
pub(super) struct Bridged(Arc<Gate>);

impl Bridged {
    pub(super) fn new(gate: &Arc<Gate>) -> Self {
        gate.bridges.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(gate))
    }
}

impl Drop for Bridged {
    fn drop(&mut self) {
        self.0.bridges.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes from the client that may wait between the bridge and its shard, as the kernel counts them.
const INWARD_BYTES: usize = 16 << 10;
