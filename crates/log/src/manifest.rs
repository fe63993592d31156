//! The list of segments, in the file `segments`: which files there must be, and how the log was last left.
//!
//! Two equal slots at fixed places, written in place one after the other and synced each: whatever happens, one of them
//! is whole, and neither needs room on a full disk. The whole one with the higher sequence is what counts.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::limits::SEGMENTS_MOST;
use crate::record::{u32_at, u64_at};
use crate::segment::{NUMBER_END, VERSION};
use crate::storage::{Storage, StorageFile};

/// What a slot says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// One more with every change.
    pub(crate) sequence: u64,
    /// The number of the next segment; none was ever higher.
    pub(crate) next: u64,
    /// The life of the machine in which it was written; 0 when nobody knew.
    pub(crate) boot: u64,
    /// Whether something may have been answered that is not durable.
    pub(crate) is_weak: bool,
    /// Whether positions may have been lost and not every topic has begun a new epoch yet.
    pub(crate) is_renewing: bool,
    /// Where the records of the last segment end, when the log was closed in order; else 0.
    pub(crate) closed_at: u64,
    /// The segments, in their order.
    pub(crate) numbers: Vec<u64>,
    /// Which slot is written first: while it is, the other one must be whole and durable.
    pub(crate) first_slot: usize,
}

/// What was found in the place of a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// The list, and whether one of its slots is damaged.
    Whole(Manifest, bool),
    /// Neither slot is whole.
    Damaged,
    /// A slot is whole and of another version.
    Version(u32),
}

impl Manifest {
    /// Writes a new list, durable when this returns.
    pub(crate) fn create(&self, storage: &dyn Storage) -> io::Result<Arc<dyn StorageFile>> {
        let file = storage.create(TEMPORARY)?;
        let slot = self.encode();
        let mut content = vec![0; 2 * SLOT_BYTES];
        content[..slot.len()].copy_from_slice(&slot);
        content[SLOT_BYTES..SLOT_BYTES + slot.len()].copy_from_slice(&slot);
        file.write_at(&content, 0)?;
        file.sync()?;
        storage.rename(TEMPORARY, NAME)?;
        storage.sync_names()?;
        Ok(file)
    }

    /// Writes the list in place of the one that `file` has; counts the change.
    pub(crate) fn store(&mut self, file: &dyn StorageFile) -> io::Result<()> {
        self.sequence += 1;
        let slot = self.encode();
        for number in [self.first_slot, 1 - self.first_slot] {
            file.write_at(&slot, (number * SLOT_BYTES) as u64)?;
            file.sync()?;
        }
        Ok(())
    }

    /// Whether a log may have written it: one that counts and numbers from 0 comes nowhere near the end.
    fn is_possible(&self) -> bool {
        let numbers: BTreeSet<u64> = self.numbers.iter().copied().collect();
        let is_earlier = numbers.last().is_none_or(|last| *last < self.next);
        let is_distinct = numbers.len() == self.numbers.len();
        self.sequence < NUMBER_END && self.next <= NUMBER_END && is_earlier && is_distinct
    }

