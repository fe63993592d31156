//! What a client received of its topics, what it was told to have missed, and whether the two agree.

use std::collections::{BTreeMap, BTreeSet};

use fanfare_hub::SlowRule;
use fanfare_protocol::{ConnectionId, Epoch, TopicName};

use crate::truth::Truth;

/// The accounts of one client, by life of a topic.
#[derive(Default)]
pub(crate) struct Accounts {
    lives: BTreeMap<(TopicName, u64), Account>,
    /// Topics of which it wants no more than the newest, so that it is not told what is left out.
    pub(crate) wants_newest: BTreeSet<TopicName>,
    /// Topics that it subscribed to from a place in the past: what they forget while it reads is told, whatever their rule,
    /// and also of what was not for it.
    pub(crate) came_back: BTreeSet<TopicName>,
}

#[derive(Default)]
struct Account {
    received: BTreeSet<u64>,
    told: Vec<Told>,
}

/// One notice.
struct Told {
    from: u64,
    to: u64,
    count: u64,
}

impl Accounts {
    pub(crate) fn received(&mut self, topic: &TopicName, epoch: Epoch, offset: u64) {
        let account = self.lives.entry((topic.clone(), epoch.0)).or_default();
        account.received.insert(offset);
    }

    pub(crate) fn told(&mut self, topic: &TopicName, epoch: Epoch, (from, to, count): (u64, u64, u64)) {
        assert!(
            from >= 1 && from <= to && count >= 1,
            "{topic}: {count} missed from {from} to {to}"
        );
        assert!(
            count <= to - from + 1,
            "{topic}: {count} missed from {from} to {to}"
        );
        let account = self.lives.entry((topic.clone(), epoch.0)).or_default();
        account.told.push(Told { from, to, count });
    }

    /// Whether it knows why an offset did not come.
    pub(crate) fn explains(&self, topic: &TopicName, epoch: Epoch, offset: u64) -> bool {
        self.wants_newest.contains(topic)
            || self.lives.get(&(topic.clone(), epoch.0)).is_some_and(|account| {
                account
                    .told
                    .iter()
                    .any(|told| (told.from..=told.to).contains(&offset))
            })
    }

    /// Checks that exactly as much is missing as it was told, and that nothing is missing that its rule would keep.
    /// `is_steady` says that its subscriptions never changed, so that nothing is missing for another reason.
    pub(crate) fn check(
        &self,
        id: ConnectionId,
        truth: &Truth,
        rule: impl Fn(&TopicName) -> SlowRule,
        is_steady: bool,
    ) {
        for ((topic, epoch), account) in &self.lives {
            if self.came_back.contains(topic) {
                continue;
            }
            let is_steady = is_steady && !self.wants_newest.contains(topic);
            let missing: BTreeSet<u64> = account
                .told
                .iter()
                .flat_map(|told| told.from..=told.to)
                .filter(|offset| !account.received.contains(offset))
                .filter(|&offset| !truth.is_nothing_for(id, topic, (Epoch(*epoch), offset - 1, offset)))
                .collect();
            let told: u64 = account.told.iter().map(|told| told.count).sum();
            assert!(
                told <= missing.len() as u64 && (!is_steady || told == missing.len() as u64),
                "{id}: told that {told} of {topic} are missing, and it is {missing:?}"
            );
            match rule(topic) {
                SlowRule::Disconnect => assert!(told == 0, "{id}: {topic} must not miss anything"),
                SlowRule::Conflate if is_steady => {
                    for offset in missing {
                        let key = truth.key_of(topic, Epoch(*epoch), offset);
                        let mut later = account.received.range(offset..);
                        assert!(
                            later.any(|&later| truth.key_of(topic, Epoch(*epoch), later) == key),
                            "{id}: {topic}/{offset} was the newest of {key:?} and is missing"
                        );
                    }
                }
                _ => {}
            }
        }
    }
}
