//! The tracker of a sequence of consecutive numbers: which have arrived, in what order, and which
//! are missing. Knows neither rooms nor sockets.

use std::ops::Range;

/// Gaps that are remembered. An older gap stays missing, and a number that arrives late for it
/// counts as repeated.
const MAX_GAPS: usize = 256;

/// The numbers of one sequence that have arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SequenceTracker {
    /// The range from the first number to the last; `None` before the first.
    seen: Option<Range<u64>>,
    /// Ranges inside `seen` that have not arrived, in order.
    gaps: Vec<Range<u64>>,
    /// Missing numbers of forgotten gaps.
    forgotten: u64,
}

/// The position of a number relative to those that arrived before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The first number, or the successor of the last.
    Next,
    /// A later number; this many before it have not arrived.
    Skipped(u64),
    /// A number that arrives after a later one.
    Late,
    /// A number that has arrived before.
    Repeated,
}

impl SequenceTracker {
    /// Creates a tracker of a sequence whose first number is `first`.
    pub(super) fn starting_at(first: u64) -> Self {
        Self { seen: Some(first..first), ..Self::default() }
    }

    /// Records a number.
    #[inline]
    pub(super) fn record(&mut self, number: u64) -> Arrival {
        let after = number.saturating_add(1);
        let Some(seen) = &mut self.seen else {
            self.seen = Some(number..after);
            return Arrival::Next;
        };
        if number == seen.end {
            seen.end = after;
            return Arrival::Next;
        }
        if number > seen.end {
            let gap = seen.end..number;
            seen.end = after;
            return self.add_gap(gap);
        }
        self.record_late(number)
    }

    #[cold]
    fn add_gap(&mut self, gap: Range<u64>) -> Arrival {
        let skipped = gap.end - gap.start;
        self.gaps.push(gap);
        self.limit_gaps();
        Arrival::Skipped(skipped)
    }

    #[cold]
    fn record_late(&mut self, number: u64) -> Arrival {
        let Some(seen) = &mut self.seen else { return Arrival::Repeated };
        if number < seen.start {
            let gap = number + 1..seen.start;
            seen.start = number;
            if !gap.is_empty() {
                self.gaps.insert(0, gap);
                self.limit_gaps();
            }
            return Arrival::Late;
        }
        let Some(at) = self.gaps.iter().position(|gap| gap.contains(&number)) else { return Arrival::Repeated };
        let gap = self.gaps.remove(at);
        let halves = [gap.start..number, number + 1..gap.end];
        for (offset, half) in halves.into_iter().filter(|half| !half.is_empty()).enumerate() {
            self.gaps.insert(at + offset, half);
        }
        self.limit_gaps();
        Arrival::Late
    }

    fn limit_gaps(&mut self) {
        if self.gaps.len() > MAX_GAPS {
            let oldest = self.gaps.remove(0);
            self.forgotten = self.forgotten.saturating_add(oldest.end - oldest.start);
        }
    }

    /// Returns the range from the first number to the last.
    pub(super) fn seen(&self) -> Option<Range<u64>> {
        self.seen.clone()
    }

    /// Returns how many numbers of that range have not arrived.
    pub(super) fn missing(&self) -> u64 {
        self.gaps.iter().fold(self.forgotten, |sum, gap| sum.saturating_add(gap.end - gap.start))
    }

    /// Returns the first missing number that is remembered.
    pub(super) fn first_missing(&self) -> Option<u64> {
        self.gaps.first().map(|gap| gap.start)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_tracker_agrees_with_a_set(numbers in prop::collection::vec(0u64..40, 1..80)) {
            let (mut sequence, mut arrived) = (SequenceTracker::default(), BTreeSet::new());
            for number in numbers {
                let last = arrived.last().copied();
                let arrival = sequence.record(number);
                let is_new = arrived.insert(number);
                let expected = match last {
                    _ if !is_new => Arrival::Repeated,
                    Some(last) if number < last => Arrival::Late,
                    Some(last) if number > last + 1 => Arrival::Skipped(number - last - 1),
                    _ => Arrival::Next,
                };
                prop_assert_eq!(arrival, expected);
                let (first, last) = (*arrived.first().unwrap(), *arrived.last().unwrap());
                prop_assert_eq!(sequence.seen(), Some(first..last + 1));
                prop_assert_eq!(sequence.missing(), last + 1 - first - arrived.len() as u64);
                prop_assert_eq!(sequence.first_missing(), (first..last).find(|number| !arrived.contains(number)));
            }
        }
    }

    #[test]
    fn all_gaps_are_counted_and_few_are_remembered() {
        let mut sequence = SequenceTracker::starting_at(0);
        (0..10_000).for_each(|number| _ = sequence.record(number * 2 + 1));
        assert_eq!((sequence.missing(), sequence.gaps.len()), (10_000, MAX_GAPS));
        assert_eq!(sequence.record(0), Arrival::Repeated, "the gap is no longer remembered");
        assert_eq!(sequence.record(u64::MAX), Arrival::Skipped(u64::MAX - 20_000), "a huge gap costs no time");
    }
}
