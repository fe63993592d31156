//! The names of client programs: a million connections come from a few hundred of them.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

/// Names that were told of late, each kept once for all connections that tell it.
///
/// Of names that fall on one place the latest is kept, so strangers with names of their own make nothing grow. A name costs a
/// hash, a short lock and a comparison.
#[derive(Debug)]
pub(super) struct UserAgents {
    places: Mutex<[Option<Arc<str>>; PLACES]>,
    /// Seeded, because clients choose their names.
    hasher: RandomState,
}

impl Default for UserAgents {
    fn default() -> Self {
        Self {
            places: Mutex::new([const { None }; PLACES]),
            hasher: RandomState::new(),
        }
    }
}

impl UserAgents {
    /// The same name, shared with those that told it before.
    pub(super) fn shared(&self, name: Arc<str>) -> Arc<str> {
        let place = self.hasher.hash_one(&*name) as usize % PLACES;
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        match &places[place] {
            Some(known) if *known == name => Arc::clone(known),
            _ => Arc::clone(places[place].insert(name)),
        }
    }
}

/// Enough for the programs of most fleets; at most 288 KiB with names of the longest kind.
const PLACES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_no_more_names_than_there_are_places() {
        let agents = UserAgents::default();
        let first = agents.shared("Browser/1".into());
        assert!(Arc::ptr_eq(&first, &agents.shared("Browser/1".into())));
        assert_eq!(&*agents.shared("Browser/2".into()), "Browser/2");
        for number in 0..10 * PLACES {
            let name = format!("Stranger/{number}");
            assert_eq!(*agents.shared(name.as_str().into()), *name);
        }
        let places = agents.places.lock().unwrap();
        assert!(places.iter().flatten().count() <= PLACES);
        drop(places);
        assert_eq!(&*agents.shared("Browser/1".into()), "Browser/1");
    }
}
