//! Where a shard takes its mail: one queue, many writers, one reader.
//!
//! Publications are bounded, in number and in bytes, by places set aside before anything is appended, so that a
//! publisher is refused and nothing is lost. Answers are bounded by the shard's own requests. Everything else is
//! bounded by [`Mailbox::try_post`].

use std::sync::Arc;

use crossbeam_queue::SegQueue;
use fanfare_hub::broker::{BrokerEvent, Outlet};
use fanfare_protocol::Publication;

use super::mail::Mail;
use super::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering, Waker};

/// The mailbox of one shard.
pub(crate) struct Mailbox {
    queue: SegQueue<Mail>,
    /// The [`Load`] of publications that wait or have a place set aside.
    load: AtomicU64,
    others: AtomicUsize,
    /// Whether the shard sleeps in its poll, or is about to.
    is_asleep: AtomicBool,
    /// Whether nobody will read any more.
    is_closed: AtomicBool,
    waker: Waker,
}

/// Publications that may wait for a shard. Beyond: publishers are refused with `overloaded`.
pub(crate) const PUBLICATIONS_MAX: usize = 4096;

/// Bytes of publications that may wait for a shard, as [`fanfare_protocol::Draft::bytes`] counts them; the last of them
/// may pass the bound, so that no publication is refused for its own size. Beyond: publishers are refused with `overloaded`. The shard's own clients are
/// read no further at half of either bound.
pub(crate) const BYTES_MAX: usize = 4 << 20;

/// Other mail that may wait for a shard. Beyond: new connections and API calls are refused with 503.
pub(crate) const OTHERS_MAX: usize = 4096;

/// Why mail was not posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotPosted {
    /// Too much waits.
    Full,
    /// The shard has ended.
    Closed,
}

impl Mailbox {
    /// An empty mailbox; `waker` ends the sleep of its reader.
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            queue: SegQueue::new(),
            load: AtomicU64::new(0),
            others: AtomicUsize::new(0),
            is_asleep: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            waker,
        }
    }

    /// Posts mail that is neither a publication nor an answer. Mail that is not posted is dropped.
    pub(crate) fn try_post(&self, mail: Mail) -> Result<(), NotPosted> {
        if self.others.fetch_add(1, Ordering::Relaxed) >= OTHERS_MAX {
            self.others.fetch_sub(1, Ordering::Relaxed);
            return Err(NotPosted::Full);
        }
        self.push(mail);
        if self.drop_if_closed() {
            return Err(NotPosted::Closed);
        }
        Ok(())
    }

    /// Posts what must arrive and comes at most once or in answer to the shard itself.
    pub(crate) fn post_unbounded(&self, mail: Mail) {
        if self.is_closed() {
            return;
        }
        self.others.fetch_add(1, Ordering::Relaxed);
        self.push(mail);
        self.drop_if_closed();
    }

    fn push(&self, mail: Mail) {
        self.queue.push(mail);
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            // Waking fails only when the poll is gone, and then nobody is left to read.
            let _ = self.waker.wake();
        }
    }

    /// Takes the oldest mail.
    pub(crate) fn pop(&self) -> Option<Mail> {
        let mail = self.queue.pop()?;
        match &mail {
            Mail::Publication(publication) => self.give_back(publication.draft.bytes()),
            _ => drop(self.others.fetch_sub(1, Ordering::Relaxed)),
        }
        Some(mail)
    }

    /// Drops what a broker posted so far and keeps everything else in its order: the reader begins anew.
    pub(crate) fn drop_broker_mail(&self) {
        let mail: Vec<Mail> = (0..self.queue.len()).map_while(|_| self.pop()).collect();
        for mail in mail {
            if !matches!(mail, Mail::Publication(_) | Mail::Broker(_)) {
                self.post_unbounded(mail);
            }
        }
    }

    /// Ends the mailbox: nobody reads any more. What waits or still comes is dropped, so that nobody waits for an
    /// answer to it.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.drop_if_closed();
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Either this sees the end, or whoever ended the mailbox sees the mail: both sides write first and look second.
    fn drop_if_closed(&self) -> bool {
        let is_closed = self.is_closed();
        while is_closed && self.pop().is_some() {}
        is_closed
    }

    /// Publications that wait, and those that have a place set aside.
    pub(crate) fn publications(&self) -> usize {
        Load(self.load.load(Ordering::Relaxed)).publications()
    }

    /// Whether less than half of either bound is taken.
    pub(crate) fn has_room(&self) -> bool {
        let load = Load(self.load.load(Ordering::Relaxed));
        load.publications() < PUBLICATIONS_MAX / 2 && load.bytes() < BYTES_MAX / 2
    }

    /// Announces that the reader is about to sleep; false when mail came and it must not. Either this sees the
    /// mail, or whoever posted it sees the announcement and wakes: both sides write first and look second.
    pub(crate) fn try_sleep(&self) -> bool {
        self.is_asleep.store(true, Ordering::SeqCst);
        if self.queue.is_empty() {
            return true;
        }
        self.is_asleep.store(false, Ordering::SeqCst);
        false
    }

    /// The reader is awake, whoever woke it.
    pub(crate) fn wake_up(&self) {
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    fn give_back(&self, bytes: usize) {
        self.load.fetch_sub(Load::of(bytes).0, Ordering::Relaxed);
    }
}

impl Outlet for Mailbox {
    fn try_reserve(&self, bytes: usize) -> bool {
        let take = |load| Some(Load(load)).filter(|load| load.has_place());
        self.load
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |load| {
                take(load).map(|load| load.0 + Load::of(bytes).0)
            })
            .is_ok()
    }

    fn cancel(&self, bytes: usize) {
        self.give_back(bytes);
    }

    fn post_reserved(&self, publication: Arc<Publication>) {
        self.push(Mail::Publication(publication));
        self.drop_if_closed();
    }

    fn post(&self, answer: BrokerEvent) {
        self.post_unbounded(Mail::Broker(answer));
    }
}

/// Publications and their bytes in one word, so that both bounds are kept in one step: the number in the upper 16
/// bits, the bytes in the lower 48.
#[derive(Clone, Copy)]
struct Load(u64);

const BYTES_BITS: u32 = 48;

impl Load {
    /// That of one publication.
    fn of(bytes: usize) -> Self {
        Self(1 << BYTES_BITS | bytes as u64)
    }

    fn publications(self) -> usize {
        (self.0 >> BYTES_BITS) as usize
    }

    fn bytes(self) -> usize {
        (self.0 & ((1 << BYTES_BITS) - 1)) as usize
    }

    /// Whether one more may wait, of any size.
    fn has_place(self) -> bool {
        self.publications() < PUBLICATIONS_MAX && self.bytes() < BYTES_MAX
    }
}
