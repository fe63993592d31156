//! A stream of events whose connection cannot be taken out of HTTP, such as one of the host's own TLS or of HTTP/2: the
//! body of an ordinary answer. The shard writes into one end of a pair of sockets, as for a [bridge](super::bridge), and
//! this reads the other one. HTTP asks for more when the client takes more; what waits meanwhile, waits in the shard.
//!
//! It ends with either side: HTTP drops it when the client is gone, and the shard sees that; the shard closes, and the
//! client gets what was written before, then the end.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use hyper::body::{Body, Frame};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::UnixStream;

use super::bridge::Bridged;
use super::gate::Gate;

/// What a shard writes, as the body of an answer. Nothing is held while nothing is written.
pub(super) struct StreamBody {
    shard: UnixStream,
    _bridged: Bridged,
}

impl StreamBody {
    /// A body, and the shard's end of it.
    ///
    /// # Errors
    /// When no descriptor is left for the pair of sockets.
    pub(super) fn build(gate: &Arc<Gate>) -> io::Result<(Self, StdStream)> {
        let (near, far) = StdStream::pair()?;
        near.set_nonblocking(true)?;
        let body = Self {
            shard: UnixStream::from_std(near)?,
            _bridged: Bridged::new(gate),
        };
        Ok((body, far))
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut space = [MaybeUninit::uninit(); CHUNK_BYTES];
        let mut chunk = ReadBuf::uninit(&mut space);
        // A shard that is gone without a word has ended all the same.
        let read = ready!(Pin::new(&mut self.shard).poll_read(cx, &mut chunk));
        let bytes = read.map_or(&[][..], |()| chunk.filled());
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(Bytes::copy_from_slice(bytes)))))
    }
}

/// Bytes that are given to HTTP at once.
const CHUNK_BYTES: usize = 16 << 10;
