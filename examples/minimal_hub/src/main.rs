//! Who opens `/ws` is registered, who leaves is unregistered, and what is posted to `/broadcast` reaches everyone.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use fanfare::{Fanfare, Options, Payload};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options {
        anonymous: true,
        ..Options::default()
    };
    let fanfare = Fanfare::start(options)?;
    let app = Router::new()
        .route("/ws", fanfare.websocket())
        .route("/", get(count))
        .route("/broadcast", post(broadcast))
        .with_state(fanfare.clone());
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8080")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    fanfare.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
    Ok(())
}

async fn count(State(fanfare): State<Fanfare>) -> String {
    format!("{} connected\n", fanfare.connection_count())
}

async fn broadcast(State(fanfare): State<Fanfare>, text: String) -> Result<(), (StatusCode, String)> {
    let outcome = fanfare.broadcast(Payload::text(text)).await;
    outcome
        .map(drop)
        .map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
}
