//! The durable log of a broker with its two threads: one that writes, and one that reads what memory does not have.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock, Weak};
use std::{io, thread};

use fanfare_log::{
    AppendError, Busy, Committer, Completion, Damages, Directory, DirectoryError, Done, Draft, Fsync, Limits,
    Log, Maintained, OpenError, Policy, ReadError, Reader, Recovery, State, Storage, Usage,
};

use super::LocalBroker;
use super::journal::{Journal, Reading, Ticket};

/// Where durable topics are kept, and how.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// The data directory, which is made if there is none. It is locked as long as the hub is there.
    pub directory: PathBuf,
    /// When something counts as durable. Default: when the disk says so.
    pub fsync: Fsync,
    /// Bytes of all segments, from 128 MiB to 256 GiB, in steps of 64 MiB. Beyond: publications of durable topics are refused
    /// with `storage_full`, until something that is kept goes; and so they are beyond 4,096 segments, however small.
    /// Default 64 GiB.
    pub bytes_max: u64,
    /// Topics in the directory, those included of which only the position is remembered. Beyond: the first publication of
    /// another one is refused. Default 1,000,000; one costs about 300 bytes of memory.
    pub topics_max: usize,
    /// Whether to go on without a segment that is missing. What it had is lost, and every topic begins a new epoch. If
    /// not, the start fails. Default false.
    pub accepts_missing: bool,
}

impl StorageOptions {
    /// The defaults, in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            fsync: Fsync::Always,
            bytes_max: 64 << 30,
            topics_max: 1_000_000,
            accepts_missing: false,
        }
    }

    /// What waits for the disk has a place set aside in every mailbox that wants it. So less waits than fits into half a
    /// mailbox, up to which a shard goes on reading, and a slow disk holds up nobody but who publishes durably.
    fn limits(&self) -> Limits {
        Limits {
            // One that is appended to, and one that is kept.
            bytes_max: self.bytes_max.max(2 * Limits::default().segment_bytes_max),
            topics_max: self.topics_max,
            // Publications have bounds of their own, with errors of their own.
            record_bytes_max: 256 << 20,
            queue_records_max: 1_024,
            group_records_max: 512,
            queue_bytes_max: 1 << 20,
            group_bytes_max: 512 << 10,
            state_bytes_max: STATE_BYTES_MAX,
            ..Limits::default()
        }
    }
}

/// Bytes of one small value beside the log. The largest is the table of revoked tokens, and a full one fits.
pub(crate) const STATE_BYTES_MAX: usize = 64 << 20;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// It cannot be opened, or another process has it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// What is in it is no log that can be gone on with.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There are no more threads.
    #[error("the thread of the log cannot be started: {0}")]
    Thread(io::Error),
}

/// What the disk was asked and did.
#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    groups: AtomicU64,
    refused: AtomicU64,
    reads: AtomicU64,
    damages: AtomicU64,
    is_full: AtomicBool,
    is_failed: AtomicBool,
}

/// The same, as of a moment, and what there is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DiskFigures {
    /// Publications that are durable.
    pub(crate) written: u64,
    /// Groups of them, each with one write and one sync.
    pub(crate) groups: u64,
    /// What was refused by the disk.
    pub(crate) refused: u64,
    /// Reads for which memory had too little.
    pub(crate) reads: u64,
    /// What was found damaged.
    pub(crate) damages: u64,
    /// Whether the last group found no room.
    pub(crate) is_full: bool,
    /// Whether the disk failed, so that nothing is taken before a restart.
    pub(crate) is_failed: bool,
    /// Drafts that wait for the disk.
    pub(crate) queued: usize,
    /// What the directory has.
    pub(crate) usage: Usage,
}

/// Leads from the threads to the broker, which is made after them.
#[derive(Clone, Default)]
pub(crate) struct WayToBroker(Arc<OnceLock<Weak<LocalBroker>>>);

impl WayToBroker {
    pub(crate) fn lead_to(&self, broker: &Arc<LocalBroker>) {
        // Only the first time counts, and there is one.
        let _ = self.0.set(Arc::downgrade(broker));
    }

    fn broker(&self) -> Option<Arc<LocalBroker>> {
        self.0.get().and_then(Weak::upgrade)
    }
}

/// The journal in a data directory.
pub(crate) struct Disk {
    committer: Committer<Ticket>,
    readings: Sender<Reading>,
    counts: Arc<Counts>,
    state: State,
}

