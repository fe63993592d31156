//! What a hub counts. Plain numbers, read by the shard once per turn.

use fanfare_protocol::codes::{Disconnect, ErrorCode};

use crate::SlowRule;

/// Why a connection is not read from for a while. Also its place in [`Counters::held`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It sent too many messages, pings and unasked pongs.
    Commands,
    /// It sent too many bytes.
    Bytes,
    /// The connections of its user sent too many messages, pings and unasked pongs.
    UserCommands,
    /// The connections of its user sent too many bytes.
    UserBytes,
    /// Too many of its subscribe commands wait for the broker.
    Broker,
    /// A command of it waits for the application.
    Application,
}

impl Hold {
    /// Every reason, in the order of the counters.
    pub const ALL: &'static [Self] = &[
        Self::Commands,
        Self::Bytes,
        Self::UserCommands,
        Self::UserBytes,
        Self::Broker,
        Self::Application,
    ];

    /// What it is called in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Bytes => "bytes",
            Self::UserCommands => "user_commands",
            Self::UserBytes => "user_bytes",
            Self::Broker => "broker",
            Self::Application => "application",
        }
    }

    pub(crate) fn is_of_bytes(self) -> bool {
        matches!(self, Self::Bytes | Self::UserBytes)
    }
}

/// A histogram with bounds that grow by four.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// How many samples there were up to each of [`Samples::BOUNDS`] and above the one before; the last count is of
    /// those above all.
    pub buckets: [u64; Self::BOUNDS.len() + 1],
    /// The sum of all samples.
    pub sum: u64,
}

impl Samples {
    /// The highest sample of every bucket but the last.
    pub const BOUNDS: [u64; 11] = [
        1,
        4,
        16,
        64,
        256,
        1 << 10,
        1 << 12,
        1 << 14,
        1 << 16,
        1 << 18,
        1 << 20,
    ];

    pub(crate) fn take(&mut self, sample: u64) {
        self.buckets[Self::BOUNDS.partition_point(|&bound| bound < sample)] += 1;
        self.sum += sample;
    }
}

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
    /// Subscriptions that ended because the leave for them did.
    pub subscriptions_expired: u64,
    /// Commands taken in.
    pub commands: u64,
    /// Commands refused, by [`ErrorCode`].
    pub rejected: [u64; ErrorCode::ALL.len()],
    /// Times that a connection was not read from for a while, by [`Hold`].
    pub held: [u64; Hold::ALL.len()],
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
    /// Publications queued for subscribers that caught up with what they had missed, each once for each of them. They are
    /// among the deliveries.
    pub recovered: u64,
    /// Publications that subscribers who were catching up were not sent, because their topic had forgotten them by then.
    pub forgotten: u64,
    /// Bytes put into outboxes by publications.
    pub delivered_bytes: u64,
    /// Connections closed because their outbox had no room.
    pub overflow_disconnects: u64,
    /// Publications left out for a connection because it read too slowly, by [`SlowRule`](crate::SlowRule).
    pub left_out: [u64; SlowRule::ALL.len()],
    /// Connections with something waiting for a blocked socket, each counted once a second: by publications waiting.
    pub behind_frames: Samples,
    /// The same, by bytes waiting.
    pub behind_bytes: Samples,
    /// The same, by milliseconds that the oldest publication has waited.
    pub behind_age_ms: Samples,
    /// Publications replaced by newer ones before a subscription with a rate was due.
    pub replaced: u64,
    /// Connections closed by the server, by [`Disconnect::cause`].
    pub disconnects: [u64; Disconnect::CAUSES],
    /// Connections closed by their client with a close frame.
    pub closed_by_client: u64,
    /// Connections that ended without a close frame of either side.
    pub lost: u64,
}

impl Counters {
    /// Everything that is open ends at once.
    pub(crate) fn lose_all(&mut self) {
        self.lost += self.opened - self.released;
        self.released = self.opened;
        self.subscriptions = 0;
        self.topics = 0;
    }
}
