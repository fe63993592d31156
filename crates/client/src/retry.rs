//! When to connect again, and whether at all.

use std::time::Duration;

/// The delays between attempts: doubled each time, and drawn from the upper half so that clients do not return in step.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    delay_min: Duration,
    delay_max: Duration,
    attempts: u32,
}

impl Backoff {
    /// Delays that begin at `delay_min` and grow to `delay_max`.
    pub(crate) fn new(delay_min: Duration, delay_max: Duration) -> Self {
        Self {
            delay_min,
            delay_max,
            attempts: 0,
        }
    }

    /// The delay before the next attempt; `jitter` is drawn from 0 to 1.
    pub(crate) fn next_delay(&mut self, jitter: f64) -> Duration {
        let grown = self
            .delay_min
            .saturating_mul(1_u32 << self.attempts.min(DOUBLINGS_MAX));
        self.attempts = self.attempts.saturating_add(1);
        grown
            .min(self.delay_max)
            .mul_f64(f64::midpoint(1.0, jitter.clamp(0.0, 1.0)))
    }

    /// Begins again with the shortest delay: a connection has proven stable.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Whether a client comes back after a close code.
///
/// 3000 to 3499 and 4000 to 4499 say yes, 3500 to 3999 and 4500 to 4999 say no. Of the codes of RFC 6455 those say no
/// that blame the client or end what was agreed, because the same request would end the same way.
pub(crate) fn reconnects_after(code: u16) -> bool {
    !matches!(code, 1000 | 1002 | 1003 | 1007..=1010 | 3500..=3999 | 4500..=4999)
}

/// Keeps the shift within its type; no delay doubles that often.
const DOUBLINGS_MAX: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_begin_again() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let delays: Vec<_> = (0..6).map(|_| backoff.next_delay(1.0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next_delay(0.0), Duration::from_millis(50));
    }

    #[test]
    fn delays_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX);
        for _ in 0..100 {
            backoff.next_delay(0.0);
        }
    }

    #[test]
    fn the_ranges_of_close_codes_are_honoured() {
        for code in [1001, 1006, 1011, 1012, 1013, 3000, 3499, 4000, 4499] {
            assert!(reconnects_after(code), "{code}");
        }
        for code in [1000, 1002, 1003, 1008, 1009, 3500, 3999, 4500, 4999] {
            assert!(!reconnects_after(code), "{code}");
        }
    }
}
