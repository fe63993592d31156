//! What orchestrators and Prometheus ask for: is it alive, may it get traffic, how is it doing.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use fanfare::Fanfare;

/// `/health` and `/ready`.
pub(super) fn router(fanfare: Fanfare) -> Router {
    let ready = move || std::future::ready(ready(&fanfare));
    Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
}

/// `/metrics`.
pub(super) fn metrics(fanfare: Fanfare) -> Router {
    Router::new().route(
        "/metrics",
        get(move || std::future::ready(metrics_page(&fanfare))),
    )
}

/// Ready while new connections are welcome.
fn ready(fanfare: &Fanfare) -> (StatusCode, &'static str) {
    if fanfare.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    } else if !fanfare.has_descriptors() {
        (StatusCode::SERVICE_UNAVAILABLE, "descriptors are exhausted\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

fn metrics_page(fanfare: &Fanfare) -> impl IntoResponse + use<> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], fanfare.metrics())
}
