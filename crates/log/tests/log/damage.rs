//! Files that are not as they were written. FAULTS 64.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use fanfare_log::{
    Damages, Draft, Fault, INCOMPLETE_IMPORT, Log, Memory, OpenError, Options, Publication, ReadError,
    Recovery, Rehearsal, Retention, Storage, What, probe, verify,
};

use crate::harness::*;

const TOPICS: [&str; 3] = ["a", "bb", "ccc"];

/// A log of a few segments, closed or killed, with what is in it by topic and offset.
fn written(is_closed: bool) -> (Memory, BTreeMap<(String, u64), String>) {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    for round in 0..24 {
        publish(&mut log, TOPICS[0], 2);
        publish(&mut log, TOPICS[1 + round % 2], 1);
    }
    let remove = Draft {
        what: What::Remove { before: 3 },
        ..publication("a", 1, "")
    };
    append(&mut log, remove).unwrap();
    let mut all = BTreeMap::new();
    for topic in TOPICS {
        for publication in read(&log, topic) {
            all.insert(
                (topic.to_owned(), publication.offset),
                body(topic, publication.offset),
            );
        }
    }
    assert!((3..6).contains(&segments(&disk).len()));
    if is_closed {
        log.close().unwrap();
    }
    (disk.copy(1), all)
}

fn epochs(log: &Log) -> Vec<Option<u64>> {
    TOPICS
        .iter()
        .map(|topic| Some(log.reader().standing(topic)?.epoch))
        .collect()
}

/// Opens a damaged copy, reads all there is, and sees to it that nothing is wrong, and nothing missing in silence.
/// True when something was told.
fn check(disk: &Memory, all: &BTreeMap<(String, u64), String>, whole: &[Option<u64>], case: &str) -> bool {
    let Ok((mut log, recovery)) = try_open(disk, small()) else {
        return true;
    };
    let mut is_told = recovery
        != (Recovery {
            damages: <_>::default(),
            truncated: None,
            ..recovery.clone()
        });
    let mut found = 0;
    for topic in TOPICS {
        for (_, offset) in all.keys().filter(|(of, _)| of == topic) {
            let bounds = fanfare_log::Bounds { records: 1, bytes: 1 };
            match log.reader().forward(topic, *offset, bounds) {
                Ok(page) => {
                    for publication in &page.publications {
                        let wanted = &all[&(topic.to_owned(), publication.offset)];
                        assert_eq!(publication.body, *wanted, "{case}: {topic} {offset}");
                        found += usize::from(publication.offset == *offset);
                    }
                }
                Err(ReadError::Corrupt { .. }) => is_told = true,
                Err(error) => panic!("{case}: {error}"),
            }
        }
    }
    let damages = log.reader().visit(0, |publication| {
        assert_eq!(
            publication.body,
            body(&publication.topic, publication.offset),
            "{case}"
        );
        ControlFlow::Continue(())
    });
    is_told |= !damages.unwrap().is_empty();
    let is_same = found == all.len() && epochs(&log) == whole;
    assert!(
        is_same || is_told,
        "{case}: {found} of {} and nobody says so",
        all.len()
    );
    // A position that was known is never given to another publication.
    for (topic, epoch) in TOPICS.iter().zip(whole) {
        let last = all
            .keys()
            .filter(|(of, _)| of == topic)
            .map(|(_, offset)| *offset)
            .max();
        let position = append(&mut log, publication(topic, 1, "new")).unwrap();
        let is_new = Some(position.offset) > last || Some(position.epoch) != *epoch;
        assert!(
            is_new || recovery.truncated.is_some(),
            "{case}: {topic} {position:?}"
        );
    }
    is_told
}

