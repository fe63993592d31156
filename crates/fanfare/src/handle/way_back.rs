//! The way back to the hub for those that are made before it.

use std::sync::{Arc, OnceLock, Weak};

use super::{Fanfare, Inner};

/// Leads to the hub as long as somebody holds it, and does not hold it itself: what asks the application belongs to the
/// hub, which would never end otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct WayBack(Arc<OnceLock<Weak<Inner>>>);

impl WayBack {
    /// Leads to this hub from now on.
    pub(super) fn lead_to(&self, inner: &Arc<Inner>) {
        // There is one hub, and it is made once.
        let _ = self.0.set(Arc::downgrade(inner));
    }

    #[cfg(test)]
    pub(crate) fn to(fanfare: &Fanfare) -> Self {
        let way_back = Self::default();
        way_back.lead_to(&fanfare.inner);
        way_back
    }

    /// The hub, unless nobody holds it any more.
    pub(crate) fn hub(&self) -> Option<Fanfare> {
        let inner = self.0.get()?.upgrade()?;
        Some(Fanfare { inner })
    }
}
