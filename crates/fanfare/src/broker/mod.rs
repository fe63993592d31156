//! Brokers that need no other service.

mod keys;
mod memory;
mod partition;
mod room;
pub mod stored;

pub(crate) use memory::Figures;
pub use memory::MemoryBroker;
