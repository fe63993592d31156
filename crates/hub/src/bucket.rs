//! A token bucket, and the rate at which it fills.

use fanfare_protocol::Millis;

/// How many of something are allowed in which time, and how many at once.
///
/// A rate of 0 allows everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    window_ms: u32,
    /// The time in which an empty bucket fills.
    filling_ms: u32,
}

impl Rate {
    /// So many per second, and what two seconds allow at once.
    pub const fn per_second(count: u32) -> Self {
        Self {
            count,
            window_ms: 1_000,
            filling_ms: 2_000,
        }
    }

    /// So many in any window, at once or spread over it.
    pub const fn within(count: u32, window_ms: u32) -> Self {
        Self {
            count,
            window_ms,
            filling_ms: window_ms,
        }
    }

    /// What a full bucket holds.
    fn size(self) -> u64 {
        u64::from(self.count) * u64::from(self.filling_ms)
    }

    /// What `count` are in the unit of a bucket.
    fn parts(self, count: u32) -> u64 {
        u64::from(count) * u64::from(self.window_ms)
    }
}

/// What is left of a [`Rate`] to one who uses it. A new bucket is full.
///
/// It counts exactly, in a unit of which one is as many as the window has milliseconds: so each millisecond brings as many
/// units as the rate has in a window. All arithmetic saturates. It may go into debt, which is paid back at the rate.
/// Always use it with the same rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Units missing from a full bucket at `at`.
    missing: u64,
    at: Millis,
}

impl Bucket {
    /// Takes `count` out, whether so many are in or not.
    pub fn take(&mut self, now: Millis, rate: Rate, count: u32) {
        if rate.count > 0 {
            self.missing = self.missing(now, rate).saturating_add(rate.parts(count));
            self.at = now;
        }
    }

    /// Takes `count` out if so many are in.
    ///
    /// # Errors
    /// When there are fewer: in how many milliseconds there will be enough, at least 1. Nothing is taken then. More
    /// than a full bucket holds are never in.
    pub fn try_take(&mut self, now: Millis, rate: Rate, count: u32) -> Result<(), u64> {
        let mut after = *self;
        after.take(now, rate, count);
        let too_many = after.missing.saturating_sub(rate.size());
        if rate.count > 0 && too_many > 0 {
            return Err(too_many.div_ceil(u64::from(rate.count)));
        }
        *self = after;
        Ok(())
    }

    /// How many are in.
    pub fn level(self, now: Millis, rate: Rate) -> u32 {
        if rate.count == 0 {
            return u32::MAX;
        }
        let parts = rate.size().saturating_sub(self.missing(now, rate));
        u32::try_from(parts / u64::from(rate.window_ms)).unwrap_or(u32::MAX)
    }

    /// Whether not even one is in.
    pub fn is_empty(self, now: Millis, rate: Rate) -> bool {
        rate.count > 0 && self.missing(now, rate).saturating_add(rate.parts(1)) > rate.size()
    }

    /// Whether it is full, and so as good as a new one.
    pub fn is_full(self, now: Millis, rate: Rate) -> bool {
        self.missing(now, rate) == 0
    }

