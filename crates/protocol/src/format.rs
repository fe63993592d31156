//! What a publication looks like on the wire for one kind of connection.

use crate::dialect::Dialect;
use crate::websocket::Compression;

/// A dialect, and whether its publications may be compressed: all connections of a format are sent the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// The words.
    pub dialect: Dialect,
    /// Whether a publication is compressed where that makes it shorter.
    pub is_compressed: bool,
}

impl Format {
    /// Every format, each at the place that [`index`](Self::index) gives: two of each dialect that may be compressed, which
    /// come first, and one of each other.
    pub const ALL: [Self; Dialect::ALL.len() + Dialect::COMPRESSIBLE] = {
        let mut all = [Self {
            dialect: Dialect::Json,
            is_compressed: false,
        }; Dialect::ALL.len() + Dialect::COMPRESSIBLE];
        let mut index = 0;
        while index < all.len() {
            let is_of_two = index < 2 * Dialect::COMPRESSIBLE;
            all[index] = Self {
                dialect: Dialect::ALL[if is_of_two {
                    index / 2
                } else {
                    index - Dialect::COMPRESSIBLE
                }],
                is_compressed: is_of_two && index % 2 == 1,
            };
            index += 1;
        }
        all
    };

    /// What a connection of this dialect is sent after this was agreed on.
    pub fn of(dialect: Dialect, compression: Compression) -> Self {
        Self {
            dialect,
            is_compressed: compression == Compression::Both && is_compressible(dialect),
        }
    }

    /// Its place in a row per format.
    pub fn index(self) -> usize {
        let dialect = self.dialect.index();
        if is_compressible(self.dialect) {
            dialect * 2 + usize::from(self.is_compressed)
        } else {
            dialect + Dialect::COMPRESSIBLE
        }
    }
}

fn is_compressible(dialect: Dialect) -> bool {
    dialect.index() < Dialect::COMPRESSIBLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_never_compressed() {
        for &dialect in Dialect::ALL {
            let format = Format::of(dialect, Compression::Both);
            assert_eq!(Format::ALL[format.index()], format);
            assert!(!format.is_compressed || !dialect.is_stream(), "{dialect:?}");
        }
        assert!(Format::of(Dialect::CentrifugeProtobuf, Compression::Both).is_compressed);
    }

    #[test]
    fn every_format_stands_at_its_place() {
        for (place, format) in Format::ALL.iter().enumerate() {
            assert_eq!(format.index(), place, "{format:?}");
        }
    }
}
