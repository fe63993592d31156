//! A disk in memory that forgets what was not synced, runs full and fails on demand: for tests and simulators.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Storage, StorageFile};

/// What goes wrong at an operation of a [`Memory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails (EIO). A write may have been done in part. A sync leaves what it should have made durable readable and
    /// clean, and some of it is not durable: what Linux does.
    Error,
    /// As on a full disk: a write is done in part and fails, a new file is not made. Anything else is done.
    NoSpace,
    /// The process ends within it: a write may have been done in part, and every operation from then on fails until
    /// [`Memory::restart`].
    Stop,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<Disk>>);

#[derive(Debug)]
struct Disk {
    random: fastrand::Rng,
    files: Vec<Inode>,
    names: BTreeMap<String, usize>,
    /// What the names would be after a loss of power, and what was done since.
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<BTreeMap<String, usize>>,
    faults: BTreeMap<u64, Fault>,
    operations: u64,
    is_stopped: bool,
    /// Counts restarts; files opened before are closed.
    life: u64,
    boot: u64,
    room: Option<u64>,
}

#[derive(Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => {
                let end = at + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*at..end].copy_from_slice(bytes);
            }
            Self::Truncate(bytes) => to.resize(*bytes, 0),
        }
    }
}

impl Memory {
    /// An empty disk. What survives a loss of power follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            random: fastrand::Rng::with_seed(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            faults: BTreeMap::new(),
            operations: 0,
            is_stopped: false,
            life: 0,
            boot: 1,
            room: None,
        })))
    }

    /// How many operations that change something were begun.
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// Whether the process was ended by a [`Fault::Stop`].
    pub fn is_stopped(&self) -> bool {
        self.disk().is_stopped
    }

    /// Lets the operation fail before which so many more are done.
    pub fn fail_after(&self, operations: u64, fault: Fault) {
        let mut disk = self.disk();
        let at = disk.operations + operations;
        disk.faults.insert(at, fault);
    }

    /// How many bytes all files together may have from now on; `None` for any number.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.disk().room = bytes;
    }

    /// Begins a new life of the process: nothing is lost, faults that were not reached are forgotten.
    pub fn restart(&self) {
        let mut disk = self.disk();
        disk.is_stopped = false;
        disk.faults.clear();
        disk.life += 1;
    }

    /// Takes the power away and begins a new life of the machine. What was synced is there. Of what each file got since,
    /// a part of the operations is there, from the first on, and of the last one in any case only some sectors; of the
    /// names that were changed since, the first changes.
    pub fn lose_power(&self) {
        let mut disk = self.disk();
        let disk = &mut *disk;
        for file in &mut disk.files {
            file.lose_power(&mut disk.random);
        }
        let kept = disk.random.usize(..=disk.pending_names.len());
        if kept > 0 {
            disk.durable_names = disk.pending_names[kept - 1].clone();
        }
        disk.pending_names.clear();
        disk.names = disk.durable_names.clone();
        disk.boot += 1;
        disk.is_stopped = false;
        disk.faults.clear();
        disk.life += 1;
    }

    /// What a file has; `None` when there is none of that name.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.disk();
        Some(disk.files[*disk.names.get(name)?].bytes.clone())
    }

    /// Makes a file's content durable as given, also while others have it open.
    pub fn set_content(&self, name: &str, bytes: Vec<u8>) {
        let mut disk = self.disk();
        let index = disk.file_of(name);
        disk.files[index] = Inode {
            durable: bytes.clone(),
            bytes,
            pending: Vec::new(),
        };
        disk.durable_names = disk.names.clone();
    }

    /// A disk with the same files, all durable; its faults and its room are its own.
    pub fn copy(&self, seed: u64) -> Self {
        let copy = Self::new(seed);
        let names: BTreeSet<String> = self.disk().names.keys().cloned().collect();
        for name in names {
            copy.set_content(&name, self.content(&name).unwrap_or_default());
        }
        copy
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inode {
    fn lose_power(&mut self, random: &mut fastrand::Rng) {
        let kept = random.usize(..=self.pending.len());
        for change in &self.pending[..kept] {
            change.apply(&mut self.durable);
        }
        match self.pending.get(kept) {
            Some(Change::Write(at, bytes)) => {
                for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                    if random.bool() {
                        Change::Write(at + number * SECTOR_BYTES, sector.to_vec()).apply(&mut self.durable);
                    }
                }
            }
            Some(Change::Truncate(_)) | None => {}
        }
        self.pending.clear();
        self.bytes = self.durable.clone();
    }
}

impl Disk {
    /// Counts an operation; says what goes wrong at it.
    fn begin(&mut self) -> io::Result<Option<Fault>> {
        if self.is_stopped {
            return Err(stopped());
        }
        let fault = self.faults.remove(&self.operations);
        self.operations += 1;
        self.is_stopped = fault == Some(Fault::Stop);
        Ok(fault)
    }

    /// As `begin`, for an operation that is done whole or not at all.
    fn begin_whole(&mut self) -> io::Result<()> {
        match self.begin()? {
            Some(Fault::Error) => Err(io::Error::other("simulated")),
            Some(Fault::Stop) if self.random.bool() => Err(stopped()),
            _ => Ok(()),
        }
    }

    fn file_of(&mut self, name: &str) -> usize {
        let (files, names) = (&mut self.files, &mut self.names);
        *names.entry(name.to_owned()).or_insert_with(|| {
            files.push(Inode::default());
            files.len() - 1
        })
    }

    fn used(&self) -> u64 {
        let used = |index: &usize| self.files[*index].bytes.len() as u64;
        self.names.values().map(used).sum()
    }

