//! Deltas in the format of Fossil: how a payload is made out of the one before it.
//!
//! ```text
//! length of the target, line feed │ commands │ checksum of the target, `;`
//! copy:   length `@` offset in the source `,`
//! insert: length `:` that many bytes
//! ```
//!
//! Numbers are written in base 64, the highest digit first (<https://fossil-scm.org/home/doc/tip/www/delta_format.wiki>).
//! The delta of a text is a text: no character is cut in two, so it can travel in a JSON string.

/// Bytes that must be equal for a copy to be looked for.
const WINDOW: usize = 16;

/// Places of the source with the same hash that are tried, so that repetitive sources cost no more than others.
const TRIES_MAX: usize = 64;

/// The longest source and target. Beyond, nothing can be said about their places in 32 bits.
const BYTES_MAX: usize = u32::MAX as usize;

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// The delta that makes `target` out of `source`; none where it would not be shorter than `target` itself. Costs one pass
/// over both, and 8 bytes of memory for every 16 of the source.
pub fn delta(source: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    if source.len() > BYTES_MAX || target.len() > BYTES_MAX {
        return None;
    }
    let mut delta = Delta::new(target);
    if source.len() > WINDOW {
        delta.look_through(source, &Places::of(source));
    }
    delta.finish()
}

/// A delta that is being made.
struct Delta<'a> {
    target: &'a [u8],
    /// Up to where the target can be made already.
    done: usize,
    bytes: Vec<u8>,
}

/// Equal bytes.
#[derive(Clone, Copy)]
struct Match {
    /// Where they begin in the source.
    from: usize,
    /// Where they begin in the target.
    at: usize,
    length: usize,
}

impl<'a> Delta<'a> {
    fn new(target: &'a [u8]) -> Self {
        let mut bytes = Vec::with_capacity(target.len() / 2);
        put_number(target.len(), &mut bytes);
        bytes.push(b'\n');
        Self {
            target,
            done: 0,
            bytes,
        }
    }

    /// Copies what the source has, and inserts what it has not. What is left at the end has no equal.
    fn look_through(&mut self, source: &[u8], places: &Places) {
        let target = self.target;
        let mut at = 0;
        let mut hash = Hash::of(target);
        while let Some(here) = hash {
            if let Some(found) = self.longest(source, places.with(here), at) {
                self.insert(found.at);
                self.copy(found);
                at = self.done;
                hash = target.get(at..).and_then(Hash::of);
            } else {
                hash = target.get(at + WINDOW).map(|next| here.rolled(target[at], *next));
                at += 1;
            }
            if self.bytes.len() >= target.len() {
                return;
            }
        }
    }

    /// The longest match of the window at a place that is worth a command.
    fn longest(&self, source: &[u8], places: impl Iterator<Item = usize>, at: usize) -> Option<Match> {
        let matches = places.filter_map(|from| self.match_at(source, from, at));
        matches.max_by_key(|found| found.length)
    }

    /// What is equal around two places, in whole characters.
    fn match_at(&self, source: &[u8], from: usize, at: usize) -> Option<Match> {
        let ahead = common(source[from..].iter().zip(&self.target[at..]));
        if ahead < WINDOW {
            return None;
        }
        let undone = &self.target[self.done..at];
        let behind = common(source[..from].iter().rev().zip(undone.iter().rev()));
        let (mut from, mut at, end) = (from - behind, at - behind, at + ahead);
        let cut = self.target[at..end]
            .iter()
            .take_while(|byte| is_inside(**byte))
            .count();
        (from, at) = (from + cut, at + cut);
        let is_cut = |end: &usize| self.target.get(*end).is_none_or(|byte| !is_inside(*byte));
        let end = (at..=end).rev().find(is_cut)?;
        let length = end - at;
        let cost = digits(length) + digits(from) + digits(at - self.done) + 3;
        (length > cost).then_some(Match { from, at, length })
    }

    /// Inserts everything before a place of the target.
    fn insert(&mut self, end: usize) {
        let literal = &self.target[self.done..end];
        if !literal.is_empty() {
            put_number(literal.len(), &mut self.bytes);
            self.bytes.push(b':');
            self.bytes.extend_from_slice(literal);
            self.done = end;
        }
    }

    fn copy(&mut self, found: Match) {
        put_number(found.length, &mut self.bytes);
        self.bytes.push(b'@');
        put_number(found.from, &mut self.bytes);
        self.bytes.push(b',');
        self.done = found.at + found.length;
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        self.insert(self.target.len());
        put_number(checksum(self.target) as usize, &mut self.bytes);
        self.bytes.push(b';');
        (self.bytes.len() < self.target.len()).then_some(self.bytes)
    }
}

