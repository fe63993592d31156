//! Walking over the records of a segment file, from one on, through whatever is damaged.

use std::io;
use std::ops::Range;

use crate::record::{self, Bad, HEAD_BYTES, PREFIX_BYTES, Record};
use crate::storage::StorageFile;

/// What stands at a place of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A record that is whole, and where.
    Record(Record<'a>, Range<u64>),
    /// Bytes that are none, up to the next record that is whole or the end of the file.
    Bad(Bad, Range<u64>),
}

/// A walk over one file. Holds a window of it, never more than the longest record and [`WINDOW_BYTES`].
pub(crate) struct Scan<'f> {
    file: &'f dyn StorageFile,
    /// Where the walk is, and where it ends.
    at: u64,
    end: u64,
    record_bytes_max: u32,
    window: Vec<u8>,
    /// Where the window begins in the file.
    window_at: u64,
    /// Bytes that may still be looked at in search of the next whole record.
    search_bytes: u64,
}

impl<'f> Scan<'f> {
    /// Walks over `within`, which begins with a record.
    pub(crate) fn new(file: &'f dyn StorageFile, within: Range<u64>, record_bytes_max: u32) -> Self {
        let length = within.end.saturating_sub(within.start);
        Self {
            file,
            at: within.start,
            end: within.end,
            record_bytes_max,
            window: Vec::new(),
            window_at: within.start,
            search_bytes: length.saturating_mul(SEARCH_FACTOR) + u64::from(record_bytes_max),
        }
    }

    /// Where the next thing stands that [`Scan::next`] gives.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// What stands next; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let begin = self.at;
        match self.check(begin)? {
            Ok(bytes) => {
                self.at += bytes;
                let within = self.window_range(begin, bytes);
                // Checked a moment ago, and decoded here for the borrow: the checksum costs less than a copy.
                match record::decode(&self.window[within], self.record_bytes_max) {
                    Ok(record) => Ok(Some(Found::Record(record, begin..begin + bytes))),
                    Err(bad) => Ok(Some(Found::Bad(bad, begin..begin + bytes))),
                }
            }
            Err(bad) => {
                self.at = self.find(begin + 1)?;
                Ok(Some(Found::Bad(bad, begin..self.at)))
            }
        }
    }

    /// The first place from `at` on where a whole record stands, or the end.
    fn find(&mut self, mut at: u64) -> io::Result<u64> {
        while at + HEAD_BYTES as u64 <= self.end {
            let bytes = self.fill(at, HEAD_BYTES)?;
            let within = self.window_range(at, bytes as u64);
            let size = record::plausible(&self.window[within], self.record_bytes_max);
            // One that would end behind the file costs no look at its bytes.
            if let Some(size) = size.map(|size| size as u64)
                && at + size <= self.end
            {
                if self.search_bytes < size {
                    return Ok(self.end);
                }
                self.search_bytes -= size;
                if self.check(at)?.is_ok() {
                    return Ok(at);
                }
            }
            at += 1;
        }
        Ok(self.end)
    }

    /// How long the record at `at` is, if a whole one stands there.
    fn check(&mut self, at: u64) -> io::Result<Result<u64, Bad>> {
        let prefix = self.fill(at, PREFIX_BYTES)?;
        let within = self.window_range(at, prefix as u64);
        let size = match record::announced(&self.window[within], self.record_bytes_max) {
            Ok(size) if at + size as u64 <= self.end => size,
            Ok(_) => return Ok(Err(Bad::Short)),
            Err(bad) => return Ok(Err(bad)),
        };
        let filled = self.fill(at, size)?;
        let within = self.window_range(at, filled as u64);
        Ok(record::decode(&self.window[within], self.record_bytes_max).map(|_| size as u64))
    }

    /// Has so many bytes from `at` on in the window, or as many as there are; gives how many.
    fn fill(&mut self, at: u64, bytes: usize) -> io::Result<usize> {
        let bytes = bytes.min((self.end - at) as usize);
        let is_there = at >= self.window_at && at + bytes as u64 <= self.window_at + self.window.len() as u64;
        if !is_there {
            let size = bytes.max(WINDOW_BYTES).min((self.end - at) as usize);
            self.window.resize(size, 0);
            let filled = self.file.read_at(&mut self.window, at)?;
            self.window.truncate(filled);
            self.window_at = at;
        }
        let there = (self.window_at + self.window.len() as u64).saturating_sub(at);
        Ok(bytes.min(there as usize))
    }

    fn window_range(&self, at: u64, bytes: u64) -> Range<usize> {
        let begin = (at - self.window_at) as usize;
        begin..begin + bytes as usize
    }
}

