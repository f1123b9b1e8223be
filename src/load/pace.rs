//! When an open loop's messages are due, and on which connection: computed, never stored, so that any number of messages may be
//! late without taking memory, and none is skipped.
//!
//! Message `k` is due `k / rate` after the start, on connection `k` modulo their number.

/// An open loop's timetable.
#[derive(Clone, Debug)]
pub(super) struct SendSchedule {
    start_ns: u64,
    interval_ns: f64,
    pub(super) connections: u64,
    /// Messages due so far: all with smaller numbers.
    pub(super) due: u64,
    /// No message is due from then on.
    end_ns: u64,
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "53 bits of nanoseconds are a hundred days"
)]
impl SendSchedule {
    pub(super) fn new(start_ns: u64, rate: f64, connections: usize) -> Self {
        Self { start_ns, interval_ns: 1e9 / rate, connections: connections as u64, due: 0, end_ns: u64::MAX }
    }

    /// When message `number` is due.
    #[inline]
    pub(super) fn due_ns(&self, number: u64) -> u64 {
        self.start_ns.saturating_add((number as f64 * self.interval_ns) as u64)
    }

    /// From one message of a connection to its next.
    pub(super) fn step_ns(&self) -> f64 {
        self.interval_ns * self.connections as f64
    }

    /// The last message that is due of the connection whose next is `next`, and how many there are up to it.
    pub(super) fn until_due(&self, next: u64) -> Option<(u64, u64)> {
        let after = self.due.checked_sub(1)?.checked_sub(next)? / self.connections;
        Some((next + after * self.connections, after + 1))
    }

    /// When the next message is due, if there is one.
    #[inline]
    pub(super) fn next_ns(&self) -> Option<u64> {
        Some(self.due_ns(self.due)).filter(|due_ns| *due_ns < self.end_ns)
    }

    /// CountRule what is due by `now_ns`; returns the numbers of what has become due.
    pub(super) fn advance(&mut self, now_ns: u64) -> std::ops::Range<u64> {
        let before = self.due;
        let now_ns = now_ns.min(self.end_ns - 1);
        if let Some(passed) = now_ns.checked_sub(self.start_ns) {
            self.due = self.due.max((passed as f64 / self.interval_ns) as u64);
            // What was rounded off, in either direction: the timetable is what counts.
            while self.due_ns(self.due) <= now_ns {
                self.due += 1;
            }
        }
        before..self.due
    }

    /// The first message due at `at_ns` or later.
    pub(super) fn first_due(&self, at_ns: u64) -> u64 {
        let Some(passed) = at_ns.checked_sub(self.start_ns) else { return 0 };
        let mut number = ((passed as f64 / self.interval_ns) as u64).saturating_sub(1);
        while self.due_ns(number) < at_ns {
            number += 1;
        }
        number
    }

    /// The first message of connection `connection` that is not before `number`.
    pub(super) fn first_of(&self, connection: u64, number: u64) -> u64 {
        number + (connection + self.connections - number % self.connections) % self.connections
    }

    /// Nothing that would be due at `end_ns` or later will be.
    pub(super) fn end_at(&mut self, end_ns: u64) {
        self.end_ns = end_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_becomes_due_once_and_not_before_its_time() {
        for rate in [0.5, 3.0, 1000.0, 99_999.9, 3e6] {
            let mut pace = SendSchedule::new(1_000, rate, 7);
            let mut next = 0;
            for step in 0..1_000 {
                let now_ns = step * 777_777;
                for number in pace.advance(now_ns) {
                    assert_eq!(number, next);
                    assert!(pace.due_ns(number) <= now_ns);
                    next += 1;
                }
                assert!(pace.next_ns().unwrap() > now_ns, "{rate}: what is due has been given");
            }
        }
    }

    #[test]
    fn what_is_due_of_a_connection_is_counted_without_going_through_it() {
        let mut pace = SendSchedule::new(0, 1000.0, 3);
        assert_eq!(pace.until_due(0), None);
        pace.advance(9_000_000);
        // 0 to 9 are due, and of the second connection 1, 4 and 7.
        for (next, due) in [(1, Some((7, 3))), (4, Some((7, 2))), (7, Some((7, 1))), (10, None)] {
            assert_eq!(pace.until_due(next), due, "{next}");
        }
    }

    #[test]
    fn so_low_a_rate_that_no_second_message_is_ever_due_is_borne() {
        let mut pace = SendSchedule::new(5, f64::MIN_POSITIVE, 3);
        assert_eq!(pace.advance(1 << 60), 0..1);
    }

    #[test]
    fn nothing_is_due_after_the_end() {
        let mut pace = SendSchedule::new(0, 1000.0, 1);
        pace.end_at(10_000_000);
        assert_eq!(pace.advance(u64::MAX), 0..10);
        assert!(pace.advance(u64::MAX).is_empty());
        assert_eq!(pace.next_ns(), None);
    }
}
