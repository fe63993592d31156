//! Who is in a topic.

use std::sync::Arc;

use fanfare_protocol::{ConnectionId, Timestamp, UserName};

use crate::access::Identity;
use crate::broker::Broker;
use crate::roster::{Attendee, Change, Version};

use super::probe::Probe;
use super::topic;

pub(super) fn who_is_there_is_told<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("attended");
    let (first, second) = (Probe::new(broker), Probe::new(broker));
    let nobody = broker.roster(topic.as_str(), None, 10);
    assert!(
        nobody.members.is_empty() && nobody.attendance.connections == 0,
        "nobody is in a topic of which nobody was told"
    );
    for probe in [&first, &second] {
        probe.join(&topic);
    }
    broker.attend(first.id, &topic, vec![came(0, 1), came(0, 2), came(0, 3)]);
    broker.attend(second.id, &topic, vec![came(1, 1)]);
    broker.attend(first.id, &topic, vec![Change::Went(id(0, 2))]);
    settle(&[&first, &second]);
    let page = broker.roster(topic.as_str(), None, 2);
    assert_eq!(
        ids(&page.members),
        [id(0, 1), id(0, 3)],
        "a page is of those who are there"
    );
    assert_eq!(
        page.next,
        Some(id(0, 3)),
        "a page says whom the next one begins behind"
    );
    assert_eq!(
        (page.attendance.connections, page.attendance.users),
        (3, 2),
        "everyone is counted, over all outlets"
    );
    assert_eq!(page.members[0], attendee(0, 1), "who is there is told as it came");
    let rest = broker.roster(topic.as_str(), page.next, 2);
    assert_eq!(
        ids(&rest.members),
        [id(1, 1)],
        "a page goes on behind the one before"
    );
    assert_eq!(rest.next, None, "nothing comes behind the last page");
}

pub(super) fn what_has_changed_is_told<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("changing");
    let probe = Probe::new(broker);
    probe.join(&topic);
    broker.attend(probe.id, &topic, vec![came(0, 1)]);
    settle(&[&probe]);
    let start = broker.survey(topic.as_str(), Version::default(), false, 10);
    assert!(start.is_lost, "from nowhere no change can be told");
    broker.attend(probe.id, &topic, vec![came(0, 2), came(0, 3)]);
    broker.attend(
        probe.id,
        &topic,
        vec![Change::Went(id(0, 1)), Change::Went(id(0, 3))],
    );
    settle(&[&probe]);
    let diff = broker.survey(topic.as_str(), start.version, false, 10);
    assert!(!diff.is_lost, "what has just changed can be told");
    assert_eq!(ids(&diff.came), [id(0, 2)], "who came and is there is told");
    assert_eq!(ids(&diff.went), [id(0, 1)], "who was there and went is told");
    assert_eq!(diff.attendance.connections, 1, "it is told how many are there");
    let again = broker.survey(topic.as_str(), diff.version, false, 10);
    assert!(
        !again.is_lost && again.came.is_empty() && again.went.is_empty(),
        "a change is told once to whoever goes on from there"
    );
}

/// Of a shard that fails nobody is left, and a topic that begins anew is not taken for the old one.
pub(super) fn who_leaves_takes_its_own_along<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("left");
    let (lost, keeper) = (Probe::new(broker), Probe::new(broker));
    lost.join(&topic);
    keeper.join(&topic);
    broker.attend(lost.id, &topic, vec![came(0, 1), came(0, 2)]);
    broker.attend(keeper.id, &topic, vec![came(1, 1)]);
    settle(&[&lost, &keeper]);
    broker.detach(lost.id);
    settle(&[&keeper]);
    let page = broker.roster(topic.as_str(), None, 10);
    assert_eq!(
        ids(&page.members),
        [id(1, 1)],
        "an outlet that is detached has nobody there"
    );
    let before = broker.survey(topic.as_str(), Version::default(), false, 10);
    broker.leave(keeper.id, &topic);
    settle(&[&keeper]);
    let page = broker.roster(topic.as_str(), None, 10);
    assert!(page.members.is_empty(), "an outlet that left has nobody there");
    keeper.join(&topic);
    broker.attend(keeper.id, &topic, vec![came(1, 7)]);
    settle(&[&keeper]);
    let after = broker.survey(topic.as_str(), before.version, false, 10);
    let is_told = ids(&after.came) == [id(1, 7)] && ids(&after.went) == [id(1, 1)];
    assert!(
        after.is_lost || is_told,
        "what changed before somebody looked again is not hidden"
    );
}

/// Lets the broker take in what it was told.
fn settle<B: Broker + ?Sized>(probes: &[&Probe<'_, B>]) {
    for probe in probes {
        probe.fence();
    }
}

fn id(shard: usize, slot: usize) -> ConnectionId {
    ConnectionId::new(shard, slot, 1)
}

fn ids(attendees: &[Attendee]) -> Vec<ConnectionId> {
    attendees.iter().map(|attendee| attendee.connection).collect()
}

fn came(shard: usize, slot: usize) -> Change {
    Change::Came(attendee(shard, slot))
}

/// Those of odd slots are one user, the others another.
fn attendee(shard: usize, slot: usize) -> Attendee {
    let user = UserName::parse(if slot % 2 == 1 && shard == 0 { "ada" } else { "bob" });
    Attendee {
        connection: id(shard, slot),
        identity: user.ok().map(|user| Arc::new(Identity::of_user(user))),
        since: Timestamp(1_700_000_000_000),
        topic_info: None,
    }
}
