//! How fast something may come: so many per second, and at once as many as one second lets through.
//!
//! It is the generic cell rate algorithm: a token bucket whose whole state is one number, the time at which the bucket
//! is full again. All times are nanoseconds since an origin of the caller's choice.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// A rate of one per second or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    interval_ns: u64,
}

impl Rate {
    pub(crate) fn per_second(count: NonZeroU32) -> Self {
        Self {
            interval_ns: SECOND_NS / u64::from(count.get()),
        }
    }

    /// Takes one out of the bucket that is full again at `full_at`, and gives when it then is; none when it is empty.
    pub(crate) fn take(self, full_at: u64, now: u64) -> Option<u64> {
        let full_at = full_at.max(now) + self.interval_ns;
        (full_at - now <= SECOND_NS).then_some(full_at)
    }
}

/// A rate for all, and a guess of how long those who were turned away should wait.
#[derive(Debug)]
pub(crate) struct SharedRate {
    rate: Option<Rate>,
    full_at: AtomicU64,
    /// When the last of those who were turned away would have its turn, had they formed a line.
    line_ends_at: AtomicU64,
}

impl SharedRate {
    /// None is no bound.
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self {
            rate,
            full_at: AtomicU64::new(0),
            line_ends_at: AtomicU64::new(0),
        }
    }

    /// Lets one through.
    ///
    /// # Errors
    /// The bucket is empty; the error is the time in whole seconds, rounded up, over which those who were turned away
    /// have to be spread so that each finds the bucket filled.
    pub(crate) fn take(&self, now: u64) -> Result<(), u64> {
        let Some(rate) = self.rate else { return Ok(()) };
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let taken = self
            .full_at
            .fetch_update(set, fetch, |full_at| rate.take(full_at, now));
        if taken.is_ok() {
            return Ok(());
        }
        let longer = |end: u64| end.max(now) + rate.interval_ns;
        let end = self
            .line_ends_at
            .fetch_update(set, fetch, |end| Some(longer(end)));
        let end = longer(end.unwrap_or(now));
        Err((end - now).div_ceil(SECOND_NS))
    }
}

const SECOND_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32) -> Rate {
        Rate::per_second(NonZeroU32::new(per_second).unwrap())
    }

    /// How many of `tries` at once get through.
    fn through(rate: Rate, full_at: &mut u64, now: u64, tries: usize) -> usize {
        let mut take = || rate.take(*full_at, now).map(|next| *full_at = next);
        (0..tries).filter(|_| take().is_some()).count()
    }

    #[test]
    fn one_seconds_worth_may_come_at_once_and_then_the_rate_holds() {
        for per_second in [1, 3, 10, 1_000] {
            let (mut full_at, count) = (0, per_second as usize);
            let began = 7 * SECOND_NS;
            assert_eq!(through(rate(per_second), &mut full_at, began, 5_000), count);
            assert_eq!(through(rate(per_second), &mut full_at, began, 10), 0);
            let mut later = 0;
            for step in 1..=1_000 {
                let now = began + step * SECOND_NS / 100;
                later += through(rate(per_second), &mut full_at, now, 100);
            }
            assert_eq!(later, 10 * count, "in ten seconds at {per_second}");
            assert_eq!(
                through(rate(per_second), &mut full_at, 1_000 * SECOND_NS, 5_000),
                count
            );
        }
    }

    #[test]
    fn those_who_are_turned_away_are_spread_over_the_time_they_need() {
        let shared = SharedRate::new(Some(rate(10)));
        assert_eq!((0..10).filter(|_| shared.take(0).is_ok()).count(), 10);
        let waits: Vec<u64> = (0..95).map(|_| shared.take(0).unwrap_err()).collect();
        assert_eq!((waits[0], waits[9], waits[10], waits[94]), (1, 1, 2, 10));
        assert_eq!(shared.take(SECOND_NS), Ok(()));
        let unbound = SharedRate::new(None);
        assert!((0..1_000).all(|_| unbound.take(0).is_ok()));
    }
}
