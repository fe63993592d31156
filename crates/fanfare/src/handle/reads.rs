//! What the application reads of the broker: an outlet of the handle's own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfare_hub::broker::{Broker, BrokerEvent, Outlet, OutletId, Page, Read, ReadId, Refusal};
use fanfare_protocol::{Publication, TopicName};
use slab::Slab;
use tokio::sync::oneshot;

use super::CallError;

/// What the application reads of a broker.
pub(super) struct Reads {
    answers: Arc<Answers>,
    outlet: OutletId,
}

impl Reads {
    /// Those of a broker.
    pub(super) fn of(broker: &dyn Broker) -> Self {
        let answers = Arc::new(Answers::default());
        let outlet = broker.attach(Arc::clone(&answers) as Arc<dyn Outlet>);
        Self { answers, outlet }
    }

    /// Reads a page.
    ///
    /// # Errors
    /// [`READS_MAX`] are under way, the broker cannot read now, or the hub is over.
    pub(super) async fn read(
        &self,
        broker: &dyn Broker,
        topic: &TopicName,
        read: Read,
    ) -> Result<Page, CallError> {
        let (id, answered) = self.answers.open()?;
        broker.read(self.outlet, topic, read, id);
        Ok(answered.await.map_err(|_| CallError::Closed)??)
    }

    /// The hub is over: nobody is answered any more.
    pub(super) fn close(&self) {
        self.answers.close();
    }
}

/// What a read ends with.
type Outcome = Result<Page, Refusal>;

/// Who waits for which answer. A read has its place until the broker has answered, also when nobody waits for it any more:
/// so the broker never has more to do than there are places.
struct Answers {
    /// None once the hub is over.
    waiting: Mutex<Option<Slab<oneshot::Sender<Outcome>>>>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Some(Slab::new())),
        }
    }
}

impl Answers {
    /// Takes a place for a read that the broker will be asked for.
    fn open(&self) -> Result<(ReadId, oneshot::Receiver<Outcome>), CallError> {
        let mut waiting = self.waiting();
        let waiting = waiting.as_mut().ok_or(CallError::Closed)?;
        if waiting.len() >= READS_MAX {
            return Err(CallError::Busy);
        }
        let (answer, answered) = oneshot::channel();
        Ok((ReadId(waiting.insert(answer) as u64), answered))
    }

    fn close(&self) {
        // Whoever waits is told by the drop.
        self.waiting().take();
    }

    fn end(&self, ReadId(read): ReadId) -> Option<oneshot::Sender<Outcome>> {
        self.waiting().as_mut()?.try_remove(read as usize)
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Slab<oneshot::Sender<Outcome>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet for Answers {
    fn try_reserve(&self, _bytes: usize) -> bool {
        true
    }

    fn cancel(&self, _bytes: usize) {}

    /// It joins no topic.
    fn post_reserved(&self, _publication: Arc<Publication>) {}

    fn post(&self, answer: BrokerEvent) {
        if let BrokerEvent::Read { read, outcome } = answer
            && let Some(waiting) = self.end(read)
        {
            // The caller may have stopped waiting.
            let _ = waiting.send(outcome);
        }
    }
}

/// Reads of the application that may be under way at once. Beyond: [`CallError::Busy`]. Each takes a page at most, whose
/// publications are shared with the log where that is in memory.
const READS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use fanfare_protocol::Position;

    use super::*;

    fn answer(answers: &Answers, read: ReadId, offset: u64) {
        let end = Position {
            offset,
            ..Position::default()
        };
        let page = Page {
            start: end,
            end,
            oldest: 1,
            lost: None,
            publications: Vec::new(),
        };
        answers.post(BrokerEvent::Read {
            read,
            outcome: Ok(page),
        });
    }

    #[tokio::test]
    async fn one_read_too_many_is_refused_until_the_broker_has_answered_another() {
        let answers = Answers::default();
        let mut waiting: Vec<_> = (0..READS_MAX).map(|_| answers.open().unwrap()).collect();
        assert_eq!(answers.open().map(|_| ()), Err(CallError::Busy));
        let (given_up, receiver) = waiting.pop().unwrap();
        drop(receiver);
        // Nobody waits for it, and the broker still works at it.
        assert_eq!(answers.open().map(|_| ()), Err(CallError::Busy));
        answer(&answers, given_up, 1);
        let (again, answered) = answers.open().unwrap();
        answer(&answers, again, 2);
        assert_eq!(
            answered.await.unwrap().unwrap().end.offset,
            2,
            "and not the one before"
        );
    }

    #[tokio::test]
    async fn nobody_waits_for_a_hub_that_is_over() {
        let answers = Answers::default();
        let (read, answered) = answers.open().unwrap();
        answers.close();
        assert!(answered.await.is_err());
        assert_eq!(answers.open().map(|_| ()), Err(CallError::Closed));
        answer(&answers, read, 1);
    }
}
