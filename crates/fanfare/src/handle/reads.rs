//! Where the pages arrive that the application reads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfare_hub::broker::{BrokerEvent, Outlet, Page, ReadId, Refusal};
use fanfare_protocol::Publication;
use slab::Slab;
use tokio::sync::oneshot;

use super::CallError;

/// What a read ends with.
type Outcome = Result<Page, Refusal>;

/// Where the pages arrive that the application reads. A read has its place until the broker has answered, also when
/// nobody waits for it any more: so the broker never has more to do than there are places.
pub(super) struct Reads {
    /// Who waits; none once the hub is over.
    waiting: Mutex<Option<Slab<oneshot::Sender<Outcome>>>>,
}

impl Default for Reads {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Some(Slab::new())),
        }
    }
}

impl Reads {
    /// Takes a place for a read that the broker will be asked for.
    ///
    /// # Errors
    /// [`READS_MAX`] are under way, or the hub is over.
    pub(super) fn open(&self) -> Result<(ReadId, oneshot::Receiver<Outcome>), CallError> {
        let mut waiting = self.waiting();
        let waiting = waiting.as_mut().ok_or(CallError::Closed)?;
        if waiting.len() >= READS_MAX {
            return Err(CallError::Busy);
        }
        let (answer, answered) = oneshot::channel();
        Ok((ReadId(waiting.insert(answer) as u64), answered))
    }

    /// The hub is over: nobody is answered any more.
    pub(super) fn close(&self) {
        // Whoever waits is told by the drop.
        self.waiting().take();
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Slab<oneshot::Sender<Outcome>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, ReadId(read): ReadId) -> Option<oneshot::Sender<Outcome>> {
        self.waiting().as_mut()?.try_remove(read as usize)
    }
}

impl Outlet for Reads {
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
pub(super) const READS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use fanfare_protocol::Position;

    use super::*;

    fn answer(reads: &Reads, read: ReadId, offset: u64) {
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
        reads.post(BrokerEvent::Read {
            read,
            outcome: Ok(page),
        });
    }

    #[tokio::test]
    async fn one_read_too_many_is_refused_until_the_broker_has_answered_another() {
        let reads = Reads::default();
        let mut waiting: Vec<_> = (0..READS_MAX).map(|_| reads.open().unwrap()).collect();
        assert_eq!(reads.open().map(|_| ()), Err(CallError::Busy));
        let (given_up, receiver) = waiting.pop().unwrap();
        drop(receiver);
        // Nobody waits for it, and the broker still works at it.
        assert_eq!(reads.open().map(|_| ()), Err(CallError::Busy));
        answer(&reads, given_up, 1);
        let (again, answered) = reads.open().unwrap();
        answer(&reads, again, 2);
        assert_eq!(
            answered.await.unwrap().unwrap().end.offset,
            2,
            "and not the one before"
        );
    }

    #[tokio::test]
    async fn nobody_waits_for_a_hub_that_is_over() {
        let reads = Reads::default();
        let (read, answered) = reads.open().unwrap();
        reads.close();
        assert!(answered.await.is_err());
        assert_eq!(reads.open().map(|_| ()), Err(CallError::Closed));
        answer(&reads, read, 1);
    }
}
