//! The bytes that all connections hold together, and the periods in which they are too many.
//!
//! The sum is one number that all threads share. A thread writes it only if its connection's bytes
//! have changed, which small requests with direct replies do not do.

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::lifecycle::lock;
use super::socket::ConnStream;
use crate::connection::Connection;
use crate::engine::limits::Limits;
use crate::engine::memory::{ClosedHolders, MEMORY_GRACE, MemoryPolicy};
use crate::frame::BatchMemory;
use crate::net::Notifier;
use crate::service::time::Timestamp;
use crate::service::{CloseReason, Peer};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};

/// The time between two closes of the largest holders while the sum stays at the limit. Those
/// that were asked to close have closed by then.
const CLOSE_INTERVAL: Duration = Duration::from_millis(50);

/// The bytes that connections hold, and the current period of memory pressure.
pub(super) struct HeldMemory {
    pub(super) policy: MemoryPolicy,
    /// The memory of the batches in all inboxes and write queues.
    pub(super) batches: BatchMemory,
    held_bytes: AtomicU64,
    /// True if a period has begun. It is read before the lock is taken.
    has_pressure: AtomicBool,
    pressure: Mutex<Option<PressurePeriod>>,
    closed_holders: Mutex<ClosedHolders>,
}

/// A period in which connections hold more than the limit.
struct PressurePeriod {
    /// Signaled once, when the period ends or its grace period starts anew, and never cleared: each
    /// period has its own. `None` if no descriptor was free.
    relief: Option<Arc<Notifier>>,
    began: Timestamp,
    /// The sum has reached the limit.
    is_exceeded: bool,
}

impl HeldMemory {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            policy: MemoryPolicy::new(limits),
            batches: BatchMemory::default(),
            held_bytes: AtomicU64::new(0),
            has_pressure: AtomicBool::new(false),
            pressure: Mutex::new(None),
            closed_holders: Mutex::default(),
        }
    }

    /// Returns the bytes held, without those of batches.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::SeqCst)
    }

    /// Returns the sum that the limit applies to.
    #[inline]
    pub(super) fn sum(&self) -> u64 {
        self.held_bytes() + self.batches.bytes()
    }

    #[inline]
    pub(super) fn is_over_limit(&self) -> bool {
        self.policy.is_over(self.sum())
    }

    /// Returns true if half of the limit is used, so that memory is kept for input and output.
    pub(super) fn is_half_used(&self) -> bool {
        self.policy.is_half_used(self.sum())
    }

    /// Returns the reason to reject a pending connection for want of memory, if there is one.
    pub(super) fn rejection(&self, peer: &Peer, now: Timestamp) -> Option<CloseReason> {
        let sum = self.sum();
        let must_wait = self.policy.is_half_used(sum) && lock(&self.closed_holders).must_wait(peer, now);
        self.policy.rejection(sum).or_else(|| must_wait.then(|| self.policy.close_reason()))
    }

    /// Notes that a peer is closed for its memory.
    pub(super) fn note_closed(&self, peer: &Peer, now: Timestamp) {
        lock(&self.closed_holders).note(peer, now);
    }

    /// Counts the connection's bytes anew and updates the sum. What it holds, its batches included,
    /// is published in `held_bytes`.
    #[inline]
    pub(super) fn recount(&self, conn: &mut Connection<ConnStream>, held_bytes: &AtomicUsize) {
        let (before, now) = conn.recount();
        held_bytes.store(conn.held_bytes(), Ordering::Relaxed);
        self.adjust(before, now);
    }

    /// Updates the sum after a part of it has changed.
    pub(super) fn adjust(&self, before: u64, now: u64) {
        // This thread lowers the sum and then looks for a period; `begin_pressure` begins one and
        // then looks at the sum. In a weaker order each could miss what the other has done.
        if before != now {
            self.held_bytes.fetch_add(now.wrapping_sub(before), Ordering::SeqCst);
        }
        // The sum has fallen, too, if batches have gone.
        if self.has_pressure.load(Ordering::SeqCst) && self.is_relieved() {
            self.relieve();
        }
    }

    /// Begins a period unless one has begun. Returns its notifier, and true if the control thread
    /// has to be woken for it.
    pub(super) fn begin_pressure(&self, now: Timestamp) -> (Option<Arc<Notifier>>, PressureNews) {
        let mut pressure = lock(&self.pressure);
        let is_new = pressure.is_none();
        let period = pressure.get_or_insert_with(|| PressurePeriod::new(now));
        let exceeds = !period.is_exceeded && self.policy.is_exceeded(self.sum());
        period.is_exceeded |= exceeds;
        let relief = period.relief.clone();
        self.has_pressure.store(true, Ordering::SeqCst);
        drop(pressure);
        if is_new && self.is_relieved() {
            // The sum fell before the period was visible, so the thread that lowered it did not end
            // the period.
            self.relieve();
        }
        (relief, PressureNews { is_new, exceeds })
    }

    fn is_relieved(&self) -> bool {
        self.policy.is_relieved(self.sum())
    }

    fn relieve(&self) {
        let mut pressure = lock(&self.pressure);
        let Some(ended) = pressure.take() else { return };
        // Cleared under the lock, so that a new period cannot be overwritten.
        self.has_pressure.store(false, Ordering::Release);
        drop(pressure);
        let sum = self.sum();
        ended.end();
        MemoryPolicy::log_cleared(sum);
    }

    pub(super) fn grace_ends(&self) -> Option<Timestamp> {
        let pressure = lock(&self.pressure);
        let grace = |period: &PressurePeriod| if period.is_exceeded { CLOSE_INTERVAL } else { MEMORY_GRACE };
        pressure.as_ref().map(|period| period.began + grace(period))
    }

    /// Returns true if the sum has not fallen in the grace period.
    pub(super) fn grace_has_ended(&self, now: Timestamp) -> bool {
        self.grace_ends().is_some_and(|at| at <= now)
    }

    /// Starts the grace period anew. Wakes the paused connections, so that those chosen to close do
    /// so.
    pub(super) fn restart_grace(&self, now: Timestamp) {
        if let Some(pressure) = lock(&self.pressure).as_mut() {
            std::mem::replace(pressure, PressurePeriod::new(now)).end();
        }
    }
}

/// What the control thread has to learn of a period.
#[derive(Clone, Copy, Debug)]
pub(super) struct PressureNews {
    /// The period has begun.
    pub(super) is_new: bool,
    /// The sum has reached the limit.
    pub(super) exceeds: bool,
}

impl PressurePeriod {
    fn new(now: Timestamp) -> Self {
        // Without a notifier, paused connections check again after a fixed time.
        Self { relief: Notifier::new().ok().map(Arc::new), began: now, is_exceeded: false }
    }

    fn end(&self) {
        if let Some(relief) = &self.relief {
            relief.notify();
        }
    }
}
