//! What a hub counts. Plain numbers, read by the shard once per turn.

use fanfare_protocol::codes::{Disconnect, ErrorCode};

/// Counts since the hub began, and three gauges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections opened.
    pub opened: u64,
    /// Connections released; `opened - released` are here now.
    pub released: u64,
    /// Subscriptions now, those to the server's own topics left out.
    pub subscriptions: u64,
    /// Topics now with a subscriber in this hub.
    pub topics: u64,
    /// Commands taken in.
    pub commands: u64,
    /// Commands refused, by [`ErrorCode`].
    pub rejected: [u64; ErrorCode::ALL.len()],
    /// Publications that clients of this hub asked for.
    pub publish_commands: u64,
    /// Publications taken from the broker.
    pub publications: u64,
    /// Publications from the broker that were not the next in order and were dropped as already known.
    pub duplicates: u64,
    /// Gaps found in a topic's offsets.
    pub gaps: u64,
    /// Frames encoded: one per publication and format.
    pub encoded: u64,
    /// Of those, the compressed.
    pub compressed: u64,
    /// Bytes of the frames that were compressed, before.
    pub uncompressed_bytes: u64,
    /// Bytes of the frames that were compressed, after.
    pub compressed_bytes: u64,
    /// Publications put into outboxes.
    pub deliveries: u64,
    /// Bytes put into outboxes by publications.
    pub delivered_bytes: u64,
    /// Outboxes that overflowed under the rule `disconnect`.
    pub overflow_disconnects: u64,
    /// Connections closed by the server, by [`Disconnect::cause`].
    pub disconnects: [u64; Disconnect::CAUSES],
    /// Connections closed by their client with a close frame.
    pub closed_by_client: u64,
    /// Connections that ended without a close frame of either side.
    pub lost: u64,
}