    fn encode(&self) -> Vec<u8> {
        let mut slot = Vec::with_capacity(HEAD_BYTES + 8 * self.numbers.len());
        slot.extend_from_slice(MAGIC);
        slot.extend_from_slice(&VERSION.to_le_bytes());
        let flags = u32::from(self.is_weak) * WEAK + u32::from(self.is_renewing) * RENEWING;
        slot.extend_from_slice(&flags.to_le_bytes());
        for number in [self.sequence, self.next, self.boot, self.closed_at] {
            slot.extend_from_slice(&number.to_le_bytes());
        }
        slot.extend_from_slice(&(self.numbers.len() as u32).to_le_bytes());
        slot.extend_from_slice(&[0; 4]);
        for number in &self.numbers {
            slot.extend_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(&slot);
        slot[HEAD_BYTES - 4..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
        slot
    }
}

/// Reads the list.
pub(crate) fn load(file: &dyn StorageFile) -> io::Result<Loaded> {
    let mut content = vec![0; 2 * SLOT_BYTES];
    let filled = file.read_at(&mut content, 0)?;
    content.truncate(filled);
    let slots = [
        decode(&content),
        decode(content.get(SLOT_BYTES..).unwrap_or_default()),
    ];
    let is_damaged = slots[0] != slots[1];
    let other = slots.iter().flatten().find(|(version, _)| *version != VERSION);
    if let Some((version, _)) = other {
        return Ok(Loaded::Version(*version));
    }
    let [first, second] = slots.map(|slot| slot.map(|(_, list)| list));
    // A damaged one was written after the other one was durable. Of two whole ones, the newer one may not be durable.
    let first_slot = match (&first, &second) {
        (Some(first), Some(second)) => usize::from(second.sequence > first.sequence),
        (Some(_), None) => 1,
        (None, _) => 0,
    };
    let newest = [first, second]
        .into_iter()
        .flatten()
        .max_by_key(|list| list.sequence);
    Ok(newest.map_or(Loaded::Damaged, |list| {
        Loaded::Whole(Manifest { first_slot, ..list }, is_damaged)
    }))
}

fn decode(slot: &[u8]) -> Option<(u32, Manifest)> {
    let head = slot.get(..HEAD_BYTES)?;
    let count = u32_at(head, 48);
    if &head[..8] != MAGIC || u64::from(count) > SEGMENTS_MOST {
        return None;
    }
    let slot = slot.get(..HEAD_BYTES + 8 * count as usize)?;
    if checksum(slot) != u32_at(head, HEAD_BYTES - 4) {
        return None;
    }
    let numbers = slot[HEAD_BYTES..].chunks_exact(8).map(|number| u64_at(number, 0));
    let manifest = Manifest {
        sequence: u64_at(head, 16),
        next: u64_at(head, 24),
        boot: u64_at(head, 32),
        closed_at: u64_at(head, 40),
        is_weak: u32_at(head, 12) & WEAK != 0,
        is_renewing: u32_at(head, 12) & RENEWING != 0,
        numbers: numbers.collect(),
        first_slot: 0,
    };
    let version = u32_at(head, 8);
    (version != VERSION || manifest.is_possible()).then_some((version, manifest))
}

/// Of everything but the checksum itself.
fn checksum(slot: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&slot[..HEAD_BYTES - 4]);
    hasher.update(&slot[HEAD_BYTES..]);
    hasher.finalize()
}

/// The file's name.
pub(crate) const NAME: &str = "segments";

const TEMPORARY: &str = "segments.tmp";
const MAGIC: &[u8; 8] = b"FANFSEGS";
const HEAD_BYTES: usize = 56;
const WEAK: u32 = 1;
const RENEWING: u32 = 2;
/// Room for [`SEGMENTS_MOST`] numbers, in whole sectors.
const SLOT_BYTES: usize = 33_280;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Fault, Memory};

    fn example() -> Manifest {
        Manifest {
            sequence: 3,
            next: 9,
            boot: 1,
            is_weak: true,
            is_renewing: false,
            closed_at: 77,
            numbers: vec![2, 5, 8],
            first_slot: 0,
        }
    }

    fn reload(disk: &Memory) -> Loaded {
        load(&*disk.open(NAME).unwrap()).unwrap()
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let disk = Memory::new(0);
        let mut manifest = example();
        manifest.numbers = (0..SEGMENTS_MOST).collect();
        manifest.next = SEGMENTS_MOST;
        let file = manifest.create(&disk).unwrap();
        assert_eq!(reload(&disk), Loaded::Whole(manifest.clone(), false));
        manifest.numbers.pop();
        manifest.store(&*file).unwrap();
        assert_eq!(reload(&disk), Loaded::Whole(manifest, false));
    }

    #[test]
    fn every_flipped_byte_leaves_the_list_as_it_was() {
        let disk = Memory::new(0);
        example().create(&disk).unwrap();
        let content = disk.content(NAME).unwrap();
        let used = HEAD_BYTES + 24;
        for at in (0..used).chain(SLOT_BYTES..SLOT_BYTES + used) {
            let mut flipped = content.clone();
            flipped[at] ^= 0x41;
            disk.set_content(NAME, flipped);
            let damaged = usize::from(at >= SLOT_BYTES);
            let whole = Loaded::Whole(
                Manifest {
                    first_slot: damaged,
                    ..example()
                },
                true,
            );
            assert_eq!(reload(&disk), whole, "the damaged one is written first");
        }
    }

    #[test]
    fn a_list_that_no_log_writes_is_damaged() {
        let impossible: [fn(&mut Manifest); 4] = [
            |list| list.sequence = u64::MAX,
            |list| list.next = u64::MAX,
            |list| list.numbers.push(9),
            |list| list.numbers.push(5),
        ];
        for change in impossible {
            let mut manifest = example();
            change(&mut manifest);
            let disk = Memory::new(0);
            manifest.create(&disk).unwrap();
            assert_eq!(reload(&disk), Loaded::Damaged, "{manifest:?}");
        }
    }

    #[test]
    fn whatever_happens_while_it_is_written_the_old_or_the_new_one_is_there() {
        for seed in 0..2_000 {
            let disk = Memory::new(seed);
            let mut asked = vec![example().numbers];
            example().create(&disk).unwrap();
            for life in 0..4 {
                let Loaded::Whole(mut list, _) = reload(&disk) else {
                    panic!("no list, seed {seed}");
                };
                assert!(asked.contains(&list.numbers), "{list:?}");
                list.numbers = (0..life * 70).collect();
                list.next = life * 70;
                asked.push(list.numbers.clone());
                let fault = [Fault::Stop, Fault::Error][seed as usize % 2];
                disk.fail_after((seed / 2 + life) % 4, fault);
                list.store(&*disk.open(NAME).unwrap()).unwrap_err();
                if (seed + life) % 3 == 0 {
                    disk.restart();
                } else {
                    disk.lose_power();
                }
            }
        }
    }
}
