//! Real-time messaging to mount in an axum application: whatever is published to a topic reaches everyone subscribed
//! to it, in order, at once, to nobody's delay.
//!
//! # A chat in five minutes
//!
//! In a new project:
//!
//! ```sh
//! cargo new chat && cd chat
//! cargo add fanfare
//! cargo add axum
//! cargo add tokio --features full
//! ```
//!
//! This is all of `src/main.rs`, the page included:
//!
//! ```no_run
//! use std::net::SocketAddr;
//! use std::time::Duration;
//!
//! use axum::Router;
//! use axum::response::Html;
//! use axum::routing::get;
//! use fanfare::{Fanfare, Options, TopicRules};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let fanfare = Fanfare::start(Options {
//!         // Everyone may come in and do everything. Without these two lines nobody may do anything.
//!         anonymous: true,
//!         rules: TopicRules::open().into(),
//!         ..Options::default()
//!     })?;
//!     let app = Router::new()
//!         .route("/", get(|| async { Html(PAGE) }))
//!         .route("/ws", fanfare.websocket());
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     println!("http://{}", listener.local_addr()?);
//!     let stop = async move {
//!         let _ = tokio::signal::ctrl_c().await;
//!         fanfare.shutdown(Duration::from_secs(1), Duration::from_secs(5)).await;
//!     };
//!     axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
//!         .with_graceful_shutdown(stop)
//!         .await?;
//!     Ok(())
//! }
//!
//! const PAGE: &str = r#"<!doctype html>
//! <title>Chat</title>
//! <input placeholder="say something" autofocus>
//! <pre></pre>
//! <script>
//!   const socket = new WebSocket(`ws://${location.host}/ws?topic=chat`);
//!   const [input, log] = document.querySelectorAll("input, pre");
//!   const say = (line) => log.append(line + "\n");
//!   socket.onmessage = (event) => {
//!     const push = JSON.parse(event.data);
//!     if (push.type === "message") say(push.data);
//!     if (push.type === "error" || push.type === "goodbye") say(`(${push.message ?? push.reason})`);
//!   };
//!   socket.onclose = () => say("(closed)");
//!   input.onchange = () => {
//!     socket.send(JSON.stringify({ type: "publish", topic: "chat", data: input.value }));
//!     input.value = "";
//!   };
//! </script>"#;
//! ```
//!
//! `cargo run`, open `http://127.0.0.1:3000` in two tabs, and type.
//!
//! # The application takes part
//!
//! Whoever holds a [`Fanfare`] publishes to any topic, and receives any topic as a [`Stream`](Subscription):
//!
//! ```
//! use fanfare::{Delivery, Fanfare, Payload};
//!
//! async fn greet(fanfare: Fanfare) -> Result<(), fanfare::CallError> {
//!     fanfare.publish("chat", Payload::text("the server is up")).await?;
//!     let mut chat = fanfare.subscribe("chat").await?;
//!     while let Some(delivery) = chat.next().await {
//!         if let Delivery::Publication(said) = delivery {
//!             println!("{}", String::from_utf8_lossy(said.draft.payload.as_bytes()));
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Who is who, and who may do what
//!
//! A real application takes `anonymous` and the open rules away, says in its own middleware who a request is from, and
//! says in [`TopicRules`] what its users may do. The first rule whose pattern matches a topic decides about it; what no
//! rule speaks of is closed.
//!
//! ```
//! use std::sync::Arc;
//!
//! use axum::Router;
//! use axum::extract::Request;
//! use axum::middleware::{Next, from_fn};
//! use axum::response::Response;
//! use fanfare::{Fanfare, Identity, Options, TopicRule, TopicRules, UserName, Who};
//!
//! /// Whose session it is. Yours looks into its own store here.
//! fn user_of(request: &Request) -> Option<UserName> {
//!     let cookie = request.headers().get("cookie")?.to_str().ok()?;
//!     UserName::parse(cookie.strip_prefix("user=")?).ok()
//! }
//!
//! async fn session(mut request: Request, next: Next) -> Response {
//!     if let Some(user) = user_of(&request) {
//!         request.extensions_mut().insert(Arc::new(Identity::of_user(user)));
//!     }
//!     next.run(request).await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rules = TopicRules::from([
//!     // Everyone reads their own inbox, and only the application writes to it.
//!     TopicRule::new("inbox:{user}")?.subscribe(Who::Users),
//!     TopicRule::new("chat")?.subscribe(Who::Users).publish(Who::Users),
//! ]);
//! let fanfare = Fanfare::start(Options { rules: rules.into(), ..Options::default() })?;
//! let app: Router = Router::new().route("/ws", fanfare.websocket()).layer(from_fn(session));
//! # fanfare.shutdown(Default::default(), std::time::Duration::from_secs(1)).await;
//! # Ok(())
//! # }
//! ```
//!
//! What rules leave open ([`Who::Hook`]) and what clients call are [`Hooks`] of the application: an async trait with
//! defaults. Tokens in place of sessions are the module `tokens`, with the feature of that name.
//!
//! # When something does not work
//!
//! | seen | because |
//! |---|---|
//! | `401 nobody knows who this is` | no middleware has inserted an `Arc<Identity>`, no token is read, and [`Options::anonymous`] is not set. A layer must be added behind the route that it is for |
//! | `403 origin … is not allowed here` | the page comes from another host than the WebSocket: [`Options::origins`] |
//! | an error `forbidden` | no [rule](Options::rules) lets this client subscribe or publish: rules are closed by default |
//! | `426` | that was no WebSocket client, or a proxy in front swallows `Upgrade` |
//! | `501 cannot be upgraded` | the server does not allow upgrades: hyper's `with_upgrades` |
//! | a warning that addresses are not told | the service was made without `into_make_service_with_connect_info`, so bounds by address do not hold |
//! | everyone seems to have one address | there is a proxy in front: [`Options::trusted_proxies`] |
//!
//! # How it works
//!
//! Connections live in *shards*: threads of their own, each with one poll and one [hub](fanfare_hub), apart from the
//! application's runtime. HTTP stays with axum; when the handshake is answered, the socket leaves it for a shard. What
//! has no socket of its own, such as a stream of HTTP/2, goes over a [bridge](Fanfare::websocket). This crate holds the
//! shards, the door they come through, the brokers that need no other service, and the [`Fanfare`] handle.
//!
//! Features, none on by default: `tokens` (JSON Web Tokens), `tls` (TLS in the shards, with [`Fanfare::serve`]), and
//! `http2` (WebSockets over HTTP/2, where the host's server speaks it).

