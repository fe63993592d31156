//! Tells of connections that come and go. Whoever was told to have come is told to have gone, whatever becomes of the
//! shard.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_hub::access::Identity;
use fanfare_protocol::ConnectionId;

use crate::notices::{Happening, NoticeBoard};

/// The connections of a shard that were told of: some 100 bytes each, and only where somebody wants to be told.
pub(super) struct Reporter {
    board: Arc<NoticeBoard>,
    connected: HashMap<ConnectionId, Option<Arc<Identity>>>,
}

impl Reporter {
    pub(super) fn new(board: Arc<NoticeBoard>) -> Self {
        Self {
            board,
            connected: HashMap::new(),
        }
    }

    /// It is known who a connection is.
    pub(super) fn entered(&mut self, connection: ConnectionId, identity: Option<Arc<Identity>>) {
        self.connected.insert(connection, identity.clone());
        self.board.post(Happening::Connected { connection, identity });
    }

    /// A connection is over. One of which it was never known who it is was not told of.
    pub(super) fn released(&mut self, connection: ConnectionId, code: u16) {
        if let Some(identity) = self.connected.remove(&connection) {
            self.board.post(Happening::Disconnected {
                connection,
                identity,
                code,
            });
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        for (connection, identity) in self.connected.drain() {
            self.board.post(Happening::Disconnected {
                connection,
                identity,
                code: SHARD_FAILED,
            });
        }
    }
}

/// The code for connections whose shard failed: an internal error (RFC 6455, section 7.4.1). They saw no close frame.
const SHARD_FAILED: u16 = 1011;
