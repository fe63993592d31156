//! What came of a write.

use std::io::{self, ErrorKind};

/// What a socket, plain or with TLS, took of what it was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes of the outbox that are done with.
    pub(crate) bytes: usize,
    /// Bytes that the socket took.
    pub(crate) socket_bytes: usize,
    /// Writes to the socket.
    pub(crate) writes: u64,
    /// Whether the socket takes no more now.
    pub(crate) is_blocked: bool,
}

impl Written {
    /// What came of one write of `given` bytes. One that was interrupted took nothing, and is made again.
    ///
    /// # Errors
    /// The socket's, but for those that say it takes nothing now.
    pub(crate) fn of(outcome: io::Result<usize>, given: usize) -> io::Result<Self> {
        let (bytes, is_blocked) = match outcome {
            Ok(bytes) => (bytes, bytes < given),
            Err(error) if error.kind() == ErrorKind::WouldBlock => (0, true),
            Err(error) if error.kind() == ErrorKind::Interrupted => (0, false),
            Err(error) => return Err(error),
        };
        Ok(Self {
            bytes,
            socket_bytes: bytes,
            writes: 1,
            is_blocked,
        })
    }
}
