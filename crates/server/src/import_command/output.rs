//! The file that is written. It has keys in it, so it is for its owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::failure::Failure;

/// Writes the file; over another one only by force, and then as a whole or not at all.
///
/// # Errors
/// There is one, or it cannot be written.
pub(super) fn write(path: &Path, text: &str, is_forced: bool) -> Result<(), Failure> {
    let written = if is_forced {
        replace(path, text)
    } else {
        create(path, text)
    };
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists if !is_forced => Failure::Usage(vec![is_there(path)]),
        _ => Failure::failed(format!("{} cannot be written: {error}", path.display())),
    })
}

/// What to say of a file that is there.
pub(super) fn is_there(path: &Path) -> String {
    format!(
        "{} is there, and is not written over; name another file, or add --force",
        path.display()
    )
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(OWNER_MODE)
        .open(path)?;
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        // Half of a configuration is worse than none.
        let _ = fs::remove_file(path);
    }
    written
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    create(Path::new(&beside), text)?;
    fs::rename(&beside, path).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

/// What only the owner may read.
const OWNER_MODE: u32 = 0o600;
