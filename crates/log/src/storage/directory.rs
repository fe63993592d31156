//! A real directory, locked against a second process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Storage, StorageFile};

/// A directory of the file system. Locked as long as this lives; the system unlocks it when the process ends, however
/// it does.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The directory itself, to sync its names.
    names: File,
    is_writable: bool,
    /// Held for its lock; none where nobody ever had the directory open.
    _lock: Option<File>,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process, or another log of this one, has it.
    #[error(
        "data directory {0} is in use by another process, stop that one or name another directory (its file LOCK is locked)"
    )]
    InUse(PathBuf),
    /// It cannot be made or opened.
    #[error("data directory {0} cannot be used, it must be a directory that can be written: {1}")]
    Unusable(PathBuf, io::Error),
    /// It is not there, no directory, or may not be read.
    #[error("data directory {0} cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
}

impl Directory {
    /// Makes the directory if it is not there, and locks it.
    ///
    /// # Errors
    /// It is in use, or cannot be made, opened or locked.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let path = path.into();
        match lock(&path) {
            Ok((names, lock)) => Ok(Self {
                path,
                names,
                is_writable: true,
                _lock: Some(lock),
            }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse(path)),
            Err(TryLockError::Error(error)) => Err(DirectoryError::Unusable(path, error)),
        }
    }

    /// A directory that is there, to be read: nothing in it is changed, and writing fails. Many may read at once; who
    /// has it open for writing keeps readers out, and they him.
    ///
    /// # Errors
    /// It is in use, is not there, or cannot be read.
    pub fn open_to_read(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let path = path.into();
        match lock_to_read(&path) {
            Ok((names, lock)) => Ok(Self {
                path,
                names,
                is_writable: false,
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse(path)),
            Err(TryLockError::Error(error)) => Err(DirectoryError::Unreadable(path, error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.is_writable {
            Ok(())
        } else {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        }
    }
}

fn lock(path: &Path) -> Result<(File, File), TryLockError> {
    fs::create_dir_all(path).map_err(TryLockError::Error)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join(LOCK))
        .map_err(TryLockError::Error)?;
    lock.try_lock()?;
    let names = File::open(path).map_err(TryLockError::Error)?;
    Ok((names, lock))
}

fn lock_to_read(path: &Path) -> Result<(File, Option<File>), TryLockError> {
    // Only of a directory this can be asked.
    fs::read_dir(path).map_err(TryLockError::Error)?;
    let lock = match File::open(path.join(LOCK)) {
        Ok(lock) => Some(lock),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(TryLockError::Error(error)),
    };
    lock.as_ref().map(File::try_lock_shared).transpose()?;
    let names = File::open(path).map_err(TryLockError::Error)?;
    Ok((names, lock))
}

impl Storage for Directory {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != LOCK && !entry.file_type()?.is_dir() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(self.is_writable)
            .open(self.path.join(name))?;
        Ok(Arc::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.check_writable()?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(self.path.join(name))?;
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check_writable()?;
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check_writable()?;
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.names.sync_all()
    }

    /// Linux gives every start of the system a name; elsewhere nobody knows.
    fn boot(&self) -> Option<u64> {
        let name = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let digits: String = name.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        u64::from_str_radix(&digits, 16).ok()
    }
}

impl StorageFile for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match FileExt::read_at(self, &mut into[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The file whose lock is the directory's.
const LOCK: &str = "LOCK";
