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

mod client;
mod command;
mod driver;
mod endpoint;
mod handshake;
mod limits;
mod publication;
mod retry;
mod server_message;
mod session;
mod socket;
mod stream;
#[cfg(feature = "tls")]
mod tls;

pub use client::{Client, Commands, ConnectOptions, Error};
pub use endpoint::EndpointError;
pub use fanfare_protocol::{Every, EveryError, Key, KeyError};
pub use handshake::HandshakeError;
pub use limits::{COMMANDS_PENDING_MAX, TOPICS_MAX};
pub use publication::{Payload, Publication, Sender};
pub use server_message::{Goodbye, Limits, Malformed, Published, Refusal, Subscribed, Welcome};
pub use session::{Incoming, LimitExceeded, PublishOptions, Push, Reply, Session, SubscribeOptions};
