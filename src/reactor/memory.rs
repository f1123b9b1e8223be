//! The bound on what all connections hold together.
//!
//! Above it, a connection that holds more than its share (the bound divided by the open connections) is not read, and newcomers
//! are refused; everybody else goes on. What waits for a reader drains as it reads. What does not drain, because it is half
//! frames whose peers we do not read, would stay for ever: so if the sum is not down in a while, the largest holders are closed,
//! as many as it takes. A connection may hold up to twice what it has received, so the sum is at most about three times the bound.

use super::driver::Net;
use super::event_loop::Turn;
use crate::connection::Phase;
use crate::engine::limits::{BUDGET_PATIENCE, MIN_READ_BYTES};
use crate::engine::slab::reserved_key;
use crate::service::CloseReason;
use crate::service::Peer;
use crate::service::TimerId;
use crate::service::time::Timestamp;

/// The key of the moment by which the sum has to be down.
pub(super) const BUDGET_KEY: usize = reserved_key(usize::MAX) - 2;

/// Who waits for the sum to fall.
#[derive(Default)]
pub(super) struct Budget {
    /// Until when the sum has to be down, if it is not.
    patience_ends: Option<Timestamp>,
    waiting: Vec<usize>,
}

impl<N: Net> Turn<N> {
    pub(super) fn is_over_budget(&self) -> bool {
        self.desk.stats.buffered_bytes >= self.desk.limits.max_buffered_bytes as u64
    }

    /// After a connection's holdings were counted: whether it may go on reading.
    #[inline]
    pub(super) fn check_budget(&mut self, key: usize) {
        if self.is_over_budget() {
            self.hold_back(key);
        }
    }

    /// How much may be read from a connection now; nothing if it has to be held back. Within the bound, as much as its budget
    /// for the turn allows; above it, up to its share.
    pub(super) fn read_allowance(&mut self, key: usize, budget: usize) -> Option<usize> {
        if !self.is_over_budget() {
            return Some(budget);
        }
        let share = self.desk.limits.share_bytes(self.conns.len());
        let conn = self.conns.get_mut(key)?;
        let held = conn.held_bytes();
        if held > share && !conn.flags().eof_reported {
            self.hold_back(key);
            return None;
        }
        Some(share.saturating_sub(held).max(MIN_READ_BYTES).min(budget))
    }

    #[cold]
    fn hold_back(&mut self, key: usize) {
        if self.budget.patience_ends.is_none() {
            log::warn!(
                "connections hold {} bytes of the {} allowed: newcomers are refused and the largest holders of {} are not read",
                self.desk.stats.buffered_bytes,
                self.desk.limits.max_buffered_bytes,
                self.desk.stats.open
            );
            self.be_patient();
        }
        let share = self.desk.limits.share_bytes(self.conns.len());
        let limits = &self.desk.limits;
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.held_bytes() > share && conn.phase() == Phase::Open && !conn.flags().memory_paused {
            conn.flags().memory_paused = true;
            conn.update_backpressure(limits, self.desk.clock.moment, &mut self.desk.stats);
            self.budget.waiting.push(key);
        }
    }

    /// Lets those that were held back go on, once there is an eighth of the bound to spare.
    pub(super) fn relieve_budget(&mut self) {
        let Some(at) = self.budget.patience_ends else { return };
        if self.desk.stats.buffered_bytes > self.desk.limits.relief_bytes() {
            return;
        }
        self.budget.patience_ends = None;
        self.deadlines.cancel(TimerId::new(at, BUDGET_KEY as u64));
        log::info!("connections hold {} bytes: all are read again", self.desk.stats.buffered_bytes);
        for key in std::mem::take(&mut self.budget.waiting) {
            if let Some(conn) = self.conns.get_mut(key) {
                conn.flags().memory_paused = false;
                self.enqueue(key);
            }
        }
    }

    /// The sum has stayed above the bound for too long: the largest holders go, as many as it takes.
    pub(super) fn shed_largest(&mut self) {
        self.relieve_budget();
        if self.budget.patience_ends.is_none() {
            return;
        }
        let clients = self.conns.iter().filter(|(_, conn)| *conn.peer() != Peer::Console);
        let mut holders: Vec<_> = clients.map(|(key, conn)| (conn.held_bytes(), key)).collect();
        holders.sort_unstable();
        let mut excess = self.desk.stats.buffered_bytes.saturating_sub(self.desk.limits.relief_bytes());
        while excess > 0
            && let Some((held, key)) = holders.pop()
        {
            excess = excess.saturating_sub(held as u64);
            self.end(key, CloseReason::BufferBudget(self.desk.limits.max_buffered_bytes));
        }
        self.be_patient();
    }

    fn be_patient(&mut self) {
        let at = self.desk.clock.moment + BUDGET_PATIENCE;
        self.budget.patience_ends = Some(at);
        self.deadlines.set(TimerId::new(at, BUDGET_KEY as u64), ());
    }
}
