//! What a panic outside the shards takes with it. `docs/decisions/0010-what-dies-with-what.md` says why.
//!
//! Every panic of the process is counted and logged where it happens, without its text where that was put together at
//! run time: it may hold what a client sent. One in an HTTP handler is answered with 500, one in a chore that is done
//! again and again ends this turn of it. All others end what they were in, and `serve` sees to the rest.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Panics of the process, those that were caught included. A hook is the process's, so its count is too.
static ALL: AtomicU64 = AtomicU64::new(0);
static HTTP: AtomicU64 = AtomicU64::new(0);
static CHORES: AtomicU64 = AtomicU64::new(0);

/// Panics so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panics {
    /// All of the process, those of the shards included.
    pub(crate) all: u64,
    /// In handlers of HTTP requests.
    pub(crate) http: u64,
    /// In chores.
    pub(crate) chores: u64,
}

/// Counts and logs panics from now on, in place of the standard report, which waits for standard error.
pub(crate) fn watch() {
    std::panic::set_hook(Box::new(|panic| {
        ALL.fetch_add(1, Ordering::Relaxed);
        report(panic);
    }));
}

fn report(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    // A text that stands in the program as it is, and not one with values in it.
    let text = panic.payload().downcast_ref::<&'static str>().copied();
    tracing::error!(
        thread,
        place,
        text,
        "a panic, which is a mistake in this program: please report it"
    );
}

/// The counts.
pub(crate) fn counted() -> Panics {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Panics {
        all: count(&ALL),
        http: count(&HTTP),
        chores: count(&CHORES),
    }
}

/// Middleware: a request whose handler panics is answered with 500, and only that request.
pub(crate) async fn answer(request: Request, next: Next) -> Response {
    let mut answering = pin!(next.run(request));
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(context)));
        polled.unwrap_or_else(|_| {
            HTTP.fetch_add(1, Ordering::Relaxed);
            let answer = (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the server failed at this request\n",
            );
            Poll::Ready(answer.into_response())
        })
    })
    .await
}

/// Does a chore that will be done again; a panic ends this turn of it.
pub(crate) fn outlive(chore: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(chore)).is_err() {
        CHORES.fetch_add(1, Ordering::Relaxed);
    }
}
