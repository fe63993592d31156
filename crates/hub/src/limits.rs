//! Every bound of a hub, and what happens at it.

use crate::SlowRules;

/// The bounds of one hub. The same for all shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest message a client may send, in bytes. Beyond: close code 1009. Default 64 KiB.
    pub message_bytes_max: u32,
    /// Publications that may wait for a client that does not read. Beyond: the topic's rule for slow clients, see
    /// [`Limits::slow_rules`]. Default 256.
    pub outbox_frames_max: u32,
    /// Bytes of publications that may wait for a client that does not read. Beyond: the topic's rule for slow clients.
    /// Default 1 MiB.
    pub outbox_bytes_max: u32,
    /// Time for which a publication may wait for a client that does not read, in milliseconds. Beyond: it is left out
    /// under the rules `drop_oldest` and `drop_newest`; under the others, close code 3001. Looked at once a second.
    /// Default 30,000.
    pub outbox_age_max_ms: u64,
    /// What happens at the bounds of an outbox, by topic. Default: `disconnect` for all.
    pub slow_rules: SlowRules,
    /// Bytes that may wait for all clients together: frames, shared ones once in each shard, 8 for every place in an
    /// outbox, and what is kept for subscriptions with a rate. Each shard has an equal share; a hub by itself takes it for its own. Beyond: the clients for whom the most
    /// waits are closed with code 3007, until an eighth is free. Default 256 MiB.
    pub waiting_bytes_max: usize,
    /// Bytes of replies, pushes and control frames that may wait for a client. Beyond: its commands are taken in no
    /// further until half of them are written; the one at hand is still answered. Default 64 KiB.
    pub replies_bytes_max: u32,
    /// Topics that a connection may be subscribed to. Beyond: error `too_many_subscriptions`. Default 128.
    pub subscriptions_max: u32,
    /// Time between WebSocket pings, in milliseconds; comments in streams of events come somewhat more often, because nobody
    /// answers them. Together with `pong_timeout_ms` and the 3.4 s of the looks at them, it bounds how long a client that
    /// vanished is taken for there: 33 s by default. Default 21,000.
    pub ping_interval_ms: u64,
    /// Time that a client has to send anything after a ping, in milliseconds: enough for three lost packets in a row, which
    /// TCP repeats after 1, 2 and 4 s. Beyond: close code 3002. Default 8,000.
    pub pong_timeout_ms: u64,
    /// Time for which a socket may take no byte while some wait, in milliseconds. Beyond: close code 3003. Default
    /// 10,000.
    pub write_timeout_ms: u64,
    /// Time that a client has to answer a close frame, in milliseconds. Beyond: the socket is dropped. Default 5,000.
    pub close_timeout_ms: u64,
    /// Time that a client has to finish a frame or a message it has begun, in milliseconds. Beyond: close code 3008.
    /// Default 30,000.
    pub message_timeout_ms: u64,
    /// Bytes held for messages that are begun and not finished, and for what was read and waits to be decoded, over
    /// all shards, each of which has an equal share. Beyond: the connection that sends more is closed with code 3007. Bodies
    /// of requests in which clients speak are counted apart, up to as much again. Beyond: 503.
    /// 0 for no limit. Default 64 MiB.
    pub receiving_bytes_max: usize,
    /// Messages, pings and unasked pongs that a connection may send per second, and twice as many at once; a message of the
    /// `raw` dialect counts once for each of its topics. Beyond: it is not read from until there is room again. 0 for
    /// no limit. Default 100.
    pub commands_per_second: u32,
    /// Bytes that a connection may send per second, and twice as many at once. Beyond: it is not read from until
    /// there is room again. 0 for no limit. Default 1 MiB.
    pub bytes_per_second: u32,
    /// As `commands_per_second`, for all connections together that a user has in one shard. Beyond: none of them is read
    /// from until there is room again. Default 400.
    pub user_commands_per_second: u32,
    /// As `bytes_per_second`, for all connections together that a user has in one shard. Beyond: none of them is read
    /// from until there is room again. Default 4 MiB.
    pub user_bytes_per_second: u32,
    /// Publications of clients that a topic takes per second, and twice as many at once, over all shards; kept by the
    /// broker. What the application publishes itself is not counted. Beyond: error `rate_limited`. 0 for no limit.
    /// Default 1,000.
    pub publications_per_second: u32,
    /// Topics with a subscriber or history, over all shards, the server's own left out; kept by the broker. Beyond:
    /// error `too_many_topics`. 0 for no limit. A topic with one subscriber costs about half a kilobyte over hub and
    /// broker. Default 1,000,000.
    pub topics_max: usize,
    /// Bytes of publications that all topics together keep of their logs, as
    /// [`Draft::bytes`](fanfare_protocol::Draft::bytes) counts them; kept by the broker. Beyond: a topic keeps no more than
    /// it drops, its own oldest first, and one that keeps nothing yet keeps nothing; nobody is refused. Default 256 MiB.
    pub history_total_bytes_max: usize,
    /// Time for which an idempotency key is remembered, in milliseconds; kept by the broker. Beyond: what comes with it is
    /// another publication. Default 300,000.
    pub idempotency_window_ms: u64,
    /// Idempotency keys that are remembered of one topic. Beyond: its oldest is forgotten before its time. Default 10,000.
    pub idempotency_keys_per_topic_max: u32,
    /// Idempotency keys that are remembered of all topics together. Beyond: a topic remembers no more than it forgets, its
    /// own oldest first. A key costs about 150 bytes, one that is alone in its topic 700. The newest version of a topic, where
    /// publications have one, counts as a key. Default 100,000.
    pub idempotency_keys_max: usize,
    /// Commands of a connection that may be refused with `rate_limited` within ten seconds. Beyond: close code 3501.
    /// 0 for no limit. Default 200.
    pub refusals_max: u32,
    /// Subscribe commands of a connection that may wait for the broker. Beyond: it is not read from until one is
    /// answered. 0 counts as 1. Default 64.
    pub subscribes_pending_max: u32,
    /// Time that a client has to say who it is, where it did not when it connected, in milliseconds. Beyond: close code
    /// 3502. Default 10,000.
    pub auth_timeout_ms: u64,
    /// Tokens of a connection that may be refused. With so many: close code 3502. 0 counts as 1. Default 3.
    pub tokens_refused_max: u32,
}