    fn missing(self, now: Millis, rate: Rate) -> u64 {
        let filled = now.since(self.at).saturating_mul(u64::from(rate.count));
        self.missing.saturating_sub(filled)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bucket as one would draw it, in exact fractions of a token.
    struct Model {
        count: i128,
        window_ms: i128,
        size: i128,
        /// Tokens, times the window.
        level: i128,
        filled_at: u64,
    }

    impl Model {
        fn new(rate: Rate) -> Self {
            let window_ms = i128::from(rate.window_ms);
            let size = i128::from(rate.filling_ms) * i128::from(rate.count);
            Self {
                count: i128::from(rate.count),
                window_ms,
                size,
                level: size,
                filled_at: 0,
            }
        }

        fn fill(&mut self, now: u64) {
            self.level = self
                .size
                .min(self.level + i128::from(now - self.filled_at) * self.count);
            self.filled_at = now;
        }

        fn take(&mut self, count: u32) {
            self.level -= i128::from(count) * self.window_ms;
        }

        fn tokens(&self) -> i128 {
            self.level.div_euclid(self.window_ms)
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Pass(u64),
        Take(u32),
        TryTake(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        let count = || prop_oneof![4 => 0..4_u32, 1 => 0..100_000_u32];
        prop_oneof![
            prop_oneof![0..20_u64, 0..10_000_u64].prop_map(Step::Pass),
            count().prop_map(Step::Take),
            count().prop_map(Step::TryTake),
        ]
    }

    fn rate() -> impl Strategy<Value = Rate> {
        let count = || prop_oneof![1..10_u32, 1..1_000_000_u32, 1 << 20..=1_u32 << 30];
        prop_oneof![
            count().prop_map(Rate::per_second),
            (count(), 1..100_000_u32).prop_map(|(count, window_ms)| Rate::within(count, window_ms)),
        ]
    }

    proptest! {
        #[test]
        fn it_gives_what_the_model_gives(rate in rate(), steps in prop::collection::vec(step(), 1..200)) {
            let (mut bucket, mut model, mut now) = (Bucket::default(), Model::new(rate), 0);
            for step in steps {
                match step {
                    Step::Pass(ms) => {
                        now += ms;
                        model.fill(now);
                    }
                    Step::Take(count) => {
                        bucket.take(Millis(now), rate, count);
                        model.take(count);
                    }
                    Step::TryTake(count) => match bucket.try_take(Millis(now), rate, count) {
                        Ok(()) => {
                            prop_assert!(model.tokens() >= i128::from(count));
                            model.take(count);
                        }
                        Err(wait_ms) => {
                            prop_assert!(wait_ms > 0);
                            prop_assert!(model.tokens() < i128::from(count));
                            let is_ever = i128::from(count) * model.window_ms <= model.size;
                            let mut later = bucket;
                            prop_assert_eq!(later.try_take(Millis(now + wait_ms), rate, count).is_ok(), is_ever);
                            prop_assert!(bucket.try_take(Millis(now + wait_ms - 1), rate, count).is_err());
                        }
                    },
                }
                prop_assert_eq!(i128::from(bucket.level(Millis(now), rate)), model.tokens().max(0));
                prop_assert_eq!(bucket.is_empty(Millis(now), rate), model.tokens() <= 0);
                prop_assert_eq!(bucket.is_full(Millis(now), rate), model.level == model.size);
            }
        }

        #[test]
        fn it_never_overflows(now: u64, later: u64, rate in 0..=u32::MAX, count: u32) {
            let (mut bucket, rate) = (Bucket::default(), Rate::per_second(rate));
            for time in [now, later, u64::MAX] {
                bucket.take(Millis(time), rate, count);
                let _ = bucket.try_take(Millis(time), rate, u32::MAX);
                let _ = (bucket.level(Millis(time), rate), bucket.is_empty(Millis(time), rate));
            }
        }
    }

    #[test]
    fn a_rate_of_zero_allows_everything() {
        let (mut bucket, rate) = (Bucket::default(), Rate::per_second(0));
        bucket.take(Millis(1), rate, u32::MAX);
        assert_eq!(bucket.try_take(Millis(1), rate, u32::MAX), Ok(()));
        assert_eq!(bucket.level(Millis(1), rate), u32::MAX);
        assert_eq!(bucket, Bucket::default());
    }

    #[test]
    fn a_debt_is_paid_back_at_the_rate() {
        let (mut bucket, rate) = (Bucket::default(), Rate::per_second(10));
        bucket.take(Millis(0), rate, 25);
        assert_eq!(bucket.level(Millis(500), rate), 0);
        assert_eq!(bucket.level(Millis(600), rate), 1);
        assert_eq!(bucket.try_take(Millis(500), rate, 1), Err(100));
    }

    #[test]
    fn it_has_sixteen_bytes() {
        assert_eq!(size_of::<Bucket>(), 16);
    }
}
