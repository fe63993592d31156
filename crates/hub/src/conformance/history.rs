//! What is read of a log, and how long a topic lives.

use std::sync::Arc;

use fanfare_protocol::{Draft, Epoch, Loss, Position, Publication, Timestamp, TopicName};

use crate::broker::{Broker, Page, Read, Start};

use super::probe::Probe;
use super::{HISTORY_FRAMES, accepted, draft, listed, topic};

/// More than is kept.
const COUNT: u64 = HISTORY_FRAMES as u64 + 3;

/// The offset of the oldest of [`COUNT`] that is kept.
const OLDEST: u64 = 4;

pub(super) fn everything_kept_is_given<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("kept");
    let (reader, end) = (Probe::new(broker), filled(broker, &topic));
    for offset in [COUNT, COUNT - 1, OLDEST, OLDEST - 1] {
        let place = Position { offset, ..end };
        let page = reader.read_all(&topic, Start::After(place));
        assert_eq!(
            page.lost, None,
            "everything after offset {offset} of {COUNT} is kept"
        );
        assert_eq!(page.start, place, "a reading begins at the place asked for");
        is_of(&page, end, offset + 1..=COUNT);
    }
    is_of(&reader.read_all(&topic, Start::Oldest), end, OLDEST..=COUNT);
    let row = listed(broker, 10).into_iter().find(|row| row.topic == topic);
    assert_eq!(
        row.map(|row| row.history),
        Some(HISTORY_FRAMES),
        "a row has how much is kept"
    );
}

pub(super) fn everything_kept_is_given_backward<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("kept-backward");
    let (reader, end) = (Probe::new(broker), filled(broker, &topic));
    for offset in [COUNT + 1, COUNT, OLDEST + 1, OLDEST, 1, u64::MAX] {
        let page = reader.read_all(&topic, Start::Before(Position { offset, ..end }));
        assert_eq!(page.lost, None, "what comes before offset {offset} can be told");
        let newest = offset.saturating_sub(1).min(COUNT);
        is_of(&page, end, (OLDEST..=newest).rev());
    }
    let page = reader.read_all(&topic, Start::Before(other_epoch(end)));
    assert_eq!(
        page.lost,
        Some(Loss::EpochChanged),
        "another epoch is another log"
    );
    is_of(&page, end, (OLDEST..=COUNT).rev());
}

pub(super) fn a_reading_may_begin_anywhere<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("begun-anywhere");
    let (publisher, reader) = (Probe::new(broker), Probe::new(broker));
    let mut end = Position::default();
    for number in 1..=9 {
        end = accepted(&publisher, timed(&topic, number));
    }
    for (time, first) in [(0, 1), (1_100, 1), (1_101, 2), (1_900, 9), (1_901, 10)] {
        let page = reader.read_all(&topic, Start::At(Timestamp(NOW + time)));
        is_of(&page, end, first..=9);
        assert_eq!(
            page.start.offset,
            first - 1,
            "a reading says what it begins behind"
        );
    }
    for (count, first) in [(0, 10), (1, 9), (9, 1), (10, 1), (usize::MAX, 1)] {
        let page = reader.read_all(&topic, Start::Last(count));
        is_of(&page, end, first..=9);
        assert_eq!(
            page.start.offset,
            first - 1,
            "a reading says what it begins behind"
        );
    }
    let nowhere = super::topic("never-published");
    let page = reader.read_all(&nowhere, Start::Oldest);
    assert!(page.publications.is_empty(), "what does not exist is empty");
    let is_made = listed(broker, 100).iter().any(|row| row.topic == nowhere);
    assert!(!is_made, "a topic is not made by reading it");
}

pub(super) fn a_reading_is_bounded<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("read-in-part");
    let (reader, end) = (Probe::new(broker), filled(broker, &topic));
    let bytes = draft(&topic, 10).bytes();
    let read = |start, publications_max, bytes_max| {
        let read = Read {
            start,
            publications_max,
            bytes_max,
        };
        reader.read(&topic, read).0
    };
    let after = Start::After(Position { offset: 9, ..end });
    let before = Start::Before(Position { offset: 20, ..end });
    is_of(&read(after, 0, usize::MAX), end, 10..10);
    is_of(&read(after, 3, usize::MAX), end, 10..13);
    is_of(&read(after, 9, 3 * bytes), end, 10..13);
    is_of(&read(after, 9, 3 * bytes - 1), end, 10..12);
    is_of(&read(after, 9, 0), end, 10..11);
    is_of(&read(before, 3, usize::MAX), end, (17..20).rev());
    is_of(&read(before, 9, 3 * bytes), end, (17..20).rev());
    is_of(&read(before, 9, 0), end, 19..20);
}

