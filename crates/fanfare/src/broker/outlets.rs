//! The outlets that are attached to a broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfare_hub::broker::{BrokerEvent, Outlet, OutletId};

/// The outlets by their ids, none of which comes again: what was asked in the name of one that is gone is answered to
/// nobody.
#[derive(Default)]
pub(super) struct Outlets(Mutex<Attached>);

#[derive(Default)]
struct Attached {
    outlets: HashMap<OutletId, (Arc<dyn Outlet>, usize)>,
    next: u32,
}

impl Outlets {
    pub(super) fn attach(&self, outlet: Arc<dyn Outlet>) -> OutletId {
        let mut attached = self.lock();
        let id = OutletId(attached.next);
        attached.next = attached.next.wrapping_add(1);
        attached.outlets.insert(id, (outlet, 0));
        id
    }

    /// When this returns, nothing is posted by its id any more.
    pub(super) fn detach(&self, id: OutletId) {
        self.lock().outlets.remove(&id);
    }

    pub(super) fn get(&self, id: OutletId) -> Option<Arc<dyn Outlet>> {
        let attached = self.lock();
        attached.outlets.get(&id).map(|(outlet, _)| Arc::clone(outlet))
    }

    /// Posts an answer, if the outlet is still attached.
    pub(super) fn post(&self, id: OutletId, event: BrokerEvent) {
        // Under the lock, so that nothing comes behind a detaching.
        if let Some((outlet, _)) = self.lock().outlets.get(&id) {
            outlet.post(event);
        }
    }

    /// Changes how many topics an outlet has joined.
    pub(super) fn count_topics(&self, id: OutletId, change: isize) {
        if let Some((_, topics)) = self.lock().outlets.get_mut(&id) {
            *topics = topics.saturating_add_signed(change);
        }
    }

    pub(super) fn has_joined(&self, id: OutletId) -> bool {
        self.lock()
            .outlets
            .get(&id)
            .is_some_and(|(_, topics)| *topics > 0)
    }

    fn lock(&self) -> MutexGuard<'_, Attached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
