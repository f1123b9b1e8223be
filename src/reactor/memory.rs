//! The bound on the bytes that all connections hold together: pauses, resumes and closes them as
//! [`MemoryPolicy`] decides.

use super::driver::Driver;
use super::event_loop::EventLoop;
use super::shared::Shared;
use super::timers::MEMORY_KEY;
use crate::connection::{Connection, Phase, Stream};
use crate::engine::memory::{MEMORY_GRACE, MemoryPolicy};
use crate::service::{CloseReason, MAX_KEPT_ENTRIES, Peer};

impl Shared {
    /// Returns the sum that the bound applies to.
    #[inline]
    pub(super) fn memory_sum(&self) -> u64 {
        self.worker.stats.buffered_bytes + self.memory.batches.bytes()
    }

    #[inline]
    pub(super) fn is_over_memory_limit(&self) -> bool {
        self.memory.policy.is_over(self.memory_sum())
    }

    /// Returns the reason to reject a pending connection for want of memory, if there is one.
    pub(super) fn memory_rejection(&mut self, peer: &Peer) -> Option<CloseReason> {
        let (sum, now) = (self.memory_sum(), self.worker.clock.timestamp);
        let policy = self.memory.policy;
        let must_wait = policy.is_half_used(sum) && self.memory.closed_holders.must_wait(peer, now);
        policy.rejection(sum).or_else(|| must_wait.then(|| policy.close_reason()))
    }

    /// Returns the number of bytes that may be read from a connection now: the `budget`, or less
    /// above the limit. Returns `None` if the budget is spent, and `None` after pausing the
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
            self.limit_memory(key, conn);
        }
        allowance
    }

    /// Pauses a connection if it holds more than its share. Called above the limit, after the
    /// connection's bytes were counted.
    #[cold]
    pub(super) fn limit_memory<S: Stream>(&mut self, key: usize, conn: &mut Connection<S>) {
        let (policy, sum) = (self.memory.policy, self.memory_sum());
        if self.memory.grace_ends.is_none() {
            policy.log_reached(sum, self.worker.stats.open);
            self.worker.buffer_pool.set_saving(true);
            self.start_memory_grace();
        }
        self.memory.is_exceeded |= policy.is_exceeded(sum);
        if conn.held_bytes() > policy.share_bytes(self.connection_count()) && conn.pause_for_memory(&mut self.worker) {
            self.memory.paused.push(key);
        }
    }

    /// Frees what the lists and buffers of the loop have grown to, because nobody is connected.
    /// Each would otherwise keep the memory below it from going back to the system.
    pub(super) fn free_unused_memory(&mut self) {
        self.worker.buffer_pool.clear();
        self.ready.shrink_to(MAX_KEPT_ENTRIES);
        self.ending.closing.shrink_to(MAX_KEPT_ENTRIES);
        self.ending.closed.shrink_to(MAX_KEPT_ENTRIES);
        self.turn_end.dirty.shrink_to(MAX_KEPT_ENTRIES);
        self.turn_end.dropped.shrink_to(MAX_KEPT_ENTRIES);
        self.memory.paused.shrink_to(MAX_KEPT_ENTRIES);
        self.worker.pending_actions.actions.shrink_to(MAX_KEPT_ENTRIES);
    }

    /// Starts the grace period in which the sum may fall by itself.
    fn start_memory_grace(&mut self) {
        let at = self.worker.clock.timestamp + MEMORY_GRACE;
        if let Some(replaced) = self.memory.grace_ends.replace(at) {
            self.deadlines.cancel(MEMORY_KEY, replaced);
        }
        self.deadlines.set(MEMORY_KEY, at);
    }
}

impl<D: Driver> EventLoop<D> {
    /// Resumes the paused connections once enough memory is free.
    pub(super) fn relieve_memory(&mut self) {
        let Self { connections, shared, .. } = self;
        let Some(at) = shared.memory.grace_ends else { return };
        let sum = shared.memory_sum();
        if !shared.memory.policy.is_relieved(sum) {
            return;
        }
        shared.memory.grace_ends = None;
        shared.deadlines.cancel(MEMORY_KEY, at);
        shared.worker.buffer_pool.set_saving(false);
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

    /// Closes the largest holders now if the sum has reached the limit.
    #[inline]
    pub(super) fn close_largest_if_exceeded(&mut self) {
        if std::mem::take(&mut self.shared.memory.is_exceeded) {
            self.close_largest();
        }
    }

    /// Closes the largest holders, because the sum has not fallen when the grace period ends, or
    /// has reached the limit. Consoles are spared.
    #[cold]
    pub(super) fn close_largest(&mut self) {
        self.relieve_memory();
        let Self { connections, shared, .. } = self;
        if shared.memory.grace_ends.is_none() {
            return;
        }
        let policy = shared.memory.policy;
        let clients = connections.iter().filter(|(_, conn)| {
            *conn.peer() != Peer::Console && !matches!(conn.phase(), Phase::Closing | Phase::Aborting)
        });
        let holders = MemoryPolicy::largest_first(clients.map(|(key, conn)| (conn.held_bytes(), key)));
        // A connection that closes keeps what its service holds for it until its `on_close` has
        // run, or its last job has ended.
        let closing = connections.iter().filter(|(_, conn)| matches!(conn.phase(), Phase::Closing | Phase::Aborting));
        let mut leaving: u64 = closing.map(|(_, conn)| conn.own_bytes() as u64).sum();
        let share = policy.share_bytes(shared.connection_count());
        for (held, key) in holders {
            if held <= share || policy.is_relieved(shared.memory_sum().saturating_sub(leaving)) {
                break;
            }
            if let Some(conn) = connections.get_mut(key) {
                shared.memory.closed_holders.note(conn.peer(), shared.worker.clock.timestamp);
                shared.begin_close(key, conn, policy.close_reason());
                conn.recount_into(&mut shared.worker.stats.buffered_bytes);
                leaving += conn.own_bytes() as u64;
            }
        }
        shared.start_memory_grace();
    }
}