/// How many pairs are equal, from the first on.
fn common<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> usize {
    pairs.take_while(|(left, right)| left == right).count()
}

/// Whether a byte of UTF-8 goes on with a character that began before it.
fn is_inside(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// The places of a source that a copy can be found by: every sixteenth, by the hash of what follows.
struct Places {
    /// The last place of every hash, one more than it is; 0 for none.
    last: Vec<u32>,
    /// The place before, of every place.
    before: Vec<u32>,
}

impl Places {
    fn of(source: &[u8]) -> Self {
        let windows = source.chunks_exact(WINDOW);
        let mut places = Self {
            last: vec![0; windows.len().next_power_of_two()],
            before: Vec::with_capacity(windows.len()),
        };
        for (place, hash) in windows.filter_map(Hash::of).enumerate() {
            let row = places.row(hash);
            places.before.push(places.last[row]);
            places.last[row] = place as u32 + 1;
        }
        places
    }

    fn row(&self, hash: Hash) -> usize {
        hash.value() as usize & (self.last.len() - 1)
    }

    /// Where in the source there may be what has this hash.
    fn with(&self, hash: Hash) -> impl Iterator<Item = usize> {
        let first = self.last[self.row(hash)];
        let places = std::iter::successors(Some(first), |place| {
            let place = place.checked_sub(1)?;
            self.before.get(place as usize).copied()
        });
        let places = places.map_while(|place| place.checked_sub(1));
        places.take(TRIES_MAX).map(|place| place as usize * WINDOW)
    }
}

/// A hash of a window that can be moved by one byte.
#[derive(Clone, Copy)]
struct Hash {
    sum: u16,
    weighted: u16,
}

impl Hash {
    /// That of the first window; none where there is none.
    fn of(bytes: &[u8]) -> Option<Self> {
        let window: &[u8; WINDOW] = bytes.first_chunk()?;
        let mut hash = Self { sum: 0, weighted: 0 };
        for &byte in window {
            hash.sum = hash.sum.wrapping_add(byte.into());
            hash.weighted = hash.weighted.wrapping_add(hash.sum);
        }
        Some(hash)
    }

    /// That of the next window.
    fn rolled(self, first: u8, next: u8) -> Self {
        let sum = self.sum.wrapping_sub(first.into()).wrapping_add(next.into());
        let gone = u16::from(first).wrapping_mul(WINDOW as u16);
        Self {
            sum,
            weighted: self.weighted.wrapping_sub(gone).wrapping_add(sum),
        }
    }

    fn value(self) -> u32 {
        // Rows are few, and the low bits of a sum of similar bytes hardly differ.
        let both = u32::from(self.sum) | (u32::from(self.weighted) << 16);
        both.wrapping_mul(0x9E37_79B1) >> 7
    }
}

/// How many digits a number has.
fn digits(number: usize) -> usize {
    let bits = usize::BITS - number.leading_zeros();
    bits.div_ceil(6).max(1) as usize
}

fn put_number(number: usize, bytes: &mut Vec<u8>) {
    let digit = |place: usize| DIGITS[(number >> (6 * place)) & 63];
    bytes.extend((0..digits(number)).rev().map(digit));
}

/// The sum of its big-endian words of 32 bits, the last one filled up with zeros.
fn checksum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(4).map(|chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        u32::from_be_bytes(word)
    });
    words.fold(0, u32::wrapping_add)
}

/// Why a delta cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// It is none.
    #[error("this is no delta in the format of Fossil")]
    Malformed,
    /// It is one of another source.
    #[error("the delta does not belong to this source")]
    Source,
}

/// What a client makes of a delta: the target.
///
/// # Errors
/// It is no delta, or one of another source.
pub fn apply(source: &[u8], delta: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let mut rest = delta;
    let (length, end) = take_number(&mut rest)?;
    if end != b'\n' {
        return Err(DeltaError::Malformed);
    }
    let mut target = Vec::new();
    loop {
        let (number, command) = take_number(&mut rest)?;
        match command {
            b'@' => {
                let (from, end) = take_number(&mut rest)?;
                let range = from.checked_add(number).and_then(|end| source.get(from..end));
                let copied = range.filter(|_| end == b',').ok_or(DeltaError::Source)?;
                target.extend_from_slice(copied);
            }
            b':' => {
                let (literal, behind) = rest.split_at_checked(number).ok_or(DeltaError::Malformed)?;
                target.extend_from_slice(literal);
                rest = behind;
            }
            b';' => {
                let is_whole = target.len() == length && checksum(&target) as usize == number;
                return is_whole.then_some(target).ok_or(DeltaError::Source);
            }
            _ => return Err(DeltaError::Malformed),
        }
        if target.len() > length {
            return Err(DeltaError::Malformed);
        }
    }
}

