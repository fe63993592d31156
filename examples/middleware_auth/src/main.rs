//! An application with logins of its own: its session middleware decides who a request is from, and so does the hub.

mod auth;
mod notes;
mod page;
mod sessions;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use fanfare::{Fanfare, Options, TopicRule, TopicRules, Who};
use tokio::net::TcpListener;

use sessions::Sessions;

/// What the handlers share.
#[derive(Clone)]
struct App {
    fanfare: Fanfare,
    sessions: Sessions,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let rules = TopicRules::from([TopicRule::new("inbox:{user}")?.subscribe(Who::Users)]);
    let fanfare = Fanfare::start(Options {
        rules: rules.into(),
        ..Options::default()
    })?;
    let app = App {
        fanfare: fanfare.clone(),
        sessions: Sessions::default(),
    };
    let inside = Router::new()
        .route("/ws", fanfare.websocket())
        .route("/me", get(auth::me))
        .route("/notes", post(notes::send))
        .route("/logout", post(auth::log_out))
        .layer(from_fn_with_state(app.clone(), auth::identify));
    let router = inside
        .route("/login", get(page::login).post(auth::log_in))
        .merge(page::router())
        .with_state(app);

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8080")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(
        listener,
        router.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
    .await?;
    fanfare.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
    Ok(())
}
