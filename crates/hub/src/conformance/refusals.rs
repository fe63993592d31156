//! What a full mailbox means: the publisher is refused, and nothing at all has happened.

use fanfare_protocol::{Draft, Payload};

use crate::broker::{Broker, Refusal};

use super::probe::Probe;
use super::{accepted, draft, listed, topic};

/// Whoever is asked first for a place must get it back, so both orders of attaching and of joining are tried.
pub(super) fn a_full_mailbox_refuses_the_publisher<B: Broker + ?Sized>(broker: &B) {
    let (full, roomy) = (Probe::with_room(broker, 2, usize::MAX), Probe::new(broker));
    refuses(
        broker,
        "full-attached-and-joined-first",
        (&full, &roomy),
        [&full, &roomy],
    );
    refuses(broker, "full-attached-first", (&full, &roomy), [&roomy, &full]);
    let (roomy, full) = (Probe::new(broker), Probe::with_room(broker, 2, usize::MAX));
    refuses(broker, "roomy-attached-first", (&full, &roomy), [&full, &roomy]);
    refuses(
        broker,
        "roomy-attached-and-joined-first",
        (&full, &roomy),
        [&roomy, &full],
    );
}

fn refuses<B: Broker + ?Sized>(
    broker: &B,
    name: &str,
    (full, roomy): (&Probe<'_, B>, &Probe<'_, B>),
    joining: [&Probe<'_, B>; 2],
) {
    let (topic, elsewhere) = (topic(name), topic(&format!("{name}-elsewhere")));
    let publisher = Probe::new(broker);
    for probe in joining {
        probe.join(&topic);
    }
    accepted(&publisher, draft(&topic, 1));
    accepted(&publisher, draft(&topic, 2));
    for _ in 0..3 {
        let outcome = publisher.publish(draft(&topic, 3));
        assert_eq!(outcome, Err(Refusal::Overloaded), "a full mailbox refuses");
    }
    roomy.fence();
    assert_eq!(
        (roomy.waiting(), roomy.reserved()),
        (2, (0, 0)),
        "what one mailbox refused no other gets, and the places set aside for it are given back"
    );
    let position = listed(broker, 100)
        .into_iter()
        .find_map(|row| (row.topic == topic).then_some(row.position.offset));
    assert_eq!(position, Some(2), "what was refused is not appended");
    assert_eq!(
        accepted(&publisher, draft(&elsewhere, 1)).offset,
        1,
        "only topics that the full mailbox joined are refused"
    );

    full.publication("what fitted into the mailbox");
    assert_eq!(
        accepted(&publisher, draft(&topic, 4)).offset,
        3,
        "after a refusal offsets go on densely"
    );
    for (offset, text) in [(1, "1"), (2, "2"), (3, "4")] {
        let publication = roomy.publication("a publication that was accepted");
        assert_eq!(publication.position.offset, offset);
        assert_eq!(publication.draft.payload.as_bytes(), text.as_bytes());
    }
    broker.leave(full.id, &topic);
    for number in 5..10 {
        accepted(&publisher, draft(&topic, number));
        roomy.publication("what a mailbox without the topic cannot refuse");
    }
    broker.leave(roomy.id, &topic);
    while full.waiting() > 0 {
        full.publication("what stood in the mailbox");
    }
}

/// A mailbox is full of bytes too, and an empty one takes a publication of any size.
pub(super) fn a_mailbox_full_of_bytes_refuses_the_publisher<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("full-of-bytes");
    let small = draft(&topic, 1).bytes();
    let (full, roomy) = (
        Probe::with_room(broker, usize::MAX, small * 2),
        Probe::new(broker),
    );
    let large = Draft {
        payload: Payload::binary(vec![0; small * 3]),
        ..draft(&topic, 0)
    };
    for probe in [&roomy, &full] {
        probe.join(&topic);
    }
    accepted(&roomy, large.clone());
    let outcome = roomy.publish(draft(&topic, 1));
    assert_eq!(
        outcome,
        Err(Refusal::Overloaded),
        "a mailbox that is full of bytes refuses"
    );
    full.publication("what is larger than an empty mailbox");
    accepted(&roomy, draft(&topic, 1));
    assert_eq!(
        roomy.publish(large),
        Err(Refusal::Overloaded),
        "what is too large for what is left is refused"
    );
    accepted(&roomy, draft(&topic, 2));
    for probe in [&full, &roomy] {
        probe.fence();
        assert_eq!(
            probe.reserved(),
            (0, 0),
            "what was set aside is used or given back, to the byte"
        );
    }
}
