//! What a hub holds and has done.

use fanfare_protocol::codes::Disconnect;

use super::Fanfare;
use crate::shard::PanicPlace;

/// What a hub holds and has done, summed over its shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Shards.
    pub shards: usize,
    /// Connections now.
    pub connections: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
    /// Topics with a subscriber now; one counts once per shard that has a subscriber.
    pub topics: u64,
    /// Consumers in the host's own process now.
    pub consumers: usize,
    /// Publications that were dropped because a consumer was slow.
    pub consumer_missed: u64,
    /// Publications taken from the broker, once per shard.
    pub publications: u64,
    /// Publications put into outboxes.
    pub deliveries: u64,
    /// Writes to sockets.
    pub writes: u64,
    /// Bytes written to sockets.
    pub written_bytes: u64,
    /// Bytes that wait to be written, shared frames counted once.
    pub waiting_bytes: u64,
    /// Connections closed because their outbox was full.
    pub overflow_disconnects: u64,
    /// Connections closed by the server, by close code; 4000 stands for all codes of applications.
    pub disconnects: Vec<(u16, u64)>,
    /// Panics that were caught, by the name of their place.
    pub panics: Vec<(&'static str, u64)>,
    /// How often a shard began anew without its connections, because its hub panicked.
    pub shard_restarts: u64,
}

impl Fanfare {
    /// What the hub holds and has done, as of each shard's last turn.
    ///
    /// ```
    /// # fn example(fanfare: fanfare::Fanfare) {
    /// let stats = fanfare.stats();
    /// println!("{} connections, {} deliveries", stats.connections, stats.deliveries);
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            shards: self.inner.stats.len(),
            consumers: self.inner.consumers.count(),
            consumer_missed: self.inner.consumers.missed(),
            ..Stats::default()
        };
        let mut disconnects = [0; Disconnect::CAUSES];
        let mut panics = [0; PanicPlace::ALL.len()];
        for snapshot in self.snapshots() {
            let hub = &snapshot.hub;
            stats.connections += snapshot.gauges.connections as u64;
            stats.subscriptions += hub.subscriptions;
            stats.topics += hub.topics;
            stats.publications += hub.publications;
            stats.deliveries += hub.deliveries;
            stats.writes += snapshot.writes;
            stats.written_bytes += snapshot.written_bytes;
            stats.waiting_bytes += snapshot.gauges.frame_bytes as u64;
            stats.overflow_disconnects += hub.overflow_disconnects;
            stats.shard_restarts += snapshot.restarts;
            for (sum, count) in disconnects.iter_mut().zip(hub.disconnects) {
                *sum += count;
            }
            for (sum, count) in panics.iter_mut().zip(snapshot.panics) {
                *sum += count;
            }
        }
        let codes = Disconnect::causes().map(|(code, _)| code);
        let names = PanicPlace::ALL.map(PanicPlace::name).into_iter();
        stats.panics = names.zip(panics).filter(|&(_, count)| count > 0).collect();
        stats.disconnects = codes.zip(disconnects).filter(|&(_, count)| count > 0).collect();
        stats
    }
}