/// 3,000 flips by chance in the ordinary run; `LOG_FLIPS=all` for one of every byte, or a number.
#[test]
fn every_flipped_byte_is_harmless_or_told() {
    for is_closed in [true, false] {
        let (disk, all) = written(is_closed);
        let whole = epochs(&open(&disk.copy(1), small()));
        let names: Vec<String> = disk.names().unwrap();
        let bytes: Vec<(String, usize)> = names
            .iter()
            .flat_map(|name| (0..disk.content(name).unwrap().len()).map(move |at| (name.clone(), at)))
            .collect();
        let wanted = std::env::var("LOG_FLIPS").unwrap_or("1500".to_owned());
        let mut random = fastrand::Rng::with_seed(5);
        let flips = wanted.parse().unwrap_or(bytes.len());
        let mut told = 0;
        for number in 0..flips {
            let is_every = wanted == "all";
            let (name, at) = &bytes[if is_every {
                number
            } else {
                random.usize(..bytes.len())
            }];
            // The list of segments is mostly room for more; what is of interest are the segments.
            if name == "segments" && !is_every && random.u8(..8) > 0 && at % 33_280 > 200 {
                continue;
            }
            let mask = random.u8(1..);
            let copy = disk.copy(number as u64);
            let mut content = copy.content(name).unwrap();
            content[*at] ^= mask;
            copy.set_content(name, content);
            told += usize::from(check(&copy, &all, &whole, &format!("{name} {at} {mask:#x}")));
        }
        assert!(told > 100, "{told}");
    }
}

#[test]
fn the_last_segment_can_end_anywhere() {
    let (disk, all) = written(false);
    let whole = epochs(&open(&disk.copy(1), small()));
    let last = segments(&disk).pop().unwrap();
    let content = disk.content(&last).unwrap();
    for length in 0..content.len() {
        for is_zeroed in [false, true] {
            let copy = disk.copy(1);
            let mut torn = content[..length].to_vec();
            if is_zeroed {
                torn.resize(content.len(), 0);
            }
            copy.set_content(&last, torn);
            let (mut log, recovery) = try_open(&copy, small()).unwrap();
            let is_header = length < 24;
            assert_eq!(
                recovery.damages.count,
                u64::from(is_header),
                "{length} {recovery:?}"
            );
            assert_eq!(epochs(&log), whole);
            let kept: usize = TOPICS.iter().map(|topic| read(&log, topic).len()).sum();
            assert!(kept >= all.len() - 30);
            publish(&mut log, "a", 1);
            let (log, recovery) = killed(&copy, log, small());
            assert!(recovery.damages.is_empty() && recovery.truncated.is_none());
            assert_eq!(
                TOPICS.iter().map(|topic| read(&log, topic).len()).sum::<usize>(),
                kept + 1
            );
        }
    }
}

#[test]
fn damage_in_what_was_durable_is_told_from_a_torn_end() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    publish(&mut log, "a", 6);
    let epoch = log.reader().standing("a").unwrap().epoch;
    drop(log);
    let name = segments(&disk).pop().unwrap();
    let mut content = disk.content(&name).unwrap();
    content[24 + 2 * 135 + 50] ^= 1;
    disk.set_content(&name, content);
    disk.restart();
    let (mut log, recovery) = try_open(&disk, small()).unwrap();
    assert_eq!((recovery.damages.count, recovery.renewed), (1, 1), "{recovery:?}");
    assert_eq!(recovery.truncated, None);
    let standing = log.reader().standing("a").unwrap();
    assert_ne!(standing.epoch, epoch);
    assert_eq!(
        offsets(&log, "a"),
        [4, 5, 6],
        "what is whole behind it is still served"
    );
    publish(&mut log, "a", 1);
    let (log, recovery) = killed(&disk, log, small());
    assert!(recovery.damages.is_empty(), "told once: {recovery:?}");
    assert_eq!(offsets(&log, "a"), [4, 5, 6, 7]);
}

#[test]
fn a_damaged_end_of_a_log_that_was_closed_is_not_taken_for_torn() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    publish(&mut log, "a", 6);
    let epoch = log.reader().standing("a").unwrap().epoch;
    log.close().unwrap();
    let name = segments(&disk).pop().unwrap();
    let mut content = disk.content(&name).unwrap();
    *content.last_mut().unwrap() ^= 1;
    disk.set_content(&name, content);
    let (log, recovery) = try_open(&disk, small()).unwrap();
    assert_eq!((recovery.damages.count, recovery.renewed), (1, 1), "{recovery:?}");
    assert_eq!(recovery.truncated, None);
    assert_ne!(log.reader().standing("a").unwrap().epoch, epoch);
    assert_eq!(offsets(&log, "a"), [1, 2, 3, 4, 5]);
}

