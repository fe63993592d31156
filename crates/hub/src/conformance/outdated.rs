//! What has an older state than what was published.

use fanfare_protocol::{Draft, Key, StateVersion, TopicName};

use crate::broker::{Broker, Published, Refusal};

use super::probe::Probe;
use super::{accepted, draft, topic};

pub(super) fn what_is_out_of_date_is_not_published<B: Broker + ?Sized>(broker: &B) {
    let (topic, elsewhere) = (topic("outdated"), topic("outdated-elsewhere"));
    let (reader, publisher) = (Probe::new(broker), Probe::new(broker));
    reader.join(&topic);
    accepted(&publisher, version(&topic, (5, "a"), 1));
    let place = accepted(&publisher, draft(&topic, 2));
    for older in [(5, "a"), (4, "a"), (0, "a"), (5, "")] {
        assert_eq!(
            publisher.publish(version(&topic, older, 3)),
            Ok(Published::again(place)),
            "whoever publishes an older state is told where the topic stands"
        );
    }
    for newer in [(6, "a"), (7, ""), (1, "b"), (1, "a"), (9, "a")] {
        accepted(&publisher, version(&topic, newer, 4));
    }
    accepted(&publisher, version(&elsewhere, (1, "a"), 5));
    for (offset, text) in (1..).zip(["1", "2", "4", "4", "4", "4", "4"]) {
        let publication = reader.publication("a publication that is not out of date");
        assert_eq!(
            (publication.position.offset, publication.draft.payload.as_bytes()),
            (offset, text.as_bytes()),
            "what is out of date takes no place and is posted to nobody"
        );
    }
    reader.fence();
    assert_eq!(reader.waiting(), 0, "all that was published was given");
}

pub(super) fn a_refused_publication_outdates_none<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("refused-and-outdated");
    let (full, publisher) = (Probe::with_room(broker, 1, usize::MAX), Probe::new(broker));
    full.join(&topic);
    accepted(&publisher, version(&topic, (1, ""), 1));
    let refused = publisher.publish(version(&topic, (3, ""), 3));
    assert_eq!(refused, Err(Refusal::Overloaded), "a full mailbox refuses");
    full.publication("what fitted into the mailbox");
    assert_eq!(
        accepted(&publisher, version(&topic, (2, ""), 2)).offset,
        2,
        "what was refused is no state of the topic"
    );
    full.publication("what is newer than the first");
}

/// A draft that says `text` and has a version of an epoch, if one is named.
fn version(topic: &TopicName, (number, epoch): (u64, &str), text: u64) -> Draft {
    let version = StateVersion {
        number,
        epoch: Key::parse(epoch).ok(),
    };
    Draft {
        version: Some(Box::new(version)),
        ..draft(topic, text)
    }
}
