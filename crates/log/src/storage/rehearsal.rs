//! A storage that is read and not changed, whatever is written to it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Storage, StorageFile};

/// A storage that another one is read through: what is written stays in memory and goes with this. A log that is opened
/// on it is what a start would make of that storage, with everything that an opening repairs, and nothing is touched.
///
/// Clones are the same. Its memory is what differs from the other storage, in pages of 4 KiB: headers and footers that
/// are made anew, and some 60 bytes for each topic that begins a new epoch.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    base: Arc<dyn Storage>,
    files: Arc<Mutex<BTreeMap<String, File>>>,
}

/// A file by its name.
#[derive(Clone, Debug)]
enum File {
    /// It was not opened yet.
    Untouched,
    Open(Arc<Overlay>),
}

impl Rehearsal {
    /// Nobody changes the files of `base` as long as this lives.
    ///
    /// # Errors
    /// The names of the files cannot be read.
    pub fn new(base: Arc<dyn Storage>) -> io::Result<Self> {
        let names = base.names()?;
        let files = names.into_iter().map(|name| (name, File::Untouched)).collect();
        Ok(Self {
            base,
            files: Arc::new(Mutex::new(files)),
        })
    }

    /// Nothing panics while it holds the lock.
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Rehearsal {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut files = self.files();
        let file = files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let overlay = match file {
            File::Open(overlay) => Arc::clone(overlay),
            File::Untouched => Arc::new(Overlay::over(self.base.open(name)?)?),
        };
        *file = File::Open(Arc::clone(&overlay));
        Ok(overlay)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let overlay = Arc::new(Overlay::default());
        self.files()
            .insert(name.to_owned(), File::Open(Arc::clone(&overlay)));
        Ok(overlay)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.open(from)?;
        let mut files = self.files();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.files().remove(name);
        removed.map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn boot(&self) -> Option<u64> {
        self.base.boot()
    }
}

/// A file with what was written over it.
#[derive(Debug, Default)]
struct Overlay {
    base: Option<Arc<dyn StorageFile>>,
    written: Mutex<Written>,
}

/// What differs from the file below.
#[derive(Debug, Default)]
struct Written {
    /// How long the file is.
    bytes: u64,
    /// How much of the file below shows, where no page lies over it.
    base_bytes: u64,
    /// Pages that are not as below, by their number.
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    fn over(base: Arc<dyn StorageFile>) -> io::Result<Self> {
        let bytes = base.bytes()?;
        Ok(Self {
            base: Some(base),
            written: Mutex::new(Written {
                bytes,
                base_bytes: bytes,
                pages: BTreeMap::new(),
            }),
        })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills `into` from `at` on as if the file had no end.
    fn read(&self, written: &Written, into: &mut [u8], at: u64) -> io::Result<()> {
        into.fill(0);
        let shown = written.base_bytes.saturating_sub(at).min(into.len() as u64) as usize;
        if let Some(base) = &self.base
            && shown > 0
        {
            base.read_at(&mut into[..shown], at)?;
        }
        let end = at + into.len() as u64;
        for (number, page) in written.pages.range(at / PAGE_BYTES..end.div_ceil(PAGE_BYTES)) {
            let page_at = number * PAGE_BYTES;
            let (begin, end) = (page_at.max(at), (page_at + PAGE_BYTES).min(end));
            let source = (begin - page_at) as usize..(end - page_at) as usize;
            into[(begin - at) as usize..(end - at) as usize].copy_from_slice(&page[source]);
        }
        Ok(())
    }
}

impl StorageFile for Overlay {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.written().bytes)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let written = self.written();
        let count = written.bytes.saturating_sub(at).min(into.len() as u64) as usize;
        self.read(&written, &mut into[..count], at)?;
        Ok(count)
    }

    /// What is there already is not kept: an opening writes much again as it is.
    fn write_at(&self, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        let mut written = self.written();
        while !bytes.is_empty() {
            let begin = (at % PAGE_BYTES) as usize;
            let (piece, rest) = bytes.split_at(bytes.len().min(PAGE_BYTES as usize - begin));
            let mut page = vec![0; PAGE_BYTES as usize];
            self.read(&written, &mut page, at - begin as u64)?;
            let place = &mut page[begin..begin + piece.len()];
            if place != piece {
                place.copy_from_slice(piece);
                written.pages.insert(at / PAGE_BYTES, page);
            }
            at += piece.len() as u64;
            bytes = rest;
        }
        written.bytes = written.bytes.max(at);
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut written = self.written();
        written.bytes = bytes;
        written.base_bytes = written.base_bytes.min(bytes);
        written.pages.split_off(&bytes.div_ceil(PAGE_BYTES));
        if let Some(page) = written.pages.get_mut(&(bytes / PAGE_BYTES)) {
            page[(bytes % PAGE_BYTES) as usize..].fill(0);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

const PAGE_BYTES: u64 = 4_096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::Memory;

    #[test]
    fn files_come_and_go_and_those_below_stay() {
        let disk = Memory::new(0);
        disk.set_content("a", b"below".to_vec());
        disk.set_content("b", b"kept".to_vec());
        let rehearsal = Rehearsal::new(Arc::new(disk.clone())).unwrap();
        let new = rehearsal.create("new").unwrap();
        new.write_at(b"above", 0).unwrap();
        rehearsal.rename("new", "a").unwrap();
        rehearsal.remove("b").unwrap();
        assert_eq!(rehearsal.names().unwrap(), ["a"]);
        assert_eq!(rehearsal.open("a").unwrap().bytes().unwrap(), 5);
        for missing in [rehearsal.open("b").map(|_| ()), rehearsal.remove("b")] {
            assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(disk.content("a").unwrap(), b"below");
        assert_eq!(disk.content("b").unwrap(), b"kept");
    }

    #[test]
    fn what_is_written_as_it_is_takes_no_memory() {
        let disk = Memory::new(0);
        disk.set_content("a", vec![7; 20_000]);
        let overlay = Overlay::over(disk.open("a").unwrap()).unwrap();
        overlay.write_at(&[7; 15_000], 3_000).unwrap();
        assert!(overlay.written().pages.is_empty());
    }

    /// A write of so many bytes of this value at a place, or a cut at it.
    fn operation() -> impl Strategy<Value = (u64, usize, Option<u8>)> {
        (0..20_000_u64, 0..9_000_usize, any::<Option<u8>>())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn it_reads_as_if_the_file_were_changed(
            length in 0..15_000_usize,
            operations in prop::collection::vec(operation(), 0..12),
            (from, count) in (0..20_000_u64, 0..12_000_usize),
        ) {
            let below: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let disk = Memory::new(0);
            disk.set_content("a", below.clone());
            let overlay = Overlay::over(disk.open("a").unwrap()).unwrap();
            let mut model = below.clone();
            for (at, count, value) in operations {
                let Some(value) = value else {
                    overlay.truncate(at).unwrap();
                    model.resize(at as usize, 0);
                    continue;
                };
                overlay.write_at(&vec![value; count], at).unwrap();
                let end = at as usize + count;
                if count > 0 {
                    model.resize(model.len().max(end), 0);
                    model[at as usize..end].fill(value);
                }
            }
            prop_assert_eq!(overlay.bytes().unwrap(), model.len() as u64);
            let mut piece = vec![0; count];
            let filled = overlay.read_at(&mut piece, from).unwrap();
            let begin = model.len().min(from as usize);
            prop_assert_eq!(&piece[..filled], &model[begin..model.len().min(begin + count)]);
            prop_assert_eq!(disk.content("a").unwrap(), below);
        }
    }
}