pub mod broker;
mod clock;
mod consumers;
mod door;
mod entrant;
mod handle;
mod hooks;
mod metrics;
mod notices;
mod options;
mod pressure;
mod shard;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls/absent.rs"]
mod tls;
#[cfg(feature = "tokens")]
pub mod tokens;
mod user_topic;

pub use broker::{StorageError, StorageOptions};
pub use consumers::{Delivery, SubscribeOptions, Subscription};
pub use door::{
    CentrifugeService, CentrifugeTransport, ClientAddress, ClientCertificate, DoorLimits, EventStreamService,
    ListenerOptions, Network, NetworkError, Origin, OriginError, OriginRule, OriginRuleError,
    WebSocketService,
};
pub use entrant::Entrant;
pub use fanfare_hub::access::{
    Access, Action, Grants, Identity, KeyScopes, Subject, TopicRule, TopicRules, Verdict, Who, WhoError,
};
pub use fanfare_hub::broker::{Broker, Published, Refusal, TopicPage, TopicRow};
pub use fanfare_hub::{
    Admission, Amendment, Attendee, ConnectionRow, Denial, Leave, Leaves, Limits, Listed, Renewal, RenewedBy,
    Retention, Role, RosterPage, Selector, SlowRule, SlowRules,
};
pub use fanfare_log::Fsync;
pub use fanfare_protocol::codes::{Disconnect, ErrorCode};
pub use fanfare_protocol::dialect::{Dialect, centrifuge};
pub use fanfare_protocol::websocket::Compression;
pub use fanfare_protocol::{
    Attendance, ConnectionId, ConnectionIdError, Draft, Epoch, Greeting, HISTORY_PAGE_MAX, HistoryPage,
    IdempotencyKey, Key, KeyError, Loss, Missed, Payload, PayloadKind, Position, Publication, PublishOptions,
    Publisher, Reading, SHARDS_MAX, Since, SinceError, StateVersion, TAG_BYTES_MAX, TAGS_MAX, Tags,
    TagsError, Timestamp, TopicName, TopicNameError, TopicPattern, TopicPatternError, TopicTemplate,
    TopicTemplateError, Turn, UserName, UserNameError,
};
pub use handle::{CallError, ConnectionPage, Fanfare, Stats};
pub use hooks::{Application, Caller, Hooks};
pub use metrics::{
    HostCounter, HostFamily, HostHistogram, HostValues, Labels, METRICS_CONTENT_TYPE, resident_bytes,
};
pub use notices::{Happening, Notice};
pub use options::Options;
#[cfg(feature = "tls")]
pub use tls::{Certificate, Tls, TlsError, TlsOptions, TlsVersion};
pub use user_topic::{UserTopic, UserTopicError};
