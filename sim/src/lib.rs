//! The seeded simulator: some hubs, one broker and many clients on virtual time.
//!
//! A seed makes everything: the limits, the delays, who comes, what they do, in which order the shards have their
//! turns. Clients check every byte they get against what really happened. After some steps the faults stop,
//! everything drains, and nothing may be missing; then everyone goes, and nothing may be left. There is no clock and
//! no thread in here, so a seed that fails fails again, with a transcript.

#![allow(
    clippy::panic,
    reason = "a check that fails panics; `run` catches it and gives the seed"
)]

mod application;
mod broker;
mod client;
mod durable;
mod ending;
mod missed;
mod published;
mod steps;
mod truth;
mod turn;
mod world;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fanfare_protocol::codes::{Disconnect, ErrorCode};
use world::{Transcript, World};

/// Random steps of a story, unless told otherwise.
pub const STEPS: usize = 400;

/// What a story was about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Connections opened.
    pub connections: u64,
    /// Publications that were put into outboxes.
    pub deliveries: u64,
    /// Connections closed for being slow.
    pub overflows: u64,
    /// Times that a connection was not read from because it asked too fast.
    pub holds: u64,
    /// Commands refused for coming too fast.
    pub refusals: u64,
    /// Connections closed because they went on.
    pub floods: u64,
    /// Publications left out for slow clients, which were told.
    pub left_out: u64,
    /// Publications that clients were given of what they had missed.
    pub recovered: u64,
    /// Publications that topics forgot while somebody read them.
    pub forgotten: u64,
    /// Virtual time, in milliseconds.
    pub elapsed_ms: u64,
}

/// A seed for which something did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What did not hold.
    pub text: String,
    /// The last of what happened before.
    pub transcript: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.transcript {
            writeln!(f, "  {line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.text)
    }
}

pub use durable::Durable;

/// Lines of a transcript that a failure gives.
const LINES: usize = 60;

/// Plays the story of a seed.
///
/// # Errors
/// What did not hold, with the seed and what happened before.
pub fn run(seed: u64, steps: usize) -> Result<Summary, Failure> {
    tried(seed, |transcript| play(seed, steps, transcript))
}

/// Plays the story of durable topics of a seed.
///
/// # Errors
/// What did not hold, with the seed and what happened before.
pub fn run_durable(seed: u64, steps: usize) -> Result<Durable, Failure> {
    tried(seed, |transcript| durable::play(seed, steps, transcript))
}

fn tried<S>(seed: u64, play: impl Fn(Transcript) -> S) -> Result<S, Failure> {
    let panic = match catch_unwind(AssertUnwindSafe(|| play(Transcript::default()))) {
        Ok(summary) => return Ok(summary),
        Err(panic) => panic,
    };
    // Once more, with somebody who listens.
    let (transcript, lines) = Transcript::kept();
    let again = catch_unwind(AssertUnwindSafe(|| play(transcript)));
    let mut text = text_of(&*panic);
    if again.is_ok() {
        text.push_str(" (and not when played again: something is not deterministic)");
    }
    let lines = lines.borrow();
    let transcript = lines[lines.len().saturating_sub(LINES)..].to_vec();
    Err(Failure {
        seed,
        text,
        transcript,
    })
}

/// Everything that happens in the story of a seed, up to its end or its failure.
pub fn transcript(seed: u64, steps: usize) -> Vec<String> {
    let (transcript, lines) = Transcript::kept();
    let _ = catch_unwind(AssertUnwindSafe(|| play(seed, steps, transcript)));
    lines.take()
}

fn play(seed: u64, steps: usize, transcript: Transcript) -> Summary {
    let mut world = World::new(seed, transcript);
    for _ in 0..steps {
        world.step();
    }
    world.end();
    let mut summary = Summary {
        elapsed_ms: world.now.monotonic.0,
        ..Summary::default()
    };
    for shard in &world.shards {
        summary.connections += shard.hub.counters().opened;
        summary.deliveries += shard.hub.counters().deliveries;
        summary.left_out += shard.hub.counters().left_out.iter().sum::<u64>();
        summary.recovered += shard.hub.counters().recovered;
        summary.forgotten += shard.hub.counters().forgotten;
        summary.overflows += shard.hub.counters().overflow_disconnects;
        summary.holds += shard.hub.counters().held.iter().sum::<u64>();
        summary.refusals += shard.hub.counters().rejected[ErrorCode::RateLimited as usize];
        summary.floods += shard.hub.counters().disconnects[Disconnect::Flooding.cause()];
    }
    summary
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without text".to_owned())
}
