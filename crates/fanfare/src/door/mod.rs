//! The door: everything between the listener and a shard. HTTP until the handshake is answered, then the socket goes to its
//! shard ([`handover`]), or what comes over its stream does ([`bridge`]). A stream of server-sent events ([`event_stream`])
//! leaves HTTP before it is answered ([`exit`]), or is the body of an answer ([`stream_body`]). So does a stream of
//! Centrifuge ([`centrifuge`]), whose client speaks in its request ([`body`]) and beside it ([`aside`]).
//!
//! In come sockets, or requests of a host's own listener; who they are from is found out ([`address`]), what they ask
//! is checked ([`opening`], [`request`], [`origin`]), who may pass now is decided and counted ([`gate`], [`limits`]), and who may not
//! is told why ([`refusal`]).

mod address;
mod aside;
mod body;
mod bridge;
mod centrifuge;
mod certificate;
mod event_stream;
mod exit;
mod flow;
mod gate;
mod handover;
mod identify;
mod limits;
mod listener;
mod opening;
mod origin;
mod rate;
mod refusal;
mod request;
#[cfg(feature = "tls")]
mod secure;
mod service;
mod spare;
mod stream_body;
mod tally;
mod upgrade;
mod user_agents;

pub use address::{ClientAddress, Network, NetworkError};
pub(crate) use centrifuge::secret;
pub use centrifuge::{CentrifugeService, CentrifugeTransport};
pub use certificate::ClientCertificate;
pub(crate) use gate::{Gate, Place};
pub use limits::DoorLimits;
pub use listener::ListenerOptions;
pub use origin::{Origin, OriginError, OriginRule, OriginRuleError};
pub(crate) use refusal::Cause;
pub use service::{EventStreamService, WebSocketService};
