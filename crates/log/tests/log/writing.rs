//! Appending, reading, and what is refused.

use fanfare_log::{
    AppendError, Bounds, Draft, Fault, Fsync, Limits, Memory, OpenError, Options, Position, Storage, What,
    verify,
};
use std::sync::Arc;

use crate::harness::*;

#[test]
fn offsets_are_dense_and_go_on_after_a_restart() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    publish(&mut log, "a", 100);
    publish(&mut log, "b", 3);
    let epoch = log.reader().standing("a").unwrap().epoch;
    assert!(segments(&disk).len() > 2);

    let (mut log, recovery) = killed(&disk, log, small());
    assert_eq!((recovery.renewed, recovery.truncated), (0, None));
    assert!(recovery.damages.is_empty());
    publish(&mut log, "a", 10);
    log.close().unwrap();

    let log = open(&disk, small());
    let standing = log.reader().standing("a").unwrap();
    assert_eq!((standing.epoch, standing.first, standing.last), (epoch, 1, 110));
    let publications = read(&log, "a");
    for (offset, publication) in (1..).zip(&publications) {
        assert_eq!(publication.offset, offset);
        assert_eq!(publication.body, body("a", offset));
    }
    assert_eq!(publications.len(), 110);
    assert_eq!(offsets(&log, "b"), [1, 2, 3]);
    assert_eq!(offsets(&log, "unknown"), []);
}

#[test]
fn a_group_is_one_write_and_one_sync() {
    let disk = Memory::new(1);
    let mut log = open(
        &disk,
        Options {
            seed: Some(1),
            ..Options::default()
        },
    );
    publish(&mut log, "a", 1);
    let before = disk.operations();
    let drafts: Vec<Draft> = (0..500).map(|_| publication("a", 1, "body")).collect();
    let positions: Vec<u64> = log
        .append(&drafts)
        .into_iter()
        .map(|answer| answer.unwrap().offset)
        .collect();
    assert_eq!(positions, (2..=501).collect::<Vec<_>>());
    assert_eq!(disk.operations() - before, 2);
}

#[test]
fn reads_keep_to_their_bounds_in_both_directions() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    publish(&mut log, "a", 60);
    let reader = log.reader();
    let bounds = |records, bytes| Bounds { records, bytes };
    let forward = |from, bounds| -> Vec<u64> {
        let page = reader.forward("a", from, bounds).unwrap();
        page.publications
            .iter()
            .map(|publication| publication.offset)
            .collect()
    };
    let backward = |to, bounds| -> Vec<u64> {
        let page = reader.backward("a", to, bounds).unwrap();
        page.publications
            .iter()
            .map(|publication| publication.offset)
            .collect()
    };
    assert_eq!(forward(30, bounds(3, usize::MAX)), [30, 31, 32]);
    assert_eq!(backward(30, bounds(3, usize::MAX)), [30, 29, 28]);
    assert_eq!(forward(30, bounds(9, 300)), [30, 31]);
    assert_eq!(backward(30, bounds(9, 1)), [30], "one in any case");
    assert_eq!(forward(61, ALL), []);
    assert_eq!(forward(u64::MAX, ALL), []);
    assert_eq!(backward(0, ALL), []);
    assert_eq!(backward(u64::MAX, bounds(1, usize::MAX)), [60]);
    assert_eq!(forward(0, bounds(0, usize::MAX)), []);
}

#[test]
fn what_is_refused_alone_leaves_no_gap() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    let long = "x".repeat(3_000);
    let name = "n".repeat(256);
    let answers = log.append(&[
        publication("a", 1, "one"),
        publication("a", 1, &long),
        publication(&name, 1, "name"),
        publication("", 1, "name"),
        publication("a", 1, "two"),
    ]);
    assert!(matches!(
        answers[1],
        Err(AppendError::RecordTooLarge {
            bytes: 3_039,
            bytes_max: 2_048
        })
    ));
    assert!(matches!(answers[2], Err(AppendError::TopicName { bytes: 256 })));
    assert!(matches!(answers[3], Err(AppendError::TopicName { bytes: 0 })));
    assert_eq!(answers[4].as_ref().unwrap().offset, 2);
    assert_eq!(offsets(&log, "a"), [1, 2]);
}

#[test]
fn a_publication_can_be_asked_for_at_one_offset_only() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    let expecting = |expected| Draft {
        what: What::Publish {
            body: "body".into(),
            expected: Some(expected),
            epoch: None,
        },
        ..publication("a", 1, "")
    };
    let answers = log.append(&[expecting(0), expecting(0), expecting(1)]);
    assert_eq!(answers[0].as_ref().unwrap().offset, 1);
    assert!(matches!(
        answers[1],
        Err(AppendError::NotExpected {
            position: Position { offset: 1, .. }
        })
    ));
    assert_eq!(answers[2].as_ref().unwrap().offset, 2);
}

