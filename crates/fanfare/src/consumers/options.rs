//! What may wait for a consumer.

/// Bounds of one [`Subscription`](crate::Subscription). Beyond either: the oldest publications are dropped, the consumer
/// is told how many in their place, and `fanfare_consumer_missed_total` counts them. Nobody waits for a consumer: not a
/// publisher, and no client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Publications that may wait. 0 counts as 1. Default 1,024.
    pub publications_max: usize,
    /// Bytes of publications that may wait: payload, names, and some 200 for the rest. The newest publication may wait
    /// whatever its size. Default 4 MiB.
    pub bytes_max: usize,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self {
            publications_max: 1_024,
            bytes_max: 4 << 20,
        }
    }
}
