//! Where answers for the application's own publishes arrive.

use std::sync::{Arc, Mutex, PoisonError};

use fanfare_hub::broker::{BrokerEvent, Outlet, PublishId, Published, Refusal};
use fanfare_protocol::Publication;
use slab::Slab;
use tokio::sync::oneshot;

/// Where answers for the application's own publishes arrive.
#[derive(Default)]
pub(super) struct Desk {
    waiting: Mutex<Slab<oneshot::Sender<Result<Published, Refusal>>>>,
}

impl Desk {
    pub(super) fn open(&self) -> (PublishId, oneshot::Receiver<Result<Published, Refusal>>) {
        let (answer, answered) = oneshot::channel();
        let key = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(answer);
        (PublishId(key as u64), answered)
    }

    pub(super) fn close(&self, publish: PublishId) -> Option<oneshot::Sender<Result<Published, Refusal>>> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_remove(publish.0 as usize)
    }
}

impl Outlet for Desk {
    fn try_reserve(&self, _bytes: usize) -> bool {
        true
    }

    fn cancel(&self, _bytes: usize) {}

    /// The desk joins no topic.
    fn post_reserved(&self, _publication: Arc<Publication>) {}

    fn post(&self, answer: BrokerEvent) {
        if let BrokerEvent::Published { publish, outcome } = answer
            && let Some(waiting) = self.close(publish)
        {
            // The caller may have stopped waiting.
            let _ = waiting.send(outcome);
        }
    }
}
