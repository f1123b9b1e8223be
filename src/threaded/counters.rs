//! All connections as a whole: their slots, their counters, the bytes that they hold together, and
//! the periods in which these exceed `max_buffered_bytes`.
//!
//! Each thread writes only its own block of counters, with plain stores. So no message costs a
//! locked instruction or a cache line that another processor uses. The sum of held bytes is one
//! number that all threads share. A thread writes it only if its connection's bytes have changed,
//! which small requests with direct replies do not do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::socket::ConnStream;
use crate::connection::Connection;
use crate::engine::limits::Limits;
use crate::engine::memory::{MEMORY_GRACE, MemoryPolicy};
use crate::engine::stats::Stats;
use crate::net::Notifier;
use crate::service::time::Timestamp;
use crate::service::{CloseReason, Peer};

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

/// The bytes that connections hold, and the current period of memory pressure.
pub(super) struct HeldMemory {
    pub(super) policy: MemoryPolicy,
    held_bytes: AtomicU64,
    /// True if a period has begun. It is read before the lock is taken.
    has_pressure: AtomicBool,
    pressure: Mutex<Option<PressurePeriod>>,
}

/// A period in which connections hold more than the limit.
struct PressurePeriod {
    /// Signaled once, when the period ends or its grace period starts anew, and never cleared: each
    /// period has its own. `None` if no descriptor was free.
    relief: Option<Arc<Notifier>>,
    /// The time at which the sum must have fallen.
    grace_ends: Timestamp,
}

impl HeldMemory {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            policy: MemoryPolicy::new(limits),
            held_bytes: AtomicU64::new(0),
            has_pressure: AtomicBool::new(false),
            pressure: Mutex::new(None),
        }
    }

    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn is_over_limit(&self) -> bool {
        self.policy.is_over(self.held_bytes())
    }

    /// Returns true if half of the limit is used, so that memory is kept for input and output.
    pub(super) fn is_half_used(&self) -> bool {
        self.policy.is_half_used(self.held_bytes())
    }

    /// Returns the reason to reject a pending connection, if the limit is reached.
    pub(super) fn rejection(&self) -> Option<CloseReason> {
        self.policy.rejection(self.held_bytes())
    }

    /// Counts the connection's bytes anew and updates the sum.
    #[inline]
    pub(super) fn recount(&self, conn: &mut Connection<ConnStream>, thread_stats: &ThreadStats) {
        let (before, now) = conn.recount();
        if before != now {
            self.adjust(before, now);
            thread_stats.held_bytes.store(now, Ordering::Relaxed);
        }
    }

    fn adjust(&self, before: u64, now: u64) {
        self.held_bytes.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        if now < before && self.has_pressure.load(Ordering::Acquire) && self.is_relieved() {
            self.relieve();
        }
    }

    /// Begins a period unless one has begun. Returns its notifier, and true if the period is new.
    pub(super) fn begin_pressure(&self, now: Timestamp) -> (Option<Arc<Notifier>>, bool) {
        let mut pressure = self.lock();
        let is_new = pressure.is_none();
        let relief = pressure.get_or_insert_with(|| PressurePeriod::new(now)).relief.clone();
        self.has_pressure.store(true, Ordering::Release);
        drop(pressure);
        if is_new && self.is_relieved() {
            // The sum fell before the period was visible, so the thread that lowered it did not end
            // the period.
            self.relieve();
        }
        (relief, is_new)
    }

    fn is_relieved(&self) -> bool {
        self.policy.is_relieved(self.held_bytes())
    }

    fn relieve(&self) {
        let mut pressure = self.lock();
        let Some(ended) = pressure.take() else { return };
        // Cleared under the lock, so that a new period cannot be overwritten.
        self.has_pressure.store(false, Ordering::Release);
        drop(pressure);
        ended.end();
        self.policy.log_cleared(self.held_bytes());
    }

    pub(super) fn grace_ends(&self) -> Option<Timestamp> {
        self.lock().as_ref().map(|pressure| pressure.grace_ends)
    }

    /// Returns true if the sum has not fallen in the grace period.
    pub(super) fn grace_has_ended(&self, now: Timestamp) -> bool {
        self.grace_ends().is_some_and(|at| at <= now)
    }

    /// Starts the grace period anew. Wakes the paused connections, so that those chosen to close do
    /// so.
    pub(super) fn restart_grace(&self, now: Timestamp) {
        if let Some(pressure) = self.lock().as_mut() {
            std::mem::replace(pressure, PressurePeriod::new(now)).end();
        }
    }

    /// Locks the current period. No holder of the lock panics.
    fn lock(&self) -> MutexGuard<'_, Option<PressurePeriod>> {
        self.pressure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PressurePeriod {
    fn new(now: Timestamp) -> Self {
        // Without a notifier, paused connections check again after a fixed time.
        Self { relief: Notifier::new().ok().map(Arc::new), grace_ends: now + MEMORY_GRACE }
    }

    fn end(&self) {
        if let Some(relief) = &self.relief {
            relief.notify();
        }
    }
}
