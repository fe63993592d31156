//! An outlet that remembers what was posted to it, and the shard's side of the contract around it.

#![allow(
    clippy::disallowed_types,
    reason = "brokers post from any thread; only the suite has an outlet here, a hub has none"
)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use fanfare_protocol::{Draft, Position, Publication, TopicName};

use crate::broker::{
    Broker, BrokerEvent, Outlet, OutletId, Page, PublishId, Published, Read, ReadId, Refusal, Start,
};

/// A shard as the suite plays it: an outlet, and the calls made in its name.
pub(super) struct Probe<'a, B: ?Sized> {
    broker: &'a B,
    pub(super) id: OutletId,
    mailbox: Arc<Mailbox>,
    requests: AtomicU64,
}

struct Mailbox {
    places_max: usize,
    bytes_max: usize,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    mail: VecDeque<Mail>,
    published: Vec<(PublishId, Result<Published, Refusal>)>,
    /// Places set aside and not used yet, and their bytes.
    reserved: usize,
    reserved_bytes: usize,
    /// Publications in `mail`.
    waiting: usize,
    waiting_bytes: usize,
}

enum Mail {
    Publication(Arc<Publication>),
    Joined(TopicName, Result<Position, Refusal>),
    Read(ReadId, Result<Page, Refusal>),
}

/// How long an answer may take: 500 waits of 10 ms.
const WAITS: usize = 500;
const WAIT: Duration = Duration::from_millis(10);

impl<'a, B: Broker + ?Sized> Probe<'a, B> {
    /// An outlet with room for everything the suite posts.
    pub(super) fn new(broker: &'a B) -> Self {
        Self::with_room(broker, usize::MAX, usize::MAX)
    }

    /// An outlet with room for `places_max` publications of `bytes_max` bytes.
    pub(super) fn with_room(broker: &'a B, places_max: usize, bytes_max: usize) -> Self {
        let mailbox = Arc::new(Mailbox {
            places_max,
            bytes_max,
            state: Mutex::default(),
            arrived: Condvar::new(),
        });
        let id = broker.attach(Arc::clone(&mailbox) as Arc<dyn Outlet>);
        Self {
            broker,
            id,
            mailbox,
            requests: AtomicU64::new(0),
        }
    }

    /// Publishes and waits for the answer, however it comes.
    pub(super) fn publish(&self, draft: Draft) -> Result<Published, Refusal> {
        let publish = PublishId(self.requests.fetch_add(1, Ordering::Relaxed));
        match self.broker.publish(draft, self.id, publish) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => self.mailbox.wait("the answer to a publish", |state| {
                let at = state.published.iter().position(|(id, _)| *id == publish)?;
                Some(state.published.swap_remove(at).1)
            }),
        }
    }

    /// Joins and waits for the answer. Publications that stood in the mailbox before it are thrown away, as a shard
    /// does that has no position.
    pub(super) fn join(&self, topic: &TopicName) -> Position {
        self.broker.join(self.id, topic);
        let outcome = self.mailbox.wait("the answer to a join", |state| {
            while let Some(mail) = state.pop() {
                if let Mail::Joined(joined, outcome) = mail
                    && joined == *topic
                {
                    return Some(outcome);
                }
            }
            None
        });
        match outcome {
            Ok(position) => position,
            Err(refusal) => panic!("a join was refused: {refusal}"),
        }
    }

    /// Reads and waits for the page. Gives with it the publications that stood in the mailbox before it.
    pub(super) fn read(&self, topic: &TopicName, read: Read) -> (Page, Vec<Arc<Publication>>) {
        let id = ReadId(self.requests.fetch_add(1, Ordering::Relaxed));
        self.broker.read(self.id, topic, read, id);
        let mut before = Vec::new();
        let outcome = self.mailbox.wait("the answer to a read", |state| {
            while let Some(mail) = state.pop() {
                match mail {
                    Mail::Read(answered, outcome) if answered == id => return Some(outcome),
                    Mail::Publication(publication) => before.push(publication),
                    Mail::Read(..) | Mail::Joined(..) => panic!("something is answered that was not asked"),
                }
            }
            None
        });
        match outcome {
            Ok(page) => (page, before),
            Err(refusal) => panic!("a read was refused: {refusal}"),
        }
    }

    /// Reads as much as there is.
    pub(super) fn read_all(&self, topic: &TopicName, start: Start) -> Page {
        let read = Read {
            start,
            publications_max: usize::MAX,
            bytes_max: usize::MAX,
        };
        self.read(topic, read).0
    }

    /// Waits for the next publication.
    pub(super) fn publication(&self, awaited: &str) -> Arc<Publication> {
        self.mailbox.wait(awaited, |state| match state.pop()? {
            Mail::Publication(publication) => Some(publication),
            Mail::Joined(topic, _) => panic!("a join of {topic} was answered twice"),
            Mail::Read(..) => panic!("a read was answered twice"),
        })
    }

    /// Publications that wait.
    pub(super) fn waiting(&self) -> usize {
        self.mailbox.lock().waiting
    }

    /// Places set aside for publications that have not come, and their bytes.
    pub(super) fn reserved(&self) -> (usize, usize) {
        let state = self.mailbox.lock();
        (state.reserved, state.reserved_bytes)
    }

    /// Everything that was posted and not taken, answers included.
    pub(super) fn untaken(&self) -> usize {
        let state = self.mailbox.lock();
        state.mail.len() + state.published.len()
    }

    /// Asks for everything that has an answer, and waits for none.
    pub(super) fn ask_without_waiting(&self, draft: Draft) {
        self.broker.join(self.id, &draft.topic);
        let read = Read {
            start: Start::Oldest,
            publications_max: 1,
            bytes_max: 1,
        };
        let id = ReadId(self.requests.fetch_add(1, Ordering::Relaxed));
        self.broker.read(self.id, &draft.topic, read, id);
        let publish = PublishId(self.requests.fetch_add(1, Ordering::Relaxed));
        // Whether it is decided at once is the broker's affair.
        let _ = self.broker.publish(draft, self.id, publish);
    }

    /// Lets a moment go by in which what must not come could come.
    pub(super) fn rest(&self) {
        let _ = self
            .mailbox
            .arrived
            .wait_timeout(self.mailbox.lock(), WAIT)
            .unwrap_or_else(PoisonError::into_inner);
    }

    /// Goes once through the broker, so that whatever it had to say to this outlet before has been said.
    pub(super) fn fence(&self) {
        let topic = super::topic(&format!("fence-{}", self.id.0));
        self.broker.join(self.id, &topic);
        self.mailbox.wait("the answer to a join", |state| {
            let is_fence = |mail: &Mail| matches!(mail, Mail::Joined(joined, _) if *joined == topic);
            let at = state.mail.iter().position(is_fence)?;
            state.mail.remove(at)
        });
        self.broker.leave(self.id, &topic);
    }
}

