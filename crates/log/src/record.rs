//! One record as it stands in a segment file.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 4 | length: bytes from `kind` to the end of the body |
//! | 4 | 4 | CRC-32 (IEEE) of the length's four bytes and of everything from `kind` on |
//! | 8 | 1 | kind |
//! | 9 | 1 | length of the topic's name |
//! | 10 | 4 | bytes of this file that were durable when the record was written |
//! | 14 | 8 | epoch |
//! | 22 | 8 | offset |
//! | 30 | 8 | time, milliseconds since 1970 |
//! | 38 | | the topic's name, then the body |
//!
//! Numbers are little-endian. Nothing is read from a record whose checksum is wrong, and nothing is allocated for a
//! length that it announces.

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A publication of the topic, at this offset.
    Publication = 1,
    /// The topic is in this epoch and has nothing before this offset any more. The body is the offset of the last
    /// publication it had, in 8 bytes.
    Floor = 2,
    /// The file has no further records: `offset` of them came before. Its epoch is the number of the segment. What
    /// follows is the footer.
    Seal = 3,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Publication),
            2 => Some(Self::Floor),
            3 => Some(Self::Seal),
            _ => None,
        }
    }
}

/// A record, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) durable: u32,
    pub(crate) epoch: u64,
    pub(crate) offset: u64,
    pub(crate) time_ms: u64,
    pub(crate) topic: &'a str,
    pub(crate) body: &'a [u8],
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Bad {
    #[error("the file ends within a record")]
    Short,
    #[error("a length that no record has")]
    Length,
    #[error("the checksum is wrong")]
    Checksum,
    #[error("a kind of record that this version does not know")]
    Kind,
    #[error("a topic that no record has")]
    Topic,
}

/// How many bytes a record has, its length and checksum included.
pub(crate) fn bytes_of(topic: &str, body: usize) -> usize {
    HEAD_BYTES + topic.len() + body
}

/// Puts a record behind what is in `out`. The caller has checked that it is not too long.
pub(crate) fn encode(record: &Record<'_>, out: &mut Vec<u8>) {
    let begin = out.len();
    let length = (HEAD_BYTES - PREFIX_BYTES + record.topic.len() + record.body.len()) as u32;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(record.kind as u8);
    out.push(record.topic.len() as u8);
    out.extend_from_slice(&record.durable.to_le_bytes());
    out.extend_from_slice(&record.epoch.to_le_bytes());
    out.extend_from_slice(&record.offset.to_le_bytes());
    out.extend_from_slice(&record.time_ms.to_le_bytes());
    out.extend_from_slice(record.topic.as_bytes());
    out.extend_from_slice(record.body);
    let sum = checksum(&out[begin..]);
    out[begin + 4..begin + 8].copy_from_slice(&sum.to_le_bytes());
}

/// The record that `bytes` begin with. It is `8 + length` bytes long.
pub(crate) fn decode(bytes: &[u8], bytes_max: u32) -> Result<Record<'_>, Bad> {
    let size = announced(bytes, bytes_max)?;
    let bytes = bytes.get(..size).ok_or(Bad::Short)?;
    if u32_at(bytes, 4) != checksum(bytes) {
        return Err(Bad::Checksum);
    }
    let kind = Kind::of(bytes[8]).ok_or(Bad::Kind)?;
    let topic_end = HEAD_BYTES + usize::from(bytes[9]);
    let topic = bytes.get(HEAD_BYTES..topic_end).ok_or(Bad::Topic)?;
    let topic = std::str::from_utf8(topic).map_err(|_| Bad::Topic)?;
    if topic.is_empty() != (kind == Kind::Seal) {
        return Err(Bad::Topic);
    }
    Ok(Record {
        kind,
        durable: u32_at(bytes, 10),
        epoch: u64_at(bytes, 14),
        offset: u64_at(bytes, 22),
        time_ms: u64_at(bytes, 30),
        topic,
        body: &bytes[topic_end..],
    })
}

