//! The bounds of everything a client holds, and what happens at each.

/// Commands that may wait for their replies. A further one is refused with [`LimitExceeded`].
pub const COMMANDS_PENDING_MAX: usize = 1024;

/// Topics a session keeps positions of. A subscription beyond it is refused with [`LimitExceeded`].
pub const TOPICS_MAX: usize = 65_536;

/// Commands that may wait for the driver. A caller waits for room, at most for its command's timeout.
pub(crate) const COMMANDS_QUEUED_MAX: usize = 64;

/// Bytes of the server's answer to the upgrade request. A longer one fails the attempt.
pub(crate) const RESPONSE_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Header fields of that answer. More fail the attempt.
pub(crate) const RESPONSE_HEADERS_MAX: usize = 64;

/// Bytes read from the socket at once.
pub(crate) const READ_BYTES: usize = 16 * 1024;

/// Bytes of a URL. A longer one is refused.
pub(crate) const URL_BYTES_MAX: usize = 8 * 1024;

/// Bytes of topics and positions that a resubscription puts into one command, unless the server's limit on messages is lower.
pub(crate) const RESUBSCRIPTION_BYTES_MAX: usize = 32 * 1024;

/// Characters of what a refused handshake says. The rest is cut off.
pub(crate) const REASON_CHARACTERS_MAX: usize = 256;

/// Bytes of a token, as many as the server reads. A longer one is refused.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Tokens that the server may refuse one after the other before the client gives up, however many its source has.
pub(crate) const TOKENS_REFUSED_MAX: u32 = 3;

/// Token sources that are asked at once. Further ones wait for these.
pub(crate) const TOKENS_ASKED_MAX: usize = 16;

/// Bytes of a word that only the server understands, such as an epoch. A longer one is malformed.
pub(crate) const OPAQUE_BYTES_MAX: usize = 256;

/// [`Subscription`](crate::Subscription)s of one client. A further one is refused with
/// [`LimitExceeded`].
pub const SUBSCRIPTIONS_MAX: usize = 65_536;

/// A bound refuses a command; nothing was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitExceeded {
    /// Too many commands wait for replies.
    #[error(
        "{COMMANDS_PENDING_MAX} commands wait for their replies, which is the limit; wait for some of them"
    )]
    Commands,
    /// Too many topics.
    #[error("the subscription exceeds the limit of {TOPICS_MAX} topics; unsubscribe from others first")]
    Topics,
    /// Too many [`Subscription`](crate::Subscription)s.
    #[error("{SUBSCRIPTIONS_MAX} subscriptions are open, which is the limit; drop some of them")]
    Subscriptions,
    /// The command is larger than what the server takes.
    #[error("command is {bytes} bytes, the server's limit is {bytes_max}; send less at once")]
    Message {
        /// The length of its text.
        bytes: usize,
        /// The limit the server told.
        bytes_max: usize,
    },
}
