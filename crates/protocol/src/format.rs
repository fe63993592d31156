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
    /// Every format, each at the place that [`index`](Self::index) gives. The last dialect is a stream, which is never
    /// compressed.
    pub const ALL: [Self; 2 * Dialect::ALL.len() - 1] = {
        let mut all = [Self {
            dialect: Dialect::Json,
            is_compressed: false,
        }; 2 * Dialect::ALL.len() - 1];
        let mut index = 0;
        while index < all.len() {
            all[index] = Self {
                dialect: Dialect::ALL[index / 2],
                is_compressed: index % 2 == 1,
            };
            index += 1;
        }
        all
    };

    /// What a connection of this dialect is sent after this was agreed on.
    pub fn of(dialect: Dialect, compression: Compression) -> Self {
        Self {
            dialect,
            is_compressed: compression == Compression::Both && !dialect.is_stream(),
        }
    }

    /// Its place in a row per format.
    pub fn index(self) -> usize {
        self.dialect.index() * 2 + usize::from(self.is_compressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_never_compressed() {
        let format = Format::of(Dialect::Sse, Compression::Both);
        assert_eq!(
            (format.is_compressed, Format::ALL[format.index()]),
            (false, format)
        );
    }

    #[test]
    fn every_format_stands_at_its_place() {
        for (place, format) in Format::ALL.iter().enumerate() {
            assert_eq!(format.index(), place, "{format:?}");
        }
    }
}
