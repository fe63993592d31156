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

use crate::broker::{Broker, BrokerEvent, Outlet, OutletId, PublishId, Refusal, Snapshot};

/// A shard as the suite plays it: an outlet, and the calls made in its name.
pub(super) struct Probe<'a, B: ?Sized> {
    broker: &'a B,
    pub(super) id: OutletId,
    mailbox: Arc<Mailbox>,
    publishes: AtomicU64,
}

struct Mailbox {
    places_max: usize,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    mail: VecDeque<Mail>,
    published: Vec<(PublishId, Result<Position, Refusal>)>,
    /// Places set aside and not used yet.
    reserved: usize,
    /// Publications in `mail`.
    waiting: usize,
}

enum Mail {
    Publication(Arc<Publication>),
    Joined(TopicName, Result<Snapshot, Refusal>),
}

/// How long an answer may take: 500 waits of 10 ms.
const WAITS: usize = 500;
const WAIT: Duration = Duration::from_millis(10);

impl<'a, B: Broker + ?Sized> Probe<'a, B> {
    /// An outlet with room for everything the suite posts.
    pub(super) fn new(broker: &'a B) -> Self {
        Self::with_places(broker, usize::MAX)
    }

    /// An outlet with room for `places_max` publications.
    pub(super) fn with_places(broker: &'a B, places_max: usize) -> Self {
        let mailbox = Arc::new(Mailbox {
            places_max,
            state: Mutex::default(),
            arrived: Condvar::new(),
        });
        let id = broker.attach(Arc::clone(&mailbox) as Arc<dyn Outlet>);
        Self {
            broker,
            id,
            mailbox,
            publishes: AtomicU64::new(0),
        }
    }

    /// Publishes and waits for the answer, however it comes.
    pub(super) fn publish(&self, draft: Draft) -> Result<Position, Refusal> {
        let publish = PublishId(self.publishes.fetch_add(1, Ordering::Relaxed));
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
    pub(super) fn join(&self, topic: &TopicName, since: Option<Position>) -> Snapshot {
        self.broker.join(self.id, topic, since);
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
            Ok(snapshot) => snapshot,
            Err(refusal) => panic!("a join was refused: {refusal}"),
        }
    }

    /// Waits for the next publication.
    pub(super) fn publication(&self, awaited: &str) -> Arc<Publication> {
        self.mailbox.wait(awaited, |state| match state.pop()? {
            Mail::Publication(publication) => Some(publication),
            Mail::Joined(topic, _) => panic!("a join of {topic} was answered twice"),
        })
    }

    /// Publications that wait.
    pub(super) fn waiting(&self) -> usize {
        self.mailbox.lock().waiting
    }

    /// Places set aside for publications that have not come.
    pub(super) fn reserved(&self) -> usize {
        self.mailbox.lock().reserved
    }

    /// Goes once through the broker, so that whatever it had to say to this outlet before has been said.
    pub(super) fn fence(&self) {
        let topic = super::topic(&format!("fence-{}", self.id.0));
        self.broker.join(self.id, &topic, None);
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
        self.waiting -= usize::from(matches!(mail, Mail::Publication(_)));
        Some(mail)
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
    fn try_reserve(&self) -> bool {
        let mut state = self.lock();
        let has_place = state.reserved + state.waiting < self.places_max;
        state.reserved += usize::from(has_place);
        has_place
    }

    fn cancel(&self) {
        let mut state = self.lock();
        assert!(state.reserved > 0, "a place is given back that was not set aside");
        state.reserved -= 1;
    }

    fn post_reserved(&self, publication: Arc<Publication>) {
        let mut state = self.lock();
        assert!(
            state.reserved > 0,
            "a publication is posted without a place set aside"
        );
        state.reserved -= 1;
        state.waiting += 1;
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
            BrokerEvent::Published { publish, outcome } => state.published.push((publish, outcome)),
        }
        self.arrived.notify_all();
    }
}
