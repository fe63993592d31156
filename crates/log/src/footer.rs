//! What stands behind the records of a sealed segment: where the records of each topic are.
//!
//! *Blocks* of at most 1,024 entries, each with a checksum in front; an entry is position (4), length (4) and time (8)
//! of one record. A topic's blocks follow each other, all but the last one full, so that the entry of an offset is
//! found by arithmetic. Then the *directory*, a row per topic, then the *trailer* at the end of the file.

use std::io;
use std::sync::Arc;

use crate::record::{OFFSET_END, u32_at, u64_at};
use crate::storage::StorageFile;

/// Where a record is, how long, and of when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at: u32,
    pub(crate) bytes: u32,
    pub(crate) time_ms: u64,
}

/// What a segment has of one topic, on the way into its footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) topic: Arc<str>,
    /// The epoch of the last record.
    pub(crate) epoch: u64,
    /// The highest floor; 0 for none.
    pub(crate) floor: u64,
    /// The offset of the first entry.
    pub(crate) first: u64,
    /// The last offset the topic had, as far as this segment says.
    pub(crate) last: u64,
    /// The time of the last record of any kind.
    pub(crate) last_ms: u64,
    pub(crate) entries: Vec<Entry>,
}

/// A row of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) topic: Arc<str>,
    pub(crate) epoch: u64,
    pub(crate) floor: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Entries.
    pub(crate) count: u32,
    /// Bytes of the records of all entries.
    pub(crate) bytes: u64,
    /// The time of the first entry.
    pub(crate) oldest_ms: u64,
    /// The highest time of an entry.
    pub(crate) newest_ms: u64,
    pub(crate) last_ms: u64,
    /// Where the blocks begin in the file.
    pub(crate) blocks_at: u64,
}

/// A footer as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Where the records end, the seal included.
    pub(crate) records_end: u64,
    pub(crate) rows: Vec<Row>,
}

impl Section {
    /// The offset behind its last entry.
    pub(crate) fn next(&self) -> Option<u64> {
        self.first.checked_add(self.entries.len() as u64)
    }

    /// Its row, when its blocks begin at `blocks_at`.
    pub(crate) fn row(&self, blocks_at: u64) -> Row {
        let times = self.entries.iter().map(|entry| entry.time_ms);
        Row {
            topic: Arc::clone(&self.topic),
            epoch: self.epoch,
            floor: self.floor,
            first: self.first,
            last: self.last,
            count: self.entries.len() as u32,
            bytes: self.entries.iter().map(|entry| u64::from(entry.bytes)).sum(),
            oldest_ms: self.entries.first().map_or(0, |entry| entry.time_ms),
            newest_ms: times.max().unwrap_or(0),
            last_ms: self.last_ms,
            blocks_at,
        }
    }
}

/// The footer of a file whose records end at `records_end`, and its rows.
pub(crate) fn encode(sections: &[Section], records_end: u64) -> (Vec<u8>, Vec<Row>) {
    let mut out = Vec::new();
    let mut rows = Vec::with_capacity(sections.len());
    for section in sections {
        rows.push(section.row(records_end + out.len() as u64));
        for block in section.entries.chunks(BLOCK_ENTRIES) {
            encode_block(block, &mut out);
        }
    }
    let directory = out.len();
    for row in &rows {
        encode_row(row, &mut out);
    }
    let sum = crc32fast::hash(&out[directory..]);
    let directory_bytes = (out.len() - directory) as u32;
    let trailer = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&records_end.to_le_bytes());
    out.extend_from_slice(&(records_end + directory as u64).to_le_bytes());
    out.extend_from_slice(&directory_bytes.to_le_bytes());
    out.extend_from_slice(&(rows.len() as u32).to_le_bytes());
    out.extend_from_slice(&sum.to_le_bytes());
    let sum = crc32fast::hash(&out[trailer..]);
    out.extend_from_slice(&sum.to_le_bytes());
    (out, rows)
}

fn encode_block(entries: &[Entry], out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    for entry in entries {
        out.extend_from_slice(&entry.at.to_le_bytes());
        out.extend_from_slice(&entry.bytes.to_le_bytes());
        out.extend_from_slice(&entry.time_ms.to_le_bytes());
    }
    let sum = crc32fast::hash(&out[begin + 4..]);
    out[begin..begin + 4].copy_from_slice(&sum.to_le_bytes());
}

