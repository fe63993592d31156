//! When to connect again, and whether at all.

use std::time::Duration;

use tokio::time::Instant;

use crate::connect_options::ConnectOptions;

/// Delays that are doubled each time, and drawn from the upper half so that clients do not return in step.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    delay_min: Duration,
    delay_max: Duration,
    attempts: u32,
}

impl Backoff {
    /// Delays that begin at `delay_min` and grow to `delay_max`, or to a day.
    pub(crate) fn new(delay_min: Duration, delay_max: Duration) -> Self {
        Self {
            delay_min,
            delay_max: delay_max.min(DELAY_MAX),
            attempts: 0,
        }
    }

    /// The delay before the next attempt; `jitter` is drawn from 0 to 1.
    pub(crate) fn next_delay(&mut self, jitter: f64) -> Duration {
        let delay = self.delay(self.attempts, jitter);
        self.attempts = self.attempts.saturating_add(1);
        delay
    }

    /// The delay after so many failures in a row, at least one, and behind the time that the server told, if it did.
    /// Others may have been told the same, so it is spread.
    pub(crate) fn delay_after(&self, failures: u32, told: Option<Duration>, jitter: f64) -> Duration {
        let own = self.delay(failures.saturating_sub(1), jitter);
        told.map_or(own, |told| told.min(TOLD_DELAY_MAX) + own)
    }

    fn delay(&self, doublings: u32, jitter: f64) -> Duration {
        let grown = self
            .delay_min
            .saturating_mul(1_u32 << doublings.min(DOUBLINGS_MAX));
        grown
            .min(self.delay_max)
            .mul_f64(f64::midpoint(1.0, jitter.clamp(0.0, 1.0)))
    }
}

/// The attempts that follow the end of a connection.
#[derive(Debug)]
pub(crate) struct Retry {
    first: Backoff,
    backoff: Backoff,
    attempts_max: Option<u32>,
    time_max: Option<Duration>,
    /// When the connection ended that these attempts are to replace.
    began_at: Option<Instant>,
}

/// What the server said about coming back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing.
    Nothing,
    /// Another time for each client (`goodbye`).
    After(Duration),
    /// A time that others may have been told as well (`Retry-After`): to be spread.
    NotBefore(Duration),
}

impl Retry {
    /// Attempts as often and as long as `options` allow.
    pub(crate) fn new(options: &ConnectOptions) -> Self {
        let backoff = Backoff::new(options.reconnect_delay_min, options.reconnect_delay_max);
        Self {
            first: backoff.clone(),
            backoff,
            attempts_max: options.reconnect_attempts_max,
            time_max: options.reconnect_time_max,
            began_at: None,
        }
    }

    /// How long to wait before another attempt; none when there have been enough. `jitter` is drawn from 0 to 1.
    pub(crate) fn next_delay(&mut self, now: Instant, told: Told, jitter: f64) -> Option<Duration> {
        let began_at = *self.began_at.get_or_insert(now);
        if self.attempts_max.is_some_and(|max| self.backoff.attempts >= max) {
            return None;
        }
        let is_first = self.backoff.attempts == 0;
        let own = self.backoff.next_delay(jitter);
        let delay = match told {
            Told::Nothing => own,
            Told::After(told) if is_first => told.min(TOLD_DELAY_MAX),
            // A server that sends everyone away at once must not be asked without a pause.
            Told::After(told) => told.min(TOLD_DELAY_MAX).max(own),
            Told::NotBefore(told) => told.min(TOLD_DELAY_MAX) + own,
        };
        let time = now.saturating_duration_since(began_at) + delay;
        self.time_max.is_none_or(|max| time <= max).then_some(delay)
    }

