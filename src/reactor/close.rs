//! The end of connections, in the order `begin_close`, `deliver_closes`, `remove_closed`; the end
//! of a service that panics repeatedly; and the end of the loop, by a drain or a stop.

use std::time::Duration;

use super::driver::{Driver, SourceKind};
use super::event_loop::EventLoop;
use super::shared::{Shared, name_of};
use super::state::AcceptState;
use super::timers::DRAIN_KEY;
use super::turn_meter::WorkOwner;
use crate::connection::Phase;
use crate::engine::budget::Budget;
use crate::engine::lag::Work;
use crate::engine::run_state::RunState;
use crate::engine::setup::RegisteredService;
use crate::frame::plural::counted;
use crate::service::{CloseReason, ConnId, ServiceId};

impl<D: Driver> EventLoop<D> {
    /// Calls `on_close` for each connection that has begun to close, after the reports of batches
    /// that were dropped for it. These callbacks may close further connections, so this goes on
    /// until none is left.
    pub(super) fn deliver_closes(&mut self) {
        while !self.shared.ending.closing.is_empty() {
            self.report_dropped_of_closing();
            for _ in 0..self.shared.ending.closing.len() {
                self.deliver_close();
            }
        }
    }

    fn deliver_close(&mut self) {
        if let Some(key) = self.shared.ending.closing.pop_front() {
            let Some(mut step) = self.step_of(key) else { return };
            let Some(reason) = step.conn.close_reason().cloned() else { return };
            let mut name = None;
            step.call_service(|service, cx| {
                name = if reason.is_fault() { service.peer_name(cx) } else { None };
                service.on_close(cx, &reason);
            });
            if reason.is_fault() {
                let service = step.shared.service_name(step.service);
                step.shared.worker.warn_of_close(service, step.conn.peer(), name.as_deref(), &reason);
            }
            step.shared.timers.cancel_all_of(ConnId(key));
            step.conn.close_delivered();
            step.end();
            self.note_work(Work::CLOSE, WorkOwner::Connection(key));
            self.drain_if_requested();
        }
    }

    /// Removes the connections that are over. Dropping a stream closes its socket, so listeners
    /// that paused for want of descriptors resume.
    pub(super) fn remove_closed(&mut self) {
        let Self { connections, shared, .. } = self;
        if shared.ending.closed.is_empty() {
            return;
        }
        for key in shared.ending.closed.drain(..) {
            let Some(conn) = connections.remove(key) else { continue };
            if let Some(at) = conn.timer() {
                shared.deadlines.cancel(key, at);
            }
            shared.worker.stats.open -= u64::from(shared.admission.removed(key, conn.peer(), conn.service()));
        }
        if connections.is_empty() {
            shared.free_unused_memory();
        }
        shared.resume_all_listeners();
    }

    /// Stops the services that have panicked repeatedly. The guard makes no callback of them any
    /// more, except `on_close`.
    pub(super) fn stop_services(&mut self) {
        while let Some(service) = self.shared.turn_end.stopped_services.pop() {
            self.stop_service(service);
        }
    }

    /// Closes the listeners, UDP sockets and connections of a stopped service. If peers can reach
    /// no other service, the loop drains. A drain under way ends the connections by itself.
    #[cold]
    fn stop_service(&mut self, service: ServiceId) {
        let name = name_of(&self.shared.services, service);
        self.shared.worker.note_service_stop(name);
        self.shared.threads.job_pools.reject_queued(service);
        self.shared.threads.woken = true;
        if !self.shared.is_serving() {
            return;
        }
        for number in 0..self.shared.sources.len() {
            if self.shared.sources.get(number).is_some_and(|state| state.source.service == service) {
                self.send_datagrams(number);
                self.shared.close_source(&mut self.driver, number);
            }
        }
        let Self { connections, shared, .. } = self;
        for (key, conn) in connections.iter_mut() {
            if conn.service() == service && conn.phase() == Phase::Open {
                shared.begin_close(key, conn, CloseReason::ServiceStopped);
            }
        }
        let is_served = |it: &RegisteredService| it.is_reachable && !it.service.history().is_stopped();
        shared.all_stopped = !shared.services.iter().any(is_served);
        shared.drain_requested = shared.all_stopped;
    }

    /// Begins the drain that a callback has requested.
    #[inline]
    pub(super) fn drain_if_requested(&mut self) {
        if std::mem::take(&mut self.shared.drain_requested) {
            self.drain();
        }
    }

    /// Begins a graceful stop. The loop takes no pending connections and no further requests; until
    /// `drain_timeout` it still answers what was received and flushes the pending output.
    pub(super) fn drain(&mut self) {
        let Self { driver, connections, shared } = self;
        if shared.run_state != RunState::Serving {
            return;
        }
        shared.run_state = RunState::Draining;
        // `on_shutdown` is called in step 8 of this turn, when no other callback is under way.
        shared.turn_end.shutdown = true;
        log::info!(
            "draining {}, for at most {:?}",
            counted(shared.worker.stats.open, "connection", "connections"),
            shared.worker.limits.drain_timeout
        );
        for number in 0..shared.sources.len() {
            // UDP sockets stay open for the datagrams that are still to be sent. None is received.
            if shared.sources.get(number).is_some_and(|state| matches!(state.source.kind, SourceKind::Listener(_))) {
                shared.close_source(driver, number);
            }
        }
        for (key, conn) in connections.iter_mut() {
            conn.drain(ConnId(key), &shared.worker);
            shared.end_step(key, conn);
        }
        shared.deadlines.set(DRAIN_KEY, shared.worker.clock.timestamp + shared.worker.limits.drain_timeout);
    }

    /// Stops the loop, because the drain timeout has passed.
    pub(super) fn expire_drain(&mut self) {
        let unflushed = self.connections.iter().filter(|(_, conn)| conn.pending_bytes() > 0).count();
        if unflushed > 0 {
            let connections = counted(unflushed as u64, "connection", "connections");
            log::warn!("drain timeout: closed {connections} with unsent output");
        }
        self.shared.run_state = RunState::Stopped;
    }

    /// Closes all connections after the last turn. Each open one gets its `on_close`.
    pub(super) fn close_all(&mut self) {
        self.begin_close_all();
        self.finish_turn(Budget::new(Duration::ZERO));
        // The output of the last callbacks was written as far as the sockets took it. The loop does
        // not wait for the rest.
        self.begin_close_all();
        self.remove_closed();
    }

    fn begin_close_all(&mut self) {
        for (key, conn) in self.connections.iter_mut() {
            self.shared.begin_close(key, conn, CloseReason::ShuttingDown);
        }
    }
}

impl Shared {
    /// Closes a listener or UDP socket. What the socket has not taken is dropped.
    fn close_source(&mut self, driver: &mut impl Driver, number: usize) {
        let Some(state) = self.sources.get_mut(number) else { return };
        driver.close_source(number);
        state.source.kind = SourceKind::Closed;
        state.readiness.readable = false;
        state.accepting = AcceptState::Accepting;
        self.admission.note_served(number);
        if let Some(socket) = self.udp.sockets.get_mut(number) {
            self.worker.stats.datagrams_dropped += std::mem::take(&mut socket.outgoing).len() as u64;
        }
    }
}