    fn write(&mut self, index: usize, bytes: &[u8], at: u64) -> io::Result<()> {
        let fault = self.begin()?;
        let at = at as usize;
        let grows = (at + bytes.len()).saturating_sub(self.files[index].bytes.len()) as u64;
        let over = self
            .room
            .map_or(0, |room| (self.used() + grows).saturating_sub(room).min(grows));
        let is_partial = fault.is_some() || over > 0;
        let possible = bytes.len() - over as usize;
        let done = if fault.is_some() {
            self.random.usize(..=possible)
        } else {
            possible
        };
        let change = Change::Write(at, bytes[..done].to_vec());
        let file = &mut self.files[index];
        change.apply(&mut file.bytes);
        file.pending.push(change);
        match fault {
            _ if !is_partial => Ok(()),
            Some(Fault::Stop) => Err(stopped()),
            Some(Fault::Error) => Err(io::Error::other("simulated")),
            Some(Fault::NoSpace) | None => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn sync(&mut self, index: usize) -> io::Result<()> {
        let fault = self.begin()?;
        let kept = match fault {
            Some(Fault::Error | Fault::Stop) => self.random.usize(..=self.files[index].pending.len()),
            Some(Fault::NoSpace) | None => self.files[index].pending.len(),
        };
        let file = &mut self.files[index];
        for change in file.pending.drain(..kept) {
            change.apply(&mut file.durable);
        }
        match fault {
            Some(Fault::Error) => {
                file.pending.clear();
                Err(io::Error::other("simulated"))
            }
            Some(Fault::Stop) => Err(stopped()),
            Some(Fault::NoSpace) | None => Ok(()),
        }
    }

    fn renamed(&mut self) {
        let names = self.names.clone();
        self.pending_names.push(names);
    }
}

impl Storage for Memory {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.disk().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let disk = self.disk();
        let index = *disk.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(index, disk.life))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut disk = self.disk();
        match disk.begin()? {
            Some(Fault::Error) => return Err(io::Error::other("simulated")),
            Some(Fault::NoSpace) => return Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Stop) => return Err(stopped()),
            None => {}
        }
        disk.files.push(Inode::default());
        let index = disk.files.len() - 1;
        disk.names.insert(name.to_owned(), index);
        disk.renamed();
        Ok(self.handle(index, disk.life))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin_whole()?;
        let index = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.names.insert(to.to_owned(), index);
        disk.renamed();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin_whole()?;
        disk.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        disk.renamed();
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin_whole()?;
        disk.pending_names.clear();
        disk.durable_names = disk.names.clone();
        Ok(())
    }

    fn boot(&self) -> Option<u64> {
        Some(self.disk().boot)
    }
}

impl Memory {
    fn handle(&self, index: usize, life: u64) -> Arc<dyn StorageFile> {
        Arc::new(Handle {
            disk: self.clone(),
            index,
            life,
        })
    }
}

/// A file of a [`Memory`], open in one life of its process.
#[derive(Debug)]
struct Handle {
    disk: Memory,
    index: usize,
    life: u64,
}

impl Handle {
    fn disk(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.disk();
        if disk.life == self.life && !disk.is_stopped {
            Ok(disk)
        } else {
            Err(stopped())
        }
    }
}

impl StorageFile for Handle {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk()?.files[self.index].bytes.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let disk = self.disk()?;
        let bytes = &disk.files[self.index].bytes;
        let from = bytes.get(at as usize..).unwrap_or_default();
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.disk()?.write(self.index, bytes, at)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut disk = self.disk()?;
        disk.begin_whole()?;
        let change = Change::Truncate(bytes as usize);
        let file = &mut disk.files[self.index];
        change.apply(&mut file.bytes);
        file.pending.push(change);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk()?.sync(self.index)
    }
}

fn stopped() -> io::Error {
    io::Error::other("the process has ended")
}

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_a_loss_of_power_and_the_rest_may_not() {
        let mut is_lost = false;
        for seed in 0..50 {
            let disk = Memory::new(seed);
            let file = disk.create("a").unwrap();
            file.write_at(&[1; 1_024], 0).unwrap();
            file.sync().unwrap();
            disk.sync_names().unwrap();
            file.write_at(&[2; 1_024], 1_024).unwrap();
            disk.create("b").unwrap();
            disk.lose_power();
            let content = disk.content("a").unwrap();
            assert_eq!(content[..1_024], [1; 1_024]);
            is_lost |= content.len() < 2_048 && disk.content("b").is_none();
        }
        assert!(is_lost);
    }

    #[test]
    fn a_failed_sync_leaves_readable_what_is_not_durable() {
        let disk = Memory::new(1);
        let file = disk.create("a").unwrap();
        disk.sync_names().unwrap();
        (0..20).for_each(|at| file.write_at(&[1], at).unwrap());
        disk.fail_after(0, Fault::Error);
        assert!(file.sync().is_err());
        assert_eq!(file.bytes().unwrap(), 20);
        file.sync().unwrap();
        disk.lose_power();
        assert!(disk.content("a").unwrap().len() < 20);
    }

    #[test]
    fn a_full_disk_takes_a_part() {
        let disk = Memory::new(1);
        disk.set_room(Some(10));
        let file = disk.create("a").unwrap();
        let error = file.write_at(&[1; 20], 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.bytes().unwrap(), 10);
    }

    #[test]
    fn a_stopped_process_does_nothing_more() {
        let disk = Memory::new(1);
        let file = disk.create("a").unwrap();
        disk.fail_after(0, Fault::Stop);
        assert!(file.write_at(&[1; 20], 0).is_err());
        assert!(file.sync().is_err());
        disk.restart();
        assert!(file.sync().is_err(), "an old handle");
        assert!(disk.open("a").unwrap().sync().is_ok());
    }
}
