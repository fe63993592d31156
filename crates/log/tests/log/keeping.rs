//! Retention, rewriting, and what is remembered of topics of which nothing is kept.

use fanfare_log::{AppendError, Draft, Memory, Policy, Retention, What};

use crate::harness::*;

fn count(count: u64) -> Retention {
    Retention {
        count,
        ..Retention::ALL
    }
}

#[test]
fn the_last_publications_are_kept_exactly() {
    let disk = Memory::new(1);
    let mut log = open(&disk, keeping(|_| count(10)));
    publish(&mut log, "a", 9);
    assert_eq!(log.reader().standing("a").unwrap().first, 1);
    publish(&mut log, "a", 100);
    assert_eq!(offsets(&log, "a"), (100..=109).collect::<Vec<_>>());
    let (log, _) = killed(&disk, log, keeping(|_| count(10)));
    assert_eq!(offsets(&log, "a"), (100..=109).collect::<Vec<_>>());
}

#[test]
fn what_is_too_old_goes_with_the_next_maintenance() {
    let disk = Memory::new(1);
    let mut log = open(
        &disk,
        keeping(|_| Retention {
            age_ms: 1_000,
            ..Retention::ALL
        }),
    );
    publish(&mut log, "a", 100);
    maintain(&mut log, 1_050);
    assert_eq!(offsets(&log, "a"), (50..=100).collect::<Vec<_>>());
    assert_eq!(log.reader().standing("a").unwrap().oldest_ms, 50);
    maintain(&mut log, 5_000);
    let standing = log.reader().standing("a").unwrap();
    assert_eq!(
        (
            standing.count(),
            standing.last,
            standing.bytes,
            standing.oldest_ms
        ),
        (0, 100, 0, 0)
    );
}

#[test]
fn bytes_are_kept_to_with_the_next_maintenance() {
    let disk = Memory::new(1);
    let mut log = open(
        &disk,
        keeping(|_| Retention {
            bytes: 1_400,
            ..Retention::ALL
        }),
    );
    publish(&mut log, "a", 300);
    maintain(&mut log, 1);
    let kept = read(&log, "a");
    let bytes: usize = kept.iter().map(|kept| 39 + kept.body.len()).sum();
    assert_eq!(log.reader().standing("a").unwrap().bytes, bytes as u64);
    assert!((1_261..=1_400).contains(&bytes), "{bytes}");
    assert_eq!(kept.last().unwrap().offset, 300);
}

#[test]
fn segments_without_anything_alive_are_removed() {
    let disk = Memory::new(1);
    let mut log = open(&disk, keeping(|_| count(5)));
    publish(&mut log, "a", 200);
    let before = segments(&disk).len();
    maintain(&mut log, 1);
    assert!(before > 6 && segments(&disk).len() <= 2, "{:?}", segments(&disk));
    let (log, _) = killed(&disk, log, keeping(|_| count(5)));
    assert_eq!(offsets(&log, "a"), (196..=200).collect::<Vec<_>>());
}

#[test]
fn one_topic_that_is_kept_long_does_not_pin_the_disk() {
    let disk = Memory::new(1);
    let policy = |topic: &str| if topic == "long" { Retention::ALL } else { count(3) };
    let mut log = open(&disk, keeping(policy));
    for _ in 0..40 {
        publish(&mut log, "long", 1);
        publish(&mut log, "short", 30);
    }
    let before = segments(&disk).len();
    maintain(&mut log, 1);
    let names = segments(&disk);
    let bytes: usize = names.iter().map(|name| disk.content(name).unwrap().len()).sum();
    assert!(before > 30, "{before}");
    assert!(bytes < 20_000, "{bytes} bytes in {names:?}");
    assert_eq!(offsets(&log, "long").len(), 40);
    assert_eq!(offsets(&log, "short"), [1_198, 1_199, 1_200]);
    let (mut log, recovery) = killed(&disk, log, keeping(policy));
    assert!(recovery.damages.is_empty(), "{recovery:?}");
    assert_eq!(recovery.renewed, 0);
    assert_eq!(offsets(&log, "long").len(), 40);
    assert_eq!(offsets(&log, "short"), [1_198, 1_199, 1_200]);
    let idle = segments(&disk);
    maintain(&mut log, 1);
    assert_eq!(segments(&disk), idle, "nothing is rewritten twice");
}

#[test]
fn bytes_and_not_files_are_what_a_log_is_full_of() {
    let disk = Memory::new(1);
    let policy = |topic: &str| if topic == "long" { Retention::ALL } else { count(3) };
    let mut options = keeping(policy);
    options.limits.bytes_max = 8 * options.limits.segment_bytes_max;
    let mut log = open(&disk, options);
    for _ in 0..40 {
        publish(&mut log, "long", 1);
        publish(&mut log, "short", 30);
        maintain(&mut log, 1);
    }
    let files = segments(&disk).len();
    assert!(files > 30, "{files}");
    assert_eq!(offsets(&log, "long").len(), 40);
    // And then nothing may go any more.
    let full = (0..1_000).find_map(|_| append(&mut log, publication("long", 1, &body("long", 1))).err());
    let full = full.unwrap();
    assert!(
        matches!(
            full,
            AppendError::LogFull {
                bytes_max: 32_768,
                ..
            }
        ),
        "{full}"
    );
    let bytes: usize = segments(&disk)
        .iter()
        .map(|name| disk.content(name).unwrap().len())
        .sum();
    assert!((28_672..=33_792).contains(&bytes), "{bytes}");
    log.set_policy(Policy::new(|_| count(3)));
    maintain(&mut log, 1);
    append(&mut log, publication("long", 1, "there is room again")).unwrap();
}

