//! The thread of a UDP socket: it waits for a datagram, receives all that are there, and sends the
//! replies in one batch. While replies wait for the socket, it receives nothing.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};

use super::service_slot::ServiceSlot;
use super::shared::EngineShared;
use super::socket::poll;
use super::worker::Worker;
use crate::engine::datagram_limit::DatagramLimit;
use crate::engine::lag::Work;
use crate::engine::run_state::RunState;
use crate::net::udp_batch::{ReceiveBatch, SendBatch, UdpBatchIo, claims_to_be};
use crate::service::ConnId;
use crate::service::context::{Context, ReplyTo};

/// The thread of one UDP socket.
pub(super) struct UdpThread {
    worker: Worker,
    service_slot: Arc<ServiceSlot>,
    number: usize,
    batch_io: UdpBatchIo,
    incoming: ReceiveBatch,
    outgoing: SendBatch,
    /// The limit on the datagrams of one source, if the service has one.
    limit: Option<DatagramLimit>,
}

impl UdpThread {
    pub(super) fn new(shared: Arc<EngineShared>, service_slot: Arc<ServiceSlot>, number: usize) -> Self {
        let limit = DatagramLimit::new(service_slot.answers_per_second);
        let thread_stats = shared.routes.add_engine_thread();
        let worker = Worker::new(shared, thread_stats);
        let (batch_io, incoming, outgoing) = (UdpBatchIo::new(), ReceiveBatch::new(), SendBatch::default());
        Self { worker, service_slot, number, batch_io, incoming, outgoing, limit }
    }

    /// Serves until the engine drains, then sends the queued datagrams until the engine stops. If
    /// the service is stopped, closes the socket.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.worker.shared);
        let Some(udp_binding) = shared.udp_bindings.get(self.number) else { return };
        let Some(socket) = udp_binding.socket() else { return };
        loop {
            let state = shared.state();
            if self.service_slot.is_closed() {
                self.worker.context.stats.datagrams_dropped += self.outgoing.len() as u64;
                udp_binding.close();
                break;
            }
            if state == RunState::Stopped || (state == RunState::Draining && self.outgoing.is_empty()) {
                break;
            }
            self.worker.publish();
            let events = if self.outgoing.is_empty() { PollFlags::IN } else { PollFlags::OUT };
            let change = PollFd::new(shared.lifecycle.change_notifier(state), PollFlags::IN);
            let stop = PollFd::new(&self.service_slot.stop, PollFlags::IN);
            poll(&mut [PollFd::new(&*socket, events), change, stop], None);
            self.worker.read_clock();
            self.worker.context.stats.turns += 1;
            if !self.outgoing.is_empty() {
                self.send_datagrams(&socket);
            } else if shared.state() == RunState::Serving && !self.service_slot.is_closed() {
                self.receive(&socket);
            }
        }
        self.worker.publish();
    }

    fn receive(&mut self, socket: &UdpSocket) {
        match self.batch_io.receive(socket, &mut self.incoming) {
            Ok(count) => {
                self.worker.context.stats.datagrams_in += count as u64;
                self.dispatch_datagrams();
                self.send_datagrams(socket);
                self.worker.deliver();
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            // A datagram sent earlier was not delivered (recv(2), ECONNREFUSED).
            Err(error) => log::debug!("datagram sent earlier was not delivered: {error}"),
        }
    }

    /// Calls `on_datagram` for each received datagram.
    fn dispatch_datagrams(&mut self) {
        let mut next = 0;
        while next < self.incoming.heads.len() {
            let Some(after) = self.dispatch_share(next) else { return };
            next = after;
        }
    }

    /// Calls `on_datagram` for datagrams from number `next` on, under one lock of the service,
    /// until the share is spent. Returns the number of the first one that is left; `None` once a
    /// callback has panicked.
    fn dispatch_share(&mut self, mut next: usize) -> Option<usize> {
        let service_slot = Arc::clone(&self.service_slot);
        let mut service = service_slot.lock()?;
        self.worker.begin_share();
        let began = self.worker.shared.system.now();
        let shared = Arc::clone(&self.worker.shared);
        while self.worker.has_time()
            && let Some((from, payload)) = self.incoming.get(next)
        {
            next += 1;
            self.worker.context.budget.count(1);
            let context = &mut self.worker.context;
            let is_own_address = shared.udp_bindings.iter().any(|binding| claims_to_be(from, binding.local));
            if !context.admit_datagram(&service_slot.name, from, is_own_address, self.limit.as_mut()) {
                continue;
            }
            let reply_to = ReplyTo::Datagram { batch: &mut self.outgoing, from };
            let mut cx =
                Context { conn: ConnId::NONE, clock: context.clock, reply_to, pending: &mut context.pending_actions };
            service.on_datagram(&mut cx, from, payload);
            self.worker.apply(self.service_slot.id, ConnId::NONE, None);
            self.queue_datagrams();
        }
        self.worker.run_turn_end(&mut service, self.service_slot.id, None);
        drop(service);
        self.worker.note_callbacks(began, Work::DATAGRAMS, &service_slot.name, None);
        self.queue_datagrams();
        Some(next)
    }

    /// Queues the callback's datagrams that this socket can send, in order. The others stay in the
    /// worker.
    fn queue_datagrams(&mut self) {
        let Some(is_ipv4) =
            self.worker.shared.udp_bindings.get(self.number).map(|udp_binding| udp_binding.local.is_ipv4())
        else {
            return;
        };
        let max_bytes = self.worker.context.limits.max_write_buffer_bytes;
        for (service, to, payload) in std::mem::take(&mut self.worker.datagrams) {
            if to.is_ipv4() != is_ipv4 {
                self.worker.datagrams.push((service, to, payload));
            } else if self.outgoing.is_full(max_bytes) || self.outgoing.push(to, &payload).is_err() {
                self.worker.context.stats.datagrams_dropped += 1;
            }
        }
    }

    /// Sends the queued datagrams, as far as the socket takes them.
    fn send_datagrams(&mut self, socket: &UdpSocket) {
        let mut done = 0;
        while done < self.outgoing.len() {
            match self.batch_io.send(socket, &self.outgoing, done) {
                Ok(count) => {
                    done += count;
                    self.worker.context.stats.datagrams_out += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // This datagram cannot be sent to its address or at its size (send(2), EMSGSIZE).
                // The others still can.
                Err(error) => {
                    log::debug!("datagram not sent: {error}");
                    done += 1;
                    self.worker.context.stats.datagrams_dropped += 1;
                }
            }
        }
        self.outgoing.remove_first(done);
        self.worker.context.stats.datagrams_dropped += self.outgoing.take_rejected();
    }
}
