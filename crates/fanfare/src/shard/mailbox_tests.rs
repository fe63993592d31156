//! The bounds of a mailbox, and its end. How it sleeps and wakes is checked by `tests/mailbox_model.rs` too.

use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::Listed;
use fanfare_hub::broker::{BrokerEvent, Outlet as _};
use fanfare_protocol::{Draft, Payload, Position, Publication, Timestamp, TopicName};
use mio::{Events, Poll, Waker};

use super::mail::Mail;
use super::mailbox::{BYTES_MAX, Mailbox, NotPosted, OTHERS_MAX, PUBLICATIONS_MAX};
use super::{Shard, WAKER};

fn mailbox() -> (Poll, Arc<Mailbox>) {
    Shard::prepare().unwrap()
}

fn publication(bytes: usize) -> Arc<Publication> {
    let payload = Payload::binary(vec![0; bytes]);
    let draft = Draft::new(TopicName::parse("a").unwrap(), payload, Timestamp(0));
    let position = Position::default();
    Arc::new(Publication { draft, position })
}

#[test]
fn places_are_bounded_and_given_back() {
    let (_poll, mailbox) = mailbox();
    let taken = (0..PUBLICATIONS_MAX + 5).filter(|_| mailbox.try_reserve(1));
    assert_eq!(taken.count(), PUBLICATIONS_MAX);
    mailbox.cancel(1);
    assert!(mailbox.try_reserve(1));
    assert!(!mailbox.try_reserve(1));
}

#[test]
fn bytes_are_bounded_and_given_back() {
    let (_poll, mailbox) = mailbox();
    let bytes = BYTES_MAX / 8;
    assert_eq!((0..10).filter(|_| mailbox.try_reserve(bytes)).count(), 8);
    mailbox.cancel(bytes);
    assert!(mailbox.try_reserve(bytes * 3), "the last one may pass the bound");
    assert!(!mailbox.try_reserve(1));
}

#[test]
fn half_of_either_bound_is_the_end_of_room() {
    let (_poll, mailbox) = mailbox();
    assert!(mailbox.try_reserve(BYTES_MAX / 2 - 1) && mailbox.has_room());
    assert!(mailbox.try_reserve(1) && !mailbox.has_room());
    let (_poll, mailbox) = self::mailbox();
    assert!((1..PUBLICATIONS_MAX / 2).all(|_| mailbox.try_reserve(1)) && mailbox.has_room());
    assert!(mailbox.try_reserve(1) && !mailbox.has_room());
}

#[test]
fn a_publication_of_any_size_passes_while_there_is_room() {
    let (_poll, mailbox) = mailbox();
    assert!(mailbox.try_reserve(1));
    let large = publication(BYTES_MAX * 2);
    let bytes = large.draft.bytes();
    assert!(mailbox.try_reserve(bytes));
    assert!(!mailbox.try_reserve(1), "and then nothing else does");
    mailbox.post_reserved(large);
    assert!(!mailbox.try_reserve(bytes));
    assert!(mailbox.pop().is_some());
    assert!(mailbox.try_reserve(bytes));
}

#[test]
fn other_mail_is_bounded() {
    let (_poll, mailbox) = mailbox();
    let posted = (0..OTHERS_MAX + 5).filter(|_| mailbox.try_post(Mail::Stop).is_ok());
    assert_eq!(posted.count(), OTHERS_MAX);
    assert_eq!(mailbox.try_post(Mail::Stop), Err(NotPosted::Full));
    assert!(mailbox.pop().is_some());
    assert_eq!(mailbox.try_post(Mail::Stop), Ok(()));
}

#[test]
fn mail_of_a_broker_is_dropped_and_other_mail_stays_in_order() {
    let (_poll, mailbox) = mailbox();
    let ours = publication(10);
    assert!(mailbox.try_reserve(ours.draft.bytes()));
    mailbox.try_post(Mail::Shutdown { window_ms: 1 }).unwrap();
    mailbox.post_reserved(ours);
    let topic = TopicName::parse("a").unwrap();
    let outcome = Err(fanfare_hub::broker::Refusal::Unavailable);
    mailbox.post(BrokerEvent::Joined { topic, outcome });
    mailbox.try_post(Mail::Stop).unwrap();
    mailbox.drop_broker_mail();
    assert_eq!(mailbox.publications(), 0);
    assert!(matches!(mailbox.pop(), Some(Mail::Shutdown { .. })));
    assert!(matches!(mailbox.pop(), Some(Mail::Stop)));
    assert!(mailbox.pop().is_none());
}

#[test]
fn a_closed_mailbox_drops_what_waits_and_what_comes() {
    let (_poll, mailbox) = mailbox();
    let (answer, mut answered) = tokio::sync::oneshot::channel();
    let page = Mail::Page {
        listed: Listed::All,
        from: 0,
        count: 1,
        answer,
    };
    mailbox.try_post(page).unwrap();
    mailbox.close();
    assert!(answered.try_recv().is_err(), "whoever waits is not left waiting");
    assert_eq!(mailbox.try_post(Mail::Stop), Err(NotPosted::Closed));
    mailbox.post_unbounded(Mail::Stop);
    assert!(mailbox.pop().is_none());
}

#[test]
fn no_mail_is_slept_over() {
    let mut poll = Poll::new().unwrap();
    let mailbox = Arc::new(Mailbox::new(Waker::new(poll.registry(), WAKER).unwrap()));
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
