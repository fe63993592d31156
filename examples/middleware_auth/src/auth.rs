//! Logging in and out, and the middleware that knows who a request is from.

use std::sync::Arc;

use axum::extract::{Extension, Form, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use fanfare::{Disconnect, Identity, Selector, UserName};
use serde::Deserialize;

use crate::App;
use crate::sessions::SESSION_SECONDS;

/// Who there is, with their passwords. An application has hashes of them in its database.
const USERS: [(&str, &str); 2] = [("ada", "engine"), ("ben", "kite")];

#[derive(Deserialize)]
pub struct Credentials {
    user: String,
    password: String,
}

/// Whether there is such a user.
pub fn is_user(name: &str) -> bool {
    USERS.iter().any(|&(user, _)| user == name)
}

/// Lets requests with a session in, and says whose they are. The hub looks for just this extension.
pub async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let session = session_cookie(request.headers()).and_then(|secret| app.sessions.find(secret));
    let Some(identity) = session else {
        return (StatusCode::UNAUTHORIZED, "log in first\n").into_response();
    };
    request.extensions_mut().insert(identity);
    next.run(request).await
}

/// Who asks.
pub async fn me(Extension(identity): Extension<Arc<Identity>>) -> String {
    identity
        .user
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

pub async fn log_in(State(app): State<App>, Form(given): Form<Credentials>) -> Response {
    let user = UserName::parse(&given.user).ok();
    let is_known = USERS.contains(&(&given.user, &given.password));
    let Some(user) = user.filter(|_| is_known) else {
        return Redirect::to("/login#wrong").into_response();
    };
    match app.sessions.open(user) {
        Ok(secret) => set_cookie(&secret, SESSION_SECONDS),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Ends the session and its connections; other sessions of the user stay.
pub async fn log_out(State(app): State<App>, Extension(identity): Extension<Arc<Identity>>) -> Response {
    app.sessions.close(&identity);
    if let Some(session) = &identity.token_id {
        let connections = Selector::Token(session.clone());
        if let Err(error) = app
            .fanfare
            .disconnect(connections, Disconnect::Disconnected)
            .await
        {
            return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response();
        }
    }
    set_cookie("", 0)
}

/// To the page, with a cookie that scripts cannot read and other sites cannot use. Over HTTPS it is `Secure` as well.
fn set_cookie(secret: &str, seconds: u64) -> Response {
    let cookie = format!("session={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split("; "))
        .find_map(|cookie| cookie.strip_prefix("session="))
}
