//! The bound on what all connections hold together, as the reactor keeps it: above it, who holds more than a share is not
//! read, newcomers are refused, and if the sum is not down in a while the largest holders go.
//!
//! The sum is one number that threads share. It is written only when a connection's holdings change, which for small requests
//! that are answered at once they do not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::connection_thread::Attendant;
use super::socket::Plug;
use super::thread_stats::Tally;
use super::worker::Agent;
use crate::connection::{Connection, Phase};
use crate::engine::limits::{Limits, MEMORY_GRACE, MIN_READ_BYTES};
use crate::net::Notifier;
use crate::service::CloseReason;
use crate::service::time::Timestamp;

/// What connections hold, and who waits for it to fall.
pub(super) struct Budget {
    max_bytes: u64,
    /// Low enough for everybody to be read again.
    relief_bytes: u64,
    held_bytes: AtomicU64,
    /// There is an episode: looked at before the lock is taken.
    is_short: AtomicBool,
    episode: Mutex<Option<Episode>>,
}

/// A time of too little memory.
struct Episode {
    /// Rung once, when it is over or has to be looked at anew, and never hushed: each time has a bell of its own.
    relief: Option<Arc<Notifier>>,
    /// Until when the sum has to be down.
    patience_ends: Timestamp,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_bytes: limits.max_buffered_bytes as u64,
            relief_bytes: limits.relief_bytes(),
            held_bytes: AtomicU64::new(0),
            is_short: AtomicBool::new(false),
            episode: Mutex::new(None),
        }
    }

    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.held_bytes() >= self.max_bytes
    }

    /// Whether memory had better be kept for what peers send and are owed.
    pub(super) fn is_half_used(&self) -> bool {
        self.held_bytes() >= self.max_bytes / 2
    }

    /// Brings the sum up to date.
    #[inline]
    pub(super) fn count(&self, conn: &mut Connection<Plug>, tally: &Tally) {
        let (before, now) = conn.recount();
        if before != now {
            self.change(before, now);
            tally.held_bytes.store(now, Ordering::Relaxed);
        }
    }

    fn change(&self, before: u64, now: u64) {
        self.held_bytes.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        if now < before && self.is_short.load(Ordering::Acquire) && self.held_bytes() <= self.relief_bytes {
            self.relieve();
        }
    }

    /// A connection is not read any more: what rings when that may change, and whether this is the first of its kind.
    pub(super) fn hold_back(&self, now: Timestamp) -> (Option<Arc<Notifier>>, bool) {
        let mut episode = self.lock();
        let is_new = episode.is_none();
        let relief = episode.get_or_insert_with(|| Episode::new(now)).relief.clone();
        self.is_short.store(true, Ordering::Release);
        drop(episode);
        if is_new && self.held_bytes() <= self.relief_bytes {
            // It fell in between, and whoever made it fall saw no episode.
            self.relieve();
        }
        (relief, is_new)
    }

    fn relieve(&self) {
        let mut episode = self.lock();
        let Some(ended) = episode.take() else { return };
        // Before somebody else can begin another, which would be short and not known to be.
        self.is_short.store(false, Ordering::Release);
        drop(episode);
        ended.end();
        log::info!("connections hold {} bytes: all are read again", self.held_bytes());
    }

    pub(super) fn patience_ends(&self) -> Option<Timestamp> {
        self.lock().as_ref().map(|episode| episode.patience_ends)
    }

    /// How much has to go, if the sum has stayed above the bound for too long.
    pub(super) fn excess_bytes(&self, now: Timestamp) -> Option<u64> {
        let is_late = self.patience_ends().is_some_and(|at| at <= now);
        is_late.then(|| self.held_bytes().saturating_sub(self.relief_bytes))
    }

    /// A new time of patience begins, and those who wait look whether they were chosen to go.
    pub(super) fn be_patient(&self, now: Timestamp) {
        if let Some(episode) = self.lock().as_mut() {
            std::mem::replace(episode, Episode::new(now)).end();
        }
    }

    /// Nothing panics with the lock held.
    fn lock(&self) -> MutexGuard<'_, Option<Episode>> {
        self.episode.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attendant {
    #[inline]
    pub(super) fn count(&mut self, conn: &mut Connection<Plug>) {
        self.agent.exchange.budget.count(conn, &self.agent.tally);
    }

    /// How much may be read now; nothing if the connection has to be held back.
    pub(super) fn read_allowance(&mut self, conn: &mut Connection<Plug>, budget: usize) -> Option<usize> {
        if !self.agent.exchange.budget.is_over() {
            return Some(budget);
        }
        let exchange = &self.agent.exchange;
        let (share, held) = (exchange.limits.share_bytes(exchange.places.open()), conn.held_bytes());
        if held > share && !conn.flags().eof_reported {
            self.hold_back(conn);
            return None;
        }
        Some(share.saturating_sub(held).max(MIN_READ_BYTES).min(budget))
    }

    #[cold]
    pub(super) fn hold_back(&mut self, conn: &mut Connection<Plug>) {
        let Agent { exchange, desk, .. } = &mut self.agent;
        let (relief, is_new) = exchange.budget.hold_back(desk.clock.moment);
        if is_new {
            log::warn!(
                "connections hold {} bytes of the {} allowed: newcomers are refused and the largest holders of {} are not read",
                exchange.budget.held_bytes(),
                desk.limits.max_buffered_bytes,
                exchange.places.open()
            );
            exchange.control.notify();
        }
        let share = exchange.limits.share_bytes(exchange.places.open());
        if conn.held_bytes() > share && conn.phase() == Phase::Open && !conn.flags().memory_paused {
            conn.flags().memory_paused = true;
            conn.update_backpressure(&desk.limits, desk.clock.moment, &mut desk.stats);
            self.relief = relief;
        }
    }

    /// The connection was chosen to go.
    pub(super) fn shed(&mut self, conn: &mut Connection<Plug>) {
        self.end(conn, CloseReason::BufferBudget(self.agent.desk.limits.max_buffered_bytes));
    }
}

impl Episode {
    fn new(now: Timestamp) -> Self {
        // Without a descriptor for it, those who wait look again after a while.
        Self { relief: Notifier::new().ok().map(Arc::new), patience_ends: now + MEMORY_GRACE }
    }

    fn end(&self) {
        if let Some(relief) = &self.relief {
            relief.notify();
        }
    }
}
