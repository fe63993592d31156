//! Small values beside the log, each in a file of its own: revoked tokens, keys, and what else must survive a restart.
//!
//! A value is replaced as a whole: written beside the old one, synced, and given its name. It costs two syncs, so it is
//! for what changes rarely and is small enough to be written anew each time.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::record::{u32_at, u64_at};
use crate::segment::VERSION;
use crate::storage::Storage;

/// The values of one storage. Clones are the same store; two threads do not put the same name at once.
#[derive(Clone, Debug)]
pub struct State {
    storage: Arc<dyn Storage>,
    value_bytes_max: usize,
}

/// Why a value cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file could not be read or written. The value is the old one or the new one.
    #[error("{file} in the data directory cannot be used: {error}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// The file is not as it was written. Nothing of it is given.
    #[error(
        "{0} in the data directory is damaged: put back a copy, or remove it to go on without what it had"
    )]
    Damaged(String),
    /// The name is none.
    #[error("{0:?} is no name of a value, it must have 1 to 64 lower-case letters, digits and hyphens")]
    Name(String),
    /// It is longer than [`Limits::state_bytes_max`](crate::Limits::state_bytes_max).
    #[error("the value {name} has {bytes} bytes, limit is {bytes_max}")]
    TooLarge {
        /// Its name.
        name: String,
        /// What it has.
        bytes: usize,
        /// What it may have.
        bytes_max: usize,
    },
}

impl State {
    /// The values beside a log, which has the storage open.
    pub(crate) fn new(storage: Arc<dyn Storage>, value_bytes_max: usize) -> Self {
        Self {
            storage,
            value_bytes_max,
        }
    }

    /// A value; `None` when it was never put, or removed.
    ///
    /// # Errors
    /// It is damaged or cannot be read.
    pub fn value(&self, name: &str) -> Result<Option<Bytes>, StateError> {
        let file = file_of(name)?;
        let content = match self.read(&file) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::Io { file, error }),
        };
        let value = content.get(HEAD_BYTES..).unwrap_or_default();
        let is_whole = content.len() >= HEAD_BYTES
            && &content[..8] == MAGIC
            && u32_at(&content, 8) == VERSION
            && u64_at(&content, 12) == value.len() as u64
            && u32_at(&content, 20) == checksum(&content);
        if is_whole {
            Ok(Some(Bytes::from(content).slice(HEAD_BYTES..)))
        } else {
            Err(StateError::Damaged(file))
        }
    }

    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let file = self.storage.open(file)?;
        let bytes = file.bytes()?.min((self.value_bytes_max + HEAD_BYTES) as u64);
        let mut content = vec![0; bytes as usize];
        let filled = file.read_at(&mut content, 0)?;
        content.truncate(filled);
        Ok(content)
    }

    /// The names of all values, in their order.
    ///
    /// # Errors
    /// The names of the files cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut files = self.storage.names()?;
        files.sort_unstable();
        let names = files.iter().filter_map(|file| name_of_file(file));
        Ok(names.map(str::to_owned).collect())
    }

    /// Puts a value in place of the one of this name, durable when this returns.
    ///
    /// # Errors
    /// It is too long, its name is none, or it could not be written.
    pub fn put(&self, name: &str, value: &[u8]) -> Result<(), StateError> {
        let file = file_of(name)?;
        if value.len() > self.value_bytes_max {
            return Err(StateError::TooLarge {
                name: name.to_owned(),
                bytes: value.len(),
                bytes_max: self.value_bytes_max,
            });
        }
        self.replace(&file, &content_of(value))
            .map_err(|error| StateError::Io { file, error })
    }

    fn replace(&self, file: &str, content: &[u8]) -> io::Result<()> {
        let temporary = format!("{file}.tmp");
        let new = self.storage.create(&temporary)?;
        let written = new.write_at(content, 0).and_then(|()| new.sync());
        if let Err(error) = written {
            let _ = self.storage.remove(&temporary);
            return Err(error);
        }
        self.storage.rename(&temporary, file)?;
        self.storage.sync_names()
    }

    /// Takes a value away; nothing, when there is none.
    ///
    /// # Errors
    /// Its name is none, or it could not be removed.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        let file = file_of(name)?;
        match self.storage.remove(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed
                .and_then(|()| self.storage.sync_names())
                .map_err(|error| StateError::Io { file, error }),
        }
    }
}

