//! What a broker remembers of one topic's publications that may be sent again.

use std::collections::{BTreeMap, VecDeque};

use fanfare_protocol::{IdempotencyKey, Position, Timestamp};

/// The idempotency keys that a topic took lately, each with the place of its publication. Bounded in time and number.
///
/// A key costs about 150 bytes.
#[derive(Debug)]
pub struct Repetitions {
    window_ms: u64,
    keys_max: usize,
    places: BTreeMap<IdempotencyKey, Position>,
    /// The same keys, oldest first. Their times never go back, whatever the clock does.
    order: VecDeque<(Timestamp, IdempotencyKey)>,
}

impl Repetitions {
    /// Remembers `keys_max` keys, each for `window_ms`.
    pub fn new(window_ms: u64, keys_max: usize) -> Self {
        Self {
            window_ms,
            keys_max,
            places: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Keys remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The place of the publication that had this key within the window. Forgets what is older than that.
    pub fn find(&mut self, key: &IdempotencyKey, now: Timestamp) -> Option<Position> {
        self.expire(now);
        self.places.get(key).copied()
    }

    /// Remembers the key of a publication, which was looked for at this time and not found. Gives how many keys were
    /// forgotten before their window was over, because there are too many.
    pub fn remember(&mut self, key: IdempotencyKey, position: Position, now: Timestamp) -> usize {
        let newest = self.order.back().map_or(now, |&(time, _)| time.max(now));
        self.places.insert(key.clone(), position);
        self.order.push_back((newest, key));
        let excess = self.len().saturating_sub(self.keys_max);
        (0..excess).for_each(|_| self.forget_oldest());
        excess
    }

    /// Forgets the oldest key.
    pub fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.places.remove(&key);
        }
    }

    /// Forgets a key. Costs a look at those that came after it.
    pub fn forget(&mut self, key: &IdempotencyKey) {
        if self.places.remove(key).is_some()
            && let Some(at) = self.order.iter().rposition(|(_, known)| known == key)
        {
            self.order.remove(at);
        }
    }

    /// Forgets the keys whose window is over. Costs what it forgets.
    pub fn expire(&mut self, now: Timestamp) {
        let window_ms = self.window_ms;
        let is_over = |(time, _): &(Timestamp, IdempotencyKey)| now.0.saturating_sub(time.0) > window_ms;
        while self.order.front().is_some_and(is_over) {
            self.forget_oldest();
        }
        if self.order.capacity() > 64 && self.order.len() < self.order.capacity() / 4 {
            self.order.shrink_to(self.order.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> IdempotencyKey {
        IdempotencyKey::parse(&format!("key {number}")).unwrap()
    }

    fn place(offset: u64) -> Position {
        Position {
            offset,
            ..Position::default()
        }
    }

    #[test]
    fn a_key_is_known_until_its_window_is_over() {
        let mut repetitions = Repetitions::new(100, 10);
        assert_eq!(repetitions.find(&key(1), Timestamp(50)), None);
        assert_eq!(repetitions.remember(key(1), place(7), Timestamp(50)), 0);
        assert_eq!(repetitions.find(&key(1), Timestamp(150)), Some(place(7)));
        assert_eq!(repetitions.find(&key(2), Timestamp(150)), None);
        assert_eq!(repetitions.find(&key(1), Timestamp(151)), None);
        assert!(repetitions.is_empty());
    }

    #[test]
    fn the_oldest_keys_go_when_there_are_too_many() {
        let mut repetitions = Repetitions::new(100, 3);
        let forgotten = (1..=5).map(|number| repetitions.remember(key(number), place(9), Timestamp(0)));
        assert_eq!(forgotten.collect::<Vec<_>>(), [0, 0, 0, 1, 1]);
        let known = (1..=5).filter(|&number| repetitions.find(&key(number), Timestamp(0)).is_some());
        assert_eq!(known.collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(repetitions.len(), 3);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_no_key_for_ever_and_hides_none_behind_another() {
        let mut repetitions = Repetitions::new(100, 10);
        repetitions.remember(key(1), place(1), Timestamp(1_000));
        repetitions.remember(key(2), place(2), Timestamp(10));
        assert_eq!(repetitions.find(&key(2), Timestamp(200)), Some(place(2)));
        assert_eq!(repetitions.find(&key(2), Timestamp(1_101)), None);
        repetitions.remember(key(2), place(3), Timestamp(1_101));
        assert_eq!(repetitions.find(&key(2), Timestamp(1_150)), Some(place(3)));
        assert_eq!(repetitions.len(), 1);
    }
}
