//! Notices that wait to be delivered, oldest first.

use std::collections::VecDeque;

/// A queue that is bounded in number and in bytes. What does not fit is dropped: the newest, so that what was taken in is
/// delivered.
#[derive(Debug)]
pub(super) struct Queue {
    texts: VecDeque<String>,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
    dropped: u64,
}

impl Queue {
    pub(super) fn new(count_max: usize, bytes_max: usize) -> Self {
        Self {
            texts: VecDeque::new(),
            bytes: 0,
            count_max,
            bytes_max,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, text: String) {
        if self.texts.len() >= self.count_max || self.bytes + text.len() > self.bytes_max {
            self.dropped += 1;
            return;
        }
        self.bytes += text.len();
        self.texts.push_back(text);
    }

    /// The oldest ones, at least one if there is any: as a JSON array, and how many they are. They stay.
    pub(super) fn batch(&self) -> (String, usize) {
        let (mut array, mut count) = (String::from("["), 0);
        for text in self.texts.iter().take(BATCH_MAX) {
            if count > 0 && array.len() + text.len() > BATCH_BYTES_MAX {
                break;
            }
            if count > 0 {
                array.push(',');
            }
            array.push_str(text);
            count += 1;
        }
        array.push(']');
        (array, count)
    }

    /// Takes the oldest ones out.
    pub(super) fn remove(&mut self, count: usize) {
        let removed = self.texts.drain(..count.min(self.texts.len()));
        self.bytes -= removed.map(|text| text.len()).sum::<usize>();
        if self.texts.is_empty() {
            // What a full queue took is not kept for an empty one.
            self.texts = VecDeque::new();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Notices in one request.
const BATCH_MAX: usize = 256;

/// Bytes of them, unless it is one alone.
const BATCH_BYTES_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_and_what_was_taken_in_is_kept() {
        let mut queue = Queue::new(3, 10);
        for text in ["1", "2", "123456789", "3", "4"] {
            queue.push(text.to_owned());
        }
        assert_eq!(queue.batch(), ("[1,2,3]".to_owned(), 3));
        assert_eq!((queue.len(), queue.dropped()), (3, 2));
        queue.remove(2);
        queue.push("12345678".to_owned());
        queue.push("12345678".to_owned());
        assert_eq!(queue.batch(), ("[3,12345678]".to_owned(), 2));
        assert_eq!(queue.dropped(), 3);
        queue.remove(2);
        assert_eq!(queue.batch(), ("[]".to_owned(), 0));
        queue.push("1234567890".to_owned());
        assert_eq!(queue.len(), 1, "all of its bytes were given back");
    }

    #[test]
    fn a_batch_is_bounded_and_never_empty() {
        let mut queue = Queue::new(10_000, 100 << 20);
        (0..1_000).for_each(|_| queue.push("1".to_owned()));
        assert_eq!(queue.batch().1, BATCH_MAX);
        queue.remove(1_000);
        for bytes in [BATCH_BYTES_MAX + 1, BATCH_BYTES_MAX / 2, BATCH_BYTES_MAX / 2] {
            queue.push("1".repeat(bytes));
        }
        assert_eq!(queue.batch().1, 1, "one that is too large goes alone");
        queue.remove(1);
        assert_eq!(queue.batch().1, 1);
    }
}
