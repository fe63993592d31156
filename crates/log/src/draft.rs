//! What is asked of a log, and why it may say no.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::limits::Limits;
use crate::record::{FLOOR_BODY_BYTES, TOPIC_BYTES_MAX, bytes_of};
use crate::topic::Position;

/// What is to be written of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The topic: 1 to 255 bytes.
    pub topic: Arc<str>,
    /// The time of it, milliseconds since 1970. Age is counted from it; nothing is ordered by it.
    pub time_ms: u64,
    /// What it is.
    pub what: What,
}

/// What a [`Draft`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Append a publication.
    Publish {
        /// The publication as the broker stores it.
        body: Bytes,
        /// Only if this is the offset of the last one.
        expected: Option<u64>,
        /// The epoch of a topic of which nothing is known, when somebody was told one already; it must come from
        /// randomness. `None` for one of the log's. Without meaning for any other topic.
        epoch: Option<u64>,
    },
    /// Keep nothing before this offset. Answered with where the topic stands.
    Remove {
        /// The first offset that may be kept; beyond the last one, nothing is.
        before: u64,
    },
    /// Begin a new epoch, so that everybody who knows a position of the old one is told that it says nothing any more.
    /// What is kept from this offset on is kept, and offsets go on.
    Renew {
        /// The first offset that may be kept.
        from: u64,
    },
    /// Let a topic continue behind this position: for an import. It has no records yet, or it stands at this offset
    /// already and gets this epoch: what is kept stays.
    Begin {
        /// Where it stood.
        position: Position,
    },
}

/// Why a draft was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// There is no room on the disk. Nothing of it is stored; asked again when there is room, it is done.
    #[error("there is no room on the disk of the data directory, make room and publish again")]
    StorageFull,
    /// It could not be written. Nothing of it is stored; it may be asked again.
    #[error("the log cannot be written: {0}")]
    Write(Arc<io::Error>),
    /// It was written and could not be made durable: nobody knows whether it is stored. Nothing is taken after it.
    #[error(
        "what was written could not be made durable, restart when the disk of the data directory is sound: {0}"
    )]
    Uncertain(Arc<io::Error>),
    /// It came after something that could not be made durable. Nothing of it is stored.
    #[error(
        "the log is closed because its disk failed, restart when the disk of the data directory is sound"
    )]
    Fenced,
    /// It would be a record beyond [`Limits::record_bytes_max`].
    #[error("the record has {bytes} bytes, limit is {bytes_max}, publish less at once")]
    RecordTooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        bytes_max: u32,
    },
    /// The topic's name has no length that a record can have.
    #[error("the topic's name has {bytes} bytes, it must have 1 to 255")]
    TopicName {
        /// What it has.
        bytes: usize,
    },
    /// There are [`Limits::topics_max`] topics, and this would be another one.
    #[error("the log has {topics_max} topics, which is the limit, use one that exists or raise the limit")]
    TooManyTopics {
        /// How many there may be.
        topics_max: usize,
    },
    /// There are [`Limits::segments_max`] segments, and all are in use.
    #[error("the log has {segments_max} segments, which is the limit, keep less or raise the limit")]
    TooManySegments {
        /// How many there may be.
        segments_max: usize,
    },
    /// The last offset is another one than was expected.
    #[error("the topic stands at offset {}, which is not what was expected", position.offset)]
    NotExpected {
        /// Where it stands.
        position: Position,
    },
    /// The topic of a [`What::Begin`] is there already, or the position is none that one can stand at.
    #[error(
        "the topic cannot begin at offset {}, only one without records can, or one that stands there, and below 2^63",
        position.offset
    )]
    CannotBegin {
        /// Where it was to begin.
        position: Position,
    },
}

impl AppendError {
    /// What became of a group that could not be written.
    pub(crate) fn of_write(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::StorageFull,
            _ => Self::Write(Arc::new(error)),
        }
    }
}

impl Draft {
    /// A publication without conditions.
    pub fn publication(topic: impl Into<Arc<str>>, time_ms: u64, body: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            time_ms,
            what: What::Publish {
                body: body.into(),
                expected: None,
                epoch: None,
            },
        }
    }

    /// How many bytes its record has.
    pub fn bytes(&self) -> usize {
        let body = match &self.what {
            What::Publish { body, .. } => body.len(),
            What::Remove { .. } | What::Renew { .. } | What::Begin { .. } => FLOOR_BODY_BYTES,
        };
        bytes_of(&self.topic, body)
    }

    /// Whether a record can be made of it.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), AppendError> {
        let name = self.topic.len();
        if name == 0 || name > TOPIC_BYTES_MAX {
            return Err(AppendError::TopicName { bytes: name });
        }
        if self.bytes() > limits.record_bytes_max as usize {
            return Err(AppendError::RecordTooLarge {
                bytes: self.bytes(),
                bytes_max: limits.record_bytes_max,
            });
        }
        Ok(())
    }
}
