//! What a join with `since` gives, and how long a topic lives.

use fanfare_protocol::{Epoch, Position};

use crate::broker::{Broker, Snapshot};

use super::probe::Probe;
use super::{HISTORY_FRAMES, accepted, draft, listed, topic};

pub(super) fn everything_kept_is_given<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("kept");
    let (publisher, reader) = (Probe::new(broker), Probe::new(broker));
    let count = HISTORY_FRAMES as u64 + 3;
    let mut end = Position::default();
    for number in 1..=count {
        end = accepted(&publisher, draft(&topic, number));
        assert_eq!(end.offset, number, "offsets count without subscribers too");
    }
    for offset in [count, count - 1, 4, 3] {
        let snapshot = reader.join(&topic, Some(Position { offset, ..end }));
        assert!(
            snapshot.is_recovered,
            "everything after offset {offset} of {count} is kept"
        );
        assert_eq!(snapshot.position, end, "a join tells where the log stands");
        let missed: Vec<u64> = snapshot.missed.iter().map(|p| p.position.offset).collect();
        let expected: Vec<u64> = (offset + 1..=count).collect();
        assert_eq!(missed, expected, "what was missed is given in order, complete");
        for publication in snapshot.missed {
            assert_eq!(publication.draft, draft(&topic, publication.position.offset));
            assert_eq!(publication.position.epoch, end.epoch);
        }
        broker.leave(reader.id, &topic);
    }
    let row = listed(broker, 10).into_iter().find(|row| row.topic == topic);
    assert_eq!(
        row.map(|row| row.history),
        Some(HISTORY_FRAMES),
        "a row has how much is kept"
    );
}

pub(super) fn what_cannot_be_recovered_is_said<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("lost");
    let (publisher, reader) = (Probe::new(broker), Probe::new(broker));
    let mut end = Position::default();
    for number in 1..=HISTORY_FRAMES as u64 + 3 {
        end = accepted(&publisher, draft(&topic, number));
    }
    let cases = [
        (
            Position { offset: 2, ..end },
            "a place that the log no longer reaches",
        ),
        (
            Position {
                offset: end.offset + 1,
                ..end
            },
            "a place that lies ahead",
        ),
        (other_epoch(end), "a place of another epoch"),
    ];
    for (since, what) in cases {
        is_lost(&reader.join(&topic, Some(since)), end, what);
        broker.leave(reader.id, &topic);
    }
}

pub(super) fn nothing_older_than_now_is_recovered<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("forgotten");
    let (keeper, reader) = (Probe::new(broker), Probe::new(broker));
    keeper.join(&topic, None);
    accepted(&keeper, draft(&topic, 1));
    let end = accepted(&keeper, draft(&topic, 2));
    let snapshot = reader.join(&topic, Some(end));
    assert!(
        snapshot.is_recovered && snapshot.missed.is_empty(),
        "whoever stands at the end has missed nothing"
    );
    broker.leave(reader.id, &topic);
    let before = Position { offset: 1, ..end };
    let ahead = Position { offset: 3, ..end };
    for since in [before, ahead, other_epoch(end)] {
        is_lost(
            &reader.join(&topic, Some(since)),
            end,
            "a place that is not the end",
        );
        broker.leave(reader.id, &topic);
    }
}

pub(super) fn a_topic_outlives_its_subscribers<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("outlived");
    let probe = Probe::new(broker);
    let start = probe.join(&topic, None).position;
    accepted(&probe, draft(&topic, 1));
    broker.leave(probe.id, &topic);
    let again = probe.join(&topic, Some(start));
    assert_eq!(
        again.position,
        Position { offset: 1, ..start },
        "a topic that has history goes on"
    );
    assert_eq!(again.missed.len(), 1, "its history is there");
}

pub(super) fn a_topic_ends_with_its_last_subscriber<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("ended");
    let probe = Probe::new(broker);
    let first = probe.join(&topic, None).position;
    accepted(&probe, draft(&topic, 1));
    broker.leave(probe.id, &topic);
    let is_listed = || listed(broker, 100).iter().any(|row| row.topic == topic);
    assert!(!is_listed(), "a topic without subscribers and history is gone");
    let orphan = accepted(&probe, draft(&topic, 2));
    assert_eq!(orphan.offset, 1, "every life begins with offset 1");
    assert_ne!(orphan.epoch, first.epoch, "every life has its own epoch");
    assert!(
        !is_listed(),
        "a publication that nobody gets and nothing keeps leaves no topic behind"
    );
    let second = probe.join(&topic, Some(first));
    assert_ne!(second.position.epoch, first.epoch, "every life has its own epoch");
    assert_ne!(
        second.position.epoch, orphan.epoch,
        "every life has its own epoch"
    );
    is_lost(&second, second.position, "a place of an earlier life");
    assert_eq!(second.position.offset, 0, "a new life is empty");
}

fn is_lost(snapshot: &Snapshot, end: Position, what: &str) {
    assert!(!snapshot.is_recovered, "{what} cannot be recovered");
    assert!(
        snapshot.missed.is_empty(),
        "{what}: nothing is given rather than a part"
    );
    assert_eq!(
        snapshot.position, end,
        "{what}: the join tells where the log stands"
    );
}

fn other_epoch(position: Position) -> Position {
    Position {
        epoch: Epoch(position.epoch.0 ^ 1 << 40),
        ..position
    }
}
