//! Looking at every byte of a log that nobody has open, and changing nothing.

use std::io;
use std::sync::Arc;

use crate::contents::walk;
use crate::damage::Damages;
use crate::footer::{self, Row};
use crate::limits::Limits;
use crate::manifest::{self, Loaded, Manifest};
use crate::segment::{self, HEADER_BYTES, check_header, name_of};
use crate::state::{self, State};
use crate::storage::Storage;

/// What was looked at, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// What is not as it was written. In a log that was not closed, the end of the last segment may be among it: what
    /// was being written.
    pub damages: Damages,
    /// Segments.
    pub segments: usize,
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Looks at every byte of every file. The storage is that of a log that is not open: a
/// [`Directory`](crate::Directory) sees to that by its lock.
///
/// # Errors
/// A file cannot be read.
pub fn verify(storage: &Arc<dyn Storage>, limits: &Limits) -> io::Result<Verified> {
    let mut verified = Verified::default();
    let names = storage.names()?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number_of(name)).collect();
    numbers.sort_unstable();
    let list = verified
        .verify_list(&**storage, &names)?
        .unwrap_or_else(|| Manifest {
            numbers: numbers.clone(),
            ..Manifest::default()
        });
    for number in list.numbers.iter().filter(|number| !numbers.contains(number)) {
        verified.damages.add(&name_of(*number), 0..0, "missing");
    }
    for number in numbers {
        if list.numbers.contains(&number) {
            let is_last = list.numbers.last() == Some(&number);
            verified.verify_segment(&**storage, number, is_last, limits)?;
        } else if number >= list.next && storage.open(&name_of(number))?.bytes()? > HEADER_BYTES {
            // Others were about to be begun or to be removed: the next opening removes them.
            verified
                .damages
                .add(&name_of(number), 0..0, "not on the list of segments");
        }
    }
    let state = State::new(Arc::clone(storage), limits.state_bytes_max);
    for file in names.iter().filter(|name| state::is_name_of_file(name)) {
        if let Some((name, _)) = file.split_once('.')
            && let Err(error) = state.value(name)
        {
            verified.damages.add(file, 0..0, error);
        }
    }
    Ok(verified)
}

impl Verified {
    /// The list, if there is one.
    fn verify_list(&mut self, storage: &dyn Storage, names: &[String]) -> io::Result<Option<Manifest>> {
        if !names.iter().any(|name| name == manifest::NAME) {
            self.damages.add(manifest::NAME, 0..0, "missing");
            return Ok(None);
        }
        let file = storage.open(manifest::NAME)?;
        self.bytes += file.bytes()?;
        match manifest::load(&*file)? {
            Loaded::Whole(list, is_damaged) => {
                if is_damaged {
                    let what = "one of its two copies is damaged or older, the other one counts";
                    self.damages.add(manifest::NAME, 0..0, what);
                }
                return Ok(Some(list));
            }
            Loaded::Damaged => self
                .damages
                .add(manifest::NAME, 0..0, "both of its copies are damaged"),
            Loaded::Version(version) => {
                let what = format_args!("version {version} of the format");
                self.damages.add(manifest::NAME, 0..0, what);
            }
        }
        Ok(None)
    }

    fn verify_segment(
        &mut self,
        storage: &dyn Storage,
        number: u64,
        is_last: bool,
        limits: &Limits,
    ) -> io::Result<()> {
        let name = name_of(number);
        let file = storage.open(&name)?;
        let bytes = file.bytes()?;
        self.segments += 1;
        self.bytes += bytes;
        if let Err(bad) = check_header(&*file, number)? {
            self.damages.add(&name, 0..HEADER_BYTES, bad);
        }
        let footer = footer::read(&*file, bytes)?;
        let end = footer.as_ref().map_or(bytes, |footer| footer.records_end);
        let walked = walk(&*file, number, end, limits.record_bytes_max)?;
        self.records += walked.contents.records;
        for (within, bad) in &walked.bad {
            self.damages.add(&name, within.clone(), bad);
        }
        for within in &walked.astray {
            self.damages
                .add(&name, within.clone(), "an offset that does not follow");
        }
        let sealed_at = walked.sealed_at;
        let is_whole = walked.bad.is_empty() && walked.astray.is_empty();
        match footer {
            Some(footer) => {
                if sealed_at != Some(footer.records_end) {
                    self.damages
                        .add(&name, walked.end..footer.records_end, "the seal is missing");
                }
                let sections = walked.contents.into_sections();
                let rows: Vec<Row> = sections.iter().map(|section| section.row(0)).collect();
                if is_whole && !is_same(&rows, &footer.rows) {
                    self.damages
                        .add(&name, end..bytes, "the footer does not say what the records say");
                }
            }
            None if sealed_at.is_some() || !is_last => {
                self.damages.add(
                    &name,
                    sealed_at.unwrap_or(walked.end)..bytes,
                    "the footer is damaged",
                );
            }
            None => {}
        }
        Ok(())
    }
}

/// Whether two directories say the same, but for where the blocks are.
fn is_same(walked: &[Row], footer: &[Row]) -> bool {
    let is_equal = |(walked, row): (&Row, &Row)| {
        let blocks_at = row.blocks_at;
        Row {
            blocks_at,
            ..walked.clone()
        } == *row
    };
    walked.len() == footer.len() && walked.iter().zip(footer).all(is_equal)
}