impl Disk {
    /// Opens the log and starts its threads.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub(crate) fn open(options: &StorageOptions, way: &WayToBroker) -> Result<Self, StorageError> {
        let directory = Directory::open(&options.directory)?;
        Self::on(Arc::new(directory), options, way)
    }

    /// The same, on any storage.
    fn on(
        storage: Arc<dyn Storage>,
        options: &StorageOptions,
        way: &WayToBroker,
    ) -> Result<Self, StorageError> {
        let log_options = fanfare_log::Options {
            limits: options.limits(),
            fsync: options.fsync,
            accepts_missing: options.accepts_missing,
            ..fanfare_log::Options::default()
        };
        let (log, recovery) = Log::open(storage, log_options)?;
        let counts = Arc::new(Counts::default());
        report(&recovery, &counts);
        let state = log.state();
        let clerk = Clerk {
            way: way.clone(),
            counts: Arc::clone(&counts),
        };
        let committer = Committer::start(log, clerk).map_err(StorageError::Thread)?;
        let (readings, to_read) = mpsc::channel::<Reading>();
        let (way, read) = (way.clone(), Arc::clone(&counts));
        let look_up = move || {
            for reading in to_read {
                let Some(broker) = way.broker() else {
                    return;
                };
                read.reads.fetch_add(1, Ordering::Relaxed);
                broker.look_up(reading);
            }
        };
        thread::Builder::new()
            .name("fanfare-history".to_owned())
            .spawn(look_up)
            .map_err(StorageError::Thread)?;
        Ok(Self {
            committer,
            readings,
            counts,
            state,
        })
    }

    /// What it was asked and did, and what there is.
    pub(crate) fn figures(&self) -> DiskFigures {
        let counts = &self.counts;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DiskFigures {
            written: count(&counts.written),
            groups: count(&counts.groups),
            refused: count(&counts.refused),
            reads: count(&counts.reads),
            damages: count(&counts.damages),
            is_full: counts.is_full.load(Ordering::Relaxed),
            is_failed: counts.is_failed.load(Ordering::Relaxed),
            queued: self.committer.queued().0,
            usage: self.committer.reader().usage(),
        }
    }

    /// The small values beside the log.
    #[cfg_attr(not(feature = "tokens"), expect(dead_code, reason = "it has revoked tokens"))]
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Writes what is queued and ends. What is published after that is refused.
    pub(crate) fn close(&self) {
        if let Err(error) = self.committer.close() {
            tracing::error!(%error, "the log could not be closed");
        }
    }
}

impl Journal for Disk {
    fn submit(&self, draft: Draft, ticket: Ticket) -> Result<(), Busy> {
        self.committer.submit(draft, ticket).map_err(|(busy, _)| busy)
    }

    fn look_up(&self, reading: Reading) {
        // The thread ends with the broker, and then nobody waits.
        let _ = self.readings.send(reading);
    }

    fn reader(&self) -> &Reader {
        self.committer.reader()
    }

    fn set_policy(&self, policy: Policy) {
        self.committer.set_policy(policy);
    }
}

/// Tells the broker, and the log lines and figures, what became of drafts.
struct Clerk {
    way: WayToBroker,
    counts: Arc<Counts>,
}

impl Completion<Ticket> for Clerk {
    fn complete(&mut self, group: Vec<Done<Ticket>>) {
        let written = group.iter().filter(|done| done.outcome.is_ok()).count() as u64;
        let refused = group.len() as u64 - written;
        self.counts.written.fetch_add(written, Ordering::Relaxed);
        self.counts.refused.fetch_add(refused, Ordering::Relaxed);
        self.counts.groups.fetch_add(1, Ordering::Relaxed);
        self.tell(group.iter().find_map(|done| done.outcome.as_ref().err()));
        if let Some(broker) = self.way.broker() {
            broker.settle(group);
        }
    }

    fn maintained(&mut self, outcome: Result<Maintained, AppendError>) {
        match outcome {
            Ok(maintained) => {
                report_damages(&maintained.damages, &self.counts);
            }
            Err(error) => tracing::debug!(%error, "nothing could be given back to the disk"),
        }
    }

    fn sync_failed(&mut self, error: AppendError) {
        self.tell(Some(&error));
    }
}

impl Clerk {
    /// Says once when the disk gets full, has room again, or fails.
    fn tell(&self, error: Option<&AppendError>) {
        let is_full = match error {
            None => false,
            Some(
                AppendError::StorageFull | AppendError::LogFull { .. } | AppendError::TooManySegments { .. },
            ) => true,
            Some(error @ (AppendError::Uncertain(_) | AppendError::Fenced)) => {
                if !self.counts.is_failed.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the disk of the data directory failed, durable topics take nothing more");
                }
                return;
            }
            Some(error) => return tracing::warn!(%error, "a durable publication was refused"),
        };
        match (self.counts.is_full.swap(is_full, Ordering::Relaxed), error) {
            (false, Some(error)) => tracing::error!(%error, "durable topics take nothing now"),
            (true, None) => tracing::info!("the disk has room again, durable topics are published to"),
            _ => {}
        }
    }
}

/// Says what was found at the start.
fn report(recovery: &Recovery, counts: &Counts) {
    if let Some(cut) = &recovery.truncated {
        tracing::warn!(file = %cut.file, at = cut.at, bytes = cut.bytes, "what was being written at the end was cut off");
    }
    report_damages(&recovery.damages, counts);
    if recovery.renewed > 0 {
        tracing::warn!(
            topics = recovery.renewed,
            power_lost = recovery.is_power_lost,
            "positions may have been lost, topics began new epochs"
        );
    }
    tracing::info!(
        topics = recovery.topics,
        segments = recovery.segments,
        bytes = recovery.bytes,
        "the data directory is open"
    );
}

/// Describes the first of them, so that a broken disk does not fill the log lines.
fn report_damages(damages: &Damages, counts: &Counts) {
    counts.damages.fetch_add(damages.count, Ordering::Relaxed);
    for damage in damages.listed.iter().take(10) {
        tracing::error!(%damage, of = damages.count, "the data directory is damaged");
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
