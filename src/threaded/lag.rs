//! The groups of callbacks that took long. While one is under way, no other thread can call its
//! service.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::lifecycle::lock;
use super::worker::Worker;
use crate::engine::lag::{LONG_TURN, LongTurns, Work};
use crate::engine::stats::Stats;
use crate::service::Peer;

/// The longest group of callbacks, and all groups over 10 ms. All threads share it.
#[derive(Default)]
pub(super) struct Lag {
    longest_nanos: AtomicU64,
    by_work: Mutex<Vec<LongTurns>>,
}

impl Lag {
    pub(super) fn add_to(&self, stats: &mut Stats) {
        stats.longest_turn = Duration::from_nanos(self.longest_nanos.load(Ordering::Relaxed));
        stats.long_turns_by_work.clone_from(&lock(&self.by_work));
    }
}

impl Worker {
    /// Notes a group of callbacks of a service that has just ended.
    #[inline]
    pub(super) fn note_callbacks(&mut self, began: Instant, work: Work, service: &str, peer: Option<&Peer>) {
        let took = self.shared.system.now().saturating_duration_since(began);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if nanos > self.shared.lag.longest_nanos.load(Ordering::Relaxed) {
            self.shared.lag.longest_nanos.fetch_max(nanos, Ordering::Relaxed);
        }
        if took > LONG_TURN {
            self.note_long_group(took, work, service, peer);
        }
    }

    #[cold]
    fn note_long_group(&mut self, took: Duration, work: Work, service: &str, peer: Option<&Peer>) {
        self.context.stats.long_turns += 1;
        LongTurns::count(&mut lock(&self.shared.lag.by_work), service, work, took);
        self.context.warn_of_long_turn(service, work, peer, (took, took));
    }
}
