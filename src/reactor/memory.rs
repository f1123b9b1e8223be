//! The bound on the bytes that all connections hold together: pauses, resumes and closes them as
//! [`MemoryPolicy`](crate::engine::memory::MemoryPolicy) decides.

use super::driver::Driver;
use super::event_loop::EventLoop;
use super::state::MEMORY_KEY;
use crate::engine::memory::MEMORY_GRACE;
use crate::service::Peer;
use crate::service::TimerId;

impl<D: Driver> EventLoop<D> {
    pub(super) fn is_over_memory_limit(&self) -> bool {
        self.memory.policy.is_over(self.worker.stats.buffered_bytes)
    }

    /// Pauses a connection if all together hold too much and it holds more than its share. Called
    /// after the connection's bytes were counted.
    #[inline]
    pub(super) fn check_memory(&mut self, key: usize) {
        if self.is_over_memory_limit() {
            self.pause_for_memory(key);
        }
    }

    /// Returns the number of bytes that may be read from a connection now: the `budget`, or less
    /// above the bound. Returns `None` and pauses the connection if it holds more than its share.
    pub(super) fn read_allowance(&mut self, key: usize, budget: usize) -> Option<usize> {
        if !self.is_over_memory_limit() {
            return Some(budget);
        }
        let open = self.connections.len();
        let conn = self.connections.get_mut(key)?;
        let (held, reads_to_end) = (conn.held_bytes(), conn.is_end_reported());
        let allowance = self.memory.policy.read_allowance(open, held, budget, reads_to_end);
        if allowance.is_none() {
            self.pause_for_memory(key);
        }
        allowance
    }

    #[cold]
    fn pause_for_memory(&mut self, key: usize) {
        let policy = self.memory.policy;
        if self.memory.grace_ends.is_none() {
            policy.log_reached(self.worker.stats.buffered_bytes, self.worker.stats.open);
            self.start_memory_grace();
        }
        let share = policy.share_bytes(self.connections.len());
        let Some(conn) = self.connections.get_mut(key) else { return };
        if conn.held_bytes() > share && conn.pause_for_memory(&mut self.worker) {
            self.memory.paused.push(key);
        }
    }

    /// Resumes the paused connections once an eighth of the bound is free.
    pub(super) fn relieve_memory(&mut self) {
        let Some(at) = self.memory.grace_ends else { return };
        let sum = self.worker.stats.buffered_bytes;
        if !self.memory.policy.is_relieved(sum) {
            return;
        }
        self.memory.grace_ends = None;
        self.deadlines.cancel(TimerId::new(at, MEMORY_KEY as u64));
        self.memory.policy.log_cleared(sum);
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
        let policy = self.memory.policy;
        let clients = self.connections.iter().filter(|(_, conn)| *conn.peer() != Peer::Console);
        let holders = clients.map(|(key, conn)| (conn.held_bytes() as u64, key));
        for key in policy.largest_holders(self.worker.stats.buffered_bytes, holders) {
            self.begin_close(key, policy.close_reason());
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