/// How many bytes the record has that `bytes` begin with, if one can be so long.
pub(crate) fn announced(bytes: &[u8], bytes_max: u32) -> Result<usize, Bad> {
    if bytes.len() < PREFIX_BYTES {
        return Err(Bad::Short);
    }
    let size = u64::from(u32_at(bytes, 0)) + PREFIX_BYTES as u64;
    if size < HEAD_BYTES as u64 || size > u64::from(bytes_max) {
        return Err(Bad::Length);
    }
    Ok(size as usize)
}

/// The length of the record that could begin here, by what can be seen without its checksum.
pub(crate) fn plausible(bytes: &[u8], bytes_max: u32) -> Option<usize> {
    let size = announced(bytes, bytes_max).ok()?;
    let is_plausible =
        bytes.len() >= 10 && Kind::of(bytes[8]).is_some() && HEAD_BYTES + usize::from(bytes[9]) <= size;
    is_plausible.then_some(size)
}

fn checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..4]);
    hasher.update(&record[8..]);
    hasher.finalize()
}

/// The number at `at`, which the caller has seen to be there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// The number at `at`, which the caller has seen to be there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

/// Length and checksum.
pub(crate) const PREFIX_BYTES: usize = 8;

/// Everything before the topic's name.
pub(crate) const HEAD_BYTES: usize = 38;

/// No publication has an offset so high. Whoever says so has not counted to it.
pub(crate) const OFFSET_END: u64 = 1 << 63;

/// The body of a floor.
pub(crate) const FLOOR_BODY_BYTES: usize = 8;

/// The longest name of a topic.
pub(crate) const TOPIC_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> Record<'static> {
        Record {
            kind: Kind::Publication,
            durable: 24,
            epoch: 0x0102_0304_0506_0708,
            offset: 7,
            time_ms: 1_767_225_600_000,
            topic: "room",
            body: b"hello",
        }
    }

    /// The example of docs/storage.md.
    #[test]
    fn the_documented_example_is_what_is_written() {
        let mut bytes = Vec::new();
        encode(&example(), &mut bytes);
        let page = include_str!("../../../docs/storage.md");
        let (_, example) = page.split_once("```hex\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let documented: Vec<u8> = example
            .lines()
            .flat_map(|line| line.split("  ").next().unwrap().split(' '))
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        assert_eq!(documented, bytes, "{bytes:02x?}");
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(decode(&[0; 64], 4_096), Err(Bad::Length));
    }

    #[test]
    fn a_kind_of_a_later_version_is_told_from_a_damaged_record() {
        let mut bytes = Vec::new();
        encode(&example(), &mut bytes);
        bytes[8] = 9;
        assert_eq!(decode(&bytes, 4_096), Err(Bad::Checksum));
        let sum = checksum(&bytes);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(decode(&bytes, 4_096), Err(Bad::Kind));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let mut bytes = Vec::new();
        encode(&example(), &mut bytes);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped, 4_096).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            durable: u32, epoch: u64, offset: u64, time_ms: u64,
            topic in "\\PC{1,60}", body: Vec<u8>, floor: bool,
        ) {
            let kind = if floor { Kind::Floor } else { Kind::Publication };
            let record = Record { kind, durable, epoch, offset, time_ms, topic: &topic, body: &body };
            let mut bytes = Vec::new();
            encode(&record, &mut bytes);
            prop_assert_eq!(bytes.len(), bytes_of(&topic, body.len()));
            prop_assert_eq!(decode(&bytes, u32::MAX), Ok(record));
            bytes.pop();
            prop_assert_eq!(decode(&bytes, u32::MAX), Err(Bad::Short));
        }

        #[test]
        fn any_bytes_are_a_record_or_not(bytes: Vec<u8>) {
            let _ = decode(&bytes, 4_096);
            let _ = plausible(&bytes, 4_096);
        }
    }
}
