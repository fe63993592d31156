//! A chat room: who comes gives a name, everyone sees who comes, who goes and what is said.

mod chat;
mod page;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use fanfare::{Application, Fanfare, Options, Retention, TopicRule, TopicRules, Who};
use tokio::net::TcpListener;

use chat::{Chat, ROOM};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Whoever is in has given a name, and may hear what is said and what was.
    let room = TopicRule::new(ROOM)?
        .subscribe(Who::Anyone)
        .history(Who::Subscribers)
        .publish(Who::Hook);
    let fanfare = Fanfare::start(Options {
        rules: TopicRules::from([room]).into(),
        application: Some(Application::new(Chat)),
        notices: true,
        history: Retention {
            publications_max: 100,
            age_max_ms: u64::MAX,
            ..Retention::default()
        },
        ..Options::default()
    })?;
    let app = Router::new()
        .route("/ws", fanfare.websocket())
        .merge(page::router());

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8080")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    fanfare.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
    Ok(())
}
