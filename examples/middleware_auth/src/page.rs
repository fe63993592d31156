//! The pages, under a policy that lets them load their own files and talk to their own host, and nothing else.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/",
            get(async || file("text/html; charset=utf-8", include_str!("../pages/index.html"))),
        )
        .route(
            "/inbox.js",
            get(async || file("text/javascript", include_str!("../pages/inbox.js"))),
        )
        .route(
            "/connection.js",
            get(async || file("text/javascript", include_str!("../pages/connection.js"))),
        )
        .route(
            "/style.css",
            get(async || file("text/css", include_str!("../pages/style.css"))),
        )
}

pub async fn login() -> impl IntoResponse {
    file("text/html; charset=utf-8", include_str!("../pages/login.html"))
}

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, content)
}
