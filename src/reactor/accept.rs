//! Step 5 for a listener: accept pending connections within a budget, open them or reject them.
//!
//! Nothing that `accept` or a peer does ends the loop. A pending connection beyond a limit is sent
//! the reason and closed. When descriptors or kernel memory run out, accepting pauses. The
//! listeners that wait for a descriptor then take turns, one connection each.

use std::io::{self, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::Interrupted};

use super::driver::{AttachedConsole, Driver};
use super::event_loop::EventLoop;
use super::shared::Shared;
use super::state::AcceptState;
use crate::connection::Connection;
use crate::engine::lag::Work;
use crate::engine::limits::ACCEPT_PAUSE;
use crate::engine::setup::max_rejected_open;
use crate::engine::slab::reserved_key;
use crate::frame::Framing;
use crate::service::CloseReason;
use crate::service::{ConnId, Peer, ServiceId};

impl<D: Driver> EventLoop<D> {
    pub(super) fn accept(&mut self, number: usize, framing: Framing) {
        let Some(state) = self.shared.sources.get(number) else { return };
        let service = state.source.service;
        if !state.readiness.readable || state.accepting == AcceptState::Paused {
            return;
        }
        // While descriptors are short, each listener accepts one connection, then the next does.
        let is_retrying = state.accepting == AcceptState::Retrying;
        let most = if is_retrying { 1 } else { self.shared.worker.limits.accept_budget };
        let mut budget = self.shared.budget(1);
        for _ in 0..most {
            if !self.shared.is_serving() || self.shared.is_stopped(service) {
                return;
            }
            if !budget.has_time(|| self.driver.now()) {
                break;
            }
            budget.count(1);
            match self.driver.accept(number) {
                Ok((stream, peer)) => {
                    if is_retrying {
                        self.shared.admission.note_served(number);
                    }
                    self.admit(stream, peer, service, framing);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.shared.admission.note_served(number);
                    if let Some(state) = self.shared.sources.get_mut(number) {
                        state.readiness.readable = false;
                        state.accepting = AcceptState::Accepting;
                    }
                    return;
                }
                // The peer closed or reset before it was accepted. Accept the next one.
                Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) => {}
                // Descriptors or kernel memory have run out, or the network is down (accept(2)).
                // Retrying at once would only keep the processor busy.
                Err(error) => {
                    self.pause_accepting(number, &error);
                    return;
                }
            }
        }
        // The budget is spent before the backlog is known to be empty.
        self.shared.continue_source(number);
    }

    fn pause_accepting(&mut self, number: usize, error: &io::Error) {
        let Some(state) = self.shared.sources.get_mut(number) else { return };
        let service = state.source.service;
        let is_retry = state.accepting == AcceptState::Retrying;
        state.accepting = AcceptState::Paused;
        let Shared { worker, admission, deadlines, .. } = &mut self.shared;
        worker.stats.accept_pauses += 1;
        admission.note_starved(number);
        deadlines.set(reserved_key(number), worker.clock.timestamp + ACCEPT_PAUSE);
        self.shared.worker.warn_of_accept_pause(self.shared.service_name(service), error, is_retry);
    }

    /// Opens a pending connection, or rejects it.
    fn admit(&mut self, stream: D::Stream, peer: Peer, service: ServiceId, framing: Framing) {
        let rejection = self.shared.rejection_reason(&peer, service);
        if let Some(reason) = rejection {
            let Shared { services, worker, .. } = &mut self.shared;
            let name = services.get(service.0).map_or("", |registered| &registered.options.name);
            worker.note_rejection(name, &peer, &reason);
            if self.shared.admission.rejected.len() < max_rejected_open() {
                if let Some(key) = self.register_connection(stream, peer, service, framing) {
                    self.reject(key, reason);
                }
                return;
            }
            let Shared { services, worker, receive_buffer, .. } = &mut self.shared;
            let reply = services.get(service.0).and_then(|registered| registered.options.rejection);
            let now = worker.clock.timestamp;
            Connection::new(stream, peer, service, framing, &worker.limits, now).reject_at_once(
                reason,
                reply,
                receive_buffer,
                worker,
            );
        } else if let Some(key) = self.register_connection(stream, peer, service, framing) {
            self.open_connection(key, &peer, service);
        }
    }

    /// Opens a connection for each console that was attached before the loop ran.
    pub(super) fn attach_consoles(&mut self) {
        for AttachedConsole { stream, service, framing } in self.driver.take_consoles() {
            // Posts may have stopped it already.
            if self.shared.is_stopped(service) {
                continue;
            }
            let Some(key) = self.register_connection(stream, Peer::Console, service, framing) else { continue };
            self.open_connection(key, &Peer::Console, service);
        }
    }

    /// Gives a pending connection a slot and registers its stream. Returns `None` if the poll does
    /// not take the stream, which is then closed.
    fn register_connection(
        &mut self,
        stream: D::Stream,
        peer: Peer,
        service: ServiceId,
        framing: Framing,
    ) -> Option<usize> {
        let now = self.shared.worker.clock.timestamp;
        let key =
            self.connections.insert(Connection::new(stream, peer, service, framing, &self.shared.worker.limits, now));
        if let Err(error) = self.driver.register(self.connections.get_mut(key)?.stream_mut(), key) {
            let name = self.shared.service_name(service);
            self.shared.worker.warn(
                name,
                "poll registration",
                format_args!("poll registration failed: {error}; closed {name} {peer}"),
            );
            self.connections.remove(key);
            return None;
        }
        Some(key)
    }

    fn open_connection(&mut self, key: usize, peer: &Peer, service: ServiceId) {
        self.shared.worker.stats.accepted += 1;
        self.shared.worker.stats.open += 1;
        self.shared.admission.clients.add(peer, service);
        log::debug!("{} {peer} opened", self.shared.service_name(service));
        self.call_service(Work::OPEN, service, ConnId(key), |service, cx| _ = service.on_open(cx, peer));
    }

    /// Rejects a pending connection: sends it the reason and closes it, without any callback.
    fn reject(&mut self, key: usize, reason: CloseReason) {
        let Self { connections, shared, .. } = self;
        let Some(conn) = connections.get_mut(key) else { return };
        let registered = shared.services.get(conn.service().0);
        shared.admission.rejected.insert(key);
        let reply = registered.and_then(|registered| registered.options.rejection);
        conn.reject(reason, reply, &mut shared.worker);
        shared.end_step(key, conn);
    }
}

impl Shared {
    pub(super) fn resume_accepting(&mut self, number: usize) {
        let Some(state) = self.sources.get_mut(number) else { return };
        if state.accepting == AcceptState::Paused {
            state.accepting = AcceptState::Retrying;
            self.schedule_source(number);
        }
    }

    /// Resumes all listeners, because a descriptor may be free. The listener that has waited
    /// longest is the first to accept.
    pub(super) fn resume_all_listeners(&mut self) {
        for at in 0..self.admission.starved_listeners.len() {
            if let Some(number) = self.admission.starved_listeners.get(at).copied() {
                self.resume_accepting(number);
            }
        }
    }

    /// Returns the reason to reject a pending connection now, if there is one.
    fn rejection_reason(&mut self, peer: &Peer, service: ServiceId) -> Option<CloseReason> {
        let refusal = self.admission.clients.refusal(peer, service);
        refusal.or_else(|| self.memory_rejection(peer))
    }
}
