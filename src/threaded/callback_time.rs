//! The time that a thread's callbacks take: the share of a group, and the groups that took long.

use std::time::{Duration, Instant};

use super::worker::Worker;
use crate::engine::lag::{LONG_TURN, Work};
use crate::service::Peer;

impl Worker {
    /// Begins a share of the service's time.
    #[inline]
    pub(super) fn begin_share(&mut self) {
        self.context.budget.begin(self.context.budget.stride());
    }

    /// Returns true if the share has time left.
    #[inline]
    pub(super) fn has_time(&mut self) -> bool {
        self.context.budget.has_time(|| self.shared.system.now())
    }

    /// Notes a group of callbacks of a service that has just ended.
    #[inline]
    pub(super) fn note_callbacks(&mut self, began: Instant, work: Work, service: &str, peer: Option<&Peer>) {
        let took = self.shared.system.now().saturating_duration_since(began);
        self.shared.lag.note(took);
        if took > LONG_TURN {
            self.note_long_group(took, work, service, peer);
        }
    }

    #[cold]
    fn note_long_group(&mut self, took: Duration, work: Work, service: &str, peer: Option<&Peer>) {
        self.context.stats.long_turns += 1;
        self.shared.lag.count_long(service, work, took);
        self.context.warn_of_long_turn(service, work, peer, (took, took));
    }
}
