//! The bound on the bytes that all connections hold together: pauses, resumes and closes them as
//! [`MemoryPolicy`] decides.

use super::driver::Driver;
use super::event_loop::EventLoop;
use super::shared::Shared;
use super::timers::MEMORY_KEY;
use crate::connection::{Connection, Stream};
use crate::engine::memory::{MEMORY_GRACE, MemoryPolicy};
use crate::service::Peer;

impl Shared {
    #[inline]
    pub(super) fn is_over_memory_limit(&self) -> bool {
        self.memory.policy.is_over(self.worker.stats.buffered_bytes)
    }

    /// Returns the number of bytes that may be read from a connection now: the `budget`, or less
    /// above the bound. Returns `None` if the budget is spent, and `None` after pausing the
    /// connection if it holds more than its share.
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
        let (held, reads_to_end) = (conn.held_bytes(), conn.is_end_reported());
        let allowance = self.memory.policy.read_allowance(self.connection_count(), held, budget, reads_to_end);
        if allowance.is_none() {
            self.pause_for_memory(key, conn);
        }
        allowance
    }

    /// Pauses a connection if it holds more than its share. Called above the bound, after the
    /// connection's bytes were counted.
    #[cold]
    pub(super) fn pause_for_memory<S: Stream>(&mut self, key: usize, conn: &mut Connection<S>) {
        let policy = self.memory.policy;
        if self.memory.grace_ends.is_none() {
            policy.log_reached(self.worker.stats.buffered_bytes, self.worker.stats.open);
            self.start_memory_grace();
        }
        if conn.held_bytes() > policy.share_bytes(self.connection_count()) && conn.pause_for_memory(&mut self.worker) {
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
        let sum = shared.worker.stats.buffered_bytes;
        if !shared.memory.policy.is_relieved(sum) {
            return;
        }
        shared.memory.grace_ends = None;
        shared.deadlines.cancel(MEMORY_KEY, at);
        MemoryPolicy::log_cleared(sum);
        for key in std::mem::take(&mut shared.memory.paused) {
            if let Some(conn) = connections.get_mut(key) {
                conn.end_memory_pause(&mut shared.worker);
                if conn.mark_scheduled() {
                    shared.ready.push(key);
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
        let policy = shared.memory.policy;
        let clients = connections.iter().filter(|(_, conn)| *conn.peer() != Peer::Console);
        let holders = clients.map(|(key, conn)| (conn.held_bytes() as u64, key));
        for key in policy.largest_holders(shared.worker.stats.buffered_bytes, holders) {
            if let Some(conn) = connections.get_mut(key) {
                shared.begin_close(key, conn, policy.close_reason());
            }
        }
        shared.start_memory_grace();
    }
}
