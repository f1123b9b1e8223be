//! Pausing on the connections' threads, above the memory limit.
//!
//! A connection that holds more than its share (the limit divided by the number of connections) is
//! not read, and pending connections are rejected. If the sum has not fallen when the grace period
//! ends, the control thread closes the largest holders.

use super::connection_thread::ConnectionThread;
use super::socket::ConnStream;
use super::worker::Worker;
use crate::connection::Connection;
use crate::engine::limits::MIN_READ_BYTES;
use crate::service::CloseReason;

impl ConnectionThread {
    #[inline]
    pub(super) fn recount_memory(&mut self, conn: &mut Connection<ConnStream>) {
        self.worker.shared.memory.recount(conn, &self.worker.thread_stats);
    }

    /// Returns the number of bytes that may be read from the connection now. Within the limit that
    /// is the `budget`; above it, the rest of the connection's share. Returns `None` and pauses the
    /// connection if it holds more than its share.
    pub(super) fn read_allowance(&mut self, conn: &mut Connection<ConnStream>, budget: usize) -> Option<usize> {
        if !self.worker.shared.memory.is_over_limit() {
            return Some(budget);
        }
        let shared = &self.worker.shared;
        let (share, held) = (shared.limits.share_bytes(shared.connection_slots.open()), conn.held_bytes());
        if held > share && !conn.is_end_reported() {
            self.pause_for_memory(conn);
            return None;
        }
        Some(share.saturating_sub(held).max(MIN_READ_BYTES).min(budget))
    }

    #[cold]
    pub(super) fn pause_for_memory(&mut self, conn: &mut Connection<ConnStream>) {
        let Worker { shared, context, .. } = &mut self.worker;
        let (relief, is_new) = shared.memory.begin_pressure(context.clock.timestamp);
        if is_new {
            log::warn!(
                "memory limit reached: connections hold {} of {} bytes; the largest holders of {} are paused and \
                 pending connections rejected",
                shared.memory.held_bytes(),
                context.limits.max_buffered_bytes,
                shared.connection_slots.open()
            );
            shared.control.notify();
        }
        let share = shared.limits.share_bytes(shared.connection_slots.open());
        if conn.held_bytes() > share && conn.pause_for_memory(context) {
            self.relief = relief;
        }
    }

    /// Closes the connection, because the control thread chose it as one of the largest holders.
    pub(super) fn close_for_memory(&mut self, conn: &mut Connection<ConnStream>) {
        self.begin_close(conn, CloseReason::BufferBudget(self.worker.context.limits.max_buffered_bytes));
    }
}
