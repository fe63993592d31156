//! What becomes of an outlet whose shard lost its state.

use crate::broker::Broker;

use super::probe::Probe;
use super::{accepted, draft, topic};

/// It leaves every topic, and whoever comes in its place begins anew.
pub(super) fn what_is_detached_has_left_every_topic<B: Broker + ?Sized>(broker: &B) {
    let topics = [topic("detached-1"), topic("detached-2"), topic("detached-3")];
    let (lost, keeper) = (Probe::new(broker), Probe::new(broker));
    for topic in &topics {
        lost.join(topic);
        keeper.join(topic);
        broker.report(lost.id, topic, 5);
        broker.report(keeper.id, topic, 2);
    }
    broker.detach(lost.id);
    for topic in &topics {
        assert_eq!(
            broker.subscribers(topic.as_str()),
            2,
            "an outlet that is detached has no subscribers"
        );
        assert_eq!(accepted(&keeper, draft(topic, 1)).offset, 1);
    }
    let heir = Probe::new(broker);
    keeper.fence();
    assert_eq!(
        (lost.untaken(), lost.reserved()),
        (0, (0, 0)),
        "an outlet that is detached gets no publication"
    );
    assert_eq!(
        heir.join(&topics[0]).offset,
        1,
        "a topic goes on while another outlet holds it"
    );
    accepted(&keeper, draft(&topics[0], 2));
    let publication = heir.publication("what follows a join");
    assert_eq!(publication.position.offset, 2, "who comes after it begins anew");
    broker.detach(keeper.id);
    broker.detach(heir.id);
    assert_eq!(broker.subscribers(topics[0].as_str()), 0, "nobody is left");
}

/// Answers to what was asked before do not come after: they would be taken for answers to somebody else.
pub(super) fn what_is_detached_is_not_answered<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("unanswered");
    for number in 1..=20 {
        let lost = Probe::new(broker);
        lost.ask_without_waiting(draft(&topic, number));
        broker.detach(lost.id);
        let untaken = lost.untaken();
        Probe::new(broker).fence();
        lost.rest();
        assert_eq!(
            lost.untaken(),
            untaken,
            "an outlet that is detached is not answered"
        );
    }
}
