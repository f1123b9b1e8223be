//! What is known of a peer's progress while output waits for it.
//!
//! A kernel reports room for output in large steps: a slow peer may read for a minute between two
//! of them. So the engine looks at such a peer from time to time.

use std::time::Duration;

use crate::service::time::Timestamp;

/// The peer's progress, as the last look has found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    looked_at: Timestamp,
    /// Bytes that the peer had received at the last look.
    received: u64,
    /// When the period began over which the rate is measured, and the bytes received by then.
    period_start: Timestamp,
    period_received: u64,
}

impl Watch {
    /// Returns the watch that the first look begins.
    pub(super) fn new(received: u64, now: Timestamp) -> Self {
        Self { looked_at: now, received, period_start: now, period_received: received }
    }

    /// Returns when the peer was last looked at.
    #[inline]
    pub(crate) fn looked_at(&self) -> Timestamp {
        self.looked_at
    }

    /// Notes a look, which was due `interval` after the last. Returns true if the peer has received
    /// a byte since.
    pub(super) fn look(&mut self, received: u64, interval: Duration, now: Timestamp) -> bool {
        let has_progress = received != self.received;
        self.received = received;
        if now.saturating_since(self.looked_at) > 2 * interval {
            // The engine has paused. It gave the peer nothing to receive, so the rate is measured
            // anew.
            (self.period_start, self.period_received) = (now, received);
        }
        self.looked_at = now;
        has_progress
    }

    /// Returns the bytes received in the period and its length, if it is at least as long as
    /// `period`, and begins the next.
    pub(crate) fn end_period(&mut self, period: Duration) -> Option<(u64, Duration)> {
        let length = self.looked_at.saturating_since(self.period_start);
        if length < period {
            return None;
        }
        let received = self.received.saturating_sub(self.period_received);
        (self.period_start, self.period_received) = (self.looked_at, self.received);
        Some((received, length))
    }
}
