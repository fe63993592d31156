//! The door: HTTP until the `101`, then the socket goes to a shard.

mod listener;
mod origin;
mod request;
mod upgrade;

pub use listener::{ListenerOptions, serve};
pub use origin::{OriginRule, OriginRuleError};
