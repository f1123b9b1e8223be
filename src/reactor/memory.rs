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
use super::shared::Shared;
use super::timers::MEMORY_KEY;
use crate::connection::{Connection, Stream};
use crate::engine::limits::{MEMORY_GRACE, MIN_READ_BYTES};
use crate::service::CloseReason;
use crate::service::Peer;

impl Shared {
    #[inline]
    pub(super) fn is_over_memory_limit(&self) -> bool {
        self.worker.stats.buffered_bytes >= self.worker.limits.max_buffered_bytes as u64
    }

    /// Returns the number of bytes that may be read from a connection now. Within the bound that is
    /// the `budget`; above it, the rest of the connection's share. Returns `None` and pauses the
    /// connection if it holds more than its share; `None`, too, if the budget is spent.
    #[inline]
    pub(super) fn read_allowance<S: Stream>(
        &mut self,
        key: usize,
        conn: &mut Connection<S>,
        budget: usize,
    ) -> Option<usize> {
        if budget == 0 || !self.is_over_memory_limit() {
            return (budget > 0).then_some(budget);
        }
        let share = self.worker.limits.share_bytes(self.connections());
        let held = conn.held_bytes();
        // A connection whose end of stream is reported is read on: its close frees its memory.
        if held > share && !conn.is_end_reported() {
            self.pause_for_memory(key, conn);
            return None;
        }
        Some(share.saturating_sub(held).max(MIN_READ_BYTES).min(budget))
    }

    /// Pauses a connection if it holds more than its share. Called above the bound, after the
    /// connection's bytes were counted.
    #[cold]
    pub(super) fn pause_for_memory<S: Stream>(&mut self, key: usize, conn: &mut Connection<S>) {
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
        let share = self.worker.limits.share_bytes(self.connections());
        if conn.held_bytes() > share && conn.pause_for_memory(&mut self.worker) {
            self.memory.paused.push(key);
        }
    }

    /// Starts the grace period in which the sum may fall by itself.
    fn start_memory_grace(&mut self) {
        let at = self.worker.clock.timestamp + MEMORY_GRACE;
        self.memory.grace_ends = Some(at);
        self.deadlines.set(MEMORY_KEY, at);
    }
}

impl<D: Driver> EventLoop<D> {
    /// Resumes the paused connections once an eighth of the bound is free.
    pub(super) fn relieve_memory(&mut self) {
        let Self { connections, shared, .. } = self;
        let Some(at) = shared.memory.grace_ends else { return };
        let held = shared.worker.stats.buffered_bytes;
        if held > shared.worker.limits.relief_bytes() {
            return;
        }
        shared.memory.grace_ends = None;
        shared.deadlines.cancel(MEMORY_KEY, at);
        log::info!("memory limit cleared: connections hold {held} bytes; all are read");
        for key in std::mem::take(&mut shared.memory.paused) {
            if let Some(conn) = connections.get_mut(key) {
                conn.end_memory_pause(&mut shared.worker);
                if conn.mark_scheduled() {
                    shared.ready.push_back(key);
                }
            }
        }
    }

    /// Closes the largest holders, because the sum is still above the bound when the grace period
    /// ends. Consoles are spared.
    pub(super) fn close_largest(&mut self) {
        self.relieve_memory();
        let Self { connections, shared, .. } = self;
        if shared.memory.grace_ends.is_none() {
            return;
        }
        let clients = connections.iter().filter(|(_, conn)| *conn.peer() != Peer::Console);
        let mut holders: Vec<_> = clients.map(|(key, conn)| (conn.held_bytes(), key)).collect();
        holders.sort_unstable();
        let mut excess = shared.worker.stats.buffered_bytes.saturating_sub(shared.worker.limits.relief_bytes());
        while excess > 0
            && let Some((held, key)) = holders.pop()
        {
            excess = excess.saturating_sub(held as u64);
            if let Some(conn) = connections.get_mut(key) {
                shared.begin_close(key, conn, CloseReason::BufferBudget(shared.worker.limits.max_buffered_bytes));
            }
        }
        shared.start_memory_grace();
    }
}
