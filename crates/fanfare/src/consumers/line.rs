//! Where publications wait for their consumer: one queue, one reader, and writers that never wait.
//!
//! A broker gives the publications of one topic one after the other, and a line is for one topic: so there is one writer
//! at a time. Neither side takes a lock for a publication, so a consumer that is interrupted stops no shard. What
//! a publisher's thread does for it is to put it into the queue and to wake its task.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_queue::SegQueue;
use fanfare_hub::broker::{BrokerEvent, Outlet, Page, Refusal};
use fanfare_protocol::{Position, Publication};
use tokio::sync::{mpsc, oneshot};

use super::options::SubscribeOptions;
use super::past::is_last;

/// What waits for one consumer.
pub(super) struct Line {
    queue: SegQueue<Arc<Publication>>,
    bytes: AtomicUsize,
    publications_max: usize,
    bytes_max: usize,
    /// Publications that were dropped, of all lines.
    missed: Arc<AtomicU64>,
    /// Wakes the consumer. One ring is enough for any number of publications.
    bell: mpsc::Sender<()>,
    is_closed: AtomicBool,
    /// Whether publications wait here. A consumer that begins in the past reads them itself until it has come up with them.
    is_live: AtomicBool,
    /// The page that it has asked for last.
    page: Mutex<Option<Result<Page, Refusal>>>,
    joined: Mutex<Option<oneshot::Sender<Result<Position, Refusal>>>>,
}

/// What the consumer holds of its line.
pub(super) struct LineEnd {
    pub(super) line: Arc<Line>,
    /// Rung after every change of the line.
    pub(super) bell: mpsc::Receiver<()>,
    /// The answer to the join.
    pub(super) joined: oneshot::Receiver<Result<Position, Refusal>>,
}

impl LineEnd {
    /// The end of a line in which nothing waits.
    pub(super) fn of_new(options: &SubscribeOptions, missed: &Arc<AtomicU64>) -> Self {
        let (ringing, bell) = mpsc::channel(1);
        let (answer, joined) = oneshot::channel();
        let line = Line {
            queue: SegQueue::new(),
            bytes: AtomicUsize::new(0),
            publications_max: options.publications_max.max(1),
            bytes_max: options.bytes_max,
            missed: Arc::clone(missed),
            bell: ringing,
            is_closed: AtomicBool::new(false),
            is_live: AtomicBool::new(options.since.is_none()),
            page: Mutex::default(),
            joined: Mutex::new(Some(answer)),
        };
        Self {
            line: Arc::new(line),
            bell,
            joined,
        }
    }
}

impl Line {
    /// Takes the oldest.
    pub(super) fn pop(&self) -> Option<Arc<Publication>> {
        let publication = self.queue.pop()?;
        self.bytes.fetch_sub(publication.draft.bytes(), Ordering::Relaxed);
        Some(publication)
    }

    /// Takes the page that was asked for, if it has come.
    pub(super) fn take_page(&self) -> Option<Result<Page, Refusal>> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.answer_join(None);
        self.ring();
    }

    /// Whether nothing comes any more. What came before is in the queue.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Drops the oldest until a publication of so many bytes has room, or nothing waits. The newest is never dropped, so
    /// whoever sees a gap sees it by what follows.
    fn make_room(&self, bytes: usize) {
        while self.queue.len() >= self.publications_max
            || self.bytes.load(Ordering::Relaxed) + bytes > self.bytes_max
        {
            if self.pop().is_none() {
                return;
            }
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sets a page out. Behind the last one, publications wait: all that were posted before are in it.
    fn post_page(&self, outcome: Result<Page, Refusal>) {
        if outcome.as_ref().is_ok_and(is_last) {
            self.is_live.store(true, Ordering::Release);
        }
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.ring();
    }

    fn ring(&self) {
        // One that was rung already will be answered.
        let _ = self.bell.try_send(());
    }

    fn answer_join(&self, outcome: Option<Result<Position, Refusal>>) {
        let waiting = self.joined.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(waiting), Some(outcome)) = (waiting, outcome) {
            // The caller may have stopped waiting.
            let _ = waiting.send(outcome);
        }
    }
}

impl Outlet for Line {
    fn try_reserve(&self, _bytes: usize) -> bool {
        true
    }

    fn cancel(&self, _bytes: usize) {}

    fn post_reserved(&self, publication: Arc<Publication>) {
        if self.is_closed() || !self.is_live.load(Ordering::Acquire) {
            return;
        }
        let bytes = publication.draft.bytes();
        self.make_room(bytes);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.queue.push(publication);
        self.ring();
    }

    fn post(&self, answer: BrokerEvent) {
        match answer {
            BrokerEvent::Publication(publication) => self.post_reserved(publication),
            BrokerEvent::Joined { outcome, .. } => self.answer_join(Some(outcome)),
            BrokerEvent::Read { outcome, .. } => self.post_page(outcome),
            // A consumer publishes nothing.
            BrokerEvent::Published { .. } => {}
        }
    }
}
