//! Where a consumer begins, and what may wait for it.

use fanfare_protocol::Since;

/// Where one [`Subscription`](crate::Subscription) begins, and its bounds. Beyond either bound the oldest publications are
/// dropped, the consumer is told how many in their place, and `fanfare_consumer_missed_total` counts them. Nobody waits
/// for a consumer: not a publisher, and no client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Publications that may wait. 0 counts as 1. Default 1,024.
    pub publications_max: usize,
    /// Bytes of publications that may wait: payload, names, and some 200 for the rest. The newest publication may wait
    /// whatever its size. Default 4 MiB.
    pub bytes_max: usize,
    /// From where on; `None` for what is published from now on. What was published before is read from the topic's log
    /// as fast as the consumer takes it, at most a quarter of what may wait at once, 64 publications and 64 KiB: what it missed
    /// waits in the log. What the topic forgets meanwhile is told to be missing.
    pub since: Option<Since>,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self {
            publications_max: 1_024,
            bytes_max: 4 << 20,
            since: None,
        }
    }
}
