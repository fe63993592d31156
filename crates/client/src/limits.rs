//! The bounds of everything a client holds, and what happens at each.

/// Commands that may wait for their replies. A further one is refused with [`LimitExceeded`](crate::LimitExceeded).
pub const COMMANDS_PENDING_MAX: usize = 1024;

/// Topics a session keeps positions of. A subscription beyond it is refused with [`LimitExceeded`](crate::LimitExceeded).
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

/// Topic bytes that a resubscription puts into one command, unless the server's limit on messages is lower.
pub(crate) const RESUBSCRIPTION_BYTES_MAX: usize = 32 * 1024;
