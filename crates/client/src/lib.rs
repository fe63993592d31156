//! A client of Fanfare's `json` dialect.
//!
//! [`Client`] is what most programs want: it connects, answers pings, reconnects with a growing delay, subscribes
//! again and says what was missed. [`Session`] is the protocol alone, without any I/O, for programs that bring their
//! own WebSocket. `wss://` needs the feature `tls`. It does not offer compression.
//!
//! ```no_run
//! # async fn example() -> Result<(), fanfare_client::Error> {
//! use fanfare_client::{Client, ConnectOptions, Push};
//!
//! let mut client = Client::connect("ws://127.0.0.1:8080/ws", ConnectOptions::default()).await?;
//! client.subscribe(&["news"]).await?;
//! client.publish("news", "hello").await?;
//! while let Some(push) = client.next().await {
//!     if let Push::Publication(publication) = push {
//!         println!("{}", publication.payload.as_text());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod asking;
mod client;
mod command;
mod commands;
mod connect_options;
mod delivery;
mod driver;
mod endpoint;
mod error;
mod handshake;
mod incoming;
mod limits;
mod publication;
mod renewal;
mod retry;
mod routes;
mod server_message;
mod session;
mod socket;
mod stream;
mod subscription;
#[cfg(feature = "tls")]
mod tls;
mod token;
mod token_desk;

pub use client::Client;
pub use command::{PublishOptions, SubscribeOptions};
pub use commands::Commands;
pub use connect_options::ConnectOptions;
pub use delivery::{Delivery, UnsubscribedBy};
pub use endpoint::EndpointError;
pub use error::Error;
pub use fanfare_protocol::{Every, EveryError, Key, KeyError};
pub use handshake::HandshakeError;
pub use incoming::{Incoming, Push, Reply};
pub use limits::{COMMANDS_PENDING_MAX, LimitExceeded, SUBSCRIPTIONS_MAX, TOPICS_MAX};
pub use publication::{Payload, Publication, Sender};
pub use server_message::{
    Authenticated, Goodbye, Limits, Malformed, Published, Refusal, Subscribed, Welcome,
};
pub use session::Session;
pub use subscription::Subscription;
pub use token::{Token, TokenError, TokenSource};
