//! The HTTP API below `/api`: publish, send, control connections, list.
//!
//! In come requests of the application's backend, out goes JSON, also for every error. [`access`] decides who may
//! call, [`scope`] what, [`query`] and [`body`] read what is asked and bound it, [`publish`], [`control`], [`listing`] and [`history`]
//! hand it to the library's handle. `openapi.json` is the contract and `docs/protocol/http.md` explains it; tests hold all three
//! together. [`centrifuge`] is Centrifugo's API at the same paths, for callers that speak it. Nothing is decided here about messaging, and no cross-origin header is ever sent: browsers are not callers.

mod access;
mod answer;
mod body;
mod centrifuge;
mod control;
mod history;
mod listing;
mod presence;
mod publish;
mod query;
mod reload;
mod revoke;
mod scope;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use fanfare::Fanfare;
use tokio::sync::Semaphore;

use crate::serve::Reload;
pub(crate) use access::Access;
use answer::{Code, Problem};
use centrifuge::Node;
use scope::Scope;

/// Everything below `/api`. Callers that `access` does not admit get nothing but the description of the API.
pub(crate) fn router(fanfare: Fanfare, access: Access, reload: Arc<Reload>) -> Router {
    Api {
        fanfare,
        access,
        reload,
        calls: Arc::new(Semaphore::new(CALLS_MAX)),
        node: Arc::new(Node::begin()),
    }
    .into_router()
}

/// What every call works with.
#[derive(Clone)]
struct Api {
    fanfare: Fanfare,
    access: Access,
    reload: Arc<Reload>,
    calls: Arc<Semaphore>,
    node: Arc<Node>,
}

impl Api {
    fn into_router(self) -> Router {
        let mut paths = Router::new();
        for Route { path, methods, .. } in routes() {
            paths = paths.route(path, centrifuge::before(path, methods, &self));
        }
        paths = centrifuge::mount(paths);
        // Routes, not a fallback: whoever mounts this has a fallback of their own.
        for path in ["/api", "/api/", "/api/{*path}"] {
            paths = paths.route(path, any(not_found));
        }
        paths
            .method_not_allowed_fallback(method_not_allowed)
            .layer(from_fn_with_state(self.clone(), admit))
            .route(OPENAPI_PATH, get(openapi))
            .method_not_allowed_fallback(method_not_allowed)
            .layer(map_response(protect))
            .with_state(self)
    }
}

/// A path that needs a right to call.
struct Route {
    path: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "the contract's test compares it"))]
    method: &'static str,
    methods: MethodRouter<Api>,
}

/// Every path that needs a right to call.
fn routes() -> [Route; 13] {
    let posted = |path, methods| Route {
        path,
        method: "post",
        methods,
    };
    let managed = |path, methods| posted(path, Scope::Admin.before(methods));
    let got = |path, methods| Route {
        path,
        method: "get",
        methods: Scope::Stats.before(methods),
    };
    [
        posted("/api/publish", post(publish::publish)),
        posted("/api/broadcast", post(publish::broadcast)),
        posted("/api/send", post(publish::send)),
        managed("/api/subscribe", post(control::subscribe)),
        managed("/api/unsubscribe", post(control::unsubscribe)),
        managed("/api/disconnect", post(control::disconnect)),
        managed("/api/revoke", post(revoke::revoke)),
        managed("/api/reload", post(reload::reload)),
        got("/api/topics", get(listing::topics)),
        got("/api/presence", get(presence::presence)),
        got("/api/connections", get(listing::connections)),
        got("/api/stats", get(listing::stats)),
        Route {
            path: "/api/history",
            method: "get",
            methods: get(history::history),
        },
    ]
}

/// Lets a request through to its path, or answers in its place.
async fn admit(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    match api.access.check(&request) {
        Ok(caller) => request.extensions_mut().insert(caller),
        Err(problem) => return problem.into_response(),
    };
    let Ok(_place) = api.calls.try_acquire() else {
        let message = format!("{CALLS_MAX} calls are under way, call again in a moment");
        return Problem::new(Code::Busy, message).into_response();
    };
    next.run(request).await
}

/// Keeps answers out of caches and out of any reading but as what they are.
async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn not_found(request: Request) -> Problem {
    Problem::new(
        Code::NotFound,
        format!(
            "there is no {}, the paths are in {OPENAPI_PATH}",
            request.uri().path()
        ),
    )
}

async fn method_not_allowed(request: Request) -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        format!(
            "{} does not take {}, `Allow` says what it takes",
            request.uri().path(),
            request.method()
        ),
    )
}

/// Calls that may be under way at once; one more is answered with 503. With the bound of a body it bounds the memory
/// that callers can take.
const CALLS_MAX: usize = 256;

const OPENAPI_PATH: &str = "/api/openapi.json";
const OPENAPI: &str = include_str!("openapi.json");
