//! The files of a directory by their kind.

use std::collections::BTreeSet;

use crate::manifest;
use crate::recovery::{OpenError, failed};
use crate::segment;
use crate::state;
use crate::storage::Storage;

/// The file of a directory into which an import goes: as long as it is there, no log is opened. Whoever imports makes it
/// before the first record, and removes it when all is durable.
pub const INCOMPLETE_IMPORT: &str = "incomplete-import";

/// The files of a directory by their kind.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) has_list: bool,
    pub(crate) numbers: BTreeSet<u64>,
    pub(crate) temporary: Vec<String>,
}

impl Files {
    pub(crate) fn survey(storage: &dyn Storage) -> Result<Self, OpenError> {
        let mut files = Self::default();
        for name in storage.names().map_err(failed("the list of files"))? {
            if let Some(number) = segment::number_of(&name) {
                files.numbers.insert(number);
            } else if name == manifest::NAME {
                files.has_list = true;
            } else if name == INCOMPLETE_IMPORT {
                return Err(OpenError::IncompleteImport);
            } else if name.strip_suffix(".tmp").is_some() {
                files.temporary.push(name);
            } else if !state::is_name_of_file(&name) {
                return Err(OpenError::UnknownFile(name));
            }
        }
        Ok(files)
    }
}
