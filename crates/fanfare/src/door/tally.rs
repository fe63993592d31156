//! Counts by key, bounded per key: how many an address or a user has.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::address::AddressKey;
use super::rate::Rate;

/// How many each key has. About 30 bytes for each that has one.
///
/// One short lock when something comes and one when it goes, on one of several parts, so that shards and the threads
/// of the door seldom meet.
#[derive(Debug)]
pub(crate) struct Tally<K> {
    parts: [Mutex<HashMap<K, u32>>; PARTS],
    /// Seeded, because clients choose their keys.
    hasher: RandomState,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self {
            parts: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }
}

impl<K: Eq + Hash> Tally<K> {
    /// Counts one more; false when the key has as many as it may.
    pub(crate) fn take(&self, key: K, max: NonZeroU32) -> bool {
        let mut part = self.part(&key);
        let count = part.entry(key).or_default();
        let has_room = *count < max.get();
        *count += u32::from(has_room);
        has_room
    }

    /// Counts one less of a key that was taken.
    pub(crate) fn give_back(&self, key: &K) {
        let mut part = self.part(key);
        let Some(count) = part.get_mut(key) else { return };
        *count -= 1;
        if *count == 0 {
            part.remove(key);
            let few = 2 * part.len() + SPARE_ENTRIES;
            if part.capacity() > 4 * few {
                part.shrink_to(few);
            }
        }
    }

    /// Whether nobody has any.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| lock(part).is_empty())
    }

    fn part(&self, key: &K) -> MutexGuard<'_, HashMap<K, u32>> {
        lock(&self.parts[self.hasher.hash_one(key) as usize % PARTS])
    }
}

/// Rates by address. Holds the addresses of the last second or so: one whose bucket is full again is as good as unknown.
#[derive(Debug, Default)]
pub(crate) struct AddressRates {
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    /// When each address's bucket is full again.
    full_at: HashMap<AddressKey, u64>,
    /// How many there may be before those that are full again are thrown out.
    sweep_at: usize,
}

impl AddressRates {
    /// Lets one of an address through; false when its bucket is empty.
    pub(crate) fn take(&self, key: AddressKey, rate: Rate, now: u64) -> bool {
        let mut buckets = lock(&self.buckets);
        if buckets.full_at.len() >= buckets.sweep_at {
            buckets.full_at.retain(|_, full_at| *full_at > now);
            buckets.sweep_at = 2 * buckets.full_at.len() + SPARE_ENTRIES;
        }
        let full_at = buckets.full_at.entry(key).or_default();
        let taken = rate.take(*full_at, now);
        *full_at = taken.unwrap_or(*full_at);
        taken.is_some()
    }

    /// Whether the bucket of an address is empty.
    pub(crate) fn is_empty(&self, key: AddressKey, rate: Rate, now: u64) -> bool {
        let buckets = lock(&self.buckets);
        let full_at = buckets.full_at.get(&key);
        full_at.is_some_and(|&full_at| rate.take(full_at, now).is_none())
    }
}

/// What is counted stays right whoever panicked meanwhile: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const PARTS: usize = 16;

/// Entries that are not worth giving back.
const SPARE_ENTRIES: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn each_key_has_its_own_bound_and_leaves_nothing_behind() {
        let tally = Tally::default();
        let max = NonZeroU32::new(2).unwrap();
        for key in 0..1_000_u32 {
            assert!(tally.take(key, max) && tally.take(key, max) && !tally.take(key, max));
        }
        tally.give_back(&7);
        assert!(tally.take(7, max) && !tally.take(7, max));
        for key in 0..1_000 {
            tally.give_back(&key);
            tally.give_back(&key);
        }
        for part in &tally.parts {
            let part = lock(part);
            assert!(part.is_empty() && part.capacity() <= 8 * SPARE_ENTRIES);
        }
    }

    #[test]
    fn each_address_has_its_own_rate_and_is_forgotten_when_it_is_quiet() {
        let rates = AddressRates::default();
        let rate = Rate::per_second(NonZeroU32::new(2).unwrap());
        let key = |number: u32| AddressKey::of(Ipv4Addr::from_bits(0x0a00_0000 + number).into()).unwrap();
        for second in 0..10 {
            let now = second * 2_000_000_000;
            for number in 0..1_000 {
                let key = key(second as u32 * 1_000 + number);
                let take = || rates.take(key, rate, now);
                assert!(take() && take() && !take());
            }
        }
        assert!(lock(&rates.buckets).full_at.len() <= 4_000);
    }
}
