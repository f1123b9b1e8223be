//! The counts of one client: rounds, checked answers, and faults.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Faults of one client that are described. Further ones are counted.
const MAX_DESCRIBED: usize = 5;

/// The counts of one client.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rounds: AtomicU64,
    answers: AtomicU64,
    faults: AtomicU64,
    described: Mutex<Vec<String>>,
}

impl Tally {
    /// Counts a round with this number of checked answers.
    pub(super) fn add_round(&self, answers: u64) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.answers.fetch_add(answers, Ordering::Relaxed);
    }

    /// Counts answers of a load that has no rounds.
    pub(super) fn add_answers(&self, answers: u64) {
        self.answers.fetch_add(answers, Ordering::Relaxed);
    }

    /// Counts `count` faults of one kind.
    pub(super) fn add_faults(&self, count: u64, text: impl Into<String>) {
        self.faults.fetch_add(count, Ordering::Relaxed);
        self.describe(text);
    }

    /// Describes a fault that is counted elsewhere.
    pub(super) fn describe(&self, text: impl Into<String>) {
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        if described.len() < MAX_DESCRIBED {
            described.push(text.into());
        }
    }

    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    pub(super) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    pub(super) fn described(&self) -> Vec<String> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
