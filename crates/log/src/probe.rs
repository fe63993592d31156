//! Anything at all as a segment file: for fuzzing.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::limits::Limits;
use crate::log::{Log, Options};
use crate::manifest::Manifest;
use crate::reader::Bounds;
use crate::segment::name_of;
use crate::storage::{Memory, Storage};
use crate::verify::verify;
use crate::{Damages, Draft, Retention};

/// Opens, reads, appends to, maintains and verifies a log whose segment has this content, as the last segment and as
/// one before the last. Whatever it is, nothing panics, and nothing is allocated because the content announces it.
///
/// # Panics
/// The log does not keep to its own promises: what was appended is not there.
pub fn probe(segment: &[u8]) {
    for numbers in [vec![0], vec![0, 1]] {
        let disk = Memory::new(0);
        for number in &numbers {
            disk.set_content(&name_of(*number), segment.to_vec());
        }
        let list = Manifest {
            next: numbers.len() as u64,
            numbers,
            ..Manifest::default()
        };
        if list.create(&disk).is_ok() {
            probe_disk(&disk);
        }
    }
}

fn probe_disk(disk: &Memory) {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let _ = verify(&storage, &Limits::default());
    let options = || Options {
        seed: Some(1),
        policy: crate::Policy::new(|_| Retention {
            bytes: 10_000,
            ..Retention::ALL
        }),
        ..Options::default()
    };
    let Ok((mut log, _)) = Log::open(Arc::clone(&storage), options()) else {
        return;
    };
    let reader = log.reader();
    let bounds = Bounds {
        records: 1_000,
        bytes: 1 << 20,
    };
    for (topic, standing) in reader.topics(0, 1_000).0 {
        let _ = reader.forward(&topic, 0, bounds);
        let _ = reader.backward(&topic, standing.last, bounds);
    }
    let _ = reader.visit(0, |_| ControlFlow::Continue(()));
    let appended = log.append(&[Draft::publication("probe", 1, "body")]);
    let Some(Ok(position)) = appended.first() else {
        return;
    };
    for _ in 0..8 {
        let _ = log.maintain(u64::MAX);
    }
    drop(log);
    let Ok((log, recovery)) = Log::open(storage, options()) else {
        return;
    };
    // Two segments that say the same of a topic stay as they are, and are found again.
    if recovery.damages == Damages::default() {
        let found = log.reader().standing("probe").map(|standing| standing.position());
        assert_eq!(found, Some(*position), "a position is lost");
    }
}
