//! What one subscriber must see: every sequence number of its topic once, in order.

use std::ops::Range;

/// What a delivery was, seen from the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one, or one after a gap.
    Fresh,
    /// One that was missing; it came after later ones.
    Late,
    /// One that had come before.
    Duplicate,
}

/// Follows the sequence numbers one subscriber receives.
///
/// The first delivery sets the beginning: what was published before the subscription took effect is not missed.
#[derive(Debug, Default)]
pub(crate) struct OrderChecker {
    next: Option<u64>,
    /// Ranges passed over, in ascending order and disjoint; what is in them at the end was lost.
    missing: Vec<Range<u64>>,
    duplicated: u64,
    reordered: u64,
}

impl OrderChecker {
    /// Takes in one delivery.
    pub(crate) fn on_delivery(&mut self, sequence: u64) -> Verdict {
        match self.next {
            Some(next) if sequence < next => return self.on_old(sequence),
            Some(next) if sequence > next => self.missing.push(next..sequence),
            _ => {}
        }
        self.next = Some(sequence + 1);
        Verdict::Fresh
    }

    fn on_old(&mut self, sequence: u64) -> Verdict {
        let Some(index) = self.missing.iter().position(|range| range.contains(&sequence)) else {
            self.duplicated += 1;
            return Verdict::Duplicate;
        };
        let gap = self.missing[index].clone();
        let halves = [gap.start..sequence, sequence + 1..gap.end];
        self.missing
            .splice(index..=index, halves.into_iter().filter(|half| !half.is_empty()));
        self.reordered += 1;
        Verdict::Late
    }

    /// Whether anything has been delivered yet.
    pub(crate) fn has_begun(&self) -> bool {
        self.next.is_some()
    }

    /// Deliveries that came more than once.
    pub(crate) fn duplicated(&self) -> u64 {
        self.duplicated
    }

    /// Deliveries that came after later ones.
    pub(crate) fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Deliveries that never came, when `published` sequence numbers were given out.
    pub(crate) fn lost(&self, published: u64) -> u64 {
        let gaps: u64 = self.missing.iter().map(|range| range.end - range.start).sum();
        gaps + published - self.next.unwrap_or(0).min(published)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sequences: impl IntoIterator<Item = u64>) -> OrderChecker {
        let mut checker = OrderChecker::default();
        for sequence in sequences {
            checker.on_delivery(sequence);
        }
        checker
    }

    #[test]
    fn everything_in_order_is_clean() {
        let checker = check(0..100);
        assert_eq!(
            (checker.lost(100), checker.duplicated(), checker.reordered()),
            (0, 0, 0)
        );
    }

    #[test]
    fn what_was_published_before_the_first_delivery_is_not_missed() {
        assert_eq!(check(7..10).lost(10), 0);
    }

    #[test]
    fn gaps_and_a_missing_end_are_lost() {
        let checker = check([0, 1, 4, 5, 7]);
        assert_eq!(
            (checker.lost(10), checker.duplicated(), checker.reordered()),
            (5, 0, 0)
        );
    }

    #[test]
    fn nothing_received_is_all_lost() {
        assert_eq!(check([]).lost(10), 10);
    }

    #[test]
    fn a_late_delivery_is_reordered_and_not_lost() {
        let checker = check([0, 4, 2, 1, 3, 5]);
        assert_eq!(
            (checker.lost(6), checker.duplicated(), checker.reordered()),
            (0, 0, 3)
        );
    }

    #[test]
    fn a_second_delivery_is_a_duplicate_even_when_the_first_was_late() {
        let mut checker = check([0, 2, 1]);
        assert_eq!(checker.on_delivery(1), Verdict::Duplicate);
        assert_eq!(checker.on_delivery(2), Verdict::Duplicate);
        assert_eq!(
            (checker.lost(3), checker.duplicated(), checker.reordered()),
            (0, 2, 1)
        );
    }
}
