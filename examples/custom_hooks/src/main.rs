//! What only the application can decide: who belongs to which group, how fast one may talk, and which words are fit.

mod hooks;
mod rate;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use fanfare::{Application, Fanfare, Options, TopicRule, TopicRules, Who};
use tokio::net::TcpListener;

use hooks::Groups;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let rules = TopicRules::from([TopicRule::new("group:{claims.group}")?.publish(Who::Hook)]);
    let fanfare = Fanfare::start(Options {
        rules: rules.into(),
        application: Some(Application::new(Groups::default())),
        notices: true,
        ..Options::default()
    })?;
    let app = Router::new().route("/ws", fanfare.websocket());

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8080")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    fanfare.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
    Ok(())
}
