//! The thread that drives a log: takes drafts from a bounded queue, writes them in groups, and tells what became of
//! them.
//!
//! What came while one group was written and synced is the next group. The order of queueing is the order of the log
//! and of the answers.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::draft::{AppendError, Draft};
use crate::limits::{Fsync, Limits};
use crate::log::Log;
use crate::maintenance::Maintained;
use crate::reader::Reader;
use crate::retention::Policy;
use crate::topic::Position;

/// What became of a draft.
#[derive(Clone, Debug)]
pub struct Done<T> {
    /// What its sender gave with it.
    pub ticket: T,
    /// Where the topic stands behind it, or why it was not done.
    pub outcome: Result<Position, AppendError>,
}

/// Is told what became of drafts, on the committer's thread. While it is, nothing is written: it is quick.
pub trait Completion<T>: Send + 'static {
    /// A group is as durable as it gets, or was refused: in the order in which it was queued.
    fn complete(&mut self, group: Vec<Done<T>>);

    /// A step of maintenance was done, or could not be.
    fn maintained(&mut self, outcome: Result<Maintained, AppendError>) {
        drop(outcome);
    }

    /// What was written in the last interval could not be made durable, although it was answered
    /// ([`Fsync::Interval`]). The log takes nothing any more.
    fn sync_failed(&mut self, error: AppendError) {
        drop(error);
    }
}

/// Why a draft was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// [`Limits::queue_records_max`] or [`Limits::queue_bytes_max`] wait already.
    #[error("the log has more to write than it may queue, publish again in a moment")]
    Full,
    /// The committer is closed, or its thread ended.
    #[error("the log is closed")]
    Closed,
}

/// Where drafts are queued for the log. Used from any thread.
#[derive(Debug)]
pub struct Committer<T> {
    desk: Arc<Desk<T>>,
    reader: Reader,
    thread: Mutex<Option<JoinHandle<Result<(), AppendError>>>>,
}

#[derive(Debug)]
struct Desk<T> {
    line: Mutex<Line<T>>,
    /// Something came into the line.
    called: Condvar,
    records_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Line<T> {
    drafts: VecDeque<(Draft, T)>,
    bytes: usize,
    policy: Option<Policy>,
    is_closed: bool,
}

impl<T: Send + 'static> Committer<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start(log: Log, completion: impl Completion<T>) -> io::Result<Self> {
        let desk = Arc::new(Desk {
            line: Mutex::new(Line {
                drafts: VecDeque::new(),
                bytes: 0,
                policy: None,
                is_closed: false,
            }),
            called: Condvar::new(),
            records_max: log.limits().queue_records_max,
            bytes_max: log.limits().queue_bytes_max,
        });
        let reader = log.reader();
        let clerk = Clerk::new(log, completion, Arc::clone(&desk));
        let thread = thread::Builder::new()
            .name("fanfare-log".to_owned())
            .spawn(move || clerk.run())?;
        Ok(Self {
            desk,
            reader,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues a draft; its answer comes with `ticket`. Never waits.
    ///
    /// # Errors
    /// Too much waits already, or the committer is closed; the ticket comes back.
    pub fn submit(&self, draft: Draft, ticket: T) -> Result<(), (Busy, T)> {
        let bytes = draft.bytes();
        let mut line = self.desk.line();
        if line.is_closed {
            return Err((Busy::Closed, ticket));
        }
        let is_full = line.drafts.len() >= self.desk.records_max
            || line.bytes > 0 && line.bytes + bytes > self.desk.bytes_max;
        if is_full {
            return Err((Busy::Full, ticket));
        }
        line.bytes += bytes;
        line.drafts.push_back((draft, ticket));
        drop(line);
        self.desk.called.notify_one();
        Ok(())
    }

    /// Drafts that wait, and their bytes.
    pub fn queued(&self) -> (usize, usize) {
        let line = self.desk.line();
        (line.drafts.len(), line.bytes)
    }

    /// Reads the log.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// How much is kept, from now on.
    pub fn set_policy(&self, policy: Policy) {
        self.desk.line().policy = Some(policy);
        self.desk.called.notify_one();
    }
}

impl<T> Committer<T> {
    /// Takes nothing more, does and answers what is queued, and closes the log. Once; called again it has nothing to do.
    ///
    /// # Errors
    /// The disk failed.
    pub fn close(&self) -> Result<(), AppendError> {
        self.desk.line().is_closed = true;
        self.desk.called.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            // The completion let go of the last committer: its thread ends behind this.
            Some(thread) if thread.thread().id() == thread::current().id() => Ok(()),
            // When it panicked, the hook for panics told of it.
            Some(thread) => thread.join().unwrap_or(Err(AppendError::Fenced)),
            None => Ok(()),
        }
    }
}

impl<T> Drop for Committer<T> {
    fn drop(&mut self) {
        // Who wants to know closes it.
        let _ = self.close();
    }
}

impl<T> Desk<T> {
    fn line(&self) -> MutexGuard<'_, Line<T>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the line when the thread ends, also by a panic of the completion.
struct Closing<T>(Arc<Desk<T>>);

impl<T> Drop for Closing<T> {
    fn drop(&mut self) {
        self.0.line().is_closed = true;
    }
}

/// The thread's own.
struct Clerk<T, C> {
    log: Log,
    completion: C,
    desk: Arc<Desk<T>>,
    maintain_at: Instant,
    /// When what was written must be synced.
    sync_at: Option<Instant>,
}

impl<T, C: Completion<T>> Clerk<T, C> {
    fn new(log: Log, completion: C, desk: Arc<Desk<T>>) -> Self {
        Self {
            log,
            completion,
            desk,
            maintain_at: Instant::now(),
            sync_at: None,
        }
    }

