//! From outboxes to sockets: one vectored write per connection and turn.

use std::io::{IoSlice, Write};
use std::net::Shutdown;

use fanfare_hub::{Dirty, Input};
use fanfare_protocol::ConnectionId;

use super::{PanicPlace, SLICE, Shard, Written, attempt, fault};

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
        self.sealed_bytes -= connection.sealed_bytes();
        let outcome = attempt(&mut self.snapshot.panics, PanicPlace::Writing, || {
            let slices = &slices[..filled];
            for slice in slices {
                fault::trip(PanicPlace::Writing, slice);
            }
            let socket = &mut connection.socket;
            match (&mut connection.tls, slices) {
                (Some(tls), slices) => tls.write(socket, slices, &mut self.records),
                (None, [slice]) => Written::of(socket.write(slice), given),
                (None, slices) => Written::of(socket.write_vectored(slices), given),
            }
        });
        if let (None, Some(tls)) = (&outcome, &mut connection.tls) {
            tls.abandon();
        }
        self.sealed_bytes += connection.sealed_bytes();
        // How much of a frame is out after a panic is not known, so not even a close frame can follow.
        let Some(Ok(written)) = outcome else {
            self.snapshot.writes += 1;
            return self.handle(Input::Lost(id));
        };
        self.snapshot.writes += written.writes;
        self.snapshot.written_bytes += written.socket_bytes as u64;
        self.wrote(id, written.bytes, written.is_blocked);
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
        if let Some(Some(connection)) = self.connections.get_mut(id.slot())
            && connection.is_deaf()
            && self.hub.has_said_all(id)
        {
            self.sealed_bytes -= connection.sealed_bytes();
            if let Some(tls) = &mut connection.tls {
                tls.close(&mut connection.socket);
            }
            self.sealed_bytes += connection.sealed_bytes();
            // It fails where the client has gone already.
            let _ = connection.socket.shutdown(Shutdown::Write);
        }
    }
}
