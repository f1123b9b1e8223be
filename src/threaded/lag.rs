//! The groups of callbacks that took long. While one is under way, no other thread can call its
//! service.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::lifecycle::lock;
use crate::engine::lag::{LongTurns, Work};
use crate::engine::stats::Stats;
use crate::sync::Mutex;

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

    /// Notes the time of a group.
    #[inline]
    pub(super) fn note(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if nanos > self.longest_nanos.load(Ordering::Relaxed) {
            self.longest_nanos.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    /// Counts a long group.
    pub(super) fn count_long(&self, service: &str, work: Work, took: Duration) {
        LongTurns::count(&mut lock(&self.by_work), service, work, took);
    }
}