pub(super) fn what_cannot_be_recovered_is_said<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("lost");
    let (reader, end) = (Probe::new(broker), filled(broker, &topic));
    let cases = [
        (
            Position {
                offset: OLDEST - 2,
                ..end
            },
            Loss::TooOld,
            OLDEST,
        ),
        (Position { offset: 0, ..end }, Loss::TooOld, OLDEST),
        (
            Position {
                offset: COUNT + 1,
                ..end
            },
            Loss::Ahead,
            COUNT + 1,
        ),
        (
            Position {
                offset: u64::MAX,
                ..end
            },
            Loss::Ahead,
            COUNT + 1,
        ),
        (other_epoch(end), Loss::EpochChanged, OLDEST),
    ];
    for (place, lost, first) in cases {
        let page = reader.read_all(&topic, Start::After(place));
        assert_eq!(page.lost, Some(lost), "what cannot be recovered is said");
        assert_eq!(
            page.start.offset,
            first - 1,
            "what is not there is not begun behind"
        );
        is_of(&page, end, first..=COUNT);
    }
}

pub(super) fn nothing_older_than_now_is_recovered<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("forgotten");
    let (keeper, reader) = (Probe::new(broker), Probe::new(broker));
    keeper.join(&topic);
    accepted(&keeper, draft(&topic, 1));
    let end = accepted(&keeper, draft(&topic, 2));
    let page = reader.read_all(&topic, Start::After(end));
    assert_eq!(page.lost, None, "whoever stands at the end has missed nothing");
    let before = Position { offset: 1, ..end };
    let ahead = Position { offset: 3, ..end };
    for (place, lost) in [
        (before, Loss::TooOld),
        (ahead, Loss::Ahead),
        (other_epoch(end), Loss::EpochChanged),
    ] {
        let page = reader.read_all(&topic, Start::After(place));
        assert_eq!(page.lost, Some(lost), "what cannot be recovered is said");
        assert_eq!(page.start, end, "what is not kept is not begun behind");
        assert!(page.publications.is_empty(), "nothing is kept");
    }
}

pub(super) fn a_topic_outlives_its_subscribers<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("outlived");
    let probe = Probe::new(broker);
    let start = probe.join(&topic);
    accepted(&probe, draft(&topic, 1));
    broker.leave(probe.id, &topic);
    assert_eq!(
        probe.join(&topic),
        Position { offset: 1, ..start },
        "a topic that has history goes on"
    );
    let page = probe.read_all(&topic, Start::After(start));
    assert_eq!(page.publications.len(), 1, "its history is there");
}

pub(super) fn a_topic_ends_with_its_last_subscriber<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("ended");
    let probe = Probe::new(broker);
    let first = probe.join(&topic);
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
    let second = probe.join(&topic);
    for earlier in [first, orphan] {
        assert_ne!(second.epoch, earlier.epoch, "every life has its own epoch");
    }
    assert_eq!(second.offset, 0, "a new life is empty");
    let page = probe.read_all(&topic, Start::After(first));
    assert_eq!(
        (page.lost, page.start),
        (Some(Loss::EpochChanged), second),
        "a place of an earlier life cannot be recovered"
    );
}

/// Publishes [`COUNT`] and gives the last place.
fn filled<B: Broker + ?Sized>(broker: &B, topic: &TopicName) -> Position {
    let publisher = Probe::new(broker);
    let mut end = Position::default();
    for number in 1..=COUNT {
        // All of them have the same length, so that bounds in bytes can be told.
        end = accepted(&publisher, numbered(topic, number));
        assert_eq!(end.offset, number, "offsets count without subscribers too");
    }
    end
}

/// A draft that says `number` in two digits.
fn numbered(topic: &TopicName, number: u64) -> Draft {
    draft(topic, number + 10)
}

/// When publications of [`timed`] begin to be published.
const NOW: u64 = 1_700_000_000_000;

/// A draft taken in some time after [`NOW`].
fn timed(topic: &TopicName, number: u64) -> Draft {
    Draft {
        time: Timestamp(NOW + 1_000 + number * 100),
        ..draft(topic, number)
    }
}

/// Whether a page has these publications as they were published.
fn is_of(page: &Page, end: Position, offsets: impl Iterator<Item = u64>) {
    let given: Vec<u64> = page.publications.iter().map(offset_of).collect();
    let expected: Vec<u64> = offsets.collect();
    assert_eq!(
        given, expected,
        "a page has what was asked for, in order, complete"
    );
    assert_eq!(page.end, end, "a page tells where the log stands");
    for publication in &page.publications {
        let draft = &publication.draft;
        let offset = publication.position.offset;
        let published = [numbered(&draft.topic, offset), timed(&draft.topic, offset)];
        assert!(published.contains(draft), "what is read is what was published");
        assert_eq!(publication.position.epoch, end.epoch);
    }
}

fn offset_of(publication: &Arc<Publication>) -> u64 {
    publication.position.offset
}

fn other_epoch(position: Position) -> Position {
    Position {
        epoch: Epoch(position.epoch.0 ^ 1 << 40),
        ..position
    }
}
