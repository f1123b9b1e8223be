//! How a connection's thread ends it: the goodbye, the last flush, and leaving the engine.

use std::sync::atomic::Ordering;

use super::connection_thread::Attendant;
use super::socket::Plug;
use crate::connection::{Connection, Phase};
use crate::service::CloseReason;

impl Attendant {
    /// Ends the connection if it has not ended yet. Its service hears of it when no callback is under way.
    pub(super) fn end(&mut self, conn: &mut Connection<Plug>, reason: CloseReason) {
        match conn.phase() {
            Phase::Open => {
                let desk = &mut self.agent.desk;
                let (fault, level) = if reason.is_fault() { (1, log::Level::Warn) } else { (0, log::Level::Debug) };
                desk.stats.faulted += fault;
                desk.stats.closed += 1 - fault;
                log::log!(level, "{} {} closed: {reason}", self.booth.name, conn.peer());
                conn.begin_close(reason, desk.clock.moment);
                self.ending = true;
                // Whoever is told of the end may ask what is held.
                self.count(conn);
                self.agent.publish();
            }
            // Its end is under way already, for the reason that was logged.
            Phase::Closing => conn.mark_unreachable(&reason),
            // It has ended for its service already, which cannot take back what it has said.
            Phase::Flushing | Phase::Lingering if matches!(reason, CloseReason::Service(_)) => {}
            Phase::Flushing | Phase::Lingering => conn.abandon(),
            Phase::Closed => {}
        }
    }

    /// Tells the service, and lets it have a last word.
    pub(super) fn say_goodbye(&mut self, conn: &mut Connection<Plug>) {
        self.ending = false;
        let Some(reason) = conn.close_reason().cloned() else { return };
        // Where the peer has gone, nothing is left to wait for but this.
        if conn.flags().eof_read || conn.flags().unreachable {
            self.leaving = true;
            self.agent.exchange.places.leave();
        }
        if !self.agent.exchange.has_failed() {
            self.call(conn, |service, cx| service.on_close(cx, &reason));
        }
        if self.agent.has_timers {
            self.agent.exchange.alarms.forget(self.id);
            self.agent.has_timers = false;
        }
        conn.close_delivered();
        let done = (conn.phase() == Phase::Closed || conn.pending_bytes() == 0) && self.agent.jobs.is_empty();
        if !done && std::mem::take(&mut self.leaving) {
            self.agent.exchange.places.stay();
        }
    }

    /// The engine has stopped: the service is told, and nothing is waited for.
    pub(super) fn end_at_once(&mut self, conn: &mut Connection<Plug>) {
        if conn.pending_bytes() > 0 {
            self.agent.exchange.unflushed.fetch_add(1, Ordering::Relaxed);
        }
        self.end(conn, CloseReason::ShuttingDown);
        if self.ending {
            self.say_goodbye(conn);
        }
        // Said, and not waited for.
        conn.abandon();
    }

    /// The connection is over.
    pub(super) fn close(&mut self, conn: &mut Connection<Plug>) {
        self.end_at_once(conn);
        self.agent.jobs.clear();
        self.count(conn);
        self.agent.publish();
    }
}