    /// Begins again with the shortest delay when a connection has proven stable by lasting for `lasted`.
    pub(crate) fn handle_connection(&mut self, lasted: Duration) {
        if lasted >= STABLE_AFTER {
            self.backoff = self.first.clone();
            self.began_at = None;
        }
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

/// The longest delay a server may ask for.
const TOLD_DELAY_MAX: Duration = Duration::from_secs(60 * 60);

/// The longest delay of one's own.
const DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a connection must have lasted for the next delay to be the shortest again.
const STABLE_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use fanfare_protocol::codes::Disconnect;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn retry(options: ConnectOptions) -> Retry {
        Retry::new(&ConnectOptions {
            reconnect_delay_min: Duration::from_millis(100),
            reconnect_delay_max: SECOND,
            ..options
        })
    }

    #[test]
    fn delays_double_up_to_the_longest_and_begin_again_after_a_stable_connection() {
        let mut retry = retry(ConnectOptions::default());
        let now = Instant::now();
        let delay = |retry: &mut Retry, jitter| retry.next_delay(now, Told::Nothing, jitter).unwrap();
        let delays: Vec<_> = (0..6).map(|_| delay(&mut retry, 1.0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
        retry.handle_connection(SECOND);
        assert_eq!(delay(&mut retry, 0.0), SECOND / 2, "it was not stable");
        retry.handle_connection(STABLE_AFTER);
        assert_eq!(delay(&mut retry, 0.0), Duration::from_millis(50));
    }

    #[test]
    fn delays_of_clients_differ() {
        let delays: std::collections::BTreeSet<_> = (0..100)
            .map(|_| Backoff::new(SECOND, SECOND).next_delay(fastrand::f64()))
            .collect();
        assert!(delays.len() > 90, "{delays:?}");
        assert!(
            delays.iter().all(|delay| (SECOND / 2..=SECOND).contains(delay)),
            "{delays:?}"
        );
    }

    #[test]
    fn what_the_server_told_is_waited_for() {
        let mut retry = retry(ConnectOptions::default());
        let mut delay = |told| retry.next_delay(Instant::now(), told, 1.0).unwrap();
        assert_eq!(delay(Told::After(7 * SECOND)), 7 * SECOND);
        assert_eq!(
            delay(Told::NotBefore(7 * SECOND)),
            7 * SECOND + Duration::from_millis(200)
        );
        assert_eq!(delay(Told::After(Duration::MAX)), TOLD_DELAY_MAX);
        assert_eq!(delay(Told::After(Duration::ZERO)), Duration::from_millis(800));
        assert!(delay(Told::NotBefore(Duration::MAX)) <= TOLD_DELAY_MAX + SECOND);
    }

    #[test]
    fn a_refused_subscription_waits_longer_each_time_and_never_less_than_it_is_told() {
        let backoff = Backoff::new(SECOND / 10, SECOND);
        let delays = (1..=5).map(|failures| backoff.delay_after(failures, None, 1.0).as_millis());
        assert!(delays.eq([100, 200, 400, 800, 1_000]));
        assert_eq!(
            backoff.delay_after(1, Some(7 * SECOND), 0.0),
            7 * SECOND + SECOND / 20
        );
        assert!(backoff.delay_after(9, Some(Duration::MAX), 1.0) <= TOLD_DELAY_MAX + SECOND);
    }

    #[test]
    fn attempts_and_time_have_their_bounds() {
        let mut few = retry(ConnectOptions {
            reconnect_attempts_max: Some(2),
            ..ConnectOptions::default()
        });
        let now = Instant::now();
        let delays: Vec<_> = (0..3).map(|_| few.next_delay(now, Told::Nothing, 1.0)).collect();
        assert!(delays[1].is_some() && delays[2].is_none(), "{delays:?}");
        let mut brief = retry(ConnectOptions {
            reconnect_time_max: Some(2 * SECOND),
            ..ConnectOptions::default()
        });
        assert!(brief.next_delay(now, Told::Nothing, 1.0).is_some());
        assert!(brief.next_delay(now + SECOND, Told::Nothing, 1.0).is_some());
        assert!(
            brief
                .next_delay(now + SECOND, Told::NotBefore(SECOND), 1.0)
                .is_none(),
            "it would come too late"
        );
        brief.handle_connection(STABLE_AFTER);
        assert!(brief.next_delay(now + 9 * SECOND, Told::Nothing, 1.0).is_some());
    }

    #[test]
    fn delays_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX);
        for _ in 0..100 {
            assert!(backoff.next_delay(1.0) <= DELAY_MAX);
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
        for cause in Disconnect::ALL {
            assert_eq!(reconnects_after(cause.code()), cause.reconnects(), "{cause:?}");
        }
    }
}
