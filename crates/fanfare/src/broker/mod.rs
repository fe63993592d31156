//! The broker that needs no other service.

mod disk;
mod journal;
mod keys;
mod local;
mod looking_up;
mod outlets;
mod partition;
mod publishing;
mod removing;
mod room;
pub mod stored;
mod topic_log;
mod versions;

#[cfg(all(test, feature = "tokens"))]
pub(crate) use disk::STATE_BYTES_MAX;
pub(crate) use disk::{Disk, DiskFigures, WayToBroker};
pub use disk::{StorageError, StorageOptions};
pub use journal::{Journal, Reading, Ticket};
pub(crate) use local::Figures;
pub use local::LocalBroker;
