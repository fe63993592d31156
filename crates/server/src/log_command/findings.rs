//! What was found to be wrong with a data directory, in words.

use fanfare_log::{Damage, Damages};

use crate::logging::json_line;

/// All that was found, counted, and the first of it in words.
#[derive(Debug, Default)]
pub(super) struct Findings {
    listed: Vec<String>,
    count: u64,
}

impl Findings {
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn add(&mut self, problem: String) {
        self.count += 1;
        if self.listed.len() < Damages::LISTED_MAX {
            self.listed.push(json_line(&problem));
        }
    }

    /// Adds those that are wanted; what is counted and not listed is wanted.
    pub(super) fn add_all(&mut self, damages: &Damages, mut is_wanted: impl FnMut(&Damage) -> bool) {
        for damage in damages.listed.iter().filter(|damage| is_wanted(damage)) {
            self.add(damage.to_string());
        }
        self.count += damages.count - damages.listed.len() as u64;
    }

    pub(super) fn append(&mut self, other: Self) {
        let count = self.count + other.count;
        other.listed.into_iter().for_each(|problem| self.add(problem));
        self.count = count;
    }

    /// One line for each, and one for those that are counted only.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let more = self.count - self.listed.len() as u64;
        let more = (more > 0).then(|| format!("and {more} more"));
        self.listed.iter().cloned().chain(more)
    }
}
