//! Masking (RFC 6455, section 5.3): the exclusive or of a payload with a repeated key of four bytes.

/// A masking key, turned to the byte that is next in the payload.
///
/// A payload may arrive in pieces of any size: applying the mask to one piece after the other gives what applying it
/// to the whole would have given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mask {
    key: [u8; 4],
}

impl Mask {
    /// The mask at the beginning of a payload.
    pub(super) fn new(key: [u8; 4]) -> Self {
        Self { key }
    }

    /// Masks or unmasks the next piece of the payload in place; doing either twice undoes it.
    pub(super) fn apply(&mut self, piece: &mut [u8]) {
        let [a, b, c, d] = self.key;
        let key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = piece.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(self.key.into_iter().cycle()) {
            *byte ^= key;
        }
        self.key.rotate_left(piece.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn masked_byte_by_byte(payload: &[u8]) -> Vec<u8> {
        payload
            .iter()
            .enumerate()
            .map(|(at, byte)| byte ^ KEY[at % 4])
            .collect()
    }

    #[test]
    fn every_length_is_masked_like_the_rfc_says() {
        for length in 0..70 {
            let mut payload: Vec<u8> = (0..length).collect();
            let expected = masked_byte_by_byte(&payload);
            Mask::new(KEY).apply(&mut payload);
            assert_eq!(payload, expected);
        }
    }

    #[test]
    fn pieces_are_masked_like_the_whole() {
        let whole: Vec<u8> = (0..50).collect();
        let expected = masked_byte_by_byte(&whole);
        for first in 0..=whole.len() {
            for second in first..=whole.len() {
                let mut payload = whole.clone();
                let mut mask = Mask::new(KEY);
                mask.apply(&mut payload[..first]);
                mask.apply(&mut payload[first..second]);
                mask.apply(&mut payload[second..]);
                assert_eq!(payload, expected, "cut at {first} and {second}");
            }
        }
    }
}
