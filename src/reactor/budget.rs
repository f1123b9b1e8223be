//! The bound on what all connections hold together.
//!
//! Above it, a connection that holds more than its share (the bound divided by the open connections) is not read, and newcomers
//! are refused; everybody else goes on. What waits for a reader drains as it reads. What does not drain, because it is half
//! frames whose peers we do not read, would stay for ever: so if the sum is not down in a while, the largest holder is closed.

use std::time::Duration;

use super::net::Net;
use super::turn::Turn;
use crate::connection::Phase;
use crate::error::CloseReason;
use crate::moment::Moment;
use crate::slots::reserved_key;
use crate::timers::TimerId;

/// The key of the moment by which the sum has to be down.
pub(super) const BUDGET_KEY: usize = reserved_key(usize::MAX) - 2;

/// How long holders that are not read may keep the sum above the bound.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who waits for the sum to fall.
#[derive(Default)]
pub(super) struct Budget {
    /// Until when the sum has to be down, if it is not.
    patience_ends: Option<Moment>,
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
        let limits = &self.desk.limits;
        let share = limits.max_buffered_bytes / self.conns.len().max(1);
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.held_bytes() > share && conn.phase() == Phase::Open && !conn.flags().over_budget {
            conn.flags().over_budget = true;
            conn.regulate(limits, self.desk.clock.moment, &mut self.desk.stats);
            self.budget.waiting.push(key);
        }
    }

    /// Lets those that were held back go on, once there is an eighth of the bound to spare.
    pub(super) fn relieve_budget(&mut self) {
        let max = self.desk.limits.max_buffered_bytes as u64;
        let Some(at) = self.budget.patience_ends else { return };
        if self.desk.stats.buffered_bytes > max - max / 8 {
            return;
        }
        self.budget.patience_ends = None;
        self.deadlines.cancel(TimerId::new(at, BUDGET_KEY as u64));
        log::info!("connections hold {} bytes: all are read again", self.desk.stats.buffered_bytes);
        for key in std::mem::take(&mut self.budget.waiting) {
            if let Some(conn) = self.conns.get_mut(key) {
                conn.flags().over_budget = false;
                self.enqueue(key);
            }
        }
    }

    /// The sum has stayed above the bound for too long: the largest holder goes, and the rest get the same time again.
    pub(super) fn shed_largest(&mut self) {
        self.relieve_budget();
        if self.budget.patience_ends.is_none() {
            return;
        }
        let largest = self.conns.iter().max_by_key(|(_, conn)| conn.held_bytes()).map(|(key, _)| key);
        if let Some(key) = largest {
            self.end(key, CloseReason::BufferBudget(self.desk.limits.max_buffered_bytes));
        }
        self.be_patient();
    }

    fn be_patient(&mut self) {
        let at = self.desk.clock.moment + PATIENCE;
        self.budget.patience_ends = Some(at);
        self.deadlines.set(TimerId::new(at, BUDGET_KEY as u64), ());
    }
}
