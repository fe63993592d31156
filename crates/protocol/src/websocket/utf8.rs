//! UTF-8 (RFC 6455, section 8.1), in one piece and in pieces cut anywhere.

use simdutf8::{basic, compat};

/// The text in `bytes`, or where its first wrong or unfinished sequence begins.
pub(super) fn validate(bytes: &[u8]) -> Result<&str, usize> {
    basic::from_utf8(bytes).map_err(|_| first_wrong(bytes))
}

/// A text that arrives in pieces. Each byte is validated once, and what is wrong is told with the first byte after
/// which no continuation could make it right.
#[derive(Debug, Default)]
pub(super) struct PartialText {
    text: String,
    cut: CutCharacter,
}

impl PartialText {
    /// Bytes received, those of a cut character included.
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.cut.len()
    }

    /// Heap bytes held.
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Makes room for `additional` bytes, no more.
    pub(super) fn reserve_exact(&mut self, additional: usize) {
        self.text.reserve_exact(additional);
    }

    /// Appends a piece; the error is where in the text the first wrong sequence begins.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> Result<(), usize> {
        while !self.cut.is_empty() {
            let Some((&next, rest)) = piece.split_first() else {
                return Ok(());
            };
            piece = rest;
            self.cut.push(next);
            self.settle_cut()?;
        }
        let (whole, cut) = split_cut_character(piece);
        let whole = validate(whole).map_err(|position| self.text.len() + position)?;
        self.text.push_str(whole);
        for &byte in cut {
            self.cut.push(byte);
        }
        self.settle_cut()
    }

    /// Checks that the text does not end inside a character; the error is where that character begins.
    pub(super) fn finish(&self) -> Result<(), usize> {
        if self.cut.is_empty() {
            Ok(())
        } else {
            Err(self.text.len())
        }
    }

    /// The characters that are complete.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Moves the cut character into the text when it is whole, and fails when it cannot become so.
    fn settle_cut(&mut self) -> Result<(), usize> {
        match std::str::from_utf8(self.cut.as_bytes()) {
            Ok(character) => {
                self.text.push_str(character);
                self.cut = CutCharacter::default();
                Ok(())
            }
            Err(error) if error.error_len().is_none() => Ok(()),
            Err(_) => Err(self.text.len()),
        }
    }
}

/// The first bytes of a character whose rest has not arrived.
#[derive(Debug, Default)]
struct CutCharacter {
    bytes: [u8; 4],
    length: u8,
}

impl CutCharacter {
    fn len(&self) -> usize {
        usize::from(self.length)
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len()]
    }

    /// Appends a byte; there are never more than four, because a sequence of four is either a character or wrong.
    fn push(&mut self, byte: u8) {
        self.bytes[self.len()] = byte;
        self.length += 1;
    }
}

/// Splits off a sequence at the end whose lead byte announces more bytes than are there; at most 3 bytes.
fn split_cut_character(piece: &[u8]) -> (&[u8], &[u8]) {
    let lead = piece
        .iter()
        .rev()
        .take(3)
        .position(|byte| byte & 0b1100_0000 == 0b1100_0000);
    match lead.map(|behind| piece.split_at(piece.len() - 1 - behind)) {
        Some((whole, cut)) if cut.len() < sequence_bytes(cut[0]) => (whole, cut),
        _ => (piece, &[]),
    }
}

/// How many bytes a sequence with this lead byte has; bytes that lead nothing are left to the validation.
fn sequence_bytes(lead: u8) -> usize {
    match lead {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}

#[cold]
fn first_wrong(bytes: &[u8]) -> usize {
    compat::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len)
}

#[cfg(test)]
mod tests {
    use super::{PartialText, validate};
    use proptest::prelude::*;

    /// What the standard library says about the same bytes: the text so far, or where it is wrong for good.
    fn expected(bytes: &[u8]) -> Result<(), usize> {
        match std::str::from_utf8(bytes) {
            Err(error) if error.error_len().is_some() => Err(error.valid_up_to()),
            _ => Ok(()),
        }
    }

    fn pushed_byte_by_byte(bytes: &[u8]) -> Result<PartialText, usize> {
        let mut text = PartialText::default();
        for (at, byte) in bytes.iter().enumerate() {
            text.push(std::slice::from_ref(byte))?;
            assert_eq!(
                expected(&bytes[..=at]),
                Ok(()),
                "wrong since byte {at}, not noticed"
            );
        }
        Ok(text)
    }

    /// Bytes that are often nearly UTF-8.
    fn nearly_text() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            Just(b'a'),
            Just(0x80),
            Just(0xbf),
            Just(0xc0),
            Just(0xc3),
            Just(0xe0),
            Just(0xe2),
            Just(0xed),
            Just(0xf0),
            Just(0xf4),
            any::<u8>()
        ];
        let character = any::<char>().prop_map(|character| character.to_string().into_bytes());
        let piece = prop_oneof![4 => character, 1 => prop::collection::vec(byte, 1..3)];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn pieces_agree_with_the_standard_library(bytes in nearly_text(), cuts in prop::collection::vec(0.0..1.0, 0..4)) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut: &f64| (cut * bytes.len() as f64) as usize).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut text = PartialText::default();
            for ends in cuts.windows(2) {
                let pushed = text.push(&bytes[ends[0]..ends[1]]);
                prop_assert_eq!(pushed, expected(&bytes[..ends[1]]));
                if pushed.is_err() {
                    return Ok(());
                }
            }
            prop_assert_eq!(text.len(), bytes.len());
            let whole = std::str::from_utf8(&bytes).map_err(|error| error.valid_up_to());
            prop_assert_eq!(text.finish().map(|()| text.as_str()), whole);
            prop_assert_eq!(validate(&bytes), whole);
        }

        #[test]
        fn single_bytes_agree_with_the_standard_library(bytes in nearly_text()) {
            let text = pushed_byte_by_byte(&bytes);
            prop_assert_eq!(text.map(|_| ()), expected(&bytes));
        }
    }

    #[test]
    fn every_sequence_of_two_bytes_agrees_with_the_standard_library() {
        for first in 0..=255 {
            for second in 0..=255 {
                let bytes = [first, second];
                let mut whole = PartialText::default();
                assert_eq!(whole.push(&bytes), expected(&bytes), "{bytes:02x?}");
                assert_eq!(
                    pushed_byte_by_byte(&bytes).map(|_| ()),
                    expected(&bytes),
                    "{bytes:02x?}"
                );
            }
        }
    }
}
