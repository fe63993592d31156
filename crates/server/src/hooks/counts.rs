//! What is counted of hooks: every outcome by kind, how long they take, and how many there are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::kind::HookKind;

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The backend said yes.
    Allowed,
    /// It said no.
    Denied,
    /// It had the connection closed.
    Closed,
    /// It could not be reached.
    Unreachable,
    /// The connection to it broke before all of the answer was there.
    Broken,
    /// It did not answer in time, the time in the line included.
    Timeout,
    /// It answered with a status that says nothing: not 200.
    Status,
    /// It answered with more than an answer may have.
    TooLarge,
    /// What it answered is none of the answers.
    BadAnswer,
    /// It was not asked: the line was full.
    LineFull,
    /// It was not asked: the breaker is open.
    BreakerOpen,
    /// Whoever asked has gone before there was an answer.
    GivenUp,
}

impl Outcome {
    /// Every outcome, in the order of the rows of counters.
    pub(super) const ALL: [Self; 12] = [
        Self::Allowed,
        Self::Denied,
        Self::Closed,
        Self::Unreachable,
        Self::Broken,
        Self::Timeout,
        Self::Status,
        Self::TooLarge,
        Self::BadAnswer,
        Self::LineFull,
        Self::BreakerOpen,
        Self::GivenUp,
    ];

    /// Its name in metrics and logs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Closed => "closed",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::BadAnswer => "bad_answer",
            Self::LineFull => "line_full",
            Self::BreakerOpen => "breaker_open",
            Self::GivenUp => "given_up",
        }
    }
}

/// Counters of all hooks. They are only added to.
#[derive(Debug, Default)]
pub(super) struct HookCounts {
    kinds: [KindCounts; HookKind::ALL.len()],
}

/// Counters of one kind.
#[derive(Debug, Default)]
struct KindCounts {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    retries: AtomicU64,
    buckets: [AtomicU64; DURATION_BUCKETS_MS.len() + 1],
    sum_us: AtomicU64,
}

/// Upper bounds of the buckets of durations, in milliseconds; one more is for everything beyond.
pub(super) const DURATION_BUCKETS_MS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000];

impl HookCounts {
    /// A question has found its end.
    pub(super) fn add(&self, kind: HookKind, outcome: Outcome, took: Duration) {
        let counts = &self.kinds[kind as usize];
        let bucket = DURATION_BUCKETS_MS.partition_point(|&bound| Duration::from_millis(bound) < took);
        counts.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
        counts.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        counts
            .sum_us
            .fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// A question was asked again.
    pub(super) fn retried(&self, kind: HookKind) {
        self.kinds[kind as usize].retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Questions of a kind with an outcome.
    pub(super) fn outcomes(&self, kind: HookKind, outcome: Outcome) -> u64 {
        self.kinds[kind as usize].outcomes[outcome as usize].load(Ordering::Relaxed)
    }

    /// Requests of a kind that were sent again.
    pub(super) fn retries(&self, kind: HookKind) -> u64 {
        self.kinds[kind as usize].retries.load(Ordering::Relaxed)
    }

    /// Questions of a kind by how long they took, and the sum in seconds.
    pub(super) fn durations(&self, kind: HookKind) -> (Vec<u64>, f64) {
        let counts = &self.kinds[kind as usize];
        let buckets = counts.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        (
            buckets.collect(),
            counts.sum_us.load(Ordering::Relaxed) as f64 / 1e6,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_bucket_that_it_does_not_pass() {
        let counts = HookCounts::default();
        for millis in [0, 1, 2, 3, 1_000, 1_001] {
            counts.add(HookKind::Call, Outcome::Allowed, Duration::from_millis(millis));
        }
        let (buckets, sum) = counts.durations(HookKind::Call);
        assert_eq!(buckets, [2, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert!((sum - 2.007).abs() < 1e-9);
        assert_eq!(counts.outcomes(HookKind::Call, Outcome::Allowed), 6);
    }
}