fn encode_row(row: &Row, out: &mut Vec<u8>) {
    out.push(row.topic.len() as u8);
    out.extend_from_slice(row.topic.as_bytes());
    out.extend_from_slice(&row.count.to_le_bytes());
    for number in [
        row.epoch,
        row.floor,
        row.first,
        row.last,
        row.bytes,
        row.oldest_ms,
        row.newest_ms,
        row.last_ms,
        row.blocks_at,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// The footer at the end of a file of `file_bytes`, every checksum in it seen to be right; `None` when there is no such
/// footer.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read(file: &dyn StorageFile, file_bytes: u64) -> io::Result<Option<Footer>> {
    let mut trailer = [0; TRAILER_BYTES];
    let Some(trailer_at) = file_bytes.checked_sub(TRAILER_BYTES as u64) else {
        return Ok(None);
    };
    if file.read_at(&mut trailer, trailer_at)? != TRAILER_BYTES {
        return Ok(None);
    }
    let sum = crc32fast::hash(&trailer[..TRAILER_BYTES - 4]);
    let records_end = u64_at(&trailer, 8);
    if &trailer[..8] != MAGIC || sum != u32_at(&trailer, TRAILER_BYTES - 4) || records_end > trailer_at {
        return Ok(None);
    }
    let mut footer = vec![0; (trailer_at - records_end) as usize];
    if file.read_at(&mut footer, records_end)? != footer.len() {
        return Ok(None);
    }
    Ok(decode(&footer, &trailer, records_end))
}

/// Takes apart what stands between the records and the trailer.
fn decode(footer: &[u8], trailer: &[u8], records_end: u64) -> Option<Footer> {
    let directory_at = usize::try_from(u64_at(trailer, 16).checked_sub(records_end)?).ok()?;
    let directory = footer.get(directory_at..)?;
    let is_right =
        directory.len() == u32_at(trailer, 24) as usize && crc32fast::hash(directory) == u32_at(trailer, 32);
    if !is_right {
        return None;
    }
    let mut rest = directory;
    let mut rows = Vec::new();
    // Records do not overlap, so those of all topics together fit in front of the footer.
    let mut bytes_left = records_end;
    while !rest.is_empty() {
        let row = decode_row(&mut rest)?;
        bytes_left = bytes_left.checked_sub(row.bytes)?;
        let blocks_at = usize::try_from(row.blocks_at.checked_sub(records_end)?).ok()?;
        check_blocks(footer.get(blocks_at..directory_at)?, row.count, records_end)?;
        rows.push(row);
    }
    (rows.len() == u32_at(trailer, 28) as usize).then_some(Footer { records_end, rows })
}

fn decode_row(rest: &mut &[u8]) -> Option<Row> {
    let topic_end = 1 + usize::from(*rest.first()?);
    let topic = std::str::from_utf8(rest.get(1..topic_end)?).ok()?;
    let numbers = rest.get(topic_end..topic_end + ROW_NUMBERS_BYTES)?;
    let number = |index: usize| u64_at(numbers, 4 + 8 * index);
    *rest = &rest[topic_end + ROW_NUMBERS_BYTES..];
    let row = Row {
        topic: Arc::from(topic),
        count: u32_at(numbers, 0),
        epoch: number(0),
        floor: number(1),
        first: number(2),
        last: number(3),
        bytes: number(4),
        oldest_ms: number(5),
        newest_ms: number(6),
        last_ms: number(7),
        blocks_at: number(8),
    };
    let is_possible = row.last < OFFSET_END && row.floor <= OFFSET_END && row.first <= OFFSET_END;
    is_possible.then_some(row)
}

/// Whether `blocks` begin with so many entries, all of records before `records_end`.
fn check_blocks(mut blocks: &[u8], count: u32, records_end: u64) -> Option<()> {
    let mut left = count as usize;
    while left > 0 {
        let entries = left.min(BLOCK_ENTRIES);
        let bytes = blocks.get(..block_bytes(entries))?;
        let entries_of = decode_block(bytes)?;
        let is_inside = |entry: &Entry| u64::from(entry.at) + u64::from(entry.bytes) <= records_end;
        if !entries_of.iter().all(is_inside) {
            return None;
        }
        blocks = &blocks[bytes.len()..];
        left -= entries;
    }
    Some(())
}

/// The entries of a block; `None` when its checksum is wrong.
pub(crate) fn decode_block(block: &[u8]) -> Option<Vec<Entry>> {
    let (sum, entries) = block.split_at_checked(4)?;
    if crc32fast::hash(entries) != u32_at(sum, 0) {
        return None;
    }
    let entry = |bytes: &[u8]| Entry {
        at: u32_at(bytes, 0),
        bytes: u32_at(bytes, 4),
        time_ms: u64_at(bytes, 8),
    };
    Some(entries.chunks_exact(ENTRY_BYTES).map(entry).collect())
}

/// Where in a topic's blocks the block with entry `index` of `count` begins, and how long it is.
pub(crate) fn block_of(index: u32, count: u32) -> (u64, usize) {
    let block = index as usize / BLOCK_ENTRIES;
    let entries = (count as usize - block * BLOCK_ENTRIES).min(BLOCK_ENTRIES);
    ((block * block_bytes(BLOCK_ENTRIES)) as u64, block_bytes(entries))
}

fn block_bytes(entries: usize) -> usize {
    4 + entries * ENTRY_BYTES
}

/// Entries of a full block.
pub(crate) const BLOCK_ENTRIES: usize = 1_024;

const ENTRY_BYTES: usize = 16;
const ROW_NUMBERS_BYTES: usize = 4 + 8 * 9;
const TRAILER_BYTES: usize = 40;
const MAGIC: &[u8; 8] = b"FANFFOOT";

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::storage::{Memory, Storage};

    const RECORDS_END: u64 = 10_000;

    fn sections() -> impl Strategy<Value = Vec<Section>> {
        // So short that all of them fit in front of the footer.
        let entry = (0..9_000_u32, 0..2_u32, any::<u64>()).prop_map(|(at, bytes, time_ms)| Entry {
            at,
            bytes,
            time_ms,
        });
        let section = (
            "\\PC{1,20}",
            prop::array::uniform5(0..OFFSET_END),
            vec(entry, 0..2_100),
        );
        let section = section.prop_map(|(topic, [epoch, floor, first, last, last_ms], entries)| Section {
            topic: Arc::from(topic),
            epoch,
            floor,
            first,
            last,
            last_ms,
            entries,
        });
        vec(section, 0..4)
    }

    fn file(footer: &[u8]) -> (Memory, Vec<u8>) {
        let disk = Memory::new(0);
        let mut content = vec![0; RECORDS_END as usize];
        content.extend_from_slice(footer);
        disk.set_content("a", content.clone());
        (disk, content)
    }

    fn read_all(disk: &Memory) -> Option<Footer> {
        let file = disk.open("a").unwrap();
        read(&*file, file.bytes().unwrap()).unwrap()
    }

    #[test]
    fn a_footer_of_more_than_there_is_is_none() {
        let entry = Entry {
            at: 0,
            bytes: 6_000,
            time_ms: 1,
        };
        let section = |entries| Section {
            topic: Arc::from("a"),
            epoch: 1,
            floor: 0,
            first: 1,
            last: 2,
            last_ms: 1,
            entries,
        };
        let is_read = |entries| read_all(&file(&encode(&[section(entries)], RECORDS_END).0).0).is_some();
        assert!(is_read(vec![entry]));
        assert!(!is_read(vec![entry, entry]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn a_footer_is_read_as_it_was_written(sections in sections(), flip: prop::sample::Index, bit in 0..8_u32) {
            let (footer, rows) = encode(&sections, RECORDS_END);
            let (disk, mut content) = file(&footer);
            let read = read_all(&disk).unwrap();
            prop_assert_eq!(&read.rows, &rows);
            for (section, row) in sections.iter().zip(&rows) {
                for index in (0..row.count).step_by(311) {
                    let (at, bytes) = block_of(index, row.count);
                    let begin = (row.blocks_at + at) as usize;
                    let entries = decode_block(&content[begin..begin + bytes]).unwrap();
                    prop_assert_eq!(entries[index as usize % BLOCK_ENTRIES], section.entries[index as usize]);
                }
            }

            let at = RECORDS_END as usize + flip.index(footer.len());
            content[at] ^= 1_u8 << bit;
            disk.set_content("a", content);
            prop_assert_eq!(read_all(&disk), None);
        }

        #[test]
        fn any_bytes_are_a_footer_or_not(bytes in vec(any::<u8>(), 0..200)) {
            let (disk, _) = file(&bytes);
            let _ = read_all(&disk);
        }
    }
}
