//! What orchestrators and Prometheus ask for: is it alive, may it get traffic, how is it doing.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use fanfare::{Fanfare, HostCounter, HostFamily, METRICS_CONTENT_TYPE};

use crate::hooks::HttpHooks;
use crate::logging::Log;
use crate::notices::Notices;
use crate::panics;

/// `/health` and `/ready`.
pub(super) fn router(fanfare: Fanfare) -> Router {
    let ready = move || std::future::ready(ready(&fanfare));
    Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
}

/// `/metrics`.
pub(super) fn metrics(fanfare: Fanfare, hooks: Option<HttpHooks>, log: Log) -> Router {
    let page = move || {
        let families = hooks.as_ref().map(HttpHooks::metrics).unwrap_or_default();
        let notices = hooks.as_ref().and_then(HttpHooks::notices);
        let mut counters = counters(&log).to_vec();
        counters.extend(notices.into_iter().flat_map(Notices::counters));
        std::future::ready(metrics_page(&fanfare, &counters, &families))
    };
    Router::new().route("/metrics", get(page))
}

/// Ready while new connections are welcome.
fn ready(fanfare: &Fanfare) -> (StatusCode, &'static str) {
    if fanfare.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    } else if !fanfare.has_descriptors() {
        (StatusCode::SERVICE_UNAVAILABLE, "descriptors are exhausted\n")
    } else if fanfare.is_memory_short() {
        (StatusCode::SERVICE_UNAVAILABLE, "memory is short\n")
    } else if fanfare.is_storage_failed() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the disk of the data directory failed\n",
        )
    } else {
        (StatusCode::OK, "ready\n")
    }
}

fn metrics_page(
    fanfare: &Fanfare,
    counters: &[HostCounter],
    families: &[HostFamily],
) -> impl IntoResponse + use<> {
    (
        [(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)],
        fanfare.metrics_with(counters, families),
    )
}

/// What the program counts beside the library.
fn counters(log: &Log) -> [HostCounter; 5] {
    let panics = panics::counted();
    let counter = |name, help, value| HostCounter { name, help, value };
    [
        counter(
            "fanfare_process_panics",
            "Panics of the whole process, those that shards caught included",
            panics.all,
        ),
        counter(
            "fanfare_http_panics",
            "HTTP requests answered with 500 because their handler panicked",
            panics.http,
        ),
        counter(
            "fanfare_chore_panics",
            "Panics in chores, which are done again",
            panics.chores,
        ),
        counter(
            "fanfare_log_lines_dropped",
            "Lines of the log dropped because standard error was too slow or failed, or because they were too long",
            log.dropped(),
        ),
        counter(
            "fanfare_log_lines_left_out",
            "Lines of the log left out because the same place in the code had logged enough in that second",
            log.left_out(),
        ),
    ]
}
