//! A feed: one topic under load, its publisher, and what is counted of its deliveries.
//!
//! Every payload carries its sequence number and the time it was written, so a delivery says by itself whether it is
//! the next one and how long it took.

use crate::client::Connection;
use crate::dialect::Dialect;
use crate::order::{OrderChecker, Verdict};
use crate::report::{Histogram, Latency};
use crate::wire;
use serde::Serialize;
use std::io;
use std::time::{Duration, Instant};

/// One topic under load.
#[derive(Debug, Clone)]
pub(crate) struct FeedPlan {
    pub(crate) topic: &'static str,
    /// What its subscribers speak; its publisher is `raw`.
    pub(crate) dialect: Dialect,
    pub(crate) subscribers: usize,
    /// Publications per second.
    pub(crate) rate: u32,
    /// How many of them travel in one write of the publisher.
    pub(crate) burst: u32,
    /// Size of a payload; at least `PAYLOAD_BYTES_MIN`.
    pub(crate) payload_bytes: usize,
    /// Whether its subscribers are read before those of other feeds.
    pub(crate) is_prompt: bool,
}

impl FeedPlan {
    /// From one burst to the next.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.burst) / f64::from(self.rate))
    }

    /// How many bursts a window holds.
    pub(crate) fn bursts_in(&self, window: Duration) -> u64 {
        (window.as_secs_f64() * f64::from(self.rate) / f64::from(self.burst)).round() as u64
    }
}

/// What was received of one feed.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct FeedResult {
    pub(crate) published: u64,
    pub(crate) deliveries: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    /// Subscribers the server closed.
    pub(crate) closed: u64,
    pub(crate) latency: Latency,
}

impl FeedResult {
    /// Whether everything that was published arrived, once, in order.
    pub(crate) fn is_clean(&self) -> bool {
        let faults = self.lost + self.duplicated + self.reordered + self.closed;
        faults == 0 && (self.deliveries > 0 || self.published == 0)
    }

    /// The part of a total that belongs to a window: the counts since `begun`, the faults not in `reported` yet.
    ///
    /// So a fault during warm-up shows in the first window.
    pub(crate) fn window(self, begun: &Self, reported: &Self) -> Self {
        Self {
            published: self.published - begun.published,
            deliveries: self.deliveries - begun.deliveries,
            lost: self.lost.saturating_sub(reported.lost),
            duplicated: self.duplicated - reported.duplicated,
            reordered: self.reordered - reported.reordered,
            closed: self.closed,
            latency: self.latency,
        }
    }
}

/// A topic's publisher and the count of what its subscribers received.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) plan: FeedPlan,
    pub(crate) publisher: Connection,
    pub(crate) frames: Vec<u8>,
    pub(crate) next_sequence: u64,
    pub(crate) bursts_left: u64,
    pub(crate) due: Instant,
    /// Deliveries that are not duplicates, and how many of them are due by now.
    pub(crate) fresh: u64,
    pub(crate) expected: u64,
    pub(crate) deliveries: u64,
    pub(crate) latency: Histogram,
}

impl Feed {
    pub(crate) fn new(plan: FeedPlan, publisher: Connection) -> Self {
        Self {
            plan,
            publisher,
            frames: Vec::new(),
            next_sequence: 0,
            bursts_left: 0,
            due: Instant::now(),
            fresh: 0,
            expected: 0,
            deliveries: 0,
            latency: Histogram::default(),
        }
    }

    /// Whether it has something to publish and a server that takes it.
    pub(crate) fn is_scheduled(&self) -> bool {
        self.bursts_left > 0 && !self.publisher.is_blocked()
    }

    /// Sends `count` publications in one write.
    pub(crate) fn publish(&mut self, count: u32, started: Instant) -> io::Result<()> {
        self.frames.clear();
        let now_ns = started.elapsed().as_nanos() as u64;
        for _ in 0..count {
            let payload = stamp(self.next_sequence, now_ns, self.plan.payload_bytes);
            let mask = (self.next_sequence as u32)
                .wrapping_mul(0x9e37_79b9)
                .to_be_bytes();
            wire::push_masked(&mut self.frames, wire::TEXT, &payload, mask);
            self.next_sequence += 1;
        }
        self.expected += u64::from(count) * self.plan.subscribers as u64;
        self.publisher
            .send(&self.frames)
            .map_err(|error| self.publisher_failed(&error))
    }

