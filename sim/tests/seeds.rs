//! Some seeds on every run, and those that found something, for ever.

#![allow(clippy::panic, reason = "a seed that fails is told by panicking")]

use fanfare_sim::{STEPS, run, run_durable, transcript};

/// Seeds that failed once, with the steps that they failed at.
const REGRESSION_SEEDS: &[(u64, usize)] = &[
    // Publications for somebody whose subscribe command was still under way.
    (10_000, 400),
    (10_034, 400),
    (10_133, 400),
    // A `subscribed` that overtook the messages before its position.
    (10_009, 400),
    // A watcher that was never told the occupancy.
    (10_165, 400),
    // A paused connection that was closed and never read again.
    (10_272, 400),
    // A topic lost because another command that named it was refused.
    (10_380, 400),
    // A pong that came in time and that the shard, its mailbox half full, did not read in time.
    (1_071, 400),
    // A gap that was told behind the `subscribed` it came before, because it was left out later.
    (5_034_077, 400),
    // A connection that the application's answer closed, and that nobody read to its end.
    (701_277, 400),
];

/// Seeds of one test; there are several, so that they run beside each other.
const SEEDS: u64 = 500;

fn play(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        if let Err(failure) = run(seed, STEPS) {
            panic!("{failure}");
        }
    }
}

#[test]
fn seeds_hold_1() {
    play(0..SEEDS);
}

#[test]
fn seeds_hold_2() {
    play(SEEDS..2 * SEEDS);
}

#[test]
fn seeds_hold_3() {
    play(2 * SEEDS..3 * SEEDS);
}

#[test]
fn seeds_hold_4() {
    play(3 * SEEDS..4 * SEEDS);
}

#[test]
fn seeds_that_failed_once_hold() {
    for &(seed, steps) in REGRESSION_SEEDS {
        if let Err(failure) = run(seed, steps) {
            panic!("{failure}");
        }
    }
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 0..20 {
        let story = transcript(seed, STEPS);
        assert!(story.len() > 100);
        assert_eq!(story, transcript(seed, STEPS));
    }
}

/// Seeds of durable stories that failed once, with the steps that they failed at.
const DURABLE_REGRESSION_SEEDS: &[(u64, usize)] = &[];

#[test]
fn durable_seeds_hold() {
    let seeds = (0..SEEDS).map(|seed| (seed, STEPS));
    for (seed, steps) in seeds.chain(DURABLE_REGRESSION_SEEDS.iter().copied()) {
        if let Err(failure) = run_durable(seed, steps) {
            panic!("{failure}");
        }
    }
}
