//! The close of a connection on its thread: `on_close`, the last flush, the end of the thread.

use std::sync::atomic::Ordering;

use super::connection_thread::ConnectionThread;
use super::socket::ConnStream;
use crate::connection::{Connection, Phase};
use crate::service::CloseReason;

impl ConnectionThread {
    /// Begins to close the connection. Its `on_close` runs when no other callback is under way.
    pub(super) fn begin_close(&mut self, conn: &mut Connection<ConnStream>, reason: CloseReason) {
        match conn.phase() {
            Phase::Open => {
                let context = &mut self.worker.context;
                let (fault, level) = if reason.is_fault() { (1, log::Level::Warn) } else { (0, log::Level::Debug) };
                context.stats.faulted += fault;
                context.stats.closed += 1 - fault;
                log::log!(level, "{} {} closed: {reason}", self.service_slot.name, conn.peer());
                conn.begin_close(reason, context.clock.timestamp);
                self.close_pending = true;
                // `on_close` may read the engine's statistics, so they are updated before it.
                self.recount_memory(conn);
                self.worker.publish();
            }
            // The close is under way, for the reason that was logged.
            Phase::Closing | Phase::Aborting => conn.mark_unreachable(&reason),
            // For its service the connection is closed already; the output queued so far is still
            // flushed.
            Phase::Flushing | Phase::Lingering if matches!(reason, CloseReason::Service(_)) => {}
            Phase::Flushing | Phase::Lingering => conn.abandon(),
            Phase::Closed => {}
        }
    }

    /// Calls `on_close`, in which the service may send its last output.
    pub(super) fn deliver_close(&mut self, conn: &mut Connection<ConnStream>) {
        self.close_pending = false;
        let Some(reason) = conn.close_reason().cloned() else { return };
        // If the peer is unreachable, the connection ends after this callback.
        if conn.is_peer_gone() {
            self.release_announced = true;
            self.worker.shared.connection_slots.announce_release();
        }
        if !self.worker.shared.has_failed() {
            self.call_service(conn, |service, cx| service.on_close(cx, &reason));
        }
        if self.worker.has_timers {
            self.worker.shared.timers.cancel_all_of(self.id);
            self.worker.has_timers = false;
        }
        conn.close_delivered();
        let done = (conn.phase() == Phase::Closed || conn.pending_bytes() == 0) && self.worker.jobs.is_empty();
        if !done && std::mem::take(&mut self.release_announced) {
            self.worker.shared.connection_slots.withdraw_release();
        }
    }

    /// Closes the connection without a flush, because the engine has stopped.
    pub(super) fn close_now(&mut self, conn: &mut Connection<ConnStream>) {
        if conn.pending_bytes() > 0 {
            self.worker.shared.unflushed.fetch_add(1, Ordering::Relaxed);
        }
        self.begin_close(conn, CloseReason::ShuttingDown);
        if self.close_pending {
            self.deliver_close(conn);
        }
        // The last output was written as far as the socket took it. The thread does not wait for
        // the rest.
        conn.abandon();
    }

    /// Ends the connection and publishes its counters.
    pub(super) fn finish(&mut self, conn: &mut Connection<ConnStream>) {
        self.close_now(conn);
        self.worker.jobs.clear();
        self.recount_memory(conn);
        self.worker.publish();
    }
}
