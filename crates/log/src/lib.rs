//! The durable log of Fanfare: what was published, topic by topic, in segment files of a directory.
//!
//! It knows no hub, no broker and no socket. A [`Log`] is driven by one thread: it writes [`Draft`]s in groups, each
//! with one write and one sync, and answers with their [`Position`]s. A [`Committer`] is that thread, with a bounded
//! queue in front. A [`Reader`] reads from any thread and waits for no sync. What is kept follows from a [`Policy`];
//! the disk gets back what is dead, segment by segment. Small values that must survive as well are in the [`State`].
//!
//! What may be relied on:
//!
//! 1. What was answered under [`Fsync::Always`] is there again, whatever ended the process or the machine. What was
//!    not answered is there whole, or not at all.
//! 2. Offsets of a topic are dense, and no epoch and offset ever stand for two publications. When positions may have
//!    been lost, every topic begins a new epoch.
//! 3. Every record is checked when it is read. One that is not as it was written is told of and never given.
//! 4. A full disk refuses what does not fit, and nothing else. A disk that fails to sync is not trusted again.
//!
//! The files are described byte by byte in `docs/storage.md`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use fanfare_log::{Bounds, Draft, Log, Memory, Options};
//!
//! // A disk in memory; `Directory::open("data")` gives a real one.
//! let storage = Arc::new(Memory::new(1));
//! let (mut log, recovery) = Log::open(storage, Options::default())?;
//! assert!(recovery.damages.is_empty());
//!
//! let drafts = [Draft::publication("room", 1_767_225_600_000, "hello")];
//! let position = log.append(&drafts).remove(0)?;
//! assert_eq!(position.offset, 1);
//!
//! let bounds = Bounds { records: 100, bytes: 1 << 20 };
//! let page = log.reader().forward("room", 1, bounds)?;
//! assert_eq!(page.publications[0].body, "hello");
//! log.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod active;
mod blocks;
mod committer;
mod contents;
mod damage;
mod draft;
mod footer;
mod index;
mod limits;
mod log;
mod maintenance;
mod manifest;
mod probe;
mod reader;
mod record;
mod recovery;
mod repair;
mod retention;
mod rewrite;
mod scan;
mod segment;
mod state;
mod storage;
mod survey;
mod topic;
mod verify;

pub use committer::{Busy, Committer, Completion, Done};
pub use damage::{Damage, Damages};
pub use draft::{AppendError, Draft, What};
pub use limits::{Fsync, LimitError, Limits};
pub use log::{Log, Options};
pub use maintenance::Maintained;
pub use probe::probe;
pub use reader::{Bounds, Page, Publication, ReadError, Reader, Usage};
pub use recovery::{OpenError, Recovery, Truncated};
pub use retention::{Policy, Retention};
pub use state::{State, StateError};
pub use storage::{Directory, DirectoryError, Fault, Memory, Rehearsal, Storage, StorageFile};
pub use survey::INCOMPLETE_IMPORT;
pub use topic::{Position, Standing};
pub use verify::{Verified, verify};
