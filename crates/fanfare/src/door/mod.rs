//! The door: everything between the listener and a shard. HTTP until the `101`, then the socket goes to its shard.
//!
//! In come sockets, or requests of a host's own listener; who they are from is found out ([`address`]), what they ask
//! is checked ([`request`], [`origin`]), who may pass now is decided and counted ([`gate`], [`limits`]), and who may not
//! is told why ([`refusal`]).

mod address;
mod certificate;
mod gate;
mod identify;
mod limits;
mod listener;
mod origin;
mod rate;
mod refusal;
mod request;
#[cfg(feature = "tls")]
mod secure;
mod spare;
mod tally;
mod upgrade;

pub use address::{ClientAddress, Network, NetworkError};
pub use certificate::ClientCertificate;
pub(crate) use gate::{Gate, Place};
pub use limits::DoorLimits;
pub use listener::ListenerOptions;
pub use origin::{Origin, OriginError, OriginRule, OriginRuleError};
pub(crate) use refusal::Cause;