#[test]
fn a_position_is_remembered_for_its_grace_and_offsets_go_on() {
    let disk = Memory::new(1);
    let policy = |topic: &str| {
        if topic == "gone" {
            Retention::NONE
        } else {
            count(3)
        }
    };
    let mut log = open(&disk, keeping(policy));
    publish(&mut log, "gone", 20);
    let epoch = log.reader().standing("gone").unwrap().epoch;
    publish(&mut log, "other", 200);
    maintain(&mut log, 1_000);
    let (mut log, _) = killed(&disk, log, keeping(policy));
    maintain(&mut log, 1_000);
    let standing = log.reader().standing("gone").unwrap();
    assert_eq!((standing.epoch, standing.first, standing.last), (epoch, 21, 20));
    assert_eq!(offsets(&log, "gone"), []);
    publish(&mut log, "gone", 1);

    // Long after, nobody asks any more, and what comes then has another epoch.
    publish(&mut log, "other", 200);
    maintain(&mut log, small().limits.position_grace_ms + 1_000);
    assert_eq!(log.reader().standing("gone"), None);
    publish(&mut log, "gone", 1);
    let standing = log.reader().standing("gone").unwrap();
    assert_eq!(standing.last, 1);
    assert_ne!(standing.epoch, epoch);
}

#[test]
fn what_was_removed_does_not_come_back() {
    let disk = Memory::new(1);
    let policy = |topic: &str| if topic == "a" { Retention::ALL } else { count(3) };
    let mut log = open(&disk, keeping(policy));
    publish(&mut log, "keep", 1);
    publish(&mut log, "a", 20);
    let remove = |before| Draft {
        what: What::Remove { before },
        ..publication("a", 1, "")
    };
    assert_eq!(append(&mut log, remove(15)).unwrap().offset, 20);
    assert_eq!(offsets(&log, "a"), (15..=20).collect::<Vec<_>>());
    publish(&mut log, "other", 100);
    publish(&mut log, "a", 2);
    for _ in 0..3 {
        publish(&mut log, "other", 100);
        maintain(&mut log, 1);
        log = killed(&disk, log, keeping(policy)).0;
        assert_eq!(offsets(&log, "a"), (15..=22).collect::<Vec<_>>());
    }
    assert_eq!(append(&mut log, remove(u64::MAX)).unwrap().offset, 22);
    maintain(&mut log, 1);
    let (mut log, _) = killed(&disk, log, keeping(policy));
    assert_eq!(offsets(&log, "a"), []);
    publish(&mut log, "a", 1);
    assert_eq!(offsets(&log, "a"), [23]);
}

#[test]
fn a_new_epoch_goes_on_with_what_is_kept() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    publish(&mut log, "a", 50);
    let epoch = log.reader().standing("a").unwrap().epoch;
    let renew = Draft {
        what: What::Renew { from: 41 },
        ..publication("a", 50, "")
    };
    let position = append(&mut log, renew).unwrap();
    assert_eq!(position.offset, 50);
    assert_ne!(position.epoch, epoch);
    publish(&mut log, "a", 10);
    for _ in 0..2 {
        let standing = log.reader().standing("a").unwrap();
        assert_eq!(
            (standing.epoch, standing.first, standing.last),
            (position.epoch, 41, 60)
        );
        assert_eq!(read(&log, "a").len(), 20);
        log = killed(&disk, log, small()).0;
        maintain(&mut log, 1);
    }
}

#[test]
fn a_policy_can_be_replaced() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    publish(&mut log, "a", 50);
    log.set_policy(Policy::new(|_| count(5)));
    maintain(&mut log, 1);
    assert_eq!(offsets(&log, "a"), (46..=50).collect::<Vec<_>>());
}

#[test]
fn a_visit_shows_what_is_new_of_all_topics_and_looks_at_little() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    publish(&mut log, "a", 100);
    append(&mut log, publication("b", 99, "b")).unwrap();
    append(&mut log, publication("c", 3, "late")).unwrap();
    let (log, _) = killed(&disk, log, small());
    let news = [("a", 98), ("a", 99), ("a", 100), ("b", 1)].map(|(topic, offset)| (topic.to_owned(), offset));
    assert_eq!(visited(&log, 98), news);
    assert_eq!(visited(&log, 0).len(), 102);
    // A segment without anything so new is not read: nobody sees that it is damaged.
    let first = &segments(&disk)[0];
    disk.set_content(first, vec![0; 10]);
    assert_eq!(visited(&log, 98).len(), 4);
}

#[test]
fn readers_go_on_while_a_segment_is_rewritten() {
    let disk = Memory::new(1);
    let policy = |topic: &str| if topic == "long" { Retention::ALL } else { count(1) };
    let mut log = open(&disk, keeping(policy));
    for _ in 0..10 {
        publish(&mut log, "long", 2);
        publish(&mut log, "short", 20);
    }
    let before = read(&log, "long");
    for _ in 0..500 {
        log.maintain(1).unwrap();
        assert_eq!(read(&log, "long"), before);
    }
}
