//! One URL that is asked: a line in front of it, a breaker, a deadline, and another try where that is safe.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use fanfare::{Denial, ErrorCode};
use tokio::time::{Instant, sleep, timeout_at};

use super::breaker::{Breaker, Change, Verdict};
use super::counts::{HookCounts, Outcome};
use super::courier::{Courier, Letter, Mishap};
use super::kind::HookKind;
use super::line::Line;

/// Bounds on asking a URL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HookBounds {
    /// How long an answer may take, the time in the line and every try included. Beyond: the client is told
    /// `unavailable`.
    pub(crate) timeout: Duration,
    /// Requests under way at once. Beyond: questions wait in order.
    pub(crate) concurrency: usize,
    /// Questions that wait. Beyond: the client is told `overloaded`.
    pub(crate) waiting_max: usize,
    /// Bytes of an answer. Beyond: it is none.
    pub(crate) answer_bytes_max: usize,
    /// Questions in a row without an answer after which nobody is asked for a while; 0 for any number.
    pub(crate) breaker_failures: u32,
    /// How long that while is.
    pub(crate) breaker_pause: Duration,
}

/// A URL, and how it does.
#[derive(Debug)]
pub(super) struct Backend {
    uri: Uri,
    courier: Courier,
    bounds: HookBounds,
    line: Line,
    breaker: Mutex<Breaker>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Too many wait.
    LineFull,
    /// The breaker is open for so long.
    BreakerOpen(Duration),
    /// It did not come in time.
    Timeout,
    /// Something else came.
    Mishap(Mishap),
}

impl Backend {
    pub(super) fn new(uri: Uri, courier: Courier, bounds: HookBounds) -> Self {
        Self {
            uri,
            courier,
            bounds,
            line: Line::new(bounds.concurrency, bounds.waiting_max),
            breaker: Mutex::new(Breaker::new(bounds.breaker_failures, bounds.breaker_pause)),
        }
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    pub(super) fn is_breaker_closed(&self) -> bool {
        self.breaker().is_closed()
    }

    /// Asks and gives what was answered, until the deadline. Dropped, it gives up.
    pub(super) async fn ask(
        &self,
        kind: HookKind,
        letter: Letter,
        counts: &HookCounts,
    ) -> Result<Bytes, Unanswered> {
        let deadline = Instant::now() + self.bounds.timeout;
        // Whoever could not be asked anyway does not stand in line for it.
        self.breaker().peek(now()).map_err(Unanswered::BreakerOpen)?;
        let place = timeout_at(deadline, self.line.enter()).await;
        let _place = place
            .map_err(|_| Unanswered::Timeout)?
            .map_err(|_| Unanswered::LineFull)?;
        let mut probe = Probe::begin(self)?;
        let tries = self.ask_again(kind, &letter, counts);
        let outcome = match timeout_at(deadline, tries).await {
            Ok(outcome) => outcome.map_err(Unanswered::Mishap),
            Err(_) => Err(Unanswered::Timeout),
        };
        probe.verdict = match outcome {
            Ok(_) => Verdict::Alive,
            Err(unanswered) => unanswered.verdict(),
        };
        outcome
    }

    /// Asks once more, a little later each time, where the backend has decided nothing for certain.
    async fn ask_again(&self, kind: HookKind, letter: &Letter, counts: &HookCounts) -> Result<Bytes, Mishap> {
        let mut pause = RETRY_PAUSE;
        for _ in 0..RETRIES_MAX {
            match self.try_once(letter).await {
                Err(mishap) if mishap.is_undecided() => tracing::debug!(hook = kind.name(), ?mishap, "again"),
                outcome => return outcome,
            }
            // Anywhere from half of it on, so that those who failed together do not come back together.
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            counts.retried(kind);
            pause *= 2;
        }
        self.try_once(letter).await
    }

    async fn try_once(&self, letter: &Letter) -> Result<Bytes, Mishap> {
        let bytes_max = self.bounds.answer_bytes_max;
        self.courier.ask(&self.uri, letter, bytes_max).await
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        // It is changed in one assignment.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody whom the breaker has let through. When it is dropped, the breaker hears of it.
struct Probe<'a> {
    backend: &'a Backend,
    verdict: Verdict,
}

impl<'a> Probe<'a> {
    fn begin(backend: &'a Backend) -> Result<Self, Unanswered> {
        backend.breaker().admit(now()).map_err(Unanswered::BreakerOpen)?;
        Ok(Self {
            backend,
            verdict: Verdict::Unknown,
        })
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        let change = self.backend.breaker().report(self.verdict, now());
        let host = self.backend.uri.host().unwrap_or_default();
        match change {
            Some(Change::Opened) => {
                tracing::warn!(host, "a hook does not answer, it is not asked for a while");
            }
            Some(Change::Closed) => tracing::info!(host, "a hook answers again"),
            None => {}
        }
    }
}

impl Mishap {
    /// Whether nothing was decided yet, so that asking again cannot do anything twice: nobody has seen the request, or
    /// something in front of the backend says that nobody has.
    fn is_undecided(self) -> bool {
        match self {
            Self::Unreachable => true,
            Self::Status(status) => is_of_gateway(status),
            Self::Broken | Self::TooLarge | Self::NotJson => false,
        }
    }
}

impl Unanswered {
    /// What it says about the backend. One that answers nonsense is there: a client that has found a question for
    /// which it does must not end the hook for everyone.
    fn verdict(self) -> Verdict {
        match self {
            Self::Timeout | Self::Mishap(Mishap::Unreachable | Mishap::Broken) => Verdict::Dead,
            Self::Mishap(Mishap::Status(status)) if is_of_gateway(status) => Verdict::Dead,
            Self::Mishap(_) => Verdict::Alive,
            Self::LineFull | Self::BreakerOpen(_) => Verdict::Unknown,
        }
    }

    /// Under what it is counted.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::LineFull => Outcome::LineFull,
            Self::BreakerOpen(_) => Outcome::BreakerOpen,
            Self::Timeout => Outcome::Timeout,
            Self::Mishap(Mishap::Unreachable) => Outcome::Unreachable,
            Self::Mishap(Mishap::Broken) => Outcome::Broken,
            Self::Mishap(Mishap::Status(_)) => Outcome::Status,
            Self::Mishap(Mishap::TooLarge) => Outcome::TooLarge,
            Self::Mishap(Mishap::NotJson) => Outcome::BadAnswer,
        }
    }

    /// What the client is told: nothing about the backend.
    pub(super) fn denial(self) -> Denial {
        match (self, Denial::unavailable()) {
            (Self::LineFull, _) => Denial::Refused {
                code: ErrorCode::Overloaded,
                message: "too many wait for the application, try again later".to_owned(),
                retry_after_ms: Some(LINE_FULL_RETRY_MS),
                application_code: None,
            },
            (Self::BreakerOpen(left), Denial::Refused { code, message, .. }) => Denial::Refused {
                code,
                message,
                retry_after_ms: Some((left.as_millis() as u64).max(1)),
                application_code: None,
            },
            (_, unavailable) => unavailable,
        }
    }
}

/// Whether a status is of a server that stands in front of the one that was meant, or of one that does not work now
/// (RFC 9110, section 15.6).
fn is_of_gateway(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// How often a question is asked again.
const RETRIES_MAX: u32 = 3;

/// How long the first pause before that is at most; each is twice as long as the one before.
const RETRY_PAUSE: Duration = Duration::from_millis(40);

/// When somebody may come back for whom the line was too long.
const LINE_FULL_RETRY_MS: u64 = 1_000;
