//! Brokers that need no other service.

mod keys;
mod memory;
mod room;

pub(crate) use memory::Figures;
pub use memory::MemoryBroker;