#[test]
fn a_damaged_record_of_a_sealed_segment_is_told_when_it_is_read() {
    let (disk, _) = written(true);
    let name = segments(&disk).remove(0);
    let mut content = disk.content(&name).unwrap();
    let at = content.windows(5).position(|bytes| bytes == b"a 10 ").unwrap();
    content[at] = b'b';
    disk.set_content(&name, content);
    let (mut log, recovery) = try_open(&disk, small()).unwrap();
    assert!(recovery.damages.is_empty());
    let error = log.reader().forward("a", 0, ALL).unwrap_err();
    let ReadError::Corrupt {
        topic, offset, file, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((&*topic, offset, file), ("a", 10, name));
    let renew = Draft {
        what: What::Renew { from: offset + 1 },
        ..publication("a", 1, "")
    };
    append(&mut log, renew).unwrap();
    assert_eq!(read(&log, "a")[0].offset, 11);
    drop(log);

    let storage: Arc<dyn Storage> = Arc::new(disk.copy(1));
    let verified = verify(&storage, &small().limits).unwrap();
    assert_eq!(verified.damages.count, 1, "{verified:?}");
    let damage = verified.damages.listed[0].to_string();
    assert!(
        damage.contains(".seg: ") && damage.ends_with("the checksum is wrong"),
        "{damage}"
    );
}

#[test]
fn a_whole_record_in_the_place_of_another_is_told() {
    let (disk, _) = written(true);
    let name = segments(&disk).remove(0);
    let mut content = disk.content(&name).unwrap();
    let within = |text: &[u8]| {
        let body = content.windows(5).position(|bytes| bytes == text).unwrap();
        body - 39..body - 39 + 134
    };
    let (one, other) = (within(b"a 10 "), within(b"a 11 "));
    let record = content[one.clone()].to_vec();
    content.copy_within(other.clone(), one.start);
    content[other].copy_from_slice(&record);
    disk.set_content(&name, content);
    let log = open(&disk, small());
    let error = log.reader().forward("a", 0, ALL).unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { offset: 10, .. }), "{error}");
}

#[test]
fn a_damaged_segment_is_not_rewritten_and_told_of_once() {
    let disk = Memory::new(1);
    let count = |count| Retention {
        count,
        ..Retention::ALL
    };
    let policy = move |topic: &str| if topic == "long" { Retention::ALL } else { count(1) };
    let mut log = open(&disk, keeping(policy));
    publish(&mut log, "long", 3);
    publish(&mut log, "short", 100);
    let name = segments(&disk).remove(0);
    let mut content = disk.content(&name).unwrap();
    let at = content.windows(7).position(|bytes| bytes == b"long 2 ").unwrap();
    content[at] ^= 1;
    disk.set_content(&name, content.clone());
    let told: u64 = (0..200).map(|_| log.maintain(1).unwrap().damages.count).sum();
    assert_eq!(told, 1);
    assert_eq!(disk.content(&name).unwrap(), content);
    let page = log
        .reader()
        .backward("long", 3, fanfare_log::Bounds { records: 1, bytes: 1 })
        .unwrap();
    assert_eq!(
        page.publications[0].body,
        body("long", 3),
        "what is whole is served"
    );
    let names = disk.names().unwrap();
    assert!(!names.iter().any(|name| name.contains("tmp")), "{names:?}");
}

/// What an opening told of and gave up is dead: a later life neither tells of it again nor keeps the segment for it.
#[test]
fn what_was_given_up_goes_when_its_segment_is_rewritten() {
    let disk = Memory::new(1);
    let count = |count| Retention {
        count,
        ..Retention::ALL
    };
    let options = || keeping(move |topic: &str| count(if topic == "a" { 10 } else { 1 }));
    let mut log = open(&disk, options());
    for topic in TOPICS {
        publish(&mut log, topic, 10);
    }
    drop(log);
    let name = segments(&disk).remove(0);
    let mut content = disk.content(&name).unwrap();
    let at = content.windows(4).position(|bytes| bytes == b"a 4 ").unwrap();
    content[at] ^= 1;
    disk.set_content(&name, content);
    let (log, recovery) = try_open(&disk, options()).unwrap();
    assert_eq!(recovery.damages.count, 1, "{recovery:?}");
    let kept: Vec<_> = TOPICS.iter().map(|topic| read(&log, topic)).collect();
    drop(log);
    let (mut log, recovery) = try_open(&disk, options()).unwrap();
    assert!(recovery.damages.is_empty(), "{recovery:?}");
    let is_sound = || {
        let storage: Arc<dyn Storage> = Arc::new(disk.clone());
        verify(&storage, &small().limits).unwrap().damages.is_empty()
    };
    assert!(!is_sound());
    let maintained: Vec<_> = (0..200).map(|_| log.maintain(1).unwrap()).collect();
    assert!(maintained.iter().all(|step| step.damages.is_empty()));
    assert!(maintained.iter().any(|step| step.rewritten == 1));
    assert_eq!(TOPICS.map(|topic| read(&log, topic)).to_vec(), kept);
    assert!(is_sound());
}

