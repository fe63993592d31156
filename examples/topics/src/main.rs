//! Several topics per client: prices that only the server publishes, and rooms that everyone may enter and leave.

mod page;
mod prices;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use fanfare::{Fanfare, Limits, Options, SlowRule, TopicRule, TopicRules, Who};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let fanfare = Fanfare::start(Options {
        anonymous: true,
        rules: rules()?.into(),
        limits: Limits {
            // Prices that wait are soon replaced: there is no use in more of them than this.
            outbox_frames_max: 64,
            ..Limits::default()
        },
        ..Options::default()
    })?;
    tokio::spawn(prices::run(fanfare.clone()));
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

/// The first rule whose pattern matches a topic decides about it; what no rule speaks of is closed.
fn rules() -> Result<TopicRules, Box<dyn Error>> {
    // Who reads too slowly gets the newest price of every symbol, and not the ones that it replaces.
    let prices = TopicRule::new(prices::TOPIC)?
        .subscribe(Who::Anyone)
        .slow(SlowRule::Conflate);
    let rooms = TopicRule::new("room:*")?
        .subscribe(Who::Anyone)
        .publish(Who::Anyone);
    Ok(TopicRules::from([prices, rooms]))
}