/// A number, and the byte behind it.
fn take_number(bytes: &mut &[u8]) -> Result<(usize, u8), DeltaError> {
    let mut number: usize = 0;
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        let Some(digit) = DIGITS.iter().position(|digit| *digit == byte) else {
            return Ok((number, byte));
        };
        number = number.checked_mul(64).ok_or(DeltaError::Malformed)? | digit;
    }
    Err(DeltaError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(source: &[u8], target: &[u8]) -> Option<Vec<u8>> {
        let delta = delta(source, target)?;
        assert!(delta.len() < target.len());
        assert_eq!(apply(source, &delta).as_deref(), Ok(target));
        if std::str::from_utf8(target).is_ok() {
            assert!(
                std::str::from_utf8(&delta).is_ok(),
                "the delta of a text is a text"
            );
        }
        Some(delta)
    }

    #[test]
    fn a_small_change_is_a_small_delta() {
        let source = br#"{"symbol":"ACME","bid":100.25,"ask":100.50,"volume":120000,"venue":"XNYS"}"#;
        let target = br#"{"symbol":"ACME","bid":100.26,"ask":100.50,"volume":120100,"venue":"XNYS"}"#;
        let delta = check(source, target).unwrap();
        assert!(
            delta.len() < target.len() * 2 / 3,
            "{}",
            String::from_utf8_lossy(&delta)
        );
    }

    /// Written by hand after the format's page.
    #[test]
    fn a_delta_is_read_as_the_format_says() {
        let source = b"0123456789ABCDEFGHIJ";
        let delta = [b"H\n4@0,3:xyzA@A,".as_slice(), &sum(b"0123xyzABCDEFGHIJ")].concat();
        assert_eq!(
            apply(source, &delta).as_deref(),
            Ok(b"0123xyzABCDEFGHIJ".as_slice())
        );
        assert_eq!(apply(b"short", &delta), Err(DeltaError::Source));
        assert_eq!(apply(source, b"H\n4#0,"), Err(DeltaError::Malformed));
        assert_eq!(apply(source, b""), Err(DeltaError::Malformed));
    }

    fn sum(target: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_number(checksum(target) as usize, &mut bytes);
        bytes.push(b';');
        bytes
    }

    #[test]
    fn what_has_nothing_in_common_has_no_delta() {
        assert_eq!(delta(b"", b"something else that is quite long"), None);
        assert_eq!(delta(&[1; 100], &[2; 100]), None);
        assert_eq!(delta(b"anything at all, longer than a window", b""), None);
    }

    #[test]
    fn no_character_is_cut_in_two() {
        let source = "ääääääääääääääääääääöööööööööööööööööööö";
        let target = "ääääääääääääääääääääüüöööööööööööööööööööö";
        check(source.as_bytes(), target.as_bytes()).unwrap();
    }

    #[test]
    fn numbers_have_the_digits_of_the_format() {
        for (number, text) in [(0, "0"), (63, "~"), (64, "10"), (4_095, "~~"), (4_096, "100")] {
            let mut bytes = Vec::new();
            put_number(number, &mut bytes);
            assert_eq!(bytes, text.as_bytes());
            assert_eq!(digits(number), text.len());
        }
    }

    proptest! {
        #[test]
        fn a_rolled_hash_is_the_hash(bytes in proptest::collection::vec(any::<u8>(), WINDOW + 1)) {
            let rolled = Hash::of(&bytes).unwrap().rolled(bytes[0], bytes[WINDOW]);
            prop_assert_eq!(rolled.value(), Hash::of(&bytes[1..]).unwrap().value());
        }

        #[test]
        fn every_delta_gives_its_target(
            source in "[a-cä€]{0,200}",
            cuts in proptest::collection::vec((0.0..1.0, "[a-cä]{0,20}"), 0..6),
        ) {
            let mut target = source.clone();
            for (place, text) in cuts {
                let place = (place * target.len() as f64) as usize;
                let place = target.floor_char_boundary(place);
                target.insert_str(place, &text);
            }
            check(source.as_bytes(), target.as_bytes());
        }

        #[test]
        fn any_bytes_are_a_delta_or_none(
            source in proptest::collection::vec(any::<u8>(), 0..50),
            delta in "[0-9A-C]{0,3}\n([0-9A-C]{1,2}[@:][0-9a-c,]{0,6}){0,4}[0-9]{0,3};?",
        ) {
            let _ = apply(&source, delta.as_bytes());
        }
    }
}
