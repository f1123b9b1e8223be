//! The bound on the bytes that all connections hold together, `max_buffered_bytes`: the decisions
//! that both engines make about it. This file knows neither clock, connection nor thread.
//!
//! Above the bound, a connection that holds more than its share (the bound divided by the number of
//! connections) is not read, and pending connections are rejected; all others go on. Output that
//! waits for a slow reader shrinks as the peer reads. Unfinished frames do not shrink, because
//! their peers are not read. So if the sum has not fallen when the grace period ends, the largest
//! holders are closed, until it has. A buffer grows by doubling, so a connection may hold up to
//! twice what it has received, and the sum is at most about three times the bound.

use std::time::Duration;

use log::Level;

use super::limits::Limits;
use crate::service::CloseReason;
use crate::service::warning_limit::log_limited;

/// The time for which connections may keep the sum above the bound before the largest holders are
/// closed.
pub(crate) const MEMORY_GRACE: Duration = Duration::from_secs(5);

/// The smallest read above the bound, in bytes: enough to justify the system call and to detect the
/// peer's end.
const MIN_READ_BYTES: usize = 1024;

/// The decisions about the sum of held bytes, which the caller counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryPolicy {
    max_bytes: usize,
}

impl MemoryPolicy {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { max_bytes: limits.max_buffered_bytes }
    }

    /// Returns true if the sum has reached the bound.
    #[inline]
    pub(crate) fn is_over(self, sum: u64) -> bool {
        sum >= self.max_bytes as u64
    }

    /// Returns true if half of the bound is used, so that memory is kept for input and output.
    pub(crate) fn is_half_used(self, sum: u64) -> bool {
        sum >= self.max_bytes as u64 / 2
    }

    /// Returns true if the sum has fallen so far that all connections are read again.
    pub(crate) fn is_relieved(self, sum: u64) -> bool {
        sum <= self.relief_bytes()
    }

    /// Returns the bytes that each of `open` connections may hold above the bound.
    pub(crate) fn share_bytes(self, open: usize) -> usize {
        self.max_bytes / open.max(1)
    }

    /// Returns the number of bytes that may be read above the bound from a connection that holds
    /// `held`: the rest of its share, at most `budget`. Returns `None` if the connection holds more
    /// than its share and has to pause. With `reads_to_end`, its end of stream is reported and it
    /// is read on, because its close frees its memory.
    pub(crate) fn read_allowance(self, open: usize, held: usize, budget: usize, reads_to_end: bool) -> Option<usize> {
        let share = self.share_bytes(open);
        let may_read = held <= share || reads_to_end;
        may_read.then(|| share.saturating_sub(held).max(MIN_READ_BYTES).min(budget))
    }

    /// Returns the reason to reject a pending connection, if the sum has reached the bound.
    pub(crate) fn rejection(self, sum: u64) -> Option<CloseReason> {
        self.is_over(sum).then(|| self.close_reason())
    }

    /// Returns the reason to close one of the largest holders.
    pub(crate) fn close_reason(self) -> CloseReason {
        CloseReason::BufferBudget(self.max_bytes)
    }

    /// Returns the largest of `holders` (bytes and connection) whose bytes bring the sum down to
    /// the relief, largest first.
    pub(crate) fn largest_holders<K>(self, sum: u64, holders: impl Iterator<Item = (u64, K)>) -> Vec<K> {
        let mut holders: Vec<_> = holders.collect();
        holders.sort_by_key(|(held, _)| *held);
        let mut excess = sum.saturating_sub(self.relief_bytes());
        let mut largest = Vec::new();
        while excess > 0
            && let Some((held, holder)) = holders.pop()
        {
            excess = excess.saturating_sub(held);
            largest.push(holder);
        }
        largest
    }

    /// Logs that the sum has reached the bound.
    pub(crate) fn log_reached(self, sum: u64, open: u64) {
        let line = format_args!(
            "memory limit reached: connections hold {sum} of {} bytes; the largest holders of {open} are paused and \
             pending connections rejected",
            self.max_bytes
        );
        log_limited(Level::Warn, "memory limit reached", line);
    }

    /// Logs that the sum has fallen below the bound.
    pub(crate) fn log_cleared(sum: u64) {
        let line = format_args!("memory limit cleared: connections hold {sum} bytes; all are read");
        log_limited(Level::Info, "memory limit cleared", line);
    }

    /// Returns the sum at or below which all connections are read again: 7/8 of the bound.
    fn relief_bytes(self) -> u64 {
        let max = self.max_bytes as u64;
        max - max / 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: MemoryPolicy = MemoryPolicy { max_bytes: 80_000 };

    #[test]
    fn pressure_begins_at_the_bound_and_ends_at_seven_eighths() {
        assert!(!POLICY.is_over(79_999) && POLICY.is_over(80_000));
        assert!(!POLICY.is_relieved(70_001) && POLICY.is_relieved(70_000));
        assert!(!POLICY.is_half_used(39_999) && POLICY.is_half_used(40_000));
        assert_eq!(POLICY.rejection(79_999), None);
        assert_eq!(POLICY.rejection(80_000), Some(CloseReason::BufferBudget(80_000)));
    }

    #[test]
    fn a_connection_is_read_up_to_its_share() {
        let allowance = |held, reads_to_end| POLICY.read_allowance(4, held, 16_000, reads_to_end);
        assert_eq!(allowance(0, false), Some(16_000), "at most the budget");
        assert_eq!(allowance(12_000, false), Some(8_000));
        assert_eq!(allowance(20_000, false), Some(MIN_READ_BYTES), "no read is too small for its system call");
        assert_eq!(allowance(20_001, false), None);
        assert_eq!(allowance(20_001, true), Some(MIN_READ_BYTES));
        assert_eq!(POLICY.read_allowance(0, 0, 1, false), Some(1), "no connection is counted yet");
    }

    #[test]
    fn the_largest_holders_bring_the_sum_down_to_the_relief() {
        let largest = |sum| POLICY.largest_holders(sum, [(10_000, 'a'), (40_000, 'b'), (30_000, 'c')].into_iter());
        assert!(largest(70_000).is_empty());
        assert_eq!(largest(70_001), ['b']);
        assert_eq!(largest(110_000), ['b']);
        assert_eq!(largest(110_001), ['b', 'c']);
        assert_eq!(largest(1_000_000), ['b', 'c', 'a'], "each holder once");
    }
}
