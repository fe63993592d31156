//! Real-time messaging to mount in an axum application: whatever is published to a topic reaches everyone subscribed
//! to it, in order, at once, to nobody's delay.
//!
//! ```
//! use axum::Router;
//! use fanfare::{Fanfare, Options, Payload, TopicRules};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Everyone may do everything; without rules nobody may do anything.
//! let options = Options { shards: 1, rules: TopicRules::open().into(), ..Options::default() };
//! let fanfare = Fanfare::start(options)?;
//! let app: Router = Router::new().route("/ws", fanfare.websocket());
//! // axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
//! let position = fanfare.publish("news", Payload::text("hello")).await?;
//! assert_eq!(position.offset, 1);
//! # drop(app);
//! # fanfare.shutdown(Default::default(), std::time::Duration::from_secs(1)).await;
//! # Ok(())
//! # }
//! ```
//!
//! Connections live in *shards*: threads of their own, each with one poll and one [hub](fanfare_hub), apart from the
//! application's runtime. HTTP stays with axum; after the `101` the socket leaves it for a shard. This crate holds
//! the shards, the door they come through, the brokers that need no other service, and the [`Fanfare`] handle.

pub mod broker;
mod clock;
mod consumers;
mod door;
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

pub use consumers::{Delivery, SubscribeOptions, Subscription};
pub use door::{
    ClientAddress, ClientCertificate, DoorLimits, ListenerOptions, Network, NetworkError, Origin,
    OriginError, OriginRule, OriginRuleError, WebSocketService,
};
pub use fanfare_hub::access::{
    Access, Action, Grants, Identity, KeyScopes, Subject, TopicRule, TopicRules, Verdict, Who, WhoError,
};
pub use fanfare_hub::broker::{Broker, Refusal, TopicPage, TopicRow};
pub use fanfare_hub::{
    Admission, ConnectionRow, Denial, Limits, Listed, Role, Selector, SlowRule, SlowRules,
};
pub use fanfare_protocol::codes::{Disconnect, ErrorCode};
pub use fanfare_protocol::dialect::Dialect;
pub use fanfare_protocol::websocket::Compression;
pub use fanfare_protocol::{
    ConnectionId, ConnectionIdError, Draft, Epoch, Key, KeyError, Missed, Payload, PayloadKind, Position,
    Publication, Publisher, SHARDS_MAX, Timestamp, TopicName, TopicNameError, TopicPattern,
    TopicPatternError, TopicTemplate, TopicTemplateError, UserName, UserNameError,
};
pub use handle::{CallError, ConnectionPage, Fanfare, PublishOptions, Stats};
pub use hooks::{Application, Caller, Entrant, Hooks};
pub use metrics::{HostCounter, HostFamily, HostHistogram, HostValues, Labels, resident_bytes};
pub use notices::{Happening, Notice};
pub use options::Options;
#[cfg(feature = "tls")]
pub use tls::{Certificate, Tls, TlsError, TlsOptions, TlsVersion};
