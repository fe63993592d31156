//! Every byte that a client sends goes to everybody who is connected, text as text and binary as binary.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::map_request;
use fanfare::{Fanfare, Options, TopicRules};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options {
        anonymous: true,
        rules: TopicRules::open().into(),
        ..Options::default()
    };
    let fanfare = Fanfare::start(options)?;
    let app = Router::new().route("/ws", fanfare.websocket().layer(map_request(to_raw)));

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8080")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    fanfare.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
    Ok(())
}

/// Clients ask for the dialect and for topics in the address. Here all of them get the same.
async fn to_raw(mut request: Request) -> Request {
    *request.uri_mut() = Uri::from_static("/ws?dialect=raw&topic=everybody");
    request
}
