//! The mailbox under a model checker: the same file that the shards are built from, over atomics whose every step
//! [shuttle](https://docs.rs/shuttle) may put another thread's step before. It plays thousands of schedules, and one in
//! which the reader sleeps for ever is a deadlock that fails.
//!
//! Shuttle knows sequentially consistent memory only, which is what the protocol of sleep and wake asks for. The queue
//! inside is crossbeam's and its operations are single steps here.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::unnecessary_wraps,
    reason = "the mailbox is compiled with all it has, the test uses some"
)]

#[path = "../src/shard/mailbox.rs"]
mod mailbox;

/// What a mailbox carries, as far as it looks into it.
mod mail {
    use std::sync::Arc;

    use fanfare_hub::broker::BrokerEvent;
    use fanfare_protocol::Publication;

    pub(crate) enum Mail {
        Publication(Arc<Publication>),
        Broker(BrokerEvent),
        /// Something that somebody waits for; dropped with the mail.
        Call(Arc<()>),
    }
}

/// What it synchronises with.
mod sync {
    use std::io;

    use shuttle::sync::{Arc, Condvar, Mutex};

    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

    /// A poll that only a waker ends.
    #[derive(Clone, Default)]
    pub(crate) struct Waker(Arc<(Mutex<bool>, Condvar)>);

    impl Waker {
        pub(crate) fn wake(&self) -> io::Result<()> {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_one();
            Ok(())
        }

        /// Sleeps until woken, as the poll does.
        pub(crate) fn poll(&self) {
            let mut is_woken = self.0.0.lock().unwrap();
            while !*is_woken {
                is_woken = self.0.1.wait(is_woken).unwrap();
            }
            *is_woken = false;
        }
    }
}

use std::sync::Arc;

use fanfare_hub::broker::Outlet as _;
use fanfare_protocol::{Draft, Payload, Position, Publication, Timestamp, TopicName};
use shuttle::thread;

use mail::Mail;
use mailbox::{BYTES_MAX, Mailbox};
use sync::Waker;

/// Schedules that each story is played in.
const SCHEDULES: usize = 20_000;

fn publication(bytes: usize) -> Arc<Publication> {
    let payload = Payload::binary(vec![0; bytes]);
    let draft = Draft::new(TopicName::parse("a").unwrap(), payload, Timestamp(0));
    let position = Position::default();
    Arc::new(Publication { draft, position })
}

/// Takes `count` pieces of mail as a shard does: sleeping when there is none.
fn read(mailbox: &Mailbox, waker: &Waker, count: usize) {
    let mut taken = 0;
    while taken < count {
        while mailbox.pop().is_some() {
            taken += 1;
        }
        if taken < count && mailbox.try_sleep() {
            waker.poll();
            mailbox.wake_up();
        }
    }
}

#[test]
fn no_mail_is_slept_over() {
    let story = || {
        let waker = Waker::default();
        let mailbox = Arc::new(Mailbox::new(waker.clone()));
        for _ in 0..2 {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                assert!(mailbox.try_post(Mail::Call(Arc::default())).is_ok());
                let publication = publication(1);
                assert!(mailbox.try_reserve(publication.draft.bytes()));
                mailbox.post_reserved(publication);
            });
        }
        read(&mailbox, &waker, 4);
        assert_eq!(mailbox.publications(), 0, "every place is given back");
    };
    shuttle::check_random(story, SCHEDULES);
    shuttle::check_pct(story, SCHEDULES, 3);
}

#[test]
fn bounds_hold_and_places_are_given_back_whoever_races() {
    let story = || {
        let waker = Waker::default();
        let mailbox = Arc::new(Mailbox::new(waker.clone()));
        let large = publication(BYTES_MAX / 2);
        let bytes = large.draft.bytes();
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (mailbox, large) = (Arc::clone(&mailbox), Arc::clone(&large));
                thread::spawn(move || {
                    if !mailbox.try_reserve(bytes) {
                        return 0;
                    }
                    assert!(mailbox.publications() <= 2, "three of them are more than fits");
                    if writer == 0 {
                        mailbox.cancel(bytes);
                        return 0;
                    }
                    mailbox.post_reserved(large);
                    1
                })
            })
            .collect();
        let posted: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        assert!(posted >= 1, "there is room for two, so one of the others gets in");
        read(&mailbox, &waker, posted);
        assert_eq!(mailbox.publications(), 0);
        assert!(
            mailbox.try_reserve(BYTES_MAX / 2) && mailbox.try_reserve(BYTES_MAX / 2),
            "everything is free again, to the byte"
        );
        assert!(!mailbox.try_reserve(1));
    };
    shuttle::check_random(story, SCHEDULES);
}

#[test]
fn nothing_is_left_in_a_mailbox_that_is_closed() {
    let story = || {
        let mailbox = Arc::new(Mailbox::new(Waker::default()));
        let awaited = Arc::new(());
        let writer = {
            let (mailbox, awaited) = (Arc::clone(&mailbox), Arc::clone(&awaited));
            thread::spawn(move || {
                let _ = mailbox.try_post(Mail::Call(Arc::clone(&awaited)));
                mailbox.post_unbounded(Mail::Call(awaited));
            })
        };
        mailbox.close();
        writer.join().unwrap();
        assert_eq!(Arc::strong_count(&awaited), 1, "nobody waits for an answer");
        assert!(mailbox.pop().is_none());
    };
    shuttle::check_random(story, SCHEDULES);
}
