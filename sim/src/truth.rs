//! What really happened: every publication in its place, kept beyond the life of its topic.

use std::collections::BTreeMap;

use fanfare_protocol::{ConnectionId, Draft, Epoch, Key, Position, TopicName};

/// The record that what clients receive is compared with.
#[derive(Default)]
pub(crate) struct Truth {
    publications: BTreeMap<u64, Said>,
    lives: BTreeMap<(TopicName, u64), Vec<u64>>,
    /// Direct sends that a hub said it handed over, by number.
    pub(crate) handed_over: BTreeMap<u64, ConnectionId>,
}

/// One publication that was accepted.
pub(crate) struct Said {
    pub(crate) topic: TopicName,
    pub(crate) position: Position,
    pub(crate) except: Option<ConnectionId>,
    pub(crate) key: Option<Key>,
}

impl Truth {
    /// Takes note of an accepted publication.
    pub(crate) fn record(&mut self, draft: &Draft, position: Position) {
        let number = number_in(&String::from_utf8_lossy(draft.payload.as_bytes()));
        if let Some(expected) = draft.expected {
            let behind = Position {
                offset: expected.offset + 1,
                ..expected
            };
            assert_eq!(position, behind, "{number} follows where it is expected to");
        }
        let life = self
            .lives
            .entry((draft.topic.clone(), position.epoch.0))
            .or_default();
        life.push(number);
        assert_eq!(
            life.len() as u64,
            position.offset,
            "the simulated broker counts densely"
        );
        let said = Said {
            topic: draft.topic.clone(),
            position,
            except: draft.except,
            key: draft.key.clone(),
        };
        let earlier = self.publications.insert(number, said);
        assert!(earlier.is_none(), "publication {number} is accepted once");
    }

    /// The publication that carries `number`.
    pub(crate) fn said(&self, number: u64) -> &Said {
        match self.publications.get(&number) {
            Some(said) => said,
            None => panic!("publication {number} was received and never accepted"),
        }
    }

    /// Whether `number` was accepted.
    pub(crate) fn is_said(&self, number: u64) -> bool {
        self.publications.contains_key(&number)
    }

    /// Whether everything after `from` up to `to` in one life of a topic was not for `connection`.
    pub(crate) fn is_nothing_for(
        &self,
        connection: ConnectionId,
        topic: &TopicName,
        (epoch, from, to): (Epoch, u64, u64),
    ) -> bool {
        let Some(life) = self.lives.get(&(topic.clone(), epoch.0)) else {
            return from >= to;
        };
        (from..to).all(|at| {
            life.get(at as usize)
                .is_some_and(|number| self.said(*number).except == Some(connection))
        })
    }

    /// The key of a publication.
    pub(crate) fn key_of(&self, topic: &TopicName, epoch: Epoch, offset: u64) -> Option<&Key> {
        let life = self.lives.get(&(topic.clone(), epoch.0))?;
        self.said(*life.get(offset as usize - 1)?).key.as_ref()
    }

    /// How many publications one life of a topic had.
    pub(crate) fn end_of(&self, topic: &TopicName, epoch: Epoch) -> u64 {
        self.lives
            .get(&(topic.clone(), epoch.0))
            .map_or(0, |life| life.len() as u64)
    }
}

/// A payload: a number that tells it from all others, and something to make it long.
pub(crate) fn payload_of(number: u64, padding: usize) -> String {
    format!("{{\"n\":{number},\"p\":\"{}\"}}", "x".repeat(padding))
}

/// The number in a payload.
pub(crate) fn number_in(text: &str) -> u64 {
    let digits = text
        .strip_prefix("{\"n\":")
        .and_then(|rest| rest.split(',').next());
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(number) => number,
        None => panic!("{text:?} is no payload that was published"),
    }
}
