//! The ceiling on memory: what it is where the operator does not say, and who watches it.
//!
//! The bounds on what waits keep the process well below any sensible ceiling. This is for the ceiling that is lower than
//! they allow: near it the server takes on nothing more and lets go of what can be had back.

use std::fs;
use std::time::Duration;

use fanfare::Fanfare;
use tokio::time::{MissedTickBehavior, interval};

use super::fault;
use crate::panics;

/// Where the ceiling of a container is read, in the order of preference (cgroup v2, then v1; `cgroups(7)`).
const CEILINGS: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// A container without a ceiling says `max` (v2), or a number beyond any machine's memory (v1).
const UNLIMITED: u64 = 1 << 50;

/// As much of the ceiling as must wait, as a divisor, for it to be worth closing anybody.
const WORTH_IT: usize = 100;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The ceiling of the container that the process is in, if it has one.
pub(super) fn ceiling() -> Option<usize> {
    let mut texts = CEILINGS.iter().filter_map(|path| fs::read_to_string(path).ok());
    texts.find_map(|text| parse(&text))
}

fn parse(text: &str) -> Option<usize> {
    let bytes: u64 = text.trim().parse().ok()?;
    (bytes < UNLIMITED).then_some(bytes as usize)
}

/// Tells the shards when memory is short: from nine tenths of the ceiling on, until it is below eight, or below nine with
/// nothing left to let go of. An allocator may keep what it once had, and gives it out again before it takes more.
pub(super) async fn watch(fanfare: Fanfare, ceiling: usize) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        panics::outlive(|| {
            fault::trip(fault::Place::Memory);
            if let Some(used) = fanfare::resident_bytes() {
                let waiting = fanfare.stats().waiting_bytes as usize;
                look(&fanfare, used as usize, waiting, ceiling);
            }
        });
    }
}

fn look(fanfare: &Fanfare, used: usize, waiting: usize, ceiling: usize) {
    let is_letting_go = fanfare.is_memory_short() && waiting >= ceiling / WORTH_IT;
    let is_short = used >= ceiling / 10 * if is_letting_go { 8 } else { 9 };
    if fanfare.set_memory_short(is_short) {
        if is_short {
            tracing::warn!(
                used,
                ceiling,
                "memory is short: nobody new is taken, publications are refused, the slowest clients are closed"
            );
        } else {
            tracing::info!(used, ceiling, "memory is not short any more");
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfare::Options;

    use super::*;

    #[test]
    fn a_ceiling_is_a_number_below_any_machines_memory() {
        assert_eq!(parse("268435456\n"), Some(256 << 20));
        assert_eq!(parse("max\n"), None);
        assert_eq!(parse("9223372036854771712\n"), None);
    }

    #[tokio::test]
    async fn memory_is_short_from_nine_tenths_on_and_until_there_is_room_or_nothing_waits() {
        let options = Options {
            shards: 1,
            ..Options::default()
        };
        let fanfare = Fanfare::start(options).unwrap();
        for (used, waiting, is_short) in [
            (89, 9, false),
            (90, 0, true),
            (80, 1, true),
            (79, 1, false),
            (85, 9, false),
            (90, 9, true),
            (90, 0, true),
            (89, 0, false),
        ] {
            look(&fanfare, used * 100, waiting * 100, 10_000);
            assert_eq!(
                fanfare.is_memory_short(),
                is_short,
                "{used} % used, {waiting} % wait"
            );
        }
    }
}