#[test]
fn a_damaged_footer_is_made_anew() {
    let (disk, all) = written(true);
    let name = segments(&disk).remove(0);
    let content = disk.content(&name).unwrap();
    for cut in [1, 40, 300] {
        let copy = disk.copy(1);
        copy.set_content(&name, content[..content.len() - cut].to_vec());
        let (log, recovery) = try_open(&copy, small()).unwrap();
        assert_eq!((recovery.damages.count, recovery.renewed), (1, 0), "{recovery:?}");
        assert_eq!(
            TOPICS.iter().map(|topic| read(&log, topic).len()).sum::<usize>(),
            all.len()
        );
        drop(log);
        assert_eq!(copy.content(&name).unwrap(), content);
    }
}

#[test]
fn a_missing_segment_is_named_and_can_be_gone_without() {
    for missing in 0..3 {
        let (disk, _) = written(true);
        let whole = epochs(&open(&disk.copy(1), small()));
        let name = segments(&disk).remove(missing);
        disk.remove(&name).unwrap();
        let error = try_open(&disk, small()).unwrap_err();
        assert!(
            matches!(&error, OpenError::Missing(file) if *file == name),
            "{error}"
        );
        let options = Options {
            accepts_missing: true,
            ..small()
        };
        let (mut log, recovery) = try_open(&disk, options).unwrap();
        assert_eq!((recovery.damages.count, recovery.renewed), (1, 3), "{recovery:?}");
        for (before, after) in whole.iter().zip(epochs(&log)) {
            assert_ne!(*before, after);
        }
        publish(&mut log, "a", 1);
        for topic in TOPICS {
            read(&log, topic);
        }
        let (_, recovery) = killed(&disk, log, small());
        assert!(recovery.damages.is_empty() && recovery.renewed == 0, "told once");
    }
}

/// What is whole, and what is damaged.
fn everything(log: &Log) -> (Vec<Publication>, Damages) {
    let mut publications = Vec::new();
    let damages = log.reader().visit(0, |publication| {
        publications.push(publication);
        ControlFlow::Continue(())
    });
    (publications, damages.unwrap())
}

/// What [`fanfare_log::Rehearsal`] is for.
#[test]
fn an_opening_is_rehearsed_without_a_change() {
    for (is_closed, seed) in [(true, 0), (false, 1), (true, 2), (false, 3)] {
        let (disk, _) = written(is_closed);
        let mut random = fastrand::Rng::with_seed(seed);
        for round in 0..40 {
            let names = segments(&disk);
            let name = &names[random.usize(..names.len())];
            let mut content = disk.content(name).unwrap();
            let at = random.usize(..content.len());
            match round % 4 {
                0 => {}
                1 => content.truncate(at),
                _ => content[at] ^= 1 << (round % 8),
            }
            let damaged = disk.copy(seed);
            damaged.set_content(name, content);
            let before = damaged.copy(seed);
            let rehearsal = Rehearsal::new(Arc::new(damaged.clone())).unwrap();
            let options = small();
            let rehearsed = Log::open(Arc::new(rehearsal), options.clone());
            for name in before.names().unwrap() {
                assert_eq!(before.content(&name), damaged.content(&name), "{name}");
            }
            assert_eq!(before.names().unwrap(), damaged.names().unwrap());
            let opened = try_open(&damaged, options);
            match (rehearsed, opened) {
                (Ok((rehearsed, expected)), Ok((log, recovery))) => {
                    assert_eq!(expected, recovery);
                    assert_eq!(epochs(&rehearsed), epochs(&log));
                    assert_eq!(everything(&rehearsed), everything(&log));
                }
                (Err(rehearsed), Err(opened)) => assert_eq!(rehearsed.to_string(), opened.to_string()),
                (rehearsed, opened) => panic!("{rehearsed:?} {opened:?}"),
            }
        }
    }
}