    /// Serves the publisher's socket: pings are answered, what waits is written.
    pub(crate) fn serve(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let served = self
            .publisher
            .read(buffer, |_| {})
            .and_then(|()| self.publisher.flush());
        served.map_err(|error| self.publisher_failed(&error))
    }

    fn publisher_failed(&self, error: &io::Error) -> io::Error {
        io::Error::new(
            error.kind(),
            format!("publisher of {} is cut off: {error}", self.plan.topic),
        )
    }

    pub(crate) fn on_delivery(&mut self, message: &[u8], order: &mut OrderChecker, now_ns: u64) {
        let Some((sequence, published_ns)) = find_stamp(message) else {
            return;
        };
        self.deliveries += 1;
        if order.on_delivery(sequence) != Verdict::Duplicate {
            self.fresh += 1;
        }
        self.latency.record(now_ns.saturating_sub(published_ns));
    }
}

/// A payload of printable ASCII: sequence number and time in sixteen hexadecimal digits each, then filling.
fn stamp(sequence: u64, now_ns: u64, payload_bytes: usize) -> Vec<u8> {
    let mut payload = format!("{sequence:016x}{now_ns:016x}").into_bytes();
    payload.resize(payload_bytes.max(PAYLOAD_BYTES_MIN), b'x');
    payload
}

/// The stamp in a message, wherever its dialect puts a payload: nothing else has that many digits before an `x`.
fn find_stamp(message: &[u8]) -> Option<(u64, u64)> {
    message.windows(PAYLOAD_BYTES_MIN).find_map(read_stamp)
}

fn read_stamp(window: &[u8]) -> Option<(u64, u64)> {
    let digits = window.strip_suffix(b"x")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let (sequence, published_ns) = std::str::from_utf8(digits).ok()?.split_at_checked(16)?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    Some((number(sequence)?, number(published_ns)?))
}

/// Room for the stamp and what shows where it ends.
pub(crate) const PAYLOAD_BYTES_MIN: usize = 33;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back() {
        let payload = stamp(7, 123_456_789, 100);
        assert_eq!(payload.len(), 100);
        assert_eq!(find_stamp(&payload), Some((7, 123_456_789)));
        // In Protobuf a length stands before it, which may look like a digit: 100 is `d`.
        for head in [&br#"{"epoch":"0123456789abc","data":""#[..], b"\x22\x64"] {
            let wrapped = [head, &payload, b"\"}"].concat();
            assert_eq!(find_stamp(&wrapped), Some((7, 123_456_789)));
        }
        assert_eq!(stamp(7, 8, 0).len(), PAYLOAD_BYTES_MIN);
        assert_eq!(find_stamp(b"welcome"), None);
    }

    #[test]
    fn a_plan_publishes_its_rate_in_bursts() {
        let plan = FeedPlan {
            topic: "t",
            dialect: Dialect::Raw,
            subscribers: 1,
            rate: 100,
            burst: 4,
            payload_bytes: 100,
            is_prompt: false,
        };
        assert_eq!(plan.interval(), Duration::from_millis(40));
        assert_eq!(plan.bursts_in(Duration::from_secs(10)), 250);
    }

    #[test]
    fn faults_of_the_warm_up_show_in_the_first_window_only() {
        let warm = FeedResult {
            published: 10,
            deliveries: 9,
            lost: 1,
            ..FeedResult::default()
        };
        let later = FeedResult {
            published: 30,
            deliveries: 29,
            ..warm.clone()
        };
        let first = later.clone().window(&warm, &FeedResult::default());
        assert_eq!((first.published, first.deliveries, first.lost), (20, 20, 1));
        assert_eq!(later.clone().window(&later, &later).lost, 0);
    }

    #[test]
    fn a_feed_is_clean_when_all_that_was_published_came_once_in_order() {
        let quiet = FeedResult::default();
        let good = FeedResult {
            published: 3,
            deliveries: 6,
            ..quiet.clone()
        };
        assert!(quiet.is_clean() && good.is_clean());
        let faulty = [
            FeedResult {
                lost: 1,
                ..good.clone()
            },
            FeedResult {
                duplicated: 1,
                ..good.clone()
            },
            FeedResult {
                reordered: 1,
                ..good.clone()
            },
            FeedResult {
                closed: 1,
                ..good.clone()
            },
            FeedResult {
                deliveries: 0,
                ..good
            },
        ];
        assert!(faulty.iter().all(|result| !result.is_clean()));
    }
}
