//! What was agreed on about compression (RFC 7692) when a connection was opened.

/// Who may compress on a connection. Whether a message is compressed is told by its first frame, so whoever may need
/// not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Nobody: no extension was agreed on.
    #[default]
    None,
    /// The client. What it is sent goes uncompressed, because it has less memory for a window than the server's
    /// frames need.
    FromClient,
    /// Both sides.
    Both,
}

impl Compression {
    /// The name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::FromClient => "from_client",
            Self::Both => "both",
        }
    }
}
