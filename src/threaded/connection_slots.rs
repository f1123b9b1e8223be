//! The slots of open connections, at most `max_connections`.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::service::Peer;

/// Counts the open connections and bounds them.
pub(super) struct ConnectionSlots {
    counts: Mutex<SlotCounts>,
    changed: Condvar,
}

#[derive(Default)]
struct SlotCounts {
    max: usize,
    open: usize,
    /// Open connections whose slots become free after a callback that is under way.
    announced: usize,
    /// Accepting has ended, so no pending connection waits for a slot.
    is_closed: bool,
}

impl ConnectionSlots {
    pub(super) fn new(max: usize) -> Self {
        Self { counts: Mutex::new(SlotCounts { max, ..SlotCounts::default() }), changed: Condvar::new() }
    }

    /// Takes a slot. Returns false if all are taken. If all are taken and one is announced to
    /// become free, waits for it: the peer may have connected because it saw the other connection
    /// close.
    pub(super) fn acquire(&self) -> bool {
        let must_wait =
            |counts: &mut SlotCounts| !counts.is_closed && counts.open >= counts.max && counts.announced > 0;
        let mut counts = self.changed.wait_while(self.lock(), must_wait).unwrap_or_else(PoisonError::into_inner);
        let free = counts.open < counts.max;
        counts.open += usize::from(free);
        free
    }

    /// Adds a slot for a console, which does not count against `max_connections`.
    pub(super) fn add_console(&self) {
        let mut counts = self.lock();
        counts.max += 1;
        counts.open += 1;
    }

    /// Announces that a slot becomes free after a callback.
    pub(super) fn announce_release(&self) {
        self.lock().announced += 1;
    }

    /// Withdraws an announcement, because the connection stays open for a while.
    pub(super) fn withdraw_release(&self) {
        self.lock().announced -= 1;
        self.changed.notify_all();
    }

    /// Frees a slot, or removes the one that was added for a console.
    pub(super) fn release(&self, was_announced: bool, peer: Peer) {
        let mut counts = self.lock();
        counts.max -= usize::from(peer == Peer::Console);
        counts.open -= 1;
        counts.announced -= usize::from(was_announced);
        drop(counts);
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    pub(super) fn open(&self) -> usize {
        self.lock().open
    }

    /// Locks the counts. No holder of the lock panics.
    fn lock(&self) -> MutexGuard<'_, SlotCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