/// What is read at once.
const WINDOW_BYTES: usize = 256 << 10;

/// How often a byte is looked at, on average, in search of a whole record behind bad ones. More would be needed only in
/// a file that was made to need it; what lies behind is then taken for bad.
const SEARCH_FACTOR: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Kind;
    use crate::storage::{Memory, Storage};

    fn record(offset: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let record = Record {
            kind: Kind::Publication,
            durable: 0,
            epoch: 1,
            offset,
            time_ms: 0,
            topic: "t",
            body,
        };
        record::encode(&record, &mut bytes);
        bytes
    }

    /// Offsets of records, and the lengths of what is bad between them.
    fn walk(bytes: &[u8]) -> Vec<Result<u64, u64>> {
        let disk = Memory::new(0);
        disk.set_content("a", bytes.to_vec());
        let file = disk.open("a").unwrap();
        let mut scan = Scan::new(&*file, 0..bytes.len() as u64, 4_096);
        let mut found = Vec::new();
        while let Some(next) = scan.next().unwrap() {
            found.push(match next {
                Found::Record(record, _) => Ok(record.offset),
                Found::Bad(_, within) => Err(within.end - within.start),
            });
        }
        found
    }

    /// Random bytes announce records, long ones mostly.
    #[test]
    fn what_would_end_behind_the_file_does_not_end_the_search() {
        let mut announced = 4_000_u32.to_le_bytes().to_vec();
        announced.extend_from_slice(&[0, 0, 0, 0, 1, 0]);
        let mut bytes = [record(1, &announced.repeat(40)), record(2, b"two")].concat();
        bytes[4] ^= 1;
        let bad = bytes.len() as u64 - record(2, b"two").len() as u64;
        assert_eq!(walk(&bytes), [Err(bad), Ok(2)]);
    }

    #[test]
    fn records_behind_a_damaged_one_are_found() {
        let mut bytes = [record(1, b"one"), record(2, b"two"), record(3, b"three")].concat();
        let length = record(2, b"two").len() as u64;
        bytes[record(1, b"one").len()] ^= 0x80;
        assert_eq!(walk(&bytes), [Ok(1), Err(length), Ok(3)]);
    }

    #[test]
    fn records_longer_than_the_window_are_read() {
        let long = vec![7; 3_000];
        let bytes: Vec<u8> = (1..=200).flat_map(|offset| record(offset, &long)).collect();
        assert_eq!(walk(&bytes).len(), 200);
    }

    #[test]
    fn a_torn_record_is_bad_to_the_end() {
        let mut bytes = [record(1, b"one"), record(2, b"two")].concat();
        bytes.truncate(bytes.len() - 1);
        let length = record(2, b"two").len() as u64 - 1;
        assert_eq!(walk(&bytes), [Ok(1), Err(length)]);
    }

    #[test]
    fn a_file_made_to_be_searched_for_long_is_given_up() {
        let mut bytes = Vec::new();
        while bytes.len() < 300_000 {
            bytes.extend_from_slice(&4_000_u32.to_le_bytes());
            bytes.extend_from_slice(&[0, 0, 0, 0, 1, 1]);
        }
        assert_eq!(walk(&bytes), [Err(bytes.len() as u64)]);
    }
}
