//! `log`: files of the data directory that are not as the log wrote them.
//!
//! The first byte says what the rest is: a segment as it is; a segment whose checksums are mended first, so that what lies
//! behind them is reached; a list of segments with a segment; or what is published and which bytes are damaged then. Checked:
//! nothing panics; nothing is allocated because a file announces it; what is damaged is never served, and whatever is not
//! served any more is told of.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use fanfare_log::{
    Bounds, Damages, Draft, Limits, Log, Memory, Options, ReadError, Recovery, Storage, probe, verify,
};

use crate::bounds::bounded;

/// The files of the disk in memory, which has each twice, and the list of segments, of which there is one for every change.
const BYTES_MAX: usize = 4 << 20;

/// What of a page is asked for at once.
const PAGE: Bounds = Bounds {
    records: 1_000,
    bytes: 1 << 20,
};

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else {
        return;
    };
    bounded(BYTES_MAX + 64 * rest.len(), || match kind % 4 {
        0 => probe(rest),
        1 => probe(&mended_segment(rest)),
        2 => check_files(rest),
        _ => check_damaged(rest),
    });
}

/// Opens whatever there is as a directory of one segment and one value, reads all of it, and appends.
fn check_files(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return;
    };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (list, segment) = rest.split_at(length);
    let disk = Memory::new(0);
    disk.set_content(LIST, mended_list(list));
    disk.set_content("00000000000000000000.seg", mended_segment(segment));
    disk.set_content("value.state", segment.to_vec());
    let storage: Arc<dyn Storage> = Arc::new(disk);
    let _ = verify(&storage, &Limits::default());
    let Ok((mut log, _)) = Log::open(Arc::clone(&storage), small(1)) else {
        return;
    };
    if let Ok(Some(value)) = log.state().value("value") {
        assert_eq!(value, segment[24..], "a value is not what the file has");
    }
    let reader = log.reader();
    for (topic, standing) in reader.topics(0, 1_000).0 {
        let _ = reader.forward(&topic, 0, PAGE);
        let _ = reader.backward(&topic, standing.last, PAGE);
    }
    let _ = reader.visit(0, |_| ControlFlow::Continue(()));
    let Some(Ok(position)) = log.append(&[Draft::publication("a", 1, "body")]).pop() else {
        return;
    };
    drop(log);
    // Whatever the list said, the log has written one that it can read.
    if let Ok((log, _)) = Log::open(storage, small(2)) {
        let standing = log.reader().standing("a").map(|standing| standing.position());
        assert_eq!(standing, Some(position), "a position is lost");
    }
}

/// Writes publications, flips bits, and looks at what is served.
fn check_damaged(bytes: &[u8]) {
    let Some((&shape, rest)) = bytes.split_first() else {
        return;
    };
    let (is_closed, count) = (shape >= 0x80, usize::from(shape & 0x3f).min(rest.len()));
    let (publications, flips) = rest.split_at(count);
    let (disk, served) = written(publications, is_closed);
    let files = disk.names().unwrap();
    for flip in flips.chunks_exact(4) {
        let file = &files[usize::from(flip[0]) % files.len()];
        let mut content = disk.content(file).unwrap();
        let at = usize::from(u16::from_be_bytes([flip[1], flip[2]]));
        if let Some(byte) = content.get_mut(at) {
            *byte ^= flip[3];
        }
        disk.set_content(file, content);
    }
    let storage: Arc<dyn Storage> = Arc::new(disk);
    let _ = verify(&storage, &small(2).limits);
    if let Ok((log, recovery)) = Log::open(storage, small(2)) {
        check_served(&log, &recovery, &served);
    }
}

