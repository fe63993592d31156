//! Every bound of the door, and what happens at it.

use std::num::NonZeroU32;

/// The bounds that hold before a connection reaches a shard. `None` is no bound.
///
/// An address is that of the client: behind a [trusted proxy](crate::Options::trusted_proxies) the one that the proxy
/// names. An IPv6 address counts as its /64. Loopback, trusted proxies themselves and clients whose address the host
/// does not tell are not counted by address: whoever is behind them, they are many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorLimits {
    /// Connections at once: WebSockets and streams of events. Beyond: 503. Default: no bound but 16.7 million per shard.
    pub connections_max: Option<NonZeroU32>,
    /// The same of one address. Beyond: 429. Default 10,000: more than the people behind one NAT open,
    /// and little enough, at a few KiB each, that one machine gone wrong does not keep everyone else out.
    pub connections_per_address_max: Option<NonZeroU32>,
    /// The same of one user. Beyond: 429. Default 1,000.
    pub connections_per_user_max: Option<NonZeroU32>,
    /// Connections of [`Fanfare::serve`](crate::Fanfare::serve) that are neither WebSockets nor streams: those in their handshake, and
    /// callers of whatever else is served. At most 32 KiB each, twice that with TLS, and a fraction of it before their
    /// first byte. Beyond: 503 without reading the request. Default 16,384.
    pub handshakes_max: Option<NonZeroU32>,
    /// The same of one address. Beyond: 429 without reading the request. Default 1,024, so that it takes 16 addresses
    /// to fill the door.
    pub handshakes_per_address_max: Option<NonZeroU32>,
    /// Connections admitted per second, and at once after a quiet second. Beyond: 503 with a `Retry-After`
    /// that spreads those who come back. Default 10,000, which leaves one of two cores to those who are connected.
    pub admissions_per_second: Option<NonZeroU32>,
    /// The same of one address. Beyond: 429. Default 1,000.
    pub admissions_per_address: Option<NonZeroU32>,
    /// Connections whose clients have yet to say who they are. Beyond: 503. Default 10,000.
    pub unauthenticated_max: Option<NonZeroU32>,
    /// Tokens of one address that may be refused per second. Beyond: 429, or the error `rate_limited`, without a look at
    /// the token. Default 10.
    pub refused_tokens_per_address: Option<NonZeroU32>,
}

impl DoorLimits {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        connections_max: None,
        connections_per_address_max: NonZeroU32::new(10_000),
        connections_per_user_max: NonZeroU32::new(1_000),
        handshakes_max: NonZeroU32::new(16_384),
        handshakes_per_address_max: NonZeroU32::new(1_024),
        admissions_per_second: NonZeroU32::new(10_000),
        admissions_per_address: NonZeroU32::new(1_000),
        unauthenticated_max: NonZeroU32::new(10_000),
        refused_tokens_per_address: NonZeroU32::new(10),
    };
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