fn content_of(value: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(HEAD_BYTES + value.len());
    content.extend_from_slice(MAGIC);
    content.extend_from_slice(&VERSION.to_le_bytes());
    content.extend_from_slice(&(value.len() as u64).to_le_bytes());
    content.extend_from_slice(&[0; 4]);
    content.extend_from_slice(value);
    let sum = checksum(&content);
    content[20..24].copy_from_slice(&sum.to_le_bytes());
    content
}

/// Of everything but the checksum itself.
fn checksum(content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&content[..20]);
    hasher.update(&content[HEAD_BYTES..]);
    hasher.finalize()
}

fn file_of(name: &str) -> Result<String, StateError> {
    if is_name(name) {
        Ok(format!("{name}{SUFFIX}"))
    } else {
        Err(StateError::Name(name.to_owned()))
    }
}

fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(is_letter)
}

/// Whether a file has a value.
pub(crate) fn is_name_of_file(file: &str) -> bool {
    name_of_file(file).is_some()
}

/// The name of the value that a file has.
fn name_of_file(file: &str) -> Option<&str> {
    file.strip_suffix(SUFFIX).filter(|name| is_name(name))
}

const SUFFIX: &str = ".state";
const MAGIC: &[u8; 8] = b"FANFSTAT";
const HEAD_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Fault, Memory};

    fn store(disk: &Memory) -> State {
        State::new(Arc::new(disk.clone()), 1_000)
    }

    #[test]
    fn a_value_is_given_as_it_was_put() {
        let disk = Memory::new(0);
        let state = store(&disk);
        assert_eq!(state.value("keys").unwrap(), None);
        state.put("keys", b"one").unwrap();
        state.put("keys", b"").unwrap();
        state.put("keys", b"two").unwrap();
        state.put("another", b"").unwrap();
        disk.set_content("a.seg", Vec::new());
        disk.lose_power();
        assert_eq!(store(&disk).names().unwrap(), ["another", "keys"]);
        assert_eq!(store(&disk).value("keys").unwrap().as_deref(), Some(&b"two"[..]));
        state.remove("keys").unwrap();
        state.remove("keys").unwrap();
        assert_eq!(state.value("keys").unwrap(), None);
    }

    #[test]
    fn names_and_sizes_have_bounds() {
        let state = store(&Memory::new(0));
        for name in ["", "../keys", "Keys", "a.b", &"a".repeat(65)] {
            assert!(matches!(state.put(name, b""), Err(StateError::Name(_))), "{name}");
        }
        assert!(matches!(
            state.put("a", &[0; 1_001]),
            Err(StateError::TooLarge { .. })
        ));
    }

    #[test]
    fn every_flipped_byte_is_told() {
        let disk = Memory::new(0);
        let state = store(&disk);
        state.put("keys", b"value").unwrap();
        let content = disk.content("keys.state").unwrap();
        for at in 0..content.len() {
            let mut flipped = content.clone();
            flipped[at] ^= 0x10;
            disk.set_content("keys.state", flipped);
            assert!(matches!(state.value("keys"), Err(StateError::Damaged(_))), "{at}");
        }
    }

    #[test]
    fn whenever_it_ends_the_old_or_the_new_value_is_there() {
        for seed in 0..50 {
            for operation in 0..5 {
                let disk = Memory::new(seed);
                store(&disk).put("keys", b"old").unwrap();
                disk.fail_after(operation, Fault::Stop);
                let put = store(&disk).put("keys", b"new");
                disk.lose_power();
                let value = store(&disk).value("keys").unwrap().unwrap();
                assert!(
                    *value == *b"new" || *value == *b"old" && put.is_err(),
                    "{value:?}"
                );
            }
        }
    }
}
