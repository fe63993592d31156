//! Brokers that need no other service.

mod memory;

pub use memory::{HistoryOptions, MemoryBroker};