#[test]
fn topics_and_segments_have_bounds() {
    let disk = Memory::new(1);
    let mut options = small();
    options.limits.topics_max = 2;
    options.limits.segments_max = 2;
    let mut log = open(&disk, options);
    publish(&mut log, "a", 1);
    publish(&mut log, "b", 1);
    let refused = append(&mut log, publication("c", 1, "body"));
    assert!(matches!(
        refused,
        Err(AppendError::TooManyTopics { topics_max: 2 })
    ));
    let error = (0..100)
        .find_map(|_| append(&mut log, publication("a", 1, &body("a", 1))).err())
        .unwrap();
    assert!(matches!(error, AppendError::TooManySegments { segments_max: 2 }));

    let limits = Limits {
        segments_max: 1,
        ..Limits::default()
    };
    let error = try_open(&disk, Options { limits, ..small() }).unwrap_err();
    assert!(matches!(error, OpenError::Limit(_)), "{error}");
}

/// FAULTS 60.
#[test]
fn a_full_disk_refuses_what_does_not_fit_and_goes_on_when_there_is_room() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    let used: usize = disk_bytes(&disk);
    disk.set_room(Some(used as u64 + 10_000));
    let mut stored = 0;
    let error = loop {
        match append(&mut log, publication("a", 1, &body("a", stored + 1))) {
            Ok(position) => stored = position.offset,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::StorageFull), "{error}");
    assert!(stored > 40, "{stored}");
    let refused = append(&mut log, publication("a", 1, &body("a", stored + 1)));
    assert!(matches!(refused, Err(AppendError::StorageFull)));
    assert_eq!(read(&log, "a").len() as u64, stored);

    let (mut log, recovery) = killed(&disk, log, small());
    assert!(
        recovery.damages.is_empty() && recovery.truncated.is_none(),
        "{recovery:?}"
    );
    assert_eq!(read(&log, "a").len() as u64, stored);
    disk.set_room(None);
    publish(&mut log, "a", 50);
    log.close().unwrap();
    assert_eq!(read(&open(&disk, small()), "a").len() as u64, stored + 50);
}

/// FAULTS 60: removing what is dead needs no room.
#[test]
fn a_full_disk_gets_room_by_retention() {
    let disk = Memory::new(1);
    let mut log = open(
        &disk,
        keeping(|_| fanfare_log::Retention {
            count: 5,
            ..fanfare_log::Retention::ALL
        }),
    );
    disk.set_room(Some(disk_bytes(&disk) as u64 + 10_000));
    while append(&mut log, publication("a", 1, &body("a", 1))).is_ok() {}
    let before = segments(&disk).len();
    while !log.maintain(1).unwrap().is_round {}
    assert!(segments(&disk).len() < before);
    append(&mut log, publication("a", 1, &body("a", 1))).unwrap();
}

fn disk_bytes(disk: &Memory) -> usize {
    use fanfare_log::Storage;
    let names = disk.names().unwrap();
    names.iter().map(|name| disk.content(name).unwrap().len()).sum()
}

/// FAULTS 61.
#[test]
fn a_sync_that_failed_is_not_trusted_again() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    publish(&mut log, "a", 3);
    disk.fail_after(1, Fault::Error);
    let error = append(&mut log, publication("a", 1, &body("a", 4))).unwrap_err();
    assert!(matches!(error, AppendError::Uncertain(_)), "{error}");
    let error = append(&mut log, publication("a", 1, &body("a", 5))).unwrap_err();
    assert!(matches!(error, AppendError::Fenced), "{error}");
    assert!(log.is_fenced() && log.maintain(1).is_err() && log.sync().is_err());
    assert_eq!(offsets(&log, "a"), [1, 2, 3]);

    // What the system says is clean and is not durable is written again before it counts.
    let (log, _) = killed(&disk, log, small());
    let found = read(&log, "a");
    drop(log);
    disk.lose_power();
    assert_eq!(read(&open(&disk, small()), "a"), found);
}

#[test]
fn a_write_that_failed_is_taken_back() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    publish(&mut log, "a", 3);
    disk.fail_after(0, Fault::Error);
    let error = append(&mut log, publication("a", 1, &body("a", 4))).unwrap_err();
    assert!(matches!(error, AppendError::Write(_)), "{error}");
    publish(&mut log, "a", 3);
    let (log, recovery) = killed(&disk, log, small());
    assert!(recovery.damages.is_empty() && recovery.truncated.is_none());
    assert_eq!(offsets(&log, "a"), [1, 2, 3, 4, 5, 6]);
}

/// FAULTS 63: a window that may be lost is told of by new epochs; the end of a process alone loses nothing.
#[test]
fn a_weaker_sync_loses_nothing_to_a_kill_and_tells_of_a_loss_of_power() {
    for fsync in [Fsync::Interval(1_000), Fsync::Never] {
        let disk = Memory::new(3);
        let options = || Options { fsync, ..small() };
        let mut log = open(&disk, options());
        publish(&mut log, "a", 20);
        let epoch = log.reader().standing("a").unwrap().epoch;

        let (mut log, recovery) = killed(&disk, log, options());
        assert_eq!((recovery.renewed, recovery.is_power_lost), (0, false));
        assert_eq!(log.reader().standing("a").unwrap().epoch, epoch);
        publish(&mut log, "a", 20);
        log.sync().unwrap();
        publish(&mut log, "a", 5);
        disk.lose_power();
        let (log, recovery) = try_open(&disk, options()).unwrap();
        assert_eq!((recovery.renewed, recovery.is_power_lost), (1, true));
        let standing = log.reader().standing("a").unwrap();
        assert_ne!(standing.epoch, epoch);
        assert!((40..=45).contains(&standing.last), "{standing:?}");
        assert_eq!(
            read(&log, "a").len() as u64,
            standing.last,
            "what is there is still served"
        );

        log.close().unwrap();
        disk.lose_power();
        let (_, recovery) = try_open(&disk, options()).unwrap();
        assert_eq!(
            (recovery.renewed, recovery.is_power_lost),
            (0, false),
            "closed in order"
        );
    }
}

