//! The share of one owner in a turn, bounded by the work that it causes.
//!
//! Bytes do not bound work: a kilobyte may be one frame or a thousand. So a share is bounded by
//! time as well. Reading the clock after each callback would cost a cheap service more than its
//! work, so the clock is read once for a *stride* of callbacks. The stride follows from what the
//! last callbacks took: it is 1 for a slow service, and [`MAX_STRIDE`] for a cheap one.

use std::time::{Duration, Instant};

/// The most callbacks between two readings of the clock.
pub(crate) const MAX_STRIDE: u32 = 64;

/// The fewest callbacks of a share before the clock is read: a step with one frame never reads it.
const MIN_FIRST_STRIDE: u32 = 2;

/// The first stride of a service.
pub(crate) const START_STRIDE: u32 = 8;

/// A stride takes about this part of the share's time.
const STRIDES_IN_A_SHARE: u32 = 8;

/// A callback that acts, and a write of the replies, count as this many callbacks that only reply.
pub(crate) const COST_OF_ACTING: u32 = 8;
pub(crate) const COST_OF_WRITING: u32 = 16;

/// One owner's share of a turn.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// Zero: unlimited.
    time: Duration,
    stride: u32,
    /// Callbacks until the clock is read again.
    until_look: u32,
    /// The first and the last reading of the clock in this share. The first one comes after the
    /// first stride, so that a short step reads no clock at all.
    looks: Option<(Instant, Instant)>,
    is_spent: bool,
}

impl Budget {
    /// Returns a share of this length. Zero means that its time is not limited.
    pub(crate) fn new(time: Duration) -> Self {
        Self { time, stride: 1, until_look: 1, looks: None, is_spent: false }
    }

    /// Begins the next share, of work that the last one with this stride was like.
    #[inline]
    pub(crate) fn begin(&mut self, stride: u32) {
        let stride = stride.max(MIN_FIRST_STRIDE);
        (self.stride, self.until_look, self.looks, self.is_spent) = (stride, stride, None, false);
    }

    /// Begins a share whose time counts from `now`.
    pub(crate) fn begun_at(mut self, now: Instant) -> Self {
        self.looks = Some((now, now));
        self
    }

    /// Returns the present stride, for the next share of the same work.
    #[inline]
    pub(crate) fn stride(&self) -> u32 {
        self.stride
    }

    /// Counts work of the size of `callbacks` cheap callbacks. Returns true if
    /// [`has_time`](Self::has_time) would read the clock now.
    #[inline]
    pub(crate) fn count(&mut self, callbacks: u32) -> bool {
        self.until_look = self.until_look.saturating_sub(callbacks);
        self.until_look == 0
    }

    /// Returns true if time is left. Reads the clock if a stride of callbacks has been counted.
    #[inline]
    pub(crate) fn has_time(&mut self, clock: impl FnOnce() -> Instant) -> bool {
        if self.until_look == 0 && !self.is_spent {
            self.look(clock);
        }
        !self.is_spent
    }

    /// Returns true if the last reading of the clock has found no time left.
    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent
    }

    fn look(&mut self, clock: impl FnOnce() -> Instant) {
        self.until_look = self.stride;
        if self.time.is_zero() {
            return;
        }
        let now = clock();
        let Some((first, last)) = self.looks else {
            self.looks = Some((now, now));
            return;
        };
        self.looks = Some((first, now));
        self.is_spent = now.saturating_duration_since(first) >= self.time;
        let took = now.saturating_duration_since(last).as_nanos().max(1);
        let next = self.time.as_nanos() * u128::from(self.stride) / (took * u128::from(STRIDES_IN_A_SHARE));
        self.stride = u32::try_from(next).unwrap_or(MAX_STRIDE).clamp(1, MAX_STRIDE);
        self.until_look = self.stride;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: Duration = Duration::from_micros(800);

    /// Makes callbacks of `cost` until the share is spent, at most `most`. Returns their number and
    /// that of the clock's readings.
    fn spend(budget: &mut Budget, cost: Duration, most: u32) -> (u32, u32) {
        let (start, mut looks) = (Instant::now(), 0);
        for made in 1..=most {
            budget.count(1);
            let clock = || {
                looks += 1;
                start + cost * made
            };
            if !budget.has_time(clock) {
                return (made, looks);
            }
        }
        (most, looks)
    }

    #[test]
    fn the_stride_follows_the_cost_of_callbacks() {
        let mut budget = Budget::new(SHARE);
        for (cost_micros, stride) in [(1000, 1), (100, 1), (20, 5), (1, MAX_STRIDE), (50, 2)] {
            for _ in 0..2 {
                budget.begin(budget.stride());
                let (made, _) = spend(&mut budget, Duration::from_micros(cost_micros), 10_000);
                assert!(budget.is_spent(), "{cost_micros} us: {made} callbacks");
            }
            assert_eq!(budget.stride(), stride, "{cost_micros} us");
        }
    }

    #[test]
    fn a_share_is_as_long_as_its_time_and_one_stride() {
        let mut budget = Budget::new(SHARE);
        for cost_micros in [1, 10, 100, 500] {
            let cost = Duration::from_micros(cost_micros);
            budget.begin(budget.stride());
            spend(&mut budget, cost, u32::MAX);
            budget.begin(budget.stride());
            let (made, looks) = spend(&mut budget, cost, u32::MAX);
            let took = cost * made;
            assert!(took >= SHARE && took <= SHARE * 5 / 4 + 2 * cost, "{cost:?}: {took:?}");
            assert!(looks <= 14, "{cost:?}: {looks} readings of the clock");
        }
    }

    #[test]
    fn a_short_step_of_a_cheap_service_reads_no_clock() {
        let mut budget = Budget::new(SHARE);
        spend(&mut budget, Duration::from_nanos(100), 1000);
        budget.begin(budget.stride());
        assert_eq!(spend(&mut budget, Duration::from_nanos(100), MAX_STRIDE - 1), (MAX_STRIDE - 1, 0));
    }

    #[test]
    fn a_share_of_no_time_is_unlimited() {
        let mut budget = Budget::new(Duration::ZERO);
        assert_eq!(spend(&mut budget, Duration::from_secs(1), 100), (100, 0));
    }
}
