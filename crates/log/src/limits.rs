//! Every bound of a log, and what happens at it; and how soon what is appended is durable.

/// When the system is told to make durable what was written (`fdatasync`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before anything of a group is answered. Nothing that was answered is lost, whatever happens to the process, the
    /// system or the power.
    #[default]
    Always,
    /// At most so many milliseconds after it was written: the [`Committer`](crate::Committer) sees to it, whoever drives
    /// a [`Log`](crate::Log) himself calls [`Log::sync`](crate::Log::sync). What is answered survives the end of the process. A system
    /// that ends without warning loses at most what was answered in this time before; every topic begins a new epoch
    /// then, so that all clients are told.
    Interval(u64),
    /// When the system likes to, and when a segment is full. As `Interval`, with a window that only the system knows;
    /// on Linux about 30 seconds.
    Never,
}

impl Fsync {
    /// Whether something may be answered before it is durable.
    pub(crate) fn is_weak(self) -> bool {
        self != Self::Always
    }
}

/// The bounds of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of records in a segment file. Beyond: the file is sealed and the next one begun; a group is not divided,
    /// so a file may have one group more. At most 1 GiB. Default 64 MiB.
    pub segment_bytes_max: u64,
    /// Bytes of all segments. Beyond: appends are refused with [`AppendError::LogFull`](crate::AppendError), a segment
    /// ahead, because the next one may get as long as any. At least `segment_bytes_max`. Default 64 GiB.
    pub bytes_max: u64,
    /// Segment files, each of which has one open descriptor. Those that were rewritten are small and are not put
    /// together. Beyond: appends are refused with [`AppendError::TooManySegments`](crate::AppendError). At most 4,096,
    /// which is the default.
    pub segments_max: usize,
    /// Bytes of one record, with its head of 38 bytes and the topic's name. Beyond: refused with
    /// [`AppendError::RecordTooLarge`](crate::AppendError). A file that announces more is damaged; nothing is
    /// allocated for it. Default 4 MiB.
    pub record_bytes_max: u32,
    /// Topics with records or a remembered position. Beyond: the first record of another one is refused with
    /// [`AppendError::TooManyTopics`](crate::AppendError). Topics that are in the files already are all taken.
    /// Default 1,000,000, which is about 300 MB.
    pub topics_max: usize,
    /// Drafts that are written and synced together. Beyond: they wait for the next group. Default 4,096.
    pub group_records_max: usize,
    /// Bytes of drafts that are written and synced together; one draft may be larger. Default 4 MiB.
    pub group_bytes_max: usize,
    /// Drafts that wait for the committer. Beyond: refused with [`Busy`](crate::Busy). Default 65,536.
    pub queue_records_max: usize,
    /// Bytes of drafts that wait for the committer; an empty queue takes any draft. Beyond: refused with
    /// [`Busy`](crate::Busy). Default 64 MiB.
    pub queue_bytes_max: usize,
    /// Bytes of index blocks of sealed segments that are kept for reads. Beyond: the one that came first makes room. A
    /// block is at most 16 KiB. Default 4 MiB.
    pub cache_bytes_max: usize,
    /// Time for which the position of a topic is remembered after its last record, in milliseconds, when nothing of
    /// it is kept any more. Beyond: it is forgotten with the next file that is rewritten, and a later record begins a
    /// new epoch. Default 30 days.
    pub position_grace_ms: u64,
    /// The part of a sealed segment that must be alive, in percent. Below: the live records are copied into a new file
    /// that takes its place. 0 for never. Default 50.
    pub live_percent_min: u64,
    /// Bytes of a segment that one step of [`Log::maintain`](crate::Log::maintain) copies. Default 1 MiB.
    pub rewrite_bytes_max: usize,
    /// Topics that one step of [`Log::maintain`](crate::Log::maintain) applies retention to. Default 4,096.
    pub retained_topics_max: usize,
    /// Time between two steps of maintenance by the committer, in milliseconds. Age and bytes of a
    /// [`Retention`](crate::Retention) are kept to within it. Default 200.
    pub maintenance_interval_ms: u64,
    /// Bytes of one value of the state store. Beyond: refused. Default 16 MiB.
    pub state_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment_bytes_max: 64 << 20,
            bytes_max: 64 << 30,
            segments_max: SEGMENTS_MOST as usize,
            record_bytes_max: 4 << 20,
            topics_max: 1_000_000,
            group_records_max: 4_096,
            group_bytes_max: 4 << 20,
            queue_records_max: 65_536,
            queue_bytes_max: 64 << 20,
            cache_bytes_max: 4 << 20,
            position_grace_ms: 30 * 24 * 3_600_000,
            live_percent_min: 50,
            rewrite_bytes_max: 1 << 20,
            retained_topics_max: 4_096,
            maintenance_interval_ms: 200,
            state_bytes_max: 16 << 20,
        }
    }
}

/// A limit that cannot be kept to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}, it must be from {least} to {most}")]
pub struct LimitError {
    /// The field of [`Limits`].
    pub name: &'static str,
    /// What it was set to.
    pub value: u64,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
}

impl Limits {
    /// Whether a log can keep to them.
    ///
    /// # Errors
    /// The first that it cannot.
    pub fn check(&self) -> Result<(), LimitError> {
        let size = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let record = u64::from(self.record_bytes_max);
        let rows = [
            ("segment_bytes_max", self.segment_bytes_max, 4_096, 1 << 30),
            ("bytes_max", self.bytes_max, self.segment_bytes_max, u64::MAX),
            ("segments_max", size(self.segments_max), 2, SEGMENTS_MOST),
            ("record_bytes_max", record, 512, 1 << 28),
            ("topics_max", size(self.topics_max), 1, u64::from(u32::MAX)),
            ("group_records_max", size(self.group_records_max), 1, 1 << 20),
            ("group_bytes_max", size(self.group_bytes_max), 1, 1 << 28),
            ("queue_records_max", size(self.queue_records_max), 1, u64::MAX),
            ("queue_bytes_max", size(self.queue_bytes_max), 1, u64::MAX),
            ("live_percent_min", self.live_percent_min, 0, 90),
            ("rewrite_bytes_max", size(self.rewrite_bytes_max), 1, u64::MAX),
            ("retained_topics_max", size(self.retained_topics_max), 1, u64::MAX),
            (
                "state_bytes_max",
                size(self.state_bytes_max),
                1,
                u64::from(u32::MAX),
            ),
        ];
        for (name, value, least, most) in rows {
            if !(least..=most).contains(&value) {
                return Err(LimitError {
                    name,
                    value,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }
}

/// The segments that the list of segments has room for.
pub(crate) const SEGMENTS_MOST: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_kept_to() {
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn a_limit_out_of_range_is_named_with_its_range() {
        let limits = Limits {
            segments_max: 5_000,
            ..Limits::default()
        };
        let error = limits.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "segments_max is 5000, it must be from 2 to 4096"
        );
    }
}
