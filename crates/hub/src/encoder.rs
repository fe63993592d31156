//! From publications to the bytes that all connections of a format share.

use fanfare_protocol::{Format, Publication};

/// What encoding needs from one publication to the next. One per hub.
#[derive(Debug, Default)]
pub(crate) struct Encoder {}

impl Encoder {
    /// Appends the frame of a publication to `bytes`.
    #[expect(clippy::unused_self, reason = "compression keeps its state here")]
    pub(crate) fn publication(&mut self, format: Format, publication: &Publication, bytes: &mut Vec<u8>) {
        format.dialect.encode_publication(publication, bytes);
    }
}
