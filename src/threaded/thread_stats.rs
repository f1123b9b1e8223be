//! Counters that one thread writes and all threads may read.
//!
//! Each thread writes only its own block, with plain stores. So no message costs a locked
//! instruction or a cache line that another processor uses.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::engine::stats::Stats;

/// The counters of one thread. Aligned to two cache lines, because processors prefetch lines in
/// pairs.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct ThreadStats {
    counters: [AtomicU64; Stats::COUNTERS],
    /// Bytes that the thread's connection holds.
    pub(super) held_bytes: AtomicU64,
    /// The thread's connection has to close, because it holds most memory.
    pub(super) must_close: AtomicBool,
}

impl ThreadStats {
    /// Publishes the thread's counters for other threads to read.
    #[inline]
    pub(super) fn publish(&self, stats: &mut Stats) {
        for (published, counter) in self.counters.iter().zip(stats.counters()) {
            published.store(*counter, Ordering::Relaxed);
        }
    }

    pub(super) fn add_to(&self, sum: &mut Stats) {
        for (published, counter) in self.counters.iter().zip(sum.counters()) {
            *counter += published.load(Ordering::Relaxed);
        }
    }
}
