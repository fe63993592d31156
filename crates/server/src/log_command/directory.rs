//! A data directory that is looked at and not changed.

use std::path::Path;
use std::sync::Arc;

use fanfare_log::{Directory, DirectoryError, Limits, Log, OpenError, Options, Recovery, Rehearsal, Storage};

use crate::failure::Failure;

/// What to do without a segment that should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// What a start does that was not told otherwise.
    Refused,
    Accepted,
}

/// A data directory that nobody writes as long as this lives.
pub(super) struct DataDirectory {
    pub(super) storage: Arc<dyn Storage>,
}

impl DataDirectory {
    /// The directory of this name.
    ///
    /// # Errors
    /// It is in use, or cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let directory = Directory::open_to_read(path).map_err(|error| refused(&error))?;
        Ok(Self {
            storage: Arc::new(directory),
        })
    }

    /// The log that a start would make of it, and what it would find.
    ///
    /// # Errors
    /// A start would be refused.
    pub(super) fn rehearse(&self, missing: Missing) -> Result<(Log, Recovery), OpenError> {
        let rehearsal = Rehearsal::new(Arc::clone(&self.storage)).map_err(|error| OpenError::Io {
            file: "the list of files".to_owned(),
            error,
        })?;
        let options = Options {
            limits: limits(),
            accepts_missing: missing == Missing::Accepted,
            ..Options::default()
        };
        Log::open(Arc::new(rehearsal), options)
    }

    /// The same, without what is missing.
    ///
    /// # Errors
    /// It cannot be read, or a start would be refused for another reason.
    pub(super) fn rehearse_what_is_there(&self) -> Result<(Log, Recovery), Failure> {
        self.rehearse(Missing::Accepted)
            .map_err(|error| not_opened(&error))
    }
}

/// The bounds of any server that may have written a directory, and may start with it.
pub(super) fn limits() -> Limits {
    Limits {
        segments_max: 4_096,
        topics_max: 100_000_000,
        record_bytes_max: 256 << 20,
        ..Limits::default()
    }
}

/// Why a directory cannot be used, and what to do.
pub(super) fn refused(error: &DirectoryError) -> Failure {
    let problem = match error {
        DirectoryError::InUse(path) => format!(
            "data directory {} is in use, by a server or another `fanfare log` (its file LOCK is locked): stop that one, or \
             look at a snapshot of the file system; a copy that is made while a server writes may seem damaged",
            path.display()
        ),
        _ => error.to_string(),
    };
    Failure::Usage(vec![problem])
}

/// Why the log in a directory cannot be opened: damage is a failure, anything else means that it cannot be read.
pub(super) fn not_opened(error: &OpenError) -> Failure {
    match error {
        OpenError::Misnamed { .. } | OpenError::Missing(_) | OpenError::Unlisted(_) => {
            Failure::Failed(error.to_string())
        }
        _ => Failure::Usage(vec![error.to_string()]),
    }
}
