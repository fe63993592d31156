//! What a backend can be asked over HTTP.

/// One of the questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HookKind {
    /// May this client connect, and as whom?
    Connect,
    /// Who is it from now on whose identity has come to its end?
    Refresh,
    /// May it receive these topics?
    Subscribe,
    /// May it publish this?
    Publish,
    /// May it read what was published to this topic, or see who is there?
    Inspect,
    /// What does this procedure give?
    Call,
    /// May it go on receiving this topic?
    SubRefresh,
}

impl HookKind {
    /// Every kind, in the order of the rows of counters.
    pub(super) const ALL: [Self; 7] = [
        Self::Connect,
        Self::Refresh,
        Self::Subscribe,
        Self::Publish,
        Self::Inspect,
        Self::Call,
        Self::SubRefresh,
    ];

    /// Its name in requests, metrics and logs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Refresh => "refresh",
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Inspect => "inspect",
            Self::Call => "call",
            Self::SubRefresh => "sub_refresh",
        }
    }
}
