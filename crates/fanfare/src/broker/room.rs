//! How many topics there may be at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use fanfare_hub::broker::Refusal;
use fanfare_protocol::TopicName;

/// Counts the topics of all partitions. The server's own are not counted: connections bound them.
pub(super) struct TopicRoom {
    taken: AtomicUsize,
    max: usize,
}

impl TopicRoom {
    /// Room for `max` topics; 0 for any number.
    pub(super) fn new(max: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            max: if max == 0 { usize::MAX } else { max },
        }
    }

    /// Takes a place for another topic.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn take(&self, topic: &TopicName) -> Result<(), Refusal> {
        if !topic.is_reserved() && self.taken.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::TooManyTopics);
        }
        Ok(())
    }

    /// A topic is gone.
    pub(super) fn give_back(&self, topic: &TopicName) {
        if !topic.is_reserved() {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
