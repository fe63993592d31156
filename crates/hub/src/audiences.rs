//! The members of a topic, by what they are sent.

use std::ops::{Index, IndexMut};

use fanfare_protocol::Format;

use crate::session::{AUDIENCES, PACED, SILENT};
use crate::topic::Member;

/// A row of members for each audience: one per [`Format`] at its index, then those that [`crate::session`] names. Most topics
/// have members of few formats, so the rows of rarely spoken ones are made when they are first needed, and kept.
#[derive(Default)]
pub(crate) struct Audiences {
    usual: [Vec<Member>; USUAL],
    rare: Option<Box<[Vec<Member>; RARE]>>,
}

/// Formats whose rows every topic has: of WebSockets, and of server-sent events.
const USUAL_FORMATS: usize = 9;

const RARE: usize = Format::ALL.len() - USUAL_FORMATS;

const USUAL: usize = AUDIENCES - RARE;

static NOBODY: Vec<Member> = Vec::new();

impl Audiences {
    /// The formats in which there may be members.
    pub(crate) fn formats(&self) -> &'static [Format] {
        const ALL: &[Format] = &Format::ALL;
        match self.rare {
            Some(_) => ALL,
            None => &ALL[..USUAL_FORMATS],
        }
    }

    /// Every member that receives.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = &Member> {
        self.rows_below(SILENT).flatten()
    }

    /// How many receive.
    pub(crate) fn receiver_count(&self) -> usize {
        self.rows_below(SILENT).map(Vec::len).sum()
    }

    /// Whether there is no member.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows_below(AUDIENCES).all(Vec::is_empty)
    }

    /// Every member.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.rows_below(AUDIENCES).flatten()
    }

    fn rows_below(&self, end: usize) -> impl Iterator<Item = &Vec<Member>> {
        (0..end).map(|audience| &self[audience])
    }
}

/// Where the row of an audience is.
enum Row {
    Usual(usize),
    Rare(usize),
}

fn row_of(audience: usize) -> Row {
    if audience < USUAL_FORMATS {
        Row::Usual(audience)
    } else if audience < PACED {
        Row::Rare(audience - USUAL_FORMATS)
    } else {
        Row::Usual(audience - RARE)
    }
}

impl Index<usize> for Audiences {
    type Output = Vec<Member>;

    fn index(&self, audience: usize) -> &Vec<Member> {
        match row_of(audience) {
            Row::Usual(at) => &self.usual[at],
            Row::Rare(at) => self.rare.as_ref().map_or(&NOBODY, |rare| &rare[at]),
        }
    }
}

impl IndexMut<usize> for Audiences {
    fn index_mut(&mut self, audience: usize) -> &mut Vec<Member> {
        match row_of(audience) {
            Row::Usual(at) => &mut self.usual[at],
            Row::Rare(at) => &mut self.rare.get_or_insert_default()[at],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Wants;

    #[test]
    fn every_audience_has_a_row_of_its_own() {
        let mut audiences = Audiences::default();
        for audience in 0..AUDIENCES {
            assert!(audiences[audience].is_empty());
            audiences[audience].push(Member::new(audience, Wants::default()));
        }
        for audience in 0..AUDIENCES {
            assert_eq!(audiences[audience], [Member::new(audience, Wants::default())]);
        }
        assert_eq!(audiences.receivers().count(), SILENT);
        assert_eq!(audiences.receiver_count(), SILENT);
        assert_eq!(audiences.members().count(), AUDIENCES);
    }

    #[test]
    fn rows_of_rare_formats_cost_nothing_before_they_are_needed() {
        let mut audiences = Audiences::default();
        assert!(audiences.is_empty() && audiences.rare.is_none());
        for (at, format) in Format::ALL.iter().enumerate() {
            audiences[at].push(Member::new(at, Wants::default()));
            assert!(audiences.formats().contains(format));
            assert_eq!(audiences.rare.is_some(), at >= USUAL_FORMATS);
        }
    }
}
