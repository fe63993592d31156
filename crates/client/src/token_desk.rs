//! Asks for tokens while a connection is served.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;

use crate::connect_options::ConnectOptions;
use crate::limits::TOKENS_ASKED_MAX;
use crate::retry::Backoff;
use crate::token::{Token, TokenError, TokenSource};

/// What a token is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To say who the client is.
    Connection,
    /// To receive these topics.
    Topics(Vec<String>),
}

/// Sources that are asked, and those that will be. One that cannot answer now is asked again with a growing delay.
pub(crate) struct TokenDesk {
    under_way: Vec<Inquiry>,
    waiting: VecDeque<(Purpose, TokenSource)>,
    time: Duration,
    backoff: Backoff,
}

type Inquiry = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What came of an inquiry. The error is none that asking again would help.
type Outcome = (Purpose, Result<Token, TokenError>);

impl TokenDesk {
    /// A desk that waits for answers as `options` say.
    pub(crate) fn new(options: &ConnectOptions) -> Self {
        Self {
            under_way: Vec::new(),
            waiting: VecDeque::new(),
            time: options.connect_timeout,
            backoff: Backoff::new(options.reconnect_delay_min, options.reconnect_delay_max),
        }
    }

    /// Asks `source`, as soon as not too many others are asked.
    pub(crate) fn ask(&mut self, purpose: Purpose, source: TokenSource) {
        self.waiting.push_back((purpose, source));
        self.begin();
    }

    /// Forgets everything: the connection that it was for is lost.
    pub(crate) fn clear(&mut self) {
        self.under_way.clear();
        self.waiting.clear();
    }

    /// The next answer; waits for ever when nothing is asked. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Outcome {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        for index in 0..self.under_way.len() {
            if let Poll::Ready(outcome) = self.under_way[index].as_mut().poll(context) {
                drop(self.under_way.swap_remove(index));
                self.begin();
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    }

    fn begin(&mut self) {
        while self.under_way.len() < TOKENS_ASKED_MAX
            && let Some((purpose, source)) = self.waiting.pop_front()
        {
            let (time, backoff) = (self.time, self.backoff.clone());
            self.under_way.push(Box::pin(async move {
                let outcome = ask_until_answered(&source, time, backoff).await;
                (purpose, outcome)
            }));
        }
    }
}

async fn ask_until_answered(
    source: &TokenSource,
    time: Duration,
    mut backoff: Backoff,
) -> Result<Token, TokenError> {
    loop {
        match source.ask(time).await {
            Err(error) if error.is_temporary() => sleep(backoff.next_delay(fastrand::f64())).await,
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_cannot_answer_is_asked_again_and_only_so_many_at_once() {
        let asked = Arc::new(AtomicUsize::new(0));
        let source = {
            let asked = Arc::clone(&asked);
            TokenSource::new(move || {
                let time = asked.fetch_add(1, Ordering::Relaxed);
                async move {
                    match time {
                        0..TOKENS_ASKED_MAX => Err(TokenError::unavailable("not now")),
                        _ => Ok("token".to_owned()),
                    }
                }
            })
        };
        let mut desk = TokenDesk::new(&ConnectOptions::default());
        for _ in 0..=TOKENS_ASKED_MAX {
            desk.ask(Purpose::Connection, source.clone());
        }
        assert!(
            futures_are_pending(&mut desk).await,
            "all that were asked wait for another time"
        );
        assert_eq!(asked.load(Ordering::Relaxed), TOKENS_ASKED_MAX);
        for _ in 0..=TOKENS_ASKED_MAX {
            assert!(desk.next().await.1.is_ok());
        }
    }

    async fn futures_are_pending(desk: &mut TokenDesk) -> bool {
        poll_fn(|context| Poll::Ready(desk.poll_next(context).is_pending())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_denial_is_an_answer() {
        let mut desk = TokenDesk::new(&ConnectOptions::default());
        let source = TokenSource::new(|| async { Err(TokenError::denied("logged out")) });
        desk.ask(Purpose::Topics(vec!["a".to_owned()]), source);
        let (purpose, outcome) = desk.next().await;
        assert_eq!(purpose, Purpose::Topics(vec!["a".to_owned()]));
        assert!(outcome.is_err());
    }
}
