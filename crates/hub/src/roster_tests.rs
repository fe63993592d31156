//! The roster against a plain set.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn id(number: u8) -> ConnectionId {
    ConnectionId::new(0, usize::from(number), 1)
}

fn attendee(number: u8, user: u8) -> Attendee {
    let name = format!("u{user}");
    Attendee {
        connection: id(number),
        identity: (user > 0).then(|| Arc::new(Identity::of_user(UserName::parse(&name).unwrap()))),
        since: Timestamp(0),
        topic_info: None,
    }
}

fn numbers(members: &[Attendee]) -> Vec<usize> {
    members.iter().map(|present| present.connection.slot()).collect()
}

#[test]
fn who_stays_is_on_exactly_one_page() {
    let mut roster = Roster::new(1);
    (0..10).for_each(|number| roster.apply(Change::Came(attendee(number, number % 3))));
    let page = roster.page(None, 4);
    assert_eq!(
        (numbers(&page.members), page.next),
        (vec![0, 1, 2, 3], Some(id(3)))
    );
    assert_eq!(
        page.attendance,
        Attendance {
            connections: 10,
            users: 2,
            anonymous: 4,
        }
    );
    roster.apply(Change::Went(id(0)));
    roster.apply(Change::Went(id(3)));
    let page = roster.page(page.next, 4);
    assert_eq!(numbers(&page.members), [4, 5, 6, 7]);
    let page = roster.page(page.next, 4);
    assert_eq!((numbers(&page.members), page.next), (vec![8, 9], None));
    let behind_all = Some(ConnectionId::from_bits(u64::MAX));
    assert_eq!(roster.page(behind_all, 4).members, []);
    assert_eq!(roster.page(None, 0).next, None);
}

#[test]
fn what_came_and_went_between_two_looks_is_not_told() {
    let mut roster = Roster::new(1);
    roster.apply(Change::Came(attendee(1, 1)));
    let first = roster.since(Version::default());
    assert!(first.is_lost, "the first look is a look at everyone");
    roster.apply(Change::Came(attendee(2, 1)));
    roster.apply(Change::Went(id(2)));
    roster.apply(Change::Went(id(1)));
    roster.apply(Change::Came(attendee(1, 1)));
    roster.apply(Change::Came(attendee(3, 2)));
    let diff = roster.since(first.version);
    assert_eq!((numbers(&diff.came), numbers(&diff.went)), (vec![3], vec![]));
    assert_eq!(roster.since(diff.version).came, []);
    roster.apply(Change::Came(attendee(3, 1)));
    let changed = roster.since(diff.version);
    assert_eq!(
        (changed.came, changed.went),
        (vec![attendee(3, 1)], vec![attendee(3, 2)]),
        "who is somebody else now has gone and come"
    );
}

#[test]
fn nothing_is_remembered_for_those_who_do_not_look() {
    let mut roster = Roster::new(1);
    let stay = |roster: &mut Roster| {
        roster.apply(Change::Came(attendee(1, 1)));
        roster.apply(Change::Went(id(1)));
    };
    stay(&mut roster);
    assert!(roster.changes.is_empty(), "nobody watches");
    let version = roster.since(Version::default()).version;
    (0..CHANGES_MAX / 2).for_each(|_| stay(&mut roster));
    assert!(!roster.since(version).is_lost);
    stay(&mut roster);
    assert!(roster.changes.is_empty() && roster.since(version).is_lost);
    assert!(
        Roster::new(2).since(version).is_lost,
        "another roster is another one"
    );
}

proptest! {
    #[test]
    fn differences_lead_to_what_is_there(steps in proptest::collection::vec((0u8..6, 0u8..3, any::<bool>(), any::<bool>()), 0..80)) {
        let mut roster = Roster::new(7);
        let mut truth: BTreeMap<ConnectionId, Attendee> = BTreeMap::new();
        let mut seen = truth.clone();
        let mut version = roster.since(Version::default()).version;
        for (number, user, comes, looks) in steps {
            if comes {
                roster.apply(Change::Came(attendee(number, user)));
                truth.insert(id(number), attendee(number, user));
            } else {
                roster.apply(Change::Went(id(number)));
                truth.remove(&id(number));
            }
            if looks {
                let diff = roster.since(version);
                prop_assert!(!diff.is_lost);
                version = diff.version;
                for gone in &diff.went {
                    let known = seen.remove(&gone.connection);
                    prop_assert_eq!(known.as_ref(), Some(gone));
                }
                for come in &diff.came {
                    prop_assert!(seen.insert(come.connection, come.clone()).is_none());
                }
                prop_assert_eq!(&seen, &truth);
                let users: BTreeSet<_> = truth.values().filter_map(Attendee::user).collect();
                let anonymous = truth.values().filter(|attendee| attendee.user().is_none()).count() as u64;
                let attendance = Attendance {
                    connections: truth.len() as u64,
                    users: users.len() as u64,
                    anonymous,
                };
                prop_assert_eq!(diff.attendance, attendance);
                prop_assert_eq!(roster.attendance(), attendance);
            }
        }
        let all: Vec<Attendee> = truth.into_values().collect();
        prop_assert_eq!(roster.page(None, 100).members, all);
    }
}

#[test]
fn everyone_of_a_shard_goes_at_once() {
    let mut roster = Roster::new(1);
    for shard in 0..3 {
        for slot in 0..2 {
            let connection = ConnectionId::new(shard, slot, 9);
            roster.apply(Change::Came(Attendee {
                connection,
                ..attendee(0, 1)
            }));
        }
    }
    roster.go_all(1);
    let left = roster.page(None, 9).members;
    let shards: Vec<usize> = left.iter().map(|attendee| attendee.connection.shard()).collect();
    assert_eq!(shards, [0, 0, 2, 2]);
}
