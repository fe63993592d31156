//! A place for a connection on its way from the door to its shard.

use std::sync::Arc;

use fanfare_hub::Opened;

use super::Fanfare;
use crate::door::{Cause, Place};
use crate::entrant::Entrant;
use crate::shard::{Adoption, Counted, Mail, Transport};

/// A place for a connection in a shard; free again when it is dropped without one.
pub(crate) struct Seat {
    fanfare: Fanfare,
    shard: usize,
    counted: Counted,
}

impl Seat {
    /// The hub whose shard it is in.
    pub(crate) fn fanfare(&self) -> &Fanfare {
        &self.fanfare
    }

    /// Gives the connection to the shard. When that takes no mail the connection is dropped, and counted as turned away.
    pub(crate) fn adopt(
        self,
        transport: Transport,
        early: Vec<u8>,
        opened: Opened,
        (place, entrant): (Option<Box<Place>>, Option<Arc<Entrant>>),
    ) {
        let remote = opened.remote;
        let adoption = Adoption {
            transport,
            early,
            opened,
            place,
            entrant,
            counted: self.counted,
        };
        let posted = self.fanfare.post(self.shard, Mail::Adopt(Box::new(adoption)));
        if posted.is_err() {
            self.fanfare.gate().turned_away(Cause::Adoption, remote);
        }
    }
}

impl Fanfare {
    /// Sets a place aside in a shard. It counts as a connection from now on.
    pub(crate) fn take_seat(&self) -> Seat {
        let shard = self.choose_shard();
        Seat {
            fanfare: self.clone(),
            shard,
            counted: Counted::new(&self.inner.stats[shard]),
        }
    }

    /// The less loaded of two shards, or of all where both have ended.
    fn choose_shard(&self) -> usize {
        let count = self.inner.stats.len();
        let load = |shard: &usize| {
            let connections = self.inner.stats[*shard].connections();
            (self.inner.mailboxes[*shard].is_closed(), connections)
        };
        let two = [fastrand::usize(..count), fastrand::usize(..count)];
        let less = two.into_iter().min_by_key(load).filter(|shard| !load(shard).0);
        less.or_else(|| (0..count).min_by_key(load)).unwrap_or(0)
    }
}
