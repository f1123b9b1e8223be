//! The bound on the bytes that all connections hold together, `max_buffered_bytes`.
//!
//! Above the bound, a connection that holds more than its share (the bound divided by the number of
//! connections) is not read, and pending connections are rejected; all others go on. Output that
//! waits for a slow reader shrinks as the peer reads. Unfinished frames do not shrink, because
//! their peers are not read. So if the sum has not fallen when the grace period ends, the largest
//! holders are closed, until it has. A buffer grows by doubling, so a connection may hold up to
//! twice what it has received, and the sum is at most about three times the bound.

use super::driver::Driver;
use super::event_loop::EventLoop;
use super::state::MEMORY_KEY;
use crate::engine::limits::{MEMORY_GRACE, MIN_READ_BYTES};
use crate::service::CloseReason;
use crate::service::Peer;
use crate::service::TimerId;

impl<D: Driver> EventLoop<D> {
    pub(super) fn is_over_memory_limit(&self) -> bool {
        self.worker.stats.buffered_bytes >= self.worker.limits.max_buffered_bytes as u64
    }

    /// Pauses a connection if all together hold too much and it holds more than its share. Called
    /// after the connection's bytes were counted.
    #[inline]
    pub(super) fn check_memory(&mut self, key: usize) {
        if self.is_over_memory_limit() {
            self.pause_for_memory(key);
        }
    }

    /// Returns the number of bytes that may be read from a connection now. Within the bound that is
    /// the `budget`; above it, the rest of the connection's share. Returns `None` and pauses the
    /// connection if it holds more than its share.
    pub(super) fn read_allowance(&mut self, key: usize, budget: usize) -> Option<usize> {
        if !self.is_over_memory_limit() {
            return Some(budget);
        }
        let share = self.worker.limits.share_bytes(self.connections.len());
        let conn = self.connections.get_mut(key)?;
        let held = conn.held_bytes();
        // A connection whose end of stream is reported is read on: its close frees its memory.
        if held > share && !conn.is_end_reported() {
            self.pause_for_memory(key);
            return None;
        }
        Some(share.saturating_sub(held).max(MIN_READ_BYTES).min(budget))
    }

    #[cold]
    fn pause_for_memory(&mut self, key: usize) {
        if self.memory.grace_ends.is_none() {
            log::warn!(
                "memory limit reached: connections hold {} of {} bytes; the largest holders of {} are paused and \
                 pending connections rejected",
                self.worker.stats.buffered_bytes,
                self.worker.limits.max_buffered_bytes,
                self.worker.stats.open
            );
            self.start_memory_grace();
        }
        let share = self.worker.limits.share_bytes(self.connections.len());
        let Some(conn) = self.connections.get_mut(key) else { return };
        if conn.held_bytes() > share && conn.pause_for_memory(&mut self.worker) {
            self.memory.paused.push(key);
        }
    }

    /// Resumes the paused connections once an eighth of the bound is free.
    pub(super) fn relieve_memory(&mut self) {
        let Some(at) = self.memory.grace_ends else { return };
        if self.worker.stats.buffered_bytes > self.worker.limits.relief_bytes() {
            return;
        }
        self.memory.grace_ends = None;
        self.deadlines.cancel(TimerId::new(at, MEMORY_KEY as u64));
        log::info!("memory limit cleared: connections hold {} bytes; all are read", self.worker.stats.buffered_bytes);
        for key in std::mem::take(&mut self.memory.paused) {
            if let Some(conn) = self.connections.get_mut(key) {
                conn.end_memory_pause(&mut self.worker);
                self.schedule(key);
            }
        }
    }

    /// Closes the largest holders, because the sum is still above the bound when the grace period
    /// ends. Consoles are spared.
    pub(super) fn close_largest(&mut self) {
        self.relieve_memory();
        if self.memory.grace_ends.is_none() {
            return;
        }
        let clients = self.connections.iter().filter(|(_, conn)| *conn.peer() != Peer::Console);
        let mut holders: Vec<_> = clients.map(|(key, conn)| (conn.held_bytes(), key)).collect();
        holders.sort_unstable();
        let mut excess = self.worker.stats.buffered_bytes.saturating_sub(self.worker.limits.relief_bytes());
        while excess > 0
            && let Some((held, key)) = holders.pop()
        {
            excess = excess.saturating_sub(held as u64);
            self.begin_close(key, CloseReason::BufferBudget(self.worker.limits.max_buffered_bytes));
        }
        self.start_memory_grace();
    }

    /// Starts the grace period in which the sum may fall by itself.
    fn start_memory_grace(&mut self) {
        let at = self.worker.clock.timestamp + MEMORY_GRACE;
        self.memory.grace_ends = Some(at);
        self.deadlines.set(TimerId::new(at, MEMORY_KEY as u64), ());
    }
}
