//! Brokers that need no other service.

mod keys;
mod memory;
mod partition;
mod room;

pub(crate) use memory::Figures;
pub use memory::MemoryBroker;
