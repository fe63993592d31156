//! The page, under a policy that lets it load its own files and connect to its own host, and nothing else.

use axum::Router;
use axum::http::header;
use axum::routing::{MethodRouter, get};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn router() -> Router {
    Router::new()
        .route(
            "/",
            file("text/html; charset=utf-8", include_str!("../pages/index.html")),
        )
        .route(
            "/topics.js",
            file("text/javascript", include_str!("../pages/topics.js")),
        )
        .route(
            "/connection.js",
            file("text/javascript", include_str!("../pages/connection.js")),
        )
        .route("/style.css", file("text/css", include_str!("../pages/style.css")))
}

fn file(kind: &'static str, content: &'static str) -> MethodRouter {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    get(async move || (headers, content))
}
