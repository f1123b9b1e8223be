//! Step 5 for a UDP socket: receive a batch, dispatch it, send the batch of replies.
//!
//! Datagrams that the socket does not take now are queued, up to `max_write_buffer_bytes`. While
//! any is queued, the socket is not read.

use std::io;
use std::net::SocketAddr;

use super::driver::{Driver, SourceKind};
use super::event_loop::EventLoop;
use super::shared::Shared;
use super::state::SocketState;
use super::targets::Targets;
use crate::engine::setup::RegisteredService;
use crate::net::udp_batch::{BATCH, ReceiveBatch};
use crate::service::context::{Context, ReplyTo};
use crate::service::{ConnId, ServiceId};

impl<D: Driver> EventLoop<D> {
    pub(super) fn step_udp(&mut self, number: usize) {
        self.send_datagrams(number);
        let Some(mut incoming) = self.shared.udp.incoming.take() else { return };
        self.shared.udp.current = Some(number);
        self.shared.begin_datagrams(number);
        let mut budget = self.shared.worker.limits.datagram_budget;
        let mut bytes = self.shared.worker.limits.read_budget_bytes;
        while budget > 0 && bytes > 0 && self.shared.may_receive_datagrams(number) {
            incoming.limit = self.shared.batch_limit(number).min(budget);
            match self.driver.receive_datagrams(number, &mut incoming) {
                Ok(count) => {
                    self.shared.worker.stats.datagrams_in += count as u64;
                    budget = budget.saturating_sub(count);
                    bytes = bytes.saturating_sub(incoming.bytes());
                    if count < incoming.limit {
                        self.shared.clear_readable(number);
                    }
                    self.dispatch_datagrams(number, &incoming);
                    self.send_datagrams(number);
                    self.shared.note_datagrams(number, &incoming);
                    if !self.shared.worker.budget.has_time(|| self.driver.now()) {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.shared.clear_readable(number),
                // A datagram sent earlier was not delivered (recv(2), ECONNREFUSED). The kernel
                // reports one such error with each call, so reading goes on; the budget bounds it.
                Err(error) => {
                    log::debug!("datagram sent earlier was not delivered: {error}");
                    budget -= 1;
                }
            }
        }
        self.shared.udp.current = None;
        self.shared.udp.incoming = Some(incoming);
        self.shared.end_datagrams(number);
        if self.shared.may_receive_datagrams(number) {
            self.shared.continue_source(number);
        }
    }

    /// Calls `on_datagram` for each received datagram, and applies the actions.
    fn dispatch_datagrams(&mut self, number: usize, incoming: &ReceiveBatch) {
        let Self { connections, shared, .. } = self;
        let Some(id) = shared.sources.get(number).map(|state| state.source.service) else { return };
        let (_, mut others) = connections.split(ConnId::NONE.0);
        for at in 0..incoming.heads.len() {
            let Shared { services, sources, udp, worker, .. } = &mut *shared;
            let (Some(RegisteredService { service, options, .. }), Some(SocketState { outgoing, limit, .. })) =
                (services.get_mut(id.0), udp.sockets.get_mut(number))
            else {
                return;
            };
            let Some((from, payload)) = incoming.get(at) else { return };
            let is_own_address = sources.iter().any(|state| state.source.is_at(from));
            if !worker.admit_datagram(&options.name, from, is_own_address, limit.as_mut()) {
                continue;
            }
            let reply_to = ReplyTo::Datagram { batch: outgoing, from };
            let mut cx =
                Context { conn: ConnId::NONE, clock: worker.clock, reply_to, pending: &mut worker.pending_actions };
            service.on_datagram(&mut cx, from, payload);
            shared.apply_actions(id, &mut Targets { id: ConnId::NONE, current: None, others: &mut others });
        }
    }

    /// Sends the queued datagrams, as far as the socket takes them.
    pub(super) fn send_datagrams(&mut self, number: usize) {
        let Self { driver, shared: Shared { sources, udp, worker, .. }, .. } = self;
        let (Some(socket), Some(state)) = (udp.sockets.get_mut(number), sources.get_mut(number)) else { return };
        let outgoing = &mut socket.outgoing;
        let mut done = 0;
        while state.readiness.writable && done < outgoing.len() {
            match driver.send_datagrams(number, outgoing, done) {
                Ok(count) => {
                    done += count;
                    worker.stats.datagrams_out += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => state.readiness.writable = false,
                // This datagram cannot be sent to its address or at its size (send(2), EMSGSIZE).
                // The others still can.
                Err(error) => {
                    log::debug!("datagram not sent: {error}");
                    done += 1;
                    worker.stats.datagrams_dropped += 1;
                }
            }
        }
        outgoing.remove_first(done);
        worker.stats.datagrams_dropped += outgoing.take_rejected();
    }
}

impl Shared {
    /// Begins the share of a UDP socket.
    fn begin_datagrams(&mut self, number: usize) {
        let service = self.sources.get(number).and_then(|state| self.services.get(state.source.service.0));
        self.worker.budget.begin(service.map_or(1, |registered| registered.stride));
    }

    /// Ends the share of a UDP socket.
    fn end_datagrams(&mut self, number: usize) {
        let service = self.sources.get(number).and_then(|state| self.services.get_mut(state.source.service.0));
        if let Some(registered) = service {
            registered.stride = self.worker.budget.stride();
        }
    }

    /// Returns the most datagrams that the socket's next batch may have. They are dispatched
    /// together, so they are a stride of the budget, and fewer if the last ones were large.
    fn batch_limit(&self, number: usize) -> usize {
        let by_bytes = self.udp.sockets.get(number).map_or(1, |socket| socket.batch_limit);
        by_bytes.min(self.worker.budget.stride() as usize)
    }

    /// Counts a batch that is dispatched.
    fn note_datagrams(&mut self, number: usize, batch: &ReceiveBatch) {
        let count = batch.heads.len();
        self.worker.budget.count(u32::try_from(count).unwrap_or(u32::MAX));
        if let Some(socket) = self.udp.sockets.get_mut(number) {
            let fitting = self.worker.limits.read_budget_bytes.saturating_mul(count) / batch.bytes().max(1);
            socket.batch_limit = fitting.clamp(1, BATCH);
        }
    }

    fn may_receive_datagrams(&self, number: usize) -> bool {
        let all_sent = self.udp.sockets.get(number).is_some_and(|socket| socket.outgoing.is_empty());
        let state = self.sources.get(number).filter(|state| state.readiness.readable);
        self.is_serving() && all_sent && state.is_some_and(|state| !self.is_stopped(state.source.service))
    }

    fn clear_readable(&mut self, number: usize) {
        if let Some(state) = self.sources.get_mut(number) {
            state.readiness.readable = false;
        }
    }

    /// Queues a datagram that is not a direct reply. It leaves by the current socket, or else by
    /// the service's first socket of the address's family; without one it is dropped and counted.
    pub(super) fn queue_datagram(&mut self, service: ServiceId, to: SocketAddr, payload: &[u8]) {
        let fits = |number: &usize| {
            self.sources.get(*number).is_some_and(|state| {
                let SourceKind::Udp { local } = state.source.kind else { return false };
                state.source.service == service && local.is_ipv4() == to.is_ipv4()
            })
        };
        let number = self.udp.current.filter(fits).or_else(|| (0..self.sources.len()).find(fits));
        let socket = number.and_then(|number| self.udp.sockets.get_mut(number));
        let has_room = socket.filter(|socket| !socket.outgoing.is_full(self.worker.limits.max_write_buffer_bytes));
        let queued = has_room.is_some_and(|socket| socket.outgoing.push(to, payload).is_ok());
        if !queued {
            self.worker.stats.datagrams_dropped += 1;
            let name = self.services.get(service.0).map_or("", |registered| &registered.options.name);
            self.worker.warn_of_lost_datagram(name, to);
        }
        // The current socket sends at the end of its batch. Any other needs a step of its own.
        if let Some(number) = number.filter(|number| queued && self.udp.current != Some(*number)) {
            self.schedule_source(number);
        }
    }
}
