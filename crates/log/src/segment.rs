//! One segment file: its name, its header, and what is known of it while it is open.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::record::{u32_at, u64_at};
use crate::storage::{Storage, StorageFile};

/// An open segment. One that is rewritten becomes another value; whoever reads this one can go on.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its place in the order of the log.
    pub(crate) number: u64,
    /// Different for every value in the process.
    pub(crate) id: u64,
    pub(crate) file: Arc<dyn StorageFile>,
    /// What of the file is in use: of a sealed one all of it; not kept up to date while it is appended to.
    pub(crate) bytes: u64,
    /// Where the records end; not kept up to date while it is appended to.
    pub(crate) records_end: u64,
    /// The highest time of a record; `u64::MAX` while it is appended to.
    pub(crate) newest_ms: u64,
}

impl Segment {
    pub(crate) fn new(number: u64, file: Arc<dyn StorageFile>) -> Self {
        Self {
            number,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            file,
            bytes: HEADER_BYTES,
            records_end: HEADER_BYTES,
            newest_ms: u64::MAX,
        }
    }

    /// Makes a new, empty one, durable when this returns.
    pub(crate) fn create(storage: &dyn Storage, number: u64) -> io::Result<Self> {
        let file = storage.create(&name_of(number))?;
        file.write_at(&header_of(number), 0)?;
        file.sync()?;
        storage.sync_names()?;
        Ok(Self::new(number, file))
    }
}

/// Distinguishes segments that had the same number one after the other, in the cache of blocks.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHeader {
    #[error("the header is damaged")]
    Damaged,
    /// Whole, and of another version of the format.
    #[error("the header is of version {0} of the format")]
    Version(u32),
    /// Whole, and of the segment of another number.
    #[error("the header is that of segment {0}")]
    Number(u64),
}

/// Whether the file has the header of this segment.
pub(crate) fn check_header(file: &dyn StorageFile, number: u64) -> io::Result<Result<(), BadHeader>> {
    let mut header = [0; HEADER_BYTES as usize];
    let is_whole = file.read_at(&mut header, 0)? == header.len()
        && &header[..8] == MAGIC
        && crc32fast::hash(&header[..20]) == u32_at(&header, 20);
    Ok(match (is_whole, u32_at(&header, 8), u64_at(&header, 12)) {
        (false, ..) => Err(BadHeader::Damaged),
        (true, VERSION, found) if found == number => Ok(()),
        (true, VERSION, found) => Err(BadHeader::Number(found)),
        (true, version, _) => Err(BadHeader::Version(version)),
    })
}

/// The header of a segment: magic, version, number, and a CRC-32 of these.
pub(crate) fn header_of(number: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES as usize);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&number.to_le_bytes());
    let sum = crc32fast::hash(&header);
    header.extend_from_slice(&sum.to_le_bytes());
    header
}

/// The file of segment `number`.
pub(crate) fn name_of(number: u64) -> String {
    format!("{number:020}{SUFFIX}")
}

/// The number of the segment that the file is, by its name.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(SUFFIX)?;
    let is_number = number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| is_number);
    number.filter(|number| *number < NUMBER_END)
}

/// No segment has this number or a higher one, so that there is a next one in any case.
pub(crate) const NUMBER_END: u64 = 1 << 63;

/// Where the first record stands.
pub(crate) const HEADER_BYTES: u64 = 24;

/// The version of the format of all files.
pub(crate) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"FANFLOG\n";
const SUFFIX: &str = ".seg";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Memory;

    #[test]
    fn a_name_gives_its_number_and_no_other_name_does() {
        assert_eq!(number_of(&name_of(17)), Some(17));
        for name in [
            "17.seg",
            "+0000000000000000017.seg",
            "00000000000000000017.tmp",
            "99999999999999999999.seg",
        ] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_header_is_that_of_its_number_and_version_or_damaged() {
        let disk = Memory::new(0);
        let check = |bytes: Vec<u8>| {
            disk.set_content("a", bytes);
            check_header(&*disk.open("a").unwrap(), 3).unwrap()
        };
        assert_eq!(check(header_of(3)), Ok(()));
        assert_eq!(check(header_of(4)), Err(BadHeader::Number(4)));
        assert_eq!(check(vec![]), Err(BadHeader::Damaged));
        let mut later = header_of(3);
        later[8] = 2;
        assert_eq!(check(later.clone()), Err(BadHeader::Damaged));
        let sum = crc32fast::hash(&later[..20]);
        later[20..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(check(later), Err(BadHeader::Version(2)));
    }
}
