//! The loop's own deadlines: of connections, of sources, of the drain and of memory.

use crate::connection::TimerChange;
use crate::engine::slab::reserved_key;
use crate::engine::timers::Timers;
use crate::service::TimerId;
use crate::service::time::Timestamp;

/// The key of the drain deadline among the loop's deadlines.
pub(super) const DRAIN_KEY: usize = reserved_key(usize::MAX) - 1;

/// The key of the memory deadline: by then the buffered bytes must have fallen.
pub(super) const MEMORY_KEY: usize = reserved_key(usize::MAX) - 2;

/// The loop's own deadlines: at most one for each connection, source or reserved key.
pub(super) struct Deadlines {
    /// A timer's number is the key.
    timers: Timers<()>,
}

impl Deadlines {
    pub(super) fn new() -> Self {
        Self { timers: Timers::new() }
    }

    pub(super) fn set(&mut self, key: usize, at: Timestamp) {
        self.timers.set(TimerId::new(at, key as u64), ());
    }

    pub(super) fn cancel(&mut self, key: usize, at: Timestamp) {
        self.timers.cancel(TimerId::new(at, key as u64));
    }

    /// Sets a connection's timer, in place of a later one.
    pub(super) fn change(&mut self, key: usize, change: TimerChange) {
        if let Some(replaced) = change.replaced {
            self.cancel(key, replaced);
        }
        self.set(key, change.at);
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next_deadline()
    }

    /// Removes the earliest deadline if it is due by `now`, and returns its key.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<usize> {
        let (id, ()) = self.timers.take_due(now)?;
        Some(usize::try_from(id.number()).unwrap_or(usize::MAX))
    }
}