/// What was published, by topic and offset.
type Served = BTreeMap<(&'static str, u64), String>;

fn written(publications: &[u8], is_closed: bool) -> (Memory, Served) {
    let disk = Memory::new(0);
    let (mut log, _) = Log::open(Arc::new(disk.clone()), small(1)).unwrap();
    let mut served = Served::new();
    for (number, shape) in publications.iter().enumerate() {
        let topic = ["a", "bb", "ccc"][usize::from(shape % 3)];
        let body = format!("{number} {}", "x".repeat(4 * usize::from(*shape)));
        let appended = log.append(&[Draft::publication(topic, 1, body.clone())]).pop();
        let position = appended.unwrap().unwrap();
        served.insert((topic, position.offset), body);
    }
    if is_closed {
        log.close().unwrap();
    }
    (disk, served)
}

fn check_served(log: &Log, recovery: &Recovery, served: &Served) {
    let mut is_told =
        recovery.damages != Damages::default() || recovery.truncated.is_some() || recovery.renewed > 0;
    let mut found = 0;
    for (topic, offset) in served.keys() {
        let one = Bounds { records: 1, bytes: 1 };
        match log.reader().forward(topic, *offset, one) {
            Ok(page) => {
                for publication in &page.publications {
                    let written = served.get(&(topic, publication.offset));
                    assert!(
                        written.is_some_and(|body| publication.body == *body),
                        "a publication is not as it was written"
                    );
                    found += usize::from(publication.offset == *offset);
                }
            }
            Err(ReadError::Corrupt { .. }) => is_told = true,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        is_told || found == served.len(),
        "{found} of {} publications are served, and nothing is told",
        served.len()
    );
}

/// Segments of 4 KiB, so that a few publications fill some.
fn small(seed: u64) -> Options {
    Options {
        limits: Limits {
            segment_bytes_max: 4_096,
            record_bytes_max: 2_048,
            ..Limits::default()
        },
        seed: Some(seed),
        ..Options::default()
    }
}

/// The segment with the checksums that its header, its records and its footer should have (`docs/storage.md`).
fn mended_segment(bytes: &[u8]) -> Vec<u8> {
    let mut content = bytes.to_vec();
    mend(&mut content, 20, 0..20);
    let mut at = 24;
    while let Some(length) = number(&content, at, 4) {
        let end = at.saturating_add(8).saturating_add(length);
        if length < 30 || end > content.len() {
            break;
        }
        let prefix = content[at..at + 4].to_vec();
        let sum = crc32fast::hash(&[&prefix, &content[at + 8..end]].concat());
        content[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
    mend_footer(&mut content);
    content
}

fn mend_footer(content: &mut [u8]) {
    let Some(trailer) = content.len().checked_sub(40) else {
        return;
    };
    let Some(directory) = number(content, trailer + 16, 8).filter(|at| *at <= trailer) else {
        return;
    };
    let mut at = directory;
    while let Some(name) = content[..trailer].get(at).map(|length| usize::from(*length)) {
        let row = at + 1 + name;
        let (entries, block) = (number(content, row, 4), number(content, row + 4 + 64, 8));
        if let (Some(entries), Some(block)) = (entries, block) {
            mend_blocks(&mut content[..directory], entries, block);
        }
        at = row + 4 + 72;
    }
    mend(content, trailer + 32, directory..trailer);
    mend(content, trailer + 36, trailer..trailer + 36);
}

/// Blocks have up to 1,024 entries of 16 bytes, and all but the last one so many.
fn mend_blocks(content: &mut [u8], mut entries: usize, mut block: usize) {
    while entries > 0 && block < content.len() {
        let count = entries.min(1_024);
        let end = block + 4 + 16 * count;
        mend(content, block, block + 4..end);
        (entries, block) = (entries - count, end);
    }
}

/// The list of segments with the checksum that its first slot should have, and a second slot that is damaged.
fn mended_list(bytes: &[u8]) -> Vec<u8> {
    let mut content = bytes.to_vec();
    let count = number(&content, 48, 4).unwrap_or_default();
    let end = count.saturating_mul(8).saturating_add(56);
    if let Some(slot) = content.get(..end) {
        let sum = crc32fast::hash(&[&slot[..52], &slot[56..]].concat());
        content[52..56].copy_from_slice(&sum.to_le_bytes());
    }
    content.resize(content.len().max(2 * 33_280), 0);
    content
}

/// Puts the checksum of a range to its place, where both are there.
fn mend(content: &mut [u8], at: usize, range: std::ops::Range<usize>) {
    let sum = content.get(range).map(crc32fast::hash);
    if let (Some(sum), Some(place)) = (sum, content.get_mut(at..at + 4)) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// The number of so many bytes at a place.
fn number(content: &[u8], at: usize, bytes: usize) -> Option<usize> {
    let mut number = [0; 8];
    number[..bytes].copy_from_slice(content.get(at..at.checked_add(bytes)?)?);
    usize::try_from(u64::from_le_bytes(number)).ok()
}

/// The file with the list of segments.
const LIST: &str = "segments";
