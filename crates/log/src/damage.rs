//! What was found to be wrong with the files of a log.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Where it begins in the file.
    pub at: u64,
    /// How many bytes it concerns.
    pub bytes: u64,
    /// The topic, as far as it is known.
    pub topic: Option<Arc<str>>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.bytes > 0 {
            write!(f, ": {} bytes at {}", self.bytes, self.at)?;
        }
        if let Some(topic) = &self.topic {
            write!(f, ", topic {topic}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// All that was found, counted, and the first of it in detail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damages {
    /// The first [`Damages::LISTED_MAX`].
    pub listed: Vec<Damage>,
    /// How many there are.
    pub count: u64,
}

impl Damages {
    /// How many are described. More are counted only.
    pub const LISTED_MAX: usize = 1_000;

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn add(&mut self, file: &str, within: Range<u64>, what: impl fmt::Display) {
        self.push(Damage {
            file: file.to_owned(),
            at: within.start,
            bytes: within.end.saturating_sub(within.start),
            topic: None,
            what: what.to_string(),
        });
    }

    pub(crate) fn push(&mut self, damage: Damage) {
        self.count += 1;
        if self.listed.len() < Self::LISTED_MAX {
            self.listed.push(damage);
        }
    }
}
