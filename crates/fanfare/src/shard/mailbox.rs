//! Where a shard takes its mail: one queue, many writers, one reader.
//!
//! Publications are bounded by places set aside before anything is appended, so that a publisher is refused and
//! nothing is lost. Answers are bounded by the shard's own requests. Everything else is bounded by
//! [`Mailbox::try_post`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_queue::SegQueue;
use fanfare_hub::broker::{BrokerEvent, Outlet};
use fanfare_hub::{ConnectionRow, Control, Listed, Opened, Ticket};
use fanfare_protocol::dialect::Direct;
use fanfare_protocol::{ConnectionId, Publication};
use mio::{Registry, Token, Waker};
use tokio::sync::oneshot;

use crate::door::Place;

/// What a shard can be told.
pub(crate) enum Mail {
    /// A publication in a place set aside.
    Publication(Arc<Publication>),
    /// An answer of the broker.
    Broker(BrokerEvent),
    /// A connection that came through the door.
    Adopt(Box<Adoption>),
    /// A direct publication from a connection of another shard, which waits for the answer.
    Deliver {
        to: ConnectionId,
        direct: Box<Direct>,
        ticket: Ticket,
        from: usize,
    },
    /// The answer to a `Deliver`.
    Delivered(Ticket, bool),
    /// The application asks for something.
    Control(Box<Control>, oneshot::Sender<usize>),
    /// The application wants a page of connections, from a slot on.
    Page {
        listed: Listed,
        from: usize,
        count: usize,
        answer: oneshot::Sender<(Vec<ConnectionRow>, Option<usize>)>,
    },
    /// Close every connection within this many milliseconds, then end.
    Shutdown { window_ms: u64 },
    /// End now.
    Stop,
}

/// A socket on its way into a shard.
pub(crate) struct Adoption {
    /// The socket, taken out of the HTTP server.
    pub(crate) socket: std::net::TcpStream,
    /// What the client sent behind its request.
    pub(crate) early: Vec<u8>,
    /// What is known of the connection; its id is given by the shard.
    pub(crate) opened: Opened,
    /// Its place among those of its address and user, to be dropped with it.
    pub(crate) place: Option<Box<Place>>,
}

/// The mailbox of one shard.
pub(crate) struct Mailbox {
    queue: SegQueue<Mail>,
    publications: AtomicUsize,
    others: AtomicUsize,
    /// Whether the shard sleeps in its poll, or is about to.
    is_asleep: AtomicBool,
    waker: Waker,
}

/// Publications that may wait for a shard. Beyond: publishers are refused with `overloaded`.
pub(crate) const PUBLICATIONS_MAX: usize = 4096;

/// Other mail that may wait for a shard. Beyond: new connections and API calls are refused with 503.
pub(crate) const OTHERS_MAX: usize = 4096;

/// The token of the waker.
pub(crate) const WAKER: Token = Token(usize::MAX);

impl Mailbox {
    pub(crate) fn new(registry: &Registry) -> io::Result<Self> {
        Ok(Self {
            queue: SegQueue::new(),
            publications: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
            is_asleep: AtomicBool::new(false),
            waker: Waker::new(registry, WAKER)?,
        })
    }

    /// Posts mail that is neither a publication nor an answer; gives it back when too much waits.
    pub(crate) fn try_post(&self, mail: Mail) -> Result<(), Mail> {
        if self.others.fetch_add(1, Ordering::Relaxed) >= OTHERS_MAX {
            self.others.fetch_sub(1, Ordering::Relaxed);
            return Err(mail);
        }
        self.push(mail);
        Ok(())
    }

    /// Posts what must arrive and comes at most once or in answer to the shard itself.
    pub(crate) fn post_unbounded(&self, mail: Mail) {
        self.others.fetch_add(1, Ordering::Relaxed);
        self.push(mail);
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
        match mail {
            Mail::Publication(_) => self.publications.fetch_sub(1, Ordering::Relaxed),
            _ => self.others.fetch_sub(1, Ordering::Relaxed),
        };
        Some(mail)
    }

    /// Publications that wait.
    pub(crate) fn publications(&self) -> usize {
        self.publications.load(Ordering::Relaxed)
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
}

impl Outlet for Mailbox {
    fn try_reserve(&self) -> bool {
        let has_place = self.publications.fetch_add(1, Ordering::Relaxed) < PUBLICATIONS_MAX;
        if !has_place {
            self.cancel();
        }
        has_place
    }

    fn cancel(&self) {
        self.publications.fetch_sub(1, Ordering::Relaxed);
    }

    fn post_reserved(&self, publication: Arc<Publication>) {
        self.push(Mail::Publication(publication));
    }

    fn post(&self, answer: BrokerEvent) {
        self.post_unbounded(Mail::Broker(answer));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.registry()).unwrap();
        assert_eq!(
            (0..PUBLICATIONS_MAX + 5)
                .filter(|_| mailbox.try_reserve())
                .count(),
            PUBLICATIONS_MAX
        );
        mailbox.cancel();
        assert!(mailbox.try_reserve());
        assert!(!mailbox.try_reserve());
    }

    #[test]
    fn other_mail_is_bounded() {
        let poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.registry()).unwrap();
        assert_eq!(
            (0..OTHERS_MAX + 5)
                .filter(|_| mailbox.try_post(Mail::Stop).is_ok())
                .count(),
            OTHERS_MAX
        );
        assert!(mailbox.pop().is_some());
        assert!(mailbox.try_post(Mail::Stop).is_ok());
    }

    #[test]
    fn no_mail_is_slept_over() {
        let mut poll = Poll::new().unwrap();
        let mailbox = Arc::new(Mailbox::new(poll.registry()).unwrap());
        let writer = Arc::clone(&mailbox);
        let count = 20_000;
        let thread = std::thread::spawn(move || {
            for _ in 0..count {
                while writer.try_post(Mail::Stop).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        let (mut events, mut seen) = (Events::with_capacity(8), 0);
        while seen < count {
            while mailbox.pop().is_some() {
                seen += 1;
            }
            if seen < count && mailbox.try_sleep() {
                poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
                assert!(!events.is_empty(), "a waker came within the minute");
                mailbox.wake_up();
            }
        }
        thread.join().unwrap();
    }
}
