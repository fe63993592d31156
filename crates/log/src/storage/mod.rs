//! Where the files of a log are: what it needs of a disk, the real one, one in memory that fails on demand,
//! and one that only seems to be written.

mod directory;
mod memory;
mod rehearsal;

use std::fmt;
use std::io;
use std::sync::Arc;

pub use directory::{Directory, DirectoryError};
pub use memory::{Fault, Memory};
pub use rehearsal::Rehearsal;

/// A flat folder of files. Names are given by the log: lower-case letters, digits, `-` and `.`.
///
/// What is said here about durability is what POSIX says: a file's content is durable after [`StorageFile::sync`], a
/// name after [`Storage::sync_names`].
pub trait Storage: Send + Sync + fmt::Debug {
    /// The names of all files, in any order. Folders are left out.
    fn names(&self) -> io::Result<Vec<String>>;

    /// A file that is there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// A file that is there no longer after this, and empty.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Gives a file another name; one that has it already is replaced at once or not at all. Whoever has that one open
    /// can go on reading it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a name away. Whoever has the file open can go on reading it.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all names durable.
    fn sync_names(&self) -> io::Result<()>;

    /// Which life of the machine this is: what was written in it can still be read, synced or not. `None` when nobody
    /// knows.
    fn boot(&self) -> Option<u64>;
}

/// An open file. Used by one writer and many readers at once.
pub trait StorageFile: Send + Sync + fmt::Debug {
    /// How many bytes it has.
    fn bytes(&self) -> io::Result<u64>;

    /// Fills `into` from `at` on; gives how many bytes there were, less than asked only at the end of the file.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `at`. After an error any part of it may have been written.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Makes the file so long: what is beyond is gone.
    fn truncate(&self, bytes: u64) -> io::Result<()>;

    /// Makes what was written durable, and the file's length. After an error nobody knows what is.
    fn sync(&self) -> io::Result<()>;
}