impl Limits {
    /// The longest first message of a client that speaks first, in bytes. Beyond: 1009, or 413 where it is the body of a
    /// request.
    pub fn hello_bytes_max(&self) -> u32 {
        self.message_bytes_max.min(HELLO_MESSAGE_BYTES_MAX)
    }

    /// Time between two comments in a stream, in milliseconds. Nobody answers them: a client that vanished is found when TCP
    /// gives up on one, which is [`write_timeout_ms`](Self::write_timeout_ms) and
    /// [`close_timeout_ms`](Self::close_timeout_ms) after it was written. So they come more often than pings, and it is
    /// found as soon as by a ping.
    pub(crate) fn comment_interval_ms(&self) -> u64 {
        let found_in_ms = self.ping_interval_ms.saturating_add(self.pong_timeout_ms);
        let given_up_in_ms = self.write_timeout_ms.saturating_add(self.close_timeout_ms);
        let interval_ms = found_in_ms.saturating_sub(given_up_in_ms);
        interval_ms.clamp(self.ping_interval_ms / 2, self.ping_interval_ms)
    }

    /// What may wait in one outbox.
    pub(crate) fn outbox(&self) -> OutboxBounds {
        OutboxBounds {
            frames_max: self.outbox_frames_max as usize,
            bytes_max: self.outbox_bytes_max as usize,
        }
    }
}

