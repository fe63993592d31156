//! A circuit breaker: who does not answer is left alone for a while, and then asked once to see whether it does again.

use std::time::{Duration, Instant};

/// Whether a backend may be asked. Time is an argument.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Failures in a row that open it; 0 for never.
    failures_max: u32,
    /// How long it stays open.
    pause: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Everyone may ask; so many in a row have failed.
    Closed { failures: u32 },
    /// Nobody may.
    Open { until: Instant },
    /// One asks, the others may not.
    Probing,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The backend is there: it answered, rightly or wrongly.
    Alive,
    /// It is not there, or too slow.
    Dead,
    /// Nobody knows: whoever asked has gone.
    Unknown,
}

/// What a verdict changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nobody is let through from now on.
    Opened,
    /// Everyone is again.
    Closed,
}

impl Breaker {
    pub(super) fn new(failures_max: u32, pause: Duration) -> Self {
        Self {
            failures_max,
            pause,
            state: State::Closed { failures: 0 },
        }
    }

    /// How long whoever comes now has to wait; nothing, if it might be let through.
    pub(super) fn peek(&self, now: Instant) -> Result<(), Duration> {
        match self.state {
            State::Open { until } if until > now => Err(until - now),
            State::Probing => Err(self.pause),
            State::Closed { .. } | State::Open { .. } => Ok(()),
        }
    }

    /// Lets somebody through, who must [`report`](Self::report), or says how long to wait.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        self.peek(now)?;
        if let State::Open { .. } = self.state {
            self.state = State::Probing;
        }
        Ok(())
    }

    /// Takes note of what became of a question.
    pub(super) fn report(&mut self, verdict: Verdict, now: Instant) -> Option<Change> {
        let open = State::Open {
            until: now + self.pause,
        };
        match (self.state, verdict) {
            (State::Closed { .. }, Verdict::Alive) => {
                self.state = State::Closed { failures: 0 };
                None
            }
            (State::Closed { failures }, Verdict::Dead) => {
                let failures = failures.saturating_add(1);
                let is_enough = self.failures_max > 0 && failures >= self.failures_max;
                self.state = if is_enough {
                    open
                } else {
                    State::Closed { failures }
                };
                is_enough.then_some(Change::Opened)
            }
            // Whoever was let through before it opened says nothing about now, unless it is good.
            (State::Open { .. } | State::Probing, Verdict::Alive) => {
                self.state = State::Closed { failures: 0 };
                Some(Change::Closed)
            }
            (State::Probing, Verdict::Dead) => {
                self.state = open;
                None
            }
            (State::Probing, Verdict::Unknown) => {
                self.state = State::Open { until: now };
                None
            }
            (State::Open { .. }, Verdict::Dead) | (_, Verdict::Unknown) => None,
        }
    }

    /// Whether it lets everyone through.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    /// One that has just been opened.
    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(2, PAUSE);
        assert_eq!(breaker.report(Verdict::Dead, now), None);
        assert_eq!(breaker.report(Verdict::Dead, now), Some(Change::Opened));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_others_do_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new(2, PAUSE);
        for verdict in [Verdict::Dead, Verdict::Alive, Verdict::Dead, Verdict::Unknown] {
            assert_eq!(breaker.report(verdict, now), None);
            assert_eq!(breaker.admit(now), Ok(()));
        }
        assert_eq!(breaker.report(Verdict::Dead, now), Some(Change::Opened));
        assert_eq!(breaker.admit(now), Err(PAUSE));
    }

    #[test]
    fn after_the_pause_one_is_let_through_and_decides() {
        let now = Instant::now();
        for (verdict, others) in [(Verdict::Alive, Ok(())), (Verdict::Dead, Err(PAUSE))] {
            let mut breaker = opened(now);
            assert_eq!(breaker.admit(now + PAUSE / 2), Err(PAUSE / 2));
            let later = now + PAUSE;
            assert_eq!(breaker.admit(later), Ok(()));
            assert_eq!(breaker.admit(later), Err(PAUSE), "one at a time");
            breaker.report(verdict, later);
            assert_eq!(breaker.admit(later), others);
        }
    }

    #[test]
    fn a_probe_that_is_given_up_leaves_its_place_to_the_next() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(now + PAUSE), Ok(()));
        breaker.report(Verdict::Unknown, now + PAUSE);
        assert_eq!(breaker.admit(now + PAUSE), Ok(()));
    }

    #[test]
    fn a_late_failure_does_not_lengthen_the_pause_and_a_late_answer_ends_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.report(Verdict::Dead, now + PAUSE / 2);
        assert_eq!(breaker.admit(now + PAUSE), Ok(()));
        let mut breaker = opened(now);
        assert_eq!(breaker.report(Verdict::Alive, now), Some(Change::Closed));
        assert!(breaker.is_closed());
    }

    #[test]
    fn without_a_bound_it_never_opens() {
        let now = Instant::now();
        let mut breaker = Breaker::new(0, PAUSE);
        for _ in 0..1_000 {
            assert_eq!(breaker.report(Verdict::Dead, now), None);
        }
        assert_eq!(breaker.admit(now), Ok(()));
    }
}
