//! A client of Fanfare's `json` dialect: it connects, says who it is, subscribes, publishes and calls, and when its
//! connection ends it makes another, subscribes again and goes on from where it was.
//!
//! ```no_run
//! use fanfare_client::{Client, ConnectOptions, Delivery};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Headline {
//!     text: String,
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ConnectOptions {
//!     token: Some("eyJhbGciOiJI…".into()),
//!     ..ConnectOptions::default()
//! };
//! let mut client = Client::connect("ws://127.0.0.1:8080/ws", options).await?;
//! client.ignore_pushes();
//! let mut news = client.subscription("news").await?;
//! client.publish("news", &Headline { text: "it works".to_owned() }).await?;
//! while let Some(delivery) = news.next().await {
//!     match delivery {
//!         Delivery::Publication(publication) => println!("{:?}", publication.json::<Headline>()?),
//!         Delivery::Missed(gap) => println!("{gap}"),
//!         Delivery::Occupancy { .. } | Delivery::Presence(_) | Delivery::PresenceMissed => {}
//!         Delivery::Unsubscribed(by) => println!("that was all: {by:?}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Where what comes goes
//!
//! There are two ways to take what the server says, and a program may use both:
//!
//! - [`Client::subscription`] gives out one topic as a [`Subscription`], a [`Stream`] of its own. A slow one misses
//!   publications, is told how many, and holds up nobody; its drop unsubscribes.
//! - [`Client::next`] gives out everything else in the order in which it comes, as [`Push`]: the topics of
//!   [`Client::subscribe`] and those that the server chose, what was sent to this connection alone, and what becomes of
//!   the connection ([`Push::Welcome`], [`Push::Disconnected`] with the time of the next attempt). While it is not
//!   taken, nothing is read from the server at all, so a program that does not want it says so with
//!   [`Client::ignore_pushes`].
//!
//! ```no_run
//! # async fn example() -> Result<(), fanfare_client::Error> {
//! use fanfare_client::{Client, ConnectOptions, Push};
//!
//! let mut client = Client::connect("ws://127.0.0.1:8080/ws", ConnectOptions::default()).await?;
//! client.subscribe(&["news", "weather"]).await?;
//! while let Some(push) = client.next().await {
//!     match push {
//!         Push::Publication(publication) => println!("{}", publication.payload.as_text()),
//!         Push::Disconnected { reason, .. } => eprintln!("{reason}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Where it goes on
//!
//! A client that comes back names the [`Position`] of every topic, and what was published meanwhile comes like anything
//! else, in order and each once. What cannot be had is told in its place, as a [`Gap`] with its offsets and its cause. A
//! program that stores positions goes on after its own restart too; without, a subscription begins now, or as
//! [`SubscribeOptions::since`] says.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use fanfare_client::{Client, ConnectOptions, Delivery, Since, SubscribeOptions};
//!
//! let client = Client::connect("ws://127.0.0.1:8080/ws", ConnectOptions::default()).await?;
//! let since = match std::fs::read_to_string("position") {
//!     Ok(stored) => Since::Position(stored.parse()?),
//!     Err(_) => Since::Last(20),
//! };
//! let options = SubscribeOptions {
//!     since: Some(since),
//!     ..SubscribeOptions::default()
//! };
//! let mut news = client.subscription_with("news", options).await?;
//! while let Some(delivery) = news.next().await {
//!     match delivery {
//!         Delivery::Publication(publication) => println!("{}", publication.payload.as_text()),
//!         Delivery::Missed(gap) => eprintln!("{gap}"),
//!         _ => {}
//!     }
//!     std::fs::write("position", news.position().to_string())?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What was published before is read page by page with [`Client::history`]:
//!
//! ```no_run
//! # async fn example(client: fanfare_client::Client) -> Result<(), fanfare_client::Error> {
//! let mut history = client.history("news");
//! while let Some(page) = history.next().await? {
//!     for publication in &page.publications {
//!         println!("{}", publication.payload.as_text());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Who is there
//!
//! Where the server keeps it and lets the client see it, [`Client::presence`] tells who is in a topic and
//! [`Client::attendance`] how many. With [`SubscribeOptions::presence`] a subscription is told: first everyone, then once a
//! second who came and went. Whenever that cannot be told, after a reconnect or when the server has lost track, everyone is
//! told again; a program that lets too much wait is told so ([`Delivery::PresenceMissed`]) and asks. A [`Roster`] keeps
//! account of it.
//!
//! ```no_run
//! # async fn example(client: fanfare_client::Client) -> Result<(), fanfare_client::Error> {
//! use fanfare_client::{Delivery, Roster, SubscribeOptions};
//!
//! let options = SubscribeOptions {
//!     presence: true,
//!     ..SubscribeOptions::default()
//! };
//! let mut room = client.subscription_with("room", options).await?;
//! let mut roster = Roster::new();
//! while let Some(delivery) = room.next().await {
//!     match delivery {
//!         Delivery::Presence(update) => roster.apply(update),
//!         Delivery::PresenceMissed => roster.miss(),
//!         _ => continue,
//!     }
//!     if !roster.is_complete() {
//!         roster.replace(client.presence("room").all(100_000).await?);
//!     }
//!     let names: Vec<_> = roster.members().filter_map(|member| member.user.as_deref()).collect();
//!     println!("{} are here: {}", roster.attendance().connections, names.join(", "));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Who it is
//!
//! [`ConnectOptions::token`] is a text, or a closure that is asked for a token at each attempt to connect and again
//! before the one in use ends, which is then shown over the connection. A [`TokenSource`] in [`SubscribeOptions::token`]
//! opens single topics. Tokens are in no error and no `Debug` output. Over `ws://` anyone on the way can read them.
//!
//! # When it comes back
//!
//! After a random delay that doubles with every attempt that fails, and not before the server asks for it
//! (`reconnect_after_ms` of a goodbye, `Retry-After` of a refused handshake). Never after a close code that says no, nor
//! after a status that would be the same again; after 401 and 403 only with another token. [`Client::ended_by`] then says
//! why, and the predicates of [`Error`] what can be done.
//!
//! A topic that the server does not give it again for now is asked for again with such delays, not before
//! `retry_after_ms`, and from where it was ([`Push::Postponed`]); one that it refuses for good ends with that refusal.
//!
//! # Parts
//!
//! [`Session`] is the protocol alone, without any I/O, for programs that bring their own WebSocket. `wss://` needs the
//! feature `tls`. Compression is not offered.
//!
//! [`Stream`]: futures_core::Stream

mod asking;
mod client;
mod command;
mod commands;
mod connect_options;
mod delivery;
mod driver;
mod endpoint;
mod error;
mod gap;
mod handshake;
mod history;
mod incoming;
mod limits;
mod place;
mod presence;
mod publication;
mod renewal;
mod retry;
mod roster;
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
mod topic;

pub use client::Client;
pub use command::SubscribeOptions;
pub use commands::Commands;
pub use connect_options::ConnectOptions;
pub use delivery::{Delivery, UnsubscribedBy};
pub use endpoint::EndpointError;
pub use error::Error;
pub use fanfare_protocol::{
    Epoch, Every, EveryError, IdempotencyKey, Key, KeyError, Loss, Position, PublishOptions, Reading, Since,
    SinceError,
};
pub use gap::{Gap, GapCause};
pub use handshake::HandshakeError;
pub use history::{History, HistoryOptions, HistoryPage};
pub use incoming::{Incoming, Push, Reply};
pub use limits::{COMMANDS_PENDING_MAX, LimitExceeded, SUBSCRIPTIONS_MAX, TOPICS_MAX};
pub use presence::{Attendance, Presence, PresenceOptions, PresencePage, PresenceUpdate, Present};
pub use publication::{Payload, Publication, Sender};
pub use roster::Roster;
pub use server_message::{
    Authenticated, Goodbye, Limits, Malformed, Published, Refusal, Subscribed, Welcome,
};
pub use session::Session;
pub use subscription::Subscription;
pub use token::{Token, TokenError, TokenSource};