#[test]
fn a_log_can_be_carried_to_another_directory() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    publish(&mut log, "a", 30);
    append(
        &mut log,
        Draft {
            what: What::Remove { before: 11 },
            ..publication("a", 1, "")
        },
    )
    .unwrap();

    let other = Memory::new(2);
    let mut copy = open(&other, small());
    let standing = log.reader().standing("a").unwrap();
    let position = Position {
        epoch: standing.epoch,
        offset: standing.first - 1,
    };
    let begin = || Draft {
        what: What::Begin { position },
        ..publication("a", 1, "")
    };
    append(&mut copy, begin()).unwrap();
    for publication in read(&log, "a") {
        let draft = Draft::publication(publication.topic, publication.time_ms, publication.body);
        append(&mut copy, draft).unwrap();
    }
    assert!(matches!(
        append(&mut copy, begin()),
        Err(AppendError::CannotBegin { .. })
    ));
    copy.close().unwrap();
    let copy = open(&other, small());
    assert_eq!(read(&copy, "a"), read(&log, "a"));
    assert_eq!(
        copy.reader().standing("a").unwrap().position(),
        standing.position()
    );
}

#[test]
fn a_topic_goes_on_in_an_epoch_that_is_given() {
    let begin = |epoch, offset| Draft {
        what: What::Begin {
            position: Position { epoch, offset },
        },
        ..publication("a", 1, "")
    };
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    let drafts = [
        begin(5, 10),
        publication("a", 1, "one"),
        publication("a", 1, "two"),
        begin(6, 12),
        publication("a", 1, "three"),
        begin(7, 13),
    ];
    for answer in log.append(&drafts) {
        answer.unwrap();
    }
    for wrong in [12, 14] {
        assert!(append(&mut log, begin(8, wrong)).is_err(), "{wrong}");
    }
    for _ in 0..2 {
        let standing = log.reader().standing("a").unwrap();
        assert_eq!((standing.epoch, standing.first, standing.last), (7, 11, 13));
        let epochs = read(&log, "a").into_iter().map(|publication| publication.epoch);
        assert_eq!(epochs.collect::<Vec<_>>(), [5, 5, 6]);
        (log, _) = killed(&disk, log, small());
    }
    let storage: Arc<dyn Storage> = Arc::new(disk.copy(1));
    assert!(verify(&storage, &small().limits).unwrap().damages.is_empty());
}

#[test]
fn a_log_that_is_whole_is_verified() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    publish(&mut log, "a", 70);
    publish(&mut log, "b", 5);
    log.state().put("keys", b"value").unwrap();
    log.close().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let verified = verify(&storage, &small().limits).unwrap();
    assert!(verified.damages.is_empty(), "{verified:?}");
    assert_eq!(verified.records, 75);
}

#[test]
fn more_than_a_group_is_several() {
    let disk = Memory::new(1);
    let mut options = small();
    options.limits.group_bytes_max = 1_000;
    let mut log = open(&disk, options);
    publish(&mut log, "a", 1);
    let drafts: Vec<Draft> = (0..40).map(|_| publication("a", 1, "body")).collect();
    let before = disk.operations();
    let positions: Vec<u64> = log
        .append(&drafts)
        .into_iter()
        .map(|answer| answer.unwrap().offset)
        .collect();
    assert_eq!(positions, (2..=41).collect::<Vec<_>>());
    assert_eq!(disk.operations() - before, 4, "two writes and two syncs");
}

#[test]
fn a_topic_begins_in_the_epoch_that_was_promised() {
    let disk = Memory::new(1);
    let mut log = open(&disk, small());
    let promised = |epoch| Draft {
        what: What::Publish {
            body: "body".into(),
            expected: None,
            epoch: Some(epoch),
        },
        ..publication("a", 1, "")
    };
    disk.set_room(Some(0));
    append(&mut log, promised(70)).unwrap_err();
    disk.set_room(None);
    let answers = log.append(&[promised(77), promised(78)]);
    let epochs: Vec<u64> = answers.into_iter().map(|answer| answer.unwrap().epoch).collect();
    assert_eq!(epochs, [77, 77]);
    assert_eq!(append(&mut log, promised(79)).unwrap().epoch, 77);
    let (log, _) = killed(&disk, log, small());
    assert_eq!(log.reader().standing("a").unwrap().epoch, 77);
}
