//! When to show another token before the one in use ends.

use std::time::Duration;

/// How long to wait before a token is asked for in place of one that has `left` to go: between two thirds and five
/// sixths of that, so that those who connected together do not ask together. `jitter` is drawn from 0 to 1.
///
/// Where there is no newer one by then it is asked for again in the same way. Where nothing is left though the server has just accepted it, the clocks differ, and a guess must do.
pub(crate) fn renewal_delay(left: Duration, jitter: f64) -> Duration {
    if left.is_zero() {
        return RENEWAL_DELAY_GUESSED;
    }
    let part = 2.0 / 3.0 + jitter.clamp(0.0, 1.0) / 6.0;
    left.min(RENEWAL_DELAY_MAX).mul_f64(part).max(RENEWAL_DELAY_MIN)
}

/// The least between two tokens.
const RENEWAL_DELAY_MIN: Duration = Duration::from_secs(1);

/// Where the clocks do not say.
const RENEWAL_DELAY_GUESSED: Duration = Duration::from_secs(30);

/// No token is left alone for longer.
const RENEWAL_DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_token_is_asked_for_in_time_and_not_by_all_at_once() {
        let minute = Duration::from_secs(60);
        assert_eq!(renewal_delay(minute, 0.0).as_secs(), 40);
        assert_eq!(renewal_delay(minute, 1.0).as_secs(), 50);
        assert_eq!(renewal_delay(Duration::from_millis(3), 1.0), RENEWAL_DELAY_MIN);
        assert_eq!(renewal_delay(Duration::ZERO, 0.5), RENEWAL_DELAY_GUESSED);
        assert!(renewal_delay(Duration::MAX, 1.0) <= RENEWAL_DELAY_MAX);
    }
}
