//! Pausing on the connections' threads, above the memory limit. The control thread closes the
//! largest holders.

use super::connection_thread::ConnectionThread;
use super::socket::ConnStream;
use super::worker::Worker;
use crate::connection::Connection;

impl ConnectionThread {
    #[inline]
    pub(super) fn recount_memory(&mut self, conn: &mut Connection<ConnStream>) {
        self.worker.shared.memory.recount(conn, &self.worker.thread_stats);
    }

    /// Returns the number of bytes that may be read from the connection now: the `budget`, or less
    /// above the limit. Returns `None` and pauses the connection if it holds more than its share.
    pub(super) fn read_allowance(&mut self, conn: &mut Connection<ConnStream>, budget: usize) -> Option<usize> {
        let shared = &self.worker.shared;
        if !shared.memory.is_over_limit() {
            return Some(budget);
        }
        let (held, reads_to_end) = (conn.held_bytes(), conn.is_end_reported());
        let open = shared.connection_slots.open();
        let allowance = shared.memory.policy.read_allowance(open, held, budget, reads_to_end);
        if allowance.is_none() {
            self.pause_for_memory(conn);
        }
        allowance
    }

    #[cold]
    pub(super) fn pause_for_memory(&mut self, conn: &mut Connection<ConnStream>) {
        let Worker { shared, context, .. } = &mut self.worker;
        let (relief, is_new) = shared.memory.begin_pressure(context.clock.timestamp);
        if is_new {
            shared.memory.policy.log_reached(shared.memory.held_bytes(), shared.connection_slots.open() as u64);
            shared.control.notify();
        }
        let share = shared.memory.policy.share_bytes(shared.connection_slots.open());
        if conn.held_bytes() > share && conn.pause_for_memory(context) {
            self.relief = relief;
        }
    }

    /// Closes the connection, because the control thread chose it as one of the largest holders.
    pub(super) fn close_for_memory(&mut self, conn: &mut Connection<ConnStream>) {
        self.begin_close(conn, self.worker.shared.memory.policy.close_reason());
    }
}
