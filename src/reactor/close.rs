//! The end of connections, in the order `begin_close`, `deliver_closes`, `remove_closed`; and the
//! end of the loop, by a drain or a stop.

use super::driver::{Driver, SourceKind};
use super::event_loop::EventLoop;
use super::state::{AcceptState, DRAIN_KEY};
use crate::connection::Phase;
use crate::engine::run_state::RunState;
use crate::service::CloseReason;
use crate::service::TimerId;
use crate::service::{ConnId, Peer};

impl<D: Driver> EventLoop<D> {
    /// Begins to close an open connection. Its `on_close` runs in step 8 of this turn, when no
    /// other callback is under way.
    pub(super) fn begin_close(&mut self, key: usize, reason: CloseReason) {
        let Some(conn) = self.connections.get_mut(key) else { return };
        let now = self.worker.clock.timestamp;
        match conn.phase() {
            Phase::Open => {
                let name = self.services.get(conn.service().0).map_or("", |registered| &registered.options.name);
                let (fault, level) = if reason.is_fault() { (1, log::Level::Warn) } else { (0, log::Level::Debug) };
                self.worker.stats.faulted += fault;
                self.worker.stats.closed += 1 - fault;
                log::log!(level, "{name} {} closed: {reason}", conn.peer());
                conn.begin_close(reason, now);
                self.closing.push_back(key);
            }
            // The close is under way, for the reason that was logged.
            Phase::Closing | Phase::Aborting => conn.mark_unreachable(&reason),
            // For its service the connection is closed already; the output queued so far is still
            // flushed.
            Phase::Flushing | Phase::Lingering if matches!(reason, CloseReason::Service(_)) => {}
            Phase::Flushing | Phase::Lingering => {
                conn.abandon();
                self.reschedule(key);
            }
            Phase::Closed => {}
        }
    }

    /// Calls `on_close` for each connection that has begun to close. These callbacks may close
    /// further connections, so this goes on until none is left.
    pub(super) fn deliver_closes(&mut self) {
        while let Some(key) = self.closing.pop_front() {
            let Some(conn) = self.connections.get_mut(key) else { continue };
            let Some(reason) = conn.close_reason().cloned() else { continue };
            let service = conn.service();
            self.call_service(service, ConnId(key), |service, cx| service.on_close(cx, &reason));
            self.cancel_timers_of(ConnId(key));
            if let Some(conn) = self.connections.get_mut(key) {
                conn.close_delivered();
            }
            self.reschedule(key);
        }
    }

    /// Removes the connections that are over. Dropping a stream closes its socket, so listeners
    /// that paused for want of descriptors resume.
    pub(super) fn remove_closed(&mut self) {
        if self.closed.is_empty() {
            return;
        }
        let mut closed = std::mem::take(&mut self.closed);
        for key in closed.drain(..) {
            let Some(conn) = self.connections.remove(key) else { continue };
            if let Some(at) = conn.timer() {
                self.deadlines.cancel(TimerId::new(at, key as u64));
            }
            if !self.open_rejected.remove(&key) {
                self.worker.stats.open -= 1;
                self.open_consoles -= u64::from(*conn.peer() == Peer::Console);
            }
        }
        self.closed = closed;
        for number in 0..self.sources.len() {
            self.resume_accepting(number);
        }
    }

    fn cancel_timers_of(&mut self, conn: ConnId) {
        while let Some(owned) = self.timers_by_connection.range((conn, TimerId::MIN)..).next().copied()
            && owned.0 == conn
        {
            self.timers_by_connection.remove(&owned);
            self.timers.cancel(owned.1);
        }
    }

    /// Begins a graceful stop. The loop takes no pending connections and no further requests; until
    /// `drain_timeout` it still answers what was received and flushes the pending output.
    pub(super) fn drain(&mut self) {
        if self.run_state != RunState::Serving {
            return;
        }
        self.run_state = RunState::Draining;
        // `on_shutdown` is called in step 8 of this turn, when no other callback is under way.
        self.turn_end.shutdown = true;
        log::info!(
            "draining {} connections, for at most {:?}",
            self.worker.stats.open,
            self.worker.limits.drain_timeout
        );
        for (number, state) in self.sources.iter_mut().enumerate() {
            // UDP sockets stay open for the datagrams that are still to be sent. None is received.
            if matches!(state.source.kind, SourceKind::Listener(_)) {
                self.driver.close_source(number);
                state.readiness.readable = false;
                state.accepting = AcceptState::Accepting;
            }
        }
        for key in self.connections.keys() {
            if let Some(conn) = self.connections.get_mut(key) {
                conn.close_when_answered(CloseReason::ShuttingDown);
            }
            self.reschedule(key);
        }
        let at = self.worker.clock.timestamp + self.worker.limits.drain_timeout;
        self.deadlines.set(TimerId::new(at, DRAIN_KEY as u64), ());
    }

    /// Stops the loop, because the drain timeout has passed.
    pub(super) fn expire_drain(&mut self) {
        let unflushed = self.connections.iter().filter(|(_, conn)| conn.pending_bytes() > 0).count();
        if unflushed > 0 {
            log::warn!("drain timeout: closed {unflushed} connections with unsent output");
        }
        self.run_state = RunState::Stopped;
    }

    /// Closes all connections after the last turn. Each open one gets its `on_close`.
    pub(super) fn close_all(&mut self) {
        for key in self.connections.keys() {
            self.begin_close(key, CloseReason::ShuttingDown);
        }
        self.finish_turn();
        // The output of the last callbacks was written as far as the sockets took it. The loop does
        // not wait for the rest.
        for key in self.connections.keys() {
            self.begin_close(key, CloseReason::ShuttingDown);
        }
        self.remove_closed();
    }
}
