//! Numbers that should come one after the other: which have come, in what order, and which have not. No room, no socket.

use std::ops::Range;

/// Holes that are remembered. Those beyond it are missing for good, and what comes late for them is taken to come again.
const MAX_GAPS: usize = 256;

/// What has come of one sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SequenceTracker {
    /// From the first to behind the last that came; none yet.
    seen: Option<Range<u64>>,
    /// Within it, what has not come; in order.
    gaps: Vec<Range<u64>>,
    /// Of gaps that are no longer remembered.
    forgotten: u64,
}

/// How a number fits what came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is the first, or the next.
    Next,
    /// Later than due: so many before it have not come.
    Skipped(u64),
    /// It comes after a later one.
    Late,
    /// It has come before.
    Again,
}

impl SequenceTracker {
    /// One that is known to begin with `first`.
    pub(super) fn from(first: u64) -> Self {
        Self { seen: Some(first..first), ..Self::default() }
    }

    /// Takes what comes.
    #[inline]
    pub(super) fn take(&mut self, number: u64) -> Arrival {
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
            return self.skip(gap);
        }
        self.take_late(number)
    }

    #[cold]
    fn skip(&mut self, gap: Range<u64>) -> Arrival {
        let skipped = gap.end - gap.start;
        self.gaps.push(gap);
        self.bound();
        Arrival::Skipped(skipped)
    }

    #[cold]
    fn take_late(&mut self, number: u64) -> Arrival {
        let Some(seen) = &mut self.seen else { return Arrival::Again };
        if number < seen.start {
            let gap = number + 1..seen.start;
            seen.start = number;
            if !gap.is_empty() {
                self.gaps.insert(0, gap);
                self.bound();
            }
            return Arrival::Late;
        }
        let Some(at) = self.gaps.iter().position(|gap| gap.contains(&number)) else { return Arrival::Again };
        let gap = self.gaps.remove(at);
        let halves = [gap.start..number, number + 1..gap.end];
        for (offset, half) in halves.into_iter().filter(|half| !half.is_empty()).enumerate() {
            self.gaps.insert(at + offset, half);
        }
        self.bound();
        Arrival::Late
    }

    fn bound(&mut self) {
        if self.gaps.len() > MAX_GAPS {
            let oldest = self.gaps.remove(0);
            self.forgotten = self.forgotten.saturating_add(oldest.end - oldest.start);
        }
    }

    /// From the first to behind the last that came.
    pub(super) fn seen(&self) -> Option<Range<u64>> {
        self.seen.clone()
    }

    /// How many between the first and the last have not come.
    pub(super) fn missing(&self) -> u64 {
        self.gaps.iter().fold(self.forgotten, |sum, gap| sum.saturating_add(gap.end - gap.start))
    }

    /// The first of them that is remembered.
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
        fn it_says_what_a_set_of_all_that_came_would_say(numbers in prop::collection::vec(0u64..40, 1..80)) {
            let (mut sequence, mut came) = (SequenceTracker::default(), BTreeSet::new());
            for number in numbers {
                let last = came.last().copied();
                let place = sequence.take(number);
                let fresh = came.insert(number);
                let expected = match last {
                    _ if !fresh => Arrival::Again,
                    Some(last) if number < last => Arrival::Late,
                    Some(last) if number > last + 1 => Arrival::Skipped(number - last - 1),
                    _ => Arrival::Next,
                };
                prop_assert_eq!(place, expected);
                let (first, last) = (*came.first().unwrap(), *came.last().unwrap());
                prop_assert_eq!(sequence.seen(), Some(first..last + 1));
                prop_assert_eq!(sequence.missing(), last + 1 - first - came.len() as u64);
                prop_assert_eq!(sequence.first_missing(), (first..last).find(|number| !came.contains(number)));
            }
        }
    }

    #[test]
    fn however_many_holes_there_are_few_are_remembered_and_all_are_counted() {
        let mut sequence = SequenceTracker::from(0);
        (0..10_000).for_each(|number| _ = sequence.take(number * 2 + 1));
        assert_eq!((sequence.missing(), sequence.gaps.len()), (10_000, MAX_GAPS));
        assert_eq!(sequence.take(0), Arrival::Again, "it is no longer known that it never came");
        assert_eq!(sequence.take(u64::MAX), Arrival::Skipped(u64::MAX - 20_000), "nor does it take time");
    }
}
