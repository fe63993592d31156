//! Patterns of channels, as Centrifugo has them: `*` and `**` stand for any characters, `?` for one, `[a-z]` and `[!abc]` for one of
//! a set or not of it, `{news,chat:*}` for one of several patterns; `\` takes the meaning away from what follows.
//!
//! A pattern becomes a small machine whose states are looked at side by side, so that a name costs its length times that of
//! the pattern whatever the pattern is.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// A pattern that was read.
#[derive(Debug)]
pub(super) struct Glob {
    steps: Vec<Step>,
}

/// A step of the machine. It goes on with the next one, where it does not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Takes this character.
    Literal(char),
    /// Takes any character.
    Any,
    /// Takes a character of the ranges, or not of them.
    Set {
        ranges: Vec<(char, char)>,
        is_negated: bool,
    },
    /// Takes any number of characters.
    Many,
    /// Goes on at any of these.
    Fork(Vec<usize>),
    /// Goes on there.
    Jump(usize),
}

/// Why a pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GlobError {
    TooLong { bytes: usize },
    Open(char),
    Unopened,
    Nothing,
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(f, "it is {bytes} bytes, limit is {PATTERN_BYTES_MAX}"),
            Self::Open(bracket) => write!(
                f,
                "`{bracket}` is not closed, close it, or write `\\{bracket}` for the character"
            ),
            Self::Unopened => f.write_str("`}` closes nothing, write `\\}` for the character"),
            Self::Nothing => f.write_str("`\\` is the last character, write `\\\\` for the character"),
        }
    }
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It is too long, or a bracket or backslash in it is alone.
    pub(super) fn parse(pattern: &str) -> Result<Self, GlobError> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(GlobError::TooLong { bytes: pattern.len() });
        }
        let mut reader = Reader {
            rest: pattern.chars().peekable(),
            steps: Vec::new(),
        };
        match reader.read_part(0)? {
            None => Ok(Self { steps: reader.steps }),
            Some(_) => Err(GlobError::Unopened),
        }
    }

    /// Whether a name fits as a whole.
    pub(super) fn matches(&self, name: &str) -> bool {
        let mut states = vec![false; self.steps.len() + 1];
        self.enter(&mut states, 0);
        for character in name.chars() {
            let mut after = vec![false; states.len()];
            for (at, step) in self.steps.iter().enumerate().filter(|(at, _)| states[*at]) {
                match step {
                    Step::Many => self.enter(&mut after, at),
                    step if step.takes(character) => self.enter(&mut after, at + 1),
                    _ => {}
                }
            }
            states = after;
        }
        states[self.steps.len()]
    }

    /// Is in a state, and in those that it leads to without a character.
    fn enter(&self, states: &mut [bool], at: usize) {
        if std::mem::replace(&mut states[at], true) {
            return;
        }
        match self.steps.get(at) {
            Some(Step::Many) => self.enter(states, at + 1),
            Some(Step::Jump(to)) => self.enter(states, *to),
            Some(Step::Fork(branches)) => branches.iter().for_each(|&branch| self.enter(states, branch)),
            _ => {}
        }
    }
}

impl Step {
    fn takes(&self, character: char) -> bool {
        match self {
            Self::Literal(own) => *own == character,
            Self::Any => true,
            Self::Set { ranges, is_negated } => {
                let is_in = ranges
                    .iter()
                    .any(|(low, high)| (low..=high).contains(&&character));
                is_in != *is_negated
            }
            Self::Many | Self::Fork(_) | Self::Jump(_) => false,
        }
    }
}

/// Where a pattern is read.
struct Reader<'p> {
    rest: Peekable<Chars<'p>>,
    steps: Vec<Step>,
}

