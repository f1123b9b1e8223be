//! Counters that each thread keeps for itself and others may read.
//!
//! A thread is the only one that writes its block, with plain stores: no message costs a locked instruction, or a cache line
//! that another processor wants.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::engine::stats::Stats;

/// One thread's counters. Two cache lines' alignment, because processors fetch lines in pairs.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Tally {
    counters: [AtomicU64; Stats::COUNTERS],
    /// What the thread's connection holds.
    pub(super) held_bytes: AtomicU64,
    /// Its connection was chosen to go, so that memory is free again.
    pub(super) shed: AtomicBool,
}

impl Tally {
    /// Lets others see what the thread has counted.
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