/// What may wait in one outbox.
#[derive(Clone, Copy)]
pub(crate) struct OutboxBounds {
    pub(crate) frames_max: usize,
    pub(crate) bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 64 << 10,
            outbox_frames_max: 256,
            outbox_bytes_max: 1 << 20,
            outbox_age_max_ms: 30_000,
            slow_rules: SlowRules::default(),
            waiting_bytes_max: 256 << 20,
            replies_bytes_max: 64 << 10,
            subscriptions_max: 128,
            ping_interval_ms: 21_000,
            pong_timeout_ms: 8_000,
            write_timeout_ms: 10_000,
            close_timeout_ms: 5_000,
            message_timeout_ms: 30_000,
            receiving_bytes_max: 64 << 20,
            commands_per_second: 100,
            bytes_per_second: 1 << 20,
            user_commands_per_second: 400,
            user_bytes_per_second: 4 << 20,
            publications_per_second: 1_000,
            topics_max: 1_000_000,
            history_total_bytes_max: 256 << 20,
            idempotency_window_ms: 300_000,
            idempotency_keys_per_topic_max: 10_000,
            idempotency_keys_max: 100_000,
            refusals_max: 200,
            subscribes_pending_max: 64,
            auth_timeout_ms: 10_000,
            tokens_refused_max: 3,
        }
    }
}

/// How long after the end of its token, or of a subscription, a client may still show a new one, where its dialect has it do
/// so only then, in milliseconds. As long an application may take that renews a subscription, or an identity.
pub(crate) const EXPIRY_GRACE_MS: u64 = 25_000;

/// When the application is asked again whether a subscription goes on, after it has not answered, in milliseconds; and at the
/// latest whether an identity does.
pub(crate) const RENEWAL_RETRY_MS: u64 = 5_000;

/// Publications that a client has missed and is given with the reply to its subscribe command, where its dialect has it so.
/// Beyond, it is told that it cannot go on from where it was.
pub(crate) const GATHERED_MAX: usize = 300;

/// The longest message of a client that has yet to say who it is, in bytes: a token and what is around it.
pub(crate) const AUTH_MESSAGE_BYTES_MAX: u32 = 16 << 10;

/// The same where the client speaks first, and may say at once what it wants to receive.
pub(crate) const HELLO_MESSAGE_BYTES_MAX: u32 = 64 << 10;

/// Subscribers from which on a topic's fan-out is big: written in slices, after all small ones.
pub(crate) const BIG_FAN_OUT: usize = 64;

/// Bytes of publications that a client is given in one page of history. A longer publication comes alone.
pub(crate) const HISTORY_PAGE_BYTES_MAX: usize = 256 << 10;

/// Publications of one topic that are joined into one shared frame. A longer batch makes several.
pub(crate) const BATCH_FRAMES_MAX: usize = 64;

/// Bytes from which on a shared frame takes no further publication.
pub(crate) const BATCH_BYTES_MAX: usize = 64 << 10;

/// Bytes of a frame from which on it is compressed where that was agreed on: a shorter one fits one packet either way.
pub(crate) const COMPRESSED_BYTES_MIN: usize = 256;

/// Keys of which a topic keeps the newest publication for its paced audience. Beyond: everyone gets them at once.
pub(crate) const PACED_KEYS_MAX: usize = 256;

/// Time between two occupancy pushes of a topic, in milliseconds.
pub(crate) const OCCUPANCY_INTERVAL_MS: u64 = 1_000;

/// Watched topics that are asked about in one tick; the others follow in the next. So up to 10,000 in a shard are asked
/// about once in [`OCCUPANCY_INTERVAL_MS`], more of them less often.
pub(crate) const OCCUPANCY_PER_TICK: usize = 1_000;

/// The window of [`Limits::refusals_max`], in milliseconds.
pub(crate) const REFUSALS_WINDOW_MS: u32 = 10_000;

/// Time in which every connection's deadlines are looked at once, in milliseconds.
pub(crate) const SWEEP_MS: u64 = 1_000;

/// Time between closes at shutdown, in microseconds per connection, until the window bounds it.
pub(crate) const SHUTDOWN_SPREAD_US: u64 = 1_000;