impl Reader<'_> {
    /// Reads up to the end, or to what ends a part of so many braces, which is given.
    fn read_part(&mut self, depth: usize) -> Result<Option<char>, GlobError> {
        while let Some(character) = self.rest.next() {
            let step = match character {
                '*' => Step::Many,
                '?' => Step::Any,
                '[' => self.read_set()?,
                '{' => {
                    self.read_parts(depth + 1)?;
                    continue;
                }
                '}' => return Ok(Some('}')),
                ',' if depth > 0 => return Ok(Some(',')),
                '\\' => Step::Literal(self.rest.next().ok_or(GlobError::Nothing)?),
                literal => Step::Literal(literal),
            };
            self.steps.push(step);
        }
        Ok(None)
    }

    /// Reads the parts behind a `{`: a fork to each, and behind each a jump to the end of all.
    fn read_parts(&mut self, depth: usize) -> Result<(), GlobError> {
        let fork = self.steps.len();
        self.steps.push(Step::Fork(Vec::new()));
        let (mut branches, mut jumps) = (Vec::new(), Vec::new());
        loop {
            branches.push(self.steps.len());
            let end = self.read_part(depth)?.ok_or(GlobError::Open('{'))?;
            jumps.push(self.steps.len());
            self.steps.push(Step::Jump(0));
            if end == '}' {
                break;
            }
        }
        let end = self.steps.len();
        for jump in jumps {
            self.steps[jump] = Step::Jump(end);
        }
        self.steps[fork] = Step::Fork(branches);
        Ok(())
    }

    /// Reads the set behind a `[`.
    fn read_set(&mut self) -> Result<Step, GlobError> {
        let is_negated = self.rest.next_if_eq(&'!').is_some();
        let mut ranges = Vec::new();
        loop {
            let low = match self.rest.next().ok_or(GlobError::Open('['))? {
                ']' => return Ok(Step::Set { ranges, is_negated }),
                '\\' => self.rest.next().ok_or(GlobError::Open('['))?,
                low => low,
            };
            let is_range = self.rest.next_if_eq(&'-').is_some();
            match self.rest.peek() {
                Some(&high) if is_range && high != ']' => {
                    self.rest.next();
                    ranges.push((low, high));
                }
                _ if is_range => ranges.extend([(low, low), ('-', '-')]),
                _ => ranges.push((low, low)),
            }
        }
    }
}

/// The longest pattern: no name of a topic is longer.
const PATTERN_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_name_fits_as_a_whole() {
        for (pattern, fits, does_not) in [
            ("news", &["news"][..], &["new", "newss", "", "News"][..]),
            ("*", &["", "a", "a:b", "聊天室"], &[]),
            ("chat:*", &["chat:", "chat:1", "chat:1:2"], &["chat", "chats:1"]),
            ("*:index", &["chat:index", ":index"], &["chat:index:1"]),
            ("a*b*c", &["abc", "aXbXc", "abbc"], &["ab", "acb"]),
            ("**", &["a:b"], &[]),
            ("r?om", &["room", "r:om", "r聊om"], &["rom", "rooom"]),
            ("[a-c]1", &["a1", "c1"], &["d1", "1", "aa1"]),
            ("[!a-c]1", &["d1", "聊1"], &["a1", "1"]),
            ("[a-]", &["a", "-"], &["b"]),
            ("[ab]", &["a", "b"], &["ab"]),
            (
                "{news,chat:*}",
                &["news", "chat:1"],
                &["newschat:", "news,chat:1"],
            ),
            ("a{b,{c,d}e}f", &["abf", "acef", "adef"], &["af", "acf", "abef"]),
            ("a{,b}c", &["ac", "abc"], &["abbc"]),
            ("a,b", &["a,b"], &["a", "b"]),
            (r"\*\{", &["*{"], &["a{"]),
            ("]", &["]"], &[""]),
        ] {
            for name in fits {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in does_not {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_told_why() {
        for (pattern, error) in [
            ("{a", GlobError::Open('{')),
            ("{a,{b}", GlobError::Open('{')),
            ("[a", GlobError::Open('[')),
            ("[", GlobError::Open('[')),
            (r"[\", GlobError::Open('[')),
            ("a}", GlobError::Unopened),
            ("a\\", GlobError::Nothing),
        ] {
            assert_eq!(Glob::parse(pattern).err(), Some(error), "{pattern}");
        }
        let long = "a".repeat(256);
        assert_eq!(Glob::parse(&long).err(), Some(GlobError::TooLong { bytes: 256 }));
    }

    #[test]
    fn patterns_that_mean_harm_cost_no_more_than_others() {
        let stars = "a*".repeat(120);
        assert!(!matches(&stars, &"a".repeat(255).replace('a', "b")));
        assert!(!matches(&format!("{stars}b"), &"a".repeat(255)));
        let forks = "{a,a}".repeat(50);
        assert!(matches(&forks, &"a".repeat(50)));
        assert!(!matches(&forks, &"a".repeat(51)));
        let nested = format!("{}{}", "{".repeat(100), "}".repeat(100));
        assert!(matches(&nested, ""));
    }
}
