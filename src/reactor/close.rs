//! How connections end: the service's goodbye, the last flush, the reaping. And how the loop does.

use super::driver::{Net, SourceKind};
use super::event_loop::{Run, Turn};
use crate::connection::Phase;
use crate::engine::slab::reserved_key;
use crate::service::CloseReason;
use crate::service::TimerId;
use crate::service::{ConnId, Peer};

/// The key of the drain deadline.
pub(super) const DRAIN_KEY: usize = reserved_key(usize::MAX) - 1;

impl<N: Net> Turn<N> {
    /// Ends a connection that has not ended yet. Its service hears of it later in this turn, when no callback is under way.
    pub(super) fn end(&mut self, key: usize, reason: CloseReason) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let moment = self.desk.clock.moment;
        match conn.phase() {
            Phase::Open => {
                let name = self.services.get(conn.service().0).map_or("", |registered| &registered.name);
                let (fault, level) = if reason.is_fault() { (1, log::Level::Warn) } else { (0, log::Level::Debug) };
                self.desk.stats.faulted += fault;
                self.desk.stats.closed += 1 - fault;
                log::log!(level, "{name} {} closed: {reason}", conn.peer());
                conn.begin_close(reason, moment);
                self.ending.push_back(key);
            }
            // Its end is under way already, for the reason that was logged.
            Phase::Closing => conn.mark_unreachable(&reason),
            // It has ended for its service already, which cannot take back what it has said.
            Phase::Flushing | Phase::Lingering if matches!(reason, CloseReason::Service(_)) => {}
            Phase::Flushing | Phase::Lingering => {
                conn.abandon();
                self.settle(key);
            }
            Phase::Closed => {}
        }
    }

    /// Tells services of connections that have ended since it last did, until their last words end no more of them.
    pub(super) fn say_goodbyes(&mut self) {
        while let Some(key) = self.ending.pop_front() {
            let Some(conn) = self.conns.get_mut(key) else { continue };
            let Some(reason) = conn.close_reason().cloned() else { continue };
            let service = conn.service();
            self.call(service, ConnId(key), |service, cx| service.on_close(cx, &reason));
            self.cancel_timers_of(ConnId(key));
            if let Some(conn) = self.conns.get_mut(key) {
                conn.close_delivered();
            }
            self.settle(key);
        }
    }

    /// Forgets what is over. Dropping a stream closes its socket, so listeners that waited for a descriptor may go on.
    pub(super) fn reap(&mut self) {
        if self.closed.is_empty() {
            return;
        }
        let mut closed = std::mem::take(&mut self.closed);
        for key in closed.drain(..) {
            let Some(mut conn) = self.conns.remove(key) else { continue };
            if let Some(at) = conn.timer() {
                self.deadlines.cancel(TimerId::new(at, key as u64));
            }
            if conn.flags().rejected {
                self.refused_open -= 1;
            } else {
                self.desk.stats.open -= 1;
                self.consoles -= u64::from(*conn.peer() == Peer::Console);
            }
        }
        self.closed = closed;
        for number in 0..self.sources.len() {
            self.resume_accepting(number);
        }
    }

    fn cancel_timers_of(&mut self, conn: ConnId) {
        while let Some(owned) = self.timers_by_conn.range((conn, TimerId::MIN)..).next().copied()
            && owned.0 == conn
        {
            self.timers_by_conn.remove(&owned);
            self.timers.cancel(owned.1);
        }
    }

    /// No newcomers, no further requests; what is owed, and what is being worked on, is still delivered until the deadline.
    pub(super) fn drain(&mut self) {
        if self.run != Run::Serving {
            return;
        }
        self.run = Run::Draining;
        // Told later in this turn, when no callback is under way.
        self.owed.shutdown = true;
        log::info!("draining {} connections, for at most {:?}", self.desk.stats.open, self.desk.limits.drain_timeout);
        for (number, state) in self.sources.iter_mut().enumerate() {
            // UDP sockets stay, to send what is still said through them; nothing more is received.
            if matches!(state.source.kind, SourceKind::Listener(_)) {
                self.net.close(number);
                (state.readable, state.paused) = (false, false);
            }
        }
        for key in self.conns.keys() {
            if let Some(conn) = self.conns.get_mut(key) {
                conn.close_when_answered(CloseReason::ShuttingDown);
            }
            self.settle(key);
        }
        let at = self.desk.clock.moment + self.desk.limits.drain_timeout;
        self.deadlines.set(TimerId::new(at, DRAIN_KEY as u64), ());
    }

    /// The drain deadline has come.
    pub(super) fn abandon_all(&mut self) {
        let unflushed = self.conns.iter().filter(|(_, conn)| conn.pending_bytes() > 0).count();
        if unflushed > 0 {
            log::warn!("{unflushed} connections did not take what they were owed in time");
        }
        self.run = Run::Stopped;
    }

    /// The loop has turned for the last time. Services hear of every connection's end, those that were cut off included.
    pub(super) fn end_all(&mut self) {
        for key in self.conns.keys() {
            self.end(key, CloseReason::ShuttingDown);
        }
        self.say_all();
        // Said, and not waited for.
        for key in self.conns.keys() {
            self.end(key, CloseReason::ShuttingDown);
        }
        self.reap();
    }
}
