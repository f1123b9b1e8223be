//! The bytes that all connections hold together, and the periods in which they exceed
//! `max_buffered_bytes`.
//!
//! The sum is one number that all threads share. A thread writes it only if its connection's bytes
//! have changed, which small requests with direct replies do not do.
//!
//! This file knows nothing of the threads. [`memory_pause`](super::memory_pause) pauses the
//! connections.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::socket::ConnStream;
use super::thread_stats::ThreadStats;
use crate::connection::Connection;
use crate::engine::limits::Limits;
use crate::engine::memory::{MEMORY_GRACE, MemoryPolicy};
use crate::net::Notifier;
use crate::service::CloseReason;
use crate::service::time::Timestamp;

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