impl State {
    fn pop(&mut self) -> Option<Mail> {
        let mail = self.mail.pop_front()?;
        if let Mail::Publication(publication) = &mail {
            self.waiting -= 1;
            self.waiting_bytes -= publication.draft.bytes();
        }
        Some(mail)
    }

    fn use_place(&mut self, bytes: usize, otherwise: &str) {
        assert!(self.reserved > 0 && self.reserved_bytes >= bytes, "{otherwise}");
        self.reserved -= 1;
        self.reserved_bytes -= bytes;
    }
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `take` finds what is awaited.
    fn wait<T>(&self, awaited: &str, mut take: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.lock();
        for _ in 0..WAITS {
            if let Some(found) = take(&mut state) {
                return found;
            }
            (state, _) = self
                .arrived
                .wait_timeout(state, WAIT)
                .unwrap_or_else(PoisonError::into_inner);
        }
        panic!("{awaited} did not come");
    }
}

impl Outlet for Mailbox {
    fn try_reserve(&self, bytes: usize) -> bool {
        let mut state = self.lock();
        let places = state.reserved + state.waiting;
        let taken = state.reserved_bytes + state.waiting_bytes;
        let has_place = places == 0 || (places < self.places_max && taken + bytes <= self.bytes_max);
        if has_place {
            state.reserved += 1;
            state.reserved_bytes += bytes;
        }
        has_place
    }

    fn cancel(&self, bytes: usize) {
        self.lock()
            .use_place(bytes, "a place is given back that was not set aside");
    }

    fn post_reserved(&self, publication: Arc<Publication>) {
        let mut state = self.lock();
        let bytes = publication.draft.bytes();
        state.use_place(
            bytes,
            "a publication is posted without a place of its size set aside",
        );
        state.waiting += 1;
        state.waiting_bytes += bytes;
        state.mail.push_back(Mail::Publication(publication));
        self.arrived.notify_all();
    }

    fn post(&self, answer: BrokerEvent) {
        let mut state = self.lock();
        match answer {
            BrokerEvent::Publication(publication) => {
                panic!(
                    "{:?} is posted as an answer, without a place set aside",
                    publication.position
                )
            }
            BrokerEvent::Joined { topic, outcome } => state.mail.push_back(Mail::Joined(topic, outcome)),
            BrokerEvent::Read { read, outcome } => state.mail.push_back(Mail::Read(read, outcome)),
            BrokerEvent::Published { publish, outcome } => state.published.push((publish, outcome)),
        }
        self.arrived.notify_all();
    }
}
