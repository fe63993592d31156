//! What is published to follow a place and no other.

use std::thread;

use fanfare_protocol::{Draft, Epoch, Position, TopicName};

use crate::broker::{Broker, Published, Refusal, Start};

use super::probe::Probe;
use super::{accepted, draft, topic};

const PUBLISHERS: usize = 4;
const PUBLICATIONS_EACH: usize = 25;

pub(super) fn a_publication_follows_where_it_is_expected_to<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("expected");
    let (reader, publisher) = (Probe::new(broker), Probe::new(broker));
    let start = reader.join(&topic);
    let place = accepted(&publisher, expecting(&topic, start, 1));
    assert_eq!(
        place,
        behind(start),
        "it is the next one behind the expected place"
    );
    let other_epoch = Position {
        epoch: Epoch(place.epoch.0 ^ 1 << 40),
        ..place
    };
    for elsewhere in [start, behind(place), other_epoch] {
        assert_eq!(
            publisher.publish(expecting(&topic, elsewhere, 2)),
            Err(Refusal::Conflict { position: place }),
            "where the topic does not stand as expected, its publisher is told where it stands"
        );
    }
    let next = accepted(&publisher, expecting(&topic, place, 3));
    assert_eq!(next, behind(place), "what was refused took no place");
    for (place, text) in [(place, "1"), (next, "3")] {
        let publication = reader.publication("a publication that followed");
        assert_eq!(
            (publication.position, publication.draft.payload.as_bytes()),
            (place, text.as_bytes()),
            "what was refused is posted to nobody"
        );
    }
}

pub(super) fn a_first_publication_may_be_expected<B: Broker + ?Sized>(broker: &B) {
    let (read, tried) = (topic("expected-and-read"), topic("expected-and-tried"));
    let publisher = Probe::new(broker);
    let end = publisher.read_all(&read, Start::Oldest).end;
    assert_eq!(
        accepted(&publisher, expecting(&read, end, 1)),
        behind(end),
        "a topic without publications stands where reading it says"
    );
    match publisher.publish(expecting(&tried, behind(end), 1)) {
        Err(Refusal::Conflict { position }) => assert_eq!(
            accepted(&publisher, expecting(&tried, position, 1)),
            behind(position),
            "a topic without publications stands where a refused publisher is told"
        ),
        other => panic!("{other:?} to what expects the place of another topic"),
    }
}

/// Each place is followed by one of those who would follow it.
pub(super) fn one_of_racing_publications_follows<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("expected-racing");
    let reader = Probe::new(broker);
    let start = reader.join(&topic);
    thread::scope(|scope| {
        for _ in 0..PUBLISHERS {
            scope.spawn(|| {
                let probe = Probe::new(broker);
                let mut known = start;
                for _ in 0..PUBLICATIONS_EACH {
                    known = publish_behind(&probe, &topic, known);
                }
            });
        }
    });
    for offset in 1..=(PUBLISHERS * PUBLICATIONS_EACH) as u64 {
        let publication = reader.publication("a publication that followed");
        assert_eq!(
            publication.position.offset, offset,
            "there are as many as were accepted"
        );
        let said = String::from_utf8_lossy(publication.draft.payload.as_bytes()).into_owned();
        assert_eq!(
            said,
            (offset - 1).to_string(),
            "each publication follows the place that its publisher knew"
        );
    }
    reader.fence();
    assert_eq!(reader.waiting(), 0, "what was refused is posted to nobody");
}

/// Tries until it follows the place that it knows, which it says. Gives where it stands then.
fn publish_behind<B: Broker + ?Sized>(
    probe: &Probe<'_, B>,
    topic: &TopicName,
    mut known: Position,
) -> Position {
    loop {
        match probe.publish(expecting(topic, known, known.offset)) {
            Ok(Published { position, .. }) => return position,
            Err(Refusal::Conflict { position }) => known = position,
            Err(refusal) => panic!("a publication was refused: {refusal}"),
        }
    }
}

fn expecting(topic: &TopicName, place: Position, number: u64) -> Draft {
    Draft {
        expected: Some(place),
        ..draft(topic, number)
    }
}

fn behind(place: Position) -> Position {
    Position {
        offset: place.offset + 1,
        ..place
    }
}
