//! What publishers know, and what anyone has ever seen at a position.

use std::collections::{BTreeMap, BTreeSet};

use fanfare_hub::broker::{Page, Published, Refusal};
use fanfare_protocol::{Draft, Epoch, IdempotencyKey, Payload, Position, Publication, Timestamp, TopicName};
use fastrand::Rng;

#[derive(Default)]
pub(super) struct Ledger {
    numbers: u64,
    /// What waits for an answer, by the id of the publish.
    pending: BTreeMap<u64, Draft>,
    /// What ended with the server, and has a key to be published again.
    unanswered: Vec<Draft>,
    /// What was answered and must be there, unless the topic forgot it.
    answered: BTreeMap<TopicName, BTreeMap<u64, (Epoch, u64)>>,
    refused: BTreeSet<u64>,
    /// What stands at a position, as anyone saw it.
    seen: BTreeMap<(TopicName, u64, u64), u64>,
    /// Topics whose answered publications may be lost, with the epoch in which they were.
    weak: BTreeMap<TopicName, BTreeSet<u64>>,
}

impl Ledger {
    /// A draft with a number that no other has; sometimes with a key, and sometimes one that had no answer.
    pub(super) fn draft(&mut self, rng: &mut Rng, topic: TopicName, now_ms: u64) -> Draft {
        if rng.u8(0..4) == 0
            && let Some(at) = self.unanswered.iter().position(|draft| draft.topic == topic)
        {
            return self.unanswered.remove(at);
        }
        self.numbers += 1;
        let padding = rng.usize(0..2_000);
        let text = format!("{:06}{}", self.numbers, "x".repeat(padding));
        let key = format!("key {}", self.numbers);
        Draft {
            idempotency_key: IdempotencyKey::parse(&key).ok().filter(|_| rng.bool()),
            ..Draft::new(topic, Payload::text(text), Timestamp(now_ms))
        }
    }

    pub(super) fn asked(&mut self, publish: u64, draft: Draft) {
        self.pending.insert(publish, draft);
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The answer to a publish.
    pub(super) fn answered(&mut self, publish: u64, outcome: Result<Published, Refusal>) {
        let Some(draft) = self.pending.remove(&publish) else {
            panic!("publish {publish} is answered and nobody asked");
        };
        let number = number_of(&draft);
        match outcome {
            Ok(published) => {
                self.see(&draft.topic, published.position, number);
                let place = (published.position.epoch, number);
                let places = self.answered.entry(draft.topic).or_default();
                places.insert(published.position.offset, place);
            }
            // Nobody knows, so it is asked again, or may be there.
            Err(Refusal::OutcomeUnknown) => self.leave_open(draft),
            Err(_) if draft.idempotency_key.is_some() => self.unanswered.push(draft),
            Err(_) => drop(self.refused.insert(number)),
        }
    }

    fn leave_open(&mut self, draft: Draft) {
        if draft.idempotency_key.is_some() {
            self.unanswered.push(draft);
        }
    }

    /// The server ended: nobody knows what became of what was pending. Gives how much that was.
    pub(super) fn forget_pending(&mut self) -> u64 {
        let pending = std::mem::take(&mut self.pending);
        let count = pending.len() as u64;
        for draft in pending.into_values() {
            self.leave_open(draft);
        }
        count
    }

    pub(super) fn unanswered_with_key(&mut self) -> Vec<Draft> {
        std::mem::take(&mut self.unanswered)
    }

    /// What was answered and not yet durable may be lost, and with it where topics stood.
    pub(super) fn power_was_lost(&mut self) {
        for (topic, places) in &self.answered {
            let epochs = places.values().map(|(epoch, _)| epoch.0);
            self.weak.entry(topic.clone()).or_default().extend(epochs);
        }
    }

    /// Somebody received a publication.
    pub(super) fn received(&mut self, publication: &Publication) {
        let number = number_of(&publication.draft);
        self.see(&publication.draft.topic, publication.position, number);
    }

    fn see(&mut self, topic: &TopicName, position: Position, number: u64) {
        assert!(
            !self.refused.contains(&number),
            "{number} was refused and is in {topic}"
        );
        let key = (topic.clone(), position.epoch.0, position.offset);
        let there = *self.seen.entry(key).or_insert(number);
        assert_eq!(there, number, "{topic}: {position} stands for two publications");
    }

    /// Checks everything that a topic has against what was answered.
    pub(super) fn check(&mut self, topic: &TopicName, page: &Page) {
        let mut numbers = BTreeSet::new();
        for publication in &page.publications {
            self.received(publication);
            let number = number_of(&publication.draft);
            assert!(numbers.insert(number), "{topic}: {number} is there twice");
        }
        let there: BTreeMap<u64, u64> = page
            .publications
            .iter()
            .map(|publication| (publication.position.offset, number_of(&publication.draft)))
            .collect();
        let weak = self.weak.remove(topic).unwrap_or_default();
        let may_be_lost = |epoch: &Epoch| weak.contains(&epoch.0) && *epoch != page.end.epoch;
        let answered = self.answered.entry(topic.clone()).or_default();
        answered.retain(|offset, (epoch, number)| {
            if *offset < page.oldest {
                return false;
            }
            let is_there = there.get(offset) == Some(number);
            assert!(
                is_there || may_be_lost(epoch),
                "{topic}: {number} was answered with {offset} and is not there"
            );
            is_there
        });
    }
}

pub(super) fn number_of(draft: &Draft) -> u64 {
    let text = String::from_utf8_lossy(draft.payload.as_bytes()).into_owned();
    match text.get(..6).and_then(|digits| digits.parse().ok()) {
        Some(number) => number,
        None => panic!("{text:?} is no payload that was published"),
    }
}