    /// In order of priority: drafts, syncs that are due, maintenance that is due.
    fn run(mut self) -> Result<(), AppendError> {
        let _closing = Closing(Arc::clone(&self.desk));
        while let Some((drafts, tickets)) = self.wait() {
            if !drafts.is_empty() {
                let answers = self.log.append(&drafts);
                let group = tickets.into_iter().zip(answers);
                let done = group.map(|(ticket, outcome)| Done { ticket, outcome });
                self.completion.complete(done.collect());
                self.note_write();
            }
            self.sync();
            self.maintain();
        }
        self.log.close()
    }

    /// The next group, perhaps empty, when there is something to do; `None` when all is done and closed.
    fn wait(&mut self) -> Option<(Vec<Draft>, Vec<T>)> {
        let mut line = self.desk.line();
        loop {
            if let Some(policy) = line.policy.take() {
                self.log.set_policy(policy);
            }
            if !line.drafts.is_empty() {
                return Some(line.group(self.log.limits()));
            }
            if line.is_closed {
                return None;
            }
            let due = self
                .sync_at
                .map_or(self.maintain_at, |sync_at| sync_at.min(self.maintain_at));
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some((Vec::new(), Vec::new()));
            }
            let waited = self.desk.called.wait_timeout(line, left);
            line = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn note_write(&mut self) {
        if let Fsync::Interval(interval_ms) = self.log.fsync {
            let due = || Instant::now() + Duration::from_millis(interval_ms);
            self.sync_at.get_or_insert_with(due);
        }
    }

    fn sync(&mut self) {
        if self.sync_at.is_some_and(|sync_at| sync_at <= Instant::now()) {
            self.sync_at = None;
            if let Err(error) = self.log.sync() {
                self.completion.sync_failed(error);
            }
        }
    }

    fn maintain(&mut self) {
        if self.maintain_at > Instant::now() || self.log.is_fenced() {
            self.maintain_at = self.maintain_at.max(Instant::now() + PAUSE);
            return;
        }
        let outcome = self.log.maintain(now_ms());
        // A round that is under way goes on soon, and leaves time for what is published meanwhile.
        let pause = match &outcome {
            Ok(maintained) if !maintained.is_round => PAUSE,
            _ => Duration::from_millis(self.log.limits().maintenance_interval_ms),
        };
        self.maintain_at = Instant::now() + pause;
        self.completion.maintained(outcome);
    }
}

impl<T> Line<T> {
    fn group(&mut self, limits: &Limits) -> (Vec<Draft>, Vec<T>) {
        let mut group = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while let Some((draft, _)) = self.drafts.front() {
            let is_full = bytes + draft.bytes() > limits.group_bytes_max;
            if group.0.len() >= limits.group_records_max || is_full && bytes > 0 {
                break;
            }
            if let Some((draft, ticket)) = self.drafts.pop_front() {
                bytes += draft.bytes();
                group.0.push(draft);
                group.1.push(ticket);
            }
        }
        self.bytes -= bytes;
        group
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// The shortest time between two steps of maintenance.
const PAUSE: Duration = Duration::from_millis(5);
