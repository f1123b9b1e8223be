//! The times at which repeated requests are sent.

use std::time::{Duration, Instant};

use crate::cli::commands::call::text::deadline;

/// An iterator-like schedule: now, then once per interval. Missed times are skipped, not made up
/// for.
pub(super) struct RequestSchedule {
    interval: Duration,
    /// Requests left; `None` for no limit.
    left: Option<u64>,
    next: Instant,
}

impl RequestSchedule {
    pub(super) fn new(interval: Duration, count: Option<u64>) -> Self {
        Self { interval, left: count, next: Instant::now() }
    }

    /// Returns the time of the next request; `None` after the last one.
    pub(super) fn next(&mut self) -> Option<Instant> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let due = self.next.max(Instant::now());
        self.next = due.checked_add(self.interval).unwrap_or_else(|| deadline(self.interval));
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedule_ends_after_its_count() {
        let mut schedule = RequestSchedule::new(Duration::from_hours(1), Some(2));
        let first = schedule.next().unwrap();
        assert_eq!(schedule.next().map(|second| second - first), Some(Duration::from_hours(1)));
        assert_eq!(schedule.next(), None);
    }
}
