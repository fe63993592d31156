//! Faults on demand: with the feature `fault-injection`, which no default build has, `/fault/PLACE` makes that place
//! panic the next time it is passed. Without it there is nothing here.

use axum::Router;

/// Where a fault can be put.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The handler of the request itself.
    #[cfg(feature = "fault-injection")]
    Handler,
    /// The chore that drops old history.
    History,
    /// The task that accepts connections.
    Listener,
    /// The watch over memory.
    Memory,
}

#[cfg(feature = "fault-injection")]
mod injected {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::routing::any;

    use super::{Place, Router};

    static ARMED: [AtomicBool; 4] = [const { AtomicBool::new(false) }; 4];

    pub(in super::super) fn trip(place: Place) {
        let is_armed = ARMED[place as usize].swap(false, Ordering::SeqCst);
        assert!(!is_armed, "a fault was injected");
    }

    pub(in super::super) fn mount(router: Router) -> Router {
        let arm = |place: Place| {
            any(async move || {
                ARMED[place as usize].store(true, Ordering::SeqCst);
                if matches!(place, Place::Handler) {
                    trip(place);
                }
            })
        };
        router
            .route("/fault/handler", arm(Place::Handler))
            .route("/fault/history", arm(Place::History))
            .route("/fault/listener", arm(Place::Listener))
            .route("/fault/memory", arm(Place::Memory))
    }
}

#[cfg(feature = "fault-injection")]
pub(super) use injected::{mount, trip};

#[cfg(not(feature = "fault-injection"))]
pub(super) fn trip(_place: Place) {}

#[cfg(not(feature = "fault-injection"))]
pub(super) fn mount(router: Router) -> Router {
    router
}
