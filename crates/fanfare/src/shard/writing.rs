//! From outboxes to sockets: one vectored write per connection and turn.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::Shutdown;

use fanfare_hub::{Dirty, Input};
use fanfare_protocol::ConnectionId;

use super::{PanicPlace, SLICE, Shard, attempt, fault};

/// Slices given to one write. What a topic publishes in a turn is joined into one slice already.
const SLICES_MAX: usize = 16;

impl Shard {
    /// Writes every connection that has replies or publications of small topics.
    pub(super) fn write_small(&mut self) {
        while let Some(id) = self.hub.next_dirty(Dirty::Small) {
            self.write(id);
        }
    }

    /// Writes the next connections of big fan-outs.
    pub(super) fn write_slice(&mut self) {
        for _ in 0..SLICE {
            let Some(id) = self.hub.next_dirty(Dirty::Big) else {
                return;
            };
            self.write(id);
        }
    }

    /// Gives a socket what waits for it, once. If it takes all it was given and more waits, it gets its next turn.
    fn write(&mut self, id: ConnectionId) {
        let Some(Some(connection)) = self.connections.get_mut(id.slot()) else {
            return;
        };
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = self.hub.gather(id, &mut slices);
        let given: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
        if given == 0 {
            return;
        }
        let outcome = attempt(&mut self.snapshot.panics, PanicPlace::Writing, || {
            let slices = &slices[..filled];
            for slice in slices {
                fault::trip(PanicPlace::Writing, slice);
            }
            match slices {
                [slice] => connection.socket.write(slice),
                slices => connection.socket.write_vectored(slices),
            }
        });
        self.snapshot.writes += 1;
        // How much of a frame is out after a panic is not known, so not even a close frame can follow.
        match outcome.unwrap_or_else(|| Err(io::Error::other("writing panicked"))) {
            Ok(written) => {
                self.snapshot.written_bytes += written as u64;
                self.wrote(id, written, written < given);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.wrote(id, 0, true),
            Err(error) if error.kind() == ErrorKind::Interrupted => self.wrote(id, 0, false),
            Err(_) => self.handle(Input::Lost(id)),
        }
    }

    fn wrote(&mut self, id: ConnectionId, bytes: usize, is_blocked: bool) {
        self.hub.wrote(self.now, id, bytes, is_blocked);
        self.settle_outputs();
        self.end_discarded(id);
    }

    /// Ends the server's side of a connection that is discarded, once its close frame is written. The client's answer
    /// could not be read any more, and a client that waits for the server to go first would wait until the close timeout
    /// (RFC 6455 section 7.1.1). Its own end is still awaited: a socket that is dropped with bytes unread is reset, and
    /// the close frame lost with it.
    pub(super) fn end_discarded(&mut self, id: ConnectionId) {
        if let Some(Some(connection)) = self.connections.get(id.slot())
            && connection.is_discarding
            && self.hub.has_said_all(id)
        {
            // It fails where the client has gone already.
            let _ = connection.socket.shutdown(Shutdown::Write);
        }
    }
}
