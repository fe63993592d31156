//! A real directory.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use fanfare_log::{Directory, DirectoryError, Log, Storage, verify};

use crate::harness::*;

/// A directory that is gone with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fanfare-log-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open_in(folder: &Folder) -> Log {
    let storage = Arc::new(Directory::open(&folder.0).unwrap());
    Log::open(storage, small()).unwrap().0
}

#[test]
fn what_was_appended_is_in_the_directory() {
    let folder = Folder::new("appended");
    let mut log = open_in(&folder);
    publish(&mut log, "a", 100);
    log.state().put("keys", b"value").unwrap();
    let before = read(&log, "a");
    drop(log);
    let mut log = open_in(&folder);
    assert_eq!(read(&log, "a"), before);
    publish(&mut log, "a", 10);
    maintain(&mut log, 1);
    assert_eq!(log.state().value("keys").unwrap().as_deref(), Some(&b"value"[..]));
    log.close().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Directory::open(&folder.0).unwrap());
    let verified = verify(&storage, &small().limits).unwrap();
    assert!(
        verified.damages.is_empty() && verified.records == 110,
        "{verified:?}"
    );
}

/// FAULTS 65.
#[test]
fn a_directory_is_used_by_one_at_a_time() {
    let folder = Folder::new("locked");
    let log = open_in(&folder);
    let reader = log.reader();
    let error = Directory::open(&folder.0).unwrap_err();
    assert!(matches!(&error, DirectoryError::InUse(path) if *path == folder.0));
    assert!(
        error.to_string().contains("is in use by another process"),
        "{error}"
    );
    drop(log);
    assert!(Directory::open(&folder.0).is_err(), "a reader has it still");
    drop(reader);
    open_in(&folder);
}

#[test]
fn a_directory_is_read_by_many_and_not_while_it_is_written() {
    let folder = Folder::new("read");
    let log = open_in(&folder);
    assert!(matches!(
        Directory::open_to_read(&folder.0),
        Err(DirectoryError::InUse(_))
    ));
    log.close().unwrap();
    let readers = [(); 2].map(|()| Directory::open_to_read(&folder.0).unwrap());
    let error = Directory::open(&folder.0).unwrap_err();
    assert!(matches!(error, DirectoryError::InUse(_)), "{error}");
    drop(readers);
    open_in(&folder);
}

#[test]
fn who_opens_a_directory_to_read_cannot_change_it() {
    let folder = Folder::new("unchanged");
    let error = Directory::open_to_read(&folder.0).unwrap_err();
    assert!(matches!(error, DirectoryError::Unreadable(..)), "{error}");
    assert!(!folder.0.exists(), "it is not made");
    fs::create_dir(&folder.0).unwrap();
    fs::write(folder.0.join("a"), b"content").unwrap();
    let storage = Directory::open_to_read(&folder.0).unwrap();
    assert_eq!(storage.names().unwrap(), ["a"], "there is no lock to be made");
    assert!(storage.create("b").is_err());
    assert!(storage.rename("a", "b").is_err());
    assert!(storage.remove("a").is_err());
    let file = storage.open("a").unwrap();
    assert!(file.write_at(b"other", 0).is_err());
    assert!(file.truncate(0).is_err());
    assert_eq!(fs::read(folder.0.join("a")).unwrap(), b"content");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_directory_that_cannot_be_one_is_named() {
    let folder = Folder::new("file");
    fs::write(&folder.0, b"").unwrap();
    let error = Directory::open(&folder.0).unwrap_err();
    assert!(matches!(error, DirectoryError::Unusable(..)), "{error}");
    fs::remove_file(&folder.0).unwrap();
}

#[test]
fn folders_in_the_directory_are_left_alone() {
    let folder = Folder::new("folders");
    fs::create_dir_all(folder.0.join("lost+found")).unwrap();
    let mut log = open_in(&folder);
    publish(&mut log, "a", 1);
    drop(log);
    assert!(folder.0.join("lost+found").is_dir());
}
