//! Brokers that need no other service.

mod memory;
mod room;

pub use memory::MemoryBroker;
