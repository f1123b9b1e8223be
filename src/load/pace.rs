//! The send policy, and the send schedule of an open loop: when each message is due, and on which
//! connection. It is computed, not stored. So any number of messages may be late without using
//! memory, and none is skipped.
//!
//! Message `k` is due `k / rate` seconds after the start, on the sender with number `k` modulo
//! their count.

/// The rule that decides which messages connections send now.
pub(super) enum SendPolicy {
    /// No message.
    Paused,
    /// The messages that keep this number in flight: on each connection for echo, in each room for
    /// chat.
    KeepInFlight(usize),
    /// Every message that is due.
    Scheduled(SendSchedule),
    /// One message on each connection. A workload with a handshake sends none.
    Once,
}

/// The send schedule of an open loop.
#[derive(Clone, Debug)]
pub(super) struct SendSchedule {
    start_ns: u64,
    interval_ns: f64,
    pub(super) senders: u64,
    /// Number of messages due so far; their numbers are smaller than this.
    pub(super) due_count: u64,
    /// No message is due at this time or later.
    end_ns: u64,
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "53 bits of nanoseconds are 104 days"
)]
impl SendSchedule {
    pub(super) fn new(start_ns: u64, rate: f64, senders: usize) -> Self {
        let senders = senders as u64;
        Self { start_ns, interval_ns: 1e9 / rate, senders, due_count: 0, end_ns: u64::MAX }
    }

    /// Returns the time at which message `number` is due.
    #[inline]
    pub(super) fn due_ns(&self, number: u64) -> u64 {
        self.start_ns.saturating_add((number as f64 * self.interval_ns) as u64)
    }

    /// Returns the time between two messages of the same sender.
    pub(super) fn sender_interval_ns(&self) -> f64 {
        self.interval_ns * self.senders as f64
    }

    /// Looks at the messages of one sender from `next` on. Returns the number of the last one
    /// that is due, and how many are due; `None` if none is.
    pub(super) fn due_from(&self, next: u64) -> Option<(u64, u64)> {
        let after = self.due_count.checked_sub(1)?.checked_sub(next)? / self.senders;
        Some((next + after * self.senders, after + 1))
    }

    /// Returns the time at which the next message is due; `None` after the end of the schedule.
    #[inline]
    pub(super) fn next_due_ns(&self) -> Option<u64> {
        Some(self.due_ns(self.due_count)).filter(|due_ns| *due_ns < self.end_ns)
    }

    /// Counts the messages due by `now_ns`; returns the numbers of those that have become due.
    pub(super) fn advance(&mut self, now_ns: u64) -> std::ops::Range<u64> {
        let before = self.due_count;
        let now_ns = now_ns.min(self.end_ns - 1);
        if let Some(elapsed) = now_ns.checked_sub(self.start_ns) {
            self.due_count = self.due_count.max((elapsed as f64 / self.interval_ns) as u64);
            // The division may round in either direction; `due_ns` decides.
            while self.due_ns(self.due_count) <= now_ns {
                self.due_count += 1;
            }
        }
        before..self.due_count
    }

    /// Returns the number of the first message due at `at_ns` or later.
    pub(super) fn first_due_at(&self, at_ns: u64) -> u64 {
        let Some(elapsed) = at_ns.checked_sub(self.start_ns) else { return 0 };
        let mut number = ((elapsed as f64 / self.interval_ns) as u64).saturating_sub(1);
        while self.due_ns(number) < at_ns {
            number += 1;
        }
        number
    }

    /// Returns the first message of sender `sender` with `number` or a higher number.
    pub(super) fn first_of_sender(&self, sender: u64, number: u64) -> u64 {
        number + (sender + self.senders - number % self.senders) % self.senders
    }

    /// Ends the schedule: no message is due at `end_ns` or later.
    pub(super) fn set_end(&mut self, end_ns: u64) {
        self.end_ns = end_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_becomes_due_once_and_on_time() {
        for rate in [0.5, 3.0, 1000.0, 99_999.9, 3e6] {
            let mut schedule = SendSchedule::new(1_000, rate, 7);
            let mut next = 0;
            for step in 0..1_000 {
                let now_ns = step * 777_777;
                for number in schedule.advance(now_ns) {
                    assert_eq!(number, next);
                    assert!(schedule.due_ns(number) <= now_ns);
                    next += 1;
                }
                assert!(schedule.next_due_ns().unwrap() > now_ns, "{rate}: a due message is missing");
            }
        }
    }

    #[test]
    fn due_from_counts_one_sender() {
        let mut schedule = SendSchedule::new(0, 1000.0, 3);
        assert_eq!(schedule.due_from(0), None);
        schedule.advance(9_000_000);
        // Messages 0 to 9 are due; the second sender has 1, 4 and 7.
        for (next, due) in [(1, Some((7, 3))), (4, Some((7, 2))), (7, Some((7, 1))), (10, None)] {
            assert_eq!(schedule.due_from(next), due, "{next}");
        }
    }

    #[test]
    fn the_lowest_rate_makes_one_message_due() {
        let mut schedule = SendSchedule::new(5, f64::MIN_POSITIVE, 3);
        assert_eq!(schedule.advance(1 << 60), 0..1);
    }

    #[test]
    fn nothing_is_due_after_the_end() {
        let mut schedule = SendSchedule::new(0, 1000.0, 1);
        schedule.set_end(10_000_000);
        assert_eq!(schedule.advance(u64::MAX), 0..10);
        assert!(schedule.advance(u64::MAX).is_empty());
        assert_eq!(schedule.next_due_ns(), None);
    }
}