#[test]
fn a_part_of_an_import_is_not_opened() {
    let (disk, _) = written(true);
    let before = disk.operations();
    disk.set_content(INCOMPLETE_IMPORT, Vec::new());
    let error = try_open(&disk, small()).unwrap_err();
    assert!(matches!(error, OpenError::IncompleteImport), "{error}");
    assert_eq!(disk.operations(), before, "nothing is changed");
    disk.remove(INCOMPLETE_IMPORT).unwrap();
    open(&disk, small());
}

#[test]
fn it_is_known_whether_a_log_was_closed() {
    for is_closed in [true, false] {
        let (disk, _) = written(is_closed);
        assert_eq!(try_open(&disk, small()).unwrap().1.is_closed, is_closed);
    }
}

#[test]
fn a_missing_list_is_made_anew_and_positions_with_it() {
    let (disk, all) = written(true);
    disk.remove("segments").unwrap();
    let (log, recovery) = try_open(&disk, small()).unwrap();
    assert_eq!((recovery.damages.count, recovery.renewed), (1, 3), "{recovery:?}");
    assert_eq!(
        TOPICS.iter().map(|topic| read(&log, topic).len()).sum::<usize>(),
        all.len()
    );
}

#[test]
fn an_end_within_a_renewal_does_not_forget_it() {
    let (disk, _) = written(true);
    let whole = epochs(&open(&disk.copy(1), small()));
    disk.remove("segments").unwrap();
    let whole_run = disk.copy(1);
    open(&whole_run, small());
    for operation in 0..whole_run.operations() {
        for is_power_lost in [false, true] {
            let copy = disk.copy(operation);
            copy.fail_after(operation, Fault::Stop);
            let _ = try_open(&copy, small());
            if is_power_lost {
                copy.lose_power();
            } else {
                copy.restart();
            }
            let log = open(&copy, small());
            for (before, after) in whole.iter().zip(epochs(&log)) {
                assert_ne!(*before, after, "{operation}");
            }
        }
    }
}

#[test]
fn files_that_are_not_of_this_log_are_named() {
    let open_with = |name: &str, content: Vec<u8>| {
        let (disk, _) = written(true);
        let file = disk.create(name).unwrap();
        file.write_at(&content, 0).unwrap();
        try_open(&disk, small()).unwrap_err()
    };
    let error = open_with("notes.txt", vec![]).to_string();
    assert!(
        error.starts_with("notes.txt in the data directory is not a file of the log"),
        "{error}"
    );

    let (disk, _) = written(true);
    let first = segments(&disk).remove(0);
    let content = disk.content(&first).unwrap();
    let number = 77_u64;
    let error = open_with(&format!("{number:020}.seg"), content.clone());
    assert!(matches!(error, OpenError::Unlisted(_)), "{error}");

    let second = segments(&disk).remove(1);
    disk.set_content(&second, content);
    let error = try_open(&disk, small()).unwrap_err();
    assert!(matches!(error, OpenError::Misnamed { number: 0, .. }), "{error}");
}

#[test]
fn a_file_of_another_version_is_named() {
    let (disk, _) = written(true);
    let name = segments(&disk).remove(1);
    let mut content = disk.content(&name).unwrap();
    content[8] = 2;
    // The checksum of the header, as the page on storage says.
    let sum = crc32(&content[..20]);
    content[20..24].copy_from_slice(&sum.to_le_bytes());
    disk.set_content(&name, content);
    let error = try_open(&disk, small()).unwrap_err();
    assert!(
        matches!(&error, OpenError::Version { file, version: 2 } if *file == name),
        "{error}"
    );
}

/// CRC-32 (IEEE), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
    let byte = |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), step);
    !bytes.iter().fold(u32::MAX, byte)
}

#[test]
fn any_bytes_can_stand_for_a_segment() {
    let (disk, _) = written(true);
    let mut random = fastrand::Rng::with_seed(9);
    let contents: Vec<Vec<u8>> = segments(&disk)
        .iter()
        .map(|name| disk.content(name).unwrap())
        .collect();
    probe(&[]);
    for number in 0..300 {
        let mut bytes = contents[number % contents.len()].clone();
        for _ in 0..random.usize(..6) {
            let at = random.usize(..bytes.len());
            match random.u8(..3) {
                0 => bytes[at] = random.u8(..),
                1 => bytes.truncate(at.max(1)),
                _ => {
                    let from = random.usize(..bytes.len());
                    let piece = bytes[from..].to_vec();
                    bytes.splice(at..at, piece.into_iter().take(500));
                }
            }
        }
        probe(&bytes);
    }
}
