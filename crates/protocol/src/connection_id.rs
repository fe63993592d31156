//! Connection ids.

use std::fmt;
use std::str::FromStr;

/// The most shards that a connection id can name.
pub const SHARDS_MAX: usize = 1 << 8;

/// The most connections of one shard that a connection id can name.
pub const SLOTS_MAX: usize = 1 << 24;

/// The id of a connection, written as 16 hexadecimal digits.
///
/// It says where the connection lives (8 bits of shard, 24 bits of slot), so that finding it needs no shared map, and
/// carries a 32-bit nonce, so that the next connection in the same slot is another one. It is a name, not a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// The id of the connection in `slot` of `shard`. Bits beyond [`SHARDS_MAX`] and [`SLOTS_MAX`] are cut off.
    pub fn new(shard: usize, slot: usize, nonce: u32) -> Self {
        let shard = (shard % SHARDS_MAX) as u64;
        let slot = (slot % SLOTS_MAX) as u64;
        Self(shard << 56 | slot << 32 | u64::from(nonce))
    }

    /// The id as a number, for a place that holds nothing else.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The id of [`ConnectionId::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The shard that the connection lives in.
    pub fn shard(self) -> usize {
        (self.0 >> 56) as usize
    }

    /// What tells it from other connections that had its slot.
    pub fn nonce(self) -> u32 {
        self.0 as u32
    }

    /// The slot within the shard.
    pub fn slot(self) -> usize {
        (self.0 >> 32) as usize % SLOTS_MAX
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a connection id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "connection id is not 16 lower-case hexadecimal digits, take it as `welcome` or the list of connections gave it"
)]
pub struct ConnectionIdError;

impl FromStr for ConnectionId {
    type Err = ConnectionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(is_digit) {
            return Err(ConnectionIdError);
        }
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| ConnectionIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_where_its_connection_lives() {
        let id = ConnectionId::new(3, 70_000, 0xdead_beef);
        assert_eq!((id.shard(), id.slot()), (3, 70_000));
        assert_eq!(format!("{id} {id:?}"), "03011170deadbeef 03011170deadbeef");
        assert_eq!("03011170deadbeef".parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "3",
            "03011170DEADBEEF",
            "+3011170deadbeef",
            "03011170deadbeef0",
            "03011170deadbee ",
            "é",
        ] {
            assert_eq!(text.parse::<ConnectionId>(), Err(ConnectionIdError), "{text:?}");
        }
    }
}
