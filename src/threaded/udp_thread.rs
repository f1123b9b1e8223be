//! The thread of one UDP socket. It waits for a datagram, receives all that are there, and sends
//! the replies in one batch. While replies wait for the socket, it receives nothing.

use std::io;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};

use super::service_slot::ServiceSlot;
use super::shared::EngineShared;
use super::socket::poll;
use super::udp_binding::UdpBinding;
use super::worker::Worker;
use crate::engine::run_state::RunState;
use crate::net::udp_batch::UdpBatchIo;
use crate::net::udp_batch::{ReceiveBatch, SendBatch, claims_to_be};
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
}

impl UdpThread {
    pub(super) fn new(shared: Arc<EngineShared>, service_slot: Arc<ServiceSlot>, number: usize) -> Self {
        let thread_stats = shared.register_engine_thread();
        let worker = Worker::new(shared, thread_stats);
        let (batch_io, incoming, outgoing) = (UdpBatchIo::new(), ReceiveBatch::new(), SendBatch::default());
        Self { worker, service_slot, number, batch_io, incoming, outgoing }
    }

    /// Serves until the engine drains, then sends the queued datagrams until the engine stops.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.worker.shared);
        let Some(udp_binding) = shared.udp_bindings.get(self.number) else { return };
        loop {
            let state = shared.state();
            if state == RunState::Stopped || (state == RunState::Draining && self.outgoing.is_empty()) {
                break;
            }
            self.worker.publish();
            let events = if self.outgoing.is_empty() { PollFlags::IN } else { PollFlags::OUT };
            let change = PollFd::new(shared.change_notifier(state), PollFlags::IN);
            poll(&mut [PollFd::new(&udp_binding.socket, events), change], None);
            self.worker.read_clock();
            self.worker.context.stats.turns += 1;
            if !self.outgoing.is_empty() {
                self.send_datagrams(udp_binding);
            } else if shared.state() == RunState::Serving {
                self.receive(udp_binding);
            }
        }
        self.worker.publish();
    }

    fn receive(&mut self, udp_binding: &UdpBinding) {
        match self.batch_io.receive(&udp_binding.socket, &mut self.incoming) {
            Ok(count) => {
                self.worker.context.stats.datagrams_in += count as u64;
                self.dispatch_datagrams();
                self.send_datagrams(udp_binding);
                self.worker.deliver();
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            // A datagram sent earlier was not delivered (recv(2), ECONNREFUSED).
            Err(error) => log::debug!("datagram sent earlier was not delivered: {error}"),
        }
    }

    /// Calls `on_datagram` for each received datagram, under one lock of the service.
    fn dispatch_datagrams(&mut self) {
        let service_slot = Arc::clone(&self.service_slot);
        let Some(mut service) = service_slot.lock() else { return };
        let shared = Arc::clone(&self.worker.shared);
        for at in 0..self.incoming.heads.len() {
            let Some((from, payload)) = self.incoming.get(at) else { break };
            // A forged sender address: the reply would come back to one of our own sockets and be
            // replied to without end.
            if shared.udp_bindings.iter().any(|udp_binding| claims_to_be(from, udp_binding.local)) {
                self.worker.context.stats.datagrams_dropped += 1;
                continue;
            }
            let context = &mut self.worker.context;
            let reply_to = ReplyTo::Datagram { batch: &mut self.outgoing, from };
            let mut cx =
                Context { conn: ConnId::NONE, clock: context.clock, reply_to, pending: &mut context.pending_actions };
            service.on_datagram(&mut cx, from, payload);
            self.worker.apply(self.service_slot.id, ConnId::NONE, None);
            self.queue_datagrams();
        }
        self.worker.run_turn_end(service.as_mut(), self.service_slot.id, None);
        self.queue_datagrams();
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
    fn send_datagrams(&mut self, udp_binding: &UdpBinding) {
        let mut done = 0;
        while done < self.outgoing.len() {
            match self.batch_io.send(&udp_binding.socket, &self.outgoing, done) {
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
